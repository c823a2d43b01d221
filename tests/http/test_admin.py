"""`/admin` and the page at `/`: what runs here, and running a function by hand."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dfhost.management.responses import ManagementResponse
from dfhost.management.urls import WEBHOOKS_PATH
from tests.support.app_server import app_server
from tests.support.apps import APPS, loaded_module, write_app
from tests.support.recording_log import RecordingLog

Host = tuple[str, RecordingLog, aiohttp.ClientSession]


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    async with app_server("triggers") as (base, log, _), aiohttp.ClientSession() as session:
        yield base, log, session


async def run_by_hand(host: Host, name: str, body: Any) -> tuple[int, Any]:
    base, _, session = host
    data = body if isinstance(body, bytes) else json.dumps(body)
    headers = {"Content-Type": "application/json"}
    async with session.post(f"{base}/admin/functions/{name}", data=data, headers=headers) as response:
        text = await response.text()
        return response.status, json.loads(text) if text else None


@pytest.mark.parametrize(
    ("name", "given", "seen"),
    [
        ("on_queue", "order 7", ["order 7", 1, True]),
        ("on_queue", '{"id": 7}', ['{"id": 7}', 1, True]),
        ("on_queue_text", "é", ["é", "on_queue_text"]),
        ("on_blob", "content", ["in/dfhost.txt", 7, "content"]),
        ("on_bus", "hello", ["hello", 1, {}]),
        ("on_bus_many", '["a", {"b": 1}]', ["a", '{"b": 1}']),
        ("on_bus_many", "alone", ["alone"]),
        ("on_event", "e", ["e", 0]),
        ("on_events", '["a", "b"]', ["a", "b"]),
        ("on_kafka", "k", ["k", "t"]),
        ("on_kafkas", '["a", "b"]', [["a", 0], ["b", 1]]),
        ("on_grid", '{"id": "1", "data": {"x": 1}}', ["1", {"x": 1}]),
        ("on_docs", '[{"id": "1"}, {"id": "2"}]', [{"id": "1"}, {"id": "2"}]),
        ("on_something", "whatever", "whatever"),
        ("on_time", "ignored", False),
        ("act", "text", "text"),
        ("act", '{"a": [1]}', {"a": [1]}),
        ("act", 7, 7),
        ("act", "[1, 2]", [1, 2]),
        ("ACT", None, ""),
    ],
)
async def test_every_function_but_http_can_be_run(host: Host, name: str, given: Any, seen: Any) -> None:
    assert await run_by_hand(host, name, {"input": given}) == (202, None)
    await host[1].entry("finished", name.lower())
    assert loaded_module().SEEN[name.lower()] == seen


@pytest.mark.parametrize("prefer", ["wait=30", "respond-async, WAIT = 30", 'wait="30"; x=1'])
async def test_a_client_that_prefers_to_wait_is_told_how_the_call_ended(host: Host, prefer: str) -> None:
    base, _, session = host
    asked = {"Content-Type": "application/json", "Prefer": prefer}
    ends = {}
    for name, given in (("on_queue", "x"), ("poison", "bad")):
        body = json.dumps({"input": given})
        async with session.post(f"{base}/admin/functions/{name}", data=body, headers=asked) as response:
            assert (response.status, response.headers["Preference-Applied"]) == (200, "wait=30")
            ends[name] = await response.json()
    assert ends["on_queue"] == {"succeeded": True}
    assert (ends["poison"]["succeeded"], ends["poison"]["error"]) == (False, "ValueError: bad")
    assert ", in poison\n" in ends["poison"]["stack"]


@pytest.mark.parametrize("prefer", ["", "respond-async", "wait=", "wait=-1", "wait=soon", "nowait=3"])
async def test_without_the_wish_to_wait_nothing_is_told(host: Host, prefer: str) -> None:
    base, _, session = host
    asked = {"Content-Type": "application/json", "Prefer": prefer}
    async with session.post(f"{base}/admin/functions/on_queue", data=b"{}", headers=asked) as response:
        assert (response.status, await response.read()) == (202, b"")
        assert "Preference-Applied" not in response.headers


async def test_a_call_that_outlasts_the_wait_goes_on(host: Host) -> None:
    base, log, session = host
    asked = {"Content-Type": "application/json", "Prefer": "wait=0"}
    async with session.post(
        f"{base}/admin/functions/on_queue", data=b'{"input": ""}', headers=asked
    ) as response:
        assert (response.status, await response.read()) == (202, b"")
        assert response.headers["Preference-Applied"] == "wait=0"
    await log.entry("finished", "on_queue")


async def test_a_body_without_an_input_is_noted_once(host: Host) -> None:
    for _ in range(2):
        assert await run_by_hand(host, "on_queue", {"id": 9}) == (202, None)
        await host[1].entry("finished", "on_queue")
    assert host[1].notes == [
        'POST /admin/functions/on_queue had no "input" in its body, so on_queue gets an empty message. If the body '
        r'is the message, send {"input": "{\"id\": 9}"}'
    ]
    await run_by_hand(host, "on_queue", {})
    await run_by_hand(host, "on_time", {"any": 1})
    await host[1].entry("finished", "on_time")
    assert len(host[1].notes) == 1


async def test_a_message_that_a_function_returns_is_put_into_its_queue() -> None:
    async with app_server(APPS / "triggers") as (base, log, _), aiohttp.ClientSession() as session:
        await run_by_hand((base, log, session), "forwards", {"input": "order"})
        assert await log.entry("put") == ("put", "more", "order again")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("poison", "ValueError: bad"),
        (
            "returns",
            "NoReturnBinding: function 'returns' without a $return binding returned a non-None value",
        ),
    ],
)
async def test_a_failure_is_logged(host: Host, name: str, error: str) -> None:
    assert (await run_by_hand(host, name, {"input": "bad"}))[0] == 202
    assert (await host[1].entry("failed", name, "queue"))[3] == error


@pytest.mark.parametrize(
    ("name", "body", "status", "sentence"),
    [
        ("nobody", {"input": ""}, 404, None),
        ("on_queue", b"", 400, 'The body must be a JSON object such as {"input": "text"}. It is not JSON: '),
        ("on_queue", b"\xff", 400, "It is not JSON"),
        ("on_queue", [1], 400, 'The body must be a JSON object such as {"input": "text"}.'),
        ("on_queue", "text", 400, 'The body must be a JSON object such as {"input": "text"}.'),
        (
            "on_queue",
            {"input": {"a": "ä"}},
            400,
            r'must be a string. Send its JSON as one: {"input": "{\"a\": \"ä\"}"}.',
        ),
        ("on_queue", '{"input": "x"}'.encode("utf-16"), 400, "It is not JSON"),
        ("on_queue", b"[" * 200_000, 400, "It is not JSON: it is nested too deeply."),
        ("on_grid", {"input": "[" * 200_000}, 400, "which the input is not: it is nested too deeply."),
        ("nobody", b"", 400, "It is not JSON"),
        ("on_grid", {"input": "no json"}, 400, "its trigger takes JSON, which the input is not"),
        ("page", {"input": ""}, 400, "'page' is an HTTP function; call http://127.0.0.1:"),
        ("cell", {"input": ""}, 400, "/runtime/webhooks/durabletask/entities/cell/KEY?op=OPERATION"),
        ("main", {"input": ""}, 400, "There is no task hub here"),
    ],
)
async def test_functions_that_cannot_be_run_by_hand(
    host: Host, name: str, body: Any, status: int, sentence: str | None
) -> None:
    found, answer = await run_by_hand(host, name, body)
    assert found == status
    assert (answer is None) if sentence is None else (sentence in answer["Message"])
    missing = [("refused", "POST /admin/functions/nobody", 404, "the app has no function 'nobody'.")]
    assert host[1].entries == (missing if status == 404 else [])


@pytest.mark.parametrize(
    ("given", "sent"),
    [("text", b'"text"'), ('{"a": 1}', b'{"a": 1}'), (5, b"5"), (None, b""), ("", b"")],
)
async def test_an_orchestrator_is_started_through_the_management_api(given: Any, sent: bytes) -> None:
    seen: list[Any] = []

    async def mount(
        method: str, path: str, query: str, headers: Any, body: bytes, origin: str
    ) -> ManagementResponse:
        seen.append((method, path, body, headers["Content-Type"]))
        return ManagementResponse(202, {}, b'{"id": "1"}')

    mounts = {"/runtime/webhooks/durabletask": mount}
    async with (
        app_server("triggers", mounts=mounts) as (base, log, _),
        aiohttp.ClientSession() as session,
    ):
        assert await run_by_hand((base, log, session), "main", {"input": given}) == (202, {"id": "1"})
    assert seen == [("POST", "orchestrators/Main", sent, "application/json")]


async def test_status_and_ping(host: Host) -> None:
    base, _, session = host
    async with session.get(f"{base}/admin/host/status") as response:
        status = await response.json()
    assert response.status == 200
    assert (status["state"], status["id"]) == ("Running", "triggers")
    assert status["processUptime"] >= 0 and status["version"]
    for method in ("GET", "POST"):
        async with session.request(method, f"{base}/admin/host/ping") as response:
            assert (response.status, await response.read()) == (200, b"")
            assert response.headers["Cache-Control"] == "no-store,no-cache"


async def test_the_list_of_functions(host: Host) -> None:
    base, _, session = host
    async with session.get(f"{base}/admin/functions") as response:
        functions = {each["name"]: each for each in await response.json()}
    assert list(functions) == sorted(functions, key=str.upper) and len(functions) == 20
    assert functions["page"]["invoke_url_template"] == f"{base}/api/page/{{id}}"
    assert functions["on_queue"]["invoke_url_template"] is None
    assert functions["forwards"]["config"]["bindings"][0]["type"] == "queueTrigger"
    async with session.get(functions["page"]["href"]) as response:
        assert await response.json() == functions["page"]


async def test_a_function_runs_with_whatever_else_the_body_holds(host: Host) -> None:
    assert await run_by_hand(host, "act", {"INPUT": "x", "more": {}}) == (202, None)
    assert await run_by_hand(host, "act", {"other": "x"}) == (202, None)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 202),
        ("text/json; charset=utf-8", 202),
        ("application/vnd.x+json", 202),
        ("application/xml", 400),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
    ],
)
async def test_a_function_is_run_by_json_alone(host: Host, content_type: str, status: int) -> None:
    base, _, session = host
    body = b"<x/>" if "xml" in content_type else b'{"input": "x"}'
    headers = {"Content-Type": content_type}
    async with session.post(f"{base}/admin/functions/act", data=body, headers=headers) as response:
        assert response.status == status
        if status == 415:
            assert "Content-Type: application/json" in (await response.json())["Message"]


async def test_a_disabled_function_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AzureWebJobs.act.Disabled", "true")
    async with app_server(APPS / "triggers") as (base, _, _), aiohttp.ClientSession() as session:
        async with session.get(f"{base}/admin/functions") as response:
            disabled = {each["name"]: each["isDisabled"] for each in await response.json()}
        assert [name for name, is_disabled in disabled.items() if is_disabled] == ["act"]
        async with session.get(f"{base}/admin/functions/ACT/status") as response:
            assert (response.status, await response.json()) == (200, {})
        async with session.get(f"{base}/admin/functions/nobody/status") as response:
            assert response.status == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin/"),
        ("GET", "/admin/nothing"),
        ("GET", "/admin/functions/nobody"),
        ("PUT", "/admin/functions/act"),
        ("POST", "/admin/host/status"),
        ("GET", "/admin/host/status/x"),
    ],
)
async def test_other_admin_paths_are_not_there(host: Host, method: str, path: str) -> None:
    base, _, session = host
    async with session.request(method, base + path) as response:
        assert (response.status, await response.read()) == (404, b"")


async def test_the_page_at_the_root_lists_the_functions(host: Host) -> None:
    base, _, session = host
    async with session.get(base) as response:
        page = await response.text()
    assert response.headers["Content-Type"] == "text/html"
    assert f"<code>{base}/api/page/{{id}}</code> page" in page and "on_queue (orders)" in page


async def test_the_page_at_the_root_links_what_a_browser_can_open(tmp_path: Path) -> None:
    app = write_app(
        tmp_path / "app",
        """
        @app.route(methods=["GET"])
        def look(req: func.HttpRequest) -> str:
            return "seen"

        @app.route(methods=["POST"])
        def start(req: func.HttpRequest) -> str: ...

        @app.orchestration_trigger(context_name="context")
        def fan(context): ...
        """,
    )

    async def instances(*_: Any) -> ManagementResponse:
        return ManagementResponse(200)

    async with (
        app_server(app, mounts={WEBHOOKS_PATH: instances}) as (base, _, _),
        aiohttp.ClientSession() as session,
    ):
        async with session.get(base) as response:
            page = await response.text()
        assert f"<code>curl -X POST '{base}/api/start'</code> start" in page
        assert "<h2>Orchestrators</h2><ul><li>fan</ul>" in page
        links = re.findall(r'href="([^"]+)"', page)
        assert "/api/look" in links
        for link in links:
            async with session.get(base + link) as response:
                assert response.status == 200, link


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("functions/on_tiem", "the app has no function 'on_tiem'. Did you mean 'on_time'?"),
        ("functions/zzz", "the app has no function 'zzz'."),
        ("host/stat", "there is no such path, or it takes another method"),
    ],
)
async def test_the_log_says_what_was_not_found(host: Host, path: str, why: str) -> None:
    base, log, session = host
    async with session.post(f"{base}/admin/{path}?code=secret", json={}) as response:
        assert (response.status, await response.read()) == (404, b"")
    assert log.entries == [("refused", f"POST /admin/{path}", 404, why)]
