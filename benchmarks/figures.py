"""The figures that are not multiples of a floor: start, memory, status queries, idle instances, sleepers.

Each function returns one or more `Figure`s; what a figure is measured against is said in its `beside`.
"""

import math
import sqlite3
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.client import FINISHED, Connection, Pace, RunFailed, run
from benchmarks.host import ROOT, Host, serving
from benchmarks.worker import Worker

IMPORTS = "import azure.durable_functions, aiohttp.web"
MAP_ROUTE = "/api/start-map"
IN_PROCESS = ("--in-process",)
_INSTANCES = "/runtime/webhooks/durabletask/instances"


@dataclass(frozen=True)
class Figure:
    """`value` is what was measured, `beside` what to hold it against, both ready to be read."""

    what: str
    value: str
    beside: str


# -- start ---------------------------------------------------------------------------------------------------
def starting(work: Path, repeats: int) -> list[Figure]:
    """Process start to first answer, beside the imports that no such host can do without."""
    modes: dict[str, tuple[str, ...]] = {"`dfhost start`": (), "`dfhost start --in-process`": IN_PROCESS}
    imports: list[float] = []
    starts: dict[str, list[float]] = {mode: [] for mode in modes}
    memory: dict[str, list[int]] = {}
    for number in range(repeats + 1):
        imports.append(_imports())
        for mode, options in modes.items():
            with serving(work, f"start-{number}{''.join(options)}", options=options) as host:
                starts[mode].append(host.seconds_to_serve)
                memory[mode] = host.memory()
    beside = statistics.median(imports[1:] or imports)  # the first may have had to compile
    figures = []
    for mode in modes:
        seconds = statistics.median(starts[mode][1:] or starts[mode])
        figures.append(
            Figure(
                f"{mode} to its first answer",
                f"{_ms(seconds)} = {seconds / beside:.2f} x",
                f"`python -c '{IMPORTS}'` takes {_ms(beside)}",
            )
        )
    shown = [processes_in_mb(sizes) for sizes in memory.values()]
    return [
        *figures,
        Figure("memory of host and worker after the start", shown[0], f"with `--in-process`: {shown[1]}"),
    ]


def _imports() -> float:
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True, cwd=ROOT)
    return time.perf_counter() - began


def starting_full(work: Path, instances: int, repeats: int) -> list[Figure]:
    """Start on a database with many finished instances, beside an empty one."""
    with serving(work, "full") as host:
        connection = Connection(host.origin)
        run(connection, "/api/run/fan_out", {"n": 5}, Pace())
        connection.close()
    multiply(work / "full.db", instances)
    empty, full = [], []
    for number in range(repeats):
        with serving(work, f"empty-{number}") as host:
            empty.append(host.seconds_to_serve)
        with serving(work, "full") as host:
            full.append(host.seconds_to_serve)
            if number == 0:
                connection = Connection(host.origin)
                run(connection, "/api/run/fan_out", {"n": 5}, Pace())
                connection.close()
    return [
        Figure(
            f"start with {instances:,} finished instances in the database",
            _ms(statistics.median(full)),
            f"with none: {_ms(statistics.median(empty))}",
        )
    ]


