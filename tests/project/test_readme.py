"""What the pages show is true: every command on them is run as it stands there, or listed with why it is not.

The app's own host stands where the pages have http://localhost:7071, and a `make` target is held to its recipe,
which is then run by itself: no environment in the environment, no suite in the suite.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
import json
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from textwrap import dedent

import pytest

from dfhost.app.loader import load_app
from dfhost.cli import exit_codes
from dfhost.cli.commands import COMMANDS
from dfhost.management.routes import ANY_METHOD, ROUTES
from dfhost.settings.model import DEFAULT_PORT
from fan_out import fan_out_map
from tests.conformance.differences import DIFFERENCES
from tests.front.differences import CAUSES
from tests.front.test_front import RECORDINGS, recording
from tests.support.apps import APPS, ROOT, write_app
from tests.support.host_process import Dfhost, HostProcess, clean_environment, run_dfhost
from tests.support.waiting import DEADLINE, until

PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "dfhost/README.md",
    "docs/README.md",
    "docs/commands.md",
    "docs/dfhost.md",
    "docs/fidelity.md",
    "docs/glossary.md",
    "docs/management-api.md",
    "docs/map.md",
    "docs/performance.md",
    "docs/testing.md",
]
SHOWN_URL = "http://localhost:7071"

NOT_RUN = {
    "pip install": "needs the network, and an environment of its own",
    ".venv/bin/pre-commit install": "sets up the hooks of git",
    ".venv/bin/pytest": "the suite that runs this",
    "pytest": "tests/testing/test_plugin.py runs what the page shows",
}
PIP = "pip install --quiet --disable-pip-version-check"
LINT = [
    "ruff format --check .",
    "ruff check .",
    "mypy",
    "lint-imports --no-logo --no-cache",
    "python scripts/check_version.py",
    "python scripts/doctor.py",
]
# What a target runs, once the environment is there. Where there is a reason, this is as far as the test goes.
RECIPES = {
    "make install": ([], ""),
    "make run": (["dfhost run POST /api/start-fanout"], ""),
    "make start": (["dfhost start"], ""),
    "make test": (["pytest -m 'not long and not stress'"], "the suite that runs this"),
    "make test-all": (
        [
            "coverage erase",
            "coverage run -m pytest -m 'not stress' --hypothesis-profile=thorough",
            "coverage combine --quiet",
            "coverage report",
        ],
        "the suite that runs this",
    ),
    "make test-in-process": (
        ["TEST_START_OPTIONS=--in-process pytest -m 'not long' tests/conformance tests/e2e tests/front"],
        "takes a minute",
    ),
    "make lint": (LINT, "takes half a minute; make check begins with it"),
    "make check": ([*LINT, "pytest -m 'not long and not stress'"], "the suite that runs this"),
    "make package": (
        [
            f"python -c 'import build, twine' 2>&- || {PIP} -e '.[package]'",
            "rm -rf dist",
            "python -m build",
            "twine check --strict dist/*",
            "python scripts/check_wheel.py dist/*.whl",
        ],
        "needs the network, and an environment of its own",
    ),
    "make fuzz": (
        ['FUZZ_REQUESTS="50000" pytest tests/http/test_random_requests.py --timeout=7200'],
        "takes a minute",
    ),
    "make crash": (
        ["CRASH_ROUNDS=\"500\" pytest -m 'stress' --timeout=7200 -rP"],
        "takes many minutes",
    ),
    "make e2e": (['BASE_URL="" FUNCTIONS_KEY="" pytest tests/e2e'], "part of the suite that runs this"),
    f"make e2e BASE_URL={SHOWN_URL}": (
        [f'BASE_URL="{SHOWN_URL}" FUNCTIONS_KEY="" pytest tests/e2e'],
        "the same, for another host",
    ),
    "make bench": (
        [
            f"python -c 'import matplotlib' 2>&- || {PIP} -e '.[bench]'",
            "python -m benchmarks.bench",
        ],
        "takes minutes",
    ),
    "make bench-peers": (["python -m benchmarks.peers"], "takes minutes, and the network"),
}

# The folder that the README calls your-app.
YOUR_APP = """
    @app.route(route="your-starter", methods=["POST"])
    @app.durable_client_input(client_name="client")
    async def start(req: func.HttpRequest, client) -> func.HttpResponse:
        given = req.get_json()
        name = "bounded" if isinstance(given, list) else "waits" if given == "wait" else "repeats"
        id = await client.start_new(name, client_input=given)
        return client.create_check_status_response(req, id)

    @app.orchestration_trigger(context_name="context")
    def repeats(context):
        return (yield context.call_activity("repeat", context.get_input()))

    @app.activity_trigger(input_name="given")
    def repeat(given: dict) -> dict:
        return given

    @app.activity_trigger(input_name="item")
    def process_item(item: str) -> str:
        return item.upper()

    @app.orchestration_trigger(context_name="context")
    def waits(context):
        return (yield context.wait_for_external_event("Approval"))

    @app.queue_trigger(arg_name="order", queue_name="orders", connection="Storage")
    def on_order(order: func.QueueMessage) -> None:
        assert order.get_json()["id"] == 7
