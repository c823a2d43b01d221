"""What the console is told of waits for events and timers, and of events that come: each once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support.apps import write_app
from tests.support.running_host import RunningHost, running_host

PATTERNS = """
    from datetime import timedelta

    @app.activity_trigger(input_name="value")
    def echo(value: str) -> str:
        return value

    @app.orchestration_trigger(context_name="context")
    def twice(context):
        for _ in range(2):
            yield context.wait_for_external_event("go")

    @app.orchestration_trigger(context_name="context")
    def polls(context):
        soon = context.create_timer(context.current_utc_datetime + timedelta(seconds=0.1))
        yield context.task_any([soon, context.wait_for_external_event("go")])
        yield context.wait_for_external_event("end")

    @app.orchestration_trigger(context_name="context")
    def all_of(context):
        tasks = [context.call_activity("echo", "x"), context.wait_for_external_event("go")]
        return (yield context.task_all(tasks))

    @app.orchestration_trigger(context_name="context")
    def first_of_many(context):
        yield context.task_any([context.wait_for_external_event(name) for name in "edcba"])

    @app.orchestration_trigger(context_name="context")
    def all_timers(context):
        now = context.current_utc_datetime
        yield context.task_all([context.create_timer(now + timedelta(hours=hours)) for hours in (0, 2, 1)])

    @app.orchestration_trigger(context_name="context")
    def far_off(context):
        yield context.create_timer(context.current_utc_datetime + timedelta(days=30))
