"""Calls one function that is not durable: its retries, its time limit, and its start and end in the log.

For HTTP, timer and queue functions, and functions run by hand. The dispatchers run activities, orchestrators and
entities.
"""

from __future__ import annotations

import asyncio
import time

from dfhost.clock import Clock
from dfhost.engine import failures
from dfhost.engine.failures import Failure
from dfhost.host_log import Attempt, HostLog
from dfhost.runner.app_runner import AppRunner, FunctionCall, HttpReply, HttpRequest, QueueDelivery
from dfhost.runner.functions import FunctionInfo


async def invoke_function(
    runner: AppRunner,
    function: FunctionInfo,
    call: FunctionCall,
    log: HostLog,
    clock: Clock,
    timeout: float | None = None,
    delivery: Attempt | None = None,
) -> HttpReply | Failure | None:
    """What the call returns, or its failure after the retries of the function's policy. Never raises that.

    After `timeout` seconds an attempt counts as failed. `delivery`: for the log, which delivery of a message this is;
    the function's own retries are part of one.
    """
    delays = function.retry_delays()
    while True:
        delay = next(delays, None)
        outcome = await _attempt(runner, function, call, log, timeout, delay, delivery)
        if not isinstance(outcome, Failure) or delay is None:
            return outcome
        await clock.pause(delay)
        call = call._replace(retry_count=call.retry_count + 1)


async def _attempt(
    runner: AppRunner,
    function: FunctionInfo,
    call: FunctionCall,
    log: HostLog,
    timeout: float | None,
    delay: float | None,
    delivery: Attempt | None,
) -> HttpReply | Failure | None:
    item = _item(call)
    log.started(function.name, function.kind, None, item)
    start = time.perf_counter()
    try:
        calling = runner.invoke(call)
        outcome = await (asyncio.wait_for(calling, timeout) if timeout else calling)
    except asyncio.TimeoutError:
        outcome = failures.timed_out(function.name, timeout or 0)
    seconds = time.perf_counter() - start
    if isinstance(outcome, Failure):
        policy = function.retry
        attempt = Attempt(call.retry_count + 1, policy.max_attempts, delay) if policy else None
        if delay is None and delivery is not None:
            attempt = delivery
        log.failed(function.name, function.kind, None, seconds, outcome.text, outcome.stack, item, attempt)
    else:
        status = f"{outcome.status} " if isinstance(outcome, HttpReply) else ""
        log.finished(function.name, function.kind, None, seconds, status + item)
    return outcome


def _item(call: FunctionCall) -> str:
    """The request's method and path, or the message; "" for other calls."""
    if isinstance(call.data, QueueDelivery):
        number, text = call.data.dequeue_count, call.data.text
        return text if number == 1 else f"delivery {number}: {text}"
    if not isinstance(call.data, HttpRequest):
        return ""
    path = call.data.url.partition("://")[2].partition("/")[2].partition("?")[0]
    return f"{call.data.method} /{path}"