"""


# -- reading the pages ---------------------------------------------------------------------------------------------
def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def prompts(page: str) -> list[tuple[str, list[str]]]:
    """Each command behind a `$`, and the lines shown under it. A quote that is open goes on in the next line."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```(?:console|sh|shell|bash)\n(.*?)^```", text(page), re.M | re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found and unfinished(found[-1][0]):
                found[-1] = (f"{found[-1][0]}\n{line}", [])
            elif line or (found and found[-1][1]):
                assert found, f"{page}: a command without a $: {line}"
                found[-1][1].append(line)
    return [(command, "\n".join(shown).rstrip().splitlines()) for command, shown in found]


def python_blocks(page: str) -> list[str]:
    blocks = re.findall(r"^```python\n(.*?)^```", text(page), re.M | re.S)
    assert blocks
    return list(blocks)


def unfinished(command: str) -> bool:
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return True
    return command.endswith("\\")


def mentions(page: str) -> list[str]:
    """The commands within sentences and tables."""
    prose = re.sub(r"^```.*?^```", "", text(page), flags=re.M | re.S)
    spans = re.findall(r"`([^`]+)`", prose)
    return [
        span
        for span in spans
        if re.match(r"(make|dfhost|pip|azd|func|sqlite3|curl|pytest|\.venv/bin/\S+) \S", span)
    ]


def plain(command: str) -> str:
    """Without the comment at its end, each space once."""
    return " ".join(shlex.split(command, comments=True))


SHOWN = [(page, command, shown) for page in PAGES for command, shown in prompts(page)]
SHOWN_PLAIN = {plain(command) for _, command, _ in SHOWN}
MENTIONED = {command: page for page in PAGES for command in mentions(page)}
ALL = SHOWN + [
    (page, command, []) for command, page in MENTIONED.items() if plain(command) not in SHOWN_PLAIN
]


def shows(actual: list[str], shown: list[str], *, among_others: bool = False) -> None:
    """That `shown` is in `actual`: "…" stands for anything, times and ids for others, a line of "…" for lines.

    `among_others`: between all the lines there may be more.
    """
    at, gap = 0, False
    for wanted in [line for line in shown if line.strip() or not among_others]:
        if wanted.strip() == "…":
            gap = True
            continue
        candidates = actual[at:] if gap or among_others else actual[at : at + 1]
        for number, line in enumerate(candidates):
            if re.fullmatch(pattern(wanted), line.rstrip()):
                at += number + 1
                break
        else:
            raise AssertionError(f"not there: {wanted}\n" + "\n".join(actual))
        gap = False
    assert gap or among_others or not actual[at:], f"not shown: {actual[at:]}"


# What differs from run to run on a page -> what may be in its place.
VARYING = {
    "…": ".*",
    r"\d\d:\d\d:\d\d\.\d{3}": r"\d\d:\d\d:\d\d\.\d{3}",
    r"\b[0-9a-f]{8,32}(?![0-9a-z])": "[0-9a-f]+",
    r"<?\d[\d.]* m?s\b": r"<?\d[\d.]* m?s",
    "localhost:7071": r"localhost:\d+",
    " +": " +",
}


