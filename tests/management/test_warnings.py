"""What Azure does silently and costs an hour: the management API names it on the console, once."""

from __future__ import annotations

import pytest

from tests.support.apps import APPS
from tests.support.running_host import running_host

FORM = "application/x-www-form-urlencoded"


async def test_a_start_sent_as_a_form_loses_its_input_and_says_so_once() -> None:
    async with running_host() as host:
        for instance_id in ("a", "b"):
            body = b'{"milliseconds": 1}'
            assert await host.send_as(FORM, "POST", f"orchestrators/sleeps/{instance_id}", body) == 202
            assert await host.failure(instance_id) == (
                "Orchestrator function 'sleeps' failed: One or more errors occurred. (Exception while executing "
                "function: Functions.sleeps)"
            )
            assert (await host.status(instance_id))["input"] == ""
        assert [note for note in host.log.notes if FORM in note] == [
            "The input of sleeps was sent as application/x-www-form-urlencoded, which is what curl -d does. On Azure "
            "the body of such a start is lost, and the orchestration fails; so it does here. Add -H 'Content-Type: "
            "application/json'."
        ]


SINCE = {"createdTimeFrom": "2001-01-01"}


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        (
            {"runtimeStatus": "failed"},
            "A list of instances: runtimeStatus has 'failed', which is none of Running, Completed, ContinuedAsNew, "
            "Failed, Canceled, Terminated, Pending, Suspended (case counts). Azure ignores that, and so does "
            "dfhost, so this list is of instances in every state.",
        ),
        (
            {"runtimeStatus": "Nonsense,Completed"},
            "A list of instances: runtimeStatus has 'Nonsense', which is none of Running, Completed, ContinuedAsNew, "
            "Failed, Canceled, Terminated, Pending, Suspended (case counts). Azure ignores that, and so does "
            "dfhost, so this list is of more instances than asked for.",
        ),
        (
            {"createdTimeTo": "yesterday"},
            "A list of instances: createdTimeTo is no date: 'yesterday'. Azure ignores that, and so does dfhost, so "
            "this list is of more instances than asked for.",
        ),
        ({"runtimeStatus": "Failed,Completed", **SINCE}, None),
        ({"runtimeStatus": ""}, None),
    ],
)
async def test_what_a_list_ignores_of_its_filter_is_named_once(
    query: dict[str, str], sentence: str | None
) -> None:
    async with running_host() as host:
        await host.run("waits", [])
        for _ in range(2):
            status, listed = await host.request("GET", "instances", **query)
            assert (status, len(listed)) == (200, 1)
        assert host.log.notes == ([sentence] if sentence else [])


async def test_a_purge_whose_filter_counts_for_nothing_says_so_before_it_deletes() -> None:
    async with running_host() as host:
        waiting = await host.start("waits", ["go"])
        await host.until_waiting(waiting, "event")
        for status in ("Failed", "Completed,Failed"):
            code, _ = await host.request("DELETE", "instances", runtimeStatus=status, **SINCE)
            assert code == 404
        assert host.log.notes == []

        code, answer = await host.request("DELETE", "instances", runtimeStatus="failed,Running", **SINCE)
        assert (code, answer) == (200, {"instancesDeleted": 1}), "as on Azure"
        assert host.log.notes == [
            "A purge of instances: runtimeStatus has 'failed', 'Running', which is none of Completed, Failed, "
            "Canceled, Terminated (case counts). Azure ignores that, and so does dfhost, so this purge is of "
            "instances in every state, running ones and entities included."
        ]


async def test_an_id_that_azure_storage_does_not_take() -> None:
    long = "z" * 1025
    async with running_host() as host:
        for _ in range(2):
            status, answer = await host.request("POST", f"orchestrators/waits/{long}")
            assert (status, answer["ExceptionType"]) == (
                500,
                "DurableTask.AzureStorage.Storage.DurableTaskStorageException",
            )
        assert (await host.request("GET", f"instances/{long}"))[0] == 404
        assert host.log.notes == [
            "The instance id has 1,025 characters. Azure Storage takes at most 1,024; use a shorter one."
        ]
        assert (await host.request("POST", f"orchestrators/waits/{'z' * 1024}"))[0] == 202


@pytest.mark.parametrize("setting", ["AzureWebJobs.waits.Disabled", "AzureWebJobs_waits_Disabled"])
async def test_a_disabled_orchestrator_is_not_started(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv(setting, "true")
    async with running_host(APPS / "worker") as host:
        status, answer = await host.request("POST", "orchestrators/Waits")
        assert status == 400 and list(answer) == ["Message"]
        assert answer["Message"].startswith(
            "The function 'Waits' doesn't exist, is disabled, or is not an orchestrator function. Additional info: "
            "The following are the known orchestrator functions: '"
        )
        assert "'waits'" in answer["Message"]
        assert (await host.request("GET", "instances"))[1] == []
