"""Non-determinism: the history records something that the orchestrator's code does not ask for any more.

The sentences are DTFx's own (recorded; so are the double blank in one of them and "named but").
"""

from __future__ import annotations

from dfhost.engine import history as h
from dfhost.engine.history import Event
from dfhost.engine.tasks import Command


class NonDeterminismError(Exception):
    """`str()` is the extension's sentence."""


def require_match(event: Event, command: Command | None) -> Command:
    """The command, if `event` records it; it has the event's task id. Else raises NonDeterminismError."""
    if command is None:
        raise NonDeterminismError(_PREFIX + _not_scheduled(event) + _SUFFIX)
    if command.event_type != event.event_type:
        raise NonDeterminismError(_PREFIX + _other_kind(event, command) + _SUFFIX)
    if event.event_type in (h.TASK_SCHEDULED, h.SUB_ORCHESTRATION_CREATED) and command.name != event.name:
        raise NonDeterminismError(_PREFIX + _other_name(event, command) + " " + _SUFFIX)
    return command


#: How all these failures begin.
DETECTED = "Non-Deterministic workflow detected: "
_PREFIX = f"{DETECTED}A previous execution of this orchestration scheduled "
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


def _not_scheduled(event: Event) -> str:
    if event.event_type == h.TIMER_CREATED:
        what = f"a timer task with sequence ID {event.key}"
    else:
        what = f"{_NOUNS[event.event_type]} with sequence ID {event.key} and name '{event.name}' (version '')"
    return f"{what}, but the current replay execution hasn't (yet?) scheduled this task."


def _other_kind(event: Event, command: Command) -> str:
    named = "named" if event.event_type == h.TIMER_CREATED else f"named '{event.name}',"
    return (
        f"{_NOUNS[event.event_type]} with sequence number {event.key} {named} but the current orchestration replay "
        f"instead produced a {_CLASSES[command.event_type]} action with this sequence number."
    )


def _other_name(event: Event, command: Command) -> str:
    noun = _NOUNS[event.event_type]
    return (
        f"{noun} with sequence number {event.key} named '{event.name}', but the current orchestration replay "
        f"instead scheduled {noun} named '{command.name}' with this sequence number."
    )
