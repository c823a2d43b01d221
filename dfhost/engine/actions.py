"""The SDK's action list: its numbers and spellings.

Every reply of the SDK lists all actions since the generation began: ``{"actionType": 0, "functionName": "work",
"input": "1"}``, compounds with their children in ``compoundActions``.

CONTRIBUTING.md lists every place that a new action type touches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dfhost.printable import readable_payload, shortened

# The numbers of the SDK's ActionType.
CALL_ACTIVITY = 0
CALL_ACTIVITY_WITH_RETRY = 1
CALL_SUB_ORCHESTRATOR = 2
CALL_SUB_ORCHESTRATOR_WITH_RETRY = 3
CONTINUE_AS_NEW = 4
CREATE_TIMER = 5
WAIT_FOR_EVENT = 6
CALL_ENTITY = 7
CALL_HTTP = 8
SIGNAL_ENTITY = 9
WHEN_ANY = 11
WHEN_ALL = 12

COMPOUNDS = frozenset((WHEN_ANY, WHEN_ALL))
SUB_ORCHESTRATIONS = frozenset((CALL_SUB_ORCHESTRATOR, CALL_SUB_ORCHESTRATOR_WITH_RETRY))
WITH_RETRY = frozenset((CALL_ACTIVITY_WITH_RETRY, CALL_SUB_ORCHESTRATOR_WITH_RETRY))
#: These run a function outside the orchestrator, activity or child, once or several times.
CALLS = SUB_ORCHESTRATIONS | {CALL_ACTIVITY, CALL_ACTIVITY_WITH_RETRY, CALL_HTTP}

HTTP_ACTIVITY = "BuiltIn::HttpActivity"  # the extension's name for call_http, seen in histories

Action = dict[str, Any]

#: The methods of the SDK's context that make them.
_METHODS = {
    CALL_ACTIVITY: "call_activity",
    CALL_ACTIVITY_WITH_RETRY: "call_activity_with_retry",
    CALL_SUB_ORCHESTRATOR: "call_sub_orchestrator",
    CALL_SUB_ORCHESTRATOR_WITH_RETRY: "call_sub_orchestrator_with_retry",
    CONTINUE_AS_NEW: "continue_as_new",
    CREATE_TIMER: "create_timer",
    WAIT_FOR_EVENT: "wait_for_external_event",
    CALL_ENTITY: "call_entity",
    CALL_HTTP: "call_http",
    SIGNAL_ENTITY: "signal_entity",
    WHEN_ANY: "task_any",
    WHEN_ALL: "task_all",
}


def describe(action: Action) -> str:
    """The call that the user wrote, roughly: ``call_activity('work', "item-1")``, ``task_all(3 tasks)``."""
    action_type = action["actionType"]
    method = _METHODS.get(action_type, f"action {action_type}")
    if action_type in COMPOUNDS:
        children = action["compoundActions"]
        if len(children) == 1:
            # A retried call and a long timer arrive wrapped in a task_all of one.
            return describe(children[0])
        return f"{method}({len(children)} tasks)"
    if action_type == CREATE_TIMER:
        return f"{method}({action['fireAt']})"
    if action_type == WAIT_FOR_EVENT:
        return f"{method}({action['externalEventName']!r})"
    if action_type in (CALL_ENTITY, SIGNAL_ENTITY):
        return f"{method}({action['instanceId']!r}, {action['operation']!r})"
    if action_type == CALL_HTTP:
        request = action["httpRequest"]
        return f"{method}({request['method']!r}, {request['uri']!r})"
    if action_type == CONTINUE_AS_NEW:
        return f"{method}({_argument(action.get('input'))})"
    return f"{method}({action['functionName']!r}, {_argument(action.get('input'))})"


def path_to(wanted: Action, actions: Sequence[Action], path: str = "actions[0]") -> str:
    """Where `wanted` stands in the SDK's reply, as Newtonsoft writes it: ``actions[0][2].compoundActions[0]``."""
    for index, action in enumerate(actions):
        here = f"{path}[{index}]"
        if action is wanted:
            return here
        if found := path_to(wanted, action.get("compoundActions", ()), f"{here}.compoundActions"):
            return found
    return ""


def _argument(payload: str | None) -> str:
    return "None" if payload is None else shortened(readable_payload(payload), 40)
