"""What the console prints: one line a call, bursts folded into counts, failures never lost. No clock, no thread."""

from __future__ import annotations

import re

import pytest

from dfhost.cli.console.log_events import FailedCall, LogEvent, Message
from dfhost.cli.console.log_formatter import (
    FAILURES_PER_BURST,
    LINES_PER_WINDOW,
    MOST_ERROR_LINES,
    LogFormatter,
)
from dfhost.cli.console.log_words import attempt_in_words, event_in_words, waits_in_words
from dfhost.cli.style import Style
from dfhost.host_log import Attempt

STACK = '  File "/app/work.py", line 12, in price\n    raise ValueError(item)\n'


class Scene:
    """A formatter and a clock moved by hand. Lines come without their time of day."""

    def __init__(self, fold: bool = True, calls: bool = True) -> None:
        self.formatter = LogFormatter(Style(colour=False), summarise=fold, calls=calls)
        self.now = 1000.0

    def _lines(self, event: LogEvent) -> list[str]:
        return [re.sub(r"^\d\d:\d\d:\d\d\.\d{3}  ", "", line) for line in self.formatter.format(event)]

    def started(self, function: str = "price", trigger: str = "activity", id: str = "i1") -> list[str]:
        return self._lines((self.now, "started", function, trigger, id, 0.0, ""))

    def finished(self, function: str = "price", trigger: str = "activity", id: str = "i1") -> list[str]:
        return self._lines((self.now, "finished", function, trigger, id, 0.25, ""))

    def failed(
        self, error: str, function: str = "price", stack: str = STACK, trigger: str = "activity"
    ) -> list[str]:
        return self._lines(FailedCall(self.now, "failed", function, trigger, "i1", 0.25, "", error, stack))

    def waiting(self, id: str, words: str = "for event go", verb: str = "waiting") -> list[str]:
        return self._lines((self.now, verb, "asks", "orchestrator", id, 0.0, words))

    def due(self, everything: bool = False) -> list[str]:
        lines = self.formatter.summaries(self.now, everything)
        return [re.sub(r"^\d\d:\d\d:\d\d\.\d{3}  ", "", line) for line in lines]


def test_a_call_has_a_line_for_its_start_and_one_for_its_end() -> None:
    scene = Scene()
    assert scene.started() == ["started   price               i1"]
    assert scene.finished() == ["finished  price  250 ms       i1"]
    assert scene.due(everything=True) == []


def test_a_burst_is_folded_into_one_line_when_its_second_is_over() -> None:
    scene = Scene()
    lines = []
    for _ in range(1000):
        lines += scene.started() + scene.finished()
        scene.now += 0.0009
    assert len(lines) == 2 * LINES_PER_WINDOW
    assert scene.due() == []
    due = scene.formatter.next_summary()
    assert due is not None
    scene.now = due
    assert scene.due() == [f"          price  {1000 - LINES_PER_WINDOW} more finished in the last 890 ms"]
    assert scene.formatter.next_summary() is None


def test_under_lasting_load_a_second_is_one_line() -> None:
    scene = Scene()
    lines = []
    for _ in range(3000):
        lines += scene.started() + scene.finished()
        scene.now += 0.001
    lines += scene.due(everything=True)
    assert len(lines) < 2 * LINES_PER_WINDOW + 5
    assert [line for line in lines if re.search(r"^ +price  1,0\d\d finished in the last 1\.0 s$", line)]
    printed = sum(
        int(found[1].replace(",", ""))
        for line in lines
        if (found := re.search(r"([\d,]+)( more)? finished", line))
    )
    assert printed + LINES_PER_WINDOW == 3000


def test_after_a_quiet_second_every_call_has_its_line_again() -> None:
    scene = Scene()
    for _ in range(100):
        scene.finished()
    scene.now += 1.5
    assert len(scene.due()) == 1
    scene.now += 1.5
    scene.finished()  # the last of the busy time is printed when its second is over
    scene.now += 1.5
    assert scene.finished()[-1].startswith("finished  price")


