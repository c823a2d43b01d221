"""Runs one function that is not durable, on the right thread, and logs its start and end.

For HTTP functions, timer functions and functions run by hand. The dispatchers run activities, orchestrators and
entities.
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
from dfhost.errors import UserLoopEnded
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
    """The result of the call, or its failure after the retries of the function's policy. Never raises that.

    After `timeout` seconds an attempt counts as failed; its thread goes on, since Python cannot stop it.
    """
    delays, retry_count = function.retry_delays(), 0
    while True:
        outcome = await _attempt(function, data, threads, log, metadata, invocation, timeout)
        if not isinstance(outcome, Failure) or (delay := next(delays, None)) is None:
            return outcome
        await asyncio.sleep(delay)
        retry_count += 1
        if function.signature.wants_context:
            trace = invocation.trace_context if invocation else None
            invocation = function.new_invocation(
                retry_count, trace.trace_parent if trace else "", trace.trace_state if trace else ""
            )


async def _attempt(
    function: Function,
    data: Datum,
    threads: UserThreads,
    log: HostLog,
    metadata: Mapping[str, Datum] | None,
    invocation: Invocation | None,
    timeout: float | None,
) -> InvocationResult | Failure:
    log.started(function.name, function.kind, None)
    start = time.perf_counter()

    # Described on the user's thread, because a future cannot carry every exception.
    def call() -> InvocationResult | Failure:
        entry = threads.calls.begin(function.kind, function.name, None)
        try:
            return function.invoke(data, metadata, invocation)
        except BaseException as error:
            return describe_exception(error)
        finally:
            threads.calls.end(entry)

    async def call_async() -> InvocationResult | Failure:
        entry = threads.calls.begin(function.kind, function.name, None)
        try:
            return await function.invoke_async(data, metadata, invocation)
        except BaseException as error:
            return describe_exception(error)
        finally:
            threads.calls.end(entry)

    outcome_future = threads.run_async(call_async) if function.is_async else threads.run(call)
    try:
        outcome = await (asyncio.wait_for(outcome_future, timeout) if timeout else outcome_future)
    except asyncio.TimeoutError:
        outcome = _timed_out(function, timeout or 0)
    except UserLoopEnded as error:
        outcome = describe_exception(error)
    seconds = time.perf_counter() - start
    if isinstance(outcome, Failure):
        log.failed(function.name, function.kind, None, seconds, outcome.text, outcome.stack)
    else:
        log.finished(function.name, function.kind, None, seconds)
        function.log_outputs(outcome)
    return outcome


def _timed_out(function: Function, timeout: float) -> Failure:
    message = f"Timeout value of {timeout:g} s (functionTimeout) exceeded by function {function.name}"
    return Failure("FunctionTimeoutException", message, f"FunctionTimeoutException: {message}", "")
