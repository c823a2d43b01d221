"""The floor: what the SDK itself must spend on a case, with no engine around it.

A case's floor is the fewest replays with which any host can run it, each through the function that
`azure-functions-durable` registers for the orchestrator of `app/`, fed with the trigger JSON that the
extension would send:

- everything that waits for a set (fan-out, settled, retried, timers, drain): two replays, the one that
  schedules and the one that sees every completion;
- a chain or a loop of n steps: two replays of its whole history, one while it runs and one before its end counts;
- entities: those two replays and one batch for each entity.

In it: making each history event a dict and JSON text once, joining the texts into the trigger JSON, the
SDK's reading, replaying and answering. Not in it: activities, storage, HTTP, threads, reading the answer.
Outputs are checked, outside the measured time. The shapes of the events are those of the extension 3.x.

With `--inside`, what the SDK takes of that inside dfhost: the same replays with the caches of
`dfhost/app/sdk_patches.py` and with dfhost's timestamps. What the host takes beyond that is its own.

Runs as a process of its own: a line of JSON in (`{"case": "fan_out", "input": {"n": 5}, "times": 3}`), one
out (`{"seconds": median}`).
"""

import importlib.util
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Generator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.worker import serve

APP = Path(__file__).with_name("app") / "function_app.py"
INSTANCE, EXECUTION = "0" * 32, "00000000-0000-4000-8000-000000000000"
Replay = Callable[[str], str]


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f0Z")


class History:
    """A history that grows: each method appends one event. `trigger()` is what the SDK is handed."""

    def __init__(self, name: str, input: Any) -> None:
        self.input = json.dumps(json.dumps(input))
        self.events: list[str] = []
        self.started()
        self._add(
            OrchestrationInstance={"InstanceId": INSTANCE, "ExecutionId": EXECUTION},
            EventType=0,
            ParentInstance=None,
            Name=name,
            Version=None,
            Input=self.input,
            Tags=None,
            Correlation=None,
            ParentTraceContext=None,
            ScheduledStartTime=None,
            Generation=0,
            GenerateNewTrace=False,
        )

    def _add(self, EventId: int = -1, **fields: Any) -> None:
        self.events.append(json.dumps({**fields, "EventId": EventId, "IsPlayed": False, "Timestamp": _now()}))

    def started(self) -> None:
        self._add(EventType=12)

    def next_episode(self) -> None:
        self._add(EventType=13)
        self.started()

    def task_scheduled(self, id: int, name: str) -> None:
        self._add(id, EventType=4, Name=name, Version="", Input=None, ParentTraceContext=None, Tags=None)

    def task_completed(self, id: int, result: Any) -> None:
        self._add(EventType=5, TaskScheduledId=id, Result=json.dumps(result))

    def task_failed(self, id: int, reason: str) -> None:
        self._add(EventType=6, TaskScheduledId=id, Reason=reason, Details="{}", FailureDetails=None)

    def child_created(self, id: int, name: str) -> None:
        self._add(
            id, EventType=7, Name=name, Version=None, InstanceId=f"{EXECUTION}:{id}", Input=None, Tags=None
        )

    def child_completed(self, id: int, result: Any) -> None:
        self._add(EventType=8, TaskScheduledId=id, Result=json.dumps(result))

    def timer_created(self, id: int) -> None:
        self._add(id, EventType=10, FireAt=_now())

    def timer_fired(self, id: int) -> None:
        self._add(EventType=11, TimerId=id, FireAt=_now())

    def event_sent(self, id: int, entity: str, request: dict[str, Any]) -> None:
        self._add(id, EventType=14, InstanceId=entity, Name="op", Input=json.dumps(request))

    def event_raised(self, name: str, input: Any) -> None:
        self._add(EventType=15, Name=name, Input=json.dumps(input), ParentTraceContext=None)

    def trigger(self, replaying: bool) -> str:
        return (
            f'{{"history":[{",".join(self.events)}],"input":{self.input},"instanceId":"{INSTANCE}",'
            f'"isReplaying":{json.dumps(replaying)},"parentInstanceId":null,'
            '"upperSchemaVersion":1,"upperSchemaVersionNew":3,'
            '"longRunningTimerIntervalDuration":"3.00:00:00","maximumShortTimerDuration":"6.00:00:00",'
            '"defaultHttpAsyncRequestSleepTimeMillseconds":30000}'
        )