def pattern(line: str) -> str:
    parts = re.split(f"({'|'.join(VARYING)})", line.rstrip())
    return "".join(
        next(place for varies, place in VARYING.items() if re.fullmatch(varies, part))
        if number % 2
        else re.escape(part)
        for number, part in enumerate(parts)
    )


# -- the hosts -----------------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def your_app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (lanes,) = python_blocks("docs/dfhost.md")
    folder = write_app(tmp_path_factory.mktemp("made") / "your-app", f"{dedent(YOUR_APP)}\n{lanes}")
    (folder / "host.json").write_text(
        '{"version": "2.0", "extensions": {"durableTask": {"hubName": "Yours"}}}'
    )
    return folder


@pytest.fixture(scope="module")
def yours(your_app: Path) -> Iterator[HostProcess]:
    with HostProcess(your_app) as host:
        host.client.request("POST", "/admin/queues/orders", {"message": '{"id": 8}'})  # which fails
        until(lambda: host.client.request("GET", "/admin/queues").body, lambda queues: len(queues) == 2)
        yield host


# -- running what they say -----------------------------------------------------------------------------------------
def kind(command: str) -> str:
    """Which of the tests below runs it; "" if none does."""
    words = plain(command)
    for prefix in NOT_RUN:
        if words == prefix or words.startswith(prefix + " "):
            return "not run"
    if words in RECIPES:
        return "make"
    if words.startswith("curl ") and SHOWN_URL in words:
        return "curl"
    if (verb := re.match(r"dfhost ([\w-]+)( |$)", words)) and verb[1] in COMMANDS:
        return "dfhost"
    if words.startswith("sqlite3 .dfhost/FanOutHub.db "):
        return "sqlite3"
    return "cd" if words == "cd your-app" else ""


def of_kind(wanted: str) -> pytest.MarkDecorator:
    """The commands of this kind. `make test` runs those of the README, `make test-all` those of every page."""
    several = [(page, command, shown) for page, command, shown in ALL if kind(command) == wanted]
    assert several, f"no page has a command for {wanted}: remove its test"
    return pytest.mark.parametrize(
        ("command", "shown"),
        [
            pytest.param(
                command,
                shown,
                id=f"{page}-{plain(command)[:60]}",
                marks=() if page == "README.md" else pytest.mark.long,
            )
            for page, command, shown in several
        ],
    )


