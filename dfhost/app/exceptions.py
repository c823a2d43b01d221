"""Describes an exception that user code raised: its text, and the user's part of the traceback. Pure.

The two texts are those that the real worker sends to its host (`RpcException.message`, `.stack_trace`), without the
frames of dfhost.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from traceback import StackSummary, TracebackException, extract_stack, extract_tb
from types import FrameType, GeneratorType, TracebackType
from typing import Any

from dfhost.credentials import hide_credentials
from dfhost.engine.failures import Failure
from dfhost.user_frames import is_library

#: In a worker: called when user code raises SystemExit or KeyboardInterrupt, which end the real worker, too.
end_process: Callable[[BaseException], None] | None = None

_OURS = str(Path(__file__).resolve().parent.parent)


def describe_exception(error: BaseException) -> Failure:
    """The failure that `error` is, without credentials. Never raises, even if its own `__str__` does."""
    type_name, *texts = raw_description(error)
    return Failure(type_name, *map(hide_credentials, texts))


def raw_description(error: BaseException) -> Failure:
    """Likewise, as the worker sends it to its host, which hides credentials then."""
    if end_process is not None and isinstance(error, (SystemExit, KeyboardInterrupt)):
        end_process(error)
    type_name = type(error).__name__
    try:
        message = str(error)
        text = f"{type_name}: {message}"
    except BaseException:  # from the user's __str__; the sentence is the real worker's
        message = text = "Unhandled exception in function. Could not serialize original exception message."
    try:
        stack = "".join(_stack(error).format())
    except BaseException:
        stack = ""
    return Failure(type_name, message, text, stack)


def user_traceback(error: BaseException) -> TracebackType | None:
    """The traceback without the leading frames of dfhost and of the import system."""
    whole = traceback = error.__traceback__
    while traceback is not None and not _is_ours(traceback):
        traceback = traceback.tb_next
    if traceback is None:
        return whole
    while traceback is not None and _is_ours(traceback):
        traceback = traceback.tb_next
    return traceback


def traceback_text(error: BaseException) -> str:
    """As Python prints it, without the frames before the user's and those of modules that have no source lines."""
    described = TracebackException(type(error), error, user_traceback(error))
    pending: list[TracebackException | None] = [described]
    while pending:
        if (each := pending.pop()) is None:
            continue
        kept = [frame for frame in each.stack if not frame.filename.startswith("<frozen ")]
        each.stack = StackSummary.from_list(kept or each.stack)
        pending += [each.__cause__, each.__context__, *(getattr(each, "exceptions", None) or ())]
    return "".join(described.format())


def place_of_error(error: BaseException) -> str:
    """ " (function_app.py, line 85, in later)": the user's line that raised `error`; "" if there is none."""
    return _place(extract_tb(error.__traceback__))


def place_of_call() -> str:
    """Likewise for the user's line that leads to the present call."""
    return _place(extract_stack())


def place_of_frame(frame: FrameType) -> str:
    """Likewise for the user's line that `frame` executes or has called."""
    return _place(extract_stack(frame))


def place_of_generator(generator: GeneratorType[Any, Any, Any]) -> str:
    """Likewise for the line of its own at which it waits, without a look at the file: each replay asks for it."""
    code, frame = generator.gi_code, generator.gi_frame
    return (
        f" ({os.path.basename(code.co_filename)}, line {frame.f_lineno}, in {code.co_name})" if frame else ""
    )


def user_stack(frame: FrameType) -> str:
    """The user's lines that `frame` executes or has called, as a traceback has them, the newest last; "" for none."""
    own = [each for each in extract_stack(frame) if _is_users(each.filename)]
    return hide_credentials("".join(StackSummary.from_list(own).format()))


def _place(stack: StackSummary) -> str:
    for frame in reversed(stack):
        if _is_users(frame.filename):
            return f" ({Path(frame.filename).name}, line {frame.lineno}, in {frame.name})"
    return ""


def _is_users(file: str) -> bool:
    return not file.startswith(_OURS) and not is_library(file)


def _stack(error: BaseException) -> StackSummary:
    # dfhost also has frames between the SDK and an orchestrator. The import system's frames are of no use.
    omitted = (_OURS, "<frozen importlib") if isinstance(error, ModuleNotFoundError) else (_OURS,)
    stack = extract_tb(user_traceback(error))
    return StackSummary.from_list([frame for frame in stack if not frame.filename.startswith(omitted)])


def _is_ours(traceback: TracebackType) -> bool:
    return traceback.tb_frame.f_code.co_filename.startswith((_OURS, "<frozen importlib"))