def test_functions_are_folded_each_by_itself() -> None:
    scene = Scene()
    for _ in range(100):
        scene.finished("busy")
    assert len(scene.finished("calm")) == 1


def test_running_calls_are_printed_with_the_summary() -> None:
    scene = Scene()
    for _ in range(50):
        scene.started()
    assert scene.due(everything=True) == ["          price  40 more started, 50 running"]
    assert scene.formatter.running_calls() == {"price": 50}


def test_waiting_orchestrations_do_not_run() -> None:
    scene = Scene()
    scene.started("all", "orchestrator")
    scene.started("price", "activity")
    assert scene.formatter.running_calls() == {"price": 1}


def test_the_end_of_an_orchestration_is_printed_below_what_led_to_it() -> None:
    scene = Scene()
    for _ in range(100):
        scene.finished()
    lines = scene.finished("all", "orchestrator")
    assert lines == ["          price  90 more finished", "finished  all  250 ms       i1"]


def test_the_parts_of_a_running_orchestration_are_counted_until_they_fail() -> None:
    scene = Scene()
    scene.started("all", "orchestrator", "order-7")
    lines = []
    for function, trigger, id in (
        ("part", "orchestrator", "order-7:1"),
        ("part", "orchestrator", "order-7:1:2"),
        ("ledger", "entity", "@ledger@order-7"),
    ):
        lines += scene.started(function, trigger, id) + scene.finished(function, trigger, id)
    assert lines == []
    lines = scene.finished("all", "orchestrator", "order-7")
    assert [line.strip() for line in lines[:-1]] == ["ledger  1 finished", "part  2 finished"]
    assert scene.failed("ValueError: no", "part", trigger="orchestrator")
    for id in ("order-7:1", "order-70", "@ledger@order-7"):  # its orchestration does not run any more
        assert scene.started("other", "entity" if id.startswith("@") else "orchestrator", id)


def test_the_error_of_the_task_that_failed_is_printed_once() -> None:
    scene = Scene()
    task = 'pack [2] "box" failed, attempt 3 of 3: ValueError: flaky box'
    output = "Orchestrator function 'order' failed: Activity function 'pack' failed: ValueError: flaky box"
    assert scene.failed(output, "order", task, "orchestrator")[1:] == [" " * 24 + task]
    assert len(scene.failed("KeyError: 'x'", "order", STACK, "orchestrator")) == 4


def test_a_failure_is_printed_with_the_users_traceback() -> None:
    scene = Scene()
    assert scene.failed("ValueError: no price for 1") == [
        "failed    price  250 ms       i1",
        "                        ValueError: no price for 1",
        '                          File "/app/work.py", line 12, in price',
        "                            raise ValueError(item)",
    ]


@pytest.mark.parametrize("fold", [True, False])
def test_of_an_error_as_long_as_a_document_the_beginning_is_printed(fold: bool) -> None:
    wrong = [f"line {n}" for n in range(MOST_ERROR_LINES + 3)]
    lines = [line.strip() for line in Scene(fold=fold).failed("\n".join(wrong), stack="")[1:]]
    assert lines == ([*wrong[:-3], "… 3 more lines (all with --verbose)"] if fold else wrong)


def test_the_same_traceback_is_printed_once_and_the_texts_of_the_first_few() -> None:
    scene = Scene()
    lines = [scene.failed(f"ValueError: no price for {n}") for n in range(100)]
    assert [len(each) for each in lines[:FAILURES_PER_BURST]] == [4] + [2] * (FAILURES_PER_BURST - 1)
    assert not any(lines[FAILURES_PER_BURST:])
    (summary,) = scene.due(everything=True)
    assert summary == "failed    price  90 more failed; the last: ValueError: no price for 99 (i1)"


