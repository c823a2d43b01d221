"""The action list interpreted: what the extension starts, in which order, under which ids.

The extension re-executes the whole list of actions against the history at every episode: it starts each
top-level action in turn (a compound's children depth first, from left to right), awaits it whatever its outcome,
and goes on to the next. Ids count the starts; a retried call takes one more for every retry timer and attempt,
the moment the failure or the firing is processed. (OutOfProcOrchestrationShim, TaskOrchestrationContext and
RetryInterceptor of the extension; recorded: windows serialise, failed compounds hold back what follows.)

`ActionInterpreter` does the same, but goes on from where it stood when the list has merely grown. When going on
could differ from starting over, `set_actions`, `add_actions` or `cancel_timers` returns False, and the caller starts
over with a new interpreter.

No clock, no user code: the time comes from the history's own ORCHESTRATOR_STARTED events.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice

from dfhost.engine import actions as act
from dfhost.engine import history as h
from dfhost.engine.actions import Action
from dfhost.engine.event_waits import EventWaits
from dfhost.engine.history import Event
from dfhost.engine.nondeterminism import require_match
from dfhost.engine.tasks import Command, CompoundTask, SingleTask, TaskNode, task_node
from dfhost.timestamps import parse_timestamp, timestamp


class ActionInterpreter:
    """The actions of one execution, and where its history has brought them."""

    def __init__(self, actions: Sequence[Action] = ()) -> None:
        """`actions`: the newest list. Apply the history from its beginning next."""
        self.actions: list[Action] = list(actions)
        self.tasks: list[TaskNode] = [task_node(action) for action in self.actions]
        self.cursor = 0  # the top-level task that is awaited
        self.next_id = 0
        #: Started and not ended, by task id. An entity call has its request's GUID as key once that is sent.
        self.open_tasks: dict[int | str, SingleTask] = {}
        self.cancelled_timers: set[int] = set()  # by task id
        self._open_entity_calls = 0
        self._commands: dict[int, Command] = {}  # issued; neither taken nor found in the history yet
        self.event_waits = EventWaits()
        self.continues_as_new = False
        self.next_input: str | None = None
        self.carried_over: list[Event] = []  # external events for the next generation
        self.is_suspended = False
        self.has_retried = False
        self.suspended_events: list[Event] = []  # have come, and are processed once the instance is resumed
        self._execution_started = False
        self._awaited_started = False  # the task at the cursor was
        self._advancing = False
        self._orchestrator_started = ""  # the newest event of this kind, whose time is "now" for the code
        self._events_raised = 0  # external ones, so far
        # `next_id` and `_events_raised` at two moments: what is added later would have started then.
        self._at_end: tuple[int, int] | None = None  # when the cursor came to the end of the list
        self._after_start = (0, 0)  # when the task at the cursor had been started

    def set_actions(self, actions: list[Action]) -> bool:
        """Take the newest list of all actions. False if an earlier action has changed, or if `add_actions` is.

        An earlier action changes when a timer is cancelled, and when the code is not deterministic. After False the
        caller applies the whole history to a new interpreter.
        """
        count = len(self.actions)
        return actions[:count] == self.actions and self.add_actions(actions[count:])

    def cancel_timers(self, changed: Mapping[int, Action]) -> bool:
        """Take earlier actions in which timers have been cancelled, by their places. False as for `set_actions`.

        A cancelled timer is done as soon as it is started, so what comes after it would have started earlier than
        now. That makes no difference if no id was taken since then and no external event came.
        """
        if not changed:
            return True
        if list(changed) != [self.cursor] or not self._awaited_started:
            return False
        if self._after_start != (self.next_id, self._events_raised):
            return False
        self.actions[self.cursor] = changed[self.cursor]
        self._cancel_timers(self.tasks[self.cursor], changed[self.cursor])
        return True

    def _cancel_timers(self, task: TaskNode, action: Action) -> None:
        was, task.action = task.action, action
        if isinstance(task, CompoundTask):
            for child, new in zip(task.children, action["compoundActions"], strict=True):
                self._cancel_timers(child, new)
        elif action != was:
            self.open_tasks.pop(task.first_id, None)
            self.cancelled_timers.add(task.first_id)
            self._finish(task)

    def add_actions(self, added: list[Action]) -> bool:
        """Take the actions that are new in the newest list. False if they would have started at an earlier event.

        That shows when an id was taken after the old list's end was reached, or when an external event came that
        one of the new actions would have taken. After False the caller starts over, as for `set_actions`.
        """
        if not added:
            return True
        if self._at_end is not None:
            next_id, events_raised = self._at_end
            if next_id != self.next_id:
                return False
            if events_raised != self._events_raised and any(map(_takes_events, added)):
                return False
        self.actions += added
        self.tasks += [task_node(action) for action in added]
        if self._execution_started:
            self._advance()
        return True

    def apply(self, event: Event) -> None:
        """Process one event of the history. Raises NonDeterminismError if no action asks for it."""
        event_type = event.event_type
        if event_type == h.ORCHESTRATOR_STARTED:
            self._orchestrator_started = event.text
        elif event_type in h.SCHEDULING:
            self._match(event)
        elif event_type == h.RESUMED:
            self.is_suspended = False
            events, self.suspended_events = self.suspended_events, []
            for earlier in events:
                self.apply(earlier)
        elif event_type == h.SUSPENDED:
            self.is_suspended = True
        elif self.is_suspended and event_type in h.AWAITABLE:
            self.suspended_events.append(event)
        elif event_type == h.TASK_COMPLETED or event_type == h.SUB_ORCHESTRATION_COMPLETED:
            task = self.open_tasks.pop(event.key, None)
            if task is not None:
                self._finish(task)
        elif event_type in h.FAILURES:
            self._task_failed(event.key)
        elif event_type == h.TIMER_FIRED:
            self._timer_fired(event.key)
        elif event_type == h.EVENT_RAISED:
            self._event_raised(event)
        elif event_type == h.EXECUTION_STARTED:
            self._execution_started = True
            self._advance()

    def take_commands(self, most: int | None = None) -> list[Command]:
        """The oldest commands that the history does not record and that were not taken; none while suspended."""
        if self.is_suspended:
            return []
        taken = list(islice(self._commands.values(), most))
        for command in taken:
            del self._commands[command.id]
        return taken

    @property
    def has_commands(self) -> bool:
        """Whether `take_commands` would return any."""
        return bool(self._commands) and not self.is_suspended

    @property
    def next_command(self) -> Command | None:
        """The first that `take_commands` would return."""
        return next(iter(self._commands.values())) if self.has_commands else None

    def entity_call_sent(self, task_id: int, request_id: str) -> None:
        """The response to this call will come as an event named `request_id`."""
        task = self.open_tasks.pop(task_id, None)
        if task is not None:
            self.open_tasks[request_id] = task

    # -- questions -------------------------------------------------------------------------------------------

    @property
    def all_done(self) -> bool:
        """Every action so far was started, awaited and is done."""
        return self.cursor == len(self.tasks)

    @property
    def all_started(self) -> bool:
        """Nothing is held back: the last action that takes waiting has been started."""
        return self.cursor >= len(self.tasks) - 1

    @property
    def can_complete(self) -> bool:
        """No activity, child or timer is open, nothing is held back, nothing is suspended."""
        return self.all_done and not self.blocking_count and not self.is_suspended

    def action_at(self, place: Sequence[int]) -> Action:
        """`place`: in the list of all actions, then in the compounds on the way."""
        action = self.actions[place[0]]
        for step in place[1:]:
            action = action["compoundActions"][step]
        return action

    def awaited_task(self) -> TaskNode | None:
        return None if self.all_done else self.tasks[self.cursor]

    def held_back(self) -> list[Action]:
        """The actions that have not started because the awaited one before them is not done."""
        return [task.action for task in self.tasks[self.cursor + 1 :]]

    def blocking_tasks(self) -> Iterator[tuple[int | str, SingleTask]]:
        """The open tasks without whose end the instance cannot end; an entity call blocks nothing (recorded)."""
        return ((key, task) for key, task in self.open_tasks.items() if task.action_type != act.CALL_ENTITY)

    @property
    def blocking_count(self) -> int:
        """How many of them there are."""
        return len(self.open_tasks) - self._open_entity_calls

    # -- starting and ending tasks ---------------------------------------------------------------------------

    def _advance(self) -> None:
        """Start, await, go on; stop at the first task that is not done."""
        if self._advancing:  # a task ended while its siblings were being started: the loop below sees it
            return
        self._advancing = True
        while self.cursor < len(self.tasks):
            awaited = self.tasks[self.cursor]
            if not self._awaited_started:
                self._awaited_started = True
                self._at_end = None
                self._start(awaited)
                self._after_start = (self.next_id, self._events_raised)
            if not awaited.done:
                break
            self.cursor += 1
            self._awaited_started = False
        else:
            self._at_end = (self.next_id, self._events_raised)
        self._advancing = False

    def _start(self, task: TaskNode) -> None:
        """What each type of action does when it starts; one without a branch ends at once, as on the extension."""
        if isinstance(task, CompoundTask):
            for child in task.children:
                self._start(child)
            return
        action_type = task.action_type
        if action_type in act.CALLS:
            task.first_id = self._start_attempt(task)
        elif action_type == act.CREATE_TIMER:
            task.first_id = self._issue(h.TIMER_CREATED, task, task.action["fireAt"])
            if task.action.get("isCanceled"):
                # It holds nothing up and nothing open, but it fires: only the SDK may still wait for it (recorded).
                self.cancelled_timers.add(task.first_id)
                self._finish(task)
            else:
                self.open_tasks[task.first_id] = task
        elif action_type == act.WAIT_FOR_EVENT:
            task.waiting_since = self._orchestrator_started
            if not self.event_waits.add(task):
                self._finish(task)
        elif action_type == act.CALL_ENTITY:
            task.first_id = self._issue(h.EVENT_SENT, task)
            self.open_tasks[task.first_id] = task
            self._open_entity_calls += 1
        elif action_type == act.SIGNAL_ENTITY:
            task.first_id = self._issue(h.EVENT_SENT, task)
            self._finish(task)
        elif action_type == act.CONTINUE_AS_NEW:
            if not self.continues_as_new:
                self.continues_as_new = True
                self.next_input = task.action.get("input")
            self._finish(task)
        else:
            self._finish(task)

    def _start_attempt(self, task: SingleTask) -> int:
        """Start an activity or a child, for the first time or again; returns the id."""
        is_child = task.action_type in act.SUB_ORCHESTRATIONS
        task_id = self._issue(h.SUB_ORCHESTRATION_CREATED if is_child else h.TASK_SCHEDULED, task)
        self.open_tasks[task_id] = task
        return task_id

    def _issue(self, event_type: int, task: SingleTask, fire_at: str | None = None) -> int:
        """A new command; returns its task id."""
        task_id = self.next_id
        self.next_id += 1
        self._commands[task_id] = Command(event_type, task_id, task, fire_at)
        return task_id

    def _finish(self, task: SingleTask) -> None:
        if task.done:
            return
        task.done = True
        if task.action_type == act.CALL_ENTITY:
            self._open_entity_calls -= 1
        compound = task.parent
        while compound is not None and not compound.done:
            compound.remaining -= 1
            if compound.remaining and not compound.is_any:
                return
            compound.done = True
            compound = compound.parent
        self._advance()

    def _task_failed(self, task_id: int) -> None:
        task = self.open_tasks.pop(task_id, None)
        if task is None:
            return
        if task.action_type not in act.WITH_RETRY:
            self._finish(task)
            return
        # After the last attempt comes one more timer, which fires at once: the SDK raises only then (recorded).
        pause = 0 if task.is_last_attempt else task.action["retryOptions"]["firstRetryIntervalInMilliseconds"]
        task.awaits_retry_timer = self.has_retried = True
        self.open_tasks[self._issue(h.TIMER_CREATED, task, self._time_in(pause))] = task

    def _timer_fired(self, timer_id: int) -> None:
        task = self.open_tasks.pop(timer_id, None)
        if task is None:
            return
        if task.awaits_retry_timer and not task.is_last_attempt:
            task.awaits_retry_timer = False
            task.attempt += 1
            self._start_attempt(task)
        else:
            self._finish(task)

    def _time_in(self, milliseconds: float) -> str:
        """The code's current time plus so many milliseconds, as ISO text."""
        now = parse_timestamp(h.timestamp_in(self._orchestrator_started))
        return timestamp(now + timedelta(milliseconds=milliseconds))

    # -- external events and entity responses ----------------------------------------------------------------

    def _event_raised(self, event: Event) -> None:
        entity_call = self.open_tasks.pop(event.key, None)
        if entity_call is not None:
            self._finish(entity_call)
            return
        self._events_raised += 1
        if self.continues_as_new:
            self.carried_over.append(event)
        elif (task := self.event_waits.take(event)) is not None:
            self._finish(task)

    # -- determinism -----------------------------------------------------------------------------------------

    def _match(self, event: Event) -> None:
        """`event` records a command of an earlier episode, which must have been issued again by now."""
        command = require_match(event, self._commands.get(event.key))
        del self._commands[event.key]
        if command.task.action_type == act.CALL_ENTITY:
            self.entity_call_sent(event.key, json.loads(json.loads(event.text)["Input"])["id"])


def _takes_events(action: Action) -> bool:
    """Whether the action waits for an external event, or carries over those that come after it."""
    if action["actionType"] in act.COMPOUNDS:
        return any(_takes_events(child) for child in action["compoundActions"])
    return action["actionType"] in (act.WAIT_FOR_EVENT, act.CONTINUE_AS_NEW)
