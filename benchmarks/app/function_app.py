"""The app that is measured: one orchestrator a case, the smallest activities there can be.

It is an ordinary Azure Functions app, so any host that serves it can be measured with the same client.
`POST /api/run/{case}` starts the orchestrator of that name with the body as its input; the output of each
is something the client can check item by item.
"""

import asyncio
import json
import os
import time
from pathlib import Path

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp()

HOST_JSON = Path(__file__).with_name("host.json")


# -- doors ---------------------------------------------------------------------------------------------------
@app.route(route="run/{case}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def run(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    """Start one orchestration: 202 and its status URLs."""
    instance_id = await client.start_new(req.route_params["case"], client_input=req.get_json())
    return client.create_check_status_response(req, instance_id)


@app.route(route="about", methods=["GET"])
async def about(req: func.HttpRequest) -> func.HttpResponse:
    """What bounds the sleepers: activities at once by host.json; for plain ones also the threads of the pool."""
    settings = json.loads(HOST_JSON.read_text())["extensions"]["durableTask"]
    # The Functions host sets this variable to 1,000 for its worker, unless it is set.
    threads = os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT")
    return func.HttpResponse(
        json.dumps(
            {
                "activities": settings["maxConcurrentActivityFunctions"],
                "threads": int(threads or 1000),
            }
        ),
        mimetype="application/json",
    )


# -- orchestrators -------------------------------------------------------------------------------------------
@app.orchestration_trigger(context_name="context")
def fan_out(context: df.DurableOrchestrationContext):
    """n items at once, gathered in order."""
    items = [f"item-{i}" for i in range(1, context.get_input()["n"] + 1)]
    if not items:
        return []
    return (yield context.task_all([context.call_activity("process_item", item) for item in items]))


@app.orchestration_trigger(context_name="context")
def chain(context: df.DurableOrchestrationContext):
    """n steps, one after the other."""
    results = []
    for i in range(1, context.get_input()["n"] + 1):
        results.append((yield context.call_activity("process_item", f"item-{i}")))
    return results


@app.orchestration_trigger(context_name="context")
def loop_of_timers(context: df.DurableOrchestrationContext):
    """n timers that are due at once, one after the other."""
    count = context.get_input()["n"]
    for _ in range(count):
        yield context.create_timer(context.current_utc_datetime)
    return count


@app.orchestration_trigger(context_name="context")
def loop_of_events(context: df.DurableOrchestrationContext):
    """n external events, one after the other; an activity raises each."""
    count = context.get_input()["n"]
    for _ in range(count):
        go = context.wait_for_external_event("go")
        yield context.task_all([go, context.call_activity("raise_go", context.instance_id)])
    return count


@app.orchestration_trigger(context_name="context")
def loop_of_entity_calls(context: df.DurableOrchestrationContext):
    """n calls of one counter, one after the other."""
    count = context.get_input()["n"]
    counter = df.EntityId("counter", context.instance_id)
    for _ in range(count):
        yield context.call_entity(counter, "get", 0)
    return count


@app.orchestration_trigger(context_name="context")
def loop_of_children(context: df.DurableOrchestrationContext):
    """n sub-orchestrations, one after the other."""
    count = context.get_input()["n"]
    for _ in range(count):
        yield context.call_sub_orchestrator("nothing")
    return count


@app.orchestration_trigger(context_name="context")
def nothing(context: df.DurableOrchestrationContext):
    """It ends at once."""
    return None


@app.orchestration_trigger(context_name="context")
def drain(context: df.DurableOrchestrationContext):
    """n items at once, each taken as it comes: task_any over those that are left."""
    count = context.get_input()["n"]
    pending = [context.call_activity("process_item", f"item-{i}") for i in range(1, count + 1)]
    results = []
    while pending:
        winner = yield context.task_any(pending)
        pending.remove(winner)
        results.append(winner.result)
    return sorted(results, key=lambda text: int(text.rpartition("-")[2]))


@app.orchestration_trigger(context_name="context")
def settled(context: df.DurableOrchestrationContext):
    """n items of which every hundredth fails; the others' results are kept, in order."""
    count = context.get_input()["n"]
    tasks = [context.call_activity("fail_hundredth", i) for i in range(1, count + 1)]
    try:
        yield context.task_all(tasks)
    except Exception:
        pass
    for task in tasks:
        # Only what is still open: the SDK goes one call deeper for each task that is yielded when it is done already,
        # and a late one before a thousand of them would be too deep for Python.
        if not task.is_completed:
            try:
                yield task
            except Exception:
                pass
    return [None if isinstance(task.result, Exception) else task.result for task in tasks]


@app.orchestration_trigger(context_name="context")
def retried(context: df.DurableOrchestrationContext):
    """n items of which every fifth fails once and is tried again."""
    count = context.get_input()["n"]
    retry = df.RetryOptions(first_retry_interval_in_milliseconds=1, max_number_of_attempts=3)
    return (
        yield context.task_all(
            [
                context.call_activity_with_retry(
                    "fail_fifth_once", retry, {"run": context.instance_id, "item": i}
                )
                for i in range(1, count + 1)
            ]
        )
    )


@app.orchestration_trigger(context_name="context")
def timers(context: df.DurableOrchestrationContext):
    """n timers that are due at once, so that only their handling takes time."""
    count = context.get_input()["n"]
    yield context.task_all([context.create_timer(context.current_utc_datetime) for _ in range(count)])
    return count


@app.orchestration_trigger(context_name="context")
def entities(context: df.DurableOrchestrationContext):
    """`signals` to each of n counters, whose values are then asked for: after them, as order is kept."""
    body = context.get_input()
    counters = [df.EntityId("counter", f"{context.instance_id}-{i}") for i in range(body["n"])]
    for _ in range(body["signals"]):
        for counter in counters:
            context.signal_entity(counter, "add", 1)
    return (yield context.task_all([context.call_entity(counter, "get", 0) for counter in counters]))


@app.orchestration_trigger(context_name="context")
def sleepers(context: df.DurableOrchestrationContext):
    """n activities that only wait, `kind` async or sync."""
    body = context.get_input()
    activity = f"sleep_{body['kind']}"
    yield context.task_all([context.call_activity(activity, body["seconds"]) for _ in range(body["n"])])
    return body["n"]


@app.orchestration_trigger(context_name="context")
def crowd(context: df.DurableOrchestrationContext):
    """n orchestrations that wait, each under a name that can be told from outside."""
    count = context.get_input()["n"]
    ids = [f"{context.instance_id}-{i}" for i in range(count)]
    yield context.task_all([context.call_sub_orchestrator("waiting", None, id) for id in ids])
    return count


@app.orchestration_trigger(context_name="context")
def waiting(context: df.DurableOrchestrationContext):
    """Until somebody says go."""
    return (yield context.wait_for_external_event("go"))


# -- activities and an entity --------------------------------------------------------------------------------
@app.activity_trigger(input_name="payload")
def process_item(payload: str) -> str:
    return f"Processed {payload}"


@app.activity_trigger(input_name="instance")
@app.durable_client_input(client_name="client")
async def raise_go(instance: str, client: df.DurableOrchestrationClient) -> None:
    await client.raise_event(instance, "go", 1)


@app.activity_trigger(input_name="item")
def fail_hundredth(item: int) -> int:
    if item % 100 == 0:
        raise ValueError(f"item {item} fails")
    return item


_failed_once: set[tuple[str, int]] = set()


@app.activity_trigger(input_name="payload")
def fail_fifth_once(payload: dict) -> int:
    """Remembers in this process which item has had its failure: enough for a host of one process."""
    key = payload["run"], payload["item"]
    if payload["item"] % 5 == 0 and key not in _failed_once:
        _failed_once.add(key)
        raise ValueError(f"item {payload['item']} fails once")
    _failed_once.discard(key)
    return payload["item"]


@app.activity_trigger(input_name="seconds")
async def sleep_async(seconds: float) -> None:
    await asyncio.sleep(seconds)


@app.activity_trigger(input_name="seconds")
def sleep_sync(seconds: float) -> None:
    time.sleep(seconds)


@app.entity_trigger(context_name="context")
def counter(context: df.DurableEntityContext) -> None:
    value = context.get_state(lambda: 0)
    if context.operation_name == "add":
        context.set_state(value + context.get_input())
    else:
        context.set_result(value)
