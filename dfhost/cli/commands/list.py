"""`dfhost list`: instances or entities, as a table, as ids, or as JSON."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from pathlib import Path

from dfhost.cli import arguments, unknown_function, watching
from dfhost.cli.client import host_address, instance_filter
from dfhost.cli.client.function_names import entity_names, misspelt, orchestrator_names
from dfhost.cli.client.instance_ids import shortest_ids
from dfhost.cli.client.management_client import Json, ManagementClient, open_client, orchestrations
from dfhost.cli.client.other_task_hubs import unfinished_in
from dfhost.cli.exit_codes import DONE, NOT_FOUND, NotDone
from dfhost.cli.local_times import cause_in_local_time
from dfhost.cli.style import Style, count, printable_json, text_of
from dfhost.cli.views.explanation import FROM_FILE, reason_in_depth
from dfhost.cli.views.instance_tree import depths, with_children
from dfhost.cli.views.tables import ago, table_lines, took
from dfhost.instance_failure import death_in_words, may_hide_death, read_failure
from dfhost.printable import error_in_a_line
from dfhost.runtime_status import FINAL_STATUSES
from dfhost.timeline.sentences import brief

DESCRIPTION = """\
List the orchestrations of a host, the newest first. A filter may be combined with others.
With --children, sub-orchestrations stand below what called them, the oldest first.

examples:
  dfhost list --status Running,Pending --watch
  dfhost list --status Failed --since 1h --ids | xargs dfhost rewind