# -- the cases: each runs its replays and returns the last answer --------------------------------------------
def _together(
    replay: Replay, history: History, schedule: Callable[[], None], complete: Callable[[], None]
) -> str:
    replay(history.trigger(replaying=False))
    schedule()
    history.next_episode()
    complete()
    return replay(history.trigger(replaying=True))


def _fan_out(app: dict[str, Replay], case: str, input: Any) -> str:
    history, ids = History(case, input), range(input["n"])
    return _together(
        app[case],
        history,
        lambda: _each(ids, lambda i: history.task_scheduled(i, "process_item")),
        lambda: _each(ids, lambda i: history.task_completed(i, f"Processed item-{i + 1}")),
    )


def _chain(app: dict[str, Replay], case: str, input: Any) -> str:
    history = History(case, input)
    for i in range(input["n"]):
        history.task_scheduled(i, "process_item")
        history.next_episode()
        history.task_completed(i, f"Processed item-{i + 1}")
    return _twice(app[case], history)


def _loop_of_timers(app: dict[str, Replay], case: str, input: Any) -> str:
    history = History(case, input)
    for i in range(input["n"]):
        history.timer_created(i)
        history.next_episode()
        history.timer_fired(i)
    return _twice(app[case], history)


def _loop_of_events(app: dict[str, Replay], case: str, input: Any) -> str:
    history = History(case, input)
    for i in range(input["n"]):
        history.task_scheduled(i, "raise_go")
        history.next_episode()
        history.event_raised("go", 1)
        history.task_completed(i, None)
    return _twice(app[case], history)


def _loop_of_entity_calls(app: dict[str, Replay], case: str, input: Any) -> str:
    history, key = History(case, input), INSTANCE
    for i in range(input["n"]):
        get = {"op": "get", "input": '"0"', "id": f"{i}", "parent": INSTANCE, "parentExecution": EXECUTION}
        history.event_sent(i, f"@counter@{key}", get)
        history.next_episode()
        history.event_raised(f"{i}", {"result": "0"})
    return _twice(app[case], history)


def _loop_of_children(app: dict[str, Replay], case: str, input: Any) -> str:
    history = History(case, input)
    for i in range(input["n"]):
        history.child_created(i, "nothing")
        history.next_episode()
        history.child_completed(i, None)
    return _twice(app[case], history)


def _twice(replay: Replay, history: History) -> str:
    replay(history.trigger(replaying=True))
    return replay(history.trigger(replaying=True))


def _settled(app: dict[str, Replay], case: str, input: Any) -> str:
    history, ids = History(case, input), range(input["n"])

    def complete(i: int) -> None:
        if (i + 1) % 100 == 0:
            history.task_failed(i, f"Activity function 'fail_hundredth' failed: item {i + 1} fails")
        else:
            history.task_completed(i, i + 1)

    return _together(
        app[case],
        history,
        lambda: _each(ids, lambda i: history.task_scheduled(i, "fail_hundredth")),
        lambda: _each(ids, complete),
    )


