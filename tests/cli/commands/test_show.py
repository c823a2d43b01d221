"""`dfhost show`: the failure first, with its item and its input; then what is waited for, tasks and payloads."""

from __future__ import annotations

import json
import re
import subprocess
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from dfhost.durations import duration
from dfhost.timestamps import parse_timestamp
from tests.cli.commands.conftest import Commands
from tests.support.host_process import dfhost_command
from tests.support.waiting import until


def test_a_failed_item_is_named_with_its_input_and_the_users_line(dfhost: Commands) -> None:
    shown = dfhost.done("show", dfhost.ended("import_orders", ["good", "bad-7"]))
    assert re.search(
        r'^process_item \[1\] "bad-7" failed.*: ValueError: no such order: bad-7$', shown, re.M
    ), shown
    assert 'function_app.py", line' in shown and "raise ValueError" in shown
    assert shown.index("bad-7") < shown.index("\ninput")


def test_a_failure_in_a_child_is_found_in_the_child(dfhost: Commands) -> None:
    shown = dfhost.done("show", dfhost.ended("import_all", ["bad-8"]))
    assert re.search(r'^import_orders child-of-all > process_item "?.*"bad-8" failed', shown, re.M), shown


def test_an_orchestrator_that_raises(dfhost: Commands) -> None:
    shown = dfhost.done("show", dfhost.ended("raises"))
    place = r"function_app\.py, line \d+, in raises"
    assert re.search(rf"\nKeyError: 'missing' \({place}\)\n  Its output is: 'missing'\n", shown)
    assert '      raise KeyError("missing")\n' in shown  # the frames


def test_an_error_of_several_lines_that_an_orchestrator_raises_is_shown_once(dfhost: Commands) -> None:
    for name in ("validates", "validates_below"):
        head, _, _ = dfhost.done("show", dfhost.ended(name)).partition("\nTASK")
        said = re.sub("raise ValueError.*", "", head)
        assert re.search(
            r"Error: 1 validation error for Order \(.*\)\n  by\n    Value error, nobody approved", said
        )
        assert said.count("nobody approved") == 1


def test_an_orchestrator_that_yields_what_is_no_task(dfhost: Commands) -> None:
    cause = "yielded a value of type list, which is not a task) (function_app.py, line "
    shown = dfhost.done("show", dfhost.ended("yields_list"))
    assert cause in shown and "site-packages" not in shown, "the frames are the SDK's"
    assert cause in dfhost.done("show", dfhost.ended("yields_list_below"))
    waited = dfhost("start-instance", "yields_list", "--wait")
    assert cause in waited.err and "site-packages" not in waited.err


def test_one_that_waits(dfhost: Commands) -> None:
    id = dfhost.waiting()
    shown = dfhost.done("show", id)
    assert shown.startswith(f"approval {id}\nRunning, created ")
    assert "It waits for event Approval." in shown and '"asked": "Ada"' in shown


def test_one_that_has_continued_as_new_is_as_old_as_its_first_generation(dfhost: Commands) -> None:
    id = dfhost.http.start("renews", 2)
    until(lambda: dfhost.done("show", id), lambda shown: "It waits for event Approval." in shown)
    newest = dfhost.http.manage("GET", f"instances/{id}?timeline=true").body
    generation = r"in its 3rd generation: its last continue_as_new was (.* ago|now)"
    shown = dfhost.done("show", id)
    assert re.match(rf"renews {id}\nRunning, created (.* ago|now), {generation}\n", shown), shown
    dfhost.done("raise", id, "Approval")
    dfhost.http.ended(id)
    ended = dfhost.http.manage("GET", f"instances/{id}?timeline=true").body
    shown = dfhost.done("show", id)
    took = re.match(rf"renews {id}\nCompleted after (.*), created (.* ago|now), {generation}\n", shown)
    assert took, shown
    assert newest["createdTime"] == ended["createdTime"] > ended["firstCreatedTime"]
    whole = parse_timestamp(ended["endedTime"]) - parse_timestamp(ended["firstCreatedTime"])
    assert took[1] == duration(whole.total_seconds())
    once = dfhost.done("show", dfhost.ended("renews", -1))
    assert re.search(r"\nCompleted after .* m?s, created (.* ago|now)\n", once), once


def test_payloads_are_json_as_the_code_sees_them_and_cut_unless_asked_for(dfhost: Commands) -> None:
    shown = dfhost.done("show", dfhost.ended("echo", {"n": 1}))
    assert '\ninput\n{"n": 1}\n' in shown
    long = dfhost.ended("echo", "y" * 5000)
    assert "--full shows all" in dfhost.done("show", long)
    assert "y" * 5000 in dfhost.done("show", long, "--full")


def test_objects_of_the_apps_classes_are_shown_by_their_class(dfhost: Commands) -> None:
    order = {"__class__": "Order", "__module__": "orders", "__data__": '{"id": "o-1"}'}
    id = dfhost.ended("echo", [order, order])
    assert '\ninput\n[Order {"id": "o-1"}, Order {"id": "o-1"}]\n' in dfhost.done("show", id)
    assert json.loads(dfhost("show", id, "--json").json["input"]) == [order, order]


def test_a_wide_fan_out_is_counted_and_its_failures_are_listed(dfhost: Commands) -> None:
    items = [f"item-{n}" for n in range(40)]
    items[37] = "bad-37"
    shown = dfhost.done("show", dfhost.ended("import_orders", items))
    assert 'process_item [37] "bad-37"' in shown
    assert shown.index("39 completed, 1 failed") < shown.index("\ninput\n")  # which is long
    assert (
        '"item-18"' in shown.partition("\ninput\n")[2] and '"item-19"' not in shown.partition("\ninput\n")[2]
    )
    assert "more: --full shows all" in shown and "39 completed, 1 failed" in shown


