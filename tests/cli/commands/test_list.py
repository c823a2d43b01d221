"""`dfhost list`: which instances it shows, in which order, and its forms for people and for scripts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.commands.conftest import APP, Commands
from tests.support.apps import write_app
from tests.support.host_process import HostProcess
from tests.support.waiting import until


def rows(text: str) -> list[list[str]]:
    return [re.split(r" {2,}", line) for line in text.splitlines()]


def test_a_row_says_what_an_instance_is_and_why_it_failed(dfhost: Commands) -> None:
    done = dfhost.ended("echo", "hello", "list-done")
    dfhost.ended("raises", None, "list-failed")
    waits = dfhost.waiting("list-waits")
    head, *found = rows(dfhost.done("list", "--prefix", "list-"))
    assert head == ["ID", "STATUS", "ORCHESTRATOR", "CREATED", "TOOK", "DETAILS"]
    by_id = {row[0]: row[1:] for row in found}
    assert by_id.keys() == {done, waits, "list-failed"}
    assert by_id[done][:2] == ["Completed", "echo"] and by_id[done][-1] == "hello"
    assert by_id["list-failed"][:2] == ["Failed", "raises"]
    assert re.fullmatch(
        r"KeyError: 'missing' \(function_app\.py, line \d+, in raises\)", by_id["list-failed"][-1]
    )
    dfhost.ended("times_badly", None, "list-in-sdk")  # the place is the app's line, not the SDK's
    (_, *in_sdk), *_ = rows(dfhost.done("list", "--prefix", "list-in-sdk"))[1:]
    assert re.search(r" \(function_app\.py, line \d+, in times_badly\)$", in_sdk[-1]), in_sdk
    assert by_id[waits][:2] == ["Running", "approval"]
    assert by_id[waits][-2:] == ['{"asked": "Ada"}', "It waits for event Approval."]


def test_an_error_of_several_lines_is_one_line_in_tables_and_whole_above_them(dfhost: Commands) -> None:
    id = dfhost.ended("validates_order", {}, "invalid")
    line = "ValueError: 1 validation error for Order id Field required [type=missing]"
    assert f"validate: {line}\n" in dfhost.done("list", "--prefix", id)
    shown = dfhost.done("show", id)
    assert shown.count(line) == 1 and "1 validation error for Order\n  id\n    Field required" in shown


def test_generated_ids_are_short_and_distinct_for_people_and_whole_for_scripts(dfhost: Commands) -> None:
    ids = {dfhost.ended("echo", "x") for _ in range(5)}
    shown = {row[0] for row in rows(dfhost.done("list", "--name", "echo"))[1:]}
    assert {next(s for s in shown if id.startswith(s)) for id in ids} <= shown
    assert all(len(short) < 12 for short in shown if re.fullmatch("[0-9a-f]+", short))
    assert ids <= set(dfhost.done("list", "--ids", "--all").split())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--status", "failed"], {"f-raises"}),
        (["--status", "Failed,running"], {"f-raises", "f-waits"}),
        (["--status", "failed", "--status", "running"], {"f-raises", "f-waits"}),
        (["--name", "ECHO"], {"f-echo"}),
        (["--text", "missing"], {"f-raises"}),
        (["--text", "ada"], {"f-waits"}),
        (["--since", "1h", "--status", "Completed"], {"f-echo"}),
        (["--since", "2100-01-01"], set()),
        (["--until", "2d"], set()),
    ],
)
def test_filters(dfhost: Commands, words: list[str], expected: set[str]) -> None:
    if not dfhost.http.manage("GET", "instances?instanceIdPrefix=f-").body:
        dfhost.ended("echo", "hello", "f-echo")
        dfhost.ended("raises", None, "f-raises")
        dfhost.waiting("f-waits")
    said = dfhost("list", "--prefix", "f-", "--ids", *words)
    assert set(said.out.split()) - {"There", "are", "none."} == expected
    assert said.code == (0 if expected else 4)


def test_more_than_a_page_and_the_limit(dfhost: Commands) -> None:
    for number in range(52):
        dfhost.http.start("raises", None, f"page-{number}")
    shown = dfhost.done("list", "--prefix", "page-", "--limit", "3")
    assert len(shown.splitlines()) == 5 and "49 more: --all lists them." in shown
    shown = dfhost.done("list", "--prefix", "page-")
    assert len(shown.splitlines()) == 52 and "2 more: --all lists them." in shown
    assert len(dfhost.done("list", "--prefix", "page-", "--ids").split()) == 52, "a script gets all"
    assert len(json.loads(dfhost.done("list", "--prefix", "page-", "--json"))) == 52
    assert len(dfhost.done("list", "--prefix", "page-", "--ids", "--limit", "3").split()) == 3


def test_the_newest_is_first_among_those_of_one_second_too(dfhost: Commands) -> None:
    started = [dfhost.http.start("echo", None, f"newest-{letter}") for letter in "acebdf"]
    assert dfhost.done("list", "--prefix", "newest-", "--ids").split() == started[::-1]
    shown = json.loads(dfhost.done("list", "--prefix", "newest-", "--json"))
    assert [each["instanceId"] for each in shown] == started[::-1]
    assert "exactCreatedTime" not in shown[0]


def test_how_long_each_took_is_exact_and_of_all_generations(dfhost: Commands) -> None:
    dfhost.ended("echo", None, "took-echo")
    dfhost.http.start("renews", 2, "took-renews")
    until(lambda: dfhost.done("explain", "took-renews"), lambda said: "event Approval" in said)
    dfhost.done("raise", "took-renews", "Approval")
    dfhost.http.ended("took-renews")
    head, *rows = dfhost.done("list", "--prefix", "took-").splitlines()
    took = {row.split()[0]: row[head.index("TOOK") : head.index("DETAILS")].strip() for row in rows}
    for id in ("took-echo", "took-renews"):
        shown = re.search(r"^Completed after (.*?), created", dfhost.done("show", id), re.M)
        assert shown and took[id] == shown[1], rows
    for row in json.loads(dfhost.done("list", "--prefix", "took-", "--json")):
        assert "firstCreatedTime" not in row and "exactLastUpdatedTime" not in row


def test_children_are_left_out_where_their_parents_are_listed(dfhost: Commands) -> None:
    parent = dfhost.ended("import_all", ["good"])
    said = dfhost.done("list", "--text", "GOOD")
    assert parent[:8] in said and "child-of-all" not in said
    assert re.search(
        r"^\d+ sub-orchestrations? of these (is|are) left out: --children lists them\.$", said, re.M
    )
    assert "child-of-all" in dfhost.done("list", "--text", "GOOD", "--children")
    assert "child-of-all" in dfhost.done(
        "list", "--name", "import_orders", "--all"
    )  # its parent is not listed
    assert "child-of-all" not in dfhost.done("list", "--ids", "--all")
    assert "child-of-all" in dfhost.done("list", "--ids", "--all", "--children")


def test_of_a_parent_it_says_what_the_child_waits_for(dfhost: Commands) -> None:
    dfhost.http.start("order", "approval of-8", "order-8")
    waits = "approval approval of-8: It waits for event Approval."
    until(lambda: dfhost.done("list", "--prefix", "order-8"), lambda said: waits in said)


def test_children_stand_below_their_parents_whatever_the_filter(dfhost: Commands) -> None:
    dfhost.ended("runs_two", ["tree-a", "tree-b"], "tree-root")
    dfhost.ended("echo", None, "tree-later")
    for words in (["--name", "runs_two"], ["--prefix", "tree-r"], ["--text", "[tree-root"]):
        shown = dfhost.done("list", "--children", *words).splitlines()[1:]
        ids = [line[: len(line) - len(line.lstrip())] + line.split()[0] for line in shown]
        assert ids == ["tree-root", "  tree-a", "    tree-a:below", "  tree-b", "    tree-b:below"], words
    assert dfhost.done("list", "--children", "--prefix", "tree-r", "--ids").split() == [
        each.strip() for each in ids
    ]
    assert "tree-later" not in dfhost.done("list", "--children", "--name", "runs_two")
    limited = dfhost.done("list", "--children", "--name", "runs_two", "--limit", "2")
    assert len(limited.splitlines()) == 4 and "3 more: --all lists them." in limited


@pytest.mark.long
def test_unfinished_instances_of_another_task_hub(
    dfhost: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = write_app(tmp_path, APP)
    (app / "host.json").write_text('{"version": "2.0", "extensions": {"durableTask": {"hubName": "Before"}}}')
    with HostProcess(app, "--in-process") as host:
        host.client.start("approval", None, "waits")
        host.client.until("waits", lambda status: status["customStatus"] is not None)
        host.signal()
        host.line("Stopped. Unfinished instances continue at the next start.")
    (app / "host.json").write_text('{"version": "2.0", "extensions": {"durableTask": {"hubName": "After"}}}')
    before = Path(".dfhost") / "Before.db"
    monkeypatch.chdir(app)
    with HostProcess(app, "--in-process", cwd=app) as host:
        host.line(
            rf"note +The task hub After is new, and {re.escape(str(before))} has 1 unfinished instance\. "
        )
        said = dfhost.plain("list")
        assert (
            said.code == 4 and f"{before} has 1 unfinished instance: `dfhost list --db {before}`" in said.out
        )
    with HostProcess(app, "--in-process", cwd=app) as host:
        assert "The task hub After is new" not in host.text
        host.signal()
        host.line(r"Stopped\.$")
    assert "waits" in dfhost.plain("list", "--db", str(before)).out


def test_a_name_that_no_instance_has(dfhost: Commands) -> None:
    said = dfhost("list", "--name", "import_order")
    assert (said.code, said.out) == (4, "There are none that match. Did you mean 'import_orders'?\n")
    said = dfhost("list", "--entities", "--name", "countr")
    assert (said.code, said.out) == (4, "There are none that match. Did you mean 'counter'?\n")
    assert dfhost("list", "--name", "echo", "--since", "2100-01-01").out == "There are none that match.\n"
    said = dfhost("list", "--limit", "0")
    assert said.code == 2 and "argument --limit: '0' is not a number above 0" in said.err


def test_json_is_what_the_management_api_has(dfhost: Commands) -> None:
    dfhost.ended("echo", "hello", "json-echo")
    (listed,) = dfhost("list", "--prefix", "json-", "--json").json
    assert listed == {**dfhost.http.status("json-echo"), "input": None}


def test_entities(dfhost: Commands) -> None:
    dfhost.done("signal", "@counter@list", "add", "--input", "5")
    dfhost.http.until("@counter@list", lambda status: status["input"] and "5" in str(status["input"]))
    assert re.search(
        r"^@counter@list  .*  5 +The entity is idle\.$",
        dfhost.done("list", "--entities", "--name", "counter"),
        re.M,
    )
    assert dfhost("list", "--entities", "--name", "other").code == 4
    listed = dfhost("list", "--entities", "--json").json
    assert {"name": "counter", "key": "list"} in [each["entityId"] for each in listed]


def test_an_entity_whose_first_operation_hangs_is_listed_with_it(dfhost: Commands, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    dfhost.done("signal", "@counter@hangs", "hang", "--input", json.dumps(str(gate)))
    listed = until(
        lambda: dfhost("list", "--entities", "--name", "Counter"), lambda said: "running since" in said.out
    )
    assert re.search(
        r"^@counter@hangs  +The entity's operation hang has been running since", listed.out, re.M
    )
    rows = dfhost("list", "--entities", "--json").json
    (row,) = [each for each in rows if each["entityId"]["key"] == "hangs"]
    assert row == {"entityId": {"name": "counter", "key": "hangs"}, "lastOperationTime": None, "state": None}
    gate.touch()
    until(lambda: dfhost("list", "--entities"), lambda said: "running since" not in said.out)


def test_a_status_that_does_not_exist_is_a_mistake(dfhost: Commands) -> None:
    said = dfhost("list", "--status", "Failde")
    assert said.code == 2 and "no instance has the status 'Failde'. Did you mean 'Failed'?" in said.err
    assert "There are Running, Completed" in dfhost("list", "--status", "xyz").err
    assert "'soon' is no time" in dfhost("list", "--since", "soon").err
