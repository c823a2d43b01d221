"""The app behind the recordings: each function answers what it was given, or whatever its route names."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


def describe(name: str, req: func.HttpRequest) -> dict[str, Any]:
    return {
        "function": name,
        "method": req.method,
        "url": req.url,
        "route": dict(req.route_params),
        "query": dict(req.params),
    }


def as_json(value: Any, **options: Any) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(value, **options), mimetype="application/json")


# -- routes --------------------------------------------------------------------------------------------------
# Names decide the order in which the host tries them, so they are part of the recordings.
CONSTRAINTS = {
    "int": "int",
    "long": "long",
    "alpha": "alpha",
    "len": "length(2,4)",
    "len3": "length(3)",
    "minlen": "minlength(3)",
    "maxlen": "maxlength(3)",
    "min": "min(3)",
    "max": "max(3)",
    "range": "range(3,5)",
    "datetime": "datetime",
    "guid": "guid",
    "bool": "bool",
    "decimal": "decimal",
    "double": "double",
    "float": "float",
    "regex": r"regex(^\d{{2}}$)",
    "required": "required",
    "file": "file",
    "nonfile": "nonfile",
    "two": "int:range(3,5)",
}
TEMPLATES = {
    "o_opt": "o/opt/{x?}",
    "o_optint": "o/optint/{x:int?}",
    "o_def": "o/def/{x=5}",
    "o_defint": "o/defint/{x:int=5}",
    "o_two": "o/two/{a}/{b?}",
    "o_dot": "o/dot/{name}.{ext?}",
    "o_all": "o/all/{*rest}",
    "o_all2": "o/all2/{**rest}",
    "o_alldef": "o/alldef/{*rest=none}",
    "o_mix": "o/mix/{a}-{b}",
    "o_mixv": "o/mixv/v{a:int}x",
    "o_paren": "o/par(en)/{a}",
    "q_a_lit": "q/lit",
    "q_b_int": "q/{x:int}",
    "q_c_param": "q/{x}",
    "q_d_all": "q/{*rest}",
    "Q_E_same": "q/{y}",
    "CaseName": "Case/Name/{Value}",
    "noroute": None,
    "emptyroute": "",
    "slashend": "slash/end/",
    "uml": "umläut/{x}",
    "spaced": "a b/{x}",
    "m_any": "m/any",
}
WITH_METHODS = {
    "p_a_all": ("p/{*rest}", ["GET"]),
    "p_b_param": ("p/{x}", ["GET"]),
    "p_c_lit": ("p/lit", ["GET"]),
    "m_get": ("m/both", ["GET"]),
    "m_post": ("m/both", ["POST"]),
    "m_put": ("m/one", ["PUT"]),
    "m_head": ("m/head", ["HEAD"]),
    "m_options": ("m/options", ["OPTIONS"]),
    "m_patch": ("m/patch", ["PATCH", "DELETE"]),
    "m_empty": ("m/empty", []),
}


def add_route(name: str, template: str | None, **options: Any) -> None:
    def describing(req: func.HttpRequest) -> func.HttpResponse:
        return as_json(describe(name, req))

    describing.__name__ = name
    app.function_name(name)(app.route(route=template, **options)(describing))


# `/admin/functions` lists functions in the order in which they are declared.
for _name, _constraint in CONSTRAINTS.items():
    add_route(f"c_{_name}", f"c/{_name}/{{x:{_constraint}}}")
for _name in [each for each in TEMPLATES if each.startswith("o_")]:
    add_route(_name, TEMPLATES[_name])
for _name in [each for each in WITH_METHODS if each.startswith("p_")]:
    add_route(_name, WITH_METHODS[_name][0], methods=WITH_METHODS[_name][1])
for _name in [each for each in TEMPLATES if each.lower().startswith("q_")]:
    add_route(_name, TEMPLATES[_name])
for _name in ("m_get", "m_post", "m_put", "m_head", "m_options", "m_any", "m_patch", "m_empty"):
    if _name in WITH_METHODS:
        add_route(_name, WITH_METHODS[_name][0], methods=WITH_METHODS[_name][1])
    else:
        add_route(_name, TEMPLATES[_name])
for _name in ("CaseName", "noroute", "emptyroute", "slashend", "uml", "spaced"):
    add_route(_name, TEMPLATES[_name])


# -- the request ---------------------------------------------------------------------------------------------
def outcome(read: Callable[[], Any]) -> Any:
    try:
        value = read()
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:160]
    return value if value is None or isinstance(value, (str, int, float, dict, list)) else repr(value)


@app.route(route="echo/{*rest}")
def echo(req: func.HttpRequest) -> func.HttpResponse:
    def form() -> Any:
        return None if req.form is None else dict(req.form.items())

    def files() -> Any:
        if req.files is None:
            return None
        return {
            key: [file.filename, file.content_type, file.read().decode("latin-1")[:80]]
            for key, file in req.files.items()
        }

    body = req.get_body()
    seen = describe("echo", req)
    seen["headers"] = {name: req.headers[name] for name in sorted(req.headers) if name != "host"}
    if len(body) <= 400:
        seen["body"] = body.decode("latin-1")
    else:
        seen["body"] = f"{len(body)} bytes, {hashlib.sha1(body).hexdigest()[:10]}"
    seen["json"] = outcome(lambda: repr(req.get_json())[:200])
    seen["form"] = outcome(form)
    seen["files"] = outcome(files)
    return as_json(seen, sort_keys=True)


# -- the response --------------------------------------------------------------------------------------------
class Odd:
    pass


def response(*args: Any, **options: Any) -> Callable[[], func.HttpResponse]:
    return lambda: func.HttpResponse(*args, **options)


def with_headers(body: Any = "x", status: int = 200, **headers: Any) -> Callable[[], func.HttpResponse]:
    """`headers`: underscores stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: func.HttpResponse(body, status_code=status, headers=named)