def test_json(dfhost: Commands) -> None:
    id = dfhost.ended("import_orders", ["good", "bad-7"])
    shown = dfhost("show", id, "--json").json
    assert shown["instanceId"] == id and shown["runtimeStatus"] == "Failed"
    assert [task["state"] for task in shown["tasks"]] == ["completed", "failed"]


def test_an_entity(dfhost: Commands) -> None:
    dfhost.done("signal", "@counter@shown", "add", "--input", "41")
    dfhost.http.until("@counter@shown", lambda status: "41" in str(status["input"]))
    assert re.search(r"^@counter@shown\n.*idle.*\n\nstate\n41\n", dfhost.done("show", "@counter@shown"))
    assert dfhost("show", "@counter@shown", "--json").json["state"] == 41
    assert dfhost.done("explain", "@counter@shown") == "@counter@shown\nThe entity is idle.\n"


def test_the_name_of_an_entity_has_no_case(dfhost: Commands) -> None:
    dfhost.done("signal", "@counter@Cased", "add", "--input", "41")
    dfhost.http.until("@counter@Cased", lambda status: "41" in str(status["input"]))
    for command in ("show", "explain", "history", "export"):
        assert dfhost.done(command, "@CounteR@Cased") == dfhost.done(command, "@counter@Cased")
        said = dfhost(command, "@counter@cased")
        assert said.code == 4 and "Did you mean '@counter@Cased'" in said.err, said.err


def test_an_entity_whose_last_operation_failed(dfhost: Commands) -> None:
    dfhost.done("signal", "@counter@failed", "add", "--input", '"two"')
    until(lambda: dfhost("show", "@counter@failed"), lambda said: "failed operation" in said.out)
    shown = dfhost.done("show", "@counter@failed")
    assert re.search(r"idle\. Its last failed operation was add at \S+ \S+: TypeError: unsupported", shown)
    assert re.search(r'^  +File ".*function_app.py", line \d+, in counter$', shown, re.M), shown
    assert "TypeError: unsupported" in dfhost.done("explain", "@counter@failed")


def test_the_end_is_watched_for(dfhost: Commands) -> None:
    assert dfhost("show", dfhost.ended("echo", 1), "--watch").code == 0
    assert dfhost("show", dfhost.ended("raises"), "--watch").code == 1


def test_control_characters_stay_escaped(dfhost: Commands) -> None:
    assert "\x1b" not in dfhost.done("show", dfhost.ended("echo", "\x1b[2J\nx"))


@pytest.mark.long
@pytest.mark.parametrize("command", ["show", "explain"])
def test_in_a_pipe_growing_ages_are_no_change(dfhost: Commands, command: str) -> None:
    started = dfhost.http.start("reminded")
    arguments = dfhost_command(command, started, "--watch", "--url", dfhost.url)
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        first = watching.stdout.readline()
        until(lambda: dfhost.done("show", started), lambda shown: re.search(r"created [4-9] s ago", shown))
        dfhost.done("raise", started, "Approval")
        shown = first + watching.stdout.read()
    assert watching.returncode == 0
    assert shown.count("It waits for event Approval or a timer due in ") == 1, shown


def test_of_what_was_terminated_the_results_that_had_come_are_shown(dfhost: Commands, tmp_path: Path) -> None:
    file = tmp_path / "file"
    started = dfhost.http.start("never_yields", str(file))
    try:
        before = until(
            lambda: dfhost.done("show", started), lambda shown: "Its code has been running" in shown
        )
        dfhost.done("terminate", started)
        shown = dfhost.done("show", started)
    finally:
        file.touch()
    pattern = r'^repeat "hello" +completed .* "hello"$'
    assert re.search(pattern, before, re.M), before
    assert re.search(pattern, shown, re.M), shown
    assert re.search(r'^waits_for_file "/.* cancelled ', shown, re.M), shown


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="Windows has no TZ")
def test_times_for_people_are_local_and_those_of_json_are_not(
    dfhost: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = dfhost.http.start("reminded")
    until(lambda: dfhost("explain", id, "--json").json, lambda answer: len(answer["waitsFor"]) == 2)
    (timer,) = [each for each in dfhost("explain", id, "--json").json["waitsFor"] if each["kind"] == "timer"]
    due = datetime.fromisoformat(timer["due"][:19])
    local = str(due + timedelta(hours=5, minutes=30))
    monkeypatch.setenv("TZ", "HERE-5:30")
    time.tzset()
    try:
        for command in ("explain", id), ("show", id), ("list", "--prefix", id):
            assert f"({local})" in dfhost.done(*command), command
        assert f"due {local}\n" in dfhost.done("history", id)
        assert f"({due.isoformat()}Z)" in dfhost("explain", id, "--json").json["sentence"]
        dfhost.done("terminate", id)
        (ended,) = re.findall(r"It ended at (\S+ \S+)\.\n", dfhost.done("explain", id))
        assert f"it is Terminated since {ended}." in dfhost("suspend", id).err
        assert (
            timedelta()
            <= datetime.fromisoformat(ended) - due - timedelta(hours=5, minutes=29)
            < timedelta(hours=1)
        )
    finally:
        monkeypatch.undo()
        time.tzset()
