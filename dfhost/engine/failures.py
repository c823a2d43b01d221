"""The texts of failures, the same as on Azure, so that code which reads them works in both places.

Apps split ``str(exception)`` at its newline and parse the second half as the JSON of a .NET exception. The texts
have the extension's form down to the blanks (recorded). Nothing here decides *when* something fails.
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any, NamedTuple

from dfhost.user_frames import is_library

_STATE = "$OutOfProcData$:"
MARKER = f"\n\n{_STATE}"  # between a raised failure's message and the state, see the SDK's executor

# The exceptions of the Functions host itself, and their assemblies.
_SCRIPT = "Microsoft.Azure.WebJobs.Script"
_WORKER_EXIT = f"{_SCRIPT}.Workers.WorkerProcessExitException"
_TIMEOUT = "Microsoft.Azure.WebJobs.Host.FunctionTimeoutException"
_ASSEMBLIES = {_WORKER_EXIT: _SCRIPT, _TIMEOUT: "Microsoft.Azure.WebJobs.Host"}

_FRAME = r'File "([^"]+)", line (\d+), in (.+)'
_MOST_TEXT = 2_000  # characters


class Failure(NamedTuple):
    """A Python exception as texts.

    `type_name` "ValueError"; `message` its `str()`; `text` "ValueError: bad", which is what the real worker
    reports; `stack` the formatted frames without header and footer, each line ended by a newline.
    """

    type_name: str
    message: str
    text: str
    stack: str


def in_a_line(failure: Failure) -> str:
    """ "KeyError: 'email' (function_app.py, line 4, in helper)": its text with the place of its newest frame.

    That is the newest of the app's own code, if there is any.
    """
    first, line_end, rest = failure.text[:_MOST_TEXT].partition("\n")
    frames = re.findall(_FRAME, failure.stack)
    own = [frame for frame in frames if not is_library(frame[0])]
    for path, line, function in (own or frames)[-1:]:
        name = path.replace("\\", "/").rpartition("/")[2]
        first = f"{first} ({name}, line {line}, in {function})"
    return f"{first}{line_end}{rest}"


def clean(text: str) -> str:
    """The text without lone surrogates, which no database and no HTTP answer can hold."""
    return text.encode("utf-8", "replace").decode() if not text.isascii() else text


def activity_failed(name: str, failure: Failure) -> tuple[str, str]:
    """Reason and details of a TaskFailed.

    The extension cuts the text at the state marker, which it takes for an orchestrator's own.
    """
    if failure.type_name in _ASSEMBLIES:  # the host's own exception
        exception = _host_exception(failure.type_name, failure.message)
        return f"Activity function '{name}' failed: {failure.message}", exception
    text = clean(failure.text)
    kept, marker, _ = text.partition(_STATE)
    if marker:
        kept = kept.rstrip("\n")
    inner = _rpc_exception(text, clean(failure.stack))
    details = _exception_json("System.Exception", "System.Private.CoreLib", kept, inner)
    return f"Activity function '{name}' failed: {kept}", details


def _rpc_exception(text: str, stack: str) -> dict[str, Any]:
    """What the host makes of the worker's answer: it carries Python's own text."""
    return {
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
    }


def _host_exception(kind: str, message: str) -> str:
    """An exception that the Functions host has thrown itself, as JSON in one line."""
    exception = {
        "$type": f"{kind}, {_ASSEMBLIES[kind]}",
        "Message": message,
        "Data": {"$type": "System.Collections.ListDictionaryInternal, System.Private.CoreLib"},
        "InnerException": None,
        "HelpLink": None,
        "Source": "dfhost",
        "HResult": -2146233088,
        "StackTrace": "   at dfhost",
    }
    return json.dumps(exception, separators=(",", ":"), ensure_ascii=False)


def _exception_json(kind: str, assembly: str, message: str, inner: dict[str, Any] | None) -> str:
    """Any other .NET exception, as JSON in one line: such have more fields."""
    exception = {
        "$type": f"{kind}, {assembly}",
        "ClassName": kind,
        "Message": message,
        "Data": None,
        "InnerException": inner,
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


def worker_exited(python: str, code: int) -> Failure:
    """What ran in a worker process that has ended. `code`: a signal n counts as 128 + n."""
    message = f"{python} exited with code {code} (0x{code:X})"
    return Failure(_WORKER_EXIT, message, f"WorkerProcessExitException: {message}", "")


def timed_out(function: str, seconds: float) -> Failure:
    """A call of an activity, entity, HTTP or timer function that took longer than functionTimeout."""
    message = f"Timeout value of {_time_span(seconds)} was exceeded by function: Functions.{function}"
    return Failure(_TIMEOUT, message, message, "")


def _time_span(seconds: float) -> str:
    """The seconds as .NET writes a TimeSpan: ``00:05:00``, ``00:00:00.2500000``, ``1.00:00:00``."""
    span = timedelta(seconds=seconds)
    minutes, whole = divmod(span.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days = f"{span.days}." if span.days else ""
    fraction = f".{span.microseconds:06}0" if span.microseconds else ""
    return f"{days}{hours:02}:{minutes:02}:{whole:02}{fraction}"


def function_gone(function: str) -> Failure:
    """A call of a function that the app no longer has since it was loaded again."""
    sentence = f"The app no longer has the function '{function}'."
    return Failure("", sentence, sentence, "")


def not_answered(error: Exception) -> Failure:
    """A call that was made, and whose answer could not be sent because of `error`."""
    sentence = f"The app's worker process could not answer: {type(error).__name__}: {error}."
    return Failure("", sentence, sentence, "")


def is_worker_exit(failure: Failure) -> bool:
    return failure.type_name == _WORKER_EXIT


def is_timeout(failure: Failure) -> bool:
    return failure.type_name == _TIMEOUT


def activity_missing(name: str, is_disabled: bool) -> tuple[str, str | None]:
    """Reason and details for an activity that is disabled, or that the app no longer has."""
    if not is_disabled:
        return f"Activity function '{name}' failed: Activity function '{name}' does not exist.", None
    message = f"Activity function '{name}' is disabled."
    kind = "Microsoft.Azure.WebJobs.Extensions.DurableTask.FunctionFailedException"
    details = _exception_json(kind, "Microsoft.Azure.WebJobs.Extensions.DurableTask", message, None)
    return f"Activity function '{name}' failed: {message}", details


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