def header(name: str, value: Any, body: Any = "x", status: int = 200) -> Callable[[], func.HttpResponse]:
    return lambda: func.HttpResponse(body, status_code=status, headers={name: value})


def raises(error: BaseException) -> Callable[[], Any]:
    def call() -> Any:
        raise error

    return call


def overflow() -> Any:
    return overflow()


PLAIN_VALUES = {
    "str": "text",
    "empty": "",
    "bytes": b"\x00\x01bytes",
    "none": None,
    "dict": {"a": 1},
    "list": [1, 2],
    "int": 7,
    "bool": True,
    "float": 1.5,
    "tuple": ("a", 200),
    "umlaut": "grün ☃",
    "html": "<html></html>",
    "surrogate": "a\ud800b",
    "jsonstr": '{"a":1,"b":[1,2,{"c":null}]}',
    "jsonlist": "[1,2]",
    "jsonnum": "12",
    "jsonquoted": '"q"',
    "jsonnull": "null",
    "jsontrue": "true",
    "jsonbad": '{"a":',
    "jsonspace": ' {"a" : 1.0} ',
    "jsonfloat": '{"a":1.10,"b":1e400,"c":12345678901234567890123,"d":"2020-01-01T00:00:00Z"}',
    "jsondup": '{"a":1,"a":2}',
    "jsonhttp": '{"statusCode": 418, "body": "tea", "headers": {"x-a": "b"}}',
    "jsonstatus": '{"status": 201, "body": "x"}',
}
CODES = (
    *(100, 101, 199, 200, 201, 202, 204, 205, 206, 299, 301, 302, 304, 307, 400, 401, 403, 404, 405, 418),
    *(429, 499, 500, 503, 599, 600, 999, 1000, 0, -1),
)
RESULTS: dict[str, Callable[[], Any]] = {
    **{name: (lambda value=value: value) for name, value in PLAIN_VALUES.items()},
    "odd": Odd,
    "resp": response("text"),
    "respbytes": response(b"\x00\x01"),
    "respnone": response(None),
    "respempty": response(""),
    "respdict": response({"a": 1}),
    "respjson": response('{"a":1}'),
    "respnoarg": response(),
    "respbytearray": response(bytearray(b"ba")),
    **{f"code{code}": response("body", status_code=code) for code in CODES},
    "code204empty": response(status_code=204),
    "code304empty": response(status_code=304),
    "code404empty": response(status_code=404),
    "codestr": response("body", status_code="201"),
    "codebadstr": response("body", status_code="abc"),
    "codefloat": response("body", status_code=201.0),
    "codenone": response("body", status_code=None),
    # names and values
    "hplain": with_headers(X_A="1", x_b="2", X_Long="v" * 2000),
    "hint": header("X-A", 1),
    "hnone": header("X-A", None),
    "hlist": header("X-A", ["1", "2"]),
    "hempty": header("X-A", ""),
    "hspace": header("X A", "1"),
    "hcolon": header("X:A", "1"),
    "humlautname": header("X-ä", "1"),
    "humlaut": header("X-A", "grün"),
    "hsnow": header("X-A", "☃"),
    "hnewline": header("X-A", "1\r\nX-B: 2"),
    "hlf": header("X-A", "1\n2"),
    "hnul": header("X-A", "1\x002"),
    "htab": header("X-A", "1\t2"),
    "hdel": header("X-A", "1\x7f2"),
    "hctl": header("X-A", "1\x012"),
    "hemptyname": header("", "1"),
    "hodd": header("X!#$%&'*+.^_`|~", "1"),
    "hparen": header("X(A)", "1"),
    "hpad": header("X-A", "  1  "),
    "hcomma": header("X-A", "1, 2"),
    "hcase": lambda: func.HttpResponse("x", headers={"x-lower": "1", "X-UPPER": "2", "X-a": "3", "x-A": "4"}),
    # cookies
    "hcookie": header("Set-Cookie", "a=b; Path=/; HttpOnly; Max-Age=60"),
    "hcookies": header("Set-Cookie", "a=b, c=d"),
    "hcookiebad": header("Set-Cookie", "a b c"),
    "hcookieexp": header(
        "Set-Cookie", "a=b; Expires=Wed, 21 Oct 2037 07:28:00 GMT; Secure; SameSite=Lax; Domain=x.y"
    ),
    # framing and connection
    "hlength": header("Content-Length", "2", "body"),
    "hlengthbig": header("Content-Length", "9", "body"),
    "hlengthbad": header("Content-Length", "abc", "body"),
    "hlengthright": header("Content-Length", "4", "body"),
    "hte": header("Transfer-Encoding", "chunked", "body"),
    "htegzip": header("Transfer-Encoding", "gzip", "body"),
    "hconnclose": header("Connection", "close", "body"),
    "hconnkeep": header("Connection", "keep-alive", "body"),
    "hupgrade": with_headers("body", Upgrade="x", Connection="upgrade"),
    # headers with a meaning
    "hserver": header("Server", "mine"),
    "hdate": header("Date", "Mon, 01 Jan 2001 00:00:00 GMT"),
    "hencoding": header("Content-Encoding", "gzip", b"plain"),
    "hlocation": header("Location", "/x y?z=ä", status=302),
    "hdisposition": header("Content-Disposition", "attachment; filename=a.txt", b"x"),
    "hretry": with_headers(
        status=429,
        Retry_After="3",
        Cache_Control="no-store",
        ETag='"e"',
        Last_Modified="Mon, 01 Jan 2001 00:00:00 GMT",
    ),
    "hallow": with_headers(
        Allow="GET",
        Content_Language="de",
        Content_Location="/y",
        Content_MD5="Q2hlY2s=",
        Content_Range="bytes 0-0/1",
        Expires="0",
    ),
    "hcors": header("Access-Control-Allow-Origin", "https://a.b"),
    "hwww": header("WWW-Authenticate", "Basic realm=x", status=401),
    # exceptions
    "valueerror": raises(ValueError("boom <b>")),
    "keyerror": raises(KeyError("k")),
    "stopiteration": raises(StopIteration()),
    "unicode": raises(ValueError("grün ☃ \ud800")),
    "recursion": overflow,
    "systemexit": raises(SystemExit(3)),
    "keyboard": raises(KeyboardInterrupt()),
    "generatorexit": raises(GeneratorExit()),
    "baseexc": raises(BaseException("base")),
    "exitcall": lambda: sys.exit(0),
    "big": lambda: func.HttpResponse(b"z" * 5_000_000),
}


