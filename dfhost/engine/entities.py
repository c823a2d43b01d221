"""Entities: the messages to and from them, and one batch of operations.

The texts are the extension's (recorded). A request is a RequestMessage, in the caller's EventSent and in the
entity's inbox; the response is a ResponseMessage, in an event named by the request's id. An entity is stored as
the input of an eternal orchestration, so it appears in instance lists.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from json.encoder import encode_basestring_ascii as quote
from types import MappingProxyType
from typing import Any, NamedTuple

from dfhost.engine.failures import Failure, clean
from dfhost.parse_json import parse_json
from dfhost.timestamps import parse_timestamp, timestamp

_TYPE = "Microsoft.Azure.WebJobs.Extensions.DurableTask.{0}, Microsoft.Azure.WebJobs.Extensions.DurableTask"


class EntityId(NamedTuple):
    """The id of an entity: as an instance id ``@name@key``, with the name in lower case.

    `parse` keeps the case of both.
    """

    name: str
    key: str

    @classmethod
    def parse(cls, instance_id: str) -> EntityId:
        name, _, key = instance_id[1:].partition("@")
        return cls(name, key)

    def __str__(self) -> str:
        return f"@{self.name.lower()}@{self.key}"


def is_entity_id(instance_id: str) -> bool:
    """An instance may be called ``@x``; an entity's id has a second @."""
    return instance_id.startswith("@") and "@" in instance_id[1:]


class MessageSorter:
    """Labels a sender's messages so that each entity can process them in order (DTFx's class of this name).

    A label is the time of sending; a second message of the same moment gets one tick more (recorded).
    """

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def label(self, entity_id: str, at: str) -> tuple[str, str]:
        """The labels of a new message and of its predecessor."""
        previous = self._last.get(entity_id)
        if previous is None or previous.rstrip("Z") < at.rstrip("Z"):
            label = at
        else:
            label = _one_tick_later(previous)
        self._last[entity_id] = label
        return label, previous or "0001-01-01T00:00:00"

    def sent(self, entity_id: str, request: str) -> None:
        """Note a request that the history records."""
        self._last[entity_id] = json.loads(request)["Timestamp"]


def _one_tick_later(label: str) -> str:
    """A tick is .NET's: the seventh digit of a second."""
    second, _, fraction = label.rstrip("Z").partition(".")
    ticks = int((fraction + "0000000")[:7]) + 1
    if ticks == 10_000_000:
        second, ticks = timestamp(parse_timestamp(second) + timedelta(seconds=1))[: len(second)], 0
    return f"{second}.{ticks:07d}"


def entity_request(
    *,
    operation: str,
    input: str | None,
    request_id: str,
    at: str,
    signal: bool,
    caller: tuple[str, str] | None = None,
    order: tuple[str, str] | None = None,
) -> str:
    """One operation as a message. `input`: JSON text, which travels as a JSON string once more.

    `caller`: instance and execution id of the orchestration that sends it, `order` its labels
    (`MessageSorter.label`). A client's signal has neither.
    """
    fields = [f'"$type":"{_TYPE.format("RequestMessage")}"', f'"op":{quote(operation)}']
    if signal:
        fields.append('"signal":true')
    if input is not None:
        fields.append(f'"input":{quote(quote(input) if caller else input)}')
    fields.append(f'"id":"{request_id}"')
    if caller:
        fields += [f'"parent":{quote(caller[0])}', f'"parentExecution":{quote(caller[1])}']
    label, predecessor = order or (at, "0001-01-01T00:00:00")
    fields += [
        f'"Timestamp":"{label}"',
        f'"Predecessor":"{predecessor}"',
        f'"requestTime":"{at.rstrip("Z")}+00:00"',
    ]
    return "{" + ",".join(fields) + "}"


def operation_input(request: Mapping[str, Any]) -> str | None:
    """What the entity gets from a request that was parsed, as JSON text.

    The SDK puts JSON in JSON, whoever sends it. What another client sends is shown as it is.
    """
    text: str | None = request.get("input")
    if text is not None:
        with suppress(ValueError, TypeError):
            inner = parse_json(text)
            parse_json(inner)
            return str(inner)
    return text


def response(result: str, is_error: bool) -> str:
    error = ',"exceptionType":"Error"' if is_error else ""
    return f'{{"$type":"{_TYPE.format("ResponseMessage")}","result":{quote(result)}{error}}}'


@dataclass(frozen=True, slots=True)
class EntityResponse:
    """The response to a call: the calling execution receives an event named `request_id` with `text`."""

    instance_id: str
    execution_id: str
    request_id: str
    text: str


@dataclass(frozen=True, slots=True)
class EntityBatch:
    """Operations of one entity that are processed in one call of its function; `trigger` is the call's input."""

    entity: EntityId
    trigger: str
    requests: tuple[dict[str, Any], ...]


