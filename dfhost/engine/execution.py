"""One execution of an orchestration, and its episodes.

`Execution.run_episode` is the core of the engine: history + arrivals -> one replay -> an `Episode` with all that
is new. It depends on nothing but its arguments, writes nothing and knows no clock. The caller commits the episode,
or drops the execution and builds it again from what is stored.

What the actions mean is decided in `interpreter.py`, what they leave in the history in `command_recorder.py`,
whether an arrival is worth an episode in `replay_gate.py`, and whether the code is replayed or its generator goes on
in `orchestrator_code.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import takewhile

from dfhost.engine import actions as act
from dfhost.engine import failures, payloads, versions
from dfhost.engine import history as h
from dfhost.engine.actions import Action
from dfhost.engine.command_recorder import CommandRecorder, CommandRefused
from dfhost.engine.entities import MessageSorter
from dfhost.engine.episode import Episode, NextGeneration
from dfhost.engine.execution_info import ExecutionInfo
from dfhost.engine.failures import Failure
from dfhost.engine.history import Event
from dfhost.engine.interpreter import ActionInterpreter
from dfhost.engine.nondeterminism import DETECTED, NonDeterminismError, difference
from dfhost.engine.options import EngineOptions, FunctionRegistry
from dfhost.engine.orchestrator_code import OrchestratorCode, Replay
from dfhost.engine.replay_gate import ReplayGate, ReplayNeed
from dfhost.engine.replay_result import GeneratorLost, ReplayResult
from dfhost.engine.task_id_conflicts import find_task_id_conflict

#: Of a failed execution: the reason is its output.
ReasonAndDetails = tuple[str, "str | None"]


class Execution:
    """A generation of an instance. Not thread-safe: one episode at a time."""

    def __init__(self, past: Iterable[Event] = ()) -> None:
        """`past`: the history as stored. A new execution has none; its first arrival is EXECUTION_STARTED."""
        self.past: list[Event] = []
        self.info = ExecutionInfo()
        self.interpreter = ActionInterpreter()
        self.result: ReplayResult | None = None  # the newest replay's
        self.unrecorded_action: Action | None = None  # see `replay_history`
        self.misfit: str | None = None  # how the history and the code differ, a sentence
        self.gate = ReplayGate()
        self.code = OrchestratorCode()
        self._reported_cancelled: set[int] = set()  # timers
        self._sorter = MessageSorter()
        self._append(past)
        started = next((event for event in self.past if event.event_type == h.EXECUTION_STARTED), None)
        if started is not None:
            self.info = ExecutionInfo.read(started)

    def run_episode(
        self,
        arrived: Sequence[Event],
        at: str,
        replay: Replay,
        registry: FunctionRegistry,
        options: EngineOptions,
        need: ReplayNeed = ReplayNeed.REPLAY,
    ) -> Episode:
        """Process what arrived, at the time `at` (ISO text).

        With a `need` below REPLAY only the interpreter processes the events. `arrived` is empty in two cases: the
        last episode has left commands, or continue-as-new has just begun this generation. Its history counts as
        new then.
        """
        self.unrecorded_action = self.misfit = None
        new = [] if not arrived and self.is_new_generation else [h.orchestrator_started(at), *arrived]
        version_fits = True
        for event in new:
            if event.event_type == h.EXECUTION_STARTED:
                self.info = ExecutionInfo.read(event)
                version_fits = versions.fits(self.info.version, options)
        for explain in (registry.explain_missing, registry.explain_disabled):
            if sentence := explain("orchestrator", self.info.name):
                return self._fail(new, at, self._orchestrator_failed(sentence))
        if not version_fits:
            return self._fail(new, at, self._version_refused(options))
        if need < ReplayNeed.REPLAY and self.result is not None:
            self._apply(new)
        else:
            result = self._replay(new, replay, options)
            failure = self._interpret(result, new)
            if failure is not None:
                return self._fail_replay(failure, result, new, at, registry)
            self.result = result
            self.gate.reset(self.interpreter, result)
        return self._finish_episode(new, at, registry, options)

    @property
    def is_new_generation(self) -> bool:
        """Whether its code has started nothing so far. To be asked only where an episode is due without arrivals."""
        return not any(event.event_type in h.SCHEDULING for event in self.past)

    def replay_history(self, replay: Replay, options: EngineOptions) -> ReplayResult:
        """Replay the past alone, so that a loaded execution can say what it waits for: what the code has said.

        The execution stays as it is, so that the next arrival replays, in three cases: there is no answer; the code
        no longer fits the history, and the next episode will fail (`misfit`); the code starts something first that
        the history does not have (`unrecorded_action`).
        """
        result = self.code.ask_again(self.info, replay, options)
        if not self._adopts(result, replay, options):
            self.code.drop_generator()
        return result

    def _adopts(self, result: ReplayResult, replay: Replay, options: EngineOptions) -> bool:
        """Take over what a replay of the past alone has said, if it fits."""
        if not result.is_usable:
            return False
        interpreter = ActionInterpreter(result.actions)
        try:
            for event in self.past:
                interpreter.apply(event)
        except NonDeterminismError as error:
            self.misfit = difference(
                error, result, interpreter.awaited_task(), self.place_of(error, replay, options)
            )
            return False
        if (command := interpreter.next_command) is not None:
            self.unrecorded_action = command.task.action
            return False
        self.interpreter, self.result = interpreter, result
        self.gate.reset(interpreter, result)
        return True

    def place_of(self, error: NonDeterminismError, replay: Replay, options: EngineOptions) -> str:
        """Where the code asks for something else: it waits there after a replay of what comes before the event."""
        before = takewhile(lambda event: event is not error.event, self.past)
        return replay(self.info.trigger([event.text for event in before], True, options), False).waits_in

    def interpreter_when_resumed(self) -> ActionInterpreter:
        """How the interpreter will be once the instance is resumed: what has come meanwhile is processed then.

        The present one, if the instance is not suspended, or if its code no longer fits its history.
        """
        if not self.interpreter.is_suspended:
            return self.interpreter
        interpreter = ActionInterpreter(self.interpreter.actions)
        try:
            for event in (*self.past, h.resumed("", None)):
                interpreter.apply(event)
        except NonDeterminismError:
            return self.interpreter
        return interpreter

    def forget_replay(self) -> None:
        """The code has changed: the next episode replays, and everything that arrives leads to one."""
        self.result, self.gate = None, ReplayGate()
        self.unrecorded_action = self.misfit = None
        self.code.drop_generator()

    # -- the replay ------------------------------------------------------------------------------------------

    def _replay(self, new: list[Event], replay: Replay, options: EngineOptions) -> ReplayResult:
        info = self.info
        if info.input is not None and not info.input.strip():
            return ReplayResult(no_answer=f"Exception while executing function: Functions.{info.name}")
        arrived = [event.text for event in new]
        return self.code.ask(arrived, info, self.interpreter.actions, replay, options)

    def _interpret(self, result: ReplayResult, new: list[Event]) -> ReasonAndDetails | None:
        """Bring the interpreter up to date; a failure if that cannot be."""
        if result.no_answer is not None:
            return self._not_answered(result.no_answer)
        if result.crash is not None:
            return failures.episode_failed(self.info.name, result.crash)
        problem = payloads.custom_status_problem(result.custom_status)
        if problem is not None:
            return self._orchestrator_failed(problem)
        try:
            self._update_interpreter(result)
            self._apply(new)
        except NonDeterminismError as error:
            self.misfit = difference(error, result, self.interpreter.awaited_task())
            return str(error), None
        try:
            conflict = find_task_id_conflict(self.interpreter, result)
        except GeneratorLost:  # with its worker; the next episode replays, and looks again
            conflict = None
        result.sdk_tasks = None  # the SDK's tasks, with all their inputs and results, are of no more use
        return self._orchestrator_failed(conflict) if conflict else None

    def _not_answered(self, why: str) -> ReasonAndDetails:
        """No answer counts as an empty list of actions, as on Azure.

        So if the history has scheduled anything, this is non-determinism.
        """
        try:
            without_answer = ActionInterpreter()
            for event in self.past:
                without_answer.apply(event)
        except NonDeterminismError as error:
            return str(error), None
        return self._orchestrator_failed(f"One or more errors occurred. ({why})")

    def _update_interpreter(self, result: ReplayResult) -> None:
        interpreter, actions = self.interpreter, result.actions
        if result.known_actions is not None:
            if interpreter.cancel_timers(result.changed_actions) and interpreter.add_actions(actions):
                return
            actions = [*interpreter.actions, *actions]
            for place, action in result.changed_actions.items():
                actions[place] = action
        elif self.result is not None and interpreter.set_actions(actions):
            return
        self.interpreter = ActionInterpreter(actions)
        self._apply(self.past)

    def _apply(self, events: list[Event]) -> None:
        for event in events:
            self.interpreter.apply(event)

    def _fail_replay(
        self,
        failure: ReasonAndDetails,
        result: ReplayResult,
        new: list[Event],
        at: str,
        registry: FunctionRegistry,
    ) -> Episode:
        """The end of an execution whose replay is of no use, with the cause for people where it can be known."""
        cause = result.cause
        if cause is None and failure[0].startswith(DETECTED):
            began = h.timestamp_in(self.past[0].text) if self.past else at
            known = self.misfit, registry.explain_nondeterminism(self.info.name, began)
            cause = "\n".join(filter(None, known)) or None
        return self._fail(new, at, failure, cause=cause, raised=result.raised if result.crash else None)

    # -- the episode -----------------------------------------------------------------------------------------

    def _finish_episode(
        self, new: list[Event], at: str, registry: FunctionRegistry, options: EngineOptions
    ) -> Episode:
        interpreter, result = self.interpreter, self.result
        assert result is not None
        episode = self._episode(at, "Suspended" if interpreter.is_suspended else "Running", list(new))
        # A continued generation's first replay leaves the old status alone unless it sets one (recorded).
        episode.custom_status = payloads.compact(result.custom_status) or ("null" if new else None)
        try:
            CommandRecorder(episode, self.info, self._sorter, registry, options).record_commands(interpreter)
            if interpreter.next_id > options.max_actions:
                raise CommandRefused(
                    f"More than {options.max_actions:,} actions were started (maxOrchestrationActions)."
                )
        except CommandRefused as refusal:
            reason = self._orchestrator_failed(str(refusal))
            return self._fail(new, at, reason, episode.custom_status, refusal.cause)
        episode.cancelled_timers = self._newly_cancelled_timers(result)
        episode.has_more_commands = interpreter.has_commands
        if result.has_ended and interpreter.can_complete:
            self._complete(episode, result)
        elif not interpreter.is_suspended and (held_back := interpreter.held_back()):
            awaited = interpreter.awaited_task()
            assert awaited is not None
            episode.held_back = f"{act.describe(held_back[0])} waits for {act.describe(awaited.action)}"
        episode.awaits_open_tasks = (
            result.has_ended
            and not episode.ends_instance
            and interpreter.all_done
            and any(interpreter.blocking_tasks())
        )
        reasons = [event for event in new if event.event_type in (h.SUSPENDED, h.RESUMED)]
        if reasons and not episode.ends_instance:
            episode.output, episode.sets_output = h.reason(reasons[-1]), True
        if episode.events:
            episode.events.append(h.orchestrator_completed(at))
        episode.stored_texts = self._append_played(episode.events)
        return episode

    def _newly_cancelled_timers(self, result: ReplayResult) -> list[int]:
        """The timers that were cancelled since the last episode. One that the code awaits all the same does fire."""
        cancelled, reported = self.interpreter.cancelled_timers, self._reported_cancelled
        if len(cancelled) == len(reported) or self.interpreter.is_suspended:
            return []  # what the code does while it is suspended counts once it is resumed
        new = cancelled - reported - (result.awaited.keys if result.awaited else frozenset())
        reported |= new
        return sorted(new)

    def _complete(self, episode: Episode, result: ReplayResult) -> None:
        if result.error is not None:
            episode.status = "Failed"
            episode.output, episode.details = self._orchestrator_failed(result.error)
            episode.sets_output = True
            episode.raised = result.raised
        elif self.interpreter.continues_as_new:
            episode.status = "ContinuedAsNew"
            next_input, carried_over = self.interpreter.next_input, self.interpreter.carried_over
            episode.next_generation = NextGeneration.begin(self.info, episode.at, next_input, carried_over)
            return
        else:
            episode.status = "Completed"
            episode.output, episode.sets_output = payloads.compact(result.output), True
        next_id, raised = self.interpreter.next_id, episode.raised
        cause, traceback = (failures.in_a_line(raised), raised.stack) if raised else (None, "")
        episode.events.append(
            h.execution_completed(episode.at, next_id, episode.status, episode.output, cause, traceback)
        )

    def _fail(
        self,
        new: list[Event],
        at: str,
        failure: ReasonAndDetails,
        custom_status: str | None = None,
        cause: str | None = None,
        raised: Failure | None = None,
    ) -> Episode:
        reason, details = failures.clean(failure[0]), failure[1]  # a name in the code may be any string
        events = [*new, *self._unstarted_timers(at)]
        # Counted from the history, which is the same whether this execution was in memory or has just been loaded.
        next_id = h.next_event_id((*self.past, *events))
        stored, traceback = cause, ""
        if cause is None and raised is not None and raised.text not in reason:
            stored, traceback = failures.in_a_line(raised), raised.stack
        events.append(h.execution_completed(at, next_id, "Failed", reason, stored, traceback))
        events.append(h.orchestrator_completed(at))
        episode = self._episode(at, "Failed", events)
        episode.stored_texts = self._append_played(events)
        episode.output, episode.sets_output, episode.details = reason, True, details
        episode.custom_status, episode.cause, episode.raised = custom_status, cause, raised
        return episode

    def _unstarted_timers(self, at: str) -> list[Event]:
        """What code that does not fit the history would have started: the extension records its timers (recorded).

        Activities and children would make its own history unreadable, so they are left out. Of a command that is
        refused no recording shows what becomes of the timers beside it; here they leave nothing.
        """
        return [
            h.timer_created(at, command.id, command.fire_at)
            for command in self.interpreter.take_commands()
            if command.fire_at is not None
        ]

    def _version_refused(self, options: EngineOptions) -> ReasonAndDetails:
        if options.version_failure == "Fail":
            return versions.MISMATCH, None
        return self._orchestrator_failed(versions.never_runs(self.info.name, self.info.version, options))

    def _orchestrator_failed(self, error: str) -> ReasonAndDetails:
        return failures.orchestrator_failed(self.info.name, error)

    def _episode(self, at: str, status: str, events: list[Event]) -> Episode:
        info = self.info
        return Episode(
            info.instance_id,
            info.execution_id,
            at,
            status,
            events,
            first_position=len(self.past),
            parent=info.parent,
        )

    # -- the history -----------------------------------------------------------------------------------------

    def _append_played(self, events: Iterable[Event]) -> list[str]:
        """Add an episode's events to the past; returns their texts as a later episode sees them."""
        return self._append([event.as_played() for event in events])

    def _append(self, events: Iterable[Event]) -> list[str]:
        texts = []
        for event in events:
            if event.event_type == h.EVENT_SENT:
                sent = json.loads(event.text)
                self._sorter.sent(sent["InstanceId"], sent["Input"])
            self.past.append(event)
            texts.append(event.text)
        self.code.append(texts)
        return texts
