"""What user code makes and no database can hold, or no reader can read: its instance fails and says why."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import write_app
from tests.support.running_host import RunningHost, running_host
from tests.support.waiting import eventually

# Python 3.12 writes some 1,500 levels as JSON, whatever its recursion limit is.
DEEPEST = 1_200 if sys.version_info[:2] == (3, 12) else 2_500

DEEP = """
    import sys

    sys.setrecursionlimit(20_000)  # else the SDK itself writes no such values

    def nested(levels):
        value = []
        for _ in range(levels):
            value = [value]
        return value

    @app.orchestration_trigger(context_name="context")
    def returns(context):
        return nested(context.get_input())
        yield

    @app.orchestration_trigger(context_name="context")
    def reports(context):
        context.set_custom_status(nested(context.get_input()))
        yield context.call_activity("echo", 1)

    @app.orchestration_trigger(context_name="context")
    def raises_after(context):
        context.set_custom_status(nested(context.get_input()))
        raise ValueError("after that")
        yield

    @app.orchestration_trigger(context_name="context")
    def hands_on(context):
        given = nested(context.get_input())
        got = yield context.call_activity("echo", given)
        signalled = df.EntityId("keeper", "a")
        context.signal_entity(signalled, "set", got)
        yield context.call_entity(signalled, "set", got)
        yield context.call_sub_orchestrator("fails", got, "deep-child")

    @app.orchestration_trigger(context_name="context")
    def fails(context):
        if context.get_input() != "again":
            context.continue_as_new(["again", context.get_input()])
        raise ValueError("the child failed")
        yield

    @app.activity_trigger(input_name="value")
    def echo(value):
        return value

    @app.entity_trigger(context_name="context")
    def keeper(context):
        context.set_state(context.get_input())
        context.set_result(context.get_input())
"""


@pytest.mark.parametrize(
    ("orchestrator", "did"),
    [
        ("returns", "returned a value"),
        ("reports", "set a custom status"),
        ("raises_after", "set a custom status"),
    ],
)
async def test_what_is_nested_too_deeply_fails_its_instance_alone(
    tmp_path: Path, orchestrator: str, did: str
) -> None:
    async with running_host(write_app(tmp_path, DEEP), workers=1) as host:
        for levels in (1_000, DEEPEST):
            output = await host.failure(await host.start(orchestrator, levels))
            assert f"ValueError: the orchestrator {did} that is nested more than 800 levels deep" in output
        assert await host.output(await host.start("returns", 2)) == [[[]]]
        assert not [note for note in host.log.notes if "dfhost itself" in note]


async def test_deeply_nested_inputs_can_be_handed_on_and_looked_at(tmp_path: Path) -> None:
    async with running_host(write_app(tmp_path, DEEP), workers=1) as host:
        instance_id = await host.start("hands_on", DEEPEST)
        assert "the child failed" in await host.failure(instance_id)
        for looked_at in (instance_id, "deep-child", "@keeper@a"):
            for query in ("timeline", "explain", "showHistory"):
                await host.status(looked_at, **{query: "true"})
        assert not [note for note in host.log.notes if "dfhost itself" in note]
        await host.log.entry("failed", "hands_on")


async def test_a_failure_that_names_half_a_surrogate_pair_is_stored(tmp_path: Path) -> None:
    body = r"""
        turns = []

        @app.orchestration_trigger(context_name="context")
        def changes(context):
            turns.append(1)
            yield context.call_activity("echo" if len(turns) == 1 else "\ud83d", 1)

        @app.activity_trigger(input_name="value")
        def echo(value):
            return value
    """
    async with running_host(write_app(tmp_path, body)) as host:
        output = await host.failure(await host.start("changes"))
        assert output.startswith("Non-Deterministic workflow detected: ") and "named '?'" in output


LARGE = """
    @app.orchestration_trigger(context_name="context")
    def returns(context):
        yield context.wait_for_external_event("go")
        return "x" * 100_000

    @app.orchestration_trigger(context_name="context")
    def fails(context):
        yield context.wait_for_external_event("go")
        raise ValueError("x" * 100_000)

    @app.orchestration_trigger(context_name="context")
    def small(context):
        return (yield context.wait_for_external_event("go"))
"""


def limit_texts(host: RunningHost, characters: int) -> int:
    """As if so many were the gigabyte that SQLite stores at most; the limit before."""
    connection: Any = host.host._store._connection
    if not hasattr(connection, "setlimit"):
        pytest.skip("Python 3.10 cannot change the limits of SQLite")
    return int(connection.setlimit(0, characters))  # SQLITE_LIMIT_LENGTH


@pytest.mark.parametrize("orchestrator", ["returns", "fails"])
async def test_an_episode_that_is_too_large_to_store_fails_its_instance_alone(
    tmp_path: Path, orchestrator: str
) -> None:
    async with running_host(write_app(tmp_path, LARGE)) as host:
        for name in (orchestrator, "small"):
            await host.start(name, instance_id=name)
            await host.until_waiting(name, "event")
        limit_texts(host, 50_000)
        for name in (orchestrator, "small"):
            await host.send(name, "raiseEvent/go", 1)
        assert "a value is larger than SQLite stores, which is 1 GB" in await host.failure(orchestrator)
        assert await host.output("small") == 1


async def test_an_instance_whose_failure_cannot_be_stored_either_is_named_and_can_be_terminated(
    tmp_path: Path,
) -> None:
    async with running_host(write_app(tmp_path, LARGE)) as host:
        instance_id = await host.start("fails")
        await host.until_waiting(instance_id, "event")
        limit = limit_texts(host, 220)
        await host.send(instance_id, "raiseEvent/go", 1)

        async def notes() -> str:
            return " ".join(host.log.notes)

        await eventually(notes, lambda said: f"fails {instance_id} is stuck: " in said)
        limit_texts(host, limit)
        await host.send(instance_id, "terminate", reason="stuck")
        assert (await host.ended(instance_id))["runtimeStatus"] == "Terminated"