@pytest.mark.parametrize("reached", [True, False])
def test_the_command_that_lists_failed_orchestrations_stands_below_them_but_not_every_second(
    reached: bool,
) -> None:
    scene = Scene()
    scene.formatter = LogFormatter(Style(colour=False), others_reach_host=reached)
    named, summaries = [], 0
    for second in range(25):
        for _ in range(20):
            scene.failed("ValueError: no", "ship all", trigger="orchestrator")
        summary, *below = scene.due(everything=True)
        summaries += "failed" in summary
        named += [(second, line) for line in below]
        scene.now += 1
    assert summaries == 25
    command = " " * 24 + "`dfhost list --status Failed --name 'ship all'` lists them."
    assert named == ([(0, command), (11, command), (22, command)] if reached else [])


def test_other_failures_are_not_lost_in_the_burst_of_one() -> None:
    scene = Scene()
    for n in range(100):
        scene.failed(f"ValueError: {n}")
    assert any("KeyError: 'x'" in line for line in scene.failed("KeyError: 'x'"))
    assert any(
        "other.py" in line for line in scene.failed("ValueError: 1", stack=STACK.replace("work", "other"))
    )
    assert scene.failed("ValueError: 1", function="cost")


def test_kinds_of_folded_failures_are_counted_apart() -> None:
    scene = Scene()
    for n in range(FAILURES_PER_BURST + 7):
        scene.failed(f"ValueError: {n}")
        scene.failed(f"KeyError: {n}")
        scene.finished()
    (summary,) = scene.due(everything=True)
    assert (
        summary == "failed    price  14 more failed, 7 more finished; 7 times ValueError: 16 (i1); "
        "7 times KeyError: 16 (i1)"
    )


def test_a_failure_is_printed_in_full_again_after_the_burst() -> None:
    scene = Scene()
    for _ in range(100):
        scene.failed("ValueError: 1")
    scene.now += 60
    assert len(scene.failed("ValueError: 1")[-4:]) == 4


def test_an_orchestration_that_fails_as_before_says_why_again() -> None:
    scene = Scene()
    tasks = "charge [1] failed: ValueError: no"
    first, second = (
        scene.failed("ValueError: no", function="order", stack=tasks, trigger="orchestrator") for _ in "ab"
    )
    assert [line.strip() for line in first[1:]] == [tasks]
    assert [line.strip() for line in second[1:]] == ["ValueError: no"]


def test_an_orchestrations_failure_is_printed_in_words() -> None:
    scene = Scene()
    exception = '{"$type":"System.Exception, System.Private.CoreLib","InnerException":null}'
    error = (
        f"Orchestrator function 'all' failed: Activity function 'price' failed: ValueError: no \n {exception}"
    )
    lines = scene.failed(error, function="all", stack="", trigger="orchestrator")
    assert lines == ["failed    all  250 ms       i1", "                        price: ValueError: no"]


def test_quiet_prints_failures_and_messages_only() -> None:
    scene = Scene(calls=False)
    assert scene.started() + scene.finished() == []
    assert scene.failed("ValueError: 1")
    assert scene._lines(Message(scene.now, "note", "careful")) == ["note      careful"]


def test_verbose_formats_every_call() -> None:
    scene = Scene(fold=False)
    assert sum(len(scene.started()) + len(scene.finished()) for _ in range(500)) == 1000
    assert all(scene.failed("ValueError: 1") for _ in range(50))


def test_a_text_of_several_lines_is_indented_below_its_first() -> None:
    scene = Scene()
    assert scene._lines(Message(scene.now, "warning", "one\ntwo")) == ["warning   one", " " * 24 + "two"]


def test_colour_is_only_around_the_words() -> None:
    formatter = LogFormatter(Style(colour=True))
    (line,) = formatter.format((1000.0, "finished", "price", "activity", "i1", 0.25, ""))
    assert "\x1b[32mfinished\x1b[0m" in line
    assert re.sub(r"\x1b\[\d+m", "", line).endswith("finished  price  250 ms       i1")


