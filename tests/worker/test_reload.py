"""`dfhost start` loads the app again when its files change, and no call fails or gets lost over it."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.support.apps import HEAD
from tests.support.host_process import HostProcess
from tests.support.http_client import HttpClient, Response
from tests.support.waiting import until

T = TypeVar("T")

COMMON = """
import os, pathlib, time

VERSION = "{version}"
scratch = pathlib.Path(os.environ["SCRATCH"])

def wait_for(name: str) -> None:
    (scratch / f"{{name}}.waits").touch()
    while not (scratch / name).exists():
        time.sleep(0.005)

@app.route("version")
def version(req: func.HttpRequest) -> str:
    return VERSION

@app.route("wait/{{name}}")
def wait(req: func.HttpRequest) -> str:
    wait_for(req.route_params["name"])
    return VERSION

@app.activity_trigger(input_name="name")
def work(name: str) -> str:
    wait_for(name)
    return VERSION

@app.activity_trigger(input_name="x")
def quick(x: int) -> str:
    return VERSION
"""
TWO_STEPS = """
@app.orchestration_trigger(context_name="context")
def two_steps(context):
    first = yield context.call_activity("work", context.get_input())
    second = yield context.call_activity("quick", 1)
    return [first, second]
"""


class EditedApp:
    """An app in a folder, and the host that serves it."""

    def __init__(self, folder: Path, host: HostProcess) -> None:
        self.folder, self.host = folder, host
        self.scratch = folder / ".scratch"

    @property
    def client(self) -> HttpClient:
        return self.host.client

    def save(self, text: str, name: str = "function_app.py") -> None:
        """As editors do: a new file takes the place of the old one."""
        save(self.folder / name, text)

    def reload(self, version: str, body: str = "") -> str:
        """Save an app and wait until it is loaded. The line that says so."""
        return self.after("The app is loaded", lambda: self.save(app_text(version, body)))

    def after(self, words: str, change: Callable[[], object]) -> str:
        """The first line with `words` that is printed once `change` is made."""
        known = len(self.lines(words))
        change()
        return until(lambda: self.lines(words)[known:], bool)[0]

    def lines(self, words: str) -> list[str]:
        return [line for line in self.host.lines if words in line]

    def get(self, path: str) -> Response:
        return self.client.request("GET", f"/api/{path}")

    def waits(self, instance_id: str) -> list[str]:
        """The kinds of tasks that the instance waits for."""
        explained = self.client.manage("GET", f"instances/{instance_id}?explain=true").body
        return [each["kind"] for each in explained["waitsFor"]]

    def until_waits(self, *names: str) -> None:
        for name in names:
            until((self.scratch / f"{name}.waits").exists, bool)

    def release(self, *names: str) -> None:
        for name in names:
            (self.scratch / name).touch()


def app_text(version: str, body: str = "") -> str:
    return HEAD + COMMON.format(version=version) + body


def save(file: Path, text: str) -> None:
    temporary = file.with_name(f"{file.name}.tmp")
    temporary.write_text(text)
    os.replace(temporary, file)


def in_thread(call: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()
    threading.Thread(target=lambda: future.set_result(call()), daemon=True).start()
    return future


def make_app(folder: Path) -> Path:
    (folder / ".scratch").mkdir(parents=True)
    save(folder / "function_app.py", app_text("start", TWO_STEPS))
    save(folder / "host.json", json.dumps({"version": "2.0"}))
    return folder


def start_host(folder: Path, *arguments: str) -> HostProcess:
    return HostProcess(folder, "--memory", "--workers", "1", *arguments, SCRATCH=str(folder / ".scratch"))


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EditedApp]:
    folder = make_app(tmp_path_factory.mktemp("reload") / "app")
    with start_host(folder) as host:
        yield EditedApp(folder, host)


@pytest.mark.long
def test_calls_under_way_end_with_the_old_code_and_all_later_ones_get_the_new(app: EditedApp) -> None:
    app.reload("old", TWO_STEPS)
    request = in_thread(lambda: app.get("wait/request"))
    instance_id = app.client.start("two_steps", "activity")
    app.until_waits("request", "activity")
    app.reload("new", TWO_STEPS)
    assert app.get("version").plain == (200, "new")
    app.release("request", "activity")
    assert request.result().plain == (200, "old")
    assert app.client.output(instance_id) == ["old", "new"]


@pytest.mark.long
def test_a_mistake_is_shown_and_the_old_code_goes_on_until_it_is_mended(app: EditedApp) -> None:
    app.reload("good")
    syntax = app.after("The app goes on as it was", lambda: app.save(app_text("bad", "x = (\n")))
    assert "function_app.py cannot be imported: SyntaxError: '(' was never closed" in syntax
    assert any(line.endswith("    x = (") for line in app.host.lines)
    assert app.get("version").plain == (200, "good")
    imported = app.after(
        "The app goes on as it was", lambda: app.save(app_text("bad", "import nothing_such\n"))
    )
    assert imported.endswith("ModuleNotFoundError: No module named 'nothing_such'")
    ended = app.after("The app goes on as it was", lambda: app.save(app_text("bad", "os._exit(7)\n")))
    assert ended.endswith("The app's worker process ended while it loaded the app (exit code 7).")
    route = '@app.route("two/{id")\ndef two(req: func.HttpRequest) -> str: return ""\n'
    refused = app.after("The app goes on as it was", lambda: app.save(app_text("bad", route)))
    assert "Function 'two' has the route 'two/{id', which no request can match" in refused
    assert app.get("version").plain == (200, "good")
    app.reload("mended")
    assert app.get("version").plain == (200, "mended")


@pytest.mark.long
def test_an_import_that_hangs_is_given_up_at_the_next_save(app: EditedApp) -> None:
    app.reload("before")
    app.after("has changed", lambda: app.save(app_text("hangs", "wait_for('never')\n")))
    app.until_waits("never")
    assert app.get("version").plain == (200, "before")
    app.reload("after")
    assert app.get("version").plain == (200, "after")


@pytest.mark.long
def test_the_tables_of_the_host_follow(app: EditedApp) -> None:
    first = """
