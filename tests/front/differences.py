"""What dfhost's front answers otherwise than the real host, on purpose: each cause with its reason and its exchanges.

A cause says for each exchange what comes instead: a status code, or a check of the recorded and the observed answer.
Every answer that is not listed here has to be the recorded one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.front.exchanges import Answer

Instead = str | Callable[[Answer, Answer], bool]


@dataclass(frozen=True)
class Cause:
    """`exchanges`: by scenario, then by ask (or its beginning and ``*``), what dfhost answers instead."""

    reason: str
    exchanges: Mapping[str, Mapping[str, Instead]]


def listed(scenario: str) -> dict[str, Instead]:
    """What comes instead in this scenario, by ask or its beginning."""
    return {key: instead for cause in CAUSES for key, instead in cause.exchanges.get(scenario, {}).items()}


def fits(key: str, ask: str) -> bool:
    return ask == key or (key.endswith("*") and ask.startswith(key[:-1]))


def is_as_listed(instead: Instead, recorded: Answer, seen: Answer) -> bool:
    """Whether `seen` is what a cause announces."""
    if isinstance(instead, str):
        return instead == (seen["status"].split(" ")[1] if "status" in seen else seen["nothing"])
    return instead(recorded, seen)


def but_for(*parts: str) -> Instead:
    """The recorded answer, except for these parts of it (``body``, ``then``)."""

    def check(recorded: Answer, seen: Answer) -> bool:
        without = [{name: each[name] for name in each if name not in parts} for each in (recorded, seen)]
        return without[0] == without[1]

    return check


def without_header(name: str) -> Instead:
    """The recorded answer without this header."""

    def check(recorded: Answer, seen: Answer) -> bool:
        kept = [header for header in recorded["headers"] if header[0] != name]
        return {**recorded, "headers": kept} == seen

    return check


def with_some_of_its_keys(recorded: Answer, seen: Answer) -> bool:
    """The recorded answer with other values in its JSON, and perhaps fewer keys."""
    keys = [set(re.findall(r'"(\w+)":', each["body"])) for each in (recorded, seen)]
    return keys[1] <= keys[0] and {**recorded, "body": ""} == {**seen, "body": ""}


def with_the_body(body: str) -> Instead:
    """`/api/echo` has seen this body, and answered else as recorded."""

    def check(recorded: Answer, seen: Answer) -> bool:
        expected, echoed = json.loads(recorded["body"]), json.loads(seen["body"])
        return echoed["body"] == body and {**expected, "body": "", "json": ""} == {
            **echoed,
            "body": "",
            "json": "",
        }

    return check


def these(instead: Instead, *asks: str) -> dict[str, Instead]:
    return dict.fromkeys(asks, instead)


# -- the management API --------------------------------------------------------------------------------------
_START = "POST /runtime/webhooks/durabletask/orchestrators/quick/RUNs{} *"

STRICT_JSON = Cause(
    "A body is JSON, or it is refused with the place of the mistake. Newtonsoft reads more: single quotes, NaN, "
    "comments, what follows a value. One such input makes every list of its task hub a 500 there.",
    {
        "durable_start": {
            **{
                _START.format(number): "400"
                for number in (10, 11, 12, 14, 15, 16, 17, 18, 19, 20, 23, 29, 30, 33, 34)
            },
            **{
                f"status after {body!r}": "404"
                for body in (
                    *("{'a':1}", "{a:1}", "[1,]", "01", "1.", "NaN", "Infinity", "undefined", "/*c*/1"),
                    *("//c\n1", '"a\nb"', "0x10", "\0", "1\0"),
                )
            },
        },
        "durable_events": {
            f"{what} {body!r}": code
            for body in ("NaN", "[1,]", "1 2", "{'a':1}")
            for what, code in (("event", "400"), ("status after event", "202"))
        },
        "durable_ids": {"status of .": "200"},  # the list
        "admin_invoke": {
            f"POST /admin/functions/{name} | Content-Type: application/json || {{}}x": "400"
            for name in ("say", "tick")
        },
    },
)


def _completed(recorded: Answer, seen: Answer) -> bool:
    nested = "[" * 64 + "]" * 64
    failed = re.compile(r'"runtimeStatus":"Failed","input":1,"customStatus":null,"output":".*","createdTime"')
    completed = (
        '"runtimeStatus":"Completed","input":1,"customStatus":{"at":"waiting"},'
        f'"output":{nested},"createdTime"'
    )
    return seen == {**recorded, "body": failed.sub(lambda _: completed, recorded["body"])}


NESTED_64 = Cause(
    "An event that may be sent may be received: nested 64 deep it is accepted, and kills the instance there.",
    {"durable_events": {"status after event of depth 64": _completed}},
)

# -- /admin --------------------------------------------------------------------------------------------------
OWN_HOST = Cause(
    "Version and extension bundle are the host's own; the list of functions has links of the scheme that was asked "
    "with, not https.",
    {
        "admin_get": {
            f"GET /admin/{path}": "200"
            for path in ("host/status*", "HOST/STATUS", "functions", "functions/", "Functions")
        }
    },
)
NO_KEYS_NO_FILES = Cause(
    "There are no keys, no files, no processes and no bundle to show.",
    {
        "admin_get": {
            f"GET /admin/{path}": "404"
            for path in (
                *("functions/say/keys", "host/keys", "host/functionkeys", "host/systemkeys*", "host/config"),
                *(
                    "host/extensionBundle/*",
                    "host/drain/status",
                    "host/processes",
                    "instance/info",
                    "instance/http-health",
                    "vfs*",
                ),
            )
        }
    },
)
SAYS_WHY = Cause(
    "A refusal says why, in a sentence.",
    {
        "admin_invoke": {
            **{
                f"POST /admin/functions/{name} | Content-Type: application/json{body}": "400"
                for name in ("say", "tick")
                for body in (
                    *("", ' || {"input":{"a":1}}', ' || "x"', " || [1]", " || null", " || 1", " || x"),
                    ' || {"input":',
                )
            },
            **{
                f"POST /admin/functions/{name} | Content-Type: application/json": "400"
                for name in ("SAY", "quick", "counter", "m_get", "m_post", "echo", "unknown", "r_str")
            },
            'POST /admin/functions/say || {"input":"x"}': "415",
            "POST /admin/functions/say | Content-Type: text/plain*": "415",
            "POST /admin/functions/say | Content-Type: application/json; charset=utf-16*": "400",
            "POST /admin/functions/say | Content-Type: application/xml*": "400",
        }
    },
)
RUN_BY_HAND = Cause(
    "Run by hand, an HTTP or entity function is answered with the request that does it, and an orchestrator with the "
    "links of its instance. There it is a 202 of which nothing comes.",
    {
        "admin_invoke": {
            **{
                f"POST /admin/functions/{name} | Content-Type: application/json || {{*": "400"
                for name in ("counter", "m_get", "m_post", "echo", "r_str")
            },
            "POST /admin/functions/quick | Content-Type: application/json || {*": "202",
        }
    },
)

CAUSES = (
    STRICT_JSON,
    NESTED_64,
    OWN_HOST,
    NO_KEYS_NO_FILES,
    SAYS_WHY,
    RUN_BY_HAND,
    Cause(
        "The page at / shows what the app has.",
        {
            "route_home": these(
                but_for("body"),
                *("GET /", "POST /", "OPTIONS /", "PUT /", "GET /?x=1"),
                *("GET / | Accept: text/html", "GET / | Accept: application/json"),
            ),
            "noprefix": these(but_for("body"), "GET /", "POST /"),
            "tuned": these(but_for("body"), "GET /"),
        },
    ),
    Cause(
        "Every call is answered. The real host leaves some exceptions of a function without an answer for ever.",
        {
            "exceptions": these(
                "500", "GET /api/resp/stopiteration", "GET /api/resp/unicode", "GET /api/aresp/unicode"
            ),
            "exits_baseexc_resp": these("500", "GET /api/resp/baseexc"),
            "exits_baseexc_aresp": these("500", "GET /api/aresp/baseexc"),
            "exits_generatorexit_aresp": these("500", "GET /api/aresp/generatorexit"),
        },
    ),
    Cause(
        "A status that cannot end a response is refused. The real host sends it, and what arrives is no HTTP.",
        {
            "status_codes": these(
                "500", *(f"GET /api/resp/code{code}" for code in (100, 101, 199, 1000, 0, -1))
            )
        },
    ),
    Cause(
        "A body with a status that has none is dropped. The real host closes the connection besides.",
        {"status_codes": these(but_for("then"), *(f"GET /api/resp/code{code}" for code in (204, 205, 304)))},
    ),
    Cause(
        "The server alone frames a body. The real host obeys the function, and what arrives is broken.",
        {
            "response_headers": {
                "GET /api/resp/hlengthbig": "500",
                "GET /api/resp/hte": "200",
                "GET /api/resp/htegzip": "200",
            }
        },
    ),
    Cause(
        "A 500 in place of a response has none of its headers. The real host forgets the content type now and then.",
        {
            "response_headers": these(
                without_header("content-type"), "GET /api/resp/hcolon", "HEAD /api/resp/hlength"
            )
        },
    ),
    Cause(
        "A chunked body reaches the function, and a broken one is refused. The real host hands over an empty one.",
        {
            "request_framing": {
                "chunked": with_the_body('{"a":1}'),
                "chunked with extension and trailer": with_the_body('{"a":1}'),
                "Transfer-Encoding gzip, chunked": with_the_body("abc"),
                **these("400", "chunked, bad size", "chunked, missing CRLF", "chunked, huge size"),
            }
        },
    ),
    Cause(
        "The parser follows RFC 9112 where Kestrel is lenient, and the other way round.",
        {
            "protocol": {
                **these("400", "LF only", "header name with odd characters", "header value with 01"),
                "two blanks in the request line": "200",
            },
            "request_framing": these("400", "chunked and Content-Length", "Content-Length +3"),
        },
    ),
    Cause(
        "What comes in one packet with a broken request is lost with it.",
        {
            "protocol": {
                "pipelined: good, 404, rubbish [answer 1]": "400",
                **these("closed", *(f"pipelined: good, 404, rubbish [answer {number}]" for number in (2, 3))),
            }
        },
    ),
    Cause(
        "Lines and headers may be longer, and more; beyond that the answer is 400.",
        {
            "protocol": {
                **these("200", "101 headers", "many headers above 32 KB", "request line of 8300"),
                **these("400", "headers of 32 KB and more", "request line of 17000"),
            },
            "route_paths": {
                f"GET /api/case/name/{'y' * 281}…(16019 characters)": "200",
                f"GET /api/case/name/{'y' * 281}…(40019 characters)": "400",
            },
        },
    ),
    Cause("HTTP/2 is not spoken.", {"protocol": these("400", "HTTP/2 by prior knowledge")}),
    Cause(
        "Only names of this machine are served (DNS rebinding); --allow-host adds others.",
        {
            "request_framing": these("403", "chunked on GET"),
            "tuned": {
                "GET /api/empty": lambda recorded, seen: (
                    "example.com" in recorded["body"] and seen["status"].startswith("HTTP/1.1 403")
                ),
                "GET /api/empty | X-Forwarded-Proto: https": lambda recorded, seen: (
                    "example.com" in recorded["body"] and seen["status"].startswith("HTTP/1.1 403")
                ),
            },
        },
    ),
    Cause(
        "Another web page may not act unless CORS allows it.",
        {
            "tuned": these("403", "GET /api/empty | Origin: *", "OPTIONS /api/empty | Origin: *"),
            "durable_status": these(
                "403",
                *(
                    f"{method} /runtime/webhooks/durabletask/instances/RUNq | Origin: *"
                    for method in ("GET", "OPTIONS")
                ),
            ),
        },
    ),
    Cause(
        "/admin describes dfhost and this machine: version, folder, no extension bundle.",
        {
            "noprefix": {"GET /admin/functions/ids": with_some_of_its_keys},
            "tuned": {"GET /admin/host/status": with_some_of_its_keys},
        },
    ),
    Cause(
        "Of .NET's many forms of a date, the constraint takes those that occur in a path.",
        {"route_constraints": these("404", "GET /api/c/datetime/Jan%201%202020")},
    ),
)
