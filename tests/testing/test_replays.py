"""Saved histories against the code of today."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dfhost.testing import Durable, Host, NotDeterministic, Run
from tests.support.apps import APPS, ROOT, write_app

BEFORE = """
    from datetime import timedelta

    @app.orchestration_trigger(context_name="context")
    def ship(context):
        yield context.call_activity("reserve", 1)
        retry = df.RetryOptions(1000, 3)
        yield context.call_activity_with_retry("charge", retry, 2)
        yield context.task_all([context.call_activity("pack", n) for n in range(3)])
        yield context.call_sub_orchestrator("deliver", 4)
        yield context.call_entity(df.EntityId("stock", "a"), "take", 5)
        yield context.create_timer(context.current_utc_datetime + timedelta(hours=1))
        answer = yield context.wait_for_external_event("received")
        context.signal_entity(df.EntityId("stock", "a"), "done")
        return answer

    @app.orchestration_trigger(context_name="context")
    def deliver(context):
        return "delivered"

    @app.entity_trigger(context_name="context")
    def stock(context):
        context.set_result(1)
""" + "".join(f"""
    @app.activity_trigger(input_name="n")
    def {name}(n: int) -> str:
        return "{name}"
""" for name in ("reserve", "charge", "pack", "audit"))  # fmt: skip


MOMENTS = ["retrying", "sleeping", "waiting", "ended"]
FORMS = ["with ids", "with episodes", "without ids"]


def exported(durable: Durable, run: Run, form: str, tmp_path: Path) -> Path:
    """The history in one of its forms, as a file."""
    file = tmp_path / f"{run.id}-{form}.json"
    if form == "with ids":
        run.save_history(file)
    else:
        path = f"/runtime/webhooks/durabletask/instances/{run.id}?showHistory=true&showHistoryOutput=true"
        episodes = "&showEpisodes=true" if form == "with episodes" else ""
        file.write_text(durable.get(path + episodes).text)
    return file


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """At several points of its life, in every form."""
    folder = tmp_path_factory.mktemp("histories")
    found = {}
    with Host(write_app(folder / "before", BEFORE)) as durable:
        durable.fail("charge", on_call=1)
        run = durable.start("ship", {"order": 1}, id="o-1")

        def save(moment: str) -> None:
            for form in FORMS:
                found[f"{moment}, {form}"] = exported(durable, run, form, folder).rename(
                    folder / f"{moment}-{form}.json"
                )

        save("retrying")
        durable.advance(minutes=1)
        save("sleeping")
        durable.advance(hours=1)
        save("waiting")
        run.raise_event("received", "thanks").result()
        save("ended")
    return found


def check(body: str, history: Path, tmp_path: Path) -> None:
    tmp_path.mkdir(exist_ok=True)
    with Host(write_app(tmp_path / "after", body)) as durable:
        durable.assert_replays(history)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("moment", MOMENTS)
def test_unchanged_code_replays(histories: dict[str, Path], tmp_path: Path, moment: str, form: str) -> None:
    check(BEFORE, histories[f"{moment}, {form}"], tmp_path)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("change", "first_seen", "difference"),
    [
        (('"reserve", 1', '"audit", 1'), "retrying", "reserve.*audit"),
        (("yield context.call_activity(\"reserve\", 1)", "yield context.call_activity(\"audit\", 0); "
          "yield context.call_activity(\"reserve\", 1)"), "retrying", "reserve.*audit"),
        (("range(3)", "range(4)"), "sleeping", "pack|sub-orchestrat"),
        (('"deliver", 4', '"ship", 4'), "sleeping", "deliver"),
        (('yield context.create_timer(context.current_utc_datetime + timedelta(hours=1))', "pass"),
         "sleeping", "timer"),
        (('answer = yield context.wait_for_external_event("received")', "answer = None"), "ended", "ended"),
        (("return answer", 'yield context.call_activity("audit", 9)'), "ended", "audit|ended"),
    ],
)  # fmt: skip
def test_a_change_is_found_in_every_history_that_it_breaks(
    histories: dict[str, Path],
    tmp_path: Path,
    change: tuple[str, str],
    first_seen: str,
    difference: str,
    form: str,
) -> None:
    before, after = change
    assert before in BEFORE
    changed = BEFORE.replace(before, after)
    for moment in MOMENTS[: MOMENTS.index(first_seen)]:
        check(changed, histories[f"{moment}, {form}"], tmp_path)
    with pytest.raises(NotDeterministic, match=rf"ship o-1 .*does not replay from .*: .*(?:{difference})"):
        check(changed, histories[f"{first_seen}, {form}"], tmp_path)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"reserve", 1', '"audit", 1'),
        ('call_activity("pack", n)', 'call_activity("audit", n)'),
        ('"deliver", 4', '"ship", 4'),
        ('yield context.call_sub_orchestrator("deliver", 4)', 'yield context.wait_for_external_event("New")'),
        ("return answer", 'yield context.call_activity("audit", 9)'),
    ],
)
def test_the_line_is_named_at_which_the_code_asks_for_something_else(
    histories: dict[str, Path], tmp_path: Path, before: str, after: str, form: str
) -> None:
    changed = BEFORE.replace(before, after)
    with pytest.raises(NotDeterministic) as raised:
        check(changed, histories[f"ended, {form}"], tmp_path)
    lines = (tmp_path / "after" / "function_app.py").read_text().splitlines()
    line = next(number for number, text in enumerate(lines, 1) if after in text)
    assert str(raised.value).endswith(f" (function_app.py, line {line}, in ship).")


RECORDED = sorted((ROOT / "tests" / "management" / "histories").glob("*.json"))
SORTED = "mixed_fan_out"  # its events were put in another order when they were recorded


@pytest.mark.parametrize("recording", RECORDED, ids=lambda file: file.stem)
def test_histories_of_the_real_host_replay(recording: Path) -> None:
    text = (
        recording.read_text("utf-8")
        .replace("TIME.fZ", "TIME")
        .replace("TIME.f+00:00", "TIME")
        .replace('"TIME"', '"2026-01-01T00:00:00.000000Z"')
    )
    saved = json.loads(text)
    with Host(ROOT / "tests" / "conformance" / "app") as durable:
        durable.assert_replays(saved["history"], saved["history"][1]["Name"])
        if recording.stem != SORTED:
            durable.assert_replays(saved["shown"], saved["shown"][0]["FunctionName"])


def test_parallel_calls_of_one_function_get_their_own_results(tmp_path: Path) -> None:
    body = """
        @app.orchestration_trigger(context_name="context")
        def both(context):
            one, two = yield context.task_all([context.call_activity("work", n) for n in (1, 2)])
            yield context.call_activity("first" if one == "one" else "second", one)

        @app.activity_trigger(input_name="n")
        def work(n: int) -> str:
            return "one" if n == 1 else "two"

        @app.activity_trigger(input_name="n")
        def first(n: str) -> str:
            return n
    """
    at = "2026-01-01T00:00:0{}.0000000Z"
    ended = [("work", "two", 2), ("work", "one", 1), ("first", "one", 5)]
    started: dict[str, Any] = {
        "EventType": "ExecutionStarted",
        "FunctionName": "both",
        "Timestamp": at.format(0),
    }
    results = [
        {"EventType": "TaskCompleted", "FunctionName": name, "Result": result, "ScheduledTime": at.format(scheduled),
         "Timestamp": at.format(6)} for name, result, scheduled in ended
    ]  # fmt: skip
    with Host(write_app(tmp_path, body)) as durable:
        durable.assert_replays({"name": "both", "historyEvents": [started, *results]})


BY_THE_CLOCK = """
    from datetime import timedelta

    @app.orchestration_trigger(context_name="context")
    def batch(context):
        began = reported = context.current_utc_datetime
        pending, more = [context.call_activity("work", n) for n in range(3)], [3, 4]
        while pending:
            winner = yield context.task_any(pending)
            pending.remove(winner)
            now = context.current_utc_datetime
            if now - reported >= timedelta(seconds=5):
                {REPORT}
                reported = now
            if more and now - began < timedelta(seconds=20):
                pending.append(context.call_activity("work", more.pop()))

    @app.activity_trigger(input_name="n")
    def work(n: int) -> int:
        return n

    @app.activity_trigger(input_name="n")
    def report(n: int) -> int:
        return n

    @app.entity_trigger(context_name="context")
    def reports(context):
        pass
