"""Compares an answer with a recording and says where they differ.

A recording is JSON in which what differs from run to run is a placeholder: ``GUID``, ``TIME``, ``STACK``,
``BASE``, ... (`recordings/README.md` lists them). Here each placeholder stands for what may be in its place and
nothing else may differ: types, numbers, texts and keys must be the same. Only the order of completions
that arrive one after the other is free, since parallel work ends in any order.

This module knows neither HTTP nor hosts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote

DATE_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
GUID = r"(?:[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
COMMON = {
    "GUID:N": GUID + r":\d+",
    "GUID": GUID,
    "ADDRESS": r"0x[0-9a-f]+",
    "STACK": r".*?",
    "SOURCE": r".+?",
    "NAMES": r"'.+'.*?",
    "taskHub=HUB": r"taskHub=\w+",
    "connection=CONN": r"connection=\w+",
}
# The first set distinguishes times with a fraction from times without, and UTC by Z from UTC by offset.
# .NET leaves out the fraction of a whole second.
EXACT_TIMES = {
    "TIME.fZ": DATE_TIME + r"(?:\.\d{1,7})?Z",
    "TIME.f+00:00": DATE_TIME + r"(?:\.\d{1,7})?\+00:00",
    "TIME.f": DATE_TIME + r"(?:\.\d{1,7})?",
    "TIMEZ": DATE_TIME + "Z",
    "TIME": DATE_TIME,
}
ANY_TIME = {"TIME": DATE_TIME + r"(?:\.\d+)?(?:Z|\+00:00)?"}

KEY = re.compile(r"&code=[\w.~%=-]+")

# Completions of parallel work, which come in any order.
COMPLETIONS = frozenset(
    {"TaskCompleted", "TaskFailed", "SubOrchestrationInstanceCompleted", "SubOrchestrationInstanceFailed"}
)
# Set or not by chance, wherever a serialised exception has it.
BY_CHANCE = frozenset({"RemoteStackTraceString"})


@dataclass
class Matcher:
    """One recording's rules.

    `names`: what the scenario used -> what it is called in the recording (instance ids, keys).
    `base`: the host's URL. `exact_times`: as the first set has them. `interleaved`: parallel branches of
    several steps each, so all history events may come in any order. `keyed`: the host's links carry a key
    (``&code=…``), which no recording has.
    """

    base: str
    names: Mapping[str, str] = field(default_factory=dict)
    exact_times: bool = False
    interleaved: bool = False
    keyed: bool = False

    def differences(self, recorded: Any, actual: Any) -> list[str]:
        """Where they differ, one line each; empty if they match."""
        return list(self._differ(recorded, actual, ""))

    # -- values ------------------------------------------------------------------------------------------------
    def _differ(self, recorded: Any, actual: Any, path: str) -> Iterator[str]:
        if isinstance(recorded, str) and isinstance(actual, str):
            yield from self._differ_text(recorded, KEY.sub("", actual) if self.keyed else actual, path)
        elif recorded == "T" and path.endswith((".start", ".end")) and isinstance(actual, float):
            return
        elif recorded == "HEADERS" and path.endswith(".headers") and isinstance(actual, dict):
            return
        elif type(recorded) is not type(actual):
            yield difference(path, recorded, actual)
        elif isinstance(recorded, dict):
            yield from self._differ_objects(recorded, actual, path)
        elif isinstance(recorded, list):
            if path.endswith(".historyEvents"):
                yield from self._differ_histories(recorded, actual, path)
            else:
                yield from self._differ_lists(recorded, actual, path)
        elif recorded != actual:
            yield difference(path, recorded, actual)

    def _differ_objects(
        self, recorded: Mapping[str, Any], actual: Mapping[str, Any], path: str
    ) -> Iterator[str]:
        for key in recorded:
            if key not in actual:
                yield f"{path}.{key}: missing, expected {shown(recorded[key])}"
            elif key not in BY_CHANCE:
                yield from self._differ(recorded[key], actual[key], f"{path}.{key}")
        for key in actual:
            if key not in recorded:
                yield f"{path}.{key}: not in the recording, got {shown(actual[key])}"

    def _differ_lists(self, recorded: list[Any], actual: list[Any], path: str) -> Iterator[str]:
        if len(recorded) != len(actual):
            yield difference(path, recorded, actual)
            return
        for n, (ours, theirs) in enumerate(zip(recorded, actual, strict=True)):
            yield from self._differ(ours, theirs, f"{path}[{n}]")

    # -- texts -------------------------------------------------------------------------------------------------
    def _differ_text(self, recorded: str, actual: str, path: str) -> Iterator[str]:
        """A text may carry a serialised .NET object: that one is compared as JSON, its keys in order."""
        at, begins = recorded.find('{"$type"'), actual.find('{"$type"')
        if at >= 0 and begins >= 0:
            ours, after = DECODER.raw_decode(recorded, at)
            try:
                theirs, ends = DECODER.raw_decode(actual, begins)
            except ValueError:
                yield difference(path, recorded, actual)
                return
            yield from self._differ_text(recorded[:at], actual[:begins], path)
            yield from self._differ(ours, theirs, f"{path}<{ours['$type'].split(',')[0]}>")
            if keys_in_order(ours) != keys_in_order(theirs):
                yield difference(f"{path} keys", keys_in_order(ours), keys_in_order(theirs))
            yield from self._differ_text(recorded[after:], actual[ends:], path)
        elif path.endswith(".__module__") and recorded == "function_app":
            return  # a class of the app: the module may be any
        elif path.endswith(".StackTrace") and "STACK" in recorded:
            return  # .NET frames in the recording
        elif not self._pattern(recorded)(actual):
            yield difference(path, recorded, actual)

    def _pattern(self, recorded: str) -> Callable[[str], Any]:
        if not self._token.search(recorded):
            return lambda actual: actual == recorded
        parts = self._token.split(recorded)
        text = "".join(self._meanings[part] if n % 2 else re.escape(part) for n, part in enumerate(parts))
        return re.compile(text, re.DOTALL).fullmatch

    @cached_property
    def _meanings(self) -> dict[str, str]:
        called: dict[str, set[str]] = {}
        for actual, name in self.names.items():
            called.setdefault(name, set()).update((re.escape(actual), re.escape(quote(actual, safe=""))))
        bases = {re.escape(self.base), re.escape(quote(self.base, safe=""))}
        return {
            **COMMON,
            **(EXACT_TIMES if self.exact_times else ANY_TIME),
            "BASE": f"(?:{'|'.join(sorted(bases))})",
            **{name: f"(?:{'|'.join(sorted(texts))})" for name, texts in called.items()},
        }

    @cached_property
    def _token(self) -> re.Pattern[str]:
        longest_first = sorted(self._meanings, key=len, reverse=True)
        # A name that ends in a digit is not the beginning of a longer number: I1 is not in I18.
        words = [re.escape(name) + (r"(?!\d)" if name[-1].isdigit() else "") for name in longest_first]
        return re.compile(f"({'|'.join(words)})")

    # -- histories ---------------------------------------------------------------------------------------------
    def _differ_histories(self, recorded: list[Any], actual: list[Any], path: str) -> Iterator[str]:
        ours, theirs = runs(recorded, self.interleaved), runs(actual, self.interleaved)
        if [len(run) for run in ours] != [len(run) for run in theirs]:
            yield difference(path, [kinds(run) for run in ours], [kinds(run) for run in theirs])
            return
        for n, (some, others) in enumerate(zip(ours, theirs, strict=True)):
            if len(some) == 1:
                yield from self._differ(some[0], others[0], f"{path}[run {n}]")
            else:
                yield from self._differ_sets(some, others, f"{path}[run {n}]")

    def _differ_sets(self, recorded: list[Any], actual: list[Any], path: str) -> Iterator[str]:
        """Pair them in any order; by augmenting paths, since one event may match several."""
        fits = [
            [n for n, other in enumerate(actual) if not any(self._differ(event, other, f"{path}.event"))]
            for event in recorded
        ]
        taken: dict[int, int] = {}

        def place(event: int, tried: set[int]) -> bool:
            for n in fits[event]:
                if n not in tried:
                    tried.add(n)
                    if n not in taken or place(taken[n], tried):
                        taken[n] = event
                        return True
            return False

        missing = [event for n, event in enumerate(recorded) if not place(n, set())]
        extra = [event for n, event in enumerate(actual) if n not in taken]
        if len(missing) == 1:
            yield from self._differ(missing[0], extra[0], f"{path}.event")
        elif missing:
            yield difference(path, missing, extra)


DECODER = json.JSONDecoder()


def runs(events: list[Any], interleaved: bool) -> list[list[Any]]:
    """Neighbouring completions together, every other event alone; all in one if interleaved."""
    if interleaved:
        return [events]
    out: list[list[Any]] = []
    for event in events:
        if out and kind(event) in COMPLETIONS and kind(out[-1][-1]) in COMPLETIONS:
            out[-1].append(event)
        else:
            out.append([event])
    return out


def kind(event: Any) -> Any:
    return event.get("EventType") if isinstance(event, dict) else None


def kinds(events: list[Any]) -> str:
    return " | ".join(str(kind(event)) for event in events)


def keys_in_order(value: Any) -> Any:
    """The keys of an object in order, nested, without the values."""
    return [(key, keys_in_order(v)) for key, v in value.items()] if isinstance(value, dict) else None


def difference(path: str, recorded: Any, actual: Any) -> str:
    return f"{path or 'answer'}:\n    recorded {shown(recorded)}\n    got      {shown(actual)}"


def shown(value: Any, limit: int = 1500) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"