def multiply(database: Path, instances: int) -> None:
    """Copy what the file knows of its instances until there are `instances`, each under an id of its own.

    Knows of the schema only that rows which belong to an instance carry its id in a column `instance_id`;
    integer primary keys are given anew.
    """
    db = sqlite3.connect(database)
    db.execute("PRAGMA synchronous=OFF")
    with db:
        db.execute("CREATE TEMP TABLE copies (n INTEGER PRIMARY KEY)")
        db.executemany("INSERT INTO copies VALUES (?)", ((n,) for n in range(1, instances)))
        for (table,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            columns = db.execute(f'PRAGMA table_info("{table}")').fetchall()
            if "instance_id" not in [column[1] for column in columns]:
                continue
            keys = [column for column in columns if column[5]]
            rowid = keys[0][1] if len(keys) == 1 and keys[0][2].upper() == "INTEGER" else None
            kept = [column[1] for column in columns if column[1] != rowid]
            values = ["instance_id || '-' || n" if name == "instance_id" else f'"{name}"' for name in kept]
            names = ", ".join(f'"{name}"' for name in kept)
            db.execute(
                f'INSERT INTO "{table}" ({names}) SELECT {", ".join(values)} FROM "{table}" CROSS JOIN copies'
            )
    db.close()


# -- many waiting instances ----------------------------------------------------------------------------------
def idling(work: Path, instances: int, seconds: float) -> list[Figure]:
    """CPU while nothing happens, and how fast one of the waiting is woken."""
    with serving(work, "idle") as host:
        connection = Connection(host.origin)
        before, memory = _cpu_share(host, seconds), host.memory()
        ids, started = _start_waiting(connection, instances)
        _until_quiet(host)
        after, grown = _cpu_share(host, seconds), host.memory()
        woken = [_wake(connection, id) for id in ids[:: max(1, instances // 20)]]
        connection.close()
    figures = [
        Figure(
            f"raising the event of one of {instances:,} waiting instances, to its end",
            _ms(statistics.median(woken)),
            f"the {instances:,} were started as children of one orchestration, in {started:.1f} s",
        )
    ]
    if before is not None and after is not None and memory and grown:
        figures += [
            Figure(
                f"CPU that {instances:,} waiting instances use",
                f"{after:.2%} of a core",
                f"{before:.2%} with none, each over {seconds:g} s",
            ),
            Figure(
                "memory per waiting instance",
                f"{(sum(grown) - sum(memory)) / instances / 1024:.2f} KB",
                "resident memory after, less before; their common parent included",
            ),
        ]
    return figures


def _start_waiting(connection: Connection, instances: int) -> tuple[list[str], float]:
    """Start so many instances that wait for an event: their ids, and how many seconds it took until all waited."""
    began = time.perf_counter()
    _, links = connection.post("/api/run/crowd", {"n": instances})
    ids = [f"{links['id']}-{number}" for number in range(instances)]
    for id in ids[-1:] + ids[:: max(1, instances // 20)]:
        while not _waits(connection, f"{_INSTANCES}/{id}"):
            if time.perf_counter() > began + 240:
                raise RunFailed(f"{instances} waiting instances were not started in 4 minutes")
            time.sleep(0.05)
    return ids, time.perf_counter() - began


def _wake(connection: Connection, id: str) -> float:
    """Seconds from raising the event that the instance waits for to its end."""
    began = time.perf_counter()
    connection.post(f"{_INSTANCES}/{id}/raiseEvent/go", {})
    while connection.get(f"{_INSTANCES}/{id}?showInput=false")[1]["runtimeStatus"] not in FINISHED:
        pass
    return time.perf_counter() - began


def _waits(connection: Connection, url: str) -> bool:
    """Whether the instance is there and its orchestrator has been run as far as its wait."""
    status, state = connection.get(f"{url}?showInput=false")
    return status in (200, 202) and state["runtimeStatus"] == "Running"


def _cpu_share(host: Host, seconds: float) -> float | None:
    before, began = host.cpu(), time.perf_counter()
    time.sleep(seconds)
    after, elapsed = host.cpu(), time.perf_counter() - began
    return None if before is None or after is None else (after - before) / elapsed


def _until_quiet(host: Host) -> None:
    """What was begun may be written to the end first: at most 10 s."""
    for _ in range(50):
        if (_cpu_share(host, 0.2) or 0) < 0.02:
            return


# -- sleepers ------------------------------------------------------------------------------------------------
def sleeping(
    host: str, key: str, kind: str, count: int, seconds: float, repeats: int, floor: Worker
) -> Figure:
    """Activities that only wait: how close to the concurrency that the settings allow."""
    connection, pace = Connection(host, key), Pace()
    _, bounds = connection.get("/api/about")
    lanes = bounds["activities"] if kind == "async" else min(bounds["activities"], bounds["threads"])
    asleep = math.ceil(count / lanes) * seconds
    times, floors = [], []
    for _ in range(repeats):
        floors.append(float(floor.ask(case="fan_out", input={"n": count})["seconds"]))
        body = {"n": count, "seconds": seconds, "kind": kind}
        times.append(run(connection, "/api/run/sleepers", body, pace)[0])
    connection.close()
    ideal = asleep + statistics.median(floors)
    taken = statistics.median(times)
    call = "await asyncio.sleep" if kind == "async" else "time.sleep"
    return Figure(
        f"{count:,} activities of `{call}({seconds:g})`, {lanes} at once",
        f"{taken:.2f} s = {taken / ideal:.2f} x the ideal",
        f"ideal: {asleep:.2f} s asleep + {statistics.median(floors):.2f} s, the floor of a fan-out of as many",
    )


# -- the map -------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Mapped:
    """One run of the map. Bytes and seconds; `queries` are the latencies of status queries during it."""

    n: int
    seconds: float
    floor_per_item: float
    peak_memory: list[int]  # of the host and of each worker
    queries: list[float]

    @property
    def multiple(self) -> float:
        """Seconds per item over the floor per item of a fan-out of 100."""
        return self.seconds / self.n / self.floor_per_item

    @property
    def p99(self) -> float:
        return sorted(self.queries)[math.ceil(len(self.queries) * 0.99) - 1]


def mapping(work: Path, sizes: tuple[int, ...], floor: Worker) -> list[Mapped]:
    """The map of the app in this repository, each size on a host of its own; [] if it has none."""
    mapped = []
    for n in sizes:
        with serving(work, f"map-{n}", folder=ROOT) as host:
            connection = Connection(host.origin)
            body = {"source": "orders", "count": n, "activity": "process_item", "results": "values"}
            before = [
                float(floor.ask(case="fan_out", input={"n": 100}, times=5)["seconds"]) for _ in range(3)
            ]
            began = time.perf_counter()
            status, links = connection.post(MAP_ROUTE, body)
            if status == 404:
                return []
            if status != 202:
                raise RunFailed(f"POST {MAP_ROUTE} was answered {status}: {links}")
            state, queries = _watch(connection, links["statusQueryGetUri"])
            seconds, peak = time.perf_counter() - began, host.peak_memory()
            connection.close()
            output = state["output"]
            right = [f"Processed order-{number}" for number in range(1, n + 1)]
            if state["runtimeStatus"] != "Completed" or output["results"] != right:
                raise RunFailed(f"the map of {n} ended as {state['runtimeStatus']}: {str(output)[:500]}")
        after = [float(floor.ask(case="fan_out", input={"n": 100}, times=5)["seconds"]) for _ in range(3)]
        mapped.append(Mapped(n, seconds, statistics.median(before + after) / 100, peak, queries))
    return mapped


def _watch(connection: Connection, url: str) -> tuple[dict[str, Any], list[float]]:
    """Ask until it ends, every hundredth of the time gone by (at most every 0.2 s)."""
    queries, began = [], time.perf_counter()
    while True:
        asked = time.perf_counter()
        _, state = connection.get(url)
        queries.append(time.perf_counter() - asked)
        if state["runtimeStatus"] in FINISHED:
            # The last answer carries the whole output: it is no query during the run.
            return state, queries[:-1] or queries
        time.sleep(min(0.2, max(0.002, (time.perf_counter() - began) / 100)))


def processes_in_mb(sizes: list[int]) -> str:
    """ "48 + 52 MB": of the host and of each worker."""
    return f"{' + '.join(f'{size / 1e6:,.0f}' for size in sizes)} MB" if sizes else "-"


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"
