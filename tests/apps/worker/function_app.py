"""The app of the worker's tests. Its functions stop at the gates that a test opens (`tests/support/gates.py`)."""

import asyncio
import threading
from collections.abc import Generator
from datetime import timedelta
from typing import Any

import azure.durable_functions as df
import azure.functions as func

from tests.support import gates

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
Context = df.DurableOrchestrationContext
Orchestrator = Generator[Any, Any, Any]


# -- activities ----------------------------------------------------------------------------------------------
@app.activity_trigger(input_name="value")
def echo(value):  # type: ignore[no-untyped-def]  # before Python 3.11 the worker takes no Any here
    return value


@app.activity_trigger(input_name="gate")
def stop(gate: str) -> str:
    gates.stop_at(gate)
    return gate


@app.activity_trigger(input_name="gate")
async def stop_async(gate: str) -> list[int]:
    await gates.stop_at_async(gate)
    return [threading.get_ident(), id(asyncio.get_running_loop())]


@app.activity_trigger(input_name="text")
def fail(text: str) -> None:
    raise ValueError(text)


@app.activity_trigger(input_name="gate")
def stop_and_fail(gate: str) -> None:
    gates.stop_at(gate)
    raise ValueError(gate)


LEAVING = {
    "exit": lambda: SystemExit(3),
    "interrupt": KeyboardInterrupt,
    "close": GeneratorExit,
    "stop": lambda: StopIteration("done"),
    "base": lambda: BaseException("of its own"),
}


@app.activity_trigger(input_name="how")
def leave(how: str) -> None:
    raise LEAVING[how]()


@app.activity_trigger(input_name="how")
async def leave_async(how: str) -> None:
    raise LEAVING[how]()


@app.activity_trigger(input_name="value")
def riddle(value: str) -> dict:  # type: ignore[type-arg]
    """What the SDK takes for an object to build again, of a class that there is not."""
    return {"__class__": "X", "__module__": "nowhere", "__data__": "1"}


# -- orchestrators: shapes -----------------------------------------------------------------------------------
@app.orchestration_trigger(context_name="context")
def fan(context: Context) -> Orchestrator:
    """{"activity": name, "inputs": list} -> the results."""
    asked = context.get_input()
    return (yield context.task_all([context.call_activity(asked["activity"], i) for i in asked["inputs"]]))


@app.orchestration_trigger(context_name="context")
def steps(context: Context) -> Orchestrator:
    """[[activity, input], ...] in turn -> the results, an exception's class for a failure."""
    results = []
    for activity, value in context.get_input():
        try:
            results.append((yield context.call_activity(activity, value)))
        except Exception as error:
            results.append(f"{type(error).__name__}: {error}".split(" \n")[0])
    return results


@app.orchestration_trigger(context_name="context")
def waits(context: Context) -> Orchestrator:
    """One event for each name -> the events."""
    events = []
    for name in context.get_input():
        events.append((yield context.wait_for_external_event(name)))
    return events


@app.orchestration_trigger(context_name="context")
def steps_and_event(context: Context) -> Orchestrator:
    """So many activities in turn, then the event "go"."""
    results = []
    for number in range(context.get_input()):
        results.append((yield context.call_activity("echo", number)))
    return [*results, (yield context.wait_for_external_event("go"))]


@app.orchestration_trigger(context_name="context")
def event_and_step(context: Context) -> Orchestrator:
    """The event "go", then one activity."""
    yield context.wait_for_external_event("go")
    return (yield context.call_activity("echo", 1))


@app.orchestration_trigger(context_name="context")
def waits_for_both(context: Context) -> Orchestrator:
    return (yield context.task_all([context.wait_for_external_event(name) for name in ("left", "right")]))


@app.orchestration_trigger(context_name="context")
def one_of(context: Context) -> Orchestrator:
    """An activity at a gate, or the event "go", whatever is first; then an echo."""
    task = context.call_activity("stop", context.get_input())
    event = context.wait_for_external_event("go")
    winner = yield context.task_any([task, event])
    return [winner.result, (yield context.call_activity("echo", "after"))]


