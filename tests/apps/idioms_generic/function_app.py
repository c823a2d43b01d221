"""Durable functions by azure-functions' generic decorators, as before the SDK had its own, and the SDK's handles."""

import azure.durable_functions as df
import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.function_name("start")
@app.route(route="start/{name}", methods=["POST"])
@app.generic_input_binding(arg_name="starter", type="durableClient")
async def start(req: func.HttpRequest, starter: str) -> func.HttpResponse:
    client = df.DurableOrchestrationClient(starter)
    instance = await client.start_new(req.route_params["name"], None, req.get_json())
    return await client.wait_for_completion_or_create_check_status_response(req, instance)


def _greet_all(context: df.DurableOrchestrationContext):
    names = context.get_input()
    greetings = yield context.task_all([context.call_activity("greet", name) for name in names])
    counted = yield context.call_entity(df.EntityId("total", "all"), "add", len(names))
    return greetings, counted


# Wrapped by hand, once for all calls or anew in each.
_handle = df.Orchestrator.create(_greet_all)


@app.function_name("greet_all")
@app.generic_trigger(arg_name="context", type="orchestrationTrigger")
def greet_all(context) -> str:
    return _handle(context)


@app.function_name("again")
@app.generic_trigger(arg_name="context", type="orchestrationTrigger", orchestration="GreetAgain")
def greet_again(context) -> str:
    return df.Orchestrator.create(_greet_all)(context)


@app.function_name("greet")
@app.generic_trigger(arg_name="name", type="activityTrigger")
def greet(name: str) -> str:
    return f"Hello {name}"


def _tally(context: df.DurableEntityContext) -> None:
    total = context.get_state(lambda: 0) + context.get_input()
    context.set_state(total)
    context.set_result(total)


@app.function_name("total")
@app.generic_trigger(arg_name="context", type="entityTrigger")
def total(context) -> str:
    return df.Entity.create(_tally)(context)
