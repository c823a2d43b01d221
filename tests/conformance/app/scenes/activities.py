"""Activities that more than one theme uses."""

import asyncio
import time
from typing import Any

from .blueprint import activity, call_number, gate, meet, open_gate


@activity
async def echo(value):
    """The value; `{"hold": gate, "value": v}` is v once the gate is open."""
    if isinstance(value, dict) and "hold" in value:
        await gate(value["hold"])
        return value["value"]
    return value


async def pace(value: dict[str, Any]) -> None:
    """Take the time that `value` asks for, each part only if it is given.

    Meet `parties` callers at `meet`, wait for the gate `gate`, work for `work` seconds, open the gate `opens`.
    """
    if "meet" in value:
        await meet(value["meet"], value["parties"])
    if "gate" in value:
        await gate(value["gate"])
    await asyncio.sleep(value.get("work", 0))
    if "opens" in value:
        open_gate(value["opens"])


@activity
async def mark(value: dict) -> dict:
    """Say when it ran, in seconds of the process's clock."""
    started = time.time()
    await pace(value)
    return {"tag": value["tag"], "start": started, "end": time.time()}


@activity
async def slow(value: dict) -> str:
    """Say in words how long it is said to take."""
    await pace(value)
    return f"slept {value['says']}"


@activity
def flaky(value: dict) -> str:
    """Fails the first `failures` calls for `key`."""
    calls = call_number(f"flaky {value['key']}")
    if calls <= value["failures"]:
        raise RuntimeError(f"flaky call {calls}")
    return f"ok after {calls} calls"


@activity
async def fail_after(value: float) -> None:
    await asyncio.sleep(value)
    raise ValueError("failed on purpose")


@activity
def process_item(value: str) -> str:
    return f"Processed {value}"


@activity
async def hello_async(value: str) -> str:
    return f"Hello {value}!"


@activity
def fail(value: str) -> str:
    raise ValueError(f"cannot process {value}")


@activity
def unserialisable(value):
    return object()


@activity
def kind_of(value) -> list:
    return [type(value).__name__, value]
