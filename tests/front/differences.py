"""What dfhost's front answers otherwise than the real host, on purpose: each cause with its reason and its exchanges.

A cause says for each exchange what comes instead: a status code, `SILENCE` and the like for no answer, or a function
that turns the recorded answer into dfhost's. Every answer that is not listed here has to be the recorded one.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.front.exchanges import Answer

Instead = str | Callable[[Answer], object]


@dataclass(frozen=True)
class Cause:
    """`exchanges`: by scenario, then by ask (or its beginning and ``*``), what dfhost answers instead."""

    reason: str
    exchanges: Mapping[str, Mapping[str, Instead]]


def find_cause(scenario: str, ask: str) -> tuple[Cause, Instead] | None:
    for cause in CAUSES:
        for key, instead in cause.exchanges.get(scenario, {}).items():
            if ask == key or (key.endswith("*") and ask.startswith(key[:-1])):
                return cause, instead
    return None


def is_as_listed(instead: Instead, recorded: Answer, seen: Answer) -> bool:
    """Whether `seen` is what the cause announces, and not what was recorded."""
    if seen == recorded:
        return False
    if isinstance(instead, str):
        return instead == (seen["status"].split(" ")[1] if "status" in seen else seen["nothing"])
    expected = copy.deepcopy(recorded)
    instead(expected)
    return expected == seen


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
        "admin_invoke": {
            f"POST /admin/functions/{name} | Content-Type: application/json || {{}}x": "400"
            for name in ("say", "tick")
        },
    },
)


def _completed(recorded: Answer) -> None:
    nested = "[" * 64 + "]" * 64
    failed = re.compile(r'"runtimeStatus":"Failed","input":1,"customStatus":null,"output":".*","createdTime"')
    completed = (
        '"runtimeStatus":"Completed","input":1,"customStatus":{"at":"waiting"},'
        f'"output":{nested},"createdTime"'
    )
    recorded["body"], count = failed.subn(completed, recorded["body"])
    assert count == 1


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

CAUSES: tuple[Cause, ...] = (
    STRICT_JSON,
    NESTED_64,
    OWN_HOST,
    NO_KEYS_NO_FILES,
    SAYS_WHY,
    RUN_BY_HAND,
)
