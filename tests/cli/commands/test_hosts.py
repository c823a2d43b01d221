"""Which host a command speaks to: that of the folder, any URL with a key, a status URL, and others than dfhost."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.commands.conftest import APP, Commands
from tests.support.apps import write_app
from tests.support.host_process import HostProcess
from tests.support.key_proxy import KEY, key_proxy


@pytest.fixture(scope="module")
def azure(app_host: HostProcess) -> Iterator[str]:
    with key_proxy(app_host.url) as url:
        yield url


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
        with HostProcess(tmp_path) as host:
            assert dfhost.plain("start-instance", "raises", "--id", "here").code == 0
            assert dfhost.plain("list", "--ids").out == "here\n"
            host.kill()
        said = dfhost.plain("list")
        ended = f"dfhost: The host of this folder (port {urlsplit(host.url).port}) has ended."
        assert said == (6, "", f"{ended} {read_it}")
        assert dfhost.plain("terminate", "here").err == f"{ended} Start it with `dfhost start`.\n"
        Path(f"{file}.url").unlink()  # as a host does that stops
        assert dfhost.plain("list").err.endswith(f" The task hub of this folder can be read: --db {file}.\n")
        at_port = dfhost.plain("terminate", "here").err
    assert at_port.startswith(f"dfhost: No host answers at http://localhost:{port}. Start one")
    assert "here" in dfhost.plain("list", "--ids", "--db", str(file)).out


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


def test_a_host_that_asks_for_a_key(dfhost: Commands, azure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    without = dfhost.plain("list", "--url", azure)
    assert without.code == 2 and "asks for a key" in without.err
    assert dfhost.plain("start-instance", "echo", "--id", "keyed", "--url", azure, "--key", KEY).code == 0
    monkeypatch.setenv("DFHOST_KEY", KEY)
    assert "keyed" in dfhost.plain("list", "--url", azure).out


def test_what_only_dfhost_answers_is_made_from_the_history_elsewhere(dfhost: Commands, azure: str) -> None:
    failed = dfhost.ended("import_orders", ["good", "bad-9"])
    shown = dfhost.plain("show", failed, "--url", azure, "--key", KEY)
    assert shown.code == 0 and "process_item [1] failed: ValueError: no such order: bad-9" in shown.out
    waits = dfhost.waiting()
    explained = dfhost.plain("explain", waits, "--url", azure, "--key", KEY)
    assert explained.code == 1 and "it is not dfhost" in explained.err
    assert dfhost.plain("raise", waits, "Aproval", "--url", azure, "--key", KEY).code == 0


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
