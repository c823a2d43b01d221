"""How the command line prints failures, progress, explanations and the list of functions."""

from __future__ import annotations

import io
import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from dfhost.cli.host.instance_follower import status_urls
from dfhost.cli.style import Style, count, printable, printable_json, printable_lines
from dfhost.cli.views.explanation import explanation_lines
from dfhost.cli.views.function_listing import function_listing, route_listing
from dfhost.instance_failure import InstanceFailure, death_in_words, read_failure
from dfhost.reported_progress import phase, reported_progress
from tests.support.apps import load_written_app


def test_counts() -> None:
    assert [count(4312), count(1, "task"), count(2000, "task")] == ["4,312", "1 task", "2,000 tasks"]


def test_colour_needs_a_terminal_and_no_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert Style.of(Terminal()).colour
    assert not Style.of(io.StringIO()).colour
    monkeypatch.setenv("NO_COLOR", "1")
    assert not Style.of(Terminal()).colour


def test_control_characters_are_escaped_and_other_alphabets_are_not() -> None:
    assert printable("naïve 订单 👩‍👩‍👧 a\u00a0b") == "naïve 订单 👩‍👩‍👧 a\u00a0b"
    assert printable("a\r\nb\x1b[2J\x00\x07\x9b\x7f") == r"a\r\nb\x1b[2J\x00\x07\x9b\x7f"
    assert printable("user\u202egnp.exe\u2028\ud800") == r"user\u202egnp.exe\u2028\ud800"
    assert printable_lines("one\n\ttwo\r\x1b") == "one\n\ttwo\\r\\x1b"


def test_json_keeps_its_value_without_control_characters() -> None:
    value = {"a\u202e": ["\x1b[2J\x9b\n", "ä\ud800"]}
    text = printable_json(value)
    assert json.loads(text) == value
    assert [each for each in text if not each.isprintable()] == ["\n"] * text.count("\n")
    assert "ä" in text


# -- failures ------------------------------------------------------------------------------------------------
def exception(text: str, stack: str = "  File x") -> str:
    """What the extension puts after an activity's failure: a .NET exception on one line."""
    inner = {"$type": "Microsoft...RpcException", "RemoteStackTrace": stack, "RemoteMessage": text}
    outer = {"$type": "System.Exception, System.Private.CoreLib", "InnerException": inner}
    return json.dumps(outer, separators=(",", ":"))


BAD = "Activity function 'one' failed: ValueError: bad \n " + exception("ValueError: bad")


@pytest.mark.parametrize(
    ("output", "failure"),
    [
        (
            f"Orchestrator function 'all' failed: {BAD}",
            InstanceFailure(("all", "one"), "ValueError: bad", "  File x"),
        ),
        (
            f"Orchestrator function 'all' failed: Orchestrator function 'part' failed: {BAD} \n "
            f"Message: {BAD}, StackTrace:    at part",
            InstanceFailure(("all", "part", "one"), "ValueError: bad", "  File x"),
        ),
        ("Orchestrator function 'all' failed: it fails", InstanceFailure(("all",), "it fails")),
        (
            "Orchestrator function 'a' failed: Orchestrator function 'b' failed: 'deep' \n "
            "Message: 'deep', StackTrace:    at b",
            InstanceFailure(("a", "b"), "'deep'"),
        ),
        ("Orchestrator function 'a' failed: child only \n None", InstanceFailure(("a",), "child only")),
        (
            "Orchestrator function 'a' failed: One or more errors occurred. (Result: Failure\n"
            "Exception: TypeError: no\nStack:   File y)",
            InstanceFailure(("a",), "TypeError: no", "   File y"),
        ),
        (
            f"Orchestrator function 'a' failed: 1 of 2 failed: {BAD} (see above)",
            InstanceFailure(
                ("a",),
                "1 of 2 failed: Activity function 'one' failed: ValueError: bad (see above)",
                "  File x",
            ),
        ),
        (
            f"Orchestrator function 'all' failed: {BAD[:-30]}",
            InstanceFailure(("all", "one"), "ValueError: bad"),
        ),
        (
            "Orchestrator function 'a' failed: One or more errors occurred. (Result: Failure\n"
            'Exception: Exception: no JSON\n\n$OutOfProcData$:{"isDone":false,"error":"x"}\nStack:   File y)',
            InstanceFailure(("a",), "Exception: no JSON", "   File y"),
        ),
        (
            "Orchestrator function 'a' failed: Activity function 'off' failed: Activity function 'off' is disabled. "
            '\n {"$type":"Microsoft.Azure.WebJobs.Extensions.DurableTask.FunctionFailedException, X","Message":"m"}',
            InstanceFailure(("a", "off"), "Activity function 'off' is disabled."),
        ),
        (
            f"Orchestrator function 'a' failed: {RuntimeError(BAD)!r}",
            InstanceFailure(
                ("a",), "RuntimeError('Activity function \\'one\\' failed: ValueError: bad')", "  File x"
            ),
        ),
        ("two\nlines", InstanceFailure((), "two\nlines")),
        ({"reason": 5}, InstanceFailure((), '{"reason": 5}')),
        (None, InstanceFailure((), "no reason given")),
        # As the extension wrote it until 3.15: two blanks.
        (
            f"Orchestrator function 'all' failed: {BAD}".replace("failed: Value", "failed:  Value"),
            InstanceFailure(("all", "one"), "ValueError: bad", "  File x"),
        ),
    ],
)
def test_a_failed_output_is_taken_apart(output: Any, failure: InstanceFailure) -> None:
    assert read_failure(output) == failure


