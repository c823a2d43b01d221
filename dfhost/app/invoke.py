"""Run one function on the right threads, and tell the journal how it went.

For everything that is not durable: HTTP functions, timers, functions run by hand. Activities, orchestrators
and entities are the worker's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping

from azure.functions.meta import Datum

from dfhost.app.exceptions import describe_exception
from dfhost.app.functions import Function, InvocationResult
from dfhost.app.invocation import Invocation
from dfhost.app.threads import UserThreads
from dfhost.engine.failures import Failure
from dfhost.host_log import HostLog


async def invoke_function(
    function: Function,
    data: Datum,
    threads: UserThreads,
    log: HostLog,
    *,
    metadata: Mapping[str, Datum] | None = None,
    invocation: Invocation | None = None,
    timeout: float | None = None,
) -> InvocationResult | Failure:
    """What the call left behind, or how it failed; never raises what user code raised.

    `timeout` in seconds: the call then counts as failed, though Python has no way to stop a thread.
    """
    log.started(function.name, function.kind, None)
    began = time.perf_counter()

    # The outcome is made where the user's code runs: a future cannot carry every exception home as it is.
    def attempt() -> InvocationResult | Failure:
        try:
            return function.invoke(data, metadata, invocation)
        except BaseException as error:
            return describe_exception(error)

    async def attempt_async() -> InvocationResult | Failure:
        try:
            return await function.invoke_async(data, metadata, invocation)
        except BaseException as error:
            return describe_exception(error)

    calling = threads.run_async(attempt_async) if function.is_async else threads.run(attempt)
    try:
        outcome = await (asyncio.wait_for(calling, timeout) if timeout else calling)
    except asyncio.TimeoutError:
        outcome = _timed_out(function, timeout or 0)
    seconds = time.perf_counter() - began
    if isinstance(outcome, Failure):
        log.failed(function.name, function.kind, None, seconds, outcome.text, outcome.stack)
    else:
        log.finished(function.name, function.kind, None, seconds)
        function.note_outputs(outcome)
    return outcome


def _timed_out(function: Function, timeout: float) -> Failure:
    message = f"Timeout value of {timeout:g} s (functionTimeout) exceeded by function {function.name}"
    return Failure("FunctionTimeoutException", message, f"FunctionTimeoutException: {message}", "")
