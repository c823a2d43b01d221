"""One execution of an orchestration, and its episodes.

`Execution` holds a generation's history as texts and its `Program`. `advance` is the heart of the host: past
history + what arrived -> one replay -> what is new. It depends on nothing but its arguments; it writes nothing
and knows no clock. The caller makes an `Episode` true (one commit) or forgets the execution and builds it
again from what is stored.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from json.encoder import encode_basestring_ascii as quote
from typing import Protocol

from dfhost.engine import actions as act
from dfhost.engine import failures, payloads, versions
from dfhost.engine import history as h
from dfhost.engine.entities import MessageSorter, entity_request
from dfhost.engine.episode import (
    EntityMessage,
    Episode,
    Parent,
    ScheduledActivity,
    ScheduledChild,
    ScheduledTimer,
)
from dfhost.engine.history import Event
from dfhost.engine.interpreter import ActionInterpreter, Command, NonDeterminismError, SingleTask
from dfhost.engine.replay_result import ReplayResult
from dfhost.engine.task_id_conflicts import find_task_id_conflict

Replay = Callable[[str], ReplayResult]


class FunctionRegistry(Protocol):
    """What the app has; an unknown name fails the instance at once, with the names there are."""

    def refuse(self, kind: str, name: str) -> str | None:
        """None, or the sentence for an activity, orchestrator or entity that is not there."""
        ...


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """The settings of host.json that show in an episode.

    The timer durations are the Azure Storage provider's; the SDK chunks longer timers by them.
    """

    store_inputs: bool = False
    default_version: str | None = None
    version_match: str = "CurrentOrOlder"
    async_request_sleep_ms: int = 30000
    max_actions: int = 100_000
    max_short_timer: str = "6.00:00:00"
    long_timer_interval: str = "3.00:00:00"


class ReplayNeed(IntEnum):
    """How much an arrival stirs an execution."""

    NOTHING = 0  # it can lie in the inbox: nobody waits for it, or not for it alone
    HOST = 1  # only the host's part goes on: a retry, the end of the last open task
    SDK = 2  # the user's code may go on


class Execution:
    """A generation of an instance. Not thread-safe: one episode at a time."""

    def __init__(self, past: Iterable[Event] = ()) -> None:
        """`past`: the history as stored. A fresh execution has none; its first arrival is EXECUTION_STARTED."""
        self.past: list[Event] = []
        self.program = ActionInterpreter()
        self.reply: ReplayResult | None = None
        self.instance_id = self.execution_id = self.name = ""
        self.parent: Parent | None = None
        self.version: str | None = None
        self.input: str | None = None
        self._parent_json = "null"
        self._texts: list[str] = []
        self._missing: set[int | str] = set()
        self._post_marks = MessageSorter()
        self._remember(past)

    # -- an episode ------------------------------------------------------------------------------------------

    def advance(
        self,
        arrived: Sequence[Event],
        at: str,
        replay: Replay,
        known: FunctionRegistry,
        options: EngineOptions,
        stir: ReplayNeed = ReplayNeed.SDK,
    ) -> Episode:
        """Process what arrived, at the time `at` (ISO text).

        `replay` asks the SDK. It is spared where `stir` says that only the host's part goes on. Without any
        arrival this is the first episode of a generation that continues another: its history is there already.
        """
        fresh = [h.orchestrator_started(at), *arrived] if arrived else []
        refusal = None
        for event in fresh:
            if event.kind == h.EXECUTION_STARTED:
                self._introduce(event)
                refusal = versions.refusal(
                    self.name, self.version, options.default_version, options.version_match
                )
        refusal = known.refuse("orchestrator", self.name) or refusal
        if refusal is not None:
            return self._fail(fresh, at, failures.orchestrator_failed(self.name, refusal), None)
        if stir < ReplayNeed.SDK and self.reply is not None:
            self._feed(fresh)
        else:
            reply = self._ask(fresh, replay, options)
            verdict = self._follow(reply, fresh)
            if verdict is not None:
                episode = self._fail(fresh, at, verdict, None)
                episode.raised = reply.raised if reply.crash else None
                return episode
            self.reply = reply
            self._expect()
        return self._conclude(fresh, self.reply or ReplayResult(), at, known, options)

    def _ask(self, fresh: list[Event], replay: Replay, options: EngineOptions) -> ReplayResult:
        if self.input is not None and not self.input.strip():
            message = f"Exception while executing function: {self.name}"
            return ReplayResult(crash=failures.Failure("", message, message, ""))
        return replay(self.trigger(fresh, options))

    def _follow(self, reply: ReplayResult, fresh: list[Event]) -> tuple[str, str | None] | None:
        """Bring the program up to date; a failure's reason and details if that cannot be."""
        if reply.crash is not None:
            if reply.crash.type_name:
                return failures.episode_failed(self.name, reply.crash)
            return failures.orchestrator_failed(
                self.name, f"One or more errors occurred. ({reply.crash.text})"
            )
        problem = payloads.custom_status_problem(reply.custom_status)
        if problem is not None:
            return failures.orchestrator_failed(self.name, problem)
        try:
            if self.reply is None or not self.program.extend(reply.actions):
                self.program = ActionInterpreter(reply.actions)
                self._feed(self.past)
            self._feed(fresh)
        except NonDeterminismError as error:
            return str(error), None
        mixup = find_task_id_conflict(self.program, reply)
        return failures.orchestrator_failed(self.name, mixup) if mixup else None

    def _feed(self, fresh: list[Event]) -> None:
        for event in fresh:
            self.program.feed(event)

    def _conclude(
        self,
        fresh: list[Event],
        reply: ReplayResult,
        at: str,
        known: FunctionRegistry,
        options: EngineOptions,
    ) -> Episode:
        program = self.program
        status = "Suspended" if program.is_suspended else "Running"
        episode = self._episode(at, status, list(fresh))
        # A continued generation's first replay leaves the old status alone unless it sets one (recorded).
        episode.custom_status = payloads.compact(reply.custom_status) or ("null" if fresh else None)
        for decision in program.take_decisions():
            refusal = self._record(decision, episode, at, known, options)
            if refusal is not None:
                reason, details = failures.orchestrator_failed(self.name, refusal)
                return self._fail(fresh, at, (reason, details), episode.custom_status)
        if program.next_id > options.max_actions:
            sentence = f"More than {options.max_actions:,} actions were started (maxOrchestrationActions)."
            return self._fail(
                fresh, at, failures.orchestrator_failed(self.name, sentence), episode.custom_status
            )
        if reply.ended and program.can_complete:
            self._complete(episode, reply, at)
        elif not program.is_suspended and (held := program.held_back()):
            waiting = program.awaited()
            assert waiting is not None
            episode.held_back = f"{act.describe(held[0])} waits for {act.describe(waiting.action)}"
        reasons = [event for event in fresh if event.kind in (h.SUSPENDED, h.RESUMED)]
        if reasons and not episode.finished:
            episode.output, episode.sets_output = h.reason(reasons[-1]), True
        if episode.events:
            episode.events.append(h.orchestrator_completed(at))
        episode.texts = self._add(episode.events)
        return episode

    def _complete(self, episode: Episode, reply: ReplayResult, at: str) -> None:
        program = self.program
        if reply.error is not None:
            episode.status = "Failed"
            episode.output, episode.details = failures.orchestrator_failed(self.name, reply.error)
            episode.sets_output = True
            episode.raised = reply.raised
        elif program.continues:
            episode.status = "ContinuedAsNew"
            episode.next = self._next_generation(at)
            return
        else:
            episode.status = "Completed"
            episode.output, episode.sets_output = payloads.compact(reply.output), True
        episode.events.append(h.execution_completed(at, program.next_id, episode.status, episode.output))

    def _fail(
        self, fresh: list[Event], at: str, verdict: tuple[str, str | None], custom_status: str | None
    ) -> Episode:
        reason, details = verdict
        done = h.execution_completed(at, self.program.next_id, "Failed", reason)
        events = [*fresh, *self._undone_timers(at), done, h.orchestrator_completed(at)]
        episode = self._episode(at, "Failed", events)
        episode.texts = self._add(events)
        episode.output, episode.sets_output, episode.details = reason, True, details
        episode.custom_status = custom_status
        return episode

    def _episode(self, at: str, status: str, events: list[Event]) -> Episode:
        return Episode(
            self.instance_id, self.execution_id, at, status, events, base=len(self.past), parent=self.parent
        )

    def _undone_timers(self, at: str) -> list[Event]:
        """The extension records what the failing episode decided (recorded for timers).

        Activities and children would make its own history unreadable, so they are left out.
        """
        return [
            h.timer_created(at, decision.id, decision.fire_at)
            for decision in self.program.take_decisions()
            if decision.fire_at is not None
        ]

    # -- what starts -----------------------------------------------------------------------------------------

    def _record(
        self, decision: Command, episode: Episode, at: str, known: FunctionRegistry, options: EngineOptions
    ) -> str | None:
        """Turn a decision into its event and its work. A sentence if it can never start."""
        leaf, task_id = decision.leaf, decision.id
        if decision.kind == h.TIMER_CREATED:
            assert decision.fire_at is not None
            episode.events.append(h.timer_created(at, task_id, decision.fire_at))
            if not leaf.action.get("isCanceled"):
                episode.timers.append(ScheduledTimer(task_id, decision.fire_at))
        elif decision.kind == h.TASK_SCHEDULED:
            return self._record_activity(decision, episode, at, known, options)
        elif decision.kind == h.SUB_ORCHESTRATION_CREATED:
            return self._record_child(decision, episode, at, known, options)
        else:
            return self._record_operation(decision, episode, at, known)
        return None

    def _record_activity(
        self, decision: Command, episode: Episode, at: str, known: FunctionRegistry, options: EngineOptions
    ) -> str | None:
        action = decision.leaf.action
        if decision.leaf.kind == act.CALL_HTTP:
            name, input = act.HTTP_ACTIVITY, json.dumps(action["httpRequest"])
        else:
            name, input = action["functionName"], action.get("input") or "null"
            if refusal := known.refuse("activity", name):
                return refusal
        stored = f"[{quote(input)}]" if options.store_inputs else None
        episode.events.append(h.task_scheduled(at, decision.id, name, stored))
        episode.activities.append(ScheduledActivity(decision.id, name, input))
        return None

    def _record_child(
        self, decision: Command, episode: Episode, at: str, known: FunctionRegistry, options: EngineOptions
    ) -> str | None:
        action = decision.leaf.action
        name = action["functionName"]
        wanted = action.get("instanceId")
        child_id = wanted if wanted and wanted.strip() else f"{self.execution_id}:{decision.id}"
        if refusal := known.refuse("orchestrator", name):
            return refusal
        if child_id.startswith("@") or child_id.lower() in (
            self.instance_id.lower(),
            (self.parent.instance_id if self.parent else "").lower(),
        ):
            return (
                f"{act.describe(action)} asks for the instance id '{child_id}', which can never start: an id "
                "must not begin with @ nor be that of the caller or its parent."
            )
        if refusal := _unwritable(child_id):
            return refusal
        version = action.get("version") or options.default_version
        if refusal := versions.refusal(name, version, options.default_version, options.version_match):
            return refusal
        input = action.get("input")
        encoded = None if input is None else quote(input)
        execution_id = uuid.uuid5(uuid.NAMESPACE_OID, f"{self.execution_id}:{decision.id}").hex
        parent = h.parent_instance(
            instance_id=self.instance_id,
            execution_id=self.execution_id,
            name=self.name,
            task_id=decision.id,
            version=self.version,
        )
        started = h.execution_started(
            at,
            instance_id=child_id,
            execution_id=execution_id,
            name=name,
            version=version,
            input=encoded,
            parent=parent,
            generation=None,
        )
        stored = encoded if options.store_inputs else None
        episode.events.append(
            h.sub_orchestration_created(at, decision.id, name, child_id, action.get("version"), stored)
        )
        episode.children.append(
            ScheduledChild(decision.id, child_id, execution_id, name, version, encoded, started)
        )
        return None

    def _record_operation(
        self, decision: Command, episode: Episode, at: str, known: FunctionRegistry
    ) -> str | None:
        action = decision.leaf.action
        entity_id = action["instanceId"]
        if refusal := known.refuse("entity", entity_id[1:].partition("@")[0]):
            return refusal
        if refusal := _unwritable(entity_id):
            return refusal
        request_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{self.execution_id}:{decision.id}"))
        signal = decision.leaf.kind == act.SIGNAL_ENTITY
        request = entity_request(
            operation=action["operation"],
            input=action.get("input"),
            request_id=request_id,
            at=at,
            signal=signal,
            caller=(self.instance_id, self.execution_id),
            order=self._post_marks.next(entity_id, at),
        )
        if not signal:
            self.program.name_call(decision.id, request_id)
        episode.events.append(h.event_sent(at, decision.id, entity_id, "op", request))
        episode.entity_messages.append(EntityMessage(entity_id, request))
        return None

    # -- continuing as new -----------------------------------------------------------------------------------

    def _next_generation(self, at: str) -> Execution:
        """Same id, fresh history: what was raised after the decision comes along, the rest is forgotten."""
        execution_id = uuid.uuid5(uuid.NAMESPACE_OID, f"{self.execution_id}:next").hex
        input = self.program.continued_as
        started = h.execution_started(
            at,
            instance_id=self.instance_id,
            execution_id=execution_id,
            name=self.name,
            version=self.version,
            input=None if input is None else quote(input),
            parent=self._parent_json,
            generation=None,
        )
        return Execution(event.played() for event in h.generation(at, started, self.program.carried))

    # -- what an arrival stirs -------------------------------------------------------------------------------

    def note(self, event: Event) -> ReplayNeed:
        """Look at one arrival, once, before the episode that will process it.

        Replays are what costs, so they are held back while the SDK itself says that its generator is parked
        at something which is not there yet. Whatever is not sure to be in vain counts as Stir.SDK.
        """
        reply, program = self.reply, self.program
        if reply is None or event.kind not in _ENDS:
            return ReplayNeed.SDK
        leaf = program.open.get(event.key)
        retries = leaf is not None and leaf.kind in act.WITH_RETRY
        if reply.ended:
            self._missing.discard(event.key)
            return (
                ReplayNeed.HOST if retries or not self._missing or not program.at_rest else ReplayNeed.NOTHING
            )
        if reply.awaited is None or program.is_suspended or not program.all_started:
            return ReplayNeed.SDK
        failed = event.kind in h.FAILURES
        if leaf is None:
            key: int | str = event.key
            if event.kind != h.EVENT_RAISED:
                return ReplayNeed.NOTHING  # the end of something that was cancelled or is not known any more
        elif retries and (failed or (leaf.retrying and not self._exhausted(leaf))):
            return ReplayNeed.HOST  # first comes the retry's timer, or its next attempt
        else:
            key = leaf.first_id
        if key not in self._missing:
            return ReplayNeed.NOTHING
        self._missing.discard(key)
        if failed or not self._missing or not reply.awaited.all or (leaf is not None and leaf.retrying):
            return ReplayNeed.SDK
        return ReplayNeed.NOTHING

    def _expect(self) -> None:
        """What must arrive before the newest reply can change."""
        assert self.reply is not None
        if self.reply.ended:
            self._missing = {key for key, _ in self.program.holds_open()}
        else:
            self._missing = set(self.reply.awaited.keys) if self.reply.awaited else set()

    @staticmethod
    def _exhausted(leaf: SingleTask) -> bool:
        return bool(leaf.attempt >= leaf.action["retryOptions"]["maxNumberOfAttempts"])

    # -- the trigger -----------------------------------------------------------------------------------------

    def trigger(self, fresh: Sequence[Event], options: EngineOptions) -> str:
        """The orchestration trigger's JSON (OrchestrationContextToString of the extension; recorded)."""
        texts = [*self._texts, *(event.text for event in fresh)]
        if not fresh:  # a generation's first invocation: nothing has been played yet
            texts = [h.unplayed(text) for text in texts]
        return self._trigger(texts, bool(fresh and self._texts), options)

    def _trigger(self, texts: Sequence[str], is_replaying: bool, options: EngineOptions) -> str:
        parent_id = self.parent.instance_id if self.parent else None
        return (
            f'{{"history":[{",".join(texts)}],"input":{self.input or "null"},'
            f'"instanceId":{quote(self.instance_id)},"isReplaying":{"true" if is_replaying else "false"},'
            f'"parentInstanceId":{h.nullable(parent_id)},"upperSchemaVersion":1,"upperSchemaVersionNew":3,'
            f'"longRunningTimerIntervalDuration":"{options.long_timer_interval}",'
            f'"maximumShortTimerDuration":"{options.max_short_timer}",'
            f'"defaultHttpAsyncRequestSleepTimeMillseconds":{options.async_request_sleep_ms}}}'
        )

    def recall(self, replay: Replay, options: EngineOptions) -> None:
        """Replay the past alone, so that an execution which was read back can be asked what it waits for.

        Where that cannot be (the code has changed), it goes on knowing nothing: the next episode will tell.
        """
        reply = replay(self._trigger(self._texts, True, options))
        program = ActionInterpreter(reply.actions)
        try:
            for event in self.past:
                program.feed(event)
        except NonDeterminismError:
            return
        if reply.crash is None:
            self.program, self.reply = program, reply
            self._expect()

    # -- memory ----------------------------------------------------------------------------------------------

    def _add(self, events: Iterable[Event]) -> list[str]:
        """These events are the past from now on; their texts as a later episode sees them."""
        return self._remember([event.played() for event in events])

    def _remember(self, past: Iterable[Event]) -> list[str]:
        texts = []
        for event in past:
            if event.kind == h.EXECUTION_STARTED:
                self._introduce(event)
            elif event.kind == h.EVENT_SENT:
                sent = json.loads(event.text)
                self._post_marks.recall(sent["InstanceId"], sent["Input"])
            self.past.append(event)
            texts.append(event.text)
        self._texts += texts
        return texts

    def _introduce(self, started: Event) -> None:
        data = json.loads(started.text)
        self.instance_id = data["OrchestrationInstance"]["InstanceId"]
        self.execution_id = data["OrchestrationInstance"]["ExecutionId"]
        self.name = data["Name"]
        self.version = data["Version"]
        self.input = data["Input"]
        parent = data["ParentInstance"]
        self.parent = None
        if parent:
            caller = parent["OrchestrationInstance"]
            self.parent = Parent(caller["InstanceId"], caller["ExecutionId"], parent["TaskScheduleId"])
        self._parent_json = json.dumps(parent, separators=(",", ":"))


def _unwritable(instance_id: str) -> str | None:
    """A sentence for an id that no database can hold."""
    told = failures.clean(instance_id)
    return None if told == instance_id else f"The instance id '{told}' has half of a surrogate pair in it."


#: The events that end something the SDK may wait for.
_ENDS = frozenset(
    (
        h.TASK_COMPLETED,
        h.TASK_FAILED,
        h.SUB_ORCHESTRATION_COMPLETED,
        h.SUB_ORCHESTRATION_FAILED,
        h.TIMER_FIRED,
        h.EVENT_RAISED,
    )
)
