"""The report: results.md, its plot, and the machine they belong to. Takes measurements, measures nothing but the
disk's fsync."""

import json
import os
import platform
import sqlite3
import statistics
import subprocess
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.cases import Measured
from benchmarks.figures import Figure, Mapped, processes_in_mb
from benchmarks.host import ROOT
from benchmarks.map_costs import MapCost
from dfhost.store.database import connect

REACH = {"5": 3.0, "100": 1.5, "1,000": 1.4, "10,000": 1.5, "200 x 5": 1.5}


@dataclass
class Results:
    """Everything one run of the benchmark found."""

    command: str
    machine: list[tuple[str, str]]
    fan_out: list[Measured] = field(default_factory=list)
    in_process: list[Measured] = field(default_factory=list)  # the same, without a worker process
    cases: list[Measured] = field(default_factory=list)
    mapped: list[Mapped] = field(default_factory=list)
    map_costs: list[MapCost] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    peers: dict[str, Any] | None = None
    seconds: float = 0.0


def column(measured: Measured) -> str:
    """The name of a size: `1,000`, or `200 x 5` for several runs at once."""
    return f"{measured.runs} x {measured.n}" if measured.runs > 1 else f"{measured.n:,}"


# -- text ----------------------------------------------------------------------------------------------------
def markdown(results: Results, plot: str | None) -> str:
    parts = [
        "# Results",
        f"`{results.command}`, {results.seconds:.0f} s. Times are medians; x is the multiple of the *floor*: what "
        "the SDK alone must spend on the same work, measured in turn with it (how: [README](README.md)).",
        _table(["", ""], results.machine),
    ]
    if results.fan_out:
        parts += ["## Fan-out of N trivial activities", _fan_out(results)]
        if plot:
            parts.append(f"![time over N]({plot})")
        if results.peers:
            parts.append(_about_peers(results.peers))
    if results.cases:
        parts += [
            "## What else may grow with the items",
            "*Own* is what the host adds, per item, to the SDK's part of the time inside it (the floor's replays, "
            "spared what they repeat): where it does not grow with N, the host's cost is linear, whatever the "
            "replays do.",
            _cases(results.cases),
        ]
    if results.mapped:
        parts += ["## The map", _mapped(results.mapped)]
    if results.map_costs:
        parts += [
            "What it costs a host, in turn with the flat fan-out of the same items; sleepers beside their ideal:",
            _map_costs(results.map_costs),
        ]
    if results.figures:
        parts += [
            "## Figures",
            _table(["what", "measured", "beside"], [(f.what, f.value, f.beside) for f in results.figures]),
        ]
    if results.left_out:
        parts += ["## Left out", "\n".join(f"- {reason}" for reason in results.left_out)]
    return "\n\n".join(parts) + "\n"


def _fan_out(results: Results) -> str:
    names = [column(m) for m in results.fan_out]
    rows = [
        ["floor", *(_time(m.floor_seconds) for m in results.fan_out)],
        ["dfhost", *(_time(m.host_seconds) for m in results.fan_out)],
        ["**dfhost, x floor**", *(f"**{m.multiple:.2f}**" for m in results.fan_out)],
        *_in_process(results, names),
        ["aim, x floor", *(f"≤ {REACH[name]:g}" if name in REACH else "" for name in names)],
        ["repeats", *(str(len(m.host)) for m in results.fan_out)],
    ]
    for peer, times in (results.peers or {}).get("peers", {}).items():
        floors = (results.peers or {})["floor"]
        rows.append(
            [f"{peer}, x floor", *(f"{times[n] / floors[n]:.3g}" if n in times else "-" for n in names)]
        )
    return _table(["", *names], rows)


def _in_process(results: Results, names: list[str]) -> list[list[str]]:
    measured = {column(m): f"{m.multiple:.2f}" for m in results.in_process}
    if not measured:
        return []
    return [["dfhost --in-process, x floor", *(measured.get(name, "-") for name in names)]]


def _about_peers(peers: dict[str, Any]) -> str:
    lines = [
        f"Peers: measured {peers['measured']} by `make bench-peers`, each in turn with a floor of its own "
        f"(dfhost in that run: {_multiples(peers)}). What they are:"
    ]
    lines += [f"- {name}: {about}" for name, about in peers["about"].items()]
    return "\n".join(lines)


def _multiples(peers: dict[str, Any]) -> str:
    return ", ".join(f"{n}: {peers['dfhost'][n] / peers['floor'][n]:.2f}" for n in peers["dfhost"])


def _cases(cases: list[Measured]) -> str:
    rows: list[list[str]] = []
    first: dict[str, Measured] = {}
    for m in cases:
        smallest = first.setdefault(m.case, m)
        growth = f"{m.own_per_item / smallest.own_per_item:.2f} x" if m is not smallest else ""
        rows.append(
            [
                m.title,
                f"{m.n:,}",
                _time(m.host_seconds),
                _time(m.floor_seconds),
                f"{m.multiple:.2f}",
                f"{m.host_seconds / m.n * 1e6:,.0f} µs",
                f"{m.own_per_item * 1e6:,.0f} µs",
                growth,
                str(len(m.host)),
            ]
        )
    return _table(
        ["case", "N", "time", "floor", "x floor", "per item", "own per item", "to its smallest N", "repeats"],
        rows,
    )


