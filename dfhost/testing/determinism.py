"""Compares what an orchestrator asks for from one replay to the next. Code that is deterministic never differs.

The engine, like Azure, notices only other functions or other kinds of tasks. An input with a fresh uuid in it passes
there, and the instance goes on with the first one; here a test fails, and is told what was different.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from dfhost.engine import actions as act
from dfhost.engine import history as h
from dfhost.engine.replay_result import ReplayResult
from dfhost.runner.app_runner import ReplayCall

Action = Mapping[str, Any]
Replay = Callable[[ReplayCall], ReplayResult]

_IGNORED = frozenset(("isCanceled",))  # a timer is cancelled later than it is made
_UUID = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}", re.IGNORECASE)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?")


class RecordedReplay(NamedTuple):
    """A replay from the beginning: what was asked, and the actions that were the answer."""

    function: str
    instance_id: str
    trigger: str
    actions: Sequence[Action]

    def sentence(self, difference: str, before: Sequence[Action], replay: Replay) -> str:
        place = _place(before, self, replay)
        head = f"{self.function} is not deterministic (instance {self.instance_id})"
        return f"{head}: {difference.removesuffix('.')}{place}."


class ReplayKey(NamedTuple):
    """Replays are compared within an execution, from one rewind to the next."""

    instance_id: str
    execution_id: str
    rewinds: int

    @classmethod
    def of(cls, instance_id: str, trigger: str) -> ReplayKey:
        # The first execution id in the trigger's history is that of the execution which is replayed.
        execution_id = trigger.partition('"ExecutionId":"')[2].partition('"')[0]
        # A rewind changes failures to events of this kind; what comes then may be different.
        return cls(instance_id, execution_id, trigger.count(f'"EventType":{h.GENERIC}'))


class NewestReplays:
    """The newest replay of each execution, with which the next one is compared."""

    def __init__(self, replay: Replay) -> None:
        """`replay`: makes a further one, to find the line that differs."""
        self._replay = replay
        self.newest: dict[ReplayKey, RecordedReplay] = {}
        #: A sentence for each execution that differed.
        self.differences: list[str] = []
        self._reported: set[tuple[str, str]] = set()

    def compare(self, key: ReplayKey, orchestrator: str, trigger: str, result: ReplayResult) -> None:
        """`result`: that of a replay from the beginning."""
        if result.known_actions is not None or result.crash is not None:
            return
        before = self.newest.get(key)
        now = self.newest[key] = RecordedReplay(orchestrator, key.instance_id, trigger, result.actions)
        execution = key.instance_id, key.execution_id
        if before is None or execution in self._reported:
            return
        if sentence := difference(before.actions, now.actions):
            self._reported.add(execution)
            self.differences.append(now.sentence(sentence, before.actions, self._replay))


def _place(before: Sequence[Action], now: RecordedReplay, replay: Replay) -> str:
    """Where the code asks for the first action that differs, see `ReplayResult.waits_in`.

    The shortest part of the history with which the code asks for that action is searched for: after a replay of it,
    the code waits at that line.
    """
    pairs = enumerate(zip_longest(_single(before), _single(now.actions)))
    number = next(number for number, pair in pairs if next(_leaves(*pair, ()), None))
    whole = json.loads(now.trigger)

    def replayed(events: int) -> ReplayResult:
        part = json.dumps({**whole, "history": whole["history"][:events]})
        return replay(ReplayCall(now.function, now.instance_id, part))

    lengths = range(2, len(whole["history"]) + 1)  # the first two begin the execution
    least = bisect_right(
        lengths, number, key=lambda events: sum(1 for _ in _single(replayed(events).actions))
    )
    return replayed(lengths[least]).waits_in if least < len(lengths) else ""


def difference(before: Sequence[Action], now: Sequence[Action]) -> str | None:
    """How the actions of a later replay differ from those of an earlier one, in a sentence; None if they do not."""
    before, now = tuple(_single(before)), tuple(_single(now))
    if _same_members(before, now[: len(before)]):
        return (
            f"it asked for the same {len(before)} tasks in another order when it was replayed: the order of a set, "
            "or of something else without an order; sort it."
        )
    for number, old in enumerate(before):
        if number >= len(now):
            return f"it asked for {_named(old)} the first time, and for nothing in its place when it was replayed."
        new = now[number]
        found = next(_leaves(old, new, ()), None)
        if found is None:
            continue
        path, first, then = found
        if path in (("functionName",), ("actionType",), ()):
            return f"it asked for {_named(old)} the first time, and for {_named(new)} when it was replayed."
        what = {"input": "the input", "fireAt": "the time", "instanceId": "the instance id"}.get(
            str(path[0]), f"'{path[0]}'"
        )
        place = "".join(f"[{each!r}]" for each in path[1:])
        return (
            f"{what} of {_named(old)}{f', at {place},' if place else ''} was {_shown(first)} the first time and "
            f"{_shown(then)} when it was replayed: {_cause(first, then)}."
        )
    return None


def _single(actions: Iterable[Action]) -> Iterator[Action]:
    """Without the compounds around them."""
    for action in actions:
        if action["actionType"] in act.COMPOUNDS:
            yield from _single(action["compoundActions"])
        else:
            yield {key: value for key, value in action.items() if key not in _IGNORED}


def _named(action: Action) -> str:
    return act.describe(dict(action))


def _leaves(old: Any, new: Any, path: tuple[Any, ...]) -> Iterator[tuple[tuple[Any, ...], Any, Any]]:
    """The places at which two JSON values differ; texts that are JSON are looked into."""
    old, new = _decoded(old), _decoded(new)
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from _leaves(old.get(key), new.get(key), (*path, key))
    elif (
        isinstance(old, list)
        and isinstance(new, list)
        and len(old) == len(new)
        and not _same_members(old, new)
    ):
        for number, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _leaves(one, other, (*path, number))
    elif old != new:
        yield path, old, new


def _decoded(value: Any) -> Any:
    if isinstance(value, str) and value[:1] in '{["-0123456789':
        try:
            return _decoded(json.loads(value))
        except ValueError:
            return value
    return value


def _same_members(old: Any, new: Any) -> bool:
    if not isinstance(old, (list, tuple)) or not isinstance(new, (list, tuple)) or old == new:
        return False
    return sorted(map(json.dumps, old)) == sorted(map(json.dumps, new))


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _cause(first: Any, then: Any) -> str:
    if _same_members(first, then):
        return "the order of a set, or of something else without an order; sort it"
    if isinstance(first, str) and isinstance(then, str):
        if _UUID.search(first) and _UUID.search(then):
            return "a random uuid; use context.new_uuid()"
        if _TIME.search(first) and _TIME.search(then):
            return "the time of day; use context.current_utc_datetime"
    if isinstance(first, float) and isinstance(then, float) and min(first, then) > 1e9:
        return "the time of day; use context.current_utc_datetime"
    if isinstance(first, (int, float)) and isinstance(then, (int, float)):
        return "a random number, or something that counts; take it from an activity"
    return "it comes from outside the history (a random value, a clock, a global); take it from an activity"
