"""Queue functions: which messages they are given, in which order, how many at once, and what becomes of failures."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dfhost.clock import Clock
from dfhost.settings.model import QueueOptions
from dfhost.testing.clock import ManualClock
from tests.support.apps import write_app
from tests.support.queues import Queues
from tests.support.running_host import RunningHost, running_host

START = datetime(2030, 1, 1, tzinfo=timezone.utc)
ONE_AT_A_TIME = QueueOptions(batch_size=1, new_batch_threshold=0)


@pytest.fixture(autouse=True)
def inbox(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOX", "inbox")


@asynccontextmanager
async def queue_host(
    options: QueueOptions | None = None,
    clock: Clock | None = None,
    folder: str | Path = "queues",
    database: Path | None = None,
) -> AsyncIterator[tuple[RunningHost, Queues]]:
    async with running_host(folder, database=database, clock=clock, queues=options or QueueOptions()) as host:
        if isinstance(clock, ManualClock):
            clock.on_pause = host.host.recheck_idle
        yield host, Queues(host)


async def move(host: RunningHost, clock: ManualClock, moment: datetime) -> None:
    clock.move_to(moment)
    await host.host.idle()


def texts_seen(gates: ModuleType) -> list[str]:
    return [text for _, text, _ in gates.arrived("seen")]


def counts_seen(gates: ModuleType) -> list[int]:
    return [count for _, _, count in gates.arrived("seen")]


# -- which messages, in which order --------------------------------------------------------------------------
async def test_messages_are_taken_in_their_order_and_deleted(gates: ModuleType) -> None:
    async with queue_host(ONE_AT_A_TIME) as (host, queues):
        await queues.put("orders", "a", "b")
        await queues.put("orders", "c")
        await host.host.idle()
        assert gates.arrived("seen") == [("on_order", text, 1) for text in "abc"]
        assert await queues.messages("orders") == []
        assert [entry[0] for entry in host.log.entries] == ["started", "finished"] * 3


async def test_a_message_that_has_failed_goes_behind_those_that_wait(gates: ModuleType) -> None:
    async with queue_host(ONE_AT_A_TIME) as (host, queues):
        await queues.put("orders", "fail", "b", "c")
        await host.host.idle()
        assert texts_seen(gates) == ["fail", "b", "c", "fail", "fail", "fail", "fail"]


@pytest.mark.parametrize("name", ["orders", "ORDERS", "Orders"])
async def test_case_does_not_count_in_the_names_of_queues(gates: ModuleType, name: str) -> None:
    async with queue_host() as (host, queues):
        await queues.put(name, "a")
        await host.host.idle()
        assert texts_seen(gates) == ["a"]


async def test_a_setting_may_name_a_queue(gates: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INBOX", "Post-Box")
    async with queue_host() as (host, queues):
        await queues.put("post-box", "a")
        await queues.put("%25Inbox%25", "b")
        await host.host.idle()
        assert sorted(gates.arrived("seen")) == [("on_inbox", "a", 1), ("on_inbox", "b", 1)]


async def test_each_message_goes_to_one_of_two_functions_on_a_queue(gates: ModuleType) -> None:
    async with queue_host(ONE_AT_A_TIME) as (host, queues):
        await queues.put("shared", *(f"stop {n}" for n in range(4)))
        for n in range(4):
            await gates.arrivals("seen", min(n + 2, 4))
            gates.open(str(n))
        await host.host.idle()
        seen = gates.arrived("seen")
        assert sorted(text for _, text, _ in seen) == [f"stop {n}" for n in range(4)]
        assert {function for function, *_ in seen[:2]} == {"one", "other"}
        assert await queues.length("shared") == 0


async def test_a_function_sees_the_properties_of_its_message(gates: ModuleType) -> None:
    clock = ManualClock(START)
    async with queue_host(clock=clock) as (host, queues):
        await queues.put("looks", '{"id": 7}')
        await host.host.idle()
        (message,) = gates.arrived("looks")
        assert (message.get_json(), message.dequeue_count) == ({"id": 7}, 1)
        assert message.insertion_time == START
        assert message.expiration_time == START + timedelta(days=7)
        assert message.time_next_visible == START + timedelta(minutes=10)
        assert len(message.id) == 36 and message.pop_receipt


@pytest.mark.parametrize("text", ["", "é\n\x00\u2028", '{"a": [1, "é"]}', "[1, 2]", "7", "x" * 49_152])
async def test_a_text_arrives_as_it_was_put(gates: ModuleType, text: str) -> None:
    async with queue_host() as (host, queues):
        await queues.put("texts", text)
        await host.host.idle()
        assert gates.arrived("texts") == [text]


# -- how many at once ----------------------------------------------------------------------------------------
async def test_batch_and_threshold_bound_what_runs_at_once(gates: ModuleType) -> None:
    async with queue_host(QueueOptions(batch_size=3, new_batch_threshold=2)) as (host, queues):
        await queues.put("orders", *(f"stop {n}" for n in range(9)))
        await gates.arrivals("seen", 3)
        assert await queues.running("orders") == ["stop 0", "stop 1", "stop 2"]
        gates.open("0")  # two run, which is few enough for another batch
        await gates.arrivals("seen", 6)
        assert await queues.running("orders") == [f"stop {n}" for n in range(1, 6)]
        assert await queues.length("orders") == 8
        gates.open(*map(str, range(9)))
        await host.host.idle()
        assert sorted(texts_seen(gates)) == [f"stop {n}" for n in range(9)]


async def test_with_a_threshold_of_zero_a_batch_ends_before_the_next(gates: ModuleType) -> None:
    async with queue_host(QueueOptions(batch_size=2, new_batch_threshold=0)) as (host, queues):
        await queues.put("orders", *(f"stop {n}" for n in range(4)))
        await gates.arrivals("seen", 2)
        gates.open("0")
        await host.log.entry("finished")
        assert await queues.running("orders") == ["stop 1"]
        gates.open("1")
        await gates.arrivals("seen", 4)
        gates.open("2", "3")
        await host.host.idle()


# -- failures ------------------------------------------------------------------------------------------------
async def test_a_failed_message_comes_again_after_the_visibility_timeout(gates: ModuleType) -> None:
    clock = ManualClock(START)
    async with queue_host(QueueOptions(visibility_timeout=30.0), clock) as (host, queues):
        await queues.put("orders", "fail")
        await host.host.idle()
        (message,) = await queues.messages("orders")
        assert message["visibleAt"] == "2030-01-01T00:00:30.000000Z"
        assert (message["dequeueCount"], message["running"]) == (1, False)
        assert clock.next_due == START + timedelta(seconds=30)
        await move(host, clock, START + timedelta(seconds=29.999999))
        assert counts_seen(gates) == [1]
        await move(host, clock, START + timedelta(seconds=30))
        assert counts_seen(gates) == [1, 2]
        assert (await queues.messages("orders"))[0]["id"] == message["id"]


async def test_others_are_taken_while_a_failed_message_is_invisible(gates: ModuleType) -> None:
    clock = ManualClock(START)
    async with queue_host(QueueOptions(visibility_timeout=30.0), clock) as (host, queues):
        await queues.put("orders", "fail")
        await host.host.idle()
        await queues.put("orders", "b")
        await host.host.idle()
        assert texts_seen(gates) == ["fail", "b"]
        assert await queues.texts("orders") == ["fail"]


@pytest.mark.parametrize("most", [1, 3])
async def test_after_so_many_failures_a_message_is_set_aside(gates: ModuleType, most: int) -> None:
    clock = ManualClock(START)
    async with queue_host(QueueOptions(max_dequeue_count=most), clock) as (host, queues):
        await queues.put("orders", "fail", "b")
        await host.host.idle()
        assert sorted(counts_seen(gates)) == sorted([*range(1, most + 1), 1])
        assert await queues.messages("orders") == []
        (message,) = await queues.messages("orders-poison")
        assert (message["message"], message["dequeueCount"], message["running"]) == ("fail", 0, False)
        (note,) = (each for each in host.log.notes if "maxDequeueCount" in each)
        assert "orders-poison" in note and ("3 times" if most == 3 else "once") in note
        assert clock.next_due == datetime(2031, 1, 1, tzinfo=timezone.utc), "but for the app's timer"


async def test_what_is_set_aside_goes_to_the_function_of_that_queue(gates: ModuleType) -> None:
    async with queue_host(QueueOptions(max_dequeue_count=1)) as (host, queues):
        await queues.put("letters-poison", "a")
        await host.host.idle()
        assert gates.arrived("seen") == [("on_letter", "a", 1)]


async def test_a_queue_of_poison_has_no_queue_of_its_own(gates: ModuleType) -> None:
    clock = ManualClock(START)
    async with queue_host(QueueOptions(max_dequeue_count=2), clock) as (host, queues):
        await queues.put("letters-poison", "fail")
        await host.host.idle()
        assert counts_seen(gates) == [1]
        assert clock.next_due == START + timedelta(minutes=10)
        await move(host, clock, START + timedelta(minutes=10))
        assert counts_seen(gates) == [1, 2]
        for tens in range(2, 6):
            await move(host, clock, START + timedelta(minutes=10 * tens))
        assert counts_seen(gates) == [1, 2]
        assert [note for note in host.log.notes if "maxDequeueCount" in note] == [
            "on_letter was given the same message of queue letters-poison 2 times without success (maxDequeueCount). "
            "It stays there, and on_letter is given it no more: fail"
        ]
        assert await queues.texts("letters-poison") == ["fail"]
        listed = (await queues.request("GET")).body
        assert not [each for each in listed if each["name"].startswith("letters-poison-")]


@pytest.mark.parametrize(("length", "is_set_aside"), [(56, True), (57, False), (63, False)])
async def test_a_long_name_leaves_no_room_for_a_queue_of_poison(
    gates: ModuleType, monkeypatch: pytest.MonkeyPatch, length: int, is_set_aside: bool
) -> None:
    name = "q" * length
    monkeypatch.setenv("INBOX", name)
    async with queue_host(QueueOptions(max_dequeue_count=1), ManualClock(START)) as (host, queues):
        await queues.put(name, "fail")
        await host.host.idle()
        assert counts_seen(gates) == [1]
        assert await queues.length(name) == (0 if is_set_aside else 1)
        if is_set_aside:
            assert await queues.texts(f"{name}-poison") == ["fail"]


async def test_a_functions_own_retries_are_part_of_one_delivery(gates: ModuleType) -> None:
    clock = ManualClock(START)
    options = QueueOptions(max_dequeue_count=2, visibility_timeout=3600.0)
    async with queue_host(options, clock) as (host, queues):
        await queues.put("stubborn", "fail")
        await host.host.idle()
        assert await queues.running("stubborn") == ["fail"]
        for minutes in (1, 2):
            await move(host, clock, START + timedelta(minutes=minutes))
        assert counts_seen(gates) == [1, 1, 1]
        assert clock.next_due == START + timedelta(minutes=62)
        for minutes in (62, 63, 64):
            await move(host, clock, START + timedelta(minutes=minutes))
        assert counts_seen(gates) == [1, 1, 1, 2, 2, 2]
        assert await queues.texts("stubborn-poison") == ["fail"]


async def test_a_message_that_takes_too_long_has_failed(gates: ModuleType) -> None:
    async with running_host(
        "queues", function_timeout=0.05, queues=QueueOptions(max_dequeue_count=1)
    ) as host:
        queues = Queues(host)
        await queues.put("orders", "stop long")
        await host.host.idle()
        assert await queues.texts("orders-poison") == ["stop long"]


# -- names ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no", "cannot be the name of a queue"),
        ("n" * 64, "cannot be the name of a queue"),
        ("with_underscore", "cannot be the name of a queue"),
        ("größe", "cannot be the name of a queue"),
        ("-orders", "cannot be the name of a queue"),
        ("orders-", "cannot be the name of a queue"),
        ("my--orders", "cannot be the name of a queue"),
        ("my orders", "cannot be the name of a queue"),
        ("", "cannot be the name of a queue"),
        ("orders-{kind}", "binding expressions"),
        ("%MISSING%", "no app setting 'MISSING'"),
    ],
)
async def test_a_function_with_a_bad_name_never_runs_and_others_do(
    gates: ModuleType, tmp_path: Path, name: str, reason: str
) -> None:
    folder = write_app(
        tmp_path,
        f"""
        from tests.support import gates

        @app.queue_trigger(arg_name="text", queue_name={name!r}, connection="")
        def misnamed(text: str) -> None: pass

        @app.queue_trigger(arg_name="text", queue_name="good", connection="")
        def named(text: str) -> None: gates.note("seen", text)
        """,
    )
    async with queue_host(folder=folder) as (host, queues):
        (note,) = (each for each in host.log.notes if each.startswith("misnamed never runs. "))
        assert reason in note
        await queues.put("good", "a")
        await host.host.idle()
        assert gates.arrived("seen") == ["a"]


# -- functions that do not run -------------------------------------------------------------------------------
async def test_messages_wait_while_their_function_is_disabled(
    gates: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "hub.db"
    monkeypatch.setenv("AzureWebJobs.on_order.Disabled", "true")
    async with queue_host(database=database) as (host, queues):
        await queues.put("orders", "a")
        await host.host.idle()
        assert await queues.texts("orders") == ["a"]
        listed = {each["name"]: each for each in (await queues.request("GET")).body}
        assert listed["orders"] == {"name": "orders", "messages": 1, "running": 0, "functions": []}
        assert listed["shared"]["functions"] == ["one", "other"]
    monkeypatch.delenv("AzureWebJobs.on_order.Disabled")
    async with queue_host(database=database) as (host, queues):
        await host.host.idle()
        assert texts_seen(gates) == ["a"]


# -- idle, stop, restart -------------------------------------------------------------------------------------
async def test_a_host_is_idle_when_no_message_can_be_taken(gates: ModuleType) -> None:
    clock = ManualClock(START)
    async with queue_host(QueueOptions(visibility_timeout=5.0), clock) as (host, queues):
        await host.host.idle()
        await queues.put("orders", "stop x")
        await gates.arrivals("seen")
        assert not host.host.is_idle
        gates.open("x")
        await host.host.idle()
        await queues.put("orders", "fail")
        await host.host.idle()
        clock.move_to(START + timedelta(seconds=5))
        assert not host.host.is_idle
        await host.host.idle()
        assert counts_seen(gates) == [1, 1, 2]


async def test_a_stop_waits_for_what_runs_and_takes_nothing_more(gates: ModuleType, tmp_path: Path) -> None:
    database = tmp_path / "hub.db"
    async with queue_host(ONE_AT_A_TIME, database=database) as (host, queues):
        await queues.put("orders", "stop first", "second")
        await gates.arrivals("seen")
    assert texts_seen(gates) == ["stop first"]
    gates.reset()
    async with queue_host(ONE_AT_A_TIME, database=database) as (host, queues):
        await host.host.idle()
        assert gates.arrived("seen") == [("on_order", "second", 1)]


def what_a_killed_host_leaves(database: Path, number: int) -> Path:
    """A copy of the database as it is on the disk at this moment."""
    copy = database.with_name(f"killed-{number}.db")
    shutil.copy(database, copy)
    shutil.copy(f"{database}-wal", f"{copy}-wal")
    return copy


async def test_after_a_kill_everything_is_there_and_what_ran_runs_again(
    gates: ModuleType, tmp_path: Path
) -> None:
    database = tmp_path / "hub.db"
    async with queue_host(ONE_AT_A_TIME, database=database) as (host, queues):
        await queues.put("orders", "a", "stop here", "c")
        await queues.put("elsewhere", "kept")
        await gates.arrivals("seen", 2)
        left = what_a_killed_host_leaves(database, 1)
    gates.reset()
    gates.open("here")
    async with queue_host(ONE_AT_A_TIME, database=left) as (host, queues):
        await host.host.idle()
        assert gates.arrived("seen") == [("on_order", "stop here", 2), ("on_order", "c", 1)]
        assert await queues.texts("elsewhere") == ["kept"]


async def test_a_message_with_which_each_host_dies_is_set_aside(gates: ModuleType, tmp_path: Path) -> None:
    database, options = tmp_path / "hub.db", QueueOptions(max_dequeue_count=2)
    for kills in range(2):
        async with queue_host(options, database=database) as (_, queues):
            if not kills:
                await queues.put("orders", "stop deadly")
            assert await gates.arrivals("seen") == [("on_order", "stop deadly", kills + 1)]
            database = what_a_killed_host_leaves(database, kills)
        gates.reset()
    async with queue_host(options, database=database) as (host, queues):
        await host.host.idle()
        assert gates.arrived("seen") == []
        assert await queues.texts("orders-poison") == ["stop deadly"]
        assert any("without success (maxDequeueCount)" in note for note in host.log.notes)


async def test_an_invisible_message_stays_so_over_a_restart(gates: ModuleType, tmp_path: Path) -> None:
    clock, options = ManualClock(START), QueueOptions(visibility_timeout=60.0)
    for moment in (START, START + timedelta(seconds=59)):
        clock.move_to(moment)
        async with queue_host(options, clock, database=tmp_path / "hub.db") as (host, queues):
            if moment == START:
                await queues.put("orders", "fail")
            await host.host.idle()
            assert counts_seen(gates) == [1]
    async with queue_host(options, clock, database=tmp_path / "hub.db") as (host, queues):
        await move(host, clock, START + timedelta(seconds=60))
        assert counts_seen(gates) == [1, 2]


async def test_a_queue_of_thousands_is_worked_off(gates: ModuleType) -> None:
    async with queue_host() as (host, queues):
        texts: list[Any] = [str(n) for n in range(2_000)]
        await queues.put("orders", *texts)
        await host.host.idle()
        assert sorted(texts_seen(gates), key=int) == texts
        assert await queues.length("orders") == 0
