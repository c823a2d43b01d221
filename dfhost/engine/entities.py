"""Entities: the messages to and from them, and one batch of operations.

Texts as the extension writes them (recorded): a request is a RequestMessage in the caller's EventSent and the
entity's inbox, an answer a ResponseMessage under the request's id. An entity is persisted as the input of an
eternal orchestration, so it shows in instance lists.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from json.encoder import encode_basestring_ascii as quote
from typing import Any, NamedTuple

from dfhost.engine.failures import Failure, clean

_TYPE = "Microsoft.Azure.WebJobs.Extensions.DurableTask.{0}, Microsoft.Azure.WebJobs.Extensions.DurableTask"


class EntityId(NamedTuple):
    """`name` is lower case, `key` is not touched; as an instance id ``@name@key``."""

    name: str
    key: str

    @classmethod
    def parse(cls, instance_id: str) -> EntityId:
        name, _, key = instance_id[1:].partition("@")
        return cls(name, key)

    def __str__(self) -> str:
        return f"@{self.name.lower()}@{self.key}"


def is_entity_id(instance_id: str) -> bool:
    """An instance may well be called ``@x``; an entity's id has a second @."""
    return instance_id.startswith("@") and "@" in instance_id[1:]


class MessageSorter:
    """The marks by which an entity keeps one sender's messages in order: each names the one before it.

    A mark is the time of sending; a second message of the same moment gets one tick more (recorded).
    """

    def __init__(self) -> None:
        self._last: dict[str, str] = {}

    def next(self, entity_id: str, at: str) -> tuple[str, str]:
        """This message's mark and its predecessor's."""
        before = self._last.get(entity_id)
        if before is None or before.rstrip("Z") < at.rstrip("Z"):
            mark = at
        else:
            seconds, _, fraction = before.rstrip("Z").partition(".")
            mark = f"{seconds}.{int((fraction + '0000000')[:7]) + 1:07d}"
        self._last[entity_id] = mark
        return mark, before or "0001-01-01T00:00:00"

    def recall(self, entity_id: str, request: str) -> None:
        """`request` was sent in an earlier episode."""
        self._last[entity_id] = json.loads(request)["Timestamp"]


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

    `caller`: instance and execution id of the orchestration that asks, `order` its marks (`PostMarks.next`); a
    client's signal has neither.
    """
    fields = [f'"$type":"{_TYPE.format("RequestMessage")}"', f'"op":{quote(operation)}']
    if signal:
        fields.append('"signal":true')
    if input is not None:
        fields.append(f'"input":{quote(quote(input) if caller else input)}')
    fields.append(f'"id":"{request_id}"')
    if caller:
        fields += [f'"parent":{quote(caller[0])}', f'"parentExecution":{quote(caller[1])}']
    mark, predecessor = order or (at, "0001-01-01T00:00:00")
    fields += [
        f'"Timestamp":"{mark}"',
        f'"Predecessor":"{predecessor}"',
        f'"requestTime":"{at.rstrip("Z")}+00:00"',
    ]
    return "{" + ",".join(fields) + "}"


def response(result: str, is_error: bool) -> str:
    error = ',"exceptionType":"Error"' if is_error else ""
    return f'{{"$type":"{_TYPE.format("ResponseMessage")}","result":{quote(result)}{error}}}'


@dataclass(frozen=True, slots=True)
class EntityResponse:
    """What an orchestration that called an entity hears: an event named `request_id` with `text`."""

    instance_id: str
    execution_id: str
    request_id: str
    text: str


@dataclass(frozen=True, slots=True)
class EntityBatch:
    """One run of an entity over the operations that had arrived."""

    entity: EntityId
    trigger: str
    requests: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class EntityBatchResult:
    """`state` is the text to store (``null`` once destroyed); `failures` one line for each that raised."""

    exists: bool
    state: str | None
    answers: tuple[EntityResponse, ...]
    failures: tuple[str, ...] = ()


def build_batch(entity_id: str, exists: bool, state: str | None, requests: Sequence[str]) -> EntityBatch:
    """The entity trigger for these requests. `exists`, `state`: what the last batch has left, if there was one.

    A destroyed entity comes with the state ``null`` and as not existing (recorded).
    """
    entity = EntityId.parse(entity_id)
    parsed = tuple(json.loads(request) for request in requests)
    operations = ",".join(
        f'{{"name":{quote(r["op"])},"input":{"null" if r.get("input") is None else quote(r["input"])},'
        f'"isSignal":{"true" if r.get("signal") else "false"},"id":{quote(r["id"])}}}'
        for r in parsed
    )
    trigger = (
        f'{{"self":{{"name":{quote(entity.name)},"key":{quote(entity.key)}}},'
        f'"exists":{"true" if exists else "false"},'
        f'"state":{"null" if state is None else quote(state)},"batch":[{operations}]}}'
    )
    return EntityBatch(entity, trigger, parsed)


def read_batch_reply(work: EntityBatch, text: str) -> EntityBatchResult:
    """Read the SDK's reply: one result an operation, in order. ValueError or KeyError if it is not one."""
    reply = json.loads(text)
    results = reply["results"]
    answers, failed = [], []
    for request, result in zip(work.requests, results, strict=True):
        if result["isError"]:
            failed.append(f"{request['op']}: {json.loads(result['result'])}")
        if not request.get("signal"):
            answers.append(_answer(request, result["result"], result["isError"]))
    return EntityBatchResult(bool(reply["entityExists"]), reply["entityState"], tuple(answers), tuple(failed))


def fail_batch(work: EntityBatch, failure: Failure) -> EntityBatchResult:
    """The entity function could not answer at all: every caller hears why, and the state stays as it was.

    The extension would run the batch again for ever, and everything behind it would wait.
    """
    text = json.dumps(clean(failure.text))
    answers = tuple(_answer(r, text, True) for r in work.requests if not r.get("signal"))
    return EntityBatchResult(False, None, answers, tuple(f"{r['op']}: {failure.text}" for r in work.requests))


def _answer(request: dict[str, Any], result: str, is_error: bool) -> EntityResponse:
    return EntityResponse(
        request["parent"], request["parentExecution"], request["id"], response(result, is_error)
    )


def scheduler_state(exists: bool, state: str | None) -> str:
    """What is stored as the entity's input, and shown as such in instance lists (recorded)."""
    head = '"exists":true,' if exists else ""
    tail = "" if state is None else f',"state":{quote(state)}'
    return f'{{{head}"sorter":{{}}{tail}}}'


#: The custom status of an entity that exists; lists show no others (recorded).
ENTITY_EXISTS_STATUS = '{"entityExists":true}'


def stored_exists(input: str | None) -> bool:
    """Whether the entity said, after its last batch, that it exists."""
    return input is not None and input.startswith('{"exists":true')


def stored_state(input: str | None) -> str | None:
    """The state's JSON text out of what `scheduler_state` made; None if the entity never stored any."""
    if not input:
        return None
    state: str | None = json.loads(input).get("state")
    return state
