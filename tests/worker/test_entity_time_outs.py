"""An operation of an entity that hangs: what is said of it meanwhile, and what becomes of those around it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.running_host import RunningHost, running_host
from tests.support.waiting import until

ENTITY = "@mortal@key"
SENTENCE = "Timeout value of 00:00:01 was exceeded by function: Functions.mortal"


async def queued(host: RunningHost, *operations: str) -> None:
    """Wait until these wait behind the operation that runs."""
    await host.until_explained(
        ENTITY, lambda shown: tuple(each["name"] for each in shown["waitsFor"][1:]) == operations
    )


async def one_batch(host: RunningHost, tmp_path: Path, *operations: str) -> list[str]:
    """Have the entity given these in one batch: ``hang``, a signal, or ``call add``. The ids of the callers."""
    callers = []
    await host.signal("mortal", "key", "wait_for_file", "first")
    await asyncio.to_thread(until, (tmp_path / "first.waits").exists, bool)
    names: list[str] = []
    for operation in operations:
        verb, _, name = operation.rpartition(" ")
        if verb:
            callers.append(await host.start("asks_entity", ["key", name]))
        else:
            await host.signal("mortal", "key", name, None)
        names.append(name)
        await queued(host, *names)
    (tmp_path / "first").touch()
    return callers


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRATCH", str(tmp_path))


@pytest.mark.long
async def test_only_the_operation_that_hangs_fails(tmp_path: Path) -> None:
    async with running_host("dying", workers=1, function_timeout=1.0) as host:
        operations = ("add", "call hang", "add", "call add", "hang", "call get")
        hangs, *others = await one_batch(host, tmp_path, *operations)
        assert (await host.failure(hangs)).startswith(
            f"Orchestrator function 'asks_entity' failed: {SENTENCE}"
        )
        assert [await host.output(caller) for caller in others] == ["add done", "get done"]
        status, entity = await host.request("GET", "entities/mortal/key")
        assert (status, entity) == (200, 3)
        failed = [entry[1:4:2] for entry in host.log.entries if entry[:2] == ("failed", "mortal")]
        assert failed == [
            ("mortal", f"{SENTENCE}. Its 6 operations are run again, one by one."),
            ("mortal", SENTENCE),
            ("mortal", f"{SENTENCE}\nThe signal hang is lost."),
        ]


@pytest.mark.long
async def test_the_operation_that_runs_is_named_and_since_when(tmp_path: Path) -> None:
    database = tmp_path / "hub.db"

    async def hanging(host: RunningHost) -> dict[str, Any]:
        return await host.until_explained(
            ENTITY,
            lambda shown: [each["state"] for each in shown["waitsFor"]] == ["completed", "running", "queued"],
        )

    async with running_host("dying", workers=1, database=database, finishes=False) as host:
        await one_batch(host, tmp_path, "add", "hang", "call add")
        shown = await hanging(host)
        asked, since = shown["waitsFor"][1]["scheduledTime"], shown["waitsFor"][1]["since"]
        assert asked < since
        assert re.fullmatch(
            rf"The entity's operation hang has been running since {since[:19]}Z, 1 more waits behind it\. "
            r"1 operation of its batch has ended: the answers are sent when all have\.",
            shown["sentence"],
        )
    async with running_host("dying", workers=1, database=database, finishes=False) as host:
        again = (await hanging(host))["waitsFor"][1]
        assert again["scheduledTime"] == asked and again["since"] > since
