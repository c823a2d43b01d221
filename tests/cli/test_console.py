"""The console and what user code logs and prints: whole lines, in order, from any thread."""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from dfhost.app_output import AppLogLevels, AppOutput
from dfhost.cli.console.console import Console
from dfhost.cli.style import Style

Speak = Callable[[Console], None]


@pytest.fixture(autouse=True)
def root_level() -> Iterator[None]:
    """The root logger's level is the process's; give it back."""
    root = logging.getLogger()
    level = root.level
    yield
    root.setLevel(level)


@contextmanager
def console(stream: io.StringIO, level: int | None = None) -> Iterator[Console]:
    with Console(stream, style=Style(colour=False)) as opened:
        if level is None:
            yield opened
        else:
            with AppOutput(opened, AppLogLevels({"default": level})):
                yield opened


def lines(stream: io.StringIO) -> list[str]:
    return [re.sub(r"^\d\d:\d\d:\d\d\.\d{3}  ", "", line) for line in stream.getvalue().splitlines()]


def test_lines_written_before_the_end_are_printed() -> None:
    stream = io.StringIO()
    with console(stream) as opened:
        opened.write("Functions:\n")
        opened.started("price", "activity", "i1")
        opened.note("careful")
    assert lines(stream) == ["Functions:", "started   price               i1", "note      careful"]