def test_every_command_is_run_or_listed_with_the_reason_why_not() -> None:
    assert len(prompts("README.md")) >= 10
    assert [f"{page}: {command}" for page, command, _ in ALL if not kind(command)] == []


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
@of_kind("make")
def test_a_make_target_and_what_it_runs(
    command: str, shown: list[str], request: pytest.FixtureRequest
) -> None:
    recipe, not_further = RECIPES[plain(command)]
    installing = expanded("install") + expanded("runtime")
    assert [line for line in expanded(*plain(command).split()[1:]) if line not in installing] == recipe
    for line in recipe:
        for word in shlex.split(line):
            if re.fullmatch(r"benchmarks\.\w+", word):
                assert importlib.util.find_spec(word), word
            elif "/" in word and not re.search(r"^/|=|>|^dist/", word):
                assert (ROOT / word).exists(), word
    if not_further or not recipe:
        return
    words = shlex.split(recipe[0])[1:]
    if words == ["start"]:
        host = request.getfixturevalue("served")
        links = start_fan_out(host)
        host.line(rf"finished +fan_out_fan_in_orchestrator .*{links['id']}")
        shows(host.lines, shown, among_others=True)
        return
    done = run_dfhost(*words, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    if shown:
        shows(done.stdout.splitlines(), shown)


@functools.cache
def expanded(*words: str) -> list[str]:
    """The lines that `make` would run, without where the environment is."""
    clean = {name: value for name, value in clean_environment().items() if name not in MAKE_READS}
    done = subprocess.run(
        ["make", "-n", "--always-make", *words],
        cwd=ROOT,
        env=clean,
        capture_output=True,
        text=True,
        check=True,
    )
    return [line.replace(".venv/bin/", "") for line in done.stdout.splitlines()]


MAKE_READS = (
    "MAKEFLAGS",
    "MFLAGS",
    "MAKELEVEL",
    "MAKEFILES",
    "BASE_URL",
    "FUNCTIONS_KEY",
    "PYTHON",
    "VENV",
    "EXTRA",
    "TESTS",
)


def start_fan_out(host: HostProcess) -> dict[str, str]:
    return dict(host.client.request("POST", "/api/start-fanout").body)


@pytest.mark.skipif(not shutil.which("curl") or not shutil.which("sh"), reason="needs a shell and curl")
@of_kind("curl")
def test_a_request(command: str, shown: list[str], served: HostProcess) -> None:
    run = named_run(command, served)
    done = subprocess.run(
        ["sh", "-c", rf"{run} -sS -w '\n%{{http_code}}'"],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stderr
    *lines, status = done.stdout.splitlines()
    if shown:
        shows(lines, shown, among_others="-i" in shlex.split(command))
    refused = any('{"error":' in line for line in shown)
    assert (400 <= int(status) < 500) if refused else (200 <= int(status) < 300), done.stdout
    if status == "202" and (links := re.search(r'^\{"id".*', done.stdout, re.M)):
        follow(json.loads(links[0]), served)


def named_run(command: str, host: HostProcess) -> str:
    """The command for this host; an id that a page leaves open is that of a map made for it, with one failure."""
    open_id = re.compile(r"(?<=/api/maps/)[^/\s'\"?]+")
    if open_id.search(command):
        items = ["account-01.csv", "account-13.csv"]
        body = {
            "items": items,
            "activity": "reconcile_statement",
            "tolerated_failure_count": 1,
            "retry": {"max_attempts": 2, "first_interval_seconds": 0.01},  # of a service that is flaky
        }
        links = host.client.request("POST", "/api/start-map", body).body
        follow(links, host)
        command = open_id.sub(links["id"], command)
    return command.replace(SHOWN_URL, host.url)


def follow(links: dict[str, str], host: HostProcess) -> None:
    """As the README says: GET the statusQueryGetUri until the runtimeStatus is Completed."""
    status = until(
        lambda: host.client.request("GET", links["statusQueryGetUri"]).body,
        lambda status: status["runtimeStatus"] not in ("Pending", "Running"),
    )
    assert status["runtimeStatus"] == "Completed" and status["output"], status


@of_kind("dfhost")
def test_a_command_of_dfhost(
    command: str,
    shown: list[str],
    your_app: Path,
    yours: HostProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    dfhost_here: Dfhost,
) -> None:
    verb, *rest = shlex.split(command, comments=True)[1:]
    if verb == "start":
        assert rest == []
        assert SHOWN_URL.endswith(f":{DEFAULT_PORT}")
        assert yours.url
        if "state in .dfhost/<hub>.db" in command:
            assert (your_app / ".dfhost" / "Yours.db").is_file()
    elif verb == "run" and rest:
        is_yours = "/api/your-starter" in rest
        done = run_dfhost(verb, *rest, cwd=your_app if is_yours else ROOT)
        assert done.returncode == 0, done.stderr
        output = json.loads(done.stdout)
        if is_yours:
            assert output == json.loads(rest[rest.index("--data") + 1])
        if shown:
            shows(done.stdout.splitlines(), shown)
            return
    elif command in [other for _, other, _ in SHOWN]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("DFHOST_URL", yours.url)
        run = run_in_shell if re.search("[|>]", command) else dfhost_here
        said = run_as_it_stands(command, yours, run)
        if shown:
            shows(said.splitlines(), shown)
            return
    else:
        with pytest.raises(SystemExit) as ended:
            dfhost_here(verb, "--help")  # a mention
        assert ended.value.code == 0
    assert shown == [], "compare it"


def run_as_it_stands(command: str, host: HostProcess, run: Dfhost) -> str:
    """Its output, while an instance waits, another is suspended and a third has failed."""
    waits, suspended = (host.start_instance("/api/your-starter", "wait") for _ in range(2))
    host.client.ended(host.client.start("bounded", 5))
    for id in (waits, suspended):
        host.client.until(id, lambda status: status["runtimeStatus"] == "Running")
    host.client.send(suspended, "suspend")
    host.client.until(suspended, lambda status: status["runtimeStatus"] == "Suspended")
    command = command.replace("INSTANCE_ID", waits)
    done = run(command) if run is run_in_shell else run(*shlex.split(command, comments=True)[1:])
    nothing_so_old = done.returncode == 4 and " --until 7d " in command
    assert done.returncode == 0 or nothing_so_old, (done.stdout, done.stderr)
    return str(done.stdout)
    if "dfhost explain" in command:
        assert waits in done.stdout and "event Approval" in done.stdout


def run_in_shell(command: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        env=clean_environment(PATH=path),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )


@of_kind("sqlite3")
def test_the_file_can_be_read_while_the_host_runs(
    command: str, shown: list[str], served: HostProcess
) -> None:
    # With Python's own sqlite3: the program need not be there.
    links = start_fan_out(served)
    follow(links, served)
    hub = served.line(r"Task hub in (.+FanOutHub\.db)")[1]
    with closing(sqlite3.connect(f"file:{hub}?mode=ro", uri=True)) as database:
        assert len(database.execute(shlex.split(command)[2]).fetchall()) > 5
        tables = {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}
    named = re.search(r"explains the tables: (.*)\.", text("dfhost/README.md"))
    assert named and set(re.findall(r"`(\w+)`", named[1])) <= tables


def test_every_command_listed_as_not_run_is_on_a_page() -> None:
    unused = {prefix for prefix in NOT_RUN if not any(plain(c).startswith(prefix) for _, c, _ in ALL)}
    assert unused == set(), "list it no more"
    assert {plain(c) for _, c, _ in ALL if kind(c) == "make"} == set(RECIPES), "list it no more"


# -- what else they say --------------------------------------------------------------------------------------------
@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md", "benchmarks/README.md"])
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", text(page)):
        if "://" not in target:
            assert (ROOT / page).parent.joinpath(target).exists(), f"{page}: {target}"


def test_the_readme_is_short_and_the_index_has_every_page() -> None:
    assert len(text("README.md").splitlines()) <= 130
    listed = set(re.findall(r"\]\((\w[\w-]*\.md)\)", text("docs/README.md")))
    assert listed == {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}


def test_nothing_is_left_to_be_filled_in() -> None:
    for page in PAGES:
        assert re.findall(r"^[A-Z]+_[A-Z_]+$|\b(?:TODO|TBD|FIXME)\b", text(page), re.M) == [], page


def test_the_line_of_python_is_a_call_that_fan_out_map_takes() -> None:
    for block in python_blocks("README.md"):
        for node in ast.walk(ast.parse(f"def orchestrator(context):\n {block}")):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id == "fan_out_map"
                keywords = {keyword.arg: None for keyword in node.keywords if keyword.arg}
                inspect.signature(fan_out_map).bind(*node.args, **keywords)


@pytest.mark.long
def test_the_lanes_run_as_they_stand_on_the_page(your_app: Path) -> None:
    items = ["a", "b", "c", "d", "e", "f", "g"]
    done = run_dfhost("run", "POST", "/api/your-starter", "--data", json.dumps(items), cwd=your_app)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["A", "F"], ["B", "G"], ["C"], ["D"], ["E"]]


def table(header: str) -> dict[str, list[str]]:
    """The rows of docs/dfhost.md under the table's `header`: the first cell, and the others."""
    lines = text("docs/dfhost.md").split(f"\n{header}\n", 1)[1].splitlines()[1:]
    rows = [re.split(r"(?<!\\)\|", line.strip("| ")) for line in lines[: lines.index("")]]
    return {row[0].strip(): [cell.strip() for cell in row[1:]] for row in rows}


# By the words that its row begins with: scenarios of differences.py, and tests for what has no recording.
PROVED_BY = {
    "values mixed up": (
        "same_task_in_all failed_all_with_retry",
        "test_a_task_id_conflict_fails_names_both_tasks_and_says_what_to_write",
    ),
    "unknown activity, child or entity": (
        "unknown_activity sub_unknown entity_unknown",
        "test_a_version_that_never_matches test_a_childs_id_that_can_never_start",
    ),
    "code that changed": (
        "nondeterministic nd_changed_name",
        "test_changed_code_fails_and_the_history_can_still_be_read",
    ),
    "an output that cannot be serialised": (
        "status_size bad_output class_output_caught",
        "test_a_failure_is_described_by_its_cause",
    ),
    "timers": ("", "test_a_timer_is_never_early_and_says_when_it_fired"),
    "an entity reply": (
        "entity_bad_state",
        "test_an_answer_that_cannot_be_serialised_fails_that_operation_alone",
    ),
    "JSON bodies": (
        "http_start_bodies",
        "test_json_that_only_newtonsoft_reads_is_refused test_events_arrive_as_they_were_sent",
    ),
    "a child that is given the id": (
        "sub_existing_running",
        "test_a_child_whose_id_is_taken_is_refused_as_a_failure_of_its_call",
    ),
    "several starts of one id": (
        "",
        "test_the_id_of_a_running_instance_is_refused_and_that_of_an_ended_one_reused",
    ),
    "`hubName": ("", "test_a_missing_setting_gives_the_hub_its_own_name_and_that_is_noted"),
    "an instance that waits": (
        "",
        "test_a_waiting_instance_says_what_it_waits_for test_explain_says_what_an_instance_waits_for "
        "test_what_a_child_of_a_child_waits_for",
    ),
    "an event whose name is misspelt": (
        "",
        "test_a_misspelt_event_name_is_noted_once_and_the_event_kept "
        "test_a_request_that_the_management_api_refuses_is_logged_with_its_reason "
        "test_an_event_whose_name_differs_in_case",
    ),
    "code that is not deterministic": (
        "",
        "test_replays_in_every_episode_find_it_in_the_next test_a_long_history_finds_it_when_it_has_grown_fourfold",
    ),
    "a call without `yield`": (
        "",
        "test_in_an_orchestrator test_a_missing_await test_a_request_by_a_library "
        "test_a_function_of_the_app_that_returns_what_differs",
    ),
    "an orchestrator that is an `async def`": (
        "",
        "test_an_orchestrator_that_is_async test_a_name_that_the_app_does_not_have "
        "test_what_a_client_starts_and_signals test_a_blueprint_that_is_not_registered_is_named",
    ),
    "`continue_as_new` again and again": ("", "test_a_loop_of_continue_as_new_without_a_wait"),
    "an orchestrator that yields None": ("", "test_an_orchestrator_that_yields_none_fails_and_says_so"),
}


def test_every_difference_is_documented_and_every_documented_one_is_tested() -> None:
    rows = list(table("| | the extension | dfhost |"))
    proved = {row: [start for start in PROVED_BY if row.startswith(start)] for row in rows}
    assert [row for row, starts in proved.items() if len(starts) != 1] == [], "the page's, with no test named"
    assert {start for starts in proved.values() for start in starts} == set(PROVED_BY), (
        "the page has it no more"
    )
    scenarios = " ".join(scenarios for scenarios, _ in PROVED_BY.values()).split()
    assert sorted(scenarios) == sorted(DIFFERENCES), "each in one row"
    named = {name for _, tests in PROVED_BY.values() for name in tests.split()}
    assert named - defined_tests() == set()


def defined_tests() -> set[str]:
    found: set[str] = set()
    for file in (ROOT / "tests").rglob("test_*.py"):
        found.update(re.findall(r"^(?:async )?def (test_\w+)", file.read_text(encoding="utf-8"), re.M))
    return found


def test_the_counts_of_what_was_compared() -> None:
    scenarios = len(list((ROOT / "tests/conformance/recordings").rglob("*.json")))
    differing = len(DIFFERENCES)
    reasons = len({difference.reason for difference in DIFFERENCES.values()})
    page = text("docs/fidelity.md")
    assert f"| {scenarios} scenarios | {scenarios - differing} | {differing}, for {reasons} reasons |" in page
    exchanges = sum(len(recording(name)["exchanges"]) for name in RECORDINGS)
    assert f"| {exchanges:,} exchanges in {len(RECORDINGS)} scenarios |" in page
    assert f", for {len(CAUSES)} reasons |" in page
    durable, front = (
        page.split(f"\n{header}\n", 1)[1].split("\n\n", 1)[0].splitlines()[1:]
        for header in ("| dfhost | because on the real host |", "| dfhost | why |")
    )
    assert (len(durable), len(front)) == (reasons, len(CAUSES)), "a row for each reason"


def test_the_triggers_that_are_named_are_there_and_are_run_by_a_test() -> None:
    rows = table("| | |")
    others = next(row for row in rows if row.endswith("and other triggers"))
    names = re.split(r", ", others.removesuffix(" and other triggers"))
    assert len(names) >= 6
    loaded = {function.trigger["type"].lower() for function in load_app(APPS / "triggers").functions}
    for name in names:
        squeezed = name.lower().replace(" ", "")
        assert {f"{squeezed}trigger", f"{squeezed.rstrip('s')}trigger"} & loaded, name
    assert {
        "test_every_function_but_http_can_be_run",
        "test_outputs_for_services_that_are_not_there_are_logged",
        "test_a_timer_runs_when_it_is_due_and_not_before",
    } <= defined_tests()
    assert "POST /admin/functions/{name}" in rows[others][0]


def test_every_route_of_the_management_api_is_in_its_table() -> None:
    rows = re.findall(r"^\| ([A-Za-z ]+) \| `(\S+)` \|", text("docs/management-api.md"), re.M)
    named = [(methods.replace("any", ANY_METHOD), path) for methods, path in rows]
    assert named == [(methods, path) for methods, path, _ in ROUTES]


def test_every_verb_and_exit_code_is_in_its_table() -> None:
    page = text("docs/commands.md")
    rows = re.findall(r"^\| (`dfhost .*?) \|", page, re.M)
    assert re.findall(r"`dfhost ([\w-]+)`", " ".join(rows)) == list(COMMANDS)
    codes = {value for name, value in vars(exit_codes).items() if name.isupper()}
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.M)} == codes