exit code: 0, or 4 if there are none.
"""

# dfhost's own: --json prints what every host has.
_OWN_KEYS = frozenset(("exactCreatedTime", "exactLastUpdatedTime", "firstCreatedTime"))
_SHOWN = 50  # rows of a table
_MOST_READ = 20_000  # instances; more are not sorted
_EXPLAINED = 25  # of which it is asked what they wait for: each is a request of its own
_EXPLAINING_SECONDS = 1.0  # a host takes a while for one whose code runs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    instance_filter.add_arguments(parser)
    parser.add_argument(
        "--entities", action="store_true", help="list the entities instead; of these --name counts"
    )
    parser.add_argument(
        "--limit",
        metavar="N",
        type=arguments.above_zero,
        help=f"at most so many (default: {_SHOWN}; with --ids or --json, all)",
    )
    parser.add_argument("--all", action="store_true", help="list all, however many there are")
    parser.add_argument(
        "--children", action="store_true", help="list the sub-orchestrations of listed instances as well"
    )
    parser.add_argument("--ids", action="store_true", help="print the whole ids and nothing else")
    watching.add_argument(parser, until="ctrl-C")
    parser.add_argument(
        "--json", action="store_true", help="print the instances as the management API has them"
    )
    host_address.add_arguments(parser, reads=True)
    parser.set_defaults(value_option=lambda _: "--name")


def run(options: argparse.Namespace) -> int:
    client, _ = open_client(options)
    found = 0

    def render(now: datetime) -> tuple[str, bool]:
        nonlocal found
        children = 0
        if options.entities:
            rows, total = _entities(client, options)
        else:
            rows, total, children = _instances(client, options)
        found = len(rows)
        waits = {} if options.json or options.ids else _waits(client, rows)
        meant = misspelt(options.name, _names(client, options.entities)) if options.name and not rows else ""
        lines = list(_lines(rows, total, waits, meant, now, options))
        if children and not (options.ids or options.json):
            lines.append(_of_children(children))
        if not (rows or options.entities or options.json or options.ids or instance_filter.is_used(options)):
            lines += _elsewhere(options)
        if client.reads_file and waits and not options.entities:
            lines.append(Style.of(sys.stdout)(FROM_FILE, "dim"))
        return "\n".join(lines), False

    watching.show(render, options.watch)
    return DONE if found else NOT_FOUND


def _elsewhere(options: argparse.Namespace) -> Iterable[str]:
    """Where unfinished instances are instead: in another task hub of this folder, since hubName has changed."""
    if options.url or options.port or os.environ.get("DFHOST_URL"):
        return
    folder = options.db.parent if options.db else Path(".dfhost")
    for file, number in unfinished_in(folder, besides=options.db):
        yield f"{file} has {count(number, 'unfinished instance')}: `dfhost list --db {file}` shows them."


def _instances(client: ManagementClient, options: argparse.Namespace) -> tuple[list[Json], int, int]:
    """The rows, how many there would be with --all, and how many sub-orchestrations are left out.

    One is left out if what called it is among those found; only dfhost says what that is.
    """
    oldest_first = _read(instance_filter.find(client, options, exactTimes="true"))
    read = oldest_first[::-1]
    found = len(read)
    if options.children:
        is_all = not instance_filter.is_used(options)
        known = oldest_first if is_all else _read(orchestrations(client.instances(exactTimes="true")))
        read = with_children(read, known)
        found = len(read)
    else:
        ids = {each["instanceId"] for each in read}
        read = [each for each in read if each.get("parentInstanceId") not in ids]
    return read[: _most(options)], len(read), found - len(read)


def _most(options: argparse.Namespace) -> int | None:
    """How many rows there may be. A script gets all: it would not notice that some are missing."""
    if options.all or (options.limit is None and (options.ids or options.json)):
        return None
    return options.limit or _SHOWN


def _read(instances: Iterator[Json]) -> list[Json]:
    """The oldest first; of those of one moment, as of one `task_all`, the one with the lowest number."""
    read = list(islice(instances, _MOST_READ))
    if len(read) == _MOST_READ:
        print(
            f"Only the first {count(_MOST_READ)} were read. Narrow it with --since or --prefix.",
            file=sys.stderr,
        )

    def age(instance: Json) -> tuple[str, int, str]:
        instance_id = str(instance["instanceId"])
        return _created(instance), len(instance_id), instance_id

    return sorted(read, key=age)


def _created(instance: Json) -> str:
    """Of one that has continued as new, the first time. Other hosts know whole seconds, and the last time."""
    return str(
        instance.get("firstCreatedTime") or instance.get("exactCreatedTime") or instance["createdTime"]
    )


def _of_children(number: int) -> str:
    what = count(number, "sub-orchestration")
    verb = "is" if number == 1 else "are"
    return Style.of(sys.stdout)(f"{what} of these {verb} left out: --children lists them.", "dim")


def _entities(client: ManagementClient, options: argparse.Namespace) -> tuple[list[Json], int]:
    since, until = instance_filter.iso(options.since), instance_filter.iso(options.until)
    found = client.entities(
        options.name or "", lastOperationTimeFrom=since, lastOperationTimeTo=until, fetchState="true"
    )
    read = list(islice(found, _MOST_READ))
    # The list of entities leaves out one whose first operation has not ended; it hangs, maybe.
    prefix = f"@{options.name.lower()}@" if options.name else "@"
    instances = client.instances(instanceIdPrefix=prefix, createdTimeFrom=since, createdTimeTo=until)
    begun = (
        each for each in instances if each["instanceId"].startswith("@") and each["customStatus"] is None
    )
    read += [_without_state(str(each["instanceId"])) for each in islice(begun, _MOST_READ)]
    return read[: _most(options)], len(read)


def _without_state(entity_id: str) -> Json:
    """As the list of entities would have it."""
    _, name, key = entity_id.split("@", 2)
    return {"entityId": {"name": name, "key": key}, "lastOperationTime": None, "state": None}


def _waits(client: ManagementClient, rows: list[Json]) -> dict[str, str]:
    """What the first of those that have not ended wait for, or why they failed, by id; only dfhost says so."""
    waits: dict[str, str] = {}
    asked = [_id(row) for row in rows if row.get("runtimeStatus") not in FINAL_STATUSES or _hides_cause(row)]
    until = time.monotonic() + _EXPLAINING_SECONDS
    for instance_id in asked[:_EXPLAINED]:
        if time.monotonic() > until:
            break
        try:
            answer = client.own_status(instance_id, "explain")
        except NotDone:  # it was purged meanwhile
            continue
        if answer is None:
            break
        ended = answer.get("runtimeStatus") in FINAL_STATUSES
        waits[instance_id] = (
            cause_in_local_time(str(answer.get("cause") or "")) if ended else reason_in_depth(answer)
        )
    return waits


def _hides_cause(row: Json) -> bool:
    """Whether its output is not all that is known: its own code has failed, or a worker process has died."""
    if row.get("runtimeStatus") != "Failed":
        return False
    failure = read_failure(row.get("output")).within(str(row.get("name")))
    return not failure.path or may_hide_death(failure.text)


def _names(client: ManagementClient, entities: bool) -> list[str]:
    """Those that --name may have: the app's, or where a host does not list them those of its instances."""
    functions = client.functions()
    if functions is not None:
        return entity_names(functions) if entities else orchestrator_names(functions)
    if entities:
        return [str(each["entityId"]["name"]) for each in islice(client.entities(), _MOST_READ)]
    return [str(each["name"]) for each in islice(orchestrations(client.instances()), _MOST_READ)]


