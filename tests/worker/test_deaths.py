"""A worker that dies: what ran in it fails as on Azure, what waits goes on, and another worker takes its place."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dfhost.cli import main
from dfhost.short_id import short_id
from dfhost.worker.calls import RunningCall
from dfhost.worker.deaths import calls_in_words
from tests.support.running_host import Output, RunningHost, running_host
from tests.support.waiting import eventually

EXITS = {
    "os._exit": 3,
    "SystemExit": 1,
    "KeyboardInterrupt": 130,
    "segfault": 128 + signal.SIGSEGV,
    "SIGKILL": 128 + signal.SIGKILL,
}
ENDS = {
    "os._exit": "exit code 3",
    "SystemExit": "exit code 1",
    "KeyboardInterrupt": "exit code 130",
    "segfault": "SIGSEGV",
    "SIGKILL": "SIGKILL",
}


def exited(code: int) -> str:
    return f"{sys.executable} exited with code {code} (0x{code:X})"


@pytest.fixture
async def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningHost]:
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    async with running_host("dying", workers=1) as host:
        yield host


async def get(host: RunningHost, path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(f"{host.host.url}/api/{path}") as response:
        return response.status, await response.text()


async def worker_pid(host: RunningHost) -> int:
    return int(json.loads((await get(host, "process"))[1])["pid"])


async def until_exists(file: Path) -> None:
    async def exists() -> bool:
        return file.exists()

    await eventually(exists, bool)


@pytest.mark.parametrize(
    ("calls", "words"),
    [
        ([("activity", "render", "order-17")], "activity render of instance order-17"),
        (
            [("activity", "render", f"{n}" * 32 + ":1") for n in range(4)] + [("invoke", "items", None)],
            "4 calls of activity render (00000000:1, 11111111:1, 22222222:1, …) and function items",
        ),
        ([("entity", "counter", "@counter@a"), ("entity", "stock", "@stock@a")],
         "2 calls of entities (@counter@a, @stock@a)"),
        ([("orchestrator", f"o{n}", "x") for n in range(7)],
         "orchestrator o0 of instance x, orchestrator o1 of instance x, orchestrator o2 of instance x, "
         "orchestrator o3 of instance x, orchestrator o4 of instance x and 2 more"),
        ([], "no call"),
    ],
)  # fmt: skip
def test_calls_in_words(calls: list[tuple[str, str, str | None]], words: str) -> None:
    assert calls_in_words([RunningCall(*call) for call in calls]) == words


# -- every way to die, in every phase ------------------------------------------------------------------------
@pytest.mark.long
async def test_an_activity_fails_with_the_words_of_the_host_and_can_be_caught(host: RunningHost) -> None:
    for how, code in EXITS.items():
        caught = await host.run("caught", ["die", how])
        head, _, details = caught.partition(" \n ")
        assert head == f"Activity function 'die' failed: {exited(code)}"
        assert json.loads(details)["$type"] == (
            "Microsoft.Azure.WebJobs.Script.Workers.WorkerProcessExitException, Microsoft.Azure.WebJobs.Script"
        )
    ends = [note for note in host.log.notes if "has ended" in note]
    assert [end in note for end, note in zip(ENDS.values(), ends, strict=True)] == [True] * len(EXITS)
    assert all("It was running activity die of instance " in note for note in ends)
    assert ["recycle the host" in note for note in ends] == [False, False, True, False, False]


@pytest.mark.long
async def test_an_async_activity_fails_likewise(host: RunningHost) -> None:
    assert exited(1) in await host.run("caught", ["die_async", "SystemExit"])
    assert exited(3) in await host.failure(await host.start("call", ["die_async", "os._exit"]))


@pytest.mark.long
async def test_a_retry_policy_tries_again(host: RunningHost) -> None:
    assert await host.run("retried", "tried") == "second attempt"


async def test_an_orchestrator_in_its_first_turn_fails(host: RunningHost) -> None:
    failure = await host.failure(await host.start("dies_in_first_turn", "os._exit"))
    assert failure == (
        f"Orchestrator function 'dies_in_first_turn' failed: One or more errors occurred. ({exited(3)})"
    )


@pytest.mark.long
async def test_an_orchestrator_in_a_later_turn_fails_as_if_its_code_had_changed(host: RunningHost) -> None:
    failure = await host.failure(await host.start("dies_in_second_turn", "SIGKILL"))
    assert failure.startswith(
        "Non-Deterministic workflow detected: A previous execution of this orchestration scheduled an activity task "
        "with sequence ID 0 and name 'echo' (version ''), but the current replay execution hasn't (yet?) scheduled "
        "this task."
    )


@pytest.mark.long
async def test_an_orchestrator_that_dies_in_a_later_turn_is_shown_with_the_true_cause(
    host: RunningHost, capsys: pytest.CaptureFixture[str]
) -> None:
    instance_id = await host.start("dies_in_second_turn", "os._exit")
    output = await host.failure(instance_id)
    assert output.startswith("Non-Deterministic workflow detected: ")
    cause = "The app's worker process ended (exit code 3) while it ran this orchestrator."
    entry = await host.log.entry("failed", "dies_in_second_turn")
    assert entry[3] == f"{cause}\nIts output is: {output}"
    explained = await host.explain(instance_id)
    assert explained["cause"] == cause and explained["sentence"].endswith(f": {cause}")
    assert all("Cause" not in event for event in await host.history(instance_id))
    for command in (["show", instance_id], ["list"]):
        assert await asyncio.to_thread(main, [*command, "--url", host.host.url]) == 0
        assert cause in capsys.readouterr().out
    started = ["start-instance", "dies_in_second_turn", "--input", '"os._exit"', "--wait"]
    assert await asyncio.to_thread(main, [*started, "--url", host.host.url]) == 1
    assert capsys.readouterr().err.endswith(f" failed: {cause}\n")


async def test_those_that_called_an_orchestrator_that_died_are_shown_with_its_cause(
    host: RunningHost, capsys: pytest.CaptureFixture[str]
) -> None:
    instance_id = await host.start("calls_dying_child", 1)
    output = await host.failure(instance_id)
    assert output.startswith("Orchestrator function 'calls_dying_child' failed: ") and "Non-Determ" in output
    died = "dies_in_second_turn child-0: The app's worker process ended (exit code 3) while it ran this orchestrator."
    cause = f"calls_dying_child child-1 > {died}"
    entry = await host.log.entry("failed", "calls_dying_child", count=2)
    assert entry[3] == f"{cause}\nIts output is: {output}" and "Determ" not in entry[4]
    assert (await host.explain("child-1"))["cause"] == died
    explained = await host.explain(instance_id)
    assert explained["cause"] == cause and explained["sentence"].endswith(f": {cause}")
    for command in ("show", "explain", "list --prefix"):
        assert await asyncio.to_thread(main, [*command.split(), instance_id, "--url", host.host.url]) == 0
        assert cause in capsys.readouterr().out.replace("child-0 failed: ", "child-0: ")
    url = f"{host.host.url}/dashboard/api/search?text=calls_dying_child"
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert {died, cause} <= {row[-1] for row in await response.json()}


@pytest.mark.long
async def test_the_batch_of_an_entity_is_done_again(host: RunningHost) -> None:
    assert await host.run("asks_entity", ["key", "die_once"]) == "die_once done"


@pytest.mark.parametrize("path", ["die", pytest.param("die-async", marks=pytest.mark.long)])
async def test_an_http_function_is_answered_500_without_a_body(host: RunningHost, path: str) -> None:
    assert await get(host, f"{path}/os._exit") == (500, "")
    assert await get(host, f"{path}/SystemExit") == (500, "")
    assert await get(host, f"{path}/nothing") == (200, "nothing")
    kinds = [entry[3] for entry in host.log.entries if entry[0] == "failed"]
    assert kinds == [f"WorkerProcessExitException: {exited(code)}" for code in (3, 1)]


@pytest.mark.long
async def test_what_runs_beside_it_fails_and_what_waits_goes_on(host: RunningHost, tmp_path: Path) -> None:
    waiting = await host.start("waits")
    await host.until_waiting(waiting, "event")
    beside = [await host.start("caught", ["wait_for_file", name]) for name in ("a", "b")]
    for name in ("a", "b"):
        await until_exists(tmp_path / f"{name}.waits")
    os.kill(await worker_pid(host), signal.SIGKILL)
    for instance_id in beside:
        assert exited(137) in await host.output(instance_id)
    await host.send(waiting, "raiseEvent/go", "went on")
    assert await host.output(waiting) == "went on"
    (note,) = [note for note in host.log.notes if "has ended" in note]
    ids = {", ".join(map(short_id, each)) for each in (beside, beside[::-1])}
    ran = re.search(
        r"It was running 2 calls of activity wait_for_file \((.*?)\); any of them may have ended it\.", note
    )
    assert ran and ran[1] in ids and "SIGKILL" in note


@pytest.mark.long
async def test_a_kept_generator_that_is_lost_is_replayed(host: RunningHost) -> None:
    instance_id = await host.start("loops", 150)
    await host.until(instance_id, lambda status: True)
    os.kill(await worker_pid(host), signal.SIGKILL)
    outcome = await host.ended(instance_id)
    # The step that ran in it has failed, or none did: then the loop went on in another worker.
    assert outcome["runtimeStatus"] == "Failed" or outcome["output"] == sum(range(150))
    assert await host.run("loops", 120) == sum(range(120))


@pytest.mark.long
async def test_what_has_ended_is_not_lost_by_a_death_while_its_result_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    async with running_host("dying", workers=1, database=tmp_path / "hub.db") as host:
        ended = await host.start("caught", ["wait_for_file", "ends"])
        running = await host.start("caught", ["wait_for_file", "runs"])
        await until_exists(tmp_path / "ends.waits")
        await until_exists(tmp_path / "runs.waits")
        pid = await worker_pid(host)
        with closing(sqlite3.connect(tmp_path / "hub.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")  # no commit ends before this transaction
            (tmp_path / "ends").touch()
            await host.log.entry("finished", "wait_for_file")
            os.kill(pid, signal.SIGKILL)
            await host.log.entry("failed", "wait_for_file")
            other.execute("ROLLBACK")
        assert await host.output(ended) == "ends"
        assert exited(137) in await host.output(running)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not hold a process to its limit")
async def test_too_little_memory_ends_a_worker_or_fails_its_call(host: RunningHost) -> None:
    assert "failed: " in await host.run("caught", ["die", "memory"])
    assert await get(host, "die/memory") == (500, "")
    assert await host.run("call", ["echo", "all is well"]) == "all is well"


@pytest.mark.long
async def test_an_activity_without_a_worker_is_queued_and_has_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    paced: dict[str, Any] = {"restart_interval": 100.0, "max_activities": 1}
    async with running_host("dying", workers=1, finishes=False, **paced) as host:
        assert await get(host, "die/os._exit") == (500, "")  # after this death the next worker starts at once
        pid = await worker_pid(host)
        await host.start("caught", ["wait_for_file", "never"])
        await until_exists(tmp_path / "never.waits")
        queued = await host.start("call", ["echo", 1])
        await host.until_waiting(queued, "activity")
        os.kill(pid, signal.SIGKILL)
        await host.log.entry("failed", "wait_for_file")
        (waits,) = (await host.explain(queued))["waitsFor"]
        assert (waits["name"], waits["state"]) == ("echo", "queued")
        assert not [entry for entry in host.log.entries if entry[:2] == ("started", "echo")]


# -- functionTimeout -----------------------------------------------------------------------------------------
@pytest.mark.long
async def test_what_takes_too_long_fails_and_its_worker_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    async with running_host("dying", workers=1, function_timeout=1.0) as host:
        first = await worker_pid(host)
        activity, entity = await asyncio.gather(
            host.run("caught", ["die", "hang"]), host.start("asks_entity", ["key", "hang"])
        )
        sentence = "Timeout value of 00:00:01 was exceeded by function: Functions."
        assert activity.startswith(f"Activity function 'die' failed: {sentence}die \n ")
        kind = json.loads(activity.partition(" \n ")[2])["$type"]
        assert kind == "Microsoft.Azure.WebJobs.Host.FunctionTimeoutException, Microsoft.Azure.WebJobs.Host"
        failure = await host.failure(entity)
        assert failure.startswith(f"Orchestrator function 'asks_entity' failed: {sentence}mortal"), failure
        assert await get(host, "die/spin") == (500, "")
        assert await get(host, "die-async/hang") == (500, "")
        assert await worker_pid(host) != first
        assert "die took longer than functionTimeout, so worker process" in "".join(host.log.notes)


def replaced(host: RunningHost) -> list[str]:
    return [note for note in host.log.notes if "is replaced" in note]


@pytest.mark.long
async def test_before_a_worker_is_killed_for_a_time_out_its_stack_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    output = Output()
    async with running_host("dying", workers=1, function_timeout=0.5, output=output) as host:
        instance_id = await host.start("caught", ["die", "spin"])
        await host.output(instance_id)

        async def stack() -> list[str]:
            return [line for line in output.lines if line.startswith("  ")]

        frames = await eventually(stack, bool)
        assert f"Activity die of instance {short_id(instance_id)} hangs here:" in host.log.notes
        assert frames[-1].strip() in ("while True:", "pass")
        assert "in end_process" in frames[-2] and "function_app.py" in frames[-2]
        assert [frame for frame in frames if "in die" in frame]
        assert not [frame for frame in frames if "site-packages" in frame]


@pytest.mark.stress
async def test_restarts_after_time_outs_are_paced_like_those_after_deaths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    async with running_host("dying", workers=1, function_timeout=1.0, restart_interval=100.0) as host:
        first = await worker_pid(host)
        assert await get(host, "die/hang") == (500, "")
        assert replaced(host) == [
            f"Function http_die took longer than functionTimeout, so worker process {first} is replaced. "
            "Another worker starts at once."
        ]
        second = await worker_pid(host)
        assert await get(host, "die/hang") == (500, "")
        monkeypatch.setattr("dfhost.dispatch.episode_limiter.SLOW_SECONDS", 0.0)
        waiting = await host.start("call", ["echo", "waits for a worker"])
        sentence = "Its code waits for the app's next worker process: the last one has ended."
        await host.until_explained(waiting, lambda explained: explained["sentence"] == sentence)
        await asyncio.sleep(1.0)  # code that is slow would be reported within a quarter of that
        (note,) = replaced(host)[1:]
        assert not any("without a yield" in each for each in host.log.notes)
        assert f"worker process {second} is replaced. Another worker starts in 9" in note
        assert note.endswith(" s; calls wait for it.")


@pytest.mark.long
async def test_an_orchestrator_that_never_returns_fails_after_three_tries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    async with running_host("dying", workers=1, function_timeout=0.5) as host:
        failure = await host.failure(await host.start("dies_in_first_turn", "spin"))
        assert failure == (
            "Orchestrator function 'dies_in_first_turn' failed: One or more errors occurred. "
            "(it did not return within the functionTimeout, 3 times)"
        )


# -- several workers -----------------------------------------------------------------------------------------
@pytest.mark.long
async def test_calls_go_to_the_workers_in_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    async with running_host("dying", workers=2) as host:
        await eventually(lambda: ready(host), lambda count: count == 2)
        pids: list[Any] = await host.run("fan", ["process_id", 20])
        assert sorted(pids.count(pid) for pid in set(pids)) == [10, 10]


@pytest.mark.long
async def test_four_workers_share_the_calls_and_their_dead_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    async with running_host("dying", workers=4) as host:

        async def four() -> set[Any]:
            return {await worker_pid(host) for _ in range(4)}

        before = await eventually(four, lambda pids: len(pids) == 4)
        pids: list[Any] = await host.run("fan", ["process_id", 40])
        assert sorted(pids.count(pid) for pid in set(pids)) == [10, 10, 10, 10]
        dead = set(list(before)[:3])
        for pid in dead:
            os.kill(pid, signal.SIGKILL)
        await host.log.entry("note", count=3)
        assert len(await host.run("fan", ["echo", 40])) == 40  # by the fourth alone, or by new ones as well
        after = await eventually(four, lambda pids: len(pids) == 4 and not pids & dead)
        assert len(after & before) == 1


async def ready(host: RunningHost) -> int:
    return len({await worker_pid(host) for _ in range(2)})
