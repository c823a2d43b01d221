"""The app of the management API's tests: orchestrators that wait, return or fail, and an entity."""

from collections.abc import Generator
from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.orchestration_trigger(context_name="context")
def waits(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    return (yield context.wait_for_external_event("go"))


@app.orchestration_trigger(context_name="context")
def steps(context: df.DurableOrchestrationContext) -> Generator[Any, Any, Any]:
    context.set_custom_status({"at": "the gate"})
    yield context.call_activity("echo", {"n": 1.0})
    return (yield context.wait_for_external_event("go"))


@app.orchestration_trigger(context_name="context")
def returns(context: df.DurableOrchestrationContext) -> Any:
    return context.get_input()


@app.orchestration_trigger(context_name="context")
def fails(context: df.DurableOrchestrationContext) -> Generator[Any, Any, None]:
    raise ValueError("it fails")
    yield  # makes it a generator, as orchestrators are


@app.activity_trigger(input_name="value")
def echo(value):  # Python 3.10 has no class named Any, and the worker wants a class
    return value


@app.entity_trigger(context_name="context")
def cell(context: df.DurableEntityContext) -> None:
    if context.operation_name == "set":
        context.set_state(context.get_input())
    elif context.operation_name == "delete":
        context.destruct_on_exit()
