"""`call_http`, and the small web that it calls."""

import json

import azure.functions as func

from .blueprint import bp, orchestrator
from .fan_out import Context, Steps


@bp.route(route="web/{kind}", methods=["GET"])
def web(req: func.HttpRequest) -> func.HttpResponse:
    done = req.url.split("/api/")[0] + "/api/web/done"
    replies = {
        "json": lambda: func.HttpResponse(
            json.dumps({"a": [1, None, "é"]}), mimetype="application/json", headers={"X-Tag": "t1"}
        ),
        "text": lambda: func.HttpResponse("plain ☃ text"),
        "empty": lambda: func.HttpResponse(status_code=204),
        "missing": lambda: func.HttpResponse("nothing here", status_code=404),
        "boom": lambda: func.HttpResponse('{"error": "kaput"}', status_code=500, mimetype="application/json"),
        "accepted": lambda: func.HttpResponse(
            "working", status_code=202, headers={"Location": done, "Retry-After": "1"}
        ),
        "redirect": lambda: func.HttpResponse(status_code=302, headers={"Location": done}),
        "done": lambda: func.HttpResponse("finished"),
    }
    return replies[req.route_params["kind"]]()


@orchestrator
def http_call(context: Context) -> Steps:
    return {"reply": (yield context.call_http("GET", context.get_input()["uri"]))}