@app.orchestration_trigger(context_name="context")
def parent(context: Context) -> Orchestrator:
    """{"child": name, "input": ..., "id": ..., "version": ...} -> the child's result, or how its call failed."""
    asked = context.get_input()
    try:
        return (
            yield context.call_sub_orchestrator(
                asked["child"], asked.get("input"), asked.get("id"), asked.get("version")
            )
        )
    except Exception as error:
        return f"failed: {error}"


@app.orchestration_trigger(context_name="context")
def rolls(context: Context) -> Orchestrator:
    """Adds one, waits for "next", goes on as new; ends at {"until": n}."""
    state = context.get_input()
    context.set_custom_status(state["at"])
    if state["at"] >= state["until"]:
        return state["at"]
    yield context.call_activity("echo", state["at"])
    yield context.wait_for_external_event("next")
    context.continue_as_new({**state, "at": state["at"] + 1})


@app.orchestration_trigger(context_name="context")
def window(context: Context) -> Orchestrator:
    """A sliding window over the gates in the input, two wide."""
    waiting = [context.call_activity("stop", gate) for gate in context.get_input()]
    running = [waiting.pop(0), waiting.pop(0)]
    results = []
    while running:
        done = yield context.task_any(running)
        running.remove(done)
        results.append(done.result)
        if waiting:
            running.append(waiting.pop(0))
    return results


@app.orchestration_trigger(context_name="context")
def window_and_event(context: Context) -> Orchestrator:
    """An activity at a gate, with the event "go" held back behind it."""
    yield context.task_any([context.call_activity("echo", 1), context.call_activity("stop", "slow")])
    try:
        yield context.task_all([context.call_activity("fail", "no"), context.call_activity("stop", "slow")])
    except Exception:
        pass
    return (yield context.wait_for_external_event("go"))


@app.orchestration_trigger(context_name="context")
def retries(context: Context) -> Orchestrator:
    """{"gate"?, "milliseconds", "attempts"} -> how the last attempt failed."""
    asked = context.get_input()
    options = df.RetryOptions(asked["milliseconds"], asked["attempts"])
    try:
        yield context.call_activity_with_retry(asked.get("activity", "fail"), options, asked["text"])
    except Exception as error:
        return f"failed: {error}".split(" \n")[0]


@app.orchestration_trigger(context_name="context")
def sleeps(context: Context) -> Orchestrator:
    """One timer of so many seconds."""
    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=context.get_input()))
    return "woke"


@app.orchestration_trigger(context_name="context")
def cancels(context: Context) -> Orchestrator:
    """{"seconds", "gate"?} -> what a timer, cancelled at once, brings: alone, or beside an activity at the gate."""
    asked = context.get_input()
    timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=asked["seconds"]))
    timer.cancel()
    if "gate" not in asked:
        yield timer
        return "woke"
    slow = context.call_activity("stop", asked["gate"])
    winner = yield context.task_any([slow, timer])
    return [winner is timer, (yield context.call_activity("echo", "next"))]


@app.orchestration_trigger(context_name="context")
def cancels_later(context: Context) -> Orchestrator:
    """A timer, cancelled an episode after it was made; then the timer itself, if the input says so."""
    timer = context.create_timer(
        context.current_utc_datetime + timedelta(seconds=context.get_input()["seconds"])
    )
    yield context.task_any([timer, context.call_activity("echo", 1)])
    timer.cancel()
    if context.get_input()["yielded"]:
        yield timer
    return "done"


@app.orchestration_trigger(context_name="context")
def sleeps_or_hears(context: Context) -> Orchestrator:
    """An hour (or `seconds`), or the event "go"; the timer is then cancelled, and one more event waited for."""
    seconds = (context.get_input() or {}).get("seconds", 3600)
    timer = context.create_timer(context.current_utc_datetime + timedelta(seconds=seconds))
    yield context.task_any([timer, context.wait_for_external_event("go")])
    timer.cancel()
    return (yield context.wait_for_external_event("end"))