def result_of(req: func.HttpRequest) -> Any:
    return RESULTS[req.route_params["what"]]()


@app.route(route="str/{what}")
def r_str(req: func.HttpRequest) -> str:
    return result_of(req)


@app.route(route="resp/{what}")
def r_resp(req: func.HttpRequest) -> func.HttpResponse:
    return result_of(req)


@app.route(route="bare/{what}")
def r_bare(req):
    return result_of(req)


@app.route(route="aresp/{what}")
async def r_aresp(req: func.HttpRequest) -> func.HttpResponse:
    return result_of(req)


@app.route(route="astr/{what}")
async def r_astr(req: func.HttpRequest) -> str:
    return result_of(req)


@app.route(route="twice", methods=["GET"])
def twice(req: func.HttpRequest) -> func.HttpResponse:
    reply = func.HttpResponse("x")
    reply.headers.add("X-A", "1")
    reply.headers["Set-Cookie"] = "a=b"
    return reply


@app.route(route="lv/anonymous", auth_level=func.AuthLevel.ANONYMOUS)
def lv_anonymous(req: func.HttpRequest) -> str:
    return "anonymous"


@app.route(route="lv/function", auth_level=func.AuthLevel.FUNCTION)
def lv_function(req: func.HttpRequest) -> str:
    return "function"


