"""The cases: what is run, at which sizes, and what must come out. `measure` times one beside its floor."""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.client import Connection, Pace, RunFailed, run, run_many
from benchmarks.worker import Worker, processed

CONNECTIONS = 20  # over which the runs that start at once are posted


@dataclass(frozen=True)
class Case:
    """`sizes` by profile. `expected(n)` is the output a right run has.

    `in_turn`: one step after the other, so that a run of a thousand is itself many measurements.
    """

    name: str
    title: str
    sizes: dict[str, tuple[int, ...]]
    expected: Callable[[int], Any]
    input: Callable[[int], dict[str, Any]] = field(default=lambda n: {"n": n})
    in_turn: bool = False


FAN_OUT = Case(
    "fan_out",
    "fan-out",
    {"full": (5, 100, 1_000, 10_000), "quick": (5, 100, 1_000), "smoke": (5, 20)},
    processed,
)
CASES = (
    Case(
        "chain",
        "chain of activities",
        {"full": (100, 1_000, 10_000), "quick": (10, 100), "smoke": (3,)},
        processed,
        in_turn=True,
    ),
    *(
        Case(
            f"loop_of_{what.replace(' ', '_')}",
            f"loop of {what}",
            {"full": (1_000,), "quick": (100,), "smoke": (3,)},
            lambda n: n,
            in_turn=True,
        )
        for what in ("timers", "events", "entity calls", "children")
    ),
    Case(
        "drain",
        "task_any over what is left",
        {"full": (100, 1_000), "quick": (100,), "smoke": (10,)},
        processed,
    ),
    Case(
        "settled",
        "settled fan-out, 1 % fails",
        {"full": (100, 1_000, 10_000), "quick": (100, 1_000), "smoke": (100,)},
        lambda n: [None if i % 100 == 0 else i for i in range(1, n + 1)],
    ),
    Case(
        "retried",
        "retried fan-out, 20 % fail once",
        {"full": (100, 1_000, 10_000), "quick": (100, 1_000), "smoke": (10,)},
        lambda n: list(range(1, n + 1)),
    ),
    Case(
        "timers",
        "timers, due at once",
        {"full": (100, 1_000, 10_000), "quick": (100, 1_000), "smoke": (10,)},
        lambda n: n,
    ),
    Case(
        "entities",
        "entities x 100 signals",
        {"full": (10, 100), "quick": (10,), "smoke": (2,)},
        lambda n: [100] * n,
        lambda n: {"n": n, "signals": 100},
    ),
)


@dataclass
class Measured:
    """One case at one size: seconds of each repeat, the host's and the floor's, taken in turn.

    `inside`: what the SDK takes of the host's, see floor.py; empty where nobody asked.
    """

    case: str
    title: str
    n: int
    runs: int = 1
    host: list[float] = field(default_factory=list)
    floor: list[float] = field(default_factory=list)
    inside: list[float] = field(default_factory=list)

    @property
    def host_seconds(self) -> float:
        return statistics.median(self.host)

    @property
    def floor_seconds(self) -> float:
        return statistics.median(self.floor)

    @property
    def multiple(self) -> float:
        return self.host_seconds / self.floor_seconds

    @property
    def own_per_item(self) -> float:
        """Seconds: what the host adds to the replays that it cannot do without, per item."""
        return (self.host_seconds - statistics.median(self.inside)) / self.n


@dataclass(frozen=True)
class Effort:
    """Repeat until `seconds` are used up, at least `least` and at most `most` times."""

    seconds: float
    least: int
    most: int


EFFORT = {"full": Effort(2.5, 3, 60), "quick": Effort(1, 2, 30), "smoke": Effort(0, 1, 1)}
LARGE = 10_000  # items; one run of so many is itself many measurements: asked as often as the seconds allow


def measure(
    case: Case,
    n: int,
    effort: Effort,
    connection: Connection,
    floor: Worker,
    inside: Worker | None = None,
) -> Measured:
    """Floor and host in turn, so that what else happens on the machine hits both."""
    measured, pace = Measured(case.name, case.title, n), Pace()
    route, input = f"/api/run/{case.name}", case.input(n)

    def run_once() -> float:
        seconds, output = run(connection, route, input, pace)
        if output != case.expected(n):
            raise RunFailed(f"{case.name} of {n}: wrong output {str(output)[:200]}")
        return seconds

    def host() -> float:
        return statistics.median(run_once() for _ in range(in_a_row))

    def ask(sdk: Worker, times: int) -> float:
        answer = sdk.ask(case=case.name, input=input, times=times)
        if answer["output"] != case.expected(n):
            raise RunFailed(f"the floor of {case.name} of {n}: wrong output {str(answer['output'])[:200]}")
        return float(answer["seconds"])

    def ask_floor() -> float:
        if inside is not None:
            measured.inside.append(ask(inside, in_a_row))
        return ask(floor, in_a_row)

    first = ask(floor, 1) if n <= 100 else math.inf  # what is larger is long
    # Several in a row where one is short, of either: the first after the other has run finds cold caches.
    in_a_row = 5 if first < 0.01 else 3 if first < 0.05 else 1
    if first < 0.1 and effort.most > 1:  # warm-up, not counted: Python itself gets faster for a while
        for _ in range(5 if first < 0.01 else 2):
            ask_floor()
            host()
        measured.inside.clear()
    is_many = (n >= LARGE and case is not FAN_OUT) or (n >= 1_000 and case.in_turn)
    _repeat(replace(effort, least=1) if is_many else effort, measured, ask_floor, host)
    return measured


def measure_at_once(count: int, n: int, effort: Effort, origin: str, key: str, floor: Worker) -> Measured:
    """`count` fan-outs of n at once; the floor is that of `count`, one after the other.

    All of them are run for it, since one is so short that the processor's pace at that moment decides its time.
    """
    measured = Measured("at_once", f"{count} runs at once", n, runs=count)
    connections = [Connection(origin, key) for _ in range(CONNECTIONS)]

    def host() -> float:
        seconds, outputs = run_many(connections, "/api/run/fan_out", {"n": n}, count)
        if outputs != [processed(n)] * count:
            raise RunFailed(
                f"{count} fan-outs of {n}: {sum(o != processed(n) for o in outputs)} wrong outputs"
            )
        return seconds

    def ask_floor() -> float:
        return float(floor.ask(case="fan_out", input={"n": n}, times=count)["all"])

    if effort.most > 1:
        ask_floor()
        host()
    _repeat(replace(effort, least=min(7, effort.most)), measured, ask_floor, host)
    for connection in connections:
        connection.close()
    return measured


def _repeat(
    effort: Effort, measured: Measured, floor: Callable[[], float], host: Callable[[], float]
) -> None:
    until = time.perf_counter() + effort.seconds
    while len(measured.host) < effort.most:
        measured.floor.append(floor())
        measured.host.append(host())
        if len(measured.host) >= effort.least and time.perf_counter() > until:
            break
