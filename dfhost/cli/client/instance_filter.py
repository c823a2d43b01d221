"""Which instances a command is about: by status, name, time of creation, beginning of the id, any text.

The management API knows status, time and beginning; name and text are looked at here. A misspelt status is a mistake
here, since Azure ignores it, and a purge then deletes everything.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

from dfhost.cli.client.management_client import Json, ManagementClient, orchestrations
from dfhost.did_you_mean import question
from dfhost.runtime_status import RUNTIME_STATUSES
from dfhost.timestamps import timestamp

_AGE = re.compile(r"(\d+)\s*(s|min|m|h|d|w)")
_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400, "w": 604800}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("which instances")
    group.add_argument(
        "--status",
        metavar="STATUS",
        type=statuses,
        action="extend",
        default=[],
        help="Running, Failed, ...; several with commas between them, in any case",
    )
    group.add_argument("--name", type=filled, help="of this orchestrator")
    group.add_argument(
        "--since", metavar="TIME", type=time_argument, help="created at or after: 2h, 3d, or a date"
    )
    group.add_argument(
        "--until", metavar="TIME", type=time_argument, help="created at or before: 2h, 3d, or a date"
    )
    group.add_argument("--prefix", metavar="ID", type=filled, help="whose id begins so")
    group.add_argument("--text", type=filled, help="in whose name, id, custom status or output this occurs")


def is_used(options: argparse.Namespace) -> bool:
    return any((options.status, options.name, options.since, options.until, options.prefix, options.text))


def find(client: ManagementClient, options: argparse.Namespace, **query: str) -> Iterator[Json]:
    """The orchestrations that the filter matches, ordered by id. `query`: what else is asked of the host."""
    found = client.instances(
        runtimeStatus=",".join(options.status),
        createdTimeFrom=iso(options.since),
        createdTimeTo=iso(options.until),
        instanceIdPrefix=options.prefix or "",
        **query,
    )
    return (each for each in orchestrations(found) if _matches(each, options.name, options.text))


def _matches(instance: Json, name: str | None, text: str | None) -> bool:
    if name and str(instance["name"]).lower() != name.lower():
        return False
    if not text:
        return True
    seen: tuple[Any, ...] = tuple(
        instance.get(key) for key in ("name", "instanceId", "customStatus", "output")
    )
    return any(text.lower() in str(each).lower() for each in seen if each is not None)


# -- the values --------------------------------------------------------------------------------------------------
def statuses(text: str) -> list[str]:
    """ "failed,Running" -> ["Failed", "Running"]"""
    return [_status(name.strip()) for name in filled(text).split(",") if name.strip()]


def filled(text: str) -> str:
    """Refuses what an unset variable of a script leaves: without a filter a purge takes more than was meant."""
    if text.strip(" ,"):
        return text
    raise argparse.ArgumentTypeError("the value is empty; leave the option out if it is not to count")


def _status(name: str) -> str:
    known = {status.lower(): status for status in RUNTIME_STATUSES}
    if name.lower() in known:
        return known[name.lower()]
    hint = question(name, RUNTIME_STATUSES) or f"There are {', '.join(RUNTIME_STATUSES)}."
    raise argparse.ArgumentTypeError(f"no instance has the status '{name}'. {hint}")


def time_argument(text: str) -> datetime:
    """A date, in local time unless it has a zone; or an age: 30s, 5min, 2h, 3d, 1w."""
    if age := _AGE.fullmatch(text.strip()):
        return datetime.now(timezone.utc) - timedelta(seconds=int(age[1]) * _UNITS[age[2]])
    try:
        # Python 3.10 does not know Z.
        return datetime.fromisoformat(re.sub("[zZ]$", "+00:00", text.strip())).astimezone(timezone.utc)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no time; write an age such as 30min, 2h or 3d, or a date such as 2026-01-31 or "
            "2026-01-31T14:00"
        ) from None


def iso(at: datetime | None) -> str:
    return timestamp(at) if at else ""
