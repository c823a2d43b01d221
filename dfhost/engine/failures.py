"""The texts of failures, the same as on Azure, so that code which reads them works in both places.

Apps split ``str(exception)`` at its newline and parse the second half as the JSON of a .NET exception. The texts
have the extension's form down to the blanks (recorded). Nothing here decides *when* something fails.
"""

from __future__ import annotations

import json
from typing import NamedTuple

_STATE = "$OutOfProcData$:"
MARKER = f"\n\n{_STATE}"  # between a raised failure's message and the state, see the SDK's executor


class Failure(NamedTuple):
    """A Python exception as texts.

    `type_name` "ValueError"; `message` its `str()`; `text` "ValueError: bad", which is what the real worker
    reports; `stack` the formatted frames without header and footer, each line ended by a newline.
    """

    type_name: str
    message: str
    text: str
    stack: str


def clean(text: str) -> str:
    """Without lone surrogates, which no database and no HTTP answer can hold."""
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


def activity_failed(name: str, failure: Failure) -> tuple[str, str]:
    """Reason and details of a TaskFailed.

    The extension cuts the text at the state marker, which it takes for an orchestrator's own.
    """
    text = clean(failure.text)
    kept, marker, _ = text.partition(_STATE)
    if marker:
        kept = kept.rstrip("\n")
    return f"Activity function '{name}' failed: {kept}", _exception_json(kept, text, clean(failure.stack))


def _exception_json(message: str, text: str, stack: str) -> str:
    """In one line, a System.Exception around the RpcException that carries Python's own text."""
    exception = {
        "$type": "System.Exception, System.Private.CoreLib",
        "ClassName": "System.Exception",
        "Message": message,
        "Data": None,
        "InnerException": {
            "$type": "Microsoft.Azure.WebJobs.Script.Workers.Rpc.RpcException, Microsoft.Azure.WebJobs.Script",
            "IsUserException": False,
            "RemoteStackTrace": stack,
            "RemoteMessage": text,
            "RemoteTypeName": None,
            "Message": f"Result: Failure\nException: {text}\nStack: {stack}",
            "Data": {"$type": "System.Collections.ListDictionaryInternal, System.Private.CoreLib"},
            "InnerException": None,
            "HelpLink": None,
            "Source": "dfhost",
            "HResult": -2146233088,
            "StackTrace": "   at dfhost",
        },
        "HelpURL": None,
        "StackTraceString": None,
        "RemoteStackTraceString": None,
        "RemoteStackIndex": 0,
        "ExceptionMethod": None,
        "HResult": -2146233088,
        "Source": None,
        "WatsonBuckets": None,
    }
    return json.dumps(exception, separators=(",", ":"), ensure_ascii=False)


def activity_missing(name: str) -> tuple[str, str | None]:
    """Reason and details for an activity that the app had when it was scheduled and has no more."""
    return f"Activity function '{name}' failed: Activity function '{name}' does not exist.", None


def orchestrator_failed(name: str, error: str) -> tuple[str, str]:
    """Reason and details of an orchestrator that raised `error`; the reason is the instance's output.

    The reason has no message if that consists of blanks (recorded).
    """
    error = clean(error)
    message = error if error.strip() else ""
    return f"Orchestrator function '{name}' failed: {message}", f"Message: {error}, StackTrace:    at {name}"


def episode_failed(name: str, failure: Failure) -> tuple[str, str]:
    """Reason and details of an orchestrator that failed outside its generator: the SDK reports no error then."""
    text, stack = clean(failure.text), clean(failure.stack)
    error = f"One or more errors occurred. (Result: Failure\nException: {text}\nStack: {stack})"
    return f"Orchestrator function '{name}' failed: {error}", f"Message: {error}, StackTrace:    at {name}"


def unknown_function(kind: str, name: str, registered: list[str]) -> str:
    """The extension's sentence, with the registered names at its end. `kind`: orchestrator, activity or entity."""
    head = (
        f"The function '{name}' doesn't exist, is disabled, or is not an {kind} function. Additional info: "
    )
    if not registered:
        return head + f"No {kind} functions are currently registered!"
    names = ", ".join(f"'{each}'" for each in registered)
    return head + f"The following are the known {kind} functions: {names}."