def _retried(app: dict[str, Replay], case: str, input: Any) -> str:
    """Failures first, then their timers, then the second attempts: ids are taken in that order."""
    history, count = History(case, input), input["n"]
    failing = range(4, count, 5)

    def complete() -> None:
        for i in range(count):
            if i in failing:
                history.task_failed(i, f"Activity function 'fail_fifth_once' failed: item {i + 1} fails once")
            else:
                history.task_completed(i, i + 1)
        for order in range(len(failing)):
            history.timer_created(count + order)
        for order in range(len(failing)):
            history.timer_fired(count + order)
        for order in range(len(failing)):
            history.task_scheduled(count + len(failing) + order, "fail_fifth_once")
        for order, i in enumerate(failing):
            history.task_completed(count + len(failing) + order, i + 1)

    return _together(
        app[case],
        history,
        lambda: _each(range(count), lambda i: history.task_scheduled(i, "fail_fifth_once")),
        complete,
    )


def _timers(app: dict[str, Replay], case: str, input: Any) -> str:
    history, ids = History(case, input), range(input["n"])
    return _together(
        app[case],
        history,
        lambda: _each(ids, history.timer_created),
        lambda: _each(ids, history.timer_fired),
    )


def _entities(app: dict[str, Replay], case: str, input: Any) -> str:
    history, count, signals = History(case, input), input["n"], input["signals"]
    add = {"op": "add", "signal": True, "input": '"1"', "id": EXECUTION, "parent": INSTANCE}
    keys = [f"{INSTANCE}-{i}" for i in range(count)]

    def schedule() -> None:
        for id in range(count * signals):
            history.event_sent(id, f"@counter@{keys[id % count]}", add)
        for i, key in enumerate(keys):
            get = {"op": "get", "input": '"0"', "id": key, "parent": INSTANCE, "parentExecution": EXECUTION}
            history.event_sent(count * signals + i, f"@counter@{key}", get)

    def complete() -> None:
        operations = [{"name": "add", "input": '"1"', "isSignal": True, "id": EXECUTION}] * signals
        operations.append({"name": "get", "input": '"0"', "isSignal": False, "id": EXECUTION})
        for key in keys:
            batch = {"self": {"name": "counter", "key": key}, "exists": False, "state": None}
            reply = json.loads(app["counter"](json.dumps({**batch, "batch": operations})))
            history.event_raised(key, {"result": reply["results"][-1]["result"]})

    return _together(app[case], history, schedule, complete)


def _each(ids: range, event: Callable[[int], None]) -> None:
    for i in ids:
        event(i)


CASES: dict[str, Callable[[dict[str, Replay], str, Any], str]] = {
    "fan_out": _fan_out,
    "drain": _fan_out,
    "chain": _chain,
    "loop_of_timers": _loop_of_timers,
    "loop_of_events": _loop_of_events,
    "loop_of_entity_calls": _loop_of_entity_calls,
    "loop_of_children": _loop_of_children,
    "settled": _settled,
    "retried": _retried,
    "timers": _timers,
    "entities": _entities,
}


# -- the process ---------------------------------------------------------------------------------------------
def load_app() -> dict[str, Replay]:
    """Function name -> what the Functions worker would call for it."""
    spec = importlib.util.spec_from_file_location("function_app", APP)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return {f.get_function_name(): f.get_user_function() for f in module.app.get_functions()}


def measure() -> Generator[dict[str, Any], dict[str, Any], None]:
    """Answer each question with the median of `times` runs, their sum, and the output of the last."""
    warnings.simplefilter("ignore")
    app = load_app()
    request = yield {"ready": True}
    while True:
        times = []
        for _ in range(request.get("times", 1)):
            began = time.perf_counter()
            answer = CASES[request["case"]](app, request["case"], request["input"])
            times.append(time.perf_counter() - began)
        state = json.loads(answer)
        assert state["isDone"], f"the hand-written history of {request['case']} does not end it"
        request = yield {
            "seconds": statistics.median(times),
            "all": sum(times),
            "output": state.get("output"),
        }


if __name__ == "__main__":
    if "--inside" in sys.argv:
        from dfhost.app.sdk_patches import install_replay_caches
        from dfhost.clock import Clock

        install_replay_caches()
        _now = Clock().timestamp
    serve(measure)
