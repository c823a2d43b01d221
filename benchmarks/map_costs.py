"""What a map costs beside its time: the orchestrations, messages and replayed events that a host has to pay for.

Counted in the database that the host wrote, by SQL and the events' own fields: the numbers are of the shape of the
map, and hardly depend on the machine. On Azure each of them is a queue message, a table read or a replay.
"""

import json
import sqlite3
import statistics
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.client import Connection, Pace, RunFailed, run
from benchmarks.host import ROOT, serving

# Of the kinds of history events, those that somebody has to be sent: a start, an activity, its end, a child's end,
# a timer, an event to an entity or from outside.
STARTED, SCHEDULED, TURN = 0, 4, 12
SENT = {STARTED, SCHEDULED, 5, 6, 8, 9, 11, 14, 15}
STATEMENT = "account-01.csv"  # its activity sleeps for 0.2 s
SECONDS = 0.2


@dataclass(frozen=True)
class Costs:
    """Of one run and its children. `replayed`: past events read again, over all turns; `longest`: of one history."""

    orchestrations: int
    messages: int
    replayed: int
    longest: int


@dataclass(frozen=True)
class MapCost:
    """One kind of map: median seconds, what to hold them against, and the costs of one run."""

    what: str
    seconds: float
    beside: float
    costs: Costs


def costs(database: Path, instance_id: str) -> Costs:
    orchestrations = messages = replayed = longest = 0
    for history in _histories(database, instance_id):
        orchestrations += 1
        longest = max(longest, len(history))
        messages += sum(kind in SENT for kind in history)
        replayed += sum(past for past, kind in enumerate(history) if kind == TURN)
    return Costs(orchestrations, messages, replayed, longest)


def _histories(database: Path, instance_id: str) -> Iterator[list[int]]:
    """The kinds of the events of the instance and of those whose ids begin with its own and a colon."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        found: dict[str, list[int]] = {}
        rows = connection.execute(
            "SELECT instance_id, event FROM history WHERE instance_id = ? OR instance_id LIKE ? ORDER BY 1, seq",
            (instance_id, f"{instance_id}:%"),
        )
        for one, event in rows:
            found.setdefault(one, []).append(json.loads(event)["EventType"])
    yield from found.values()


def measure_maps(work: Path, n: int, repeats: int) -> list[MapCost]:
    """Maps of n trivial items at three bounds, each in turn with the flat fan-out of the same app; and sleepers."""
    flat = {"items": [f"item-{number}" for number in range(1, n + 1)]}
    bodies = {
        bound: {"activity": "process_item", **flat, "max_concurrency": bound} for bound in (10, 100, 500)
    }
    times: dict[int, list[float]] = {bound: [] for bound in (0, *bodies)}
    paces = {bound: Pace() for bound in times}
    with serving(work, "map-costs", folder=ROOT) as host:
        connection = Connection(host.origin)
        for number in range(repeats + (repeats > 1)):
            for bound, pace in paces.items():
                route, body = ("/api/start-map", bodies[bound]) if bound else ("/api/start-fanout", flat)
                seconds, output = run(connection, route, body, pace)
                if bound and [entry.get("result") for entry in output["results"]] != _right(n):
                    raise RunFailed(f"the map of {n} at {bound} has a wrong output: {str(output)[:500]}")
                if number or repeats == 1:  # the first is a warm-up
                    times[bound].append(seconds)
        beside = statistics.median(times[0])
        measured = [
            MapCost(
                f"{n:,} at {bound}", statistics.median(times[bound]), beside, costs(*_newest(work, bound))
            )
            for bound in bodies
        ]
        count = 120 if repeats > 1 else 8
        sleepers: dict[str, Any] = {"activity": "reconcile_statement", "items": [STATEMENT] * count}
        sleepers |= {"max_concurrency": 8, "tolerated_failure_percentage": 100}
        seconds, _ = run(connection, "/api/start-map", sleepers, Pace())
        connection.close()
    what = f"{count} that sleep {SECONDS:g} s, at 8"
    return [*measured, MapCost(what, seconds, count / 8 * SECONDS, costs(*_newest(work, 8)))]


def _right(n: int) -> list[str]:
    return [f"Processed item-{number}" for number in range(1, n + 1)]


def _newest(work: Path, bound: int) -> tuple[Path, str]:
    """The database, and the id of the newest map in it that was started with this bound."""
    database = work / "map-costs.db"
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT instance_id FROM instances WHERE name = 'map_orchestrator' AND input LIKE ? "
            "ORDER BY created_at DESC LIMIT 1",
            (f'%max_concurrency_": {bound},%',),
        ).fetchall()
    if not rows:
        raise RunFailed(f"{database} holds no map at {bound}")
    return database, rows[0][0]
