"""Other web pages must not act: whom a request names, and where a browser says that it comes from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.app_server import app_server
from tests.support.apps import write_app
from tests.support.host_process import HostProcess

STATUS = "/runtime/webhooks/durabletask/instances/none"
START = "/runtime/webhooks/durabletask/orchestrators/waits/x"
APP = """
@app.route(route="hello")
def hello(req: func.HttpRequest) -> str:
    return "hello"

@app.route(route="run/{id?}")
@app.durable_client_input(client_name="client")
async def run(req: func.HttpRequest, client) -> func.HttpResponse:
    return client.create_check_status_response(req, await client.start_new("waits", req.route_params.get("id")))

@app.orchestration_trigger(context_name="context")
def waits(context):
    yield context.wait_for_external_event("go")

@app.activity_trigger(input_name="x")
def work(x: str) -> str:
    return x
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_app(tmp_path_factory.mktemp("access") / "app", APP)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def status(session: aiohttp.ClientSession, url: str, method: str = "GET", **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with session.request(method, url, headers=named) as response:
        body = await response.text()
        assert (response.status == 403) == bool(body.endswith(".\n")), body
        return response.status


# -- names ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("host", "served"),
    [
        ("localhost", True),
        ("LocalHost:7071", True),
        ("app.localhost:80", True),
        ("127.0.0.1", True),
        ("127.9.9.9:1", True),
        ("[::1]:7071", True),
        ("my.tunnel.example", True),
        ("MY.tunnel.example.:443", True),
        ("site.azurewebsites.net", True),
        ("evil.example", False),
        ("evil.example:7071", False),
        ("localhost.evil.example", False),
        ("my.tunnel.example.evil", False),
        ("10.1.2.3", False),
        ("[fe80::1]", False),
        ("127.0.0.1.evil.example", False),
    ],
)
async def test_only_known_names_are_served(
    folder: Path, session: aiohttp.ClientSession, host: str, served: bool
) -> None:
    names = ("my.tunnel.example", "site.azurewebsites.net:443", "")
    async with app_server(folder, host_names=names) as (base, log, _):
        for path in ("/api/hello", "/admin/host/status", "/"):
            assert await status(session, base + path, Host=host) == (200 if served else 403)
        refused = [entry for entry in log.entries if entry[0] == "refused"]
        assert bool(refused) != served
        assert all("--allow-host" in entry[3] for entry in refused)


async def test_a_request_that_names_nobody_is_served(folder: Path) -> None:
    """A browser always sends a Host."""
    async with app_server(folder) as (_, _, server):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"GET /admin/host/status HTTP/1.0\r\n\r\n")
        assert (await reader.readline()) == b"HTTP/1.1 200 OK\r\n"
        writer.close()


# -- other pages ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("headers", "served"),
    [
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://localhost:3000", "Sec_Fetch_Site": "same-site"}, False),
        ({"Sec_Fetch_Site": "cross-site"}, False),
        ({"Origin": "https://evil.example", "Sec_Fetch_Site": "cross-site"}, False),
        ({"Origin": "BASE", "Sec_Fetch_Site": "same-origin"}, True),
        ({"Origin": "BASE"}, True),
        ({"Origin": "http://localhost:5173", "Sec_Fetch_Site": "same-origin"}, True),  # a dev server's proxy
        ({"Origin": "https://my.tunnel.example"}, True),
        ({"Origin": "https://page.example"}, True),
        ({"Origin": "https://page.example", "Sec_Fetch_Site": "cross-site"}, True),
        ({"Sec_Fetch_Site": "none"}, True),
        ({"Sec_Fetch_Site": "same-site"}, True),
        ({}, True),
    ],
)
async def test_pages_that_cors_does_not_allow_are_refused(
    folder: Path, session: aiohttp.ClientSession, headers: dict[str, str], served: bool
) -> None:
    async with app_server(folder, host_names=["my.tunnel.example"], cors=("https://page.example",)) as (
        base,
        _,
        _,
    ):
        sent = {name: value.replace("BASE", base) for name, value in headers.items()}
        for path in ("/api/hello", "/admin/host/status"):
            assert await status(session, base + path, **sent) == (200 if served else 403)
        preflight = {**sent, "Access_Control_Request_Method": "POST"}
        allowed = headers.get("Origin") == "https://page.example"
        found = await status(session, base + "/admin/host/status", "OPTIONS", **preflight)
        assert found == (204 if allowed else 404 if served else 403)


async def test_all_pages_where_cors_allows_all(folder: Path, session: aiohttp.ClientSession) -> None:
    async with app_server(folder, host_names=(), cors=("*",)) as (base, _, _):
        assert await status(session, base + "/api/hello", Origin="https://any.example") == 200
        assert await status(session, base + "/api/hello", Sec_Fetch_Site="cross-site") == 200


# -- a whole host --------------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def host(folder: Path) -> Iterator[HostProcess]:
    options = ("--address", "0.0.0.0", "--allow-host", "box", "--allow-host", "other")
    with HostProcess(
        folder, "--memory", "--in-process", *options, WEBSITE_HOSTNAME="shop.example:443"
    ) as host:
        yield host


def test_the_management_api_refuses_what_a_foreign_page_sends(host: HostProcess) -> None:
    foreign = {"Origin": "https://evil.example"}
    for method, path in (("POST", START), ("GET", STATUS), ("POST", "/admin/functions/work")):
        response = host.client.request(method, path, b"1", "text/plain", foreign)
        assert response.status == 403
        assert "The web page at https://evil.example may not call this app" in response.text
    assert host.client.request("GET", STATUS, headers={"Host": "evil.example"}).status == 403
    for name in ("box", "other:7071"):
        assert host.client.request("GET", STATUS, headers={"Host": name}).status == 404
    # The SDK's client reaches its host, whatever name the caller used.
    response = host.client.request("POST", "/api/run/one", headers={"Host": "box"})
    assert response.status == 202
    assert response.headers["Location"].startswith("http://box/runtime/webhooks/")
    host.line(
        "GET /runtime/webhooks/durabletask/instances/none was answered 403: The web page at https://evil"
    )


def test_every_network(host: HostProcess) -> None:
    host.line("Listening at 0.0.0.0: everybody who reaches this machine may call the app")
    for name, code in (("10.1.2.3:7071", 404), ("[fe80::1]", 404), ("evil.example", 403)):
        assert host.client.request("GET", STATUS, headers={"Host": name}).status == code


def test_the_configured_site_name_is_served(host: HostProcess) -> None:
    assert host.client.request("GET", STATUS, headers={"Host": "shop.example"}).status == 404


def test_an_id_that_cannot_stand_in_a_location_is_answered(host: HostProcess) -> None:
    for escape in ("%1B", "%7F", "%C2%85", "%E2%80%AE"):
        assert host.client.request("POST", f"/api/run/a{escape}b").status == 500
    assert host.client.request("POST", "/api/run/a%00b").status == 400
    said = host.line("POST /api/run/a%1Bb was answered 500").string
    host.line("An instance that the function has started runs all the same")
    assert "\\x1b" in said and "\x1b" not in said and "Traceback" not in host.text
    found = host.client.manage("GET", "instances/a%1Bb")
    assert found.body["runtimeStatus"] in ("Pending", "Running")
