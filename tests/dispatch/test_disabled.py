"""Functions that a setting disables: what calls them can catch the failure, as on the real host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.apps import write_app
from tests.support.running_host import running_host

APP = """
    @app.orchestration_trigger(context_name="context")
    def calls(context):
        what = context.get_input()
        try:
            if what == "activity":
                yield context.call_activity("off_activity", None)
            elif what == "child":
                yield context.call_sub_orchestrator("off_child", None)
            else:
                yield context.call_entity(df.EntityId("off_entity", "k"), "op")
        except Exception as error:
            return str(error)

    @app.activity_trigger(input_name="x")
    def off_activity(x): return "ran"

    @app.orchestration_trigger(context_name="context")
    def off_child(context): return "ran"

    @app.entity_trigger(context_name="context")
    def off_entity(context): context.set_result("ran")
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("off_activity", "off_child", "off_entity"):
        monkeypatch.setenv(f"AzureWebJobs.{name}.Disabled", "true")
    return write_app(tmp_path, APP)


async def test_a_disabled_activity_fails_its_call(app: Path) -> None:
    async with running_host(app) as host:
        caught = await host.run("calls", "activity")
        reason, _, details = caught.partition(" \n ")
        assert (
            reason == "Activity function 'off_activity' failed: Activity function 'off_activity' is disabled."
        )
        assert json.loads(details)["$type"].startswith(
            "Microsoft.Azure.WebJobs.Extensions.DurableTask.FunctionFailedException"
        )
        assert ("failed", "off_activity", "activity", reason, "") in host.log.entries


async def test_a_disabled_child_or_entity_fails_its_call(app: Path) -> None:
    async with running_host(app) as host:
        caught = await host.run("calls", "child")
        assert caught.startswith(
            "Orchestrator function 'off_child' failed: The function 'off_child' doesn't exist, is disabled, or is "
            "not an orchestrator function. Additional info: The following are the known orchestrator functions: "
            "'calls', 'off_child'."
        )
        caught = await host.run("calls", "entity")
        assert "The function 'off_entity' doesn't exist, is disabled, or is not an entity function." in caught


async def test_a_signal_to_a_disabled_entity_is_accepted(app: Path) -> None:
    async with running_host(app) as host:
        await host.signal("off_entity", "k", "op", 1)
        await host.log.entry("failed", "off_entity")
