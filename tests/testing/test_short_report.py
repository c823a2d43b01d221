"""The report that pytest prints of a test in which much has happened: one screen, the causes first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dfhost.testing import Durable, Host
from tests.support.apps import ROOT, loaded_module, write_app

SCREEN = 24  # lines
HINT = "This is the short report: `pytest -vv` or durable.report() has every call and wait."


def blocks(report: str) -> list[list[str]]:
    assert report.count("\n") < SCREEN and max(map(len, report.splitlines())) <= 120, report
    return [block.splitlines() for block in report.split("\n\n")]


class TestOfAMap:
    @pytest.fixture
    def durable_app(self) -> str:
        return str(ROOT)

    @pytest.mark.parametrize("count", [20, 100])
    def test_the_items_that_failed_are_grouped_by_their_error(self, durable: Durable, count: int) -> None:
        failing = {3: ValueError("no picture"), 7: ConnectionError("down")}
        for digit, error in failing.items():
            durable.fail(
                "process_item", when=lambda given, digit=digit: given["index"] % 10 == digit, error=error
            )
        durable.fail("process_item", when=lambda given: given["index"] == 1, error=KeyError("once"), times=1)
        durable.auto_advance = True
        items = [f"item-{number}" for number in range(count)]
        asked = {"items": items, "activity": "process_item", "retry": {"max_attempts": 2}}
        run = durable.post("/api/start-map", json=asked | {"tolerated_failure_percentage": 50}).run
        assert run.result()["failed"] == count // 5
        causes, ended, more = blocks(durable.report(short=True))
        assert causes[0] == f"process_item failed for {count // 10} of {count} items: ValueError: no picture"
        assert causes[1].startswith('  [3] "item-3", [13] "item-13"')
        assert causes[2] == f"process_item failed for {count // 10} of {count} items: ConnectionError: down"
        assert causes[3].startswith('  [7] "item-7", [17] "item-17"') and len(causes) == 4
        assert ended[0] == f"map_orchestrator {run.id}: Completed" and ended[-1].startswith("  output ")
        assert more[0].startswith("More instances: ") and "of map_chunk (Completed)" in more[0]
        assert more[-1] == HINT


def test_each_place_is_shown_once_with_its_newest_frames(
    durable: Durable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def price_of(order: str) -> int:
        if "3" in order:
            raise ValueError(f"{order} has no price")
        return 1 // (int(order) % 10)

    durable.start("fan", ["1"]).result()  # the app is loaded
    monkeypatch.setattr(loaded_module(), "price_of", price_of)
    orders = [str(number) for number in range(40)]
    run = durable.start("fan", orders)
    causes, ended, *_, more = blocks(durable.report(short=True))
    heads = [line for line in causes if not line.startswith(" ")]
    assert heads == [
        "charge failed for 13 of 41 calls: ValueError: 3 has no price",
        "charge failed for 3 of 41 calls: ZeroDivisionError: integer division or modulo by zero",
    ]
    assert '  [0] "0", [10] "10", [20] "20"' in causes
    assert [line.rpartition(", in ")[2] for line in causes if "  File " in line] == ["charge", "price_of"] * 2
    assert causes[-1] == "      return 1 // (int(order) % 10)"
    assert ended.pop(1).startswith('  input ["0", "1", "2", ')
    assert ended.pop().startswith("  failed: fan > charge: "), "whichever has failed first"
    assert ended == [f"fan {run.id}: Failed", "  40 tasks: 24 completed, 16 failed"]
    assert more == ["More instances: 1 of fan (Completed).", HINT]


@pytest.mark.filterwarnings("ignore::dfhost.testing.UnmetFault")
def test_what_many_instances_wait_for(durable: Durable) -> None:
    durable.slow("look", seconds=1)
    runs: list[Any] = [durable.start("approval", {"amount": number}) for number in range(30)]
    durable.fail("send_mail", times=1, error=OSError("no mail"))
    durable.start("approval", {"amount": 31})
    causes, unmet, *shown, more = blocks(durable.report(short=True))
    assert causes == [
        "send_mail failed for 1 of 31 calls: OSError: no mail",
        '  {"to": "boss", "amount": 31}',
    ]
    assert unmet == ['Fault that no call has met: slow("look"): look was called 0 times.']
    assert shown[0][0].endswith(": Failed") and f"approval {runs[0].id}: Running" == shown[1][0]
    assert shown[1][-1].startswith("  It waits for event approved or a timer due in 3 d")
    left = 30 - (len(shown) - 1)
    assert more == [f"More instances: {left} of approval (Running).", HINT]


def test_a_child_that_fails_by_itself_is_a_cause(durable: Durable) -> None:
    durable.fail("fan", when=lambda given: given[0] % 3 == 0, error=RuntimeError("no fan"))
    durable.fail("charge", when=lambda given: given == 4, error=OSError("no charge"))
    durable.start("families", [[number] for number in range(30)]).wait()
    causes, *_, more = blocks(durable.report(short=True))
    assert causes[0] == "fan failed for 10 of 30 calls: no fan" and causes[1].startswith(
        "  [0] [0], [3] [3], "
    )
    assert causes[2:] == ["charge failed for 1 of 20 calls: OSError: no charge", "  4"]
    assert "of fan (Failed)" in more[0] and "of fan (Completed)" in more[0]


def test_a_test_in_which_little_has_happened_is_reported_in_full(durable: Durable) -> None:
    durable.start("fan", ["a", "b"])
    assert durable.report(short=True) == durable.report() != ""


def test_a_note_is_whole(tmp_path: Path) -> None:
    app = """
        @app.orchestration_trigger(context_name="context")
        def flow(context):
            context.call_activity("work", 1)
            yield context.create_timer(context.current_utc_datetime)

        @app.orchestration_trigger(context_name="context")
        def wider(context):
            return (yield context.task_all([context.call_activity("work", n) for n in range(30)]))

        @app.activity_trigger(input_name="n")
        def work(n: int) -> int:
            return n
    """
    with Host(write_app(tmp_path, app)) as durable:
        durable.start("flow")
        durable.start("wider")
        notes = durable.notes
        report = durable.report(short=True)
    assert report.endswith(HINT) and max(map(len, notes)) > 120, notes
    for note in notes:
        assert f"The host says: {note}" in report.splitlines()
