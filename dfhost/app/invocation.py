"""What a function gets besides its data, as from the real worker: the invocation context and `func.Out` objects."""

from __future__ import annotations

import re
import threading
import uuid
from dataclasses import dataclass, field
from typing import Any

# One for all functions, as in the worker: user code reads the current invocation's id from it.
thread_local = threading.local()

_TRACE_PARENT = re.compile("00-([0-9a-f]{32})-[0-9a-f]{16}-([0-9a-f]{2})")


@dataclass(slots=True)
class Invocation:
    """The `context` parameter of a function, with the attributes of the real worker's (`func.Context`)."""

    function_name: str
    function_directory: str
    invocation_id: str
    trace_context: TraceContext
    retry_context: RetryContext
    thread_local_storage: threading.local


@dataclass(slots=True)
class TraceContext:
    """W3C trace context of the call; the capitalised names are the worker's deprecated spelling."""

    trace_parent: str
    trace_state: str = ""
    attributes: dict[str, str] = field(default_factory=dict)

    Traceparent = property(lambda self: self.trace_parent)
    Tracestate = property(lambda self: self.trace_state)
    Attributes = property(lambda self: self.attributes)


@dataclass(slots=True)
class RetryContext:
    retry_count: int = 0
    max_retry_count: int = 0


class Out:
    """The object behind a `func.Out[T]` parameter."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, val: Any) -> None:
        self._value = val

    def get(self) -> Any:
        return self._value


def new_invocation(
    name: str, directory: str, retry: RetryContext, trace_parent: str = "", trace_state: str = ""
) -> Invocation:
    """A new invocation. With W3C headers of a caller it is a span of the caller's trace."""
    caller = _TRACE_PARENT.fullmatch(trace_parent)
    trace, flags = (caller[1], caller[2]) if caller else (uuid.uuid4().hex, "00")
    context = TraceContext(f"00-{trace}-{uuid.uuid4().hex[:16]}-{flags}", trace_state if caller else "")
    return Invocation(name, directory, str(uuid.uuid4()), context, retry, thread_local)
