"""Which host a command speaks to: that of the folder, any URL with a key, a status URL, and others than dfhost."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.commands.conftest import APP, Commands
from tests.support.apps import write_app
from tests.support.azure_proxy import MASTER_KEY, SYSTEM_KEY, AzureProxy, azure_proxy
from tests.support.host_process import HostProcess
from tests.support.waiting import until


@pytest.fixture(scope="module")
def azure(app_host: HostProcess) -> Iterator[AzureProxy]:
    with azure_proxy(app_host.url) as proxy:
        yield proxy


def test_the_host_of_this_folder_is_found_whatever_its_port_and_missed_when_it_has_ended(
    tmp_path: Path, dfhost: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write_app(tmp_path, APP))
    file = Path(".dfhost") / "TestHubName.db"
    read_it = f"Start it with `dfhost start`, or read what it has left: --db {file}.\n"
    with socket.socket() as unused:  # what the killed host has left leads nobody astray
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        (tmp_path / "local.settings.json").write_text(f'{{"Host": {{"LocalHttpPort": {port}}}}}')
        with HostProcess(tmp_path, "--in-process") as host:
            assert dfhost.plain("start-instance", "raises", "--id", "here").code == 0
            assert dfhost.plain("list", "--ids").out == "here\n"
            host.kill()
        said = dfhost.plain("list")
        ended = f"dfhost: The host of this folder (port {urlsplit(host.url).port}) has ended."
        assert said == (6, "", f"{ended} {read_it}")
        assert dfhost.plain("terminate", "here").err == f"{ended} Start it with `dfhost start`.\n"
        Path(f"{file}.url").unlink()  # as a host does that stops
        ended = "dfhost: The host of this folder has ended."
        assert dfhost.plain("list").err == f"{ended} {read_it}"
        assert dfhost.plain("terminate", "here").err == f"{ended} Start it with `dfhost start`.\n"
        file.rename(tmp_path / "elsewhere.db")
        at_port = dfhost.plain("terminate", "here").err
        (tmp_path / "elsewhere.db").rename(file)
    assert at_port.startswith(f"dfhost: No host answers at http://localhost:{port}. Start one")
    assert "here" in dfhost.plain("list", "--ids", "--db", str(file)).out


@pytest.mark.parametrize("option", ["--memory", "--db=../hub.db"])
def test_the_host_of_this_folder_is_found_wherever_its_database_is(
    tmp_path: Path, dfhost: Commands, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    (tmp_path / "app").mkdir()
    monkeypatch.chdir(write_app(tmp_path / "app", APP))
    with HostProcess(tmp_path / "app", "--in-process", option, cwd=tmp_path / "app") as host:
        assert dfhost.plain("start-instance", "raises", "--id", "here") == (0, "here\n", "")
        host.signal()
        assert host.exit_code() == 0
    assert not list(tmp_path.rglob("*.url"))
    assert (tmp_path / "app" / ".dfhost" / ".gitignore").read_text() == "*\n", "nobody checks it in"


@pytest.fixture
def elsewhere(tmp_path: Path, dfhost: Commands, monkeypatch: pytest.MonkeyPatch) -> str:
    """In a folder without a host: what is said of the one that answers at its port."""
    monkeypatch.chdir(tmp_path)
    host = {"LocalHttpPort": urlsplit(dfhost.url).port}
    (tmp_path / "local.settings.json").write_text(json.dumps({"Host": host}))
    functions = dfhost.http.request("GET", "/admin/functions").body
    folder = functions[0]["config"]["functionDirectory"]
    return f"This folder has no host, so this is the one at {dfhost.url}, which runs {folder}."


def test_a_host_of_another_folder_is_named_before_it_is_asked(dfhost: Commands, elsewhere: str) -> None:
    for verb, more in (("show", []), ("purge", ["--dry-run"]), ("purge", ["--yes"])):
        said = dfhost.plain(verb, "nobody", *more)
        first, second = said.err.splitlines()
        assert said.code == 4 and first == elsewhere and "has no instance 'nobody'" in second
    assert "This folder" not in dfhost("list").err  # it was named by --url


def test_nothing_is_changed_at_the_host_of_another_folder(dfhost: Commands, elsewhere: str) -> None:
    waits, over = dfhost.waiting(), dfhost.ended("echo", 1)
    before = dfhost.http.status(waits)
    for command in (
        *([verb, waits] for verb in ("suspend", "resume", "terminate", "rewind", "restart", "purge")),
        ["raise", waits, "Approval"],
        ["signal", "@counter@x", "add"],
        ["trigger", "on_order"],
        ["start-instance", "echo", "--id", over],
        ["purge", over],
        ["purge", "--status", "Completed"],
    ):
        said = dfhost.plain(*command)
        assert said.code == 2 and said.out == "", said
        assert (
            said.err
            == f"dfhost: {elsewhere} Nothing was done: add --url {dfhost.url} if you mean that host.\n"
        )
    assert dfhost.http.status(waits) == before
    assert dfhost.http.status(over)["output"] == 1
    assert dfhost("terminate", waits).code == 0  # it is named by --url


def test_a_host_that_runs_the_app_around_this_folder_is_its_own(
    dfhost: Commands, elsewhere: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    functions = dfhost.http.request("GET", "/admin/functions").body
    inside = Path(functions[0]["config"]["functionDirectory"]) / "inside"
    inside.mkdir()
    Path("local.settings.json").rename(inside / "local.settings.json")
    monkeypatch.chdir(inside)
    waits = dfhost.waiting()
    assert dfhost.plain("terminate", waits) == (0, f"{waits} is terminated.\n", "")


def test_a_status_url_names_host_and_instance(dfhost: Commands) -> None:
    links = dfhost("start-instance", "approval", "--json").json
    assert links["id"] in dfhost.plain("show", links["statusQueryGetUri"]).out
    assert dfhost.plain("terminate", links["statusQueryGetUri"]).code == 0
    assert "is not a status URL" in dfhost.plain("show", "http://localhost:1/x").err


def test_the_variable_names_a_host(dfhost: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DFHOST_URL", f"{dfhost.url}/runtime/webhooks/durabletask/")
    dfhost.waiting("by-variable")
    assert dfhost.plain("show", "by-variable").code == 0


def test_no_host(dfhost: Commands) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        said = dfhost.plain("list", "--port", str(unused.getsockname()[1]))
    assert said.code == 6 and "No host answers at http://localhost:" in said.err
    assert said.err.count("\n") == 1 and "Errno" not in said.err


def test_a_host_that_asks_for_a_key(
    dfhost: Commands, azure: AzureProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    without = dfhost.plain("list", "--url", azure.url)
    assert without.code == 2 and "asks for a key" in without.err
    assert (
        dfhost.plain("start-instance", "echo", "--id", "keyed", "--url", azure.url, "--key", SYSTEM_KEY).code
        == 0
    )
    monkeypatch.setenv("DFHOST_KEY", SYSTEM_KEY)
    assert "keyed" in dfhost.plain("list", "--url", azure.url).out


def test_what_only_dfhost_answers_is_made_from_the_history_elsewhere(
    dfhost: Commands, azure: AzureProxy
) -> None:
    failed = dfhost.ended("import_orders", ["good", "bad-9"])
    shown = dfhost.plain("show", failed, "--url", azure.url, "--key", SYSTEM_KEY)
    assert shown.code == 0 and "process_item [1] failed: ValueError: no such order: bad-9" in shown.out
    waits = dfhost.waiting()
    explained = dfhost.plain("explain", waits, "--url", azure.url, "--key", SYSTEM_KEY)
    assert explained.code == 1 and "it is not dfhost" in explained.err
    assert dfhost.plain("raise", waits, "Aproval", "--url", azure.url, "--key", SYSTEM_KEY).code == 0


def test_another_server(dfhost: Commands, tmp_path: Path) -> None:
    import http.server
    import threading

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        said = dfhost.plain("list", "--port", str(server.server_port))
        assert said.code in (1, 4, 6) and said.err.count("Traceback") == 0
    finally:
        server.shutdown()
        server.server_close()


def test_every_verb_does_its_work_on_another_host(
    dfhost: Commands, azure: AzureProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the key of the management API alone, and with what the real host answers alone."""
    monkeypatch.setenv("DFHOST_KEY", SYSTEM_KEY)

    def done(verb: str, *arguments: str) -> str:
        azure.own_requests.clear()
        said = dfhost.plain(verb, *arguments, "--url", azure.url)
        assert said.code == 0, said
        assert len(azure.own_requests) <= 1, azure.own_requests
        return said.out

    id = "elsewhere"
    assert id in done("start-instance", "approval", "--id", id)
    waiting = dfhost.http.until(id, lambda status: status["customStatus"] is not None)
    assert waiting["runtimeStatus"] == "Running"
    assert re.search(rf"^{id} +Running +approval", done("list", "--name", "approval", "--prefix", id), re.M)
    assert "Running" in done("show", id) and "ExecutionStarted" in done("history", id)
    done("suspend", id)
    dfhost.http.until(id, lambda status: status["runtimeStatus"] == "Suspended")
    done("resume", id)
    done("raise", id, "Approval", "--data", "true")
    assert dfhost.http.ended(id)["output"] is True
    done("restart", id, "--same-id")
    dfhost.http.until(id, lambda status: status["runtimeStatus"] == "Running")
    failed = dfhost.ended("reads_file", str(tmp_path / "there"))
    assert "No such file" in done("show", failed)
    (tmp_path / "there").write_text("mended")
    done("rewind", failed)
    dfhost.http.until(failed, lambda status: status["output"] == "mended")
    links = dfhost.plain("start-instance", "approval", "--json", "--url", azure.url)
    assert links.json["statusQueryGetUri"].endswith(f"&code={SYSTEM_KEY}")
    refused = dfhost.plain("trigger", "on_order", "--url", azure.url)
    assert refused.code == 2 and "wants its master key for this" in refused.err
    monkeypatch.delenv("DFHOST_KEY")  # the link has it
    assert dfhost.plain("terminate", links.json["statusQueryGetUri"]).code == 0
    dfhost.http.ended(links.json["id"])
    assert "Terminated" in dfhost.plain("show", links.json["statusQueryGetUri"]).out
    monkeypatch.setenv("DFHOST_KEY", MASTER_KEY)
    done("signal", "@counter@elsewhere", "add", "--input", "3")
    dfhost.http.until("@counter@elsewhere", lambda status: "3" in str(status["input"]))
    assert re.search(r"^@counter@elsewhere .* 3$", done("list", "--entities", "--name", "counter"), re.M)
    assert "\n3\n" in done("show", "@counter@elsewhere")
    order = json.dumps({"file": str(tmp_path / "order"), "text": "one"})
    not_told = (
        f"on_order runs. The host at {azure.url} does not tell how it ends. The host's log shows its end.\n"
    )
    assert done("trigger", "on_order", "--input", order) == not_told
    until((tmp_path / "order").exists, bool)
    done("export", "--prefix", id, "--output", str(tmp_path / "exported.jsonl"))
    assert id in (tmp_path / "exported.jsonl").read_text()
    done("terminate", id)
    dfhost.http.ended(id)
    done("purge", id, "--yes")
    assert dfhost.plain("show", id, "--url", azure.url).code == 4


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("localhost:7098", "http://localhost:7098"),
        ("mine.azurewebsites.net", "https://mine.azurewebsites.net"),
    ],
)
def test_a_url_without_http(dfhost: Commands, monkeypatch: pytest.MonkeyPatch, text: str, url: str) -> None:
    said = dfhost.plain("list", "--url", text)
    assert said.code == 2 and f"argument --url: '{text}' is not a URL; write {url}\n" in said.err
    monkeypatch.setenv("DFHOST_URL", text)
    said = dfhost.plain("list")
    assert said == (2, "", f"dfhost: DFHOST_URL: '{text}' is not a URL; write {url}.\n")
