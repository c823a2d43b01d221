"""Functions that end their process, hang, print and compute. Files in the folder `SCRATCH` say what ran."""

from __future__ import annotations

import asyncio
import ctypes
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
scratch = Path(os.environ.get("SCRATCH", "."))


def end_process(how: str) -> str:
    match how:
        case "os._exit":
            os._exit(3)
        case "SystemExit":
            sys.exit(3)
        case "KeyboardInterrupt":
            raise KeyboardInterrupt
        case "segfault":
            ctypes.string_at(0)
        case "SIGKILL":
            os.kill(os.getpid(), signal.SIGKILL)
        case "memory":
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (400_000_000, 400_000_000))
            bytearray(1_000_000_000)
        case "hang":
            time.sleep(60)
        case "spin":
            while True:
                pass
    return how


def attempts(name: str) -> int:
    """How often this was called with `name`, in whatever process."""
    with open(scratch / f"{name}.attempts", "a+b") as file:
        file.write(b".")
        file.flush()
        return os.fstat(file.fileno()).st_size


@app.activity_trigger(input_name="how")
def die(how: str) -> str:
    return end_process(how)


@app.activity_trigger(input_name="how")
async def die_async(how: str) -> str:
    return end_process(how)


@app.activity_trigger(input_name="name")
def die_once(name: str) -> str:
    if attempts(name) == 1:
        os._exit(3)
    return "second attempt"


def hang_once(name: str) -> str:
    if attempts(name) == 1:
        time.sleep(60)
    return f"{name} again"


@app.activity_trigger(input_name="name")
def hangs_once(name: str) -> str:
    return hang_once(name)


def until_exists(name: str) -> str:
    (scratch / f"{name}.waits").touch()
    while not (scratch / name).exists():
        time.sleep(0.005)
    return name


@app.activity_trigger(input_name="name")
def wait_for_file(name: str) -> str:
    return until_exists(name)


@app.activity_trigger(input_name="x")
def echo(x: object) -> object:
    return x


@app.activity_trigger(input_name="n")
def process_id(n: int) -> int:
    time.sleep(0.01)
    return os.getpid()


@app.orchestration_trigger(context_name="context")
def call(context: df.DurableOrchestrationContext):
    name, value = context.get_input()
    return (yield context.call_activity(name, value))


@app.orchestration_trigger(context_name="context")
def caught(context: df.DurableOrchestrationContext):
    name, value = context.get_input()
    try:
        return (yield context.call_activity(name, value))
    except Exception as error:
        return str(error)


@app.orchestration_trigger(context_name="context")
def retried(context: df.DurableOrchestrationContext):
    return (yield context.call_activity_with_retry("die_once", df.RetryOptions(1, 3), context.get_input()))


@app.orchestration_trigger(context_name="context")
def fan(context: df.DurableOrchestrationContext):
    name, count = context.get_input()
    return (yield context.task_all([context.call_activity(name, n) for n in range(count)]))


@app.orchestration_trigger(context_name="context")
def dies_in_first_turn(context: df.DurableOrchestrationContext):
    end_process(context.get_input())
    yield context.call_activity("echo", 1)


@app.orchestration_trigger(context_name="context")
def dies_in_second_turn(context: df.DurableOrchestrationContext):
    yield context.call_activity("echo", 1)
    end_process(context.get_input())


@app.orchestration_trigger(context_name="context")
def calls_dying_child(context: df.DurableOrchestrationContext):
    """The input: how often another of its kind is called before the child that dies."""
    deeper = context.get_input()
    child = ("calls_dying_child", deeper - 1) if deeper else ("dies_in_second_turn", "os._exit")
    return (yield context.call_sub_orchestrator(*child, f"child-{deeper}"))


@app.orchestration_trigger(context_name="context")
def hangs_in_first_turn(context: df.DurableOrchestrationContext):
    name = context.get_input()
    if attempts(name) == 1:
        time.sleep(60)
    return (yield context.call_activity("echo", f"{name} again"))


@app.orchestration_trigger(context_name="context")
def waits(context: df.DurableOrchestrationContext):
    return (yield context.wait_for_external_event("go"))


@app.orchestration_trigger(context_name="context")
def loops(context: df.DurableOrchestrationContext):
    total = 0
    for n in range(context.get_input()):
        total += yield context.call_activity("echo", n)
    return total


@app.orchestration_trigger(context_name="context")
def asks_entity(context: df.DurableOrchestrationContext):
    key, operation = context.get_input()
    return (yield context.call_entity(df.EntityId("mortal", key), operation))


@app.entity_trigger(context_name="context")
def mortal(context: df.DurableEntityContext) -> None:
    if context.operation_name == "die_once" and attempts(context.entity_key) == 1:
        os._exit(3)
    if context.operation_name == "hang":
        time.sleep(60)
    if context.operation_name == "add":
        context.set_state(context.get_state(lambda: 0) + 1)
    if context.operation_name == "hang_once":
        hang_once(context.entity_key)
    if context.operation_name == "wait_for_file":
        until_exists(context.get_input())
    context.set_result(f"{context.operation_name} done")


@app.route("die/{how}")
def http_die(req: func.HttpRequest) -> str:
    return end_process(req.route_params["how"])


@app.route("die-async/{how}")
async def http_die_async(req: func.HttpRequest) -> str:
    return end_process(req.route_params["how"])


@app.route("hang-once/{name}", methods=["POST"])
def http_hang_once(req: func.HttpRequest) -> str:
    return hang_once(req.route_params["name"]) + ": " + req.get_body().decode()


@app.route("process")
async def process(req: func.HttpRequest) -> str:
    return json.dumps(
        {
            "pid": os.getpid(),
            "thread": threading.current_thread().name,
            "main": threading.current_thread() is threading.main_thread(),
            "loop": type(asyncio.get_running_loop()).__name__,
            "argv": sys.argv,
            "path": sys.path,
            "cwd": os.getcwd(),
            "stdin": sys.stdin.read(),
            "stdout": isinstance(sys.stdout, __import__("io").TextIOWrapper) and sys.stdout.fileno(),
        }
    )


@app.route("output")
def output(req: func.HttpRequest) -> str:
    print("printed")
    print("LanguageWorkerConsoleLogfor the host itself")
    logging.warning("logged")
    os.write(1, b"written to a descriptor\n")
    print("to stderr", file=sys.stderr)
    sys.stdout.buffer.write(b"written to the buffer\n")
    subprocess.run(["echo", "echoed by a child"], check=True)
    print("without a line end", end="")
    if req.params.get("then"):
        os._exit(3)
    return "done"


@app.route("flood")
def flood(req: func.HttpRequest) -> str:
    for n in range(int(req.params["lines"])):
        print("line", n)
    return "done"


@app.route("close-stdout")
def close_stdout(req: func.HttpRequest) -> str:
    sys.stdout.close()
    os.close(1)
    return "closed"


@app.route("fork")
def fork(req: func.HttpRequest) -> str:
    """A forked child that outlives the call keeps neither port nor channel."""
    if os.fork() == 0:
        time.sleep(float(req.params["seconds"]))
        os._exit(0)
    return "forked"


@app.route("start/{name}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    instance = await client.start_new(req.route_params["name"], None, req.get_json())
    return client.create_check_status_response(req, instance)
