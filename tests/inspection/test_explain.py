"""`?explain=true`: for every kind of wait, what the instance waits for, since when, and a sentence for people."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dfhost.cli import main
from dfhost.timestamps import parse_timestamp
from tests.support.apps import write_app
from tests.support.running_host import RunningHost, running_host
from tests.support.waiting import eventually

SECOND = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"  # without its end
TIME = rf"{SECOND}\.\d+Z"


async def explained(
    host: RunningHost,
    instance_id: str,
    test: Callable[[dict[str, Any]], object] = lambda shown: shown["waitsFor"],
) -> dict[str, Any]:
    """The explanation, once it satisfies `test`: by default once it waits for something."""
    shown: dict[str, Any] = await eventually(
        lambda: host.explain(instance_id), lambda shown: bool(test(shown))
    )
    assert shown["instanceId"] == instance_id
    for entry in (*shown["waitsFor"], *shown["unclaimed"]):
        assert re.fullmatch(TIME, entry["since"]), entry
    return shown


def only(shown: dict[str, Any], *keys: str) -> Any:
    """These values of the only entry in `waitsFor`."""
    (entry,) = shown["waitsFor"]
    return [entry[key] for key in keys] if len(keys) > 1 else entry[keys[0]]


# -- each kind of wait ---------------------------------------------------------------------------------------
async def test_an_activity_that_runs(gates: ModuleType) -> None:
    async with running_host() as host:
        instance = await host.start("fan", {"activity": "stop", "inputs": ["work"]})
        await gates.arrivals("work")
        shown = await explained(host, instance)
        assert only(shown, "kind", "name", "state", "input", "awaited") == [
            "activity",
            "stop",
            "running",
            '"work"',
            True,
        ]
        assert shown["sentence"] == "It waits for activity stop (running)."


async def test_activities_that_wait_for_a_free_place(gates: ModuleType) -> None:
    async with running_host(max_activities=1) as host:
        instance = await host.start("fan", {"activity": "stop", "inputs": ["work"] * 3})
        await gates.arrivals("work")
        shown = await explained(host, instance)
        assert [entry["state"] for entry in shown["waitsFor"]] == ["running", "queued", "queued"]
        assert shown["sentence"] == (
            "It waits for 3 activities stop (1 running, 2 queued). "
            "1 activity runs, as many as may at once (maxConcurrentActivityFunctions in host.json)."
        )


async def test_an_event_since_the_episode_that_asked_for_it() -> None:
    async with running_host() as host:
        instance = await host.start("waits", ["Approval", "Payment"])
        asked_first = await explained(host, instance)
        assert only(asked_first, "kind", "name", "state") == ["event", "Approval", "waiting"]
        assert asked_first["sentence"] == "It waits for event Approval."
        await host.send(instance, "raiseEvent/Approval", 1)
        shown = await explained(host, instance, lambda shown: shown["waitsFor"][0]["name"] == "Payment")
        assert only(shown, "since") > only(asked_first, "since")
        assert only(shown, "since")[:19] == (await host.status(instance))["lastUpdatedTime"][:19]
        await host.send(instance, "raiseEvent/Other", 1)  # a later episode does not change it
        again = await explained(host, instance, lambda shown: shown["unclaimed"])
        assert only(again, "since") == only(shown, "since")


async def test_a_timer() -> None:
    async with running_host() as host:
        instance = await host.start("sleeps", 3600)
        shown = await explained(host, instance)
        kind, state, since, due = only(shown, "kind", "state", "since", "due")
        assert (kind, state) == ("timer", "waiting")
        assert abs(parse_timestamp(due) - parse_timestamp(since) - timedelta(hours=1)) < timedelta(seconds=30)
        assert shown["sentence"] == f"It waits for a timer due in 1 h ({due[:19]}Z)."


async def test_a_retry_pause_and_its_attempt() -> None:
    async with running_host() as host:
        asked = {"milliseconds": 3_600_000, "attempts": 4, "text": "no"}
        instance = await host.start("retries", asked)
        shown = await explained(
            host, instance, lambda shown: [e for e in shown["waitsFor"] if e["state"] == "retrying"]
        )
        assert only(shown, "kind", "name", "attempt", "maxAttempts") == ["activity", "fail", 1, 4]
        assert only(shown, "since") == only(shown, "attempts")[0]["endedTime"]
        due = only(shown, "due")[:19]
        assert shown["sentence"] == (
            f"It waits for another attempt of fail in 1 h ({due}Z). fail failed in attempt 1 of 4: ValueError: no."
        )


async def test_a_sub_orchestration() -> None:
    async with running_host() as host:
        instance = await host.start("parent", {"child": "waits", "id": "child", "input": ["go"]})
        shown = await explained(
            host,
            instance,
            lambda shown: [
                each
                for each in shown["waitsFor"]
                if each["childStatus"] == "Running" and each["explanation"]["waitsFor"]
            ],
        )
        assert only(shown, "kind", "name", "instanceId") == ["subOrchestration", "waits", "child"]
        assert shown["sentence"] == "It waits for sub-orchestration waits child (Running)."
        assert only(shown, "explanation") == await host.explain("child")
        assert only(shown, "explanation")["sentence"] == "It waits for event go."


async def test_what_a_child_of_a_child_waits_for() -> None:
    async with running_host() as host:
        asked = {"child": "waits", "id": "leaf", "input": ["go"]}
        instance = await host.start("parent", {"child": "parent", "id": "middle", "input": asked})

        def goes_down(shown: dict[str, Any]) -> object:
            for _ in range(2):
                if not shown["waitsFor"] or shown["waitsFor"][0]["childStatus"] != "Running":
                    return False
                shown = shown["waitsFor"][0]["explanation"]
            return shown["waitsFor"]

        shown = await explained(host, instance, goes_down)
        assert shown["sentence"] == "It waits for sub-orchestration parent middle (Running)."
        middle = only(shown, "explanation")
        assert middle["sentence"] == "It waits for sub-orchestration waits leaf (Running)."
        assert only(middle, "explanation")["sentence"] == "It waits for event go."


async def test_an_entity_and_its_queued_operations(gates: ModuleType) -> None:
    async with running_host() as host:
        asked = {"entity": "counter", "key": "x", "operation": "stop", "input": "gate"}
        instance = await host.start("calls_entity", asked)
        await gates.arrivals("gate")
        shown = await explained(host, instance)
        assert only(shown, "kind", "name", "instanceId", "awaited") == [
            "entityCall",
            "stop",
            "@counter@x",
            True,
        ]
        assert shown["sentence"] == "It waits for the answer to stop of @counter@x."
        assert only(shown, "explanation")["sentence"].startswith(
            "The entity's operation stop has been running"
        )

        await host.signal("counter", "x", "add", 1)
        entity = await explained(host, "@counter@x", lambda shown: len(shown["waitsFor"]) == 2)
        shown_of = [(e["label"], e["state"], e.get("instanceId")) for e in entity["waitsFor"]]
        assert shown_of == [('stop "gate"', "running", instance), ("add 1", "queued", None)]
        assert re.fullmatch(
            rf"The entity's operation stop has been running since {SECOND}Z, 1 more waits behind it\.",
            entity["sentence"],
        )
        gates.open("gate")
        await host.output(instance)
        rest = await explained(host, "@counter@x", lambda shown: not shown["waitsFor"])
        assert rest["sentence"] == "The entity is idle."


async def test_an_http_call() -> None:
    asked = asyncio.Event()

    async def answers_when_asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asked.wait()
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answers_when_asked, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with running_host() as host, server:
        instance = await host.start("calls_http", f"http://127.0.0.1:{port}/slow")
        shown = await explained(host, instance, lambda shown: "running" in shown["sentence"])
        assert only(shown, "kind", "name") == ["httpCall", f"GET http://127.0.0.1:{port}/slow"]
        assert shown["sentence"] == f"It waits for HTTP call GET http://127.0.0.1:{port}/slow (running)."
        assert f"127.0.0.1:{port}/slow" in only(shown, "input")
        asked.set()
        assert (await host.output(instance))["statusCode"] == 204


async def test_a_task_is_the_same_in_the_timeline_and_in_the_explanation(gates: ModuleType) -> None:
    async with running_host() as host:
        instance = await host.start("window_and_event")
        shown = await explained(host, instance, lambda shown: shown["heldBack"])
        timeline = await host.status(instance, timeline="true")
        open_tasks = [task for task in timeline["tasks"] if task["state"] in ("running", "queued")]
        assert open_tasks
        assert [task | {"since": task["startedTime"]} for task in open_tasks] == shown["waitsFor"]


# -- several at once -----------------------------------------------------------------------------------------
async def test_whichever_task_ends_first(gates: ModuleType) -> None:
    async with running_host() as host:
        instance = await host.start("one_of", "work")
        await gates.arrivals("work")
        shown = await explained(host, instance)
        assert shown["sentence"] == "It waits for event go or activity stop (running)."


async def test_open_tasks_that_are_not_awaited_are_listed_and_cancelled_timers_are_not() -> None:
    async with running_host() as host:
        instance = await host.start("sleeps_or_hears")
        shown = await explained(host, instance, lambda shown: len(shown["waitsFor"]) == 2)
        due = next(entry["due"] for entry in shown["waitsFor"] if entry["kind"] == "timer")
        assert shown["sentence"] == f"It waits for event go or a timer due in 1 h ({due[:19]}Z)."
        await host.send(instance, "raiseEvent/go", 1)
        shown = await explained(host, instance, lambda shown: shown["waitsFor"][0]["kind"] == "event")
        assert shown["sentence"] == "It waits for event end."


async def test_code_that_has_returned_with_tasks_left_open() -> None:
    async with running_host() as host:
        instance = await host.start("leaves_open")
        shown = await explained(host, instance, lambda shown: "has ended" in shown["sentence"])
        due = only(shown, "due")[:19]
        assert shown["sentence"] == (
            f"Its code has ended; these are still open and must end first: a timer due in 1 h ({due}Z)."
        )
        assert only(shown, "awaited") is True


async def test_held_back_actions_and_what_holds_them_back(gates: ModuleType) -> None:
    async with running_host() as host:
        instance = await host.start("window_and_event")
        shown = await explained(host, instance, lambda shown: shown["heldBack"])
        assert shown["heldBack"] == [
            {
                "action": "wait_for_external_event('go')",
                "behind": "task_all(2 tasks)",
                "why": "1 of its 2 tasks have ended",
            }
        ]
        assert shown["sentence"] == (
            "It waits for 2 activities stop (2 running). wait_for_external_event('go') is held back behind "
            "task_all(2 tasks), here as on Azure: 1 of its 2 tasks have ended."
        )


async def test_an_event_that_nothing_waits_for() -> None:
    async with running_host() as host:
        instance = await host.start("waits", ["Approval"])
        await host.send(instance, "raiseEvent/Aproval", 1)
        shown = await explained(host, instance, lambda shown: shown["unclaimed"])
        assert [entry["name"] for entry in shown["unclaimed"]] == ["Aproval"]
        assert shown["sentence"] == (
            "It waits for event Approval. It has received event Aproval, which nothing waits for yet."
        )


async def test_an_event_whose_name_differs_in_case() -> None:
    async with running_host() as host:
        instance = await host.start("waits", ["Approval"])
        await host.until_waiting(instance, "event")
        since = only(await host.explain(instance), "since")
        await host.send(instance, "raiseEvent/approval", 1)
        shown = await explained(host, instance, lambda shown: shown["unclaimed"] and shown["waitsFor"])
        assert shown["sentence"] == (
            "It waits for event Approval. It has received event approval, which nothing waits for yet."
        )
        assert only(shown, "since") == since
        assert await host.log.entry("note") == (
            "note",
            f"The event 'approval' has come to waits {instance}, which waits for 'Approval'. "
            "Event names are case-sensitive in the SDK.",
        )


async def test_an_event_whose_name_differs_in_case_and_that_came_before_the_wait() -> None:
    async with running_host() as host:
        instance = await host.start("waits", ["Approval", "Payment"])
        await host.until_waiting(instance, "event")
        await host.send(instance, "raiseEvent/payment", 1)
        await host.send(instance, "raiseEvent/Approval", 1)
        shown = await explained(host, instance, lambda shown: shown["waitsFor"][0]["name"] == "Payment")
        (payment,) = shown["unclaimed"]
        assert payment["name"] == "payment"
        assert only(shown, "since") > payment["since"]


# -- states --------------------------------------------------------------------------------------------------
async def test_a_suspended_instance() -> None:
    async with running_host() as host:
        instance = await host.start("waits", ["go"])
        await host.send(instance, "suspend", reason="lunch")
        shown = await explained(host, instance, lambda shown: shown["runtimeStatus"] == "Suspended")
        assert re.fullmatch(
            rf"It is suspended since {SECOND}Z \(lunch\): resume it\. Open: event go\.", shown["sentence"]
        )


async def test_a_suspended_instance_whose_event_has_come() -> None:
    async with running_host() as host:
        instance = await host.start("sleeps_or_hears")
        await host.log.entry("waiting")
        await host.send(instance, "suspend")
        await explained(host, instance, lambda shown: shown["runtimeStatus"] == "Suspended")
        await host.send(instance, "raiseEvent/go", 1)
        await host.fence()
        shown = await host.explain(instance)
        assert re.fullmatch(
            rf"It is suspended since {SECOND}Z: resume it\. Event go has come and counts from then on\. "
            r"Open: event end and a timer due in 1 h \(.*\)\.",
            shown["sentence"],
        ), shown["sentence"]
        assert sorted(wait["kind"] for wait in shown["waitsFor"]) == ["event", "timer"]
        tasks = (await host.status(instance, timeline="true"))["tasks"]
        assert [(task["label"], task["state"]) for task in tasks if task["kind"] in ("timer", "event")] == [
            ("timer", "waiting"),
            ("go", "completed"),
            ("end", "waiting"),
        ]
        await host.send(instance, "resume")
        shown = await explained(host, instance, lambda shown: shown["runtimeStatus"] == "Running")
        assert [(wait["kind"], wait["name"]) for wait in shown["waitsFor"]] == [("event", "end")]
        tasks = (await host.status(instance, timeline="true"))["tasks"]
        assert [task["state"] for task in tasks if task["kind"] == "timer"] == ["cancelled"]


async def test_the_code_of_a_suspended_instance_goes_on(gates: ModuleType, tmp_path: Path) -> None:
    code = """
        @app.orchestration_trigger(context_name="context")
        def ships(context):
            both = [context.wait_for_external_event(name) for name in ("packed", "paid")]
            yield context.task_all(both)
            context.set_custom_status("shipping")
            yield context.call_activity("ship", "box")
            yield context.wait_for_external_event("arrived")
            return "done"

        @app.activity_trigger(input_name="what")
        def ship(what: str) -> str:
            return what
    """
    async with running_host(write_app(tmp_path, code)) as host:
        instance = await host.start("ships")
        await host.until_waiting(instance, "event")
        await host.send(instance, "suspend")
        await host.until(instance, lambda status: status["runtimeStatus"] == "Suspended")
        await host.send(instance, "raiseEvent/packed", 1)
        await host.send(instance, "raiseEvent/paid", 1)
        await host.until_custom_status(instance, "shipping")
        shown = await host.explain(instance)
        assert shown["heldBack"] == [], "both of the tasks before it have ended"
        assert re.fullmatch(
            rf"It is suspended since {SECOND}Z: resume it\. Events packed, paid have come and count from then on\. "
            r"Its code has gone on: call_activity\('ship', \"box\"\) will start then\.",
            shown["sentence"],
        ), shown["sentence"]
        await host.send(instance, "resume")
        await host.until_explained(instance, lambda shown: "event arrived" in shown["sentence"])
        await host.send(instance, "suspend")
        await host.until(instance, lambda status: status["runtimeStatus"] == "Suspended")
        await host.send(instance, "raiseEvent/arrived", 1)
        shown = await host.until_explained(instance, lambda shown: "ended" in shown["sentence"])
        assert "Its code has gone on and ended; the instance does not before then." in shown["sentence"]
        await host.send(instance, "resume")
        assert await host.output(instance) == "done"


async def test_an_ended_instance() -> None:
    async with running_host() as host:
        done = await host.start("waits", [])
        await host.output(done)
        shown = await host.explain(done)
        assert shown["waitsFor"] == []
        assert re.fullmatch(rf"It ended at {SECOND}Z\.", shown["sentence"])
        failed = await host.start("leaves", {"how": "stop", "after": False})
        await host.failure(failed)
        shown = await host.explain(failed)
        assert re.fullmatch(
            rf"It ended at {SECOND}Z: RuntimeError: generator raised StopIteration", shown["sentence"]
        )
        assert (await host.request("GET", "instances/nobody", explain="true"))[0] == 404


async def test_code_that_runs_and_code_that_waits_for_a_free_place(gates: ModuleType) -> None:
    async with running_host(max_orchestrators=1) as host:
        first = await host.start("pauses")
        await gates.arrivals("episode")
        second = await host.start("pauses")
        shown = await host.explain(first)
        assert re.fullmatch(
            rf"Its code has been running since {SECOND}Z: until it yields or returns, nothing else happens to it\.",
            shown["sentence"],
        )
        shown = await host.explain(second)
        assert shown["runtimeStatus"] == "Pending"
        assert shown["sentence"] == (
            "Its next episode is queued: as many episodes as may run at once are running."
        )


@pytest.mark.long
async def test_a_loop_of_continue_as_new_without_a_wait(tmp_path: Path) -> None:
    app = write_app(
        tmp_path,
        """
        @app.orchestration_trigger(context_name="context")
        def renews(context):
            context.continue_as_new(context.get_input() + 1)
        """,
    )
    async with running_host(app) as host:
        instance = await host.start("renews", 0)
        await host.until(instance, lambda status: int(status["input"]) > 50)
        for _ in range(20):  # whether an episode runs at that moment, is queued or has been committed
            shown = await host.explain(instance)
            assert re.match(
                r"It is a loop without a wait: continue_as_new has begun [\d,]+ generations in a row, and none",
                shown["sentence"],
            ), shown
        _, note = await host.log.entry("note")
        assert re.match(
            rf"renews {instance} is a loop without a wait: continue_as_new has begun 1,000 ", note
        )
        await host.send(instance, "terminate")


async def test_events_that_have_arrived_while_others_are_awaited_with_them() -> None:
    async with running_host() as host:
        instance = await host.start("waits_for_both")
        shown = await explained(host, instance)
        assert shown["sentence"] == "It waits for event left and event right."
        await host.send(instance, "raiseEvent/left", 1)
        shown = await explained(host, instance, lambda shown: len(shown["waitsFor"]) == 1)
        assert shown["sentence"] == "It waits for event right."
        await host.send(instance, "raiseEvent/right", 2)
        assert await host.output(instance) == [1, 2]


# -- what is not in memory -----------------------------------------------------------------------------------
@pytest.mark.parametrize("evicted", [False, True])
async def test_after_a_restart_and_after_eviction_the_explanation_is_the_same(
    gates: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evicted: bool
) -> None:
    file = tmp_path / "hub.db"
    async with running_host(database=file) as host:
        ids = [
            await host.start("waits", ["Approval"]),
            await host.start("sleeps", 3600),
            await host.start("sleeps_or_hears"),
            await host.start("retries", {"milliseconds": 3_600_000, "attempts": 4, "text": "no"}),
            await host.start("parent", {"child": "waits", "id": "child", "input": ["go"]}),
        ]
        await host.send(ids[0], "raiseEvent/Aproval", 1)
        await host.send(ids[2], "raiseEvent/go", 1)
        states = [
            lambda shown: shown["unclaimed"],
            lambda shown: shown["waitsFor"],
            lambda shown: shown["sentence"].endswith("event end."),
            lambda shown: [entry for entry in shown["waitsFor"] if entry["state"] == "retrying"],
            lambda shown: shown["waitsFor"] and shown["waitsFor"][0]["childStatus"] == "Running",
        ]
        before = [await explained(host, each, test) for each, test in zip(ids, states, strict=True)]
        if evicted:
            monkeypatch.setattr("dfhost.dispatch.instance_cache.KEPT_SHORT", 0)
            for each in ids:
                await host.run("waits", [])
                assert await host.explain(each) == before[ids.index(each)]
            return
    async with running_host(database=file) as host:
        assert [await host.explain(each) for each in ids] == before
        await host.send(ids[0], "raiseEvent/Approval", "yes")
        assert await host.output(ids[0]) == ["yes"]


async def test_explaining_replays_the_code_with_is_replaying_set(gates: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    async with running_host(database=file) as host:
        instance = await host.start("remarks")
        await explained(host, instance)
        assert gates.arrived("remark") == [False]
    async with running_host(database=file) as host:
        await explained(host, instance)
        assert gates.arrived("remark") == [False, True], "replayed once, and shown so"
        await host.explain(instance)
        assert len(gates.arrived("remark")) == 2


async def test_an_orchestrator_that_no_longer_exists(tmp_path: Path) -> None:
    file = tmp_path / "hub.db"
    async with running_host(database=file) as host:
        instance = await host.start("sleeps", 3600)
        before = await explained(host, instance)
    other = write_app(tmp_path / "app", "")
    async with running_host(other, database=file) as host:
        assert (await host.explain(instance))["waitsFor"] == before["waitsFor"]


@pytest.mark.parametrize("is_looked_at", [True, False])
async def test_looking_at_an_instance_whose_code_has_changed_holds_nothing_up(
    tmp_path: Path, is_looked_at: bool
) -> None:
    """The new code starts something before it waits: the next message must find that out by a replay."""
    file, app = tmp_path / "hub.db", tmp_path / "app"
    before = """
        @app.orchestration_trigger(context_name="context")
        def pays(context):
            return (yield context.wait_for_external_event("Paid"))

        @app.activity_trigger(input_name="to")
        def mail(to: str) -> str:
            return f"mailed {to}"
    """
    after = before.replace(
        "return (yield", 'yield context.call_activity("mail", "boss")\n            return (yield'
    )
    async with running_host(write_app(app, before), database=file) as host:
        instance = await host.start("pays")
        await host.until_waiting(instance, "event")
    async with running_host(write_app(tmp_path / "changed", after), database=file) as host:
        if is_looked_at:
            assert (await host.explain(instance))["sentence"] == (
                "Its code has changed since its last episode. The next one starts call_activity('mail', \"boss\"); "
                "it runs as soon as an event or a result comes."
            )
        await host.send(instance, "raiseEvent/Paid", 1)
        assert await host.output(instance) == 1
        kinds = [event["EventType"] for event in await host.history(instance)]
        assert kinds == ["ExecutionStarted", "EventRaised", "TaskCompleted", "ExecutionCompleted"]


CHOOSES = """
    from uuid import uuid4

    chosen = []

    @app.orchestration_trigger(context_name="context")
    def chooses(context):
        chosen.append(uuid4())
        yield context.call_activity("first" if len(chosen) == 1 else "second", 1)
        yield context.call_activity("first", 1)

    @app.activity_trigger(input_name="x")
    def first(x):
        return x

    @app.activity_trigger(input_name="x")
    def second(x):
        return x