@app.route(route="lv/admin", auth_level=func.AuthLevel.ADMIN)
def lv_admin(req: func.HttpRequest) -> str:
    return "admin"


# -- durable -------------------------------------------------------------------------------------------------
@app.route(route="start/{name}/{id?}")
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    given = req.get_json() if req.get_body() else None
    started = await client.start_new(req.route_params["name"], req.route_params.get("id"), given)
    return client.create_check_status_response(req, started)


@app.route(route="wait/{name}/{id}")
@app.durable_client_input(client_name="client")
async def wait(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    started = await client.start_new(req.route_params["name"], req.route_params["id"], None)
    return await client.wait_for_completion_or_create_check_status_response(req, started, 1500, 300)


@app.orchestration_trigger(context_name="context")
def quick(context: df.DurableOrchestrationContext) -> Any:
    return "done"


@app.orchestration_trigger(context_name="context")
def waits(context: df.DurableOrchestrationContext) -> Any:
    context.set_custom_status({"at": "waiting"})
    event = yield context.wait_for_external_event("go")
    return event


@app.orchestration_trigger(context_name="context")
def fails(context: df.DurableOrchestrationContext) -> Any:
    raise ValueError("boom")


@app.orchestration_trigger(context_name="context")
def chain(context: df.DurableOrchestrationContext) -> Any:
    result = yield context.call_activity("say", context.get_input())
    return [result]


@app.activity_trigger(input_name="x")
def say(x: str) -> str:
    return f"hi {x}"


@app.entity_trigger(context_name="context")
def counter(context: df.DurableEntityContext) -> None:
    total = context.get_state(lambda: 0)
    if context.operation_name == "add":
        total += context.get_input() or 0
    context.set_state(total)
    context.set_result(total)


@app.timer_trigger(schedule="0 0 3 1 1 *", arg_name="t")
def tick(t: func.TimerRequest) -> None:
    pass
