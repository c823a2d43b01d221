"""An orchestrator that is kept after a replay, so that its next episode costs only what is new in it.

The SDK's executor is kept with the user's generator in it. It is given the history events that are new, and only the
actions that are new are read from its context. User code sees the same as in a replay from the beginning.

Everything of the SDK that is used for this without being public is in this module. `sdk_is_as_expected` looks whether
the SDK has the form that the module was written for. Any other SDK replays in every episode.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from azure.durable_functions.models import DurableOrchestrationContext
from azure.durable_functions.models.actions.CompoundAction import CompoundAction
from azure.durable_functions.models.actions.CreateTimerAction import CreateTimerAction
from azure.durable_functions.models.history import HistoryEvent
from azure.durable_functions.models.OrchestratorState import OrchestratorState
from azure.durable_functions.models.Task import TaskState, TimerTask
from azure.durable_functions.models.TaskOrchestrationExecutor import TaskOrchestrationExecutor
from azure.durable_functions.orchestrator import Orchestrator

from dfhost.engine.history import NEVER_PLAYED

# All names in the functions of the SDK that this module calls, overrides or stands for.
_EXPECTED_NAMES = frozenset(
    """
    AtomicTask DurableOrchestrationContext EVENT_RAISED EVENT_SENT EXECUTION_STARTED CONTINUE_AS_NEW Details Exception
    GeneratorType HistoryEventType Input KeyError ORCHESTRATOR_STARTED Orchestrator OrchestratorState RUNNING Reason
    ReplaySchema ResponseMessage SUB_ORCHESTRATION_INSTANCE_COMPLETED SUB_ORCHESTRATION_INSTANCE_FAILED SUCCEEDED
    StopIteration TASK_COMPLETED TASK_FAILED TIMER_FIRED TaskBase TaskOrchestrationExecutor TaskState V1
    _action_payload_v1 _action_payload_v2 _actions _add_to_actions _add_to_open_tasks _api_name
    _find_new_events_start_index _input_expected_type _is_played _is_processing_new_events _is_replaying _is_scheduled
    _mark_as_scheduled _new_events_start_index _replay_schema _set_is_replaying action_repr context
    current_task current_utc_datetime custom_status deferred_tasks df_loads dict dumps durable_context enumerate
    event_to_SetTaskValuePayload event_type exception execute fn from_dict from_json generator
    get_orchestrator_state_str getattr handle has_execution_completed histories initialize is_exception is_played
    is_task_completion_event isinstance json keys len list loads namedtuple open_tasks
    orchestration_invocation_succeeded orchestrator_returned output pop process_event result resume_user_code send set
    set_is_played set_task_value set_value state str task_completion_events task_orchestration_executor throw
    timestamp to_json_string type value warn warnings will_continue_as_new
    """.split()
)  # fmt: skip


@cache
def sdk_is_as_expected() -> bool:
    executor: Any = TaskOrchestrationExecutor
    context: Any = DurableOrchestrationContext
    any_function: Any = None
    try:
        functions = [
            Orchestrator.create(any_function),
            Orchestrator.__init__,
            Orchestrator.handle,
            context.from_json.__func__,
            context._set_is_replaying,
            context._actions.fget,
            executor.__init__,
            executor.initialize,
            executor.execute,
            executor.process_event,
            executor.set_task_value,
            executor.resume_user_code,
            executor._find_new_events_start_index,
            executor.get_orchestrator_state_str,
        ]
        return {name for function in functions for name in function.__code__.co_names} == _EXPECTED_NAMES
    except AttributeError:
        return False


_RUNNING = TaskState.RUNNING
_set_task_value = TaskOrchestrationExecutor.set_task_value  # `super()` takes long, where there are many tasks


class _Played:
    """The `is_played` of a task: False during the episode that completes the task, True after it."""

    __slots__ = ("episode_is_over",)

    def __init__(self) -> None:
        self.episode_is_over = False

    def __bool__(self) -> bool:
        return self.episode_is_over


def show_is_replaying(context: Any) -> None:
    """Give user code a bool, whatever the SDK has set. To be called each time before user code goes on."""
    if isinstance(context.is_replaying, _Played):
        context._set_is_replaying(bool(context.is_replaying))


class KeptExecutor(TaskOrchestrationExecutor):
    """The SDK's executor, with two additions: `is_played` ages, and the timers that may be cancelled are known."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.played = _Played()  # of the present episode's tasks
        self.open_timers: dict[int, tuple[int, CreateTimerAction]] = {}  # see KeptOrchestrator

    def replay(self, trigger: str, function: Callable[[Any], Any], input_type: Any) -> str:
        """What a handle of the SDK does with the orchestration trigger's JSON."""
        context = DurableOrchestrationContext.from_json(trigger)
        context._input_expected_type = input_type
        text: str = self.execute(context, context.histories, function)
        return text

    def set_task_value(self, event: HistoryEvent, is_success: bool, id_key: str) -> None:
        """Complete a task; the SDK's code comes here also for events that came before their task."""
        task: Any = self.context.open_tasks.get(getattr(event, id_key))
        if type(task) is list:
            task = task[-1] if task else None
        _set_task_value(self, event, is_success, id_key)
        if self.open_timers and task is not None:
            self.open_timers.pop(id(task.action_repr), None)
        # The task, and the compounds that it has completed. A compound made later copies the flag of its tasks.
        while task is not None and task.is_played is False and task.state is not _RUNNING:
            task.is_played = self.played
            task = task.parent