def test_a_failure_reads_as_a_path_and_a_text() -> None:
    failure = InstanceFailure(("all", "part", "one"), "ValueError: bad")
    assert str(failure) == "all > part > one: ValueError: bad"
    assert str(failure.within("all")) == "part > one: ValueError: bad"
    assert str(failure.within("other")) == str(failure)


# -- progress ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("custom_status", "progress"),
    [
        ({"total": 5, "completed": 2}, (2, 5, 0)),
        ({"total": 5, "completed": 4, "failed": 1}, (5, 5, 1)),
        ({"total": 5, "completed": 5, "failed": 1}, (5, 5, 1)),
        ({"total": 5, "completed": 2, "failed": 1}, (2, 5, 1)),
        ({"Total": 5, "Done": 2, "failed": 1}, (2, 5, 1)),
        ({"total": 5, "succeeded": 2, "failed": 1}, (3, 5, 1)),
        ({"total": 5, "succeeded": 9}, (5, 5, 0)),
        ({"total": 0, "completed": 0}, None),
        ({"total": "5", "completed": 2}, None),
        ({"total": True, "completed": 1}, None),
        ({"total": 5}, None),
        ("half way", None),
        (None, None),
    ],
)
def test_progress_that_an_orchestrator_reports_is_understood(custom_status: Any, progress: Any) -> None:
    assert reported_progress(custom_status) == progress


@pytest.mark.parametrize(
    ("reported", "words"),
    [
        ("half way", "half way"),
        ({"phase": "running"}, "running"),
        ({"phase": 5}, ""),
        (None, ""),
        ("x" * 99, "x" * 60),
    ],
)
def test_a_phase_is_shown_in_words(reported: Any, words: str) -> None:
    assert phase(reported) == words


@pytest.mark.parametrize(
    ("answer", "urls"),
    [
        (b'{"id": "1", "statusQueryGetUri": "http://x/1"}', ("http://x/1", None)),
        (
            b'{"statusQueryGetUri": "http://x/1", "progressGetUri": "http://x/p"}',
            ("http://x/1", "http://x/p"),
        ),
        (b'{"progressGetUri": "http://x/p"}', None),
        (b'{"statusQueryGetUri": 5}', None),
        (b'["statusQueryGetUri"]', None),
        (b"hello", None),
        (b"\xff", None),
        (b"", None),
    ],
)
def test_a_check_status_response_is_recognised_by_its_status_url(answer: bytes, urls: Any) -> None:
    assert status_urls(answer) == urls


# -- explain -------------------------------------------------------------------------------------------------
NOW = datetime(2026, 1, 1, 12, 0, 30, tzinfo=timezone.utc)


def explanation(*waits: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"instanceId": "i1", "name": "all", "runtimeStatus": "Running", "waitsFor": list(waits), **more}


def test_an_explanation_is_printed_in_words() -> None:
    running = {
        "kind": "activity",
        "name": "price",
        "since": "2026-01-01T12:00:18.1234567Z",
        "state": "running",
    }
    timer = {
        "kind": "timer",
        "since": "2026-01-01T12:00:00Z",
        "due": "2026-01-01T12:02:30+00:00",
        "state": "waiting",
    }
    child = {"kind": "subOrchestration", "name": "part", "state": "running", "input": {"items": ["x" * 100]}}
    lines = explanation_lines(explanation(running, timer, child, sentence="It waits for three."), NOW)
    assert lines[:3] == ["all i1 is Running.", "It waits for three.", ""]
    assert lines[3] == "  activity price, running, for 11.9 s"
    assert lines[4] == "  timer, waiting, for 30.0 s, due in 2 min"
    assert lines[5].startswith('  sub-orchestration part, running, input {"items": ["xxx')
    assert lines[5].endswith("…")


