"""`context.call_http`: what it sends, and how it fails, as recorded."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from dfhost.dispatch.call_http import CallHttpError, call_http
from dfhost.engine.actions import path_to
from dfhost.engine.command_recorder import is_uri
from tests.support.apps import write_app
from tests.support.running_host import running_host


@pytest.fixture
async def echo() -> AsyncIterator[str]:
    """The URL of a server that answers with the content type and the body of the request."""

    async def handle(request: web.BaseRequest) -> web.Response:
        body = await request.text()
        return web.json_response([request.headers.get("Content-Type"), body])

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await runner.cleanup()


async def sent(uri: str, content: str | None, headers: dict[str, str] | None = None) -> Any:
    request = {"method": "POST", "uri": uri, "content": content, "headers": headers}
    return json.loads(json.loads(await call_http(json.dumps(request)))["content"])


@pytest.mark.parametrize(
    ("given", "received"),
    [
        (None, "text/plain"),
        ("application/json", "application/json"),
        ("application/json; charset=utf-8", "application/json; charset=utf-8"),
        ("text/html", "text/html"),
    ],
)
async def test_the_content_type_is_sent_as_it_is(echo: str, given: str | None, received: str) -> None:
    headers = {"content-type": given} if given else None
    assert await sent(echo, '"ä"', headers) == [received, '"ä"']


async def test_no_content_has_no_type(echo: str) -> None:
    assert await sent(echo, None) == [None, ""]


@pytest.mark.parametrize(
    ("uri", "kind"), [("http://127.0.0.1:PORT/x", 2), ("http://no-such-host.invalid/", 1)]
)
async def test_a_refused_connection_has_dotnets_fields(uri: str, kind: int) -> None:
    with socket.socket() as free:  # bound, but nobody listens
        free.bind(("127.0.0.1", 0))
        request = {"method": "GET", "uri": uri.replace("PORT", str(free.getsockname()[1])), "headers": None}
        with pytest.raises(CallHttpError) as failed:
            await call_http(json.dumps(request))
    details = json.loads(failed.value.details)
    assert list(details)[:4] == ["$type", "HttpRequestError", "StatusCode", "Message"]
    assert (details["HttpRequestError"], details["StatusCode"]) == (kind, None)
    assert details["Message"] == failed.value.reason


# -- a URI that .NET cannot read ---------------------------------------------------------------------------------
async def test_a_uri_without_a_host_fails_the_orchestrator() -> None:
    async with running_host() as host:
        for uri in ("http:///x", "https://:1/", "http://h:x/"):
            assert await host.failure(await host.start("calls_http", uri)) == (
                f"Orchestrator function 'calls_http' failed: Error converting value \"{uri}\" to type "
                "'System.Uri'. Path 'actions[0][0].httpRequest.uri'."
            )


def test_what_is_a_uri() -> None:
    assert all(
        is_uri(text) for text in ("http://h/x", "ftp://h", "relative", "", "http://[::1]:8/", "x:///y")
    )
    assert not any(
        is_uri(text) for text in ("http:///x", "http://", "https:", "http://h:99999/", "http://[x/")
    )


def test_the_path_to_an_action_in_a_reply() -> None:
    wanted = {"actionType": 8}
    nested = {"actionType": 12, "compoundActions": [{"actionType": 0}, wanted]}
    assert path_to(wanted, [wanted]) == "actions[0][0]"
    assert path_to(wanted, [{"actionType": 0}, nested]) == "actions[0][1].compoundActions[1]"


# -- a request that cannot even be made ----------------------------------------------------------------------------
async def test_a_request_that_is_none_is_a_failure_of_its_call(tmp_path: Path) -> None:
    app = """
        @app.orchestration_trigger(context_name="context")
        def calls(context):
            asked = {"method": "GET", "uri": "http://127.0.0.1:9/", **context.get_input()}
            return (yield context.call_http(**asked))
    """
    async with running_host(write_app(tmp_path, app), max_activities=1) as host:
        for asked, said in (
            ({"method": 5}, "The method of a request must be a text, not 5."),
            ({"uri": 5}, "The uri of a request must be a text, not 5."),
            ({"headers": ["no mapping"]}, "The headers of a request must be a mapping, not ['no mapping']."),
        ):
            assert said in await host.failure(await host.start("calls", asked))


async def test_whatever_keeps_a_request_from_being_sent_is_a_failure_of_its_call() -> None:
    async def send(request: str, instance_id: str) -> str:
        raise KeyError("no luck")

    async with running_host(max_activities=1, call_http=send) as host:
        for _ in range(2):
            output = await host.failure(await host.start("calls_http", "http://127.0.0.1:9/"))
            assert "The request cannot be sent: KeyError: 'no luck'" in output
