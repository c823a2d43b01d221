"""The action list as a program: what the extension starts, in which order, under which ids.

The extension re-executes the whole list of actions against the history at every episode: it starts each
top-level action in turn (a compound's children depth first, from left to right), awaits it whatever its outcome,
and goes on to the next. Ids count the starts; a retried call takes one more for every retry timer and attempt,
the moment the failure or the firing is processed. (OutOfProcOrchestrationShim, TaskOrchestrationContext and
RetryInterceptor of the extension; recorded: windows serialise, failed compounds hold back what follows.)

`Program` does the same, but goes on from where it stood when the list has merely grown. When going on could
differ from starting over, `extend` says so and the caller starts over with a new one.

No clock, no user code: the time comes from the history's own ORCHESTRATOR_STARTED events.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

from dfhost.engine import actions as act
from dfhost.engine import history as h
from dfhost.engine.actions import Action
from dfhost.engine.history import Event


class NonDeterminismError(Exception):
    """The history holds work that the actions do not ask for; `str()` is the extension's own text."""


class SingleTask:
    """One action that is not a compound, started or not."""

    __slots__ = ("action", "attempt", "done", "first_id", "kind", "parent", "retrying", "since")

    def __init__(self, action: Action, parent: CompoundTask | None) -> None:
        self.action = action
        self.kind: int = action["actionType"]
        self.parent = parent
        self.done = False
        self.first_id = -1  # the id it started under; the SDK knows a retried call by it
        self.attempt = 1
        self.retrying = False  # waits for a retry timer rather than for an attempt
        self.since = ""  # for a wait: the ORCHESTRATOR_STARTED of the episode that began it


class CompoundTask:
    """A task_all or task_any."""

    __slots__ = ("action", "any", "children", "done", "parent", "remaining")

    def __init__(self, action: Action, parent: CompoundTask | None) -> None:
        self.action = action
        self.any = action["actionType"] == act.WHEN_ANY
        self.parent = parent
        self.children: list[TaskNode] = [task_node(child, self) for child in action["compoundActions"]]
        self.remaining = len(self.children)
        self.done = not self.children


TaskNode = SingleTask | CompoundTask


def task_node(action: Action, parent: CompoundTask | None = None) -> TaskNode:
    return (
        CompoundTask(action, parent) if action["actionType"] in act.COMPOUNDS else SingleTask(action, parent)
    )


class Command(NamedTuple):
    """Something to start: `kind` is the history event that will record it, `id` its task id.

    `fire_at` is set for timers (ISO text, UTC): the user's own or a retry's.
    """

    kind: int
    id: int
    leaf: SingleTask
    fire_at: str | None = None

    @property
    def name(self) -> str:
        if self.kind == h.TIMER_CREATED:
            return ""
        if self.kind == h.EVENT_SENT:
            return "op"
        if self.leaf.kind == act.CALL_HTTP:
            return act.HTTP_ACTIVITY
        return str(self.leaf.action["functionName"])