"""
SIGNALS = 'context.signal_entity(df.EntityId("reports", "a"), "add")'
CALLS = 'yield context.call_activity("report", 1)'


def _at(seconds: float, zone: str = "Z") -> str:
    return f"2026-01-01T00:00:{seconds:010.7f}{zone}"


def _begun(name: str) -> dict[str, Any]:
    return {"EventType": "ExecutionStarted", "FunctionName": name, "Timestamp": _at(0)}


def _called(name: str, scheduled: float, completed: float) -> dict[str, Any]:
    return {"EventType": "TaskCompleted", "FunctionName": name, "Result": 1,
            "ScheduledTime": _at(scheduled, "+00:00"), "Timestamp": _at(completed)}  # fmt: skip


def _signalled(at: float) -> dict[str, Any]:
    return {"EventType": "EventSent", "InstanceId": "@reports@a", "Name": "op", "Timestamp": _at(at)}


def _completed(at: float) -> dict[str, Any]:
    return {"EventType": "ExecutionCompleted", "OrchestrationStatus": "Completed", "Timestamp": _at(at)}


@pytest.mark.parametrize(
    ("body", "events"),
    [
        pytest.param(
            SIGNALS,
            [_called("work", 0, 1), _called("work", 0, 2), _signalled(9), _called("work", 0, 10),
             _called("work", 9, 10), _called("work", 9, 10), _completed(10)],
            id="results that wait in a queue: the signal tells when the episode ran",
        ),
        pytest.param(
            SIGNALS,
            [_called("work", 0, 1), _called("work", 2, 3), _signalled(9), _called("work", 0, 4),
             _called("work", 9, 10), _called("work", 0, 2), _completed(11)],
            id="an episode of its own for some of them",
        ),
        pytest.param(
            CALLS,
            [_called("work", 0, 1), _called("work", 0, 2), _called("report", 9, 10), _called("work", 0, 10),
             _called("work", 11, 12), _called("work", 11, 12), _completed(12)],
            id="a call that has ended: only the time of scheduling is left of it",
        ),
        pytest.param(
            SIGNALS,
            [_called("work", 0, 1), _called("work", 0, 1), _called("work", 0, 1), _signalled(30), _completed(30)],
            id="what is not started when the episode runs late",
        ),
        pytest.param(
            SIGNALS,
            [_called("work", 0, 0.1), _called("work", 0, 0.2), _called("work", 0, 3), _called("work", 0.9, 4),
             _signalled(7.5), _called("work", 7.5, 7.7), _signalled(14.8), _completed(14.8)],
            id="the first of several results that share an episode",
        ),
        pytest.param(
            SIGNALS,
            [_called("work", 7, 8), _called("work", 7, 8), _called("work", 7, 9),
             _called("work", 8.5, 9), _called("work", 8.5, 9), _completed(9)],
            id="a start that waited in a queue",
        ),
    ],
)  # fmt: skip
def test_code_that_goes_by_the_clock_replays_at_the_times_of_its_episodes(
    tmp_path: Path, body: str, events: list[dict[str, Any]]
) -> None:
    with Host(write_app(tmp_path, BY_THE_CLOCK.replace("{REPORT}", body))) as durable:
        durable.assert_replays({"name": "batch", "historyEvents": [_begun("batch"), *events]})


def test_recorded_episodes_leave_nothing_to_guess(tmp_path: Path) -> None:
    body = """
        @app.orchestration_trigger(context_name="context")
        def pause(context):
            yield context.wait_for_external_event("go")
            since = context.current_utc_datetime
            yield context.wait_for_external_event("go")
            if 1 <= (context.current_utc_datetime - since).total_seconds() <= 3:
                context.signal_entity(df.EntityId("reports", "a"), "add")

        @app.entity_trigger(context_name="context")
        def reports(context):
            pass
    """
    raised = [
        {"EventType": "EventRaised", "Name": "go", "Input": "null", "Timestamp": _at(at)} for at in (1, 7)
    ]
    late = {"EventType": "EventRaised", "Name": "go", "Input": "null", "Timestamp": _at(8)}
    saved = {
        "name": "pause",
        "historyEvents": [_begun("pause"), *raised, _signalled(7), _completed(7), late],
        "episodes": [{"timestamp": _at(at), "events": events} for at, events in ((0, 1), (5, 1), (7, 3))],
    }
    with Host(write_app(tmp_path, body)) as durable:
        durable.assert_replays(saved)
        saved["episodes"] = [{"timestamp": _at(0), "events": 1}, {"timestamp": _at(7), "events": 4}]
        with pytest.raises(NotDeterministic, match="the history starts entity operation"):
            durable.assert_replays(saved)
        with pytest.raises(ValueError, match="'episodes' that cannot be read"):
            durable.assert_replays({**saved, "episodes": [{"timestamp": _at(0)}]})


@pytest.mark.parametrize("form", FORMS)
def test_the_history_of_a_terminated_instance_replays(tmp_path: Path, form: str) -> None:
    with Host(write_app(tmp_path / "before", BEFORE)) as durable:
        run = durable.start("ship")
        run.terminate("enough")
        durable.assert_replays(exported(durable, run, form, tmp_path))


FAILING = """
    @app.orchestration_trigger(context_name="context")
    def unknown(context):
        yield context.call_activity("reserve", 1)
        yield context.call_activity("reverse", 1)

    @app.orchestration_trigger(context_name="context")
    def crashes(context):
        yield context.call_activity("reserve", 1)
        yield "no task"

    @app.orchestration_trigger(context_name="context")
    def raises(context):
        yield context.call_activity("reserve", 1)
        raise ValueError("no")

    @app.activity_trigger(input_name="n")
    def reserve(n: int) -> int:
        return n
