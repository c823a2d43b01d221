"""The app whose host is killed: every activity writes its marks to a file that outlives the process.

MARKS is that file, HOST_NUMBER the number of the host; activities that block end once the file RELEASE exists.
"""

import os
import time
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
Context = df.DurableOrchestrationContext
Orchestrator = Generator[Any, Any, Any]

_marks = os.open(os.environ["MARKS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
_host = os.environ["HOST_NUMBER"]
_release = Path(os.environ.get("RELEASE", os.devnull))


def mark(what: str, key: str) -> None:
    """One line, in one write: nothing is lost or torn when the process is killed."""
    os.write(_marks, f"{_host} {what} {key}\n".encode())


# -- activities ----------------------------------------------------------------------------------------------
@app.activity_trigger(input_name="key")
def work(key: str) -> str:
    """3 ms of work under a key that nothing else has."""
    mark("begin", key)
    time.sleep(0.003)
    mark("end", key)
    return f"Processed {key}"


@app.activity_trigger(input_name="key")
def block(key: str) -> str:
    mark("begin", key)
    while not _release.exists():
        time.sleep(0.003)
    return f"Released {key}"


@app.activity_trigger(input_name="key")
def flaky(key: str) -> str:
    """Succeeds at the third attempt."""
    attempts = Path(os.environ["MARKS"] + f".{key.replace('/', '.')}")
    with attempts.open("a") as file:
        file.write(".")
    if attempts.stat().st_size < 3:
        raise ValueError("not yet")
    return f"Finally {key}"


@app.activity_trigger(input_name="key")
def fail_once(key: str) -> str:
    first = Path(os.environ["MARKS"] + f".{key.replace('/', '.')}")
    if first.exists():
        return f"Again {key}"
    first.touch()
    mark("failed", key)
    raise ValueError("the first time")


# -- orchestrators -------------------------------------------------------------------------------------------
def keys(context: Context, count: int) -> list[str]:
    return [f"{context.instance_id}/{n}" for n in range(count)]


@app.orchestration_trigger(context_name="context")
def fan(context: Context) -> Orchestrator:
    return (
        yield context.task_all(
            [context.call_activity(work, key) for key in keys(context, context.get_input())]
        )
    )


@app.orchestration_trigger(context_name="context")
def chain(context: Context) -> Orchestrator:
    results = []
    for key in keys(context, context.get_input()):
        results.append((yield context.call_activity(work, key)))
        context.set_custom_status(len(results))
    return results


@app.orchestration_trigger(context_name="context")
def tree(context: Context) -> Orchestrator:
    """Children by generated ids and by given ones, each a fan."""
    children = [
        context.call_sub_orchestrator("fan", 4, f"{context.instance_id}-child" if n else None)
        for n in range(2)
    ]
    results = yield context.task_all(children)
    return [len(each) for each in results]


@app.orchestration_trigger(context_name="context")
def retried(context: Context) -> Orchestrator:
    options = df.RetryOptions(5, 5)
    return (yield context.call_activity_with_retry(flaky, options, f"{context.instance_id}/flaky"))


@app.orchestration_trigger(context_name="context")
def generations(context: Context) -> Orchestrator:
    number = context.get_input()
    yield context.call_activity(work, f"{context.instance_id}/{number}")
    if number < 5:
        context.continue_as_new(number + 1)
        return
    return f"generation {number}"


@app.orchestration_trigger(context_name="context")
def naps(context: Context) -> Orchestrator:
    for milliseconds in (20, 1, 40):
        yield context.create_timer(context.current_utc_datetime + timedelta(milliseconds=milliseconds))
    return (yield context.call_activity(work, f"{context.instance_id}/awake"))


@app.orchestration_trigger(context_name="context")
def counts(context: Context) -> Orchestrator:
    """Five operations on an entity of its own."""
    entity = df.EntityId("counter", context.instance_id)
    results = []
    for _ in range(5):
        results.append((yield context.call_entity(entity, "add", 1)))
    return results


@app.orchestration_trigger(context_name="context")
def hears(context: Context) -> Orchestrator:
    return (yield context.wait_for_external_event("go"))


# -- orchestrators that wait for the test -------------------------------------------------------------------------
@app.orchestration_trigger(context_name="context")
def blocks(context: Context) -> Orchestrator:
    """Two activities that end, and one that blocks; then an event, which may come early."""
    first, second, third = keys(context, 3)
    tasks = [context.call_activity(work, first), context.call_activity(work, second)]
    results = yield context.task_all([*tasks, context.call_activity(block, third)])
    return [*results, (yield context.wait_for_external_event("go"))]


@app.orchestration_trigger(context_name="context")
def sleeps(context: Context) -> Orchestrator:
    yield context.create_timer(context.current_utc_datetime + timedelta(seconds=context.get_input()))
    return "awake"


@app.orchestration_trigger(context_name="context")
def retries_later(context: Context) -> Orchestrator:
    options = df.RetryOptions(context.get_input() * 1000, 2)
    return (yield context.call_activity_with_retry(fail_once, options, f"{context.instance_id}/once"))


@app.orchestration_trigger(context_name="context")
def has_child(context: Context) -> Orchestrator:
    return (yield context.call_sub_orchestrator("hears", None, f"{context.instance_id}-child"))


@app.orchestration_trigger(context_name="context")
def rolls(context: Context) -> Orchestrator:
    """A generation for each event, until the event says stop."""
    number = context.get_input()
    context.set_custom_status(number)
    event = yield context.wait_for_external_event("next")
    if event == "stop":
        return number
    context.continue_as_new(number + 1)


@app.orchestration_trigger(context_name="context")
def asks(context: Context) -> Orchestrator:
    """An entity that blocks in the middle of its operation."""
    return (yield context.call_entity(df.EntityId("counter", context.instance_id), "block"))


@app.orchestration_trigger(context_name="context")
def holds_back(context: Context) -> Orchestrator:
    """What follows a failed task_all is held back until the rest of it has ended, and that blocks."""
    failing, blocking, following = keys(context, 3)
    try:
        yield context.task_all(
            [context.call_activity(fail_once, failing), context.call_activity(block, blocking)]
        )
    except Exception:
        context.set_custom_status("failed")
    return (yield context.call_activity(work, following))


# -- entities ------------------------------------------------------------------------------------------------
@app.entity_trigger(context_name="context")
def counter(context: df.DurableEntityContext) -> None:
    count = context.get_state(lambda: 0)
    if context.operation_name == "add":
        count += context.get_input()
    elif context.operation_name == "block":
        mark("begin", context.entity_key)
        while not _release.exists():
            time.sleep(0.003)
        count += 1
    context.set_state(count)
    context.set_result(count)
