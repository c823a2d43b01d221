"""A test fails if a replay asks for something else than the pass before, and says what was different."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfhost.testing import Durable, Host, NotDeterministic
from tests.support.apps import APPS, write_app


def first_yield(orchestrator: str) -> str:
    """ "function_app.py, line 8, in approval": where it asks for its first task."""
    lines = (APPS / "testing" / "function_app.py").read_text("utf-8").splitlines()
    start = lines.index(f"def {orchestrator}(context):")
    line = next(number for number in range(start, len(lines)) if "yield" in lines[number])
    return f"function_app.py, line {line + 1}, in {orchestrator}"


@pytest.mark.parametrize(
    ("orchestrator", "difference"),
    [
        ("fresh_uuid", r"the input of call_activity\('charge', .*, at \['id'\], was \".*\" the first time and \".*\" "
                       r"when it was replayed: a random uuid; use context\.new_uuid\(\)"),
        ("time_of_day", "the time of day; use context.current_utc_datetime"),
        ("clock_seconds", "the time of day; use context.current_utc_datetime"),
        ("any_number", r"at \[0\], was .*: a random number"),
        ("any_order", "the same 3 tasks in another order .* the order of a set.*; sort it"),
    ],
)  # fmt: skip
def test_what_was_different_is_named(durable: Durable, orchestrator: str, difference: str) -> None:
    durable.start(orchestrator, id="x").raise_event("go")
    sentence = rf"{orchestrator} is not deterministic \(instance x\): .*{difference}"
    with pytest.raises(NotDeterministic, match=rf"{sentence}.* \({first_yield(orchestrator)}\)\.$"):
        durable.check()
    durable.check()  # it is told once


def test_a_wait_for_the_result_tells_as_well(durable: Durable) -> None:
    run = durable.start("fresh_uuid")
    run.raise_event("go")
    with pytest.raises(NotDeterministic):
        run.result()


def test_what_the_context_offers_is_deterministic(durable: Durable) -> None:
    run = durable.start("deterministic")
    durable.advance(minutes=1)
    run.raise_event("go").result()
    first, second = run.calls("charge")
    assert first != second


@pytest.mark.long  # each starts a process
def test_the_order_of_a_set_shows_in_another_process(durable: Durable) -> None:
    durable.start("set_order", id="x").result()
    durable.check()
    sentence = "set_order .*instance x.*: .* the same 12 tasks .* the order of a set"
    with pytest.raises(NotDeterministic, match=rf"{sentence}.* \({first_yield('set_order')}\)\.$"):
        durable.assert_replays_elsewhere()


@pytest.mark.long
def test_deterministic_code_replays_in_another_process(durable: Durable) -> None:
    durable.start("deterministic", id="x").raise_event("go").result()
    durable.start("order", "book").result()
    durable.assert_replays_elsewhere()


@pytest.mark.parametrize("orchestrator", ["approval", "pay", "fan", "order", "sell", "monitor", "talks"])
def test_rewinds_continued_generations_and_cancelled_timers_are_no_differences(
    durable: Durable, orchestrator: str
) -> None:
    if orchestrator != "monitor":
        durable.fail("charge", times=1)
    run = durable.start(
        orchestrator, {"amount": 1} if orchestrator == "approval" else 5 if orchestrator == "sell" else "ab"
    )
    durable.advance(hours=5)
    if orchestrator == "approval":
        run.raise_event("approved")
    if run.status == "Failed":
        run.rewind()
    durable.advance(hours=5)
    durable.check()


def test_the_line_is_named_that_asks_for_what_differs_though_the_code_has_come_further(
    tmp_path: Path,
) -> None:
    app = """
        import uuid

        def steps(context):
            yield context.call_activity("echo", 2)

        @app.orchestration_trigger(context_name="context")
        def fresh(context):
            yield context.call_activity("echo", 1)
            yield from steps(context)
            yield context.call_activity("echo", uuid.uuid4().hex)  # here
            yield context.call_activity("echo", 4)
            yield context.wait_for_external_event("go")

        @app.activity_trigger(input_name="x")
        def echo(x: object) -> object:
            return x
    """
    folder = write_app(tmp_path, app)
    lines = (folder / "function_app.py").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if text.endswith("# here"))
    with Host(folder) as durable:
        durable.start("fresh")
        place = rf"context\.new_uuid\(\) \(function_app\.py, line {line}, in fresh\)\.$"
        with pytest.raises(NotDeterministic, match=place):
            durable.check()