@app.route("old-route/{id}")
def moved(req: func.HttpRequest) -> str:
    return req.route_params["id"]

@app.route("removed")
def removed(req: func.HttpRequest) -> str:
    return ""

@app.orchestration_trigger(context_name="context")
def ends_soon(context):
    return "x"
"""
    app.reload("tables", first)
    assert app.get("old-route/5").plain == (200, 5)
    second = (
        first.replace("old-route", "new-route").replace("removed", "added").replace("ends_soon", "begins")
    )
    line = app.reload("tables", second)
    assert line.endswith(
        "The app is loaded (7 functions; 2 new: added, begins; 1 changed: moved; 2 gone: removed, ends_soon)."
    )
    assert (app.get("old-route/5").status, app.get("removed").status) == (404, 404)
    assert (app.get("new-route/5").plain, app.get("added").status) == ((200, 5), 200)
    assert app.client.output(app.client.start("begins")) == "x"
    gone = app.client.ended(app.client.start("ends_soon"))
    assert gone["runtimeStatus"] == "Failed" and "The function 'ends_soon' doesn't exist" in gone["output"]
    listed = {each["name"]: each for each in app.client.request("GET", "/admin/functions").body}
    assert "removed" not in listed
    assert listed["moved"]["invoke_url_template"].endswith("/api/new-route/{id}")


@pytest.mark.long
def test_a_timer_function_follows_its_new_schedule(app: EditedApp) -> None:
    timer = """
@app.timer_trigger(schedule="{schedule}", arg_name="tick")
def ticks(tick: func.TimerRequest) -> None:
    (scratch / "ticks").open("a").write(VERSION + " ")
"""
    app.reload("never", timer.format(schedule="0 0 0 29 2 *"))
    app.reload("often", timer.format(schedule="* * * * * *"))
    until(lambda: (app.scratch / "ticks").exists() and (app.scratch / "ticks").read_text(), bool)
    app.reload("never again", timer.format(schedule="0 0 0 29 2 *"))
    assert set((app.scratch / "ticks").read_text().split()) == {"often"}


APPROVAL = """
@app.orchestration_trigger(context_name="context")
def approval(context):
    before = yield context.call_activity("quick", 1)
    answer = yield context.wait_for_external_event("{event}")
    return [before, answer, VERSION]
