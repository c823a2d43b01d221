"""Differences from Azure on purpose: calls that would wait for ever or go wrong silently fail with the reason."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.support.azure_functions import unknown_module_error
from tests.support.running_host import running_host

ACTIVITIES = "'echo', 'stop', 'stop_async', 'fail', "


# -- what can never start ------------------------------------------------------------------------------------
async def test_an_unknown_orchestrator() -> None:
    async with running_host() as host:
        output = await host.failure(await host.start("nobody"))
        assert output.startswith(
            "Orchestrator function 'nobody' failed: The function 'nobody' doesn't exist, is disabled, or is not an "
            "orchestrator function. Additional info: The following are the known orchestrator functions: 'fan', "
        )


@pytest.mark.parametrize(
    ("orchestrator", "input", "kind", "names"),
    [
        ("fan", {"activity": "nobody", "inputs": [1]}, "activity", "'echo', 'stop', "),
        ("parent", {"child": "nobody"}, "orchestrator", "'fan', 'steps', "),
        ("calls_entity", {"entity": "nobody", "key": "x", "operation": "get"}, "entity", "'counter'."),
    ],
)
async def test_an_unknown_name_fails_at_once_and_lists_those_there_are(
    orchestrator: str, input: Any, kind: str, names: str
) -> None:
    async with running_host() as host:
        output = await host.failure(await host.start(orchestrator, input))
        assert output.startswith(
            f"Orchestrator function '{orchestrator}' failed: The function 'nobody' doesn't exist, is disabled, or is "
            f"not an {kind} function. Additional info: The following are the known {kind} functions: {names}"
        )
        assert output.endswith("'.")


async def test_names_are_compared_without_case() -> None:
    async with running_host() as host:
        assert await host.run("FAN", {"activity": "ECHO", "inputs": [1]}) == [1]


@pytest.mark.parametrize(
    ("settings", "version", "runs"),
    [
        ({}, "1.0", False),
        ({}, None, True),
        ({"default_version": "1.10"}, "1.9", True),
        ({"default_version": "1.10"}, "1.11", False),
        ({"default_version": "1.10", "version_match": "Strict"}, "1.9", False),
        ({"default_version": "1.10", "version_match": "Strict"}, "1.10", True),
        ({"version_match": "None"}, "7", True),
    ],
)
@pytest.mark.parametrize("by", ["client", "parent"])
async def test_a_version_that_never_matches(
    settings: dict[str, Any], version: str | None, runs: bool, by: str
) -> None:
    async with running_host(**settings) as host:
        if by == "client":
            instance = await host.start("waits", [], **({"version": version} if version else {}))
        else:
            instance = await host.start("parent", {"child": "waits", "input": [], "version": version})
        if runs:
            assert await host.output(instance) == []
            return
        output = await host.failure(instance)
        assert f"was started with version '{version}', but host.json has " in output
        assert "defaultVersion" in output
        assert "on Azure the instance would wait for ever" in output


async def test_a_version_that_does_not_match_fails_where_host_json_says_so() -> None:
    mismatch = "VersionMismatch: Orchestration version did not comply with Worker Versioning"
    async with running_host(default_version="1.0", version_failure="Fail") as host:
        assert await host.failure(await host.start("waits", [], version="2.0")) == mismatch
        child = {"child": "waits", "input": [], "version": "2.0", "id": "child"}
        assert mismatch in await host.output(await host.start("parent", child)), "its parent goes on"
        assert await host.failure("child") == mismatch


async def test_a_status_names_the_version_and_the_parent() -> None:
    async with running_host(default_version="1.10") as host:
        older = await host.status(await host.start("waits", [], version="1.9"))
        assert older["version"] == "1.9" and "parentInstanceId" not in older
        parent = await host.start("parent", {"child": "waits", "input": [], "id": "child"})
        assert await host.output(parent) == []
        child = await host.status("child")
        assert (child["version"], child["parentInstanceId"]) == ("1.10", parent)
        listed = (await host.request("GET", "instances"))[1]
        assert {each["version"] for each in listed} == {"1.9", "1.10"}
    async with running_host() as host:
        assert "version" not in await host.status(await host.start("waits", []))


@pytest.mark.parametrize("new_id", ["true", "false"])
async def test_a_restarted_instance_keeps_the_id_that_it_was_restarted_from(new_id: str) -> None:
    async with running_host() as host:
        source = await host.start("waits", [], "first")
        await host.output(source)
        path = f"instances/{source}/restart"
        status, links = await host.request("POST", path, restartWithNewInstanceId=new_id)
        assert status == 202
        await host.output(links["id"])
        events = [json.loads(text) for text in host.host.hub.history(links["id"])]
        tags = [event["Tags"] for event in events if event["EventType"] == 0]
        assert tags == [{"sourceInstanceId": source}]


@pytest.mark.parametrize("wanted", ["@counter@x", "the-parent", "THE-PARENT"])
async def test_a_childs_id_that_can_never_start(wanted: str) -> None:
    async with running_host() as host:
        await host.start("parent", {"child": "waits", "input": [], "id": wanted}, "the-parent")
        output = await host.failure("the-parent")
        assert f"asks for the instance id '{wanted}', which can never start" in output


@pytest.mark.parametrize(
    ("orchestrator", "input"),
    [
        ("parent", {"child": "waits", "input": [], "id": "half \ud800"}),
        ("calls_entity", {"entity": "counter", "key": "half \ud800", "operation": "get"}),
    ],
)
async def test_an_id_that_cannot_be_stored(orchestrator: str, input: Any) -> None:
    async with running_host() as host:
        output = await host.failure(await host.start(orchestrator, input))
        assert output.endswith("half ?' has half of a surrogate pair in it.")
        assert await host.run("waits", []) == [], "the others go on"


async def test_whatever_text_there_is_passes_through_everything() -> None:
    async with running_host() as host:
        text = 'half \ud800, nul \0, line \u2028, emoji \U0001f600, quote " and \\'
        # UTF-8 has no half of a surrogate pair, so a status shows U+FFFD for it, as .NET does.
        assert await host.run("fan", {"activity": "echo", "inputs": [text]}) == [
            text.replace("\ud800", "\ufffd")
        ]
        instance = await host.start("waits", ["go"])
        whole = text.replace("half \ud800, ", "")
        await host.send(instance, "raiseEvent/go", {whole: whole})
        assert await host.output(instance) == [{whole: whole}]
        said = await host.run("steps", [["fail", text]])
        assert "half ?, nul \0" in said[0]


# -- values that would be mixed up ---------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("orchestrator", "first", "second"),
    [
        (
            "mixes_retries",
            r"the retry (timer|attempt) of call_activity_with_retry\('fail', \"retried\"\)",  # whichever is first
            r"call_activity\('echo', \"next\"\)",
        ),
        ("mixes_compounds", r"call_activity\('echo', \"a\"\)", r"call_activity\('echo', \"b\"\)"),
    ],
)
async def test_a_task_id_conflict_fails_names_both_tasks_and_says_what_to_write(
    orchestrator: str, first: str, second: str
) -> None:
    async with running_host() as host:
        output = await host.failure(await host.start(orchestrator))
        sentence = f"is {first} for the Durable Task extension, but {second} for the Python SDK."
        assert re.search(sentence, output), output
        assert "Settle every task of a failed task_all (try: yield task, for each)" in output


async def test_a_task_that_is_passed_twice_fails_and_is_named() -> None:
    async with running_host() as host:
        output = await host.failure(await host.start("mixes_twice"))
        assert ": call_activity('echo', \"once\") is listed more than once: twice in a task_all" in output


async def test_the_pattern_it_recommends_works() -> None:
    async with running_host() as host:
        assert await host.run("settles") == "next"


# -- code that changed ---------------------------------------------------------------------------------------
async def test_changed_code_fails_and_the_history_can_still_be_read(gates: Any) -> None:
    async with running_host() as host:
        instance = await host.start("changes")
        await host.until_waiting(instance, "event")
        gates.open("changed")
        await host.send(instance, "raiseEvent/go", 1)
        output = await host.failure(instance)
        assert output == (
            "Non-Deterministic workflow detected: A previous execution of this orchestration scheduled an activity "
            "task with sequence number 0 named 'echo', but the current orchestration replay instead scheduled an "
            "activity task named 'fail' with this sequence number.  Was a change made to the orchestrator code after "
            "this instance had already started running?"
        )
        kinds = [event["EventType"] for event in await host.history(instance)]
        assert kinds[0] == "ExecutionStarted" and kinds[-1] == "ExecutionCompleted"


# -- the true cause ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("orchestrator", "cause"),
    [
        ("boasts", "The UTF-16 size of the JSON-serialized payload must not exceed 16 KB."),
        ("quotes", "before\nStack: in the message itself"),
        ("rebuilds", unknown_module_error("nowhere")),
    ],
)
async def test_a_failure_is_described_by_its_cause(orchestrator: str, cause: str) -> None:
    async with running_host() as host:
        output = await host.failure(await host.start(orchestrator))
        assert output.startswith(f"Orchestrator function '{orchestrator}' failed: ")
        assert cause in output
        assert "Non-Deterministic" not in output


async def test_an_answer_that_cannot_be_serialised_fails_that_operation_alone() -> None:
    async with running_host() as host:
        asked = {"entity": "counter", "key": "x"}
        assert await host.run("calls_entity", {**asked, "operation": "add", "input": 5}) == 5
        said = await host.run("calls_entity", {**asked, "operation": "unspeakable"})
        assert said.startswith("failed: ") and "object" in said
        assert await host.run("calls_entity", {**asked, "operation": "add", "input": 1}) == 6


# -- timers --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("seconds", [0.0, 0.013, 0.05])
async def test_a_timer_is_never_early_and_says_when_it_fired(seconds: float) -> None:
    async with running_host() as host:
        instance = await host.start("sleeps", seconds)
        assert await host.output(instance) == "woke"
        history = await host.history(instance)
        fired = next(event for event in history if event["EventType"] == "TimerFired")
        assert fired["Timestamp"] >= fired["FireAt"]


async def test_a_timer_in_the_past_fires_at_once() -> None:
    async with running_host() as host:
        assert await host.run("sleeps", -3600) == "woke"
