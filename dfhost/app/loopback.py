"""The SDK's client without a socket: requests for the RPC twin go straight to the management API.

An SDK client speaks to its host through one aiohttp session. `LoopbackSession` stands before that session and
calls the handler that the server would call, with the same values; 200 orchestrations at once take a seventh
less time for it. Every other request still uses the socket and ends as on Azure: another address, a URL of
unusual length or with a NUL, or a client used from a second event loop, which aiohttp refuses.

Knows nothing of the SDK (`sdk_patches` installs it) and nothing of the responses. As many requests at a time go
through as the session has connections. Unlike the socket, it does not limit the time of one (four minutes).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from dfhost.background_tasks import BackgroundTasks
from dfhost.loop_queue import callback_queue
from dfhost.runner.app_runner import AnswerClient, ManagementReply

_NO_HEADERS: Mapping[str, str] = {}
_MAX_URL_LENGTH = 2_000  # characters; every server's own limit is above that


class LoopbackSession:
    """What the SDK uses of an `aiohttp.ClientSession`; to be made on the loop that `session` belongs to.

    `handler` serves the URLs below `base_url` (scheme, IP address, port, a path that ends in ``/``). It runs on
    `host_loop`.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base_url: str,
        handler: AnswerClient,
        host_loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._session = session
        self._base_url = base_url
        self._base_path = URL(base_url).raw_path
        self._origin = base_url.removesuffix(self._base_path)
        self._handler = handler
        self._client_loop = asyncio.get_running_loop()
        self._to_host = callback_queue(host_loop)
        self._to_client = callback_queue(self._client_loop)
        self._running = BackgroundTasks()
        limit = session.connector.limit if session.connector else 0
        self._connections = asyncio.Semaphore(limit) if limit else nullcontext()
        self._closed = False

    @property
    def connector(self) -> aiohttp.BaseConnector | None:
        return self._session.connector

    def close(self) -> None:
        """Disconnect: running and later requests raise `ServerDisconnectedError`. Call it on `host_loop`."""
        self._closed = True
        self._running.cancel()

    def get(self, url: str, **options: Any) -> AbstractAsyncContextManager[Any]:
        return self._exchange("GET", url, **options) or self._session.get(url, **options)

    def post(self, url: str, **options: Any) -> AbstractAsyncContextManager[Any]:
        return self._exchange("POST", url, **options) or self._session.post(url, **options)

    def delete(self, url: str, **options: Any) -> AbstractAsyncContextManager[Any]:
        return self._exchange("DELETE", url, **options) or self._session.delete(url, **options)

    def _exchange(
        self, method: str, url: str, *, json: Any = None, headers: Mapping[str, str] = _NO_HEADERS
    ) -> _Exchange | None:
        """The exchange for a request that needs no socket, None for any other."""
        if (
            not url.startswith(self._base_url)
            or len(url) > _MAX_URL_LENGTH
            or asyncio.get_running_loop() is not self._client_loop
        ):
            return None
        # Quoted as aiohttp quotes it, which may lead the path out of the base path ("..").
        path, _, query = URL(url).raw_path_qs.partition("?")
        if not path.startswith(self._base_path) or "%00" in path:
            return None
        return _Exchange(self, method, path.removeprefix(self._base_path), query, json, CIMultiDict(headers))

    async def request(
        self, method: str, path: str, query: str, headers: CIMultiDict[str], body: bytes
    ) -> ManagementReply:
        """The handler's response. As over a socket, the handler goes on if the caller stops waiting."""
        async with self._connections:
            return await self._request(method, path, query, headers, body)

    async def _request(
        self, method: str, path: str, query: str, headers: CIMultiDict[str], body: bytes
    ) -> ManagementReply:
        response: asyncio.Future[ManagementReply] = self._client_loop.create_future()
        handling = self._handler(method, path, query, headers, body, self._origin)
        try:
            self._to_host.put(partial(self._start, handling, response))
        except RuntimeError:  # the host's loop is closed
            handling.close()
            raise aiohttp.ServerDisconnectedError from None
        return await response

    def _start(
        self, handling: Coroutine[Any, Any, ManagementReply], response: asyncio.Future[ManagementReply]
    ) -> None:
        if self._closed:
            handling.close()
            self._to_client.put_if_open(partial(_disconnect, response))
            return
        task = self._running.start(handling)
        task.add_done_callback(lambda task: self._to_client.put_if_open(partial(_hand_over, task, response)))


def _hand_over(task: asyncio.Task[ManagementReply], response: asyncio.Future[ManagementReply]) -> None:
    if response.done():
        return
    if task.cancelled():
        _disconnect(response)
    elif error := task.exception():
        response.set_exception(error)
    else:
        response.set_result(task.result())


def _disconnect(response: asyncio.Future[ManagementReply]) -> None:
    if not response.done():
        response.set_exception(aiohttp.ServerDisconnectedError())


@dataclass
class _Exchange:
    """One request; within its ``async with``, the response to it."""

    _session: LoopbackSession
    _method: str
    _path: str
    _query: str
    _data: Any
    _headers: CIMultiDict[str]
    _body: bytes = b""
    status: int = 0

    async def __aenter__(self) -> _Exchange:
        body = b""
        if self._data is not None:  # to aiohttp, None means no body at all
            body = json.dumps(self._data).encode()
            self._headers["Content-Type"] = "application/json"
        elif self._method == "POST":
            self._headers["Content-Type"] = "application/octet-stream"
        response = await self._session.request(self._method, self._path, self._query, self._headers, body)
        self.status, self._body = response.status, response.body
        return self

    async def __aexit__(self, *_error: object) -> None:
        pass

    async def json(self, *, content_type: str | None) -> Any:
        text = self._body.strip()
        return json.loads(text.decode()) if text else None