class SignallingStream(io.StringIO):
    """A stream whose event `written` is set by every write."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def write(self, text: str) -> int:
        number = super().write(text)
        self.written.set()
        return number


def test_a_line_does_not_wait_for_the_next() -> None:
    stream = SignallingStream()
    with console(stream) as opened:
        for name in ("first", "second"):
            opened.note(name)
            assert stream.written.wait(10)
            assert lines(stream)[-1] == f"note      {name}"
            stream.written.clear()


def test_a_line_is_printed_though_the_clock_is_set_back_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    stream, real = SignallingStream(), time.time
    with console(stream) as opened:
        opened.note("before")
        monkeypatch.setattr(time, "time", lambda: real() - 3600)
        assert stream.written.wait(10)
    assert lines(stream) == ["note      before"]


def test_a_folded_burst_is_printed_without_a_further_event() -> None:
    stream = SignallingStream()
    with console(stream) as opened:
        for _ in range(100):
            opened.finished("price", "activity", "i1", 0.001)
        while "90 more finished" not in stream.getvalue():
            assert stream.written.wait(10)
            stream.written.clear()


def test_nothing_is_lost_between_many_threads() -> None:
    stream = io.StringIO()

    def talk(name: int) -> None:
        for number in range(200):
            opened.print("info", f"{name}-{number}")

    with console(stream) as opened:
        threads = [threading.Thread(target=talk, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    printed = [line.split()[-1] for line in lines(stream)]
    assert sorted(printed) == sorted(f"{name}-{number}" for name in range(8) for number in range(200))
    for name in range(8):
        own = [int(word.split("-")[1]) for word in printed if word.startswith(f"{name}-")]
        assert own == sorted(own)


def test_a_closed_pipe_stops_no_writer() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream, Console(stream, style=Style(colour=False)) as opened:
        opened.note("nobody reads this")
        opened.close()
        opened.note("nor this")


def test_characters_the_stream_does_not_have_are_escaped() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    with Console(stream, style=Style(colour=False)) as opened:
        opened.note("naïve \ud800")
    stream.flush()
    assert raw.getvalue().strip().endswith(b"na\\xefve \\ud800")


def test_what_a_worker_has_printed_stands_above_the_end_of_its_call() -> None:
    stream = io.StringIO()
    with console(stream) as opened:
        opened.started("price", "activity", "i1")
        printed_at = time.time()
        time.sleep(0.002)
        opened.finished("price", "activity", "i1", 0.25)
        opened.write("a text without a time\n")
        opened.print("", "printed by the call", printed_at)
    assert [line.split()[0] for line in lines(stream)] == ["started", "printed", "finished", "a"]


def test_a_worker_whose_clock_is_wrong_is_not_believed() -> None:
    stream = io.StringIO()
    with console(stream) as opened:
        opened.print("", "in the year 2096", 4e9)
        opened.note("the end")
    assert lines(stream) == ["          in the year 2096", "note      the end"]


# -- user code -----------------------------------------------------------------------------------------------
def test_log_records_are_printed_with_level_and_logger() -> None:
    stream = io.StringIO()
    with console(stream, logging.INFO):
        logging.info("items: %d", 5)
        logging.getLogger("shop.orders").warning("late")
        logging.getLogger("shop").debug("not shown")
    assert lines(stream) == ["info      items: 5", "warning   shop.orders: late"]


def test_a_records_exception_is_printed() -> None:
    stream = io.StringIO()
    with console(stream, logging.INFO):
        try:
            raise KeyError("x")
        except KeyError:
            logging.exception("lookup failed")
    printed = lines(stream)
    assert printed[0] == "error     lookup failed"
    assert printed[-1].strip() == "KeyError: 'x'"


def test_a_record_that_cannot_be_formatted_is_printed_unformatted() -> None:
    stream = io.StringIO()
    with console(stream, logging.INFO):
        record = logging.LogRecord("shop", logging.INFO, __file__, 1, "%d", ("x",), None)
        logging.getLogger().handlers[-1].handle(record)  # pytest's own handler would raise
    assert "cannot be formatted" in lines(stream)[0]


def test_a_flood_of_records_is_folded_and_the_odd_one_is_not() -> None:
    stream = io.StringIO()
    with console(stream, logging.INFO):
        for number in range(500):
            logging.getLogger("shop").info("item %d", number)
        logging.getLogger("shop").info("another format")
        logging.getLogger("shop").warning("item %d", 500)
        for number in range(101):
            logging.info("step %d", number)
    printed = lines(stream)
    assert printed[:2] == ["info      shop: item 0", "info      shop: item 1"]
    assert "info      shop: another format" in printed
    assert "warning   shop: item 500" in printed
    assert "info      step 99" in printed
    of_root, of_shop = printed[-2:]
    assert re.fullmatch(r" +logging: +1 more at level info", of_root)
    assert re.fullmatch(r" +shop: +400 more at level info( in the last \d+ ms)?", of_shop)
    assert len(printed) == 100 + 2 + 100 + 2


def test_printed_lines_stay_whole_and_in_order_with_the_log() -> None:
    stream = io.StringIO()
    with console(stream, logging.INFO):
        print("one", end=" ")
        logging.info("between")
        print("and two")
        print("three\nfour")
        print("LanguageWorkerConsoleLogfor the host itself")
        print("to stderr", file=sys.stderr)
        print("never ended", end="")
    assert lines(stream) == [
        "info      between",
        "          one and two",
        "          three",
        "                        four",
        "          to stderr",
        "          never ended",
    ]


def test_two_threads_do_not_tear_each_others_lines() -> None:
    stream = io.StringIO()
    both = threading.Barrier(2)

    def talk(word: str) -> None:
        for _ in range(100):
            both.wait()
            print(word, end="")
            print(word)

    with console(stream, logging.INFO):
        threads = [threading.Thread(target=talk, args=(word,)) for word in ("ab", "xy")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted({line.strip() for line in lines(stream)}) == ["abab", "xyxy"]


def test_a_flushed_prompt_appears_before_its_line_ends() -> None:
    stream = SignallingStream()
    with console(stream, logging.INFO) as opened:
        print("(Pdb) ", end="", flush=True)
        assert stream.written.wait(10)
        assert stream.getvalue() == "(Pdb) "
        opened.note("meanwhile")
    assert stream.getvalue().splitlines()[0] == "(Pdb) "


def test_user_code_may_treat_stdout_as_the_real_one(monkeypatch: pytest.MonkeyPatch) -> None:
    real = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stdout", real)
    with console(io.StringIO(), logging.INFO):
        assert sys.stdout.encoding == "utf-8"
        assert sys.stdout.buffer is real.buffer
        assert sys.stdout.isatty() is False
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
        assert sys.stdout.errors == "replace"


def test_the_streams_and_the_root_logger_are_given_back() -> None:
    before = sys.stdout, sys.stderr, list(logging.getLogger().handlers)
    with console(io.StringIO(), logging.INFO):
        assert sys.stdout is not before[0]
    assert (sys.stdout, sys.stderr, list(logging.getLogger().handlers)) == before


@pytest.mark.parametrize(
    ("levels", "level"),
    [
        ({}, logging.INFO),
        ({"default": 30}, logging.WARNING),
        ({"default": 30, "function": 10}, logging.DEBUG),
        ({"function": 10, "function.user": 40}, logging.ERROR),
        ({"host.aggregator": 10, "function.price": 10}, logging.INFO),
    ],
)
def test_the_level_of_user_logs_comes_from_host_json(levels: dict[str, int], level: int) -> None:
    assert AppLogLevels(levels).of(None) == level
    assert AppLogLevels(levels, verbose=True).lowest == logging.DEBUG
    assert AppLogLevels(levels, quiet=True).of(None) >= logging.WARNING


def test_the_level_of_a_functions_logs_is_that_of_the_longest_rule() -> None:
    levels = AppLogLevels(
        {
            "default": 30,
            "Function.price": 10,
            "function.quiet": 40,
            "function.quiet.user": 50,
            "function.tal": 20,
        }
    )
    seen = {name: levels.of(name) for name in ("price", "Quiet", "talk", "other", None)}
    assert seen == {"price": 10, "Quiet": 50, "talk": 20, "other": 30, None: 30}
    assert levels.lowest == 10


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """The lines as they stand there, after what was erased."""
        lines = []
        for line in self.getvalue().split("\n"):
            lines.append(line.split("\r\x1b[K")[-1])
        return lines


def test_progress_stands_in_the_last_line_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    with Console(stream, style=Style(colour=False)) as opened:
        clock = [1000.0]
        monkeypatch.setattr("dfhost.cli.console.console.time.time", lambda: clock[0])
        for number in range(3000):
            opened.started("price", "activity", "i1", str(number))
            opened.finished("price", "activity", "i1", 0.1, str(number))
            clock[0] += 0.001
        opened.flush()
        assert re.fullmatch(r"price [\d,]+ finished, .*/s", stream.screen()[-1]), stream.screen()[-1]
        opened.note("in between")
        opened.flush()
        assert stream.screen()[-2].endswith("in between") and "finished" in stream.screen()[-1]
        clock[0] += 10
        opened.note("at the end")
        opened.flush()
    assert stream.screen()[-1] == ""
    assert not any(line.startswith("price ") for line in stream.screen())
    assert any(re.search(r"price +2,990 more finished", line) for line in stream.screen())