"""


def waits(host: RunningHost) -> list[tuple[Any, ...]]:
    """Function, events, seconds to the timer or None, whether all are needed."""
    return [entry[1:] for entry in host.log.entries if entry[0] == "waiting"]


def received(host: RunningHost) -> list[tuple[Any, ...]]:
    return [entry[1:] for entry in host.log.entries if entry[0] == "received"]


async def test_each_wait_and_each_event_is_reported_once() -> None:
    async with running_host() as host:
        instance = await host.start("waits", ["Approval", "Payment"])
        await host.log.entry("waiting")
        await host.send(instance, "raiseEvent/Refund", 1)
        await host.send(instance, "raiseEvent/Approval", 1)
        await host.log.entry("waiting", count=2)
        await host.send(instance, "raiseEvent/Payment", 2)
        assert await host.output(instance) == [1, 2]
        assert waits(host) == [
            ("waits", ("Approval",), None, True),
            ("waits", ("Payment",), None, True),
        ]
        assert received(host) == [
            ("waits", "Refund", False),
            ("waits", "Approval", True),
            ("waits", "Payment", True),
        ]


async def test_an_event_is_awaited_still_after_one_whose_name_differs_in_case() -> None:
    async with running_host() as host:
        instance = await host.start("waits", ["Approval"])
        await host.until_waiting(instance, "event")
        for name in ("approval", "Approval"):
            await host.send(instance, f"raiseEvent/{name}", 1)
        await host.output(instance)
        assert [(name, is_awaited) for _, name, is_awaited in received(host)] == [
            ("approval", False),
            ("Approval", True),
        ]


async def test_an_event_or_a_timer() -> None:
    async with running_host() as host:
        instance = await host.start("sleeps_or_hears")
        await host.log.entry("waiting")
        await host.send(instance, "raiseEvent/go", 0)
        await host.log.entry("waiting", count=2)
        await host.send(instance, "raiseEvent/end", 1)
        assert await host.output(instance) == 1
        (function, events, timer_in, needs_all), then = waits(host)
        assert (function, events, needs_all) == ("sleeps_or_hears", ("go",), False)
        assert 3590 < timer_in <= 3600
        assert then == ("sleeps_or_hears", ("end",), None, True)


async def test_an_event_or_a_short_timer_is_no_wait(tmp_path: Path) -> None:
    async with running_host(write_app(tmp_path / "app", PATTERNS)) as host:
        await host.start("polls")
        await host.log.entry("waiting")
        assert waits(host) == [("polls", ("end",), None, True)]


async def test_a_short_timer_and_work_are_no_waits() -> None:
    async with running_host() as host:
        assert await host.run("sleeps", 0.01) == "woke"
        await host.run("fan", {"activity": "echo", "inputs": list(range(20))})
        asked = {"entity": "counter", "key": "k", "operation": "add", "input": 2}
        assert await host.run("calls_entity", asked) == 2
        instance = await host.start("sleeps", 3600)
        await host.log.entry("waiting")
        await host.send(instance, "terminate")
        await host.log.entry("ended", "sleeps", "terminated")
        assert [(function, events) for function, events, *_ in waits(host)] == [("sleeps", ())]
        assert received(host) == []


async def test_work_beside_an_event_goes_first(gates: Any) -> None:
    async with running_host() as host:
        instance = await host.start("one_of", "work")
        await gates.arrivals("work")
        await host.send(instance, "raiseEvent/go", "gone")
        gates.open("work")
        assert (await host.output(instance))[0] == "gone"
        assert waits(host) == []
        assert received(host) == [("one_of", "go", True)]


async def test_the_next_wait_for_the_same_event_is_another_one(tmp_path: Path) -> None:
    async with running_host(write_app(tmp_path / "app", PATTERNS)) as host:
        instance = await host.start("twice")
        for number in (1, 2):
            await host.log.entry("waiting", count=number)
            await host.send(instance, "raiseEvent/go", 0)
        await host.ended(instance)
        assert waits(host) == [("twice", ("go",), None, True)] * 2


async def test_an_event_beside_an_activity_that_must_end_as_well(tmp_path: Path) -> None:
    async with running_host(write_app(tmp_path / "app", PATTERNS)) as host:
        instance = await host.start("all_of")
        await host.log.entry("waiting")
        await host.send(instance, "raiseEvent/go", 1)
        assert await host.output(instance) == ["x", 1]
        assert waits(host) == [("all_of", ("go",), None, True)]


async def test_events_stand_in_the_order_of_their_names(tmp_path: Path) -> None:
    async with running_host(write_app(tmp_path / "app", PATTERNS)) as host:
        await host.start("first_of_many")
        await host.log.entry("waiting")
        assert waits(host) == [("first_of_many", tuple("abcde"), None, False)]


async def test_a_timer_that_the_sdk_divides_is_one_wait(tmp_path: Path) -> None:
    async with running_host(write_app(tmp_path / "app", PATTERNS)) as host:
        await host.start("far_off")
        _, _, _, timer_in, _ = await host.log.entry("waiting")
        assert 29.9 < timer_in / 86400 <= 30


async def test_of_timers_that_must_all_fire_the_last_counts(tmp_path: Path) -> None:
    async with running_host(write_app(tmp_path / "app", PATTERNS)) as host:
        await host.start("all_timers")
        _, _, _, timer_in, _ = await host.log.entry("waiting")
        assert 1.9 < timer_in / 3600 <= 2


async def test_each_generation_waits_anew() -> None:
    async with running_host() as host:
        instance = await host.start("rolls", {"at": 0, "until": 2})
        for number in (1, 2):
            await host.log.entry("waiting", count=number)
            await host.send(instance, "raiseEvent/next", 0)
        assert await host.output(instance) == 2
        assert waits(host) == [("rolls", ("next",), None, True)] * 2


async def test_after_a_restart_an_event_is_reported_without_a_claim(tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    async with running_host(database=file) as host:
        instance = await host.start("waits", ["a", "b"])
        await host.log.entry("waiting")
    async with running_host(database=file) as host:
        await host.send(instance, "raiseEvent/a", 1)
        await host.log.entry("waiting")
        assert received(host) == [("waits", "a", None)]
        assert waits(host) == [("waits", ("b",), None, True)]


async def test_an_event_that_came_before_a_restart_or_a_reload_is_not_reported_again(tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    async with running_host(database=file) as host:
        instance = await host.start("waits", ["a"])
        await host.log.entry("waiting")
        await host.send(instance, "raiseEvent/early", 1)
        await host.log.entry("received")
        host.host._dispatchers.orchestrations.replays.code_changed()
        await host.send(instance, "raiseEvent/late", 1)
        await host.log.entry("received", "waits", "late")
        assert [name for _, name, *_ in received(host)] == ["early", "late"]
    async with running_host(database=file) as host:
        await host.send(instance, "raiseEvent/a", 1)
        await host.output(instance)
        assert [name for _, name, *_ in received(host)] == ["a"]
