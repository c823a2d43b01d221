"""Large payloads are checked, compacted and shown in threads; small ones where the request is handled."""

from __future__ import annotations

import json
import threading

import pytest

from dfhost.management import json_text
from dfhost.management.json_errors import InvalidJson
from dfhost.management.off_loop import off_loop
from tests.support.running_host import running_host

LARGE = "ä x" * 100_000


@pytest.mark.parametrize(("size", "same_thread"), [(10, True), (10_000_000, False)])
async def test_only_large_work_leaves_the_loop(size: int, same_thread: bool) -> None:
    thread = await off_loop(size, threading.get_ident)
    assert (thread == threading.get_ident()) is same_thread


async def test_an_error_in_a_thread_is_the_callers() -> None:
    with pytest.raises(InvalidJson):
        await off_loop(10_000_000, lambda: json_text.checked("{"))


async def test_large_payloads_come_back_as_they_were_sent() -> None:
    async with running_host() as host:
        instance = await host.start("fan", {"activity": "echo", "inputs": [LARGE]})
        assert await host.output(instance) == [LARGE]
        assert json.loads((await host.status(instance))["input"])["inputs"] == [LARGE]
        assert (await host.history(instance))[-1]["Result"] == [LARGE]
        code, found = await host.request("GET", "instances")
        assert code == 200 and found[0]["output"] == [LARGE]
        waiting = await host.start("waits", ["go"])
        await host.send(waiting, "raiseEvent/go", LARGE)
        assert await host.output(waiting) == [LARGE]


async def test_a_large_body_that_is_not_json_is_refused() -> None:
    async with running_host() as host:
        waiting = await host.start("waits", ["go"])
        body = b"{" + LARGE.encode()
        assert (
            await host.send_as("application/json", "POST", f"instances/{waiting}/raiseEvent/go", body) == 400
        )