"""


@pytest.mark.long
def test_an_instance_goes_on_with_the_new_code(app: EditedApp) -> None:
    app.reload("old", APPROVAL.format(event="approved"))
    instance_id = app.client.start("approval")
    app.client.until(instance_id, lambda status: status["runtimeStatus"] == "Running")
    app.reload("new", APPROVAL.format(event="decided"))
    app.client.send(instance_id, "raiseEvent/decided", "yes")
    assert app.client.output(instance_id) == ["old", "yes", "new"]


@pytest.mark.long
def test_a_function_that_unfinished_instances_need_is_missed(app: EditedApp) -> None:
    app.reload("with approval", APPROVAL.format(event="approved"))
    instances = [app.client.start("approval") for _ in range(2)]
    for instance_id in instances:
        app.client.until(instance_id, lambda status: status["runtimeStatus"] == "Running")
    needed = "2 unfinished instances of approval fail at their next step unless it comes back."
    assert app.after("unfinished instance", lambda: app.reload("without")).endswith(needed)
    explained = app.client.manage("GET", f"instances/{instances[0]}?explain=true").body["sentence"]
    assert explained.endswith(
        "The app has no such orchestrator any more, so it fails at its next step unless that comes back."
    )
    app.reload("with approval again", APPROVAL.format(event="approved"))
    text = app_text("without quick", APPROVAL.format(event="approved")).replace("def quick(", "def quicker(")
    said = app.after("unfinished instance", lambda: app.save(text))
    assert said.endswith(
        "The app has no activity quick any more. If one of the 2 unfinished instances calls it, that call fails."
    )
    app.reload("all", APPROVAL.format(event="approved"))
    for instance_id in instances:
        app.client.send(instance_id, "raiseEvent/approved", "yes")
        assert app.client.output(instance_id)[1:] == ["yes", "all"]


@pytest.mark.long
def test_an_event_that_nothing_waits_for_fails_no_instance_at_a_reload(app: EditedApp) -> None:
    app.reload("old", APPROVAL.format(event="go"))
    instance_id = waiting_instance(app)
    app.after("received", lambda: app.client.send(instance_id, "raiseEvent/other", 1))
    changed = APPROVAL.format(event="go").replace(
        'call_activity("quick", 1)', "create_timer(context.current_utc_datetime)"
    )
    app.after("no longer fits", lambda: app.reload("new", changed))
    app.reload("undone", APPROVAL.format(event="go"))
    app.client.send(instance_id, "raiseEvent/go", "yes")
    assert app.client.output(instance_id) == ["old", "yes", "undone"]
    has_event = waiting_instance(app)
    app.after("received", lambda: app.client.send(has_event, "raiseEvent/other", 1))
    app.reload("for other", APPROVAL.format(event="other"))
    assert app.client.output(has_event) == ["undone", 1, "for other"]


def waiting_instance(app: EditedApp) -> str:
    """An approval that waits for its event: what comes now is in no episode yet."""
    started: list[str] = []
    app.after("waiting", lambda: started.append(app.client.start("approval")))
    return started[0]


def line_of(app: EditedApp, code: str) -> str:
    """ "function_app.py, line 8", for the first line with this in it."""
    lines = (app.folder / "function_app.py").read_text().splitlines()
    return f"function_app.py, line {next(number for number, line in enumerate(lines, 1) if code in line)}"


@pytest.mark.long
def test_an_instance_whose_history_no_longer_fits_fails_as_on_azure(app: EditedApp) -> None:
    app.reload("old", APPROVAL.format(event="go"))
    instance_id = app.client.start("approval")
    app.client.until(instance_id, lambda status: status["runtimeStatus"] == "Running")
    changed = APPROVAL.format(event="go").replace(
        'call_activity("quick", 1)', "create_timer(context.current_utc_datetime)"
    )
    difference = (
        "Its history has activity 'quick' (sequence number 0); the code now asks for a timer in its place."
    )
    noted = app.after("no longer fits", lambda: app.reload("new", changed))
    place = f"{difference.removesuffix('.')} ({line_of(app, 'create_timer')}, in approval)."
    assert noted.endswith(
        f"The code of approval no longer fits {instance_id[:8]}, which fails at its next step unless it is "
        f"changed back. {place}"
    )
    explanation = f"instances/{instance_id}?explain=true"
    waits = app.client.manage("GET", explanation).body["sentence"]
    assert waits == f"Its code no longer fits its history, so its next episode fails. {place}"
    app.reload("newer", changed)
    app.client.send(instance_id, "raiseEvent/go", "yes")
    output = app.client.ended(instance_id)["output"]
    assert output.startswith(
        "Non-Deterministic workflow detected: A previous execution of this orchestration"
    )
    explained = app.client.manage("GET", explanation).body["sentence"]
    again = r"The app was loaded again after this instance had begun, last at [\dT:Z-]+\."
    assert re.search(rf": {re.escape(difference)} {again}$", explained), explained
    # On the console each sentence has a line, and people's times are local.
    until(lambda: app.lines(f"    {difference}"), bool)
    until(lambda: [line for line in app.host.lines if re.search(again.replace("T:Z-", ": -"), line)], bool)
    assert len(app.lines(f"no longer fits {instance_id[:8]}")) == 1, "it was not new at the second reload"


@pytest.mark.long
def test_several_instances_that_no_longer_fit_are_one_note_and_go_on_when_the_change_is_undone(
    app: EditedApp,
) -> None:
    two_calls = APPROVAL.format(event="go").replace(
        "before =", "before = yield context.call_activity('work', 'ready')\n    second ="
    )
    app.reload("two calls", two_calls)
    app.release("ready")
    waiting = [app.client.start("approval") for _ in range(7)]
    for instance_id in waiting:
        until(partial(app.waits, instance_id), lambda kinds: kinds == ["event"])
    event_first = APPROVAL.format(event="go").replace(
        "before =", "yield context.wait_for_external_event('before')\n    before ="
    )
    noted = app.after("no longer fits", lambda: app.reload("event first", event_first))
    place = line_of(app, "'before'")
    assert re.search(
        r"The code of approval no longer fits 7 waiting instances, which fail at their next step unless it is "
        r"changed back: (\w{8}, ){4}\w{8} and 2 more\. Its history has activity 'work' \(sequence number 0\); "
        r"the code now yields "
        rf"wait_for_external_event\('before'\) before it \({place}, in approval\)\.$",
        noted,
    ), noted
    app.reload("two calls again", two_calls)
    for instance_id in waiting:
        app.client.send(instance_id, "raiseEvent/go", "yes")
        assert app.client.output(instance_id)[1:] == ["yes", "two calls again"]


@pytest.mark.long
def test_code_that_hangs_in_the_check_after_a_reload_is_noted_and_holds_nothing_up(app: EditedApp) -> None:
    approval = APPROVAL.format(event="go")
    app.reload("old", approval)
    instance_id = app.client.start("approval")
    until(partial(app.waits, instance_id), lambda kinds: kinds == ["event"])
    hangs = approval.replace("    before =", "    wait_for('hangs')\n    before =") + TWO_STEPS
    note = app.after("without a yield", lambda: app.reload("hangs", hangs))
    assert note.endswith(
        "approval: its code has been running for 5 s without a yield. It was replayed to see whether it still fits "
        f"{instance_id[:8]}; nothing else is checked."
    )
    app.release("at once")
    assert app.client.output(app.client.start("two_steps", "at once")) == ["hangs", "hangs"]
    app.release("hangs")
    app.reload("mended", approval)
    app.client.send(instance_id, "raiseEvent/go", "yes")
    assert app.client.output(instance_id) == ["old", "yes", "mended"]


@pytest.mark.long
def test_a_long_history_whose_generator_is_lost_goes_on(app: EditedApp) -> None:
    loop = """
