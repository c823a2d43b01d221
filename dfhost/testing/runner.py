"""The runner of a host under test: the app's own functions, or what the test has put in their place."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from dfhost.app.exceptions import describe_exception
from dfhost.app.in_process import InProcessRunner
from dfhost.app.json_values import from_json, to_json
from dfhost.background_tasks import BackgroundTasks
from dfhost.dispatch.call_http import CallHttpError, call_http
from dfhost.engine.episode import next_execution_id
from dfhost.engine.failures import Failure
from dfhost.engine.replay_result import ReplayResult
from dfhost.loop_queue import LoopQueue, callback_queue
from dfhost.runner.app_runner import (
    ActivityCall,
    ActivityListener,
    ActivityOutcome,
    EntityCall,
    EntityReply,
    FunctionCall,
    HostServices,
    HttpReply,
    Receive,
    ReplayCall,
    RunningOperation,
    Send,
    StreamingCall,
)
from dfhost.runner.functions import AppInfo
from dfhost.testing.clock import ManualClock
from dfhost.testing.determinism import NewestReplays, ReplayKey
from dfhost.testing.faults import Decision, Faults, Stub
from dfhost.testing.records import Call, Records, WatchedCalls

_Ended = Callable[[ActivityOutcome], None]
CALL_HTTP = "call_http"  # its name for stubs


class TestRunner:
    """Wraps the runner of the app, which outlives it: the app is loaded once for many hosts."""

    __test__ = False  # pytest takes classes of this name for tests

    def __init__(
        self,
        app: InProcessRunner,
        faults: Faults,
        records: Records,
        clock: ManualClock,
        begun: dict[ReplayKey, ReplayResult | None],
    ) -> None:
        """`begun`: what stands in the place of each execution that has begun, with those before a crash."""
        self._app = app
        self._faults = faults
        self._records = records
        self._clock = clock
        self._tasks = BackgroundTasks()
        self.calls = WatchedCalls()
        self.newest_replays = NewestReplays(self._app.replay)
        self._replaced_results = begun
        self._stopped = False

    # -- its life --------------------------------------------------------------------------------------------

    @property
    def app(self) -> AppInfo:
        return self._app.app

    @property
    def streams_http(self) -> bool:
        return self._app.streams_http

    @property
    def applies_timeout(self) -> bool:
        return self._app.applies_timeout

    @property
    def ready_since(self) -> float:
        return self._app.ready_since

    @property
    def replays_at_once(self) -> int:
        """One, so that calls are numbered in the order in which they were scheduled."""
        return 1

    async def start(self) -> None:
        """The app is loaded already."""
        self._on_loop: LoopQueue[Callable[[], None]] = callback_queue(asyncio.get_running_loop())

    async def connect(self, services: HostServices) -> None:
        await self._app.connect(replace(services, calls=self.calls))

    def expect_stop(self) -> None:
        """The app outlives it."""

    async def stop(self) -> None:
        self._stopped = True
        self._tasks.cancel()
        await self._app.disconnect()

    # -- activities ------------------------------------------------------------------------------------------

    def wait_until_ready(self) -> None:
        """It is."""

    def run_activity(self, call: ActivityCall, listener: ActivityListener) -> None:
        listener.begun()
        name = self.durable_name(call.function)
        record = Call(name, call.instance_id, _value(call.input))
        self._records.calls.append(record)
        decision = self._faults.decide(call.function, record.input)

        def ended(outcome: ActivityOutcome) -> None:
            # On the loop, since whoever ends begins the next call: in threads they would overtake each other.
            if not self._stopped:
                self._on_loop.put_if_open(partial(listener.ended, outcome))

        if decision.is_plain:
            self._app.run_activity(call, _OutcomeListener(ended))
        else:
            self._on_loop.put_if_open(partial(self._begin, call, decision, record, ended))

    def _begin(self, call: ActivityCall, decision: Decision, record: Call, ended: _Ended) -> None:
        def run() -> None:
            self._run(call, decision, record.input, again if decision.deliveries > 1 else ended)

        def again(_: ActivityOutcome) -> None:  # the first result is lost
            self._records.calls.append(record)
            self._run(call, decision, record.input, ended)

        async def run_later() -> None:
            await self._clock.pause(decision.delay)
            run()

        if decision.delay:
            self._tasks.start(run_later())
        else:
            run()

    def _run(self, call: ActivityCall, decision: Decision, input: Any, done: _Ended) -> None:
        if decision.error is not None:
            done(_raised(decision.error))
        elif decision.stub is not None:
            answer = decision.stub._take(input)
            self._off_loop(
                partial(self._outcome, answer, ("activity", call.function, call.instance_id)), done
            )
        else:
            self._app.run_activity(call, _OutcomeListener(done))

    def _off_loop(self, work: Callable[[], ActivityOutcome], done: _Ended) -> None:
        """Stubs may be functions of the test, which may do anything but run on the host's loop."""

        async def run() -> None:
            done(await asyncio.to_thread(work))

        self._tasks.start(run())

    # -- call_http -------------------------------------------------------------------------------------------

    async def call_http(self, request_text: str, instance_id: str) -> str:
        """For the host, which sends these requests itself."""
        request = json.loads(request_text)
        self._records.calls.append(Call(CALL_HTTP, instance_id, request))
        decision = self._faults.decide(CALL_HTTP, request)
        outcome: ActivityOutcome
        if decision.error is not None:
            outcome = _raised(decision.error)
        elif decision.stub is not None:
            answer = decision.stub._take(request)
            outcome = await asyncio.to_thread(self._outcome, answer, ("stub", CALL_HTTP, instance_id))
        else:
            return await call_http(request_text)
        if isinstance(outcome, Failure):
            raise CallHttpError(outcome.message, outcome.text)
        return outcome or "null"

    # -- orchestrators ---------------------------------------------------------------------------------------

    def replay(self, call: ReplayCall) -> ReplayResult:
        self._records.instances.setdefault(call.instance_id)
        key = ReplayKey.of(call.instance_id, call.trigger)
        if key not in self._replaced_results:
            self._replaced_results[key] = self._replaced_result(call, is_rewound=key.rewinds > 0)
        # A generation that continue_as_new begins is no call, so nothing is decided for it.
        following = key._replace(execution_id=next_execution_id(key.execution_id), rewinds=0)
        self._replaced_results.setdefault(following, None)
        if (replaced := self._replaced_results[key]) is not None:
            return replaced
        result = self._app.replay(call)
        self.newest_replays.compare(key, call.function, call.trigger, result)
        return result

    def _replaced_result(self, call: ReplayCall, *, is_rewound: bool) -> ReplayResult | None:
        """What the test has put in the place of an instance that begins, or is rewound; None for the app's code."""
        trigger = json.loads(call.trigger)
        name, input = self.durable_name(call.function), _started_with(trigger)
        if not is_rewound:
            self._records.calls.append(Call(name, trigger.get("parentInstanceId") or "", input))
        decision = self._faults.decide(call.function, input)
        if decision.error is not None:
            return _failed(decision.error)
        if decision.stub is not None:
            return self._replayed(decision.stub, input, ("orchestrator", call.function, call.instance_id))
        return None

    # -- entities --------------------------------------------------------------------------------------------

    def run_entity(self, call: EntityCall) -> EntityReply | Failure:
        """Operations that the test fails or stubs are answered here, the others by the app's function."""
        if not self._faults.may_answer(call.function):
            return self._app.run_entity(call)
        batch = json.loads(call.trigger)
        given = [(each["name"], _value(_value(each["input"]))) for each in batch["batch"]]
        decisions = [self._faults.decide(call.function, *each) for each in given]
        answered: dict[int, str | Failure] = {}
        for place, decision in enumerate(decisions):
            if decision.error is not None:
                answered[place] = _raised(decision.error)
            elif decision.stub is not None:
                answer = decision.stub._take(*given[place])
                outcome = self._outcome(answer, ("entity", call.function, call.entity_id))
                answered[place] = "null" if outcome is None else outcome
        left = [each for place, each in enumerate(batch["batch"]) if place not in answered]
        whole = {"entityExists": batch["exists"], "entityState": batch["state"], "results": [], "signals": []}
        raised = {place: outcome for place, outcome in answered.items() if isinstance(outcome, Failure)}
        if left:
            reply = self._app.run_entity(call._replace(trigger=json.dumps({**batch, "batch": left})))
            if isinstance(reply, Failure):
                return reply
            whole = json.loads(reply.text)
            places = [place for place in range(len(decisions)) if place not in answered]
            raised |= {places[place]: failure for place, failure in reply.raised.items()}
        results = iter(whole["results"])
        whole["results"] = [
            _operation_result(answered[place]) if place in answered else next(results)
            for place in range(len(decisions))
        ]
        return EntityReply(json.dumps(whole), raised)

    def running_operation(self, entity_id: str) -> RunningOperation | None:
        return self._app.running_operation(entity_id)

    # -- other functions -------------------------------------------------------------------------------------

    async def invoke(self, call: FunctionCall) -> HttpReply | Failure | None:
        return await self._app.invoke(call)

    async def stream(self, call: StreamingCall, receive: Receive, send: Send) -> None:
        await self._app.stream(call, receive, send)

    # -- answers of stubs, on any thread but the host loop's --------------------------------------------------

    def _answer(self, answer: Callable[[], Any], call: tuple[str, str, str]) -> str:
        """What a stub answers, as JSON."""
        with self.calls.entered(*call):
            value = answer()
            if inspect.isawaitable(value):
                value = asyncio.run(_awaited(value))
            return to_json(value, f"the answer of the stub of {self.durable_name(call[1])}")

    def _outcome(self, answer: Callable[[], Any], call: tuple[str, str, str]) -> ActivityOutcome:
        try:
            return self._answer(answer, call)
        except BaseException as error:
            return describe_exception(error)

    def _replayed(self, stub: Stub, input: Any, call: tuple[str, str, str]) -> ReplayResult:
        try:
            return ReplayResult(is_done=True, output=json.loads(self._answer(stub._take(input), call)))
        except BaseException as error:
            return _failed(error)

    def durable_name(self, function: str) -> str:
        """`function`: an indexed name, or one that stubs know and the app does not, which stays as it is."""
        info = self._app.app.get(function)
        return info.durable_name if info else function


