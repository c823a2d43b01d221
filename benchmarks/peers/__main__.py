"""`make bench-peers`: the peers, dfhost and the floor side by side, into benchmarks/peers.json.

Installs the peers into .venv-peers. For each size the floor, dfhost and every peer are asked in turn, as often as
the effort allows; a peer that took long is asked once. A peer that cannot run here is left out, and why is said.
"""

import json
import statistics
import subprocess
import sys
import venv
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from benchmarks.cases import CONNECTIONS
from benchmarks.client import Connection, Pace, RunFailed, run, run_many
from benchmarks.host import ROOT, scratch, serving
from benchmarks.worker import Worker, processed

ENVIRONMENT = ROOT / ".venv-peers"
PACKAGES = ("durabletask", "grpcio", "dbos", "huey", "redis")
MODULES = ("durabletask_memory", "dbos_sqlite", "huey_redis")
SIZES = ((5, 1, 9), (100, 1, 9), (1_000, 1, 3), (10_000, 1, 3), (5, 200, 3))  # items, runs at once, repeats
LONG = 20.0  # seconds: what takes longer is asked once


def main() -> None:
    python = _environment()
    peers: dict[str, dict[str, float]] = {}
    about: dict[str, str] = {}
    found: dict[str, Any] = {
        "measured": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "floor": {},
        "dfhost": {},
        "peers": peers,
        "about": about,
    }
    with scratch(None) as work, serving(work, "peers") as host:
        floor = Worker(sys.executable, "benchmarks.floor", work / "floor.log")
        workers = {}
        for module in MODULES:
            worker = Worker(python, f"benchmarks.peers.{module}", work / f"{module}.log")
            if "missing" in worker.ready:
                _say(f"{module}: left out, {worker.ready['missing']}")
                continue
            workers[worker.ready["name"]] = worker
            about[worker.ready["name"]] = worker.ready["about"]
            peers[worker.ready["name"]] = {}
        connections = [Connection(host.origin) for _ in range(CONNECTIONS)]
        try:
            for n, count, repeats in SIZES:
                _measure_size(n, count, repeats, floor, connections, workers, found)
        finally:
            for worker in (floor, *workers.values()):
                worker.close()
    file = Path(__file__).parent.parent / "peers.json"
    file.write_text(json.dumps(found, indent=2) + "\n")
    _say(f"written to {file}; `make bench` shows it beside its own figures")


def _measure_size(
    n: int,
    count: int,
    repeats: int,
    floor: Worker,
    connections: list[Connection],
    workers: dict[str, Worker],
    found: dict[str, Any],
) -> None:
    """Add the seconds of `count` runs of n items at once to `found`, of each peer."""
    size = f"{count} x {n}" if count > 1 else f"{n:,}"
    pace = Pace()

    def dfhost() -> float:
        if count > 1:
            seconds, outputs = run_many(connections, "/api/run/fan_out", {"n": n}, count)
        else:
            seconds, output = run(connections[0], "/api/run/fan_out", {"n": n}, pace)
            outputs = [output]
        if outputs != [processed(n)] * count:
            raise RunFailed(f"wrong output of dfhost at {size}")
        return seconds

    def floor_of() -> float:
        if count > 1:
            return float(floor.ask(case="fan_out", input={"n": n}, times=count)["all"])
        return float(floor.ask(case="fan_out", input={"n": n}, times=5 if n <= 10 else 1)["seconds"])

    asked: dict[str, Any] = {
        "floor": floor_of,
        "dfhost": dfhost,
        **{
            name: lambda worker=worker: worker.ask(n=n, count=count)["seconds"]
            for name, worker in workers.items()
        },
    }
    times: dict[str, list[float]] = {name: [] for name in asked}
    for attempt in range(repeats + 1):
        for name, ask in asked.items():
            if times[name] and times[name][0] > LONG:
                continue
            seconds = ask()
            if attempt == 0 and n <= 100:
                continue  # warm-up
            times[name].append(seconds)
    for name, taken in times.items():
        seconds = statistics.median(taken)
        (found if name in ("floor", "dfhost") else found["peers"])[name][size] = round(seconds, 6)
        _say(f"{size:>8} {name:<12} {seconds:.4f} s ({len(taken)} times)")


def _environment() -> str:
    """The Python of .venv-peers, made and filled if need be."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        _say(f"making {ENVIRONMENT}")
        venv.create(ENVIRONMENT, with_pip=True)
        (ENVIRONMENT / ".gitignore").write_text("*\n")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *PACKAGES], check=True)
    return str(python)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except (RunFailed, RuntimeError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"bench-peers stopped: {error}")
    except KeyboardInterrupt:
        sys.exit("bench-peers stopped")
