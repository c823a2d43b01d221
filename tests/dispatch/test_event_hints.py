"""Misspelt event names and data encoded twice are noted on the console; an event that only comes early is not."""

from __future__ import annotations

import pytest

from dfhost.dispatch.event_hints import nearest_event_name
from tests.support.running_host import running_host


@pytest.mark.parametrize(
    ("name", "awaited", "meant"),
    [
        ("Aproval", ["Approval"], "Approval"),
        ("aproval", ["Payment", "Approval"], "Approval"),
        ("approval", ["Payment", "Approval"], "Approval"),
        ("Approval", ["Approval", "Approvals"], None),
        ("Payment", ["Approval"], None),
        ("step2", ["step1"], None),
        ("step10", ["step1", "stop1"], None),
        ("Approval", [], None),
    ],
)
def test_the_name_that_was_meant(name: str, awaited: list[str], meant: str | None) -> None:
    assert nearest_event_name(name, awaited) == meant


async def test_a_misspelt_event_name_is_noted_once_and_the_event_kept() -> None:
    async with running_host() as host:
        instance = await host.start("waits", ["Approval", "Payment"])
        await host.until_waiting(instance, "event")
        for name in ("Payment", "Aproval", "Aproval"):
            await host.send(instance, f"raiseEvent/{name}", name)
        await host.send(instance, "raiseEvent/Approval", "yes")
        assert await host.output(instance) == ["yes", "Payment"]
        notes = [entry[1] for entry in host.log.entries if entry[0] == "note"]
        assert notes == [
            f"The event 'Aproval' has come to waits {instance}, which waits for 'Approval'. Is it misspelt?"
        ]


async def test_data_that_is_json_in_a_string_is_noted_once() -> None:
    async with running_host() as host:
        instance = await host.start("waits", ["plain", "number", "first", "second"])
        await host.until_waiting(instance, "event")
        sent = {"plain": "[yes", "number": 5, "first": '{"by": "Ada"}', "second": '"yes"'}
        for name, data in sent.items():
            await host.send(instance, f"raiseEvent/{name}", data)
        assert await host.output(instance) == list(sent.values())
        notes = [entry[1] for entry in host.log.entries if entry[0] == "note"]
        assert notes == [
            f"The event 'first' has come to waits {instance} as JSON in a string. The SDK's raise_event sends all "
            "data so, on Azure too. The code gets a str; json.loads makes the value of it."
        ]


async def test_a_request_that_the_management_api_refuses_is_logged_with_its_reason() -> None:
    async with running_host() as host:
        instance = await host.start("waits", ["go"])
        await host.until_waiting(instance, "event")
        for _ in range(2):
            status, _ = await host.request("POST", f"instances/{instance}/raiseEvent/go")
            assert status == 400
        assert [entry for entry in host.log.entries if entry[0] == "refused"] == [
            (
                "refused",
                f"POST /runtime/webhooks/durabletask/instances/{instance}/raiseEvent/go",
                400,
                "Invalid JSON content: Error reading JToken from JsonReader. Path '', line 0, position 0.",
            )
        ]