def _mapped(mapped: list[Mapped]) -> str:
    rows = [
        [
            f"{m.n:,}",
            _time(m.seconds),
            f"{m.seconds / m.n * 1e6:,.0f} µs",
            f"{m.multiple:.2f}",
            processes_in_mb(m.peak_memory),
            f"{_time(m.p99)} of {len(m.queries):,}",
        ]
        for m in mapped
    ]
    return _table(
        [
            "items",
            "time",
            "per item",
            "x floor per item at 100",
            "peak memory, host + worker",
            "status query, 99th percentile",
        ],
        rows,
    )


def _map_costs(measured: list[MapCost]) -> str:
    rows = [
        [
            cost.what,
            _time(cost.seconds),
            f"{cost.seconds / cost.beside:.2f} x {_time(cost.beside)}",
            *(
                f"{getattr(cost.costs, each):,}"
                for each in ("orchestrations", "messages", "replayed", "longest")
            ),
        ]
        for cost in measured
    ]
    return _table(
        ["items", "time", "beside", "orchestrations", "messages", "replayed events", "longest history"], rows
    )


def _table(head: list[str], rows: list[Any]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _time(seconds: float) -> str:
    if seconds >= 1:
        return f"{seconds:.2f} s"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.1 else f"{seconds * 1000:.2g} ms"


# -- plot ----------------------------------------------------------------------------------------------------
def plot(results: Results, file: Path) -> bool:
    """Time over N, log-log, as SVG; False if matplotlib is not there.

    Peers were measured in another run: their multiples of that run's floor are drawn over this one's.
    """
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "dfhost"
    from matplotlib import pyplot

    single = [m for m in results.fan_out if m.runs == 1]
    floors = {column(m): m.floor_seconds for m in single}
    figure, axes = pyplot.subplots(figsize=(8, 5))
    sizes = [m.n for m in single]
    axes.plot(sizes, [m.host_seconds for m in single], "o-", color="#0b6fb8", linewidth=2.5, label="dfhost")
    axes.plot(sizes, [m.floor_seconds for m in single], "o--", color="#444444", label="floor: the SDK alone")
    for peer, times in (results.peers or {}).get("peers", {}).items():
        known = [m for m in single if column(m) in times]
        theirs = [
            times[column(m)] / (results.peers or {})["floor"][column(m)] * floors[column(m)] for m in known
        ]
        axes.plot([m.n for m in known], theirs, ".-", linewidth=1, label=peer)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sizes, [column(m) for m in single])
    axes.minorticks_off()
    axes.yaxis.set_major_formatter(
        lambda seconds, _: f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"
    )
    axes.set_xlabel("items N of one fan-out")
    axes.set_ylabel("from the POST to the output in hand")
    axes.grid(which="both", alpha=0.2)
    axes.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)
    return True


# -- the machine ---------------------------------------------------------------------------------------------
def machine(work: Path, database: Path | None) -> list[tuple[str, str]]:
    """What the numbers belong to. `database`: one that the host wrote, for its journal mode."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    rows = [
        ("when", datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
        (
            "machine",
            f"{_cpu_model()}, {os.cpu_count()} cores, {_memory()}, {platform.system()} {platform.release()}",
        ),
        ("disk", f"{_file_system(work)}, 4 KiB append + fsync: {_fsync(work) * 1e6:,.0f} µs (median)"),
        ("Python", f"{platform.python_version()}, SQLite {sqlite3.sqlite_version}"),
        (
            "packages",
            ", ".join(
                f"{name} {version(name)}"
                for name in ("azure-functions-durable", "azure-functions", "aiohttp", "dfhost")
            )
            + (f" ({commit})" if commit else ""),
        ),
    ]
    if database:
        rows.append(("durability", durability(database)))
    return rows


def durability(database: Path) -> str:
    """Journal mode and synchronous, as a connection that is opened as the host opens its own has them."""
    connection = connect(str(database), durable=True)
    mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
    synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
    connection.close()
    return f"one file, journal_mode {mode.upper()}, synchronous {('OFF', 'NORMAL', 'FULL', 'EXTRA')[synchronous]}"


def _cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (ValueError, OSError):
        return "memory unknown"


def _file_system(folder: Path) -> str:
    try:
        mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "file system unknown"
    under = [(point, kind) for point, kind in mounts if folder.resolve().is_relative_to(point)]
    return max(under, key=lambda mount: len(mount[0]))[1]


def _fsync(folder: Path) -> float:
    times = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(50):
            began = time.perf_counter()
            file.write(b"\0" * 4096)
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times)


def read_peers(file: Path) -> dict[str, Any] | None:
    """What `make bench-peers` wrote, None if it has not run."""
    if not file.exists():
        return None
    peers: dict[str, Any] = json.loads(file.read_text())
    return peers