@app.orchestration_trigger(context_name="context")
def loop(context):
    seen = []
    for n in range(120):
        seen.append((yield context.call_activity("quick", n)))
    seen.append((yield context.wait_for_external_event("go")))
    for n in range(3):
        seen.append((yield context.call_activity("quick", n)))
    context.set_custom_status(VERSION)
    return seen
"""
    app.reload("old", loop)
    instance_id = app.client.start("loop")
    until(partial(app.waits, instance_id), lambda kinds: kinds == ["event"])
    app.reload("new", loop)
    app.client.send(instance_id, "raiseEvent/go", "went")
    assert app.client.output(instance_id) == ["old"] * 120 + ["went"] + ["new"] * 3


@pytest.mark.long
def test_a_burst_of_saves_is_one_change(app: EditedApp) -> None:
    known = len(app.lines("has changed"))
    pauses, last = 0, time.monotonic()
    for number in range(20):
        app.save(app_text(f"burst {number}"))
        (app.folder / "helper.py").write_text(f"x = {number}")
        (app.folder / "notes.txt").write_text("not a source")
        pauses += time.monotonic() - last > 0.05  # on a busy machine; each may end a burst
        last = time.monotonic()
    until(lambda: app.get("version").text, lambda text: text == "burst 19")
    assert len(app.lines("has changed")) + len(app.lines("have changed")) - known <= 1 + pauses


@pytest.mark.long
def test_a_module_in_a_new_folder_counts(app: EditedApp) -> None:
    app.reload(
        "package", "try:\n    from parts.greeting import TEXT as VERSION\nexcept ImportError:\n    pass\n"
    )
    (app.folder / "parts").mkdir()
    app.after("The app is loaded", lambda: save(app.folder / "parts" / "greeting.py", "TEXT = 'hello'"))
    assert app.get("version").text == "hello"
    app.after("The app is loaded", lambda: save(app.folder / "parts" / "greeting.py", "TEXT = 'good day'"))
    assert app.get("version").text == "good day"


SETTING = """
@app.route("setting")
def setting(req: func.HttpRequest) -> str:
    return os.environ.get(req.params.get("name", "GREETING"), "none")
