"""`dfhost logs`: the console of the host of this folder, after it has been printed, and after the host has gone."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dfhost.cli.console import log_file
from dfhost.cli.console.log_file import DATE, LogFile, follow_log, read_log
from dfhost.cli.console.log_formatter import LogFormatter
from dfhost.cli.style import Style
from tests.cli.commands.conftest import Commands
from tests.support.apps import write_app
from tests.support.host_process import HostProcess

APP = """
    import logging

    @app.orchestration_trigger(context_name="context")
    def flow(context):
        return (yield context.call_activity("work", context.get_input()))

    @app.activity_trigger(input_name="item")
    def work(item: str) -> str:
        logging.warning("looking at %s\\nin two lines", item)
        if item == "bad":
            raise ValueError("no such item")
        return item
"""


PARENTS = """
    @app.orchestration_trigger(context_name="context")
    def order(context):
        return (yield context.call_sub_orchestrator("parcel", context.get_input()))

    @app.orchestration_trigger(context_name="context")
    def parcel(context):
        return (yield context.call_sub_orchestrator("label", context.get_input()))

    @app.orchestration_trigger(context_name="context")
    def label(context):
        return (yield context.call_activity("print_label", context.get_input()))

    @app.activity_trigger(input_name="item")
    def print_label(item: str) -> str:
        return item
"""


def test_the_lines_of_an_instance_are_those_of_its_sub_orchestrations_too(
    dfhost: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with HostProcess(write_app(tmp_path, PARENTS), "--in-process") as host:
        for id in ("order-1", "order-2"):
            assert host.client.output(host.client.start("order", f"for {id}", id)) == f"for {id}"
            host.line(rf"finished +order .*{id}")
    said = dfhost.plain("logs", "order-1").out
    assert "for order-1" in said and "order-2" not in said
    started = re.findall(r"started +(\w+) +\S+(.*)", said)
    assert [name for name, _ in started] == ["order", "parcel", "label", "print_label"]
    assert started[1][1] == "  of order-1" and re.fullmatch(r"  of [0-9a-f-]{36}:0", started[2][1])
    assert len(re.findall("finished", said)) == 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An app whose host has run two instances and was killed."""
    app = write_app(tmp_path_factory.mktemp("logs"), APP)
    with HostProcess(app, "--in-process") as host:
        (app / "ids").write_text(" ".join(host.client.start("flow", item) for item in ("bad", "good")))
        for id in (app / "ids").read_text().split():
            host.client.ended(id)
            host.line(rf"(finished|failed) +flow .*{id}")
        host.kill()
    yield app


@pytest.fixture
def ids(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(folder)
    return (folder / "ids").read_text().split()


def test_all_that_the_console_had(dfhost: Commands, ids: list[str]) -> None:
    said = dfhost.plain("logs")
    assert said.code == 0
    assert re.search(r"^-- \d{4}-\d\d-\d\d \d\d:\d\d:\d\d dfhost start, process \d+$", said.out, re.M)
    assert "Ready on http://localhost:" in said.out
    assert all(id in said.out for id in ids)
    assert len(dfhost.plain("logs", "--lines", "3").out.splitlines()) == 3


def test_of_one_instance(dfhost: Commands, ids: list[str]) -> None:
    bad, good = ids
    said = dfhost.plain("logs", bad).out
    assert f"looking at bad  (work {bad[:8]})" in said and "in two lines" in said  # a line of more lines
    assert "ValueError: no such item" in said and 'raise ValueError("no such item")' in said
    assert good[:8] not in said and "Ready on" not in said
    assert re.match(r"-- \d{4}-\d\d-\d\d \d\d:\d\d:\d\d dfhost start, process \d+\n", said), (
        "the times are of a day"
    )
    assert dfhost.plain("logs", bad[:6]).out == said
    assert dfhost.plain("logs", bad[1:8]).code == 4, "which is within the id"


def test_of_a_child_by_its_whole_id_and_by_its_short_one(dfhost: Commands, tmp_path: Path) -> None:
    whole = "05b89df6-3d16-4803-a64b-1cde245ca316:1"
    head = "15:41:50.000  "
    lines = [
        f"waiting   payment  {whole}  for event Paid",
        "started   mail  05b89df6:1",
        "started   mail  05b89df6:12",
    ]
    (tmp_path / "hub.db.log").write_text("".join(f"{head}{line}\n" for line in lines))
    for id in (whole, "05b89df6:1"):
        shown = dfhost.plain("logs", id, "--db", str(tmp_path / "hub.db")).out
        assert shown == "".join(f"{head}{line}\n" for line in lines[:2])


def test_of_an_entity_by_its_name_in_any_case(dfhost: Commands, tmp_path: Path) -> None:
    line = "15:41:50.000  started   tally  @tally@Total  add\n"
    (tmp_path / "hub.db.log").write_text(line)
    assert dfhost.plain("logs", "@Tally@Total", "--db", str(tmp_path / "hub.db")).out == line
    assert dfhost.plain("logs", "@Tally@total", "--db", str(tmp_path / "hub.db")).code == 4


def test_of_a_text(dfhost: Commands, ids: list[str]) -> None:
    assert dfhost.plain("logs", "--text", "looking at good").out.count("looking at") == 1
    below = dfhost.plain("logs", "--text", "ValueError: no such item").out  # which stands below a failed call
    assert "  failed    work" in below and "ValueError: no such item" in below and "good" not in below


def test_a_whole_id_finds_no_longer_ones(dfhost: Commands, tmp_path: Path) -> None:
    lines = ["started   flow  order-17", "started   flow  order-17:1", "started   flow  order-170"]
    (tmp_path / "hub.db.log").write_text("".join(f"15:41:50.000  {line}\n" for line in lines))
    for id, found in (("order-17", 2), ("order-1", 3), ("order-170", 1)):
        shown = dfhost.plain("logs", id, "--db", str(tmp_path / "hub.db")).out
        assert len(shown.splitlines()) == found, id


def test_a_label_as_wide_as_its_column_is_read_too(dfhost: Commands, tmp_path: Path) -> None:
    (line,) = LogFormatter(Style(False)).format(
        (0.0, "suspended", "flow", "orchestrator", "order-7", 0.0, "closed")
    )
    (tmp_path / "hub.db.log").write_text(f"{line}\n")
    shown = dfhost.plain("logs", "order-7", "--db", str(tmp_path / "hub.db"), "--json").out
    assert json.loads(shown)["label"] == "suspended"
    assert json.loads(shown)["text"].split() == ["flow", "order-7", "closed"]


def test_each_line_as_json(dfhost: Commands, ids: list[str]) -> None:
    lines = [json.loads(line) for line in dfhost.plain("logs", ids[0], "--json").out.splitlines()]
    failed = next(line for line in lines if line["label"] == "failed")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}", failed["time"])
    assert {**failed, "text": "ValueError: no such item"} in lines  # below it, with its time and label
    every = [json.loads(line) for line in dfhost.plain("logs", "--json").out.splitlines()]
    assert every[0]["time"] is None and "dfhost start, process" in every[0]["text"]
    assert dfhost.plain("logs", "--lines", "0").code == 2


