"""How failures of activities and orchestrators are worded."""

import asyncio
import builtins
from collections.abc import Callable

from .blueprint import activity, call_number, orchestrator
from .fan_out import Context, Steps


class Odd(Exception):
    """Several arguments and no message."""


class Silent(Exception):
    def __str__(self) -> str:
        return ""


def _group() -> Exception:
    group = getattr(builtins, "ExceptionGroup", None)
    if group:
        return group("several", [ValueError("a"), KeyError("b")])
    # There are none before Python 3.11: one of that name and text.
    return type("ExceptionGroup", (Exception,), {})("several (2 sub-exceptions)")


RAISED: dict[str, Callable[[], Exception]] = {
    "multiline": lambda: ValueError("line one\nline two\n\n  line four"),
    "crlf": lambda: ValueError("line one\r\nline two"),
    "unicode": lambda: ValueError("ünï ☃ 漢字 \U0001f600 \u2028 end"),
    "empty": lambda: ValueError(""),
    "noargs": lambda: ValueError(),
    "space": lambda: ValueError("  "),
    "key": lambda: KeyError("lost"),
    "custom": lambda: Odd(7, "detail"),
    "silent": Silent,
    "assertion": AssertionError,
    "zero": lambda: ZeroDivisionError("division by zero"),
    "braces": lambda: ValueError('{"json": [1, 2]} {0} %s "quoted" \'single\' \\ back'),
    "stack": lambda: ValueError("before\nStack: after"),
    "marker": lambda: ValueError('before\n\n$OutOfProcData$:{"isDone":false,"actions":[],"error":"mine"}'),
    "exception_prefix": lambda: ValueError("Result: Failure\nException: Fake: text\nStack: here"),
    "group": _group,
    "tabs": lambda: ValueError("a\tb\x00c\x1b"),
    "other": lambda: LookupError("other"),
}


def raise_one(kind: str) -> None:
    if kind == "from":
        raise ValueError("outer") from KeyError("inner")
    if kind == "from_none":
        raise ValueError("shown") from None
    if kind == "during":
        try:
            raise KeyError("first")
        except KeyError:
            raise ValueError("second")  # noqa: B904  (the implicit chain is the point)
    raise RAISED[kind]()


@activity
def raises(value: str) -> None:
    raise_one(value)


@activity
async def async_raises(value) -> None:
    await asyncio.sleep(0)
    raise ValueError("async failure")


@orchestrator
def call_each(context: Context) -> Steps:
    """The input's calls, [activity] or [activity, input], in turn: each one's result or failure."""
    ends = []
    for name, *given in context.get_input():
        try:
            ends.append({"ok": (yield context.call_activity(name, *given))})
        except Exception as error:
            ends.append({"failed": str(error)})
    return ends


@orchestrator
def activity_fails(context: Context) -> Steps:
    return (yield context.call_activity("fail", "x"))


@orchestrator
def unknown_activity(context: Context) -> Steps:
    return (yield context.call_activity("nobody", "x"))


@orchestrator
def bad_result(context: Context) -> Steps:
    return (yield context.call_activity("unserialisable", "x"))


@orchestrator
def bad_output(context: Context) -> Steps:
    yield context.call_activity("echo", 1)
    return {1, 2}


@orchestrator
def raises_at_once(context: Context) -> Steps:
    raise ValueError("no good")
    yield


@orchestrator
def raises_later(context: Context) -> Steps:
    yield context.call_activity("echo", 1)
    raise KeyError("lost")


@orchestrator
def raises_own(context: Context) -> Steps:
    yield context.call_activity("echo", 1)
    raise_one(context.get_input())


@orchestrator
def raises_after_catch(context: Context) -> Steps:
    try:
        yield context.call_activity("raises", "key")
    except Exception as error:
        raise RuntimeError("translated") from error


@orchestrator
def fails(context: Context) -> Steps:
    yield context.call_activity("echo", 1)
    raise ValueError("it fails")


@orchestrator
def plain_function(context: Context) -> Steps:
    """Calls a function that is no activity."""
    return (yield context.call_activity(call_number, "x"))