class _OutcomeListener:
    """An `ActivityListener` that passes the outcome on. That the activity has begun is known already."""

    def __init__(self, ended: _Ended) -> None:
        self._ended = ended

    def begun(self) -> None:
        pass

    def ended(self, outcome: ActivityOutcome, worker: int | None = None) -> None:
        self._ended(outcome)


def _value(text: str | None) -> Any:
    """A payload as a value; JSON in JSON is read twice, as the SDK does."""
    if text is None:
        return None
    try:
        return from_json(text)
    except ValueError:
        return text


def _started_with(trigger: dict[str, Any]) -> Any:
    value = trigger.get("input")
    value = _value(value) if isinstance(value, str) else value
    return _value(value) if isinstance(value, str) else value


def _raised(error: BaseException | type[BaseException]) -> Failure:
    try:
        raise error
    except BaseException as raised:
        return describe_exception(raised)


async def _awaited(value: Any) -> Any:
    return await value


def _failed(error: BaseException | type[BaseException]) -> ReplayResult:
    failure = _raised(error)
    return ReplayResult(error=failure.message, raised=failure)


def _operation_result(outcome: str | Failure) -> dict[str, Any]:
    is_error = isinstance(outcome, Failure)
    result = json.dumps(outcome.message) if isinstance(outcome, Failure) else outcome
    return {"isError": is_error, "duration": 0, "startTime": 0, "result": result}
