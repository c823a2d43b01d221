"""Why an instance has failed, for commands that have brought it about."""

from __future__ import annotations

from dfhost.cli.client.management_client import Json, ManagementClient
from dfhost.cli.local_times import cause_in_local_time
from dfhost.instance_failure import death_in_words, read_failure


def failure_reason(client: ManagementClient, status: Json) -> str:
    """In the words of `dfhost list`; without these its output, with the traceback."""
    known = client.own_status(str(status["instanceId"]), "explain") or {}
    if cause := known.get("cause"):
        return cause_in_local_time(str(cause))
    failure = read_failure(status.get("output")).within(str(status["name"]))
    return f"{death_in_words(str(failure))}\n{failure.stack}".rstrip()
