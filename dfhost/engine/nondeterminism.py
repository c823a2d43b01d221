"""Non-determinism: the history records something that the orchestrator's code does not ask for any more.

The sentences of the errors are DTFx's own (recorded; so are the double blank in one of them and "named but").
`difference` says the same for people.
"""

from __future__ import annotations

import json

from dfhost.engine import actions as act
from dfhost.engine import failures
from dfhost.engine import history as h
from dfhost.engine.history import Event
from dfhost.engine.replay_result import ReplayResult
from dfhost.engine.tasks import Command, TaskNode
from dfhost.printable import shortened

_LONGEST_ERROR = 200  # characters


class NonDeterminismError(Exception):
    """`str()` is the extension's sentence.

    `event`: what the history records. `command`: what the code asks for in its place, None for nothing.
    """

    def __init__(self, sentence: str, event: Event | None = None, command: Command | None = None) -> None:
        super().__init__(sentence)
        self.event, self.command = event, command


def require_match(event: Event, command: Command | None) -> Command:
    """The command, if `event` records it; it has the event's task id. Else raises NonDeterminismError."""
    if command is None:
        raise NonDeterminismError(_PREFIX + _not_scheduled(event) + _SUFFIX, event)
    if command.event_type != event.event_type:
        raise NonDeterminismError(_PREFIX + _other_kind(event, command) + _SUFFIX, event, command)
    if event.event_type in (h.TASK_SCHEDULED, h.SUB_ORCHESTRATION_CREATED) and command.name != event.name:
        raise NonDeterminismError(_PREFIX + _other_name(event, command) + " " + _SUFFIX, event, command)
    return command


def difference(
    error: NonDeterminismError, result: ReplayResult, awaited: TaskNode | None, place: str = ""
) -> str | None:
    """What the history has and what the code asks for, in a sentence; None if the error does not say it.

    `result`: the replay's. `awaited`: the task that the actions so far wait for. `place`: where
    the code asks for something else, if that is known, see `ReplayResult.waits_in`.

    "Its history has activity 'echo' (sequence number 0); the code now asks for activity 'measure' in its place."
    """
    event, command = error.event, error.command
    if event is None or not isinstance(event.key, int):
        return None
    if command is not None:
        now = f"asks for {_command_in_words(command)} in its place{place}"
    elif result.error is not None:
        now = f"raises {_error(result)} before it asks for that"
    elif result.has_ended:
        now = "ends without it"
    elif awaited is not None:
        now = f"yields {act.describe(awaited.action)} before it{place}"
    else:
        now = "does not ask for it"
    recorded = _in_words(event.event_type, event.name, event.text)
    return f"Its history has {recorded} (sequence number {event.key}); the code now {now}."


def _error(result: ReplayResult) -> str:
    text = failures.in_a_line(result.raised) if result.raised is not None else result.error or ""
    return shortened(" ".join(text.split()), _LONGEST_ERROR)


def _command_in_words(command: Command) -> str:
    sent = json.dumps({"InstanceId": command.task.action.get("instanceId")})
    return _in_words(command.event_type, command.name, sent)


def _in_words(event_type: int, name: str | None, text: str) -> str:
    """`text`: the JSON of the history event, or so much of it as a message to an entity needs."""
    if event_type == h.TIMER_CREATED:
        return "a timer"
    if event_type == h.EVENT_SENT:
        return f"a message to {json.loads(text)['InstanceId']}"
    if name == act.HTTP_ACTIVITY:
        return "an HTTP call"
    return f"{'activity' if event_type == h.TASK_SCHEDULED else 'sub-orchestration'} '{name}'"


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
