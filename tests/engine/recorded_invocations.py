"""Recorded invocations of orchestrators: the past events, the new ones, the SDK's reply and the events added.

This module knows the recordings and nothing of the engine.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

RECORDINGS = Path(__file__).parent / "recordings"
MARKER = "$OutOfProcData$:"

STARTED, ORCHESTRATOR_STARTED, ORCHESTRATOR_COMPLETED, GENERIC = 0, 12, 13, 17

GUID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)?")

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class Invocation:
    """One call of an orchestrator. `following` is the next one of the same generation, if there was any."""

    trigger: JsonObject
    reply: JsonObject
    following: Invocation | None

    @property
    def history(self) -> list[JsonObject]:
        events: list[JsonObject] = self.trigger["history"]
        return events

    @property
    def execution_id(self) -> str:
        (started,) = [event for event in self.history if event["EventType"] == STARTED]
        return str(started["OrchestrationInstance"]["ExecutionId"])

    @cached_property
    def began(self) -> int:
        """Where this episode begins in the history; its end, if nothing arrived (a continued generation)."""
        if self.history[-1]["EventType"] == ORCHESTRATOR_COMPLETED:
            return len(self.history)
        return last_index(self.history, ORCHESTRATOR_STARTED)

    @property
    def past(self) -> list[JsonObject]:
        return self.history[: self.began]

    @property
    def arrived(self) -> list[JsonObject]:
        return self.history[self.began + 1 :]

    @property
    def at(self) -> str:
        """The episode's time."""
        episode = self.history[self.began :] or self.history
        return str(episode[0]["Timestamp"])

    @cached_property
    def came_of_it(self) -> list[JsonObject] | None:
        """The events that this episode added; None where no later trigger shows them as they were.

        A rewind replaces events in the middle, and then two histories cannot be laid over each other.
        """
        if self.following is None or kinds(self.following.past)[: len(self.history)] != kinds(self.history):
            return None
        return self.following.past[len(self.history) :]


def kinds(events: list[JsonObject]) -> list[int]:
    return [event["EventType"] for event in events]


def last_index(events: list[JsonObject], kind: int) -> int:
    return max(n for n, event in enumerate(events) if event["EventType"] == kind)


def tapes() -> list[Path]:
    return sorted(RECORDINGS.glob("*/*.json"))


def read(path: Path) -> list[JsonObject]:
    taken: list[JsonObject] = json.loads(path.read_text(encoding="utf-8"))
    return taken


def of_orchestration(tape: list[JsonObject]) -> bool:
    return "history" in tape[0]["trigger"]


def invocations(path: Path) -> list[Invocation]:
    """In order; the SDK's reply is taken out of the error that a failing orchestrator is raised as."""
    found: list[Invocation] = []
    following: Invocation | None = None
    for taken in reversed(read(path)):
        reply = taken.get("reply") or state_of(taken["error"]["message"])
        here = Invocation(taken["trigger"], reply, None)
        same = following is not None and following.execution_id == here.execution_id
        following = Invocation(here.trigger, reply, following if same else None)
        found.append(following)
    return found[::-1]


def state_of(raised: str) -> JsonObject:
    """What the SDK says in the exception that it raises; {"crash": text} if user code raised past it."""
    _, marker, state = raised.rpartition(MARKER)
    return json.loads(state) if marker else {"crash": raised}


# -- comparing ---------------------------------------------------------------------------------------------------
def aside(value: Any) -> Any:
    """The value without what differs from run to run: times and GUIDs, also inside of texts."""
    if isinstance(value, dict):
        return {key: aside(item) for key, item in value.items()}
    if isinstance(value, list):
        return [aside(item) for item in value]
    if isinstance(value, str):
        return GUID.sub("GUID", TIME.sub("TIME", value))
    return value


def in_order(value: Any) -> str:
    """As text, so that the order of keys counts."""
    return json.dumps(value, indent=1)