"""


@pytest.mark.long
def test_a_call_that_hangs_is_ended_by_a_shorter_function_timeout_and_its_line_is_named(
    app: EditedApp,
) -> None:
    app.reload("hangs", TWO_STEPS)
    instance_id = app.client.start("two_steps", "for ever")
    app.until_waits("for ever")
    app.after(
        "hangs here", lambda: app.save('{"version": "2.0", "functionTimeout": "00:00:01"}', "host.json")
    )
    assert app.client.until(instance_id, lambda status: status["runtimeStatus"] == "Failed")
    assert any("in wait_for" in line for line in app.host.lines)
    app.after("The app is loaded", lambda: app.save('{"version": "2.0"}', "host.json"))


@pytest.mark.long
def test_a_task_hub_that_an_app_setting_names_stays_until_the_next_start(app: EditedApp) -> None:
    loaded = "The app is loaded"
    hub = {"version": "2.0", "extensions": {"durableTask": {"hubName": "%HUB%"}}}
    local: dict[str, Any] = {"IsEncrypted": False, "Values": {"HUB": "ShopHub"}}
    app.after(loaded, lambda: app.save(json.dumps(local), "local.settings.json"))
    app.after(loaded, lambda: app.save(json.dumps(hub), "host.json"))
    local["Values"] = {"HUB": "OtherHub"}
    app.after(loaded, lambda: app.save(json.dumps(local), "local.settings.json"))
    assert re.search(r"note +The task hub stays \w+ until dfhost is started again\.$", app.lines("stays")[-1])
    app.after(loaded, lambda: app.save('{"version": "2.0"}', "host.json"))


@pytest.mark.long
def test_settings_files_are_followed_as_far_as_they_can_be(app: EditedApp) -> None:
    app.reload("settings", SETTING)
    known = len(app.lines("counts when dfhost is started again"))
    local: dict[str, Any] = {"IsEncrypted": False, "Values": {"GREETING": "hello"}}
    loaded = "The app is loaded"
    app.after(loaded, lambda: app.save(json.dumps(local), "local.settings.json"))
    assert app.get("setting").text == "hello"
    local["Values"] = {
        "PYTHON_THREADPOOL_THREAD_COUNT": "7"
    }  # without it, dfhost sets the real host's default
    app.after(loaded, lambda: app.save(json.dumps(local), "local.settings.json"))
    assert app.get("setting?name=PYTHON_THREADPOOL_THREAD_COUNT").text == "7"
    local["Values"] = {"OTHER": "x"}
    app.after(loaded, lambda: app.save(json.dumps(local), "local.settings.json"))
    assert app.get("setting").text == "none"
    assert app.get("setting?name=PYTHON_THREADPOOL_THREAD_COUNT").text == "1000"
    host = {"version": "2.0", "functions": ["version"], "extensions": {"http": {"routePrefix": "v2"}}}
    line = app.after(loaded, lambda: app.save(json.dumps(host), "host.json"))
    assert "(1 function; 4 gone: " in line
    assert app.lines("counts when dfhost is started again")[-1].endswith(
        "What has changed in extensions.http.routePrefix counts when dfhost is started again."
    )
    assert (app.get("version").status, app.get("setting").status) == (200, 404)
    bad = app.after("The app goes on as it was", lambda: app.save("{", "host.json"))
    assert "host.json, line 1" in bad
    bad = app.after("The app goes on as it was", lambda: app.save('{"version": "2.0",}', "host.json"))
    assert "host.json, line 1, column 18: not valid JSON: a trailing comma; " in bad
    assert (app.get("version").status, app.get("setting").status) == (200, 404)
    app.after(loaded, lambda: app.save('{"version": "2.0"}', "host.json"))
    assert app.get("setting").status == 200
    # It is put back to what the host runs with, so nothing is left to count.
    assert len(app.lines("counts when dfhost is started again")) == known + 1
    reloads = len(app.lines("has changed: the app is loaded again"))
    app.save('{"version": "2.0"}', "host.json")  # saved, but the same: nothing is loaded
    app.reload("settings again", SETTING)
    assert len(app.lines("has changed: the app is loaded again")) <= reloads + 1


@pytest.mark.long
def test_an_app_setting_that_overrides_host_json_counts_at_the_next_start(app: EditedApp) -> None:
    def save(**values: str) -> None:
        settings = {"IsEncrypted": False, "Values": values}
        app.after("The app is loaded", lambda: app.save(json.dumps(settings), "local.settings.json"))

    save(AzureFunctionsJobHost__extensions__http__routePrefix="v3")
    save()
    (said,) = app.lines("Values.AzureFunctionsJobHost__extensions__http__routePrefix counts when dfhost is")
    assert "note      What has changed in " in said, "and nothing once it is put back"


@pytest.mark.stress
def test_a_loop_of_reloads_under_load_loses_nothing(app: EditedApp) -> None:
    """Requests and orchestrations come all the time; each is answered, by one version or another."""
    app.reload("load", TWO_STEPS)
    app.release("at-once")
    stop = threading.Event()

    def requests() -> set[tuple[int, Any]]:
        return {app.get("version").plain for _ in iter(stop.is_set, True)}

    def orchestrations() -> list[str]:
        return [app.client.start("two_steps", "at-once") for _ in iter(stop.is_set, True)]

    with ThreadPoolExecutor() as threads:
        asking = [threads.submit(requests) for _ in range(2)]
        starting = [threads.submit(orchestrations) for _ in range(2)]
        try:
            for number in range(5):
                app.reload(f"load {number}", TWO_STEPS)
        finally:
            stop.set()
        answers = {answer for each in asking for answer in each.result()}
        instances = [instance_id for each in starting for instance_id in each.result()]
    versions = {"load", *(f"load {number}" for number in range(5))}
    assert answers <= {(200, version) for version in versions} and (200, "load 4") in answers
    assert instances
    for instance_id in instances:
        assert set(app.client.output(instance_id)) <= versions
    assert not app.lines("has ended")