def test_many_alike_are_counted() -> None:
    waits = [
        {"kind": "activity", "name": "price", "state": "queued", "since": f"2026-01-01T12:00:{n:02}Z"}
        for n in range(30)
    ]
    assert (
        explanation_lines(explanation(*waits), NOW)[-1]
        == "  activity price, queued: 30 of them, for up to 30.0 s"
    )


def test_what_a_child_waits_for_is_printed_below_it() -> None:
    def child(id: str, sentence: str, *waits: dict[str, Any]) -> dict[str, Any]:
        return {
            "kind": "subOrchestration",
            "name": "part",
            "state": "running",
            "childStatus": "Running",
            "instanceId": id,
            "since": "2026-01-01T12:00:20Z",
            "explanation": explanation(*waits, sentence=sentence),
        }

    deepest = child("c", "It waits for event go.")
    assert explanation_lines(explanation(child("b", "It waits for part c.", deepest)), NOW)[2:] == [
        "  sub-orchestration part b, Running, for 10.0 s",
        "    It waits for part c.",
        "      It waits for event go.",
    ]
    two = child("b", "It waits for 2 parts.", deepest, {**child("d", ""), "explanation": None})
    assert explanation_lines(explanation(two), NOW)[-1] == "      c: It waits for event go."
    crowd = [{**child(f"b{n}", ""), "explanation": None} for n in range(20)]
    assert explanation_lines(explanation(deepest, *crowd), NOW)[2:] == [
        "  sub-orchestration part, running: 21 of them, for up to 10.0 s",
        "    c: It waits for event go.",
    ]


def test_a_held_back_action_is_printed_with_its_reason() -> None:
    held = [{"action": "price 3", "behind": "WhenAny[price 2]", "why": "it was listed later"}]
    assert (
        explanation_lines(explanation(heldBack=held), NOW)[-1]
        == "  price 3 behind WhenAny[price 2]: it was listed later"
    )


def test_an_entity_is_named_once() -> None:
    entity = {**explanation(), "name": "@counter@x", "instanceId": "@counter@x"}
    assert explanation_lines(entity, NOW) == ["@counter@x is Running."]


def test_an_instance_that_waits_for_nothing_is_one_line() -> None:
    assert explanation_lines(explanation(), NOW) == ["all i1 is Running."]


# -- the listing ---------------------------------------------------------------------------------------------
APP = """
    @app.route(route="items/{id:int?}", methods=["GET", "POST"])
    def items(req: func.HttpRequest) -> str: ...

    @app.route()
    def plain(req: func.HttpRequest) -> str: ...

    @app.timer_trigger(arg_name="t", schedule="%NIGHTLY%")
    def nightly(t: func.TimerRequest) -> None: ...

    @app.queue_trigger(arg_name="m", queue_name="%MISSING%", connection="C")
    def on_order(m: func.QueueMessage) -> None: ...

    @app.blob_trigger(arg_name="b", path="in/{name}", connection="C")
    def on_upload(b: func.InputStream) -> None: ...

    @app.activity_trigger(input_name="x", activity="price")
    def work(x: int) -> int: ...
"""


def test_functions_are_listed_urls_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTLY", "0 0 3 * * *")
    app = load_written_app(tmp_path, APP).info
    text = function_listing(app, "http://localhost:7071", "api", "memory", Style(colour=False))
    functions = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    assert functions == [
        "items: [GET,POST] http://localhost:7071/api/items/{id:int?}",
        "plain: http://localhost:7071/api/plain",
        "nightly: timerTrigger (0 0 3 * * *)",
        "on_order: queueTrigger (%MISSING%)",
        "on_upload: blobTrigger, not polled here",
        "work: activityTrigger, called 'price'",
    ]
    assert text.splitlines()[0] == "Task hub in memory"


def test_a_listing_without_a_route_prefix(tmp_path: Path) -> None:
    app = load_written_app(tmp_path, APP).info
    assert list(route_listing(app, "")) == ["GET, POST /items/{id:int?}", "any method /plain"]


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        (
            "WorkerProcessExitException: /venv/bin/python3 exited with code 3 (0x3)",
            "the worker process ended (exit code 3) while it ran",
        ),
        (r"d: C:\v\python.exe exited with code 1 (0x1)", "d: the worker process ended (exit code 1) while it ran"),
        ("python3.11 exited with code 137 (0x89)", "the worker process ended (SIGKILL) while it ran"),
        ("occurred. (/v/python3 exited with code 3 (0x3))",
         "occurred. (the worker process ended (exit code 3) while it ran)"),
        ("ValueError: ffmpeg exited with code 1", "ValueError: ffmpeg exited with code 1"),
    ],
)  # fmt: skip
def test_the_end_of_a_worker_in_plain_words(stored: str, shown: str) -> None:
    assert death_in_words(stored) == shown