@app.orchestration_trigger(context_name="context")
def leaves_open(context: Context) -> Orchestrator:
    """Returns with a timer open that nobody cancelled."""
    timer = context.create_timer(context.current_utc_datetime + timedelta(hours=1))
    yield context.task_any([timer, context.call_activity("echo", 1)])
    return "done"


@app.orchestration_trigger(context_name="context")
def leaves_call_open(context: Context) -> Orchestrator:
    """Returns at the event "go", with an activity at a gate open."""
    event = context.wait_for_external_event("go")
    yield context.task_any([event, context.call_activity("stop", context.get_input())])
    return "done"


@app.orchestration_trigger(context_name="context")
def remarks(context: Context) -> Orchestrator:
    """Notes at each replay whether it is one."""
    gates.note("remark", context.is_replaying)
    return (yield context.wait_for_external_event("go"))


@app.orchestration_trigger(context_name="context")
def calls_entity(context: Context) -> Orchestrator:
    """{"entity", "key", "operation", "input"} -> the answer, or how the call failed."""
    asked = context.get_input()
    entity = df.EntityId(asked["entity"], asked["key"])
    try:
        return (yield context.call_entity(entity, asked["operation"], asked.get("input")))
    except Exception as error:
        return f"failed: {error}"


@app.orchestration_trigger(context_name="context")
def calls_http(context: Context) -> Orchestrator:
    response = yield context.call_http("GET", context.get_input())
    return response


# -- orchestrators: code that misbehaves ---------------------------------------------------------------------
@app.orchestration_trigger(context_name="context")
def leaves(context: Context) -> Orchestrator:
    """Raises in its first episode, or behind an activity."""
    asked = context.get_input()
    if asked["after"]:
        yield context.call_activity("echo", 1)
    raise LEAVING[asked["how"]]()


@app.orchestration_trigger(context_name="context")
def spins(context: Context) -> Orchestrator:
    """Never ends, nor yields what would let anybody else in, until its gate is open."""
    yield context.call_activity("echo", 1)
    gates.note("spins", context.instance_id)
    while not gates.is_open("spin"):
        pass
    return "ended after all"


@app.orchestration_trigger(context_name="context")
def pauses(context: Context) -> Orchestrator:
    """Stands at the gate "episode" in the middle of every episode, then goes on with an activity."""
    gates.stop_at("episode", context.instance_id)
    first = yield context.call_activity("stop", "work")
    second = yield context.wait_for_external_event("go")
    return [context.get_input(), first, second]


@app.orchestration_trigger(context_name="context")
def ends(context: Context) -> Any:
    """Stands at the gate "ending", then returns its input."""
    gates.stop_at("ending", context.get_input())
    return context.get_input()


@app.orchestration_trigger(context_name="context")
def parent_in_pause(context: Context) -> Orchestrator:
    """Stands at the gate "parent", then calls a child of the id in its input, that waits for an event."""
    gates.stop_at("parent")
    try:
        return (yield context.call_sub_orchestrator("waits", ["go"], context.get_input()))
    except Exception as error:
        return f"failed: {error}"


@app.orchestration_trigger(context_name="context")
def rolls_on(context: Context) -> Any:
    """Stands at the gate "rolling", then goes on as new, up to 5."""
    number = context.get_input()
    gates.stop_at("rolling", number)
    if number >= 5:
        return number
    context.continue_as_new(number + 1)


@app.orchestration_trigger(context_name="context")
def renews(context: Context) -> Orchestrator:
    """Waits for "go" or a short timer, goes on as new, and waits for "end" or a long one: what came of that."""
    renewed = context.get_input()
    patience = timedelta(hours=1) if renewed else timedelta(milliseconds=300)
    tick = context.create_timer(context.current_utc_datetime + patience)
    event = context.wait_for_external_event("end" if renewed else "go")
    winner = yield context.task_any([tick, event])
    if winner is event:
        tick.cancel()
    if renewed:
        return "event" if winner is event else "timer"
    if winner is event:
        gates.stop_at("episode")
    context.continue_as_new(winner is event)
    return None