# -- waits and retries --------------------------------------------------------------------------------------------
def test_a_wait_and_an_event_have_a_line() -> None:
    scene = Scene()
    scene.started("asks", "orchestrator", "order-7")
    assert scene.waiting("order-7") == ["waiting   asks               order-7  for event go"]
    assert scene.waiting("order-7", "event go", "received") == [
        "received  asks               order-7  event go"
    ]
    assert scene.waiting("order-7:1")  # of a part of an orchestration that runs, too


def test_many_waits_are_one_line() -> None:
    scene = Scene()
    for number in range(200):
        scene.started("asks", "orchestrator", f"order-{number}")
    lines = [line for number in range(200) for line in scene.waiting(f"order-{number}")]
    lines += [
        line for number in range(200) for line in scene.waiting(f"order-{number}", "event go", "received")
    ]
    assert len(lines) == 2 * LINES_PER_WINDOW
    assert scene.due(everything=True) == [
        "          asks  190 more waiting, 190 more events received, 200 not ended; the last: event go"
    ]


def test_an_events_name_steers_no_terminal() -> None:
    scene = Scene()
    lines = [line for _ in range(20) for line in scene.waiting("i1", "event a\x1b[2J\nb", "received")]
    lines += scene.due(everything=True)
    assert lines[0].endswith("event a\\x1b[2J b") and lines[-1].endswith("; the last: event a\\x1b[2J\\nb")
    assert "\x1b" not in "".join(lines)


def test_a_failure_that_is_tried_again_says_so() -> None:
    scene = Scene()
    failed = FailedCall(
        scene.now,
        "retrying",
        "price",
        "activity",
        "i1",
        0.25,
        '"' + "x" * 50,
        "E: no",
        "",
        "attempt 1 of 3 failed",
    )
    scene.started()
    assert scene._lines(failed) == [
        f'retrying  price  250 ms       i1  "{"x" * 38}…, attempt 1 of 3 failed',
        " " * 24 + "E: no",
    ]
    assert scene.formatter.running_calls() == {}
    for _ in range(FAILURES_PER_BURST + 4):
        scene._lines(failed)
    assert scene.due(everything=True) == ["          price  5 more retrying; the last: E: no (i1)"]


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (None, ""),
        (Attempt(1, 3, 2.0), "attempt 1 of 3 failed, next in 2 s"),
        (Attempt(2, None, 0.25), "attempt 2 failed, next in 250 ms"),
        (Attempt(1, 3, 0.0), "attempt 1 of 3 failed, next at once"),
        (Attempt(1, 3), "attempt 1 of 3 failed"),
        (Attempt(3, 3), "attempt 3 of 3"),
    ],
)
def test_attempts_in_words(attempt: Attempt | None, words: str) -> None:
    assert attempt_in_words(attempt) == words


@pytest.mark.parametrize(
    ("events", "timer_in", "needs_all", "words"),
    [
        (["approved"], None, True, "for event approved"),
        (["approved"], 259100.0, False, "for event approved or a timer in 3 d"),
        ([], 8.0, True, "for a timer in 8 s"),
        (["a", "b"], None, True, "for event a and event b"),
        (["a", "b", "c", "d"], 60, False, "for event a, event b, event c, 1 more event or a timer in 1 min"),
        (["a", "b", "c", "d", "e"], None, True, "for event a, event b, event c and 2 more events"),
        (["x" * 1000], None, True, f"for event {'x' * 39}…"),
    ],
)
def test_waits_in_words(events: list[str], timer_in: float | None, needs_all: bool, words: str) -> None:
    assert waits_in_words(events, timer_in, needs_all) == words


def test_events_in_words() -> None:
    assert event_in_words("approved", True) == event_in_words("approved", None) == "event approved"
    assert event_in_words("aproved", False) == "event aproved, which nothing waits for yet"