def test_the_lines_of_each_day_have_their_date(dfhost: Commands, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        now = time.mktime((2026, 11, 28, 23, 59, 0, 0, 0, -1))
        patch.setattr(time, "localtime", lambda at=None, of=time.localtime: of(now if at is None else at))
        patch.setattr(time, "strftime", lambda text, of=time.strftime: of(text, time.localtime()))
        log = LogFile(tmp_path / "hub.db.log")
        log.write("23:59:00.000  started   flow  order-7\n")
        now += 3600
        log.write("00:59:00.000  finished  flow  order-7\n01:00:00.000  started   flow  order-8\n")
        log.close()
    shown = dfhost.plain("logs", "order-7", "--db", str(tmp_path / "hub.db")).out.splitlines()
    assert [line[:13] for line in shown] == [
        "-- 2026-11-28",
        "23:59:00.000 ",
        "-- 2026-11-29",
        "00:59:00.000 ",
    ]
    shown = dfhost.plain("logs", "order-8", "--db", str(tmp_path / "hub.db"), "--json").out.splitlines()
    assert json.loads(shown[-1])["time"] == "2026-11-29T01:00:00.000"


def test_what_the_log_does_not_have(dfhost: Commands, ids: list[str]) -> None:
    said = dfhost.plain("logs", "nobody")
    assert said == (4, "", "dfhost: The log has nothing of an instance 'nobody'.\n")
    misspelt = ids[1][:-1] + "-"
    assert f"'{misspelt}'. Did you mean '{ids[1]}'" in dfhost.plain("logs", misspelt).err
    assert "Instances of flow? See `dfhost list --name flow`." in dfhost.plain("logs", "flwo").err
    assert "nothing with the text 'qqq'." in dfhost.plain("logs", "--text", "qqq").err
    quiet = dfhost.plain("logs", ids[0], "--text", "qqq")
    assert quiet.code == 4 and f"`dfhost show {ids[0]}` shows what" in quiet.err


def test_where_there_is_none(dfhost: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = dfhost.plain("logs")
    assert said.code == 2 and "`dfhost start` writes it beside its database" in said.err


def test_a_line_that_is_written_just_before_a_rotation_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "_LIMIT", 200)
    kept = LogFile(tmp_path / "hub.db.log")
    late = iter(["last", "x" * 200, "first"])

    class Path(type(tmp_path)):  # type: ignore[misc]
        def stat(self, **options: Any) -> os.stat_result:
            """Is asked for when nothing is left to read; something is written just then."""
            for text in late:
                kept.write(f"{text}\n")
            return super().stat(**options)

    with closing(follow_log(Path(tmp_path / "hub.db.log"))) as lines:
        found = [next(lines) for _ in range(4)]
    assert [line for line in found if not DATE.match(line)] == ["last", "x" * 200, "first"]
    kept.close()


def test_what_is_written_from_now_on_and_through_a_rotation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "_LIMIT", 200)
    path = tmp_path / "hub.db.log"
    kept = LogFile(path)
    followed: list[str] = []
    seen = threading.Semaphore(0)
    lines = follow_log(path)

    def follow() -> None:
        for line in lines:
            followed.append(line)
            seen.release()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    for number in range(200):  # until the follower has opened the file
        kept.write(f"early {number}\n")
        if seen.acquire(timeout=0.05):
            break
    for number in range(5):
        kept.write(f"\x1b[31mlate {number}\x1b[0m {'x' * 100}\n")
        assert seen.acquire(timeout=10)
        while followed[-1].split()[:2] != ["late", str(number)]:
            assert seen.acquire(timeout=10)
    kept.close()
    assert path.with_name("hub.db.log.1").exists()
    assert "\x1b" not in "".join(read_log(path)) and read_log(path)[-1].startswith("late 4")
