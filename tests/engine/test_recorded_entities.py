"""Entities against recordings of the wire: the batches handed to the SDK, and the answers that callers got."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dfhost.engine import entities

from .recorded_invocations import JsonObject, in_order, invocations, of_orchestration, read, tapes

ENTITIES = [path for path in tapes() if not of_orchestration(read(path))]
each_tape = pytest.mark.parametrize("tape", ENTITIES, ids=lambda path: f"{path.parent.name}/{path.stem}")


def request(operation: JsonObject) -> dict[str, Any]:
    """The message that such an element of a batch came from."""
    return (
        {"op": operation["name"], "id": operation["id"], "parent": "caller", "parentExecution": "execution"}
        | ({"signal": True} if operation["isSignal"] else {})
        | ({"input": operation["input"]} if operation["input"] is not None else {})
    )


@each_tape
def test_batches_are_the_recorded_ones(tape: Path) -> None:
    """Each entity's state goes from one batch's reply into the next one's trigger."""
    left: dict[str, tuple[bool, str | None]] = {}
    for taken in read(tape):
        trigger = taken["trigger"]
        entity_id = f"@{trigger['self']['name']}@{trigger['self']['key']}"
        requests = [request(operation) for operation in trigger["batch"]]
        batch = entities.build_batch(entity_id, *left.get(entity_id, (False, None)), requests)
        assert in_order(json.loads(batch.trigger)) == in_order(trigger)
        result = entities.read_batch_reply(batch, json.dumps(taken["reply"]))
        left[entity_id] = result.exists, result.state


@each_tape
def test_every_call_of_a_batch_is_answered(tape: Path) -> None:
    """In order, under the request's id, signals not at all; an error says so."""
    for taken in read(tape):
        trigger, reply = taken["trigger"], taken["reply"]
        entity_id = f"@{trigger['self']['name']}@{trigger['self']['key']}"
        requests = [request(one) for one in trigger["batch"]]
        batch = entities.build_batch(entity_id, trigger["exists"], trigger["state"], requests)
        responses = entities.read_batch_reply(batch, json.dumps(reply)).responses
        expected = [
            (one["id"], result["result"], "Error" if result["isError"] else None)
            for one, result in zip(trigger["batch"], reply["results"], strict=True)
            if not one["isSignal"]
        ]
        texts = [(answer.request_id, json.loads(answer.text)) for answer in responses]
        assert [(id, text["result"], text.get("exceptionType")) for id, text in texts] == expected


def test_an_answer_has_the_recorded_form() -> None:
    """What the callers' histories hold as the answers of entities, success and error."""
    seen = set()
    for tape in tapes():
        if not of_orchestration(read(tape)):
            continue
        for event in invocations(tape)[-1].history:
            if event["EventType"] == 15 and "ResponseMessage" in event["Input"]:
                recorded = json.loads(event["Input"])
                is_error = "exceptionType" in recorded
                assert entities.response(recorded["result"], is_error) == event["Input"]
                seen.add(is_error)
    assert seen == {False, True}


def test_a_request_has_the_recorded_form() -> None:
    """Calls and signals, with and without input: keys in order, and how often the input is encoded."""
    seen = set()
    for tape in tapes():
        if not of_orchestration(read(tape)):
            continue
        last = invocations(tape)[-1]
        for event in last.history:
            if event["EventType"] == 14:
                recorded = json.loads(event["Input"])
                made = entities.entity_request(
                    operation=recorded["op"],
                    input=json.loads(recorded["input"]) if "input" in recorded else None,
                    request_id=recorded["id"],
                    at=recorded["Timestamp"],
                    signal=recorded.get("signal", False),
                    caller=(recorded["parent"], recorded["parentExecution"]),
                )
                times = {key: recorded[key] for key in ("Predecessor", "requestTime")}
                assert in_order(json.loads(made) | times) == in_order(recorded)
                seen.add(recorded.get("signal", False))
    assert seen == {False, True}