@app.orchestration_trigger(context_name="context")
def remarks_anew(context: Context) -> Orchestrator:
    """Goes on as new at the event "go", in the middle of which it stands at a gate.

    Its second generation notes at each replay whether it is one, and returns the next "go".
    """
    if context.get_input():
        gates.note("remark", context.is_replaying)
        return (yield context.wait_for_external_event("go"))
    context.set_custom_status("first")
    yield context.wait_for_external_event("go")
    gates.stop_at("episode")
    context.continue_as_new(True)


@app.orchestration_trigger(context_name="context")
def changes(context: Context) -> Orchestrator:
    """Its code is another one once the gate "changed" is open."""
    activity = "fail" if gates.is_open("changed") else "echo"
    yield context.call_activity(activity, "one")
    return (yield context.wait_for_external_event("go"))


@app.orchestration_trigger(context_name="context")
def stands_and_fails(context: Context) -> Orchestrator:
    """Behind the event "go" it stands at a gate, and raises unless the gate "changed" is open by then."""
    yield context.wait_for_external_event("go")
    gates.stop_at("failing")
    if not gates.is_open("changed"):
        raise ValueError("not changed")
    return "changed"


@app.orchestration_trigger(context_name="context")
def boasts(context: Context) -> Orchestrator:
    """A custom status that is too big, behind an activity."""
    yield context.call_activity("echo", 1)
    context.set_custom_status("x" * 20_000)
    return (yield context.wait_for_external_event("go"))


@app.orchestration_trigger(context_name="context")
def quotes(context: Context) -> Orchestrator:
    """Raises a message that the extension would take apart."""
    yield context.call_activity("echo", 1)
    raise ValueError("before\nStack: in the message itself")


@app.orchestration_trigger(context_name="context")
def rebuilds(context: Context) -> Orchestrator:
    return (yield context.call_activity("riddle"))


# -- orchestrators: values that would be mixed up -----------------------------------------------------------------
@app.orchestration_trigger(context_name="context")
def mixes_retries(context: Context) -> Orchestrator:
    options = df.RetryOptions(1, 3)
    try:
        yield context.task_all(
            [
                context.call_activity("fail", "at once"),
                context.call_activity_with_retry("fail", options, "retried"),
            ]
        )
    except Exception:
        pass
    return (yield context.call_activity("echo", "next"))


@app.orchestration_trigger(context_name="context")
def mixes_compounds(context: Context) -> Orchestrator:
    first, second = context.call_activity("echo", "a"), context.call_activity("echo", "b")
    both = context.task_all([first, second])
    yield first
    return (yield both)


@app.orchestration_trigger(context_name="context")
def mixes_twice(context: Context) -> Orchestrator:
    task = context.call_activity("echo", "once")
    return (yield context.task_all([task, task]))


@app.orchestration_trigger(context_name="context")
def settles(context: Context) -> Orchestrator:
    """The pattern that the host recommends instead of `mixes_retries`."""
    options = df.RetryOptions(1, 3)
    tasks = [
        context.call_activity("fail", "at once"),
        context.call_activity_with_retry("fail", options, "retried"),
    ]
    try:
        yield context.task_all(tasks)
    except Exception:
        pass
    for task in tasks:
        try:
            yield task
        except Exception:
            pass
    return (yield context.call_activity("echo", "next"))


# -- entities ------------------------------------------------------------------------------------------------
@app.entity_trigger(context_name="context")
def counter(context: df.DurableEntityContext) -> None:
    """add, get, stop (at the gate of the input, then add one), and what cannot be answered."""
    count = context.get_state(lambda: 0)
    operation = context.operation_name
    if operation == "add":
        count += context.get_input()
    elif operation == "stop":
        gates.stop_at(context.get_input(), context.entity_key)
        count += 1
    elif operation == "unspeakable":
        context.set_result(object())
        return
    elif operation == "leave":
        raise SystemExit("an entity that wants to go")
    context.set_state(count)
    context.set_result(count)


@app.orchestration_trigger(context_name="context")
def sleeps_until_999(context: Context) -> Orchestrator:
    """A timer that was due long ago, in a year of three digits."""
    yield context.create_timer(context.current_utc_datetime.replace(year=999))
    return "woke"