def test_the_versions_that_are_named() -> None:
    sdk = re.search(r"all of `azure-functions-durable` ([\d.]+)", text("docs/dfhost.md"))
    assert sdk and version("azure-functions-durable").startswith(sdk[1] + ".")
    python = re.search(r"Python (3\.\d+) or newer", text("README.md"))
    project = text("pyproject.toml")
    assert python and f'requires-python = ">={python[1]}"' in project
    assert f'target-version = "py{python[1].replace(".", "")}"' in project
    assert f'python_version = "{python[1]}"' in project


def test_the_parts_that_are_named_are_there() -> None:
    parts = [row for row in table_of_parts() if not row.startswith("|")]
    assert len(parts) >= 8
    for part in parts:
        assert (ROOT / "dfhost" / part).exists(), part


@pytest.mark.parametrize("page", PAGES)
def test_the_files_that_are_named_are_there_and_have_the_names_beside_them(page: str) -> None:
    """ "`file.py` (`name`)" and "`name` (`file.py`)": the page says that the file defines the name."""
    file = r"`((?:[\w.-]+/)+[\w-]+\.(?:py|sql)|(?:dfhost|fan_out|tests)(?:/[\w-]+)+/?)`"
    said = re.findall(rf"{file}(?: \(`([\w.]+)`)?", text(page))
    said += [(path, name) for name, path in re.findall(rf"`([A-Za-z_][\w.]*)` \({file}", text(page))]
    for path, name in said:
        found = [folder / path for folder in (ROOT, (ROOT / page).parent) if (folder / path).exists()]
        assert found, f"{page}: {path}"
        for part in name.split("."):
            defines = rf"^\s*(?:(?:async )?def|class) {part}\b|^{part}\b.*="
            assert not part or re.search(defines, found[0].read_text("utf-8"), re.M), (
                f"{page}: {name} in {path}"
            )


def table_of_parts() -> list[str]:
    rows = re.findall(r"^\| (`[^|]*) \|", text("dfhost/README.md"), re.M)
    return [name for row in rows for name in re.findall(r"`([\w/.]+)`", row)]