"""


async def test_what_is_not_deterministic_in_the_code_is_named_as_the_cause(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running_host(write_app(tmp_path, CHOOSES)) as host:
        instance = await host.start("chooses")
        output = await host.failure(instance)
        assert output.startswith("Non-Deterministic workflow detected: ")
        cause = (
            "Its history has activity 'first' (sequence number 0); the code now asks for activity 'second' in its "
            "place.\nIts code is not deterministic.\n"
            "chooses (function_app.py, line 13): uuid4() differs at each replay, which can fail the "
            "orchestration. Write context.new_uuid()."
        )
        shown = await host.explain(instance)
        in_a_line = cause.replace("\n", " ")
        assert shown["cause"] == cause and shown["sentence"].endswith(f": {in_a_line}")
        entry = await host.log.entry("failed", "chooses")
        assert entry[3] == f"{cause}\nIts output is: {output}"
        for command in ("show", "explain", "list"):
            arguments = [] if command == "list" else [instance]
            assert await asyncio.to_thread(main, [command, *arguments, "--url", host.host.url]) == 0
            out = capsys.readouterr().out
            if command == "list":
                assert in_a_line[:199] in out  # a cell of the table is cut
            else:  # each of its sentences has a line
                assert re.search(r"\n *".join(map(re.escape, cause.splitlines())), out), command


async def test_calls_that_differ_in_several_lines_have_one_sentence(tmp_path: Path) -> None:
    thrice = CHOOSES.replace(
        "chosen.append(uuid4())", "uuid4()\n        chosen.append(uuid4())\n        uuid4()"
    )
    async with running_host(write_app(tmp_path, thrice)) as host:
        instance = await host.start("chooses")
        await host.failure(instance)
        cause = (await host.explain(instance))["cause"]
        assert cause.endswith(
            " in its place.\nIts code is not deterministic.\nchooses (function_app.py, lines 13, 14 and 15): uuid4() "
            "differs at each replay, which can fail the orchestration. Write context.new_uuid()."
        )
