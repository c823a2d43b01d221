"""The app behind the recordings with other settings of `extensions.http`."""

from __future__ import annotations

import asyncio
import json

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def add_route(name: str, template: str) -> None:
    def describe(req: func.HttpRequest) -> str:
        return json.dumps(
            {"function": name, "method": req.method, "url": req.url, "route": dict(req.route_params)}
        )

    describe.__name__ = name
    app.function_name(name)(app.route(route=template)(describe))


add_route("empty", "")
add_route("ids", "x/{id:int}")
add_route("inner", "api/inner")
add_route("own", "runtime/own")


@app.route(route="sleep", methods=["GET"])
async def sleep(req: func.HttpRequest) -> str:
    await asyncio.sleep(float(req.params.get("s", "1")))
    return "slept"


add_route("zz", "zz/{*rest}")


@app.route(route="custom")
def custom(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("own", headers={"X-Mine": "no", "Strict-Transport-Security": "mine"})


@app.route(route="start")
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    return client.create_check_status_response(req, await client.start_new("quick", None, None))


@app.orchestration_trigger(context_name="context")
def quick(context: df.DurableOrchestrationContext):
    return context.get_input()