class KeptOrchestrator:
    """An executor after a replay at whose end the generator waits."""

    def __init__(self, executor: KeptExecutor) -> None:
        self._executor = executor
        self._context = executor.context
        self.known_actions = len(self._actions)  # those that were read
        # Earlier actions, by their places, whose timers were cancelled in the newest episode.
        self.changed_actions: dict[int, Any] = {}
        self._newest_events = self._context.histories[executor._new_events_start_index :]
        open_timers = {
            id(task.action_repr) for task in self._context.open_tasks.values() if isinstance(task, TimerTask)
        }
        for place, timer in _timers(self._actions, 0) if open_timers else ():
            if id(timer) in open_timers and not timer.is_cancelled:
                executor.open_timers[id(timer)] = place, timer

    @property
    def _actions(self) -> list[Any]:
        actions: list[Any] = self._context._actions[0]
        return actions

    def process(self, texts: Sequence[str]) -> None:
        """Process the history events that are new, the newest episode's last. Raises what a replay would."""
        executor = self._executor
        executor.played.episode_is_over = True
        executor.played = _Played()
        for event in self._newest_events:  # as `Event.as_played` does in the stored history
            event._is_played = event.is_played or event.event_type not in NEVER_PLAYED
        events = [HistoryEvent(**event) for event in json.loads(f"[{','.join(texts)}]")]
        start = executor._find_new_events_start_index(events)
        self._newest_events = events[start:]
        self._context.histories.extend(events)
        for index, event in enumerate(events):
            executor._is_processing_new_events = index >= start
            executor.process_event(event)
            if executor.has_execution_completed:
                break

    @property
    def has_ended(self) -> bool:
        return bool(self._executor.has_execution_completed)

    def new_state(self) -> str:
        """What a replay returns or raises, without the actions that were read before.

        Those that have changed are in `changed_actions`.
        """
        actions, known, timers = self._actions, self.known_actions, self._executor.open_timers
        cancelled = {key: place for key, (place, timer) in timers.items() if timer.is_cancelled}
        for key in cancelled:
            del timers[key]
        self.changed_actions = {
            place: json.loads(json.dumps(actions[place].to_json(), default=str))
            for place in cancelled.values()
        }
        for place, timer in _timers(actions[known:], known):
            if not timer.is_cancelled:
                timers[id(timer)] = place, timer
        if self.has_ended:
            del actions[:known]
            text: str = self._executor.get_orchestrator_state_str()
            return text
        state = OrchestratorState(
            is_done=False,
            actions=[actions[known:]],
            output=None,
            replay_schema=self._context._replay_schema,
            custom_status=self._context.custom_status,
        )
        text = state.to_json_string()
        return text


def _timers(actions: Sequence[Any], first: int) -> Iterator[tuple[int, CreateTimerAction]]:
    """The timers in a list of actions that begins at the place `first`, compounds' included."""
    for place, action in enumerate(actions, first):
        parts = [action]
        while parts:
            part = parts.pop()
            if isinstance(part, CreateTimerAction):
                yield place, part
            elif isinstance(part, CompoundAction):
                parts += part.compound_tasks
