"""`@app.retry`: the host runs a function again that has failed."""

from __future__ import annotations

import json
from pathlib import Path

import aiohttp
import pytest

from dfhost.errors import AppError
from dfhost.runner.retry_policy import RetryPolicy, read_retry_policy
from tests.support.apps import load_written_app, write_app
from tests.support.running_host import running_host

APP = """
    retried = app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:00")
    attempts = []

    def attempt(context, succeeds_at):
        retry = context.retry_context
        attempts.append([retry.retry_count, retry.max_retry_count])
        if retry.retry_count != succeeds_at:
            raise ValueError(f"attempt {retry.retry_count}")
        return str(attempts)

    @app.route("http/{at:int}", methods=["GET"])
    @retried
    def http(req: func.HttpRequest, context: func.Context) -> str:
        attempts.clear()
        return attempt(context, int(req.route_params["at"]))

    @app.timer_trigger(arg_name="tick", schedule="0 0 0 1 1 *")
    @retried
    def yearly(tick: func.TimerRequest, context: func.Context) -> None:
        attempt(context, 9)

    @app.orchestration_trigger(context_name="context")
    def flow(context):
        name, at = context.get_input()
        try:
            return (yield context.call_activity(name, at))
        except Exception as error:
            return str(error).split(" \\n ")[0]

    @app.activity_trigger(input_name="at")
    @retried
    def plain(at: int, context: func.Context) -> str:
        return attempt(context, at)

    @app.activity_trigger(input_name="at")
    @retried
    async def coroutine(at: int, context: func.Context) -> str:
        return attempt(context, at)

    @app.activity_trigger(input_name="at")
    @retried
    def only_input(at: int) -> int:
        attempts.append(at)
        if len(attempts) < at:
            raise ValueError("again")
        return len(attempts)

    @app.activity_trigger(input_name="at")
    def clear(at: int) -> None:
        attempts.clear()
"""


async def test_an_activity_runs_again_within_its_one_execution(tmp_path: Path) -> None:
    async with running_host(write_app(tmp_path, APP)) as host:
        for name in ("plain", "coroutine"):
            await host.run("flow", ["clear", 0])
            assert await host.run("flow", [name, 2]) == "[[0, 2], [1, 2], [2, 2]]"
            failed = await host.start("flow", [name, 3])
            assert "attempt 2" in await host.output(failed)
            history = [event["EventType"] for event in await host.history(failed)]
            assert history.count("TaskScheduled") + history.count("TaskFailed") == 1
        await host.run("flow", ["clear", 0])
        assert await host.run("flow", ["only_input", 3]) == 3
        assert len([entry for entry in host.log.entries if entry[:2] == ("started", "plain")]) == 6


async def test_http_and_timer_functions_run_again(tmp_path: Path) -> None:
    async with (
        running_host(write_app(tmp_path, APP)) as host,
        aiohttp.ClientSession(host.host.url) as session,
    ):
        async with session.get("/api/http/2") as response:
            assert (response.status, json.loads(await response.text())) == (200, [[2, 2]])
        async with session.get("/api/http/3") as response:
            assert (response.status, await response.text()) == (500, "")
        async with session.post("/admin/functions/yearly", json={"input": ""}) as response:
            assert response.status == 202
        await host.log.entry("failed", "yearly", count=3)
        assert len([entry for entry in host.log.entries if entry[:2] == ("failed", "http")]) == 2 + 3


def test_delays_are_fixed_or_grow_up_to_the_maximum() -> None:
    assert list(RetryPolicy(3, 5.0).delays()) == [5.0, 5.0, 5.0]
    assert list(RetryPolicy(0, 5.0).delays()) == []
    assert next(RetryPolicy(-1, 5.0).delays()) == 5.0
    first, *grown, last = RetryPolicy(6, 2.0, 20.0).delays()
    assert first == 2.0
    for exponent, delay in enumerate(grown):
        assert min(20.0, 2 + 0.8 * 2 * 2**exponent) <= delay <= min(20.0, 2 + 1.2 * 2 * 2**exponent)
    assert last == 20.0


def test_policies_are_read_as_the_worker_reads_them() -> None:
    fixed = {"strategy": "fixed_delay", "max_retry_count": "3", "delay_interval": "01:02:03"}
    assert read_retry_policy(fixed) == RetryPolicy(3, 3723.0)
    growing = {"strategy": "exponential_backoff", "max_retry_count": "-1"}
    intervals = {"minimum_interval": "00:00:04", "maximum_interval": "00:15:00"}
    assert read_retry_policy({**growing, **intervals}) == RetryPolicy(-1, 4.0, 900.0)
    assert read_retry_policy({}) is None


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ('strategy="fixed_delay", max_retry_count="many", delay_interval="00:00:01"', "a whole number"),
        ('strategy="fixed_delay", max_retry_count="-2", delay_interval="00:00:01"', "0 or more, or -1"),
        ('strategy="fixed_delay", max_retry_count="2", delay_interval="5"', '"00:00:10"'),
        ('strategy="fixed_delay", max_retry_count="2"', "delay_interval is None"),
        ('strategy="linear", max_retry_count="2"', '"fixed_delay" or "exponential_backoff"'),
        (
            'strategy="exponential_backoff", max_retry_count="2", '
            'minimum_interval="00:01:00", maximum_interval="00:00:01"',
            "longer than maximum_interval",
        ),
    ],
)
def test_a_policy_that_the_real_host_would_not_take_is_refused(
    tmp_path: Path, arguments: str, problem: str
) -> None:
    body = f"""
        @app.route()
        @app.retry({arguments})
        def hello(req: func.HttpRequest) -> str: return "x"
    """
    with pytest.raises(AppError, match="Function 'hello' cannot be loaded: its retry policy: ") as caught:
        load_written_app(tmp_path, body)
    assert problem in str(caught.value)
