"""Changes to the SDK's durable client while a test runs: stubs of its methods, and waiting by the test's clock."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, wraps
from typing import Any

from azure.durable_functions import DurableOrchestrationClient

from dfhost.testing.clock import ManualClock
from dfhost.testing.faults import Faults

CLIENT = "client."  # before the names of methods, where a function's name is expected
CLIENT_METHODS = tuple(
    name
    for name, method in vars(DurableOrchestrationClient).items()
    if not name.startswith("_") and inspect.isfunction(method)
)


_faults = Faults()  # those of the test that runs


@contextmanager
def patched_client(
    clock: ManualClock, host_loop: asyncio.AbstractEventLoop, faults: Faults
) -> Iterator[None]:
    """In this block stubbed methods answer from `faults`, and what waits in the client waits by `clock`."""
    global _faults

    async def sleep(seconds: float) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(clock.pause(seconds), host_loop))

    _faults = faults
    module: Any = sys.modules[DurableOrchestrationClient.__module__]
    clocked = {"sleep": sleep, "time": clock.time}
    replacements = [(module, name, new) for name, new in clocked.items() if hasattr(module, name)]
    client: Any = DurableOrchestrationClient
    replacements += [(client, name, _stubbable(name, getattr(client, name))) for name in CLIENT_METHODS]
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in replacements]
    for owner, name, new in replacements:
        setattr(owner, name, new)
    try:
        yield
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)


@cache
def _stubbable(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def stub_or_method(self: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        decision = _faults.decide(f"{CLIENT}{name}", *arguments, *options.values())
        if decision.error is not None:
            raise decision.error
        if decision.stub is None:
            return method(self, *arguments, **options)
        return decision.stub._take(*arguments, **options)()

    @wraps(method)
    async def asynchronous(self: Any, *arguments: Any, **options: Any) -> Any:
        result = stub_or_method(self, arguments, options)
        return await result if inspect.isawaitable(result) else result

    @wraps(method)
    def synchronous(self: Any, *arguments: Any, **options: Any) -> Any:
        return stub_or_method(self, arguments, options)

    return asynchronous if inspect.iscoroutinefunction(method) else synchronous
