"""What Azure does silently and costs an hour: the management API names it on the console, once."""

from __future__ import annotations

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