class ActionInterpreter:
    """One execution's actions, fed with its history."""

    def __init__(self, listed: Sequence[Action] = ()) -> None:
        """`listed`: all that is known of the list. Feed it the history from the beginning."""
        self.listed: list[Action] = list(listed)
        self.nodes: list[TaskNode] = [task_node(action) for action in self.listed]
        self.cursor = 0  # the top-level node that is awaited
        self.next_id = 0
        #: Started and not ended: task id -> leaf. An entity call is under its request's GUID once that is sent.
        self.open: dict[int | str, SingleTask] = {}
        #: Ends of these do not hold the instance open (recorded: an open entity call does not).
        self._free = 0
        self._decided: dict[int, Command] = {}
        self._waits: dict[str, list[SingleTask]] = {}
        self._early: dict[str, deque[Event]] = {}
        self.continued_as: str | None = None
        self.continues = False
        self.carried: list[Event] = []
        self.is_suspended = False
        self.has_retried = False
        self._held: list[Event] = []
        self._started = False  # the execution has: EXECUTION_STARTED was fed
        self._begun = False  # the awaited node was started
        self._advancing = False
        self._now = ""
        self._id_at_rest: int | None = None  # next_id when the cursor came to the list's end
        self._fed_at_rest = False

    # -- growing ---------------------------------------------------------------------------------------------

    def extend(self, listed: list[Action]) -> bool:
        """Take the newest list. False: what is known cannot simply be continued, start over.

        That is so when an earlier entry changed (a timer was cancelled, the code is not deterministic), or
        when the new entries would have started earlier than now, among events that took ids since.
        """
        known = len(self.listed)
        if len(listed) < known or listed[:known] != self.listed:
            return False
        added = listed[known:]
        if not added:
            return True
        if self._id_at_rest is not None and (
            self._id_at_rest != self.next_id
            or (self._fed_at_rest and any(_waits_for_event(action) for action in added))
        ):
            return False
        self.listed = listed
        self.nodes += [task_node(action) for action in added]
        if self._started:
            self._advance()
        return True

    # -- history ---------------------------------------------------------------------------------------------

    def feed(self, event: Event) -> None:
        """Process one event. Raises NonDeterminism where the history holds what the actions do not ask for."""
        kind = event.kind
        if kind == h.ORCHESTRATOR_STARTED:
            self._now = event.text
        elif kind in h.SCHEDULING:
            self._match(event)
        elif kind == h.RESUMED:
            self.is_suspended = False
            held, self._held = self._held, []
            for earlier in held:
                self.feed(earlier)
        elif kind == h.SUSPENDED:
            self.is_suspended = True
        elif self.is_suspended and kind in _HELD_WHILE_SUSPENDED:
            self._held.append(event)
        elif kind == h.TASK_COMPLETED or kind == h.SUB_ORCHESTRATION_COMPLETED:
            leaf = self.open.pop(event.key, None)
            if leaf is not None:
                self._finish(leaf)
        elif kind in h.FAILURES:
            self._fail(event.key)
        elif kind == h.TIMER_FIRED:
            self._fire(event.key)
        elif kind == h.EVENT_RAISED:
            self._raise(event)
        elif kind == h.EXECUTION_STARTED:
            self._started = True
            self._advance()
        self._fed_at_rest = self._fed_at_rest or self._id_at_rest is not None

    def take_decisions(self) -> list[Command]:
        """What was decided since the last time; while suspended nothing starts."""
        if self.is_suspended:
            return []
        taken = list(self._decided.values())
        self._decided.clear()
        return taken

    def name_call(self, task_id: int, request_id: str) -> None:
        """An entity call was sent as `request_id`: its answer comes under that name."""
        leaf = self.open.pop(task_id, None)
        if leaf is not None:
            self.open[request_id] = leaf

    # -- questions -------------------------------------------------------------------------------------------

    @property
    def at_rest(self) -> bool:
        """Every action so far was started, awaited and is done."""
        return self.cursor == len(self.nodes)

    @property
    def all_started(self) -> bool:
        """Nothing is held back: the last action that takes waiting has been started."""
        return self.cursor >= len(self.nodes) - 1

    @property
    def can_complete(self) -> bool:
        """No activity, child or timer is open, nothing is held back, nothing is suspended."""
        return self.at_rest and len(self.open) == self._free and not self.is_suspended

    def awaited(self) -> TaskNode | None:
        return None if self.at_rest else self.nodes[self.cursor]

    def held_back(self) -> list[Action]:
        """Listed, but not started, because the awaited action before them is not done."""
        return [n.action for n in self.nodes[self.cursor + 1 :]]

    def waits(self) -> Iterator[SingleTask]:
        """The external events that are waited for."""
        return (leaf for leaves in self._waits.values() for leaf in leaves)

    def awaited_events(self) -> Iterator[str]:
        """Their names, as the code writes them."""
        return (leaf.action["externalEventName"] for leaf in self.waits())

    def unclaimed(self) -> Iterator[Event]:
        """The external events that have come and that nobody waits for."""
        return (event for events in self._early.values() for event in events)

    def holds_open(self) -> Iterator[tuple[int | str, SingleTask]]:
        """The open tasks that an instance must see end before it can."""
        return ((key, leaf) for key, leaf in self.open.items() if leaf.kind != act.CALL_ENTITY)

    # -- the loop --------------------------------------------------------------------------------------------

    def _advance(self) -> None:
        """Start, await, go on; stops at the first node that is not done."""
        if self._advancing:  # a leaf ended while its siblings were being started: the loop below sees it
            return
        self._advancing = True
        while self.cursor < len(self.nodes):
            current = self.nodes[self.cursor]
            if not self._begun:
                self._begun = True
                self._id_at_rest = None
                self._start(current)
            if not current.done:
                break
            self.cursor += 1
            self._begun = False
        else:
            self._id_at_rest = self.next_id
            self._fed_at_rest = False
        self._advancing = False

    def _start(self, current: TaskNode) -> None:
        if isinstance(current, CompoundTask):
            for child in current.children:
                self._start(child)
            return
        kind = current.kind
        if kind <= act.CALL_SUB_ORCHESTRATOR_WITH_RETRY or kind == act.CALL_HTTP:
            current.first_id = self._attempt(current)
        elif kind == act.CREATE_TIMER:
            current.first_id = self._decide(h.TIMER_CREATED, current, current.action["fireAt"])
            if current.action.get("isCanceled"):
                # Created, and cancelled on the spot: its firing will find nobody.
                self._finish(current)
            else:
                self._await(current, current.first_id)
        elif kind == act.WAIT_FOR_EVENT:
            self._wait(current)
        elif kind == act.CALL_ENTITY:
            current.first_id = self._decide(h.EVENT_SENT, current)
            self._await(current, current.first_id)
            self._free += 1
        elif kind == act.SIGNAL_ENTITY:
            current.first_id = self._decide(h.EVENT_SENT, current)
            self._finish(current)
        elif kind == act.CONTINUE_AS_NEW:
            if not self.continues:
                self.continues = True
                self.continued_as = current.action.get("input")
            self._finish(current)
        else:
            self._finish(current)

    def _attempt(self, leaf: SingleTask) -> int:
        """Start an activity or a child; its id."""
        is_child = leaf.kind in (act.CALL_SUB_ORCHESTRATOR, act.CALL_SUB_ORCHESTRATOR_WITH_RETRY)
        task_id = self._decide(h.SUB_ORCHESTRATION_CREATED if is_child else h.TASK_SCHEDULED, leaf)
        self._await(leaf, task_id)
        return task_id

    def _decide(self, kind: int, leaf: SingleTask, fire_at: str | None = None) -> int:
        task_id = self.next_id
        self.next_id += 1
        self._decided[task_id] = Command(kind, task_id, leaf, fire_at)
        return task_id

    def _await(self, leaf: SingleTask, task_id: int) -> None:
        self.open[task_id] = leaf

    def _finish(self, leaf: SingleTask) -> None:
        if leaf.done:
            return
        leaf.done = True
        if leaf.kind == act.CALL_ENTITY:
            self._free -= 1
        group = leaf.parent
        while group is not None and not group.done:
            group.remaining -= 1
            if group.remaining and not group.any:
                return
            group.done = True
            group = group.parent
        self._advance()

    def _fail(self, task_id: int) -> None:
        leaf = self.open.pop(task_id, None)
        if leaf is None:
            return
        if leaf.kind not in act.WITH_RETRY:
            self._finish(leaf)
            return
        # Attempts, then one more timer that fires at once: the SDK raises only after it (recorded).
        options = leaf.action["retryOptions"]
        last = leaf.attempt >= options["maxNumberOfAttempts"]
        pause = 0 if last else options["firstRetryIntervalInMilliseconds"]
        leaf.retrying = self.has_retried = True
        self._await(leaf, self._decide(h.TIMER_CREATED, leaf, _later(self._now, pause)))

    def _fire(self, timer_id: int) -> None:
        leaf = self.open.pop(timer_id, None)
        if leaf is None:
            return
        if leaf.retrying and leaf.attempt < leaf.action["retryOptions"]["maxNumberOfAttempts"]:
            leaf.retrying = False
            leaf.attempt += 1
            self._attempt(leaf)
        else:
            self._finish(leaf)

    # -- external events and entity answers ------------------------------------------------------------------

    def _raise(self, event: Event) -> None:
        answered = self.open.pop(event.key, None)
        if answered is not None:
            self._finish(answered)
            return
        if self.continues:
            self.carried.append(event)
            return
        name = event.key.lower()  # the extension matches names without regard to case
        waits = self._waits.get(name)
        if waits:
            leaf = waits.pop()  # last come, first served (recorded)
            if not waits:
                del self._waits[name]
            self._finish(leaf)
        else:
            self._early.setdefault(name, deque()).append(event)

    def _wait(self, leaf: SingleTask) -> None:
        name = leaf.action["externalEventName"].lower()
        early = self._early.get(name)
        if early:
            early.popleft()
            self._finish(leaf)
        else:
            leaf.since = self._now
            self._waits.setdefault(name, []).append(leaf)

    # -- determinism -----------------------------------------------------------------------------------------

    def _match(self, event: Event) -> None:
        decision = self._decided.get(event.key)
        if decision is None:
            raise NonDeterminismError(_PREFIX + _missing(event) + _SUFFIX)
        if decision.kind != event.kind:
            raise NonDeterminismError(_PREFIX + _other_kind(event, decision) + _SUFFIX)
        if event.kind in (h.TASK_SCHEDULED, h.SUB_ORCHESTRATION_CREATED) and decision.name != event.name:
            raise NonDeterminismError(_PREFIX + _other_name(event, decision) + " " + _SUFFIX)
        del self._decided[event.key]
        if decision.leaf.kind == act.CALL_ENTITY:
            self.name_call(event.key, json.loads(json.loads(event.text)["Input"])["id"])