def _lines(
    rows: list[Json],
    total: int,
    waits: dict[str, str],
    meant: str,
    now: datetime,
    options: argparse.Namespace,
) -> Iterable[str]:
    """`meant`: what to say about a name that no instance has."""
    style = Style.of(sys.stdout)
    if options.json:
        yield printable_json([{key: row[key] for key in row if key not in _OWN_KEYS} for row in rows])
    elif options.ids:
        yield from map(_id, rows)
    elif not rows:
        none = "There are none that match." if instance_filter.is_used(options) else "There are none."
        yield f"{none} {meant}".rstrip()
    elif options.entities:
        cells = [
            [
                _id(row),
                ago(row["lastOperationTime"], now) if row["lastOperationTime"] else "",
                _brief(row["state"]),
                waits.get(_id(row), ""),
            ]
            for row in rows
        ]
        yield from table_lines(("ENTITY", "LAST OPERATION", "STATE", "DETAILS"), cells, style)
    else:
        ids = shortest_ids([str(row["instanceId"]) for row in rows])
        cells = [
            ["  " * depth + id, *_cells(row, waits.get(_id(row), ""), now)]
            for depth, id, row in zip(depths(rows), ids, rows, strict=True)
        ]
        yield from table_lines(("ID", "STATUS", "ORCHESTRATOR", "CREATED", "TOOK", "DETAILS"), cells, style)
    if len(rows) < total and not (options.json or options.ids):
        yield style(f"{count(total - len(rows))} more: --all lists them.", "dim")


def _cells(row: Json, waits: str, now: datetime) -> list[str]:
    ended = row["runtimeStatus"] in FINAL_STATUSES
    created, updated = _created(row), row.get("exactLastUpdatedTime") or row["lastUpdatedTime"]
    lasted = took(created, updated) if ended else ""
    return [
        row["runtimeStatus"],
        row["name"] or "",
        ago(created, now),
        lasted,
        _details(row, waits),
    ]


def _details(row: Json, waits: str) -> str:
    """Why it failed; of one that goes on its custom status and what it waits for; else its output."""
    if row["runtimeStatus"] == "Failed":
        if waits:
            return _brief(waits)
        why = unknown_function.in_short(str(read_failure(row["output"]).within(str(row["name"]))))
        # The extension's sentence about an unknown function goes on with the names of all that are known.
        return death_in_words(error_in_a_line(why.partition(" Additional info:")[0]))
    custom = row.get("customStatus")
    if row["runtimeStatus"] not in FINAL_STATUSES:
        return "  ".join(filter(None, (_brief(custom, 60), waits)))
    return _brief(row.get("output"))


def _brief(value: object, longest: int = 200) -> str:
    return brief(text_of(value), longest)


def _id(row: Json) -> str:
    if "entityId" in row:
        return f"@{row['entityId']['name']}@{row['entityId']['key']}"
    return str(row["instanceId"])
