"""Every recorded exchange with the real host's HTTP front, asked of dfhost."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.front.differences import CAUSES, fits, is_as_listed, listed
from tests.front.durable import SCRIPTS, Script
from tests.front.exchanges import Answer, Front, comparable, request_of, same
from tests.front.spelled import Spellings
from tests.support.host_process import HostProcess

FOLDER = Path(__file__).parent
RECORDINGS = {path.stem: path for path in sorted((FOLDER / "recordings").glob("*.json"))}
# Bodies of 100 MB, answers that take seconds, a host process for each.
LONG = re.compile("request_framing|throttled|tuned|durable_start|exits_(?!systemexit_resp)")
HTTP_SETTINGS: dict[str, dict[str, Any]] = {
    "noprefix": {"routePrefix": ""},
    "tuned": {
        "routePrefix": "api",
        "maxOutstandingRequests": 2,
        "maxConcurrentRequests": 1,
        "dynamicThrottlesEnabled": True,
        "hsts": {"isEnabled": True, "maxAge": "10"},
        "customHeaders": {"X-Content-Type-Options": "nosniff", "X-Mine": "yes"},
    },
}

pytestmark = pytest.mark.timeout(300)


def recording(name: str) -> Any:
    return json.loads(RECORDINGS[name].read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def front_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Front]]:
    """A host that serves a recording's app, started when it is first needed; ``exits`` gets a fresh one each time."""
    running: dict[str, Front] = {}
    with ExitStack() as stack:

        def front(app: str) -> Front:
            if app not in running or app == "exits":
                folder = lay_app(tmp_path_factory.mktemp("front") / "app", app)
                # What a setting does is up to the host, so that those apps need no process of their own.
                options = ["--in-process"] if app in HTTP_SETTINGS else []
                host = stack.enter_context(HostProcess(folder, "--memory", "--quiet", *options))
                running[app] = Front(int(host.url.rpartition(":")[2]))
            return running[app]

        yield front


def lay_app(folder: Path, app: str) -> Path:
    """A copy of the app, where the host may write beside it."""
    source = FOLDER / "apps" / ("small" if app in HTTP_SETTINGS else "main")
    folder.mkdir()
    (folder / "function_app.py").write_bytes((source / "function_app.py").read_bytes())
    host_json = json.loads((FOLDER / "apps" / "main" / "host.json").read_text())
    if app in HTTP_SETTINGS:
        host_json["extensions"] = {"http": HTTP_SETTINGS[app]}
    (folder / "host.json").write_text(json.dumps(host_json))
    return folder


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.long if LONG.match(name) else ()) for name in RECORDINGS]
)
def test_answers_as_recorded(name: str, front_of: Callable[[str], Front]) -> None:
    told = recording(name)
    instead, met, wrong = listed(name), set(), []
    for ask, recorded, seen in played(told, front_of(told["app"])):
        recorded, seen = comparable(recorded), comparable(seen)
        if same(recorded, seen):
            continue
        key = next((key for key in instead if fits(key, ask)), None)
        if key and is_as_listed(instead[key], recorded, seen):
            met.add(key)
        else:
            wrong.append(f"{ask}\n  recorded {recorded}\n  here     {seen}")
    assert not wrong, f"{len(wrong)} of {len(told['exchanges'])} differ\n" + "\n".join(wrong)
    assert met == set(instead), f"listed, but as recorded: {set(instead) - met}"


def played(told: Any, front: Front) -> Iterator[tuple[str, Answer, Answer]]:
    """Each exchange of a recording: its ask, the recorded answer, the answer of the host behind `front`."""
    if script := SCRIPTS.get(told["scenario"]):
        yield from scripted(script, told["exchanges"], front)
        return
    spellings = Spellings(told["scenario"])
    exchanges = iter(told["exchanges"])
    for exchange in exchanges:
        ask, recorded = exchange["ask"], exchange["answer"]
        spelling = spellings.of(ask.partition(" [answer ")[0])
        asked = spelling(front) if spelling else request_of(ask, front.host, front.run)
        if isinstance(asked, dict):
            yield ask, recorded, asked
            continue
        seen = front.exchange(asked, then="then" in recorded)
        yield ask, recorded, seen[0]
        for answer in seen[1:]:
            exchange = next(exchanges)
            yield exchange["ask"], exchange["answer"], answer
    for thread in front.background:
        thread.join()


def scripted(script: Script, exchanges: Any, front: Front) -> Iterator[tuple[str, Answer, Answer]]:
    steps = script(front, exchanges)
    asked = next(steps)
    for number, exchange in enumerate(exchanges, start=1):
        seen = asked if isinstance(asked, dict) else front.exchange(asked)[0]
        yield exchange["ask"], exchange["answer"], seen
        if number < len(exchanges):
            asked = steps.send(seen)


def test_each_listed_difference_is_recorded() -> None:
    """A cause names exchanges that exist, and all of them together are few."""
    assert len(CAUSES) < 25
    for cause in CAUSES:
        assert cause.reason
        for scenario, exchanges in cause.exchanges.items():
            asks = [each["ask"] for each in recording(scenario)["exchanges"]]
            for key in exchanges:
                assert any(ask == key or (key.endswith("*") and ask.startswith(key[:-1])) for ask in asks), (
                    key
                )