_HELD_WHILE_SUSPENDED = frozenset(
    (
        h.TASK_COMPLETED,
        h.TASK_FAILED,
        h.SUB_ORCHESTRATION_COMPLETED,
        h.SUB_ORCHESTRATION_FAILED,
        h.TIMER_FIRED,
        h.EVENT_RAISED,
    )
)


def _waits_for_event(action: Action) -> bool:
    if action["actionType"] in act.COMPOUNDS:
        return any(_waits_for_event(child) for child in action["compoundActions"])
    return bool(action["actionType"] == act.WAIT_FOR_EVENT)


def _later(orchestrator_started: str, milliseconds: float) -> str:
    """The replay's current time (that of its ORCHESTRATOR_STARTED) and so many milliseconds, as ISO text."""
    at = h.moment(json.loads(orchestrator_started)["Timestamp"])
    return h.timestamp(at + timedelta(milliseconds=milliseconds))


# DTFx's sentences (recorded; the double blank in one of them and "named but" are its own).
_PREFIX = "Non-Deterministic workflow detected: A previous execution of this orchestration scheduled "
_SUFFIX = " Was a change made to the orchestrator code after this instance had already started running?"
_NOUNS = {
    h.TASK_SCHEDULED: "an activity task",
    h.SUB_ORCHESTRATION_CREATED: "a sub-orchestration task",
    h.TIMER_CREATED: "a timer task",
    h.EVENT_SENT: "an external event task",
}
_CLASSES = {
    h.TASK_SCHEDULED: "ScheduleTaskOrchestratorAction",
    h.SUB_ORCHESTRATION_CREATED: "CreateSubOrchestrationAction",
    h.TIMER_CREATED: "CreateTimerOrchestratorAction",
    h.EVENT_SENT: "SendEventOrchestratorAction",
}


def _missing(event: Event) -> str:
    if event.kind == h.TIMER_CREATED:
        what = f"a timer task with sequence ID {event.key}"
    else:
        what = f"{_NOUNS[event.kind]} with sequence ID {event.key} and name '{event.name}' (version '')"
    return f"{what}, but the current replay execution hasn't (yet?) scheduled this task."


def _other_kind(event: Event, decision: Command) -> str:
    named = "named" if event.kind == h.TIMER_CREATED else f"named '{event.name}',"
    return (
        f"{_NOUNS[event.kind]} with sequence number {event.key} {named} but the current orchestration replay "
        f"instead produced a {_CLASSES[decision.kind]} action with this sequence number."
    )


def _other_name(event: Event, decision: Command) -> str:
    noun = _NOUNS[event.kind]
    return (
        f"{noun} with sequence number {event.key} named '{event.name}', but the current orchestration replay "
        f"instead scheduled {noun} named '{decision.name}' with this sequence number."
    )
