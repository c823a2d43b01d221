"""How failures are worded, so that code which reads them works here and there.

Apps split ``str(exception)`` at its newline and parse the second half as the JSON of a .NET exception; so the
texts have the extension's form down to the blanks (recorded). Nothing here decides *when* something fails.
"""

from __future__ import annotations

import json
from typing import NamedTuple

MARKER = "\n\n$OutOfProcData$:"  # between a raised failure's message and the state, see the SDK's executor


class Failure(NamedTuple):
    """A Python exception in words.

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

    Two blanks stand before the type's name, and whatever follows a line that begins with ``Stack:`` or the
    state marker is lost: the extension cuts the text there when it takes the host's wrapping apart.
    """
    line = clean(failure.text)
    told = line.split("\nStack:", 1)[0]
    if "$OutOfProcData$:" in told:
        told = told.split("$OutOfProcData$:", 1)[0].rstrip("\n")
    return f"Activity function '{name}' failed:  {told}", _exception_json(
        f" {told}", line, clean(failure.stack)
    )


def _exception_json(message: str, line: str, stack: str) -> str:
    """One line: a System.Exception around the RpcException that carries Python's own words."""
    exception = {
        "$type": "System.Exception, System.Private.CoreLib",
        "ClassName": "System.Exception",
        "Message": message,
        "Data": None,
        "InnerException": {
            "$type": "Microsoft.Azure.WebJobs.Script.Workers.Rpc.RpcException, Microsoft.Azure.WebJobs.Script",
            "IsUserException": False,
            "RemoteStackTrace": stack,
            "RemoteMessage": line,
            "RemoteTypeName": None,
            "Message": f"Result: Failure\nException: {line}\nStack: {stack}",
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
    """The activity was there when it was scheduled and is not any more."""
    return f"Activity function '{name}' failed: Activity function '{name}' does not exist.", None


def orchestrator_failed(name: str, error: str) -> tuple[str, str]:
    """Reason and details of an orchestrator that raised `error`; the reason is the instance's output.

    A message of blanks only is trimmed away (recorded).
    """
    error = clean(error)
    reason = (
        f"Orchestrator function '{name}' failed: {error}"
        if error.strip()
        else (f"Orchestrator function '{name}' failed: ")
    )
    return reason, f"Message: {error}, StackTrace:    at {name}"


def episode_failed(name: str, failure: Failure) -> tuple[str, str]:
    """An orchestrator that failed outside its generator, so that there is no state to read its error from."""
    line, stack = clean(failure.text), clean(failure.stack)
    error = f"One or more errors occurred. (Result: Failure\nException: {line}\nStack: {stack})"
    return f"Orchestrator function '{name}' failed: {error}", f"Message: {error}, StackTrace:    at {name}"


def unknown_function(kind: str, name: str, known: list[str]) -> str:
    """`kind`: orchestrator, activity, entity. The extension's sentence, the known names at its end."""
    head = (
        f"The function '{name}' doesn't exist, is disabled, or is not an {kind} function. Additional info: "
    )
    if not known:
        return head + f"No {kind} functions are currently registered!"
    names = ", ".join(f"'{each}'" for each in known)
    return head + f"The following are the known {kind} functions: {names}."
