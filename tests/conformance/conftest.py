"""Chooses the host under test and plays, once and many at a time, every scenario that the session's tests need."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.host_process import HostProcess

from .scenarios import SCENARIOS, Scenario
from .scene import Host, Scene

APP = Path(__file__).parent / "app"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--base-url",
        default=os.environ.get("CONFORMANCE_URL", ""),
        help="test the host at this URL, which serves tests/conformance/app, instead of starting dfhost",
    )


@dataclass
class Played:
    """A scenario's answer, or the error that ended it; `names`: its ids as the recording calls them."""

    base: str
    answer: Any = None
    error: Exception | None = None
    names: dict[str, str] = field(default_factory=dict)


def base_url(config: pytest.Config) -> str:
    """The URL of another host to test, "" for dfhost."""
    given = config.getoption("--base-url", default="") or os.environ.get("CONFORMANCE_URL", "")
    return str(given).rstrip("/")


@pytest.fixture(scope="session")
def on_dfhost(pytestconfig: pytest.Config) -> bool:
    return not base_url(pytestconfig)


@contextmanager
def dfhost_url() -> Iterator[str]:
    """The URL of a dfhost that serves the conformance app from a database that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        with HostProcess(APP, "--db", Path(folder) / "hub.db") as host:
            yield host.url.replace("localhost", "127.0.0.1")


@pytest.fixture(scope="session")
def played(request: pytest.FixtureRequest) -> Iterator[dict[str, Played]]:
    """The scenarios that the session's tests need, by name."""
    wanted = set()
    for item in request.session.items:
        scenario = item.callspec.params.get("scenario") if hasattr(item, "callspec") else None
        if isinstance(scenario, Scenario):
            wanted.add(scenario.name)
    foreign = base_url(request.config)
    with nullcontext(foreign) if foreign else dfhost_url() as base:
        # Another host may be far slower; a long deadline does not slow down a wait that succeeds.
        jobs = int(os.environ.get("CONFORMANCE_JOBS", "8" if foreign else "24"))
        deadline = float(os.environ.get("CONFORMANCE_DEADLINE", "90" if foreign else "45"))
        scenarios = [scenario for scenario in SCENARIOS.values() if scenario.name in wanted]
        yield asyncio.run(play_all(base, scenarios, jobs, deadline))


async def play_all(base: str, scenarios: Iterable[Scenario], jobs: int, deadline: float) -> dict[str, Played]:
    """The scenarios that do not disturb each other, `jobs` at a time; then the others one by one."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(
        connector=connector, timeout=aiohttp.ClientTimeout(total=deadline)
    ) as session:
        host = Host(base, session, deadline)
        await host.prepare()
        gate = asyncio.Semaphore(jobs)

        async def gated(scenario: Scenario) -> tuple[str, Played]:
            async with gate:
                return scenario.name, await play(host, scenario)

        together = [scenario for scenario in scenarios if not scenario.alone]
        done = dict(await asyncio.gather(*(gated(scenario) for scenario in together)))
        for scenario in scenarios:
            if scenario.alone:
                done[scenario.name] = await play(host, scenario)
    return done


async def play(host: Host, scenario: Scenario) -> Played:
    scene = Scene(host)
    try:
        answer = await asyncio.wait_for(scenario.play(scene), 3 * host.deadline)
        return Played(host.base, answer, names=scene.names)
    except Exception as error:
        return Played(host.base, error=error, names=scene.names)
