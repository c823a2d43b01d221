"""The benchmark: `make bench`, or `python -m benchmarks.bench --help`.

Starts dfhost as a user would (a process, a file, fsync on), talks HTTP to it from outside, measures the floor in
turn with it, prints the tables and writes them with a plot. How things are measured: README.md beside this.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path

from benchmarks import figures, report
from benchmarks.cases import CASES, EFFORT, FAN_OUT, Case, Effort, Measured, measure, measure_at_once
from benchmarks.client import Connection, RunFailed
from benchmarks.host import Host, scratch, serving
from benchmarks.map_costs import measure_maps
from benchmarks.report import Results
from benchmarks.worker import Worker

HERE = Path(__file__).parent
AT_ONCE = {"full": 200, "quick": 200, "smoke": 3}
MAPS = {"full": (1_000, 10_000, 100_000), "quick": (1_000,), "smoke": (20,)}
POOL = 50  # threads for the sleepers of the pool: the default is made for the number of cores
PARTS = ("fan-out", "cases", "map", "start", "idle", "sleepers")


def main() -> None:
    options = _options()
    began = time.perf_counter()
    with scratch(options.work) as work:
        floor = Worker(sys.executable, "benchmarks.floor", work / "floor.log")
        inside = Worker(sys.executable, "benchmarks.floor", work / "inside.log", "--inside")
        try:
            measure_all = _measure_url if options.url else _measure_own_hosts
            results = measure_all(options, work, floor, inside)
        finally:
            floor.close()
            inside.close()
    results.peers = report.read_peers(HERE / "peers.json")
    results.seconds = time.perf_counter() - began
    if not options.out:
        print(report.markdown(results, plot=None))
        return
    options.out.mkdir(parents=True, exist_ok=True)
    picture = options.out / "results.svg"
    drawn = bool(results.fan_out) and report.plot(results, picture)
    if results.fan_out and not drawn:
        _say("no plot: matplotlib is missing, `pip install 'dfhost[bench]'`")
    text = report.markdown(results, picture.name if drawn else None)
    (options.out / "results.md").write_text(text)
    print(text)
    _say(f"written to {options.out / 'results.md'}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench", description="Measure dfhost beside its floor, the SDK alone."
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="profile", action="store_const", const="quick", help="a subset, 30 s")
    size.add_argument(
        "--smoke",
        dest="profile",
        action="store_const",
        const="smoke",
        help="every case once, tiny: does it work?",
    )
    parser.add_argument("--only", action="append", choices=PARTS, help="only this part; may be repeated")
    parser.add_argument("--url", help="measure the host at this origin, which must serve benchmarks/app")
    parser.add_argument("--key", default="", help="function key for --url")
    parser.add_argument(
        "--out", type=Path, help="write results.md and results.svg there; a full run: to benchmarks/"
    )
    parser.add_argument("--work", type=Path, help="folder for databases; a real disk, not a tmpfs")
    options = parser.parse_args()
    options.profile = options.profile or "full"
    if not options.out and options.profile == "full" and not options.only and not options.url:
        options.out = HERE
    options.only = options.only or PARTS
    return options


def _measure_own_hosts(options: argparse.Namespace, work: Path, floor: Worker, inside: Worker) -> Results:
    """All of it, each part on hosts of its own; the smoke run, which measures nothing, shares one."""
    profile: str = options.profile
    effort, full, smoke = EFFORT[profile], profile == "full", profile == "smoke"
    results = Results(command="make bench" if full else f"python -m benchmarks.bench --{profile}", machine=[])
    with ExitStack() as stack:
        shared = stack.enter_context(serving(work, "shared")) if smoke else None

        def host(name: str, threads: int | None = None) -> AbstractContextManager[Host]:
            return nullcontext(shared) if shared else serving(work, name, threads=threads)

        if "fan-out" in options.only:
            with host("fan-out") as one:
                results.fan_out = _fan_outs(profile, effort, one.origin, "", floor)
            with serving(work, "in-process", options=figures.IN_PROCESS) as one:
                _say("the same with --in-process")
                results.in_process = _fan_outs(profile, effort, one.origin, "", floor, largest=1_000)
        if "cases" in options.only:
            for case in CASES:
                with host(case.name) as one:
                    results.cases += _case(case, profile, one.origin, "", floor, inside)
        if "sleepers" in options.only:
            count, repeats = (1_000, 1) if full else (20, 1) if smoke else (300, 1)
            with host("sleepers", threads=POOL) as one:
                for kind in ("async", "sync"):
                    _say(f"sleepers, {kind}")
                    results.figures.append(figures.sleeping(one.origin, "", kind, count, 0.1, repeats, floor))
    if "start" in options.only:
        _say("starting")
        results.figures += figures.starting(work, 5 if full else 0 if smoke else 3)
        instances = 100_000 if full else 100 if smoke else 10_000
        results.figures += figures.starting_full(work, instances, 1 if smoke else 3)
    if "idle" in options.only:
        _say("waiting instances")
        instances = 10_000 if full else 10 if smoke else 1_000
        results.figures += figures.idling(work, instances, 0.2 if smoke else 2)
    if "map" in options.only:
        _measure_map(results, profile, work, floor)
    results.machine = report.machine(work, next(work.glob("*.db"), None))
    return results


def _measure_map(results: Results, profile: str, work: Path, floor: Worker) -> None:
    _say("the map")
    results.mapped = figures.mapping(work, MAPS[profile], floor)
    if not results.mapped:
        results.left_out.append(f"the map: the app of this repository has no POST {figures.MAP_ROUTE}")
    elif profile == "smoke":
        results.map_costs = measure_maps(work, 20, 1)
    else:
        results.map_costs = measure_maps(work, 1_000, 5)


def _measure_url(options: argparse.Namespace, work: Path, floor: Worker, inside: Worker) -> Results:
    """What can be measured through HTTP alone; the floor is that of this machine."""
    profile: str = options.profile
    effort = EFFORT[profile]
    results = Results(
        command=f"python -m benchmarks.bench --url {options.url}", machine=report.machine(work, None)
    )
    if "fan-out" in options.only:
        results.fan_out = _fan_outs(profile, effort, options.url, options.key, floor)
    if "cases" in options.only:
        for case in CASES:
            results.cases += _case(case, profile, options.url, options.key, floor, inside)
    if "sleepers" in options.only:
        for kind in ("async", "sync"):
            results.figures.append(figures.sleeping(options.url, options.key, kind, 1_000, 0.1, 1, floor))
    results.left_out.append("start, memory, idle instances and the map: not measured through --url")
    return results


def _fan_outs(
    profile: str, effort: Effort, origin: str, key: str, floor: Worker, largest: int = 10_000
) -> list[Measured]:
    connection = Connection(origin, key)
    sizes = tuple(n for n in FAN_OUT.sizes[profile] if n <= largest)
    measured = _sizes(sizes, lambda n: measure(FAN_OUT, n, effort, connection, floor))
    connection.close()
    _say(f"{AT_ONCE[profile]} fan-outs of 5 at once")
    return [*measured, measure_at_once(AT_ONCE[profile], 5, effort, origin, key, floor)]


def _case(case: Case, profile: str, origin: str, key: str, floor: Worker, inside: Worker) -> list[Measured]:
    connection, effort = Connection(origin, key), EFFORT[profile]
    measured = _sizes(case.sizes[profile], lambda n: measure(case, n, effort, connection, floor, inside))
    connection.close()
    return measured


def _sizes(sizes: tuple[int, ...], one: Callable[[int], Measured]) -> list[Measured]:
    measured = []
    for n in sizes:
        result = one(n)
        _say(f"{result.title}, {n:,}: {result.multiple:.2f} x floor ({result.host_seconds:.4f} s)")
        measured.append(result)
    return measured


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except (RunFailed, RuntimeError, OSError, json.JSONDecodeError) as error:
        sys.exit(f"benchmark stopped: {error}")
    except KeyboardInterrupt:
        sys.exit("benchmark stopped")
