"""HTTP functions of every kind; nothing durable runs here."""

import asyncio
import json
import threading

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)


@app.route(route="echo/{name:alpha}/{rest?}")
def echo(req: func.HttpRequest) -> func.HttpResponse:
    seen = {
        "method": req.method,
        "url": req.url,
        "headers": dict(req.headers.items()),
        "params": dict(req.params),
        "route": dict(req.route_params),
        "body": req.get_body().decode("latin-1"),
        "thread": threading.current_thread().name,
    }
    return func.HttpResponse(json.dumps(seen), mimetype="application/json")


@app.route(route="files/{*path}", methods=["GET"])
async def files(req: func.HttpRequest) -> str:
    await asyncio.sleep(0)
    return f"{req.route_params.get('path')} on {threading.current_thread().name}"


@app.route(route="upload", methods=["POST"])
def upload(req: func.HttpRequest) -> func.HttpResponse:
    body = req.get_body()
    return func.HttpResponse(body[::-1], mimetype="application/octet-stream")


@app.route(route="form", methods=[func.HttpMethod.POST])
def form(req: func.HttpRequest) -> str:
    names = {name: part.filename for name, part in req.files.items()}
    contents = {}
    for name, part in req.files.items():
        contents[name] = part.read().decode()
        part.close()
    return json.dumps({"form": dict(req.form.items()), "files": names, "contents": contents})


@app.route(route="asked", methods=["POST"])
def asked(req: func.HttpRequest) -> func.HttpResponse:
    try:
        return func.HttpResponse(json.dumps(req.get_json()))
    except ValueError as error:
        return func.HttpResponse(str(error), status_code=400)


@app.route(route="cookies")
def cookies(req: func.HttpRequest) -> func.HttpResponse:
    response = func.HttpResponse("set", status_code=201, headers={"X-One": "1"})
    response.headers.add("Set-Cookie", "a=1; HttpOnly; SameSite=Lax")
    response.headers.add("Set-Cookie", "b=x%2Fy; Path=/api; Max-Age=60; Secure")
    return response


@app.route(route="latin")
def latin(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("é", mimetype="text/html", charset="latin-1")


@app.route(route="returns/{what}")
def returns(req: func.HttpRequest):
    return {
        "text": "plain",
        "json": '{"a": [1, "é"]}',
        "number": "5",
        "empty": "",
        "response": '{"status": 418, "headers": {"x-tea": "pot"}, "body": "short"}',
        "nothing": None,
        "dict": {"a": 1},
        "empty-response": func.HttpResponse(),
        "no-content": func.HttpResponse(status_code=204),
        "bad-header": func.HttpResponse("x", headers={"X Bad": "a"}),
        "status-of-text": func.HttpResponse("x", status_code="nonsense"),
    }[req.route_params["what"]]


@app.route(route="raises")
def raises(req: func.HttpRequest) -> func.HttpResponse:
    raise ValueError("no such thing")


@app.route(route="exits")
async def exits(req: func.HttpRequest) -> func.HttpResponse:
    raise SystemExit(3)


@app.route(route="out", binding_arg_name="res")
def out(req: func.HttpRequest, res: func.Out[func.HttpResponse]) -> None:
    if "set" in req.params:
        res.set(func.HttpResponse("through out", status_code=202))


@app.route(route="context")
def context(req: func.HttpRequest, context: func.Context) -> str:
    return json.dumps(
        {
            "function": context.function_name,
            "invocation": context.invocation_id,
            "local": context.thread_local_storage.invocation_id,
            "trace": context.trace_context.trace_parent,
            "retry": context.retry_context.retry_count,
        }
    )


@app.route(route="client")
@app.durable_client_input(client_name="client", task_hub="OtherHub")
async def client(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    return client.create_check_status_response(req, "some-id")


@app.route(route="queued")
@app.queue_output(arg_name="message", queue_name="orders", connection="Storage")
def queued(req: func.HttpRequest, message: func.Out[str]) -> str:
    message.set("order 7")
    return "queued"


@app.route(route="stored")
@app.table_input(arg_name="rows", connection="Storage", table_name="t")
def stored(req: func.HttpRequest, rows: str) -> str:
    return rows


@app.route(route="things/{id}")
def get_any(req: func.HttpRequest) -> str:
    return "any"


@app.route(route="things/recent")
def recent(req: func.HttpRequest) -> str:
    return "recent"