class FailedOperation(NamedTuple):
    name: str
    failure: Failure


@dataclass(frozen=True, slots=True)
class EntityBatchResult:
    """`state` is the text to store (``null`` once destroyed), `failures` the operations that raised, in order.

    A `state` of None means that the function itself failed or that no request could be read: the stored state
    stays as it is.
    """

    exists: bool
    state: str | None
    responses: tuple[EntityResponse, ...]
    failures: tuple[FailedOperation, ...] = ()


def read_request(text: str) -> dict[str, Any]:
    """The RequestMessage that `text` holds. ValueError if it is none."""
    request = json.loads(text)
    if not isinstance(request, dict):
        raise ValueError("it is no JSON object")
    fields: dict[str, tuple[type, ...]] = {"op": (str,), "id": (str,), "input": (str, type(None))}
    if not request.get("signal"):
        fields |= {"parent": (str,), "parentExecution": (str,)}
    for name, types in fields.items():
        if not isinstance(request.get(name), types):
            raise ValueError(f"its '{name}' is {request.get(name)!r}")
    return request


def build_batch(
    entity_id: str, exists: bool, state: str | None, requests: Sequence[dict[str, Any]]
) -> EntityBatch:
    """The batch for these requests. `exists` and `state` are those after the last batch, if there was one.

    A destroyed entity comes with the state ``null`` and as not existing (recorded).
    """
    entity = EntityId.parse(entity_id)
    operations = ",".join(
        f'{{"name":{quote(r["op"])},"input":{"null" if r.get("input") is None else quote(r["input"])},'
        f'"isSignal":{"true" if r.get("signal") else "false"},"id":{quote(r["id"])}}}'
        for r in requests
    )
    trigger = (
        f'{{"self":{{"name":{quote(entity.name)},"key":{quote(entity.key)}}},'
        f'"exists":{"true" if exists else "false"},'
        f'"state":{"null" if state is None else quote(state)},"batch":[{operations}]}}'
    )
    return EntityBatch(entity, trigger, tuple(requests))


def read_batch_reply(
    batch: EntityBatch, text: str, raised: Mapping[int, Failure] = MappingProxyType({})
) -> EntityBatchResult:
    """Read the SDK's reply: one result an operation, in order. ValueError or KeyError if it is not one.

    It has only the messages of exceptions; `raised` has the exceptions, by the places of operations, where known.
    """
    reply = json.loads(text)
    results, state = reply["results"], reply["entityState"]
    if not isinstance(state, (str, type(None))):
        raise ValueError(f"its 'entityState' is {state!r}")
    responses, failed = [], []
    for place, (request, result) in enumerate(zip(batch.requests, results, strict=True)):
        if result["isError"]:
            failure = raised.get(place)
            if failure is None:
                message = str(json.loads(result["result"]))
                failure = Failure("", message, message, "")
            failed.append(FailedOperation(request["op"], failure))
        if not request.get("signal"):
            responses.append(_response_to(request, result["result"], result["isError"]))
    return EntityBatchResult(bool(reply["entityExists"]), state, tuple(responses), tuple(failed))


def fail_batch(batch: EntityBatch, failure: Failure) -> EntityBatchResult:
    """The entity function itself has failed: so does every operation, and the state stays as it was.

    The extension would run the batch again for ever, and everything behind it would wait.
    """
    text = json.dumps(clean(failure.text))
    responses = tuple(_response_to(r, text, True) for r in batch.requests if not r.get("signal"))
    failed = tuple(FailedOperation(r["op"], failure) for r in batch.requests)
    return EntityBatchResult(False, None, responses, failed)


def _response_to(request: dict[str, Any], result: str, is_error: bool) -> EntityResponse:
    return EntityResponse(
        request["parent"], request["parentExecution"], request["id"], response(result, is_error)
    )


def scheduler_state(exists: bool, state: str | None) -> str:
    """The text that is stored as the entity's input, and shown as such in instance lists (recorded)."""
    head = '"exists":true,' if exists else ""
    tail = "" if state is None else f',"state":{quote(state)}'
    return f'{{{head}"sorter":{{}}{tail}}}'


#: The custom status of an entity that exists; lists show no others (recorded).
ENTITY_EXISTS_STATUS = '{"entityExists":true}'


def stored_exists(input: str | None) -> bool:
    """Whether the entity existed after its last batch; `input` is a text of `scheduler_state`."""
    return input is not None and input.startswith('{"exists":true')


def stored_state(input: str | None) -> str | None:
    """The entity's own state as JSON text, None if it never stored any. ValueError if `input` is no such text."""
    if not input:
        return None
    scheduler = json.loads(input)
    state = scheduler.get("state") if isinstance(scheduler, dict) else 0
    if state is not None and not isinstance(state, str):
        raise ValueError("it is no scheduler state")
    return state