# -- calls that run side by side ---------------------------------------------------------------------------------
ID = "e9156b5c062e404e8a8434c6f25fce37"


def call(trigger: str, id: str | None, item: str, verb: str = "finished") -> str:
    scene = Scene()
    (line,) = scene._lines((scene.now, verb, "price", trigger, id, 0.25, item))
    return line


def test_a_line_names_the_item() -> None:
    assert call("activity", ID, '"item-4"') == 'finished  price  250 ms       e9156b5c  "item-4"'
    assert (
        call("activity", "order-17", '"item-4"', "started")
        == 'started   price               order-17  "item-4"'
    )
    assert call("http", None, "202 POST /api/go") == "finished  price  250 ms       202 POST /api/go"
    assert call("orchestrator", ID, "") == f"finished  price  250 ms       {ID}"
    assert call("activity", ID, "null") == "finished  price  250 ms       e9156b5c"


def test_a_long_item_is_cut_and_has_no_line_ends_and_no_control_characters() -> None:
    line = call("activity", ID, "x" * 1_000_000)
    assert line.endswith("xx…") and len(line) < 110
    assert call("activity", ID, "a\x1b[2J\nb").endswith("a\\x1b[2J b")


def test_time_never_goes_backwards() -> None:
    formatter = LogFormatter(Style(colour=False))
    times = []
    for at in (1000.5, 1000.4, 1000.6, 999.0):  # threads take the time before they queue the event
        (line,) = formatter.format((at, "started", "price", "activity", "i1", 0.0, ""))
        times.append(line.split()[0])
    assert times == sorted(times)
    for _ in range(20):  # a summary is written after the lines of others
        formatter.format((1000.7, "started", "price", "activity", "i1", 0.0, ""))
    (other,) = formatter.format((1000.8, "started", "other", "activity", "i1", 0.0, ""))
    (summary,) = formatter.summaries(1001.0, everything=True)
    assert summary.split()[0] >= other.split()[0]


def test_of_a_traceback_the_frames_of_the_app_are_shown() -> None:
    library = '  File "/env/lib/python3.11/site-packages/requests/api.py", line 59, in request\n    return session\n'
    standard = f'  File "{re.__file__}", line 1, in compile\n    pass\n    ^^^^\n'
    lines = Scene().failed("ValueError: no", stack=STACK + library + standard)
    shown = "\n".join(lines)
    assert "/app/work.py" in shown and "raise ValueError" in shown
    assert "requests" not in shown and "^^^^" not in shown
    assert "requests" in "\n".join(Scene().failed("ValueError: no", stack=library))  # better than nothing
    assert "requests" in "\n".join(Scene(fold=False).failed("ValueError: no", stack=STACK + library))


# -- progress in place -------------------------------------------------------------------------------------------
def test_lasting_load_is_progress_while_it_lasts_and_one_line_when_it_ends() -> None:
    scene = Scene()
    scene.formatter = LogFormatter(Style(colour=False), live=True)
    lines, progress = [], []
    for number in range(4000):
        lines += scene.started()
        lines += scene.failed(f"ValueError: {number}", stack="") if number % 200 == 199 else scene.finished()
        scene.now += 0.001
        lines += scene.due()
        progress.append(scene.formatter.progress())
    assert len([line for line in lines if line.startswith("finished")]) == LINES_PER_WINDOW
    assert not any(" finished in the last " in line for line in lines)
    assert progress[500] == ""  # the first second has its lines
    assert re.fullmatch(r"price 3,[\d,]+ finished, 10 failed, 9\d\d/s", progress[-1]), progress[-1]
    lines = []
    for _ in range(2):
        scene.now += 5
        lines += scene.due()
    (summary,) = lines
    assert re.search(
        r"price  3,970 more finished, 10 more failed in the last 4\.0 s; the last: ValueError: 3999 \(i1\)$",
        summary,
    )
    assert scene.formatter.progress() == ""