"""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("orchestrator", ["unknown", "crashes", "raises"])
def test_the_history_of_a_failed_instance_replays(tmp_path: Path, orchestrator: str, form: str) -> None:
    with Host(write_app(tmp_path / "before", FAILING)) as durable:
        run = durable.start(orchestrator)
        assert run.wait() == "Failed"
        history = exported(durable, run, form, tmp_path)
        durable.assert_replays(history)
    # What made it fail may be mended; what it did before may not change.
    mended = FAILING.replace('"reverse"', '"reserve"').replace(
        '"no task"', 'context.call_activity("reserve", 2)'
    )
    check(
        mended.replace('raise ValueError("no")', 'yield context.call_activity("reserve", 2)'),
        history,
        tmp_path,
    )
    changed = FAILING.replace('"reserve", 1', '"audit", 1')
    if (orchestrator, form) != ("crashes", "with ids"):  # it crashes before anything is compared
        with pytest.raises(NotDeterministic, match="reserve"):
            check(changed, history, tmp_path / "changed")


def test_a_file_with_several_histories(histories: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "exported.jsonl"  # as `dfhost export` writes it
    lines = [json.dumps(json.loads(histories[f"{moment}, without ids"].read_text())) for moment in MOMENTS]
    file.write_text("\n".join(lines) + "\n")
    check(BEFORE, file, tmp_path)
    longer = BEFORE.replace("return answer", 'yield context.call_activity("audit", 9)')
    with pytest.raises(NotDeterministic) as failure:
        check(longer, file, tmp_path / "longer")
    head, only = str(failure.value).splitlines()
    assert head == f"1 of the 4 histories in {file} does not replay:"
    assert only.startswith("  ship o-1 (Completed): the recorded instance has ended at ")


def test_every_history_of_a_file_that_does_not_replay_is_named(tmp_path: Path) -> None:
    file = tmp_path / "exported.jsonl"
    folder = write_app(tmp_path / "before", BEFORE)
    with Host(folder) as durable:
        runs = [durable.start("ship", id=id) for id in ("o-1", "o-2", "o-3")]
        durable.start("deliver", id="d-1").result()
        runs[1].suspend()
        runs[2].terminate()
        ids = ("o-1", "o-2", "o-3", "d-1")
        lines = [exported(durable, durable.run(id), "with episodes", tmp_path).read_text() for id in ids]
        file.write_text("\n".join(lines))
    changed = BEFORE.replace('"reserve", 1', '"audit", 1').replace("deliver", "hand_over")
    with pytest.raises(NotDeterministic) as failure:
        check(changed, file, tmp_path / "after")
    head, *differences = str(failure.value).splitlines()
    assert head == f"4 of the 4 histories in {file} do not replay:"
    titles = [line.partition(": ")[0] for line in differences]
    assert titles == [
        "  ship o-1 (Running)",
        "  ship o-2 (Suspended)",
        "  ship o-3 (Terminated)",
        "  deliver d-1 (Completed)",
    ]
    assert differences[3].endswith("The app has no orchestrator 'deliver'. It has: ship, hand_over.")


def test_histories_of_several_versions(tmp_path: Path) -> None:
    body = """
        @app.orchestration_trigger(context_name="context")
        def ship(context):
            yield context.call_activity("by_truck" if context.version == "1.0" else "by_train", 1)

        @app.activity_trigger(input_name="n")
        def by_truck(n: int) -> int:
            return n

        @app.activity_trigger(input_name="n")
        def by_train(n: int) -> int:
            return n
    """
    folder = write_app(tmp_path, body)
    (folder / "host.json").write_text(
        '{"version": "2.0", "extensions": {"durableTask": {"defaultVersion": "2.0"}}}'
    )
    with Host(folder) as durable:
        for version in ("1.0", "2.0"):
            run = durable.start("ship", version=version, id=version)
            for form in FORMS:
                durable.assert_replays(exported(durable, run, form, tmp_path))


def test_a_relative_path_counts_from_the_folder_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Host(APPS / "testing") as durable:
        durable.start("pay", "book").save_history("saved.json")
        assert (tmp_path / "saved.json").is_file()
        durable.assert_replays("saved.json")


def test_what_is_no_history_is_refused(durable: Durable, tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    file.write_text("{")
    with pytest.raises(ValueError, match=r"x\.json is not JSON"):
        durable.assert_replays(file)
    with pytest.raises(ValueError, match="neither the status"):
        file.write_text('"text"')
        durable.assert_replays(file)
    with pytest.raises(ValueError, match="has no historyEvents: save the status with showHistory=true"):
        durable.assert_replays({"name": "pay"})
    run = durable.start("pay", "book")
    status: Any = {"name": "pay", "historyEvents": run.history}
    durable.assert_replays(status)
    with pytest.raises(ValueError, match="The app has no orchestrator 'gone'"):
        durable.assert_replays(status, "gone")
    for event in status["historyEvents"]:
        event.pop("Result", None)
    with pytest.raises(ValueError, match="showHistoryOutput=true"):
        durable.assert_replays(status)
