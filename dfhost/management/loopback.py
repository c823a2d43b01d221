"""The SDK's clients answered without the wire: what the server would have told them over a socket.

An SDK client speaks to its host through one aiohttp session. `Loopback` stands before that session and hands a
plain request for the RPC twin to the mount itself, as values that the server would have read from the socket;
200 orchestrations at once take a seventh less time for it. Whatever is not plain goes over the wire, so that
it ends there as it does on Azure: another address, a URL of unusual length, a client used from a second event
loop, which aiohttp refuses.

Knows nothing of the SDK (`app.sdk` puts it in place) and nothing of what is answered. Unlike the wire, it has
no limit of 30 requests at a time or of four minutes for one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from types import TracebackType
from typing import Any

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from dfhost.app.loop_queue import callback_queue
from dfhost.http.server import Mount, MountResponse

_NONE: Mapping[str, str] = {}
_LONGEST = 2_000  # characters of a URL; servers draw their lines above that, each its own


class LoopbackSession:
    """What the SDK uses of an `aiohttp.ClientSession`; make it on the loop that `session` belongs to.

    `base`: the URL below which `mount` answers on the event loop `home`, as clients know it: scheme, IP address,
    port, a path that ends in ``/``.
    """

    def __init__(
        self, session: aiohttp.ClientSession, base: str, mount: Mount, home: asyncio.AbstractEventLoop
    ) -> None:
        self._session = session
        self._base = base
        self._path = URL(base).raw_path
        self._origin = base.removesuffix(self._path)
        self._mount = mount
        self._home = home
        self._loop = asyncio.get_running_loop()
        self._asked = callback_queue(home)
        self._answered = callback_queue(self._loop)
        self._under_way: set[asyncio.Task[MountResponse]] = set()
        self._closed = False

    def close(self) -> None:
        """Nothing is answered any more: whoever waits hears that the server has gone. On `home`."""
        self._closed = True
        for task in self._under_way:
            task.cancel()

    def get(self, url: str, **options: Any) -> AbstractAsyncContextManager[Any]:
        return self._plain("GET", url, **options) or self._session.get(url, **options)

    def post(self, url: str, **options: Any) -> AbstractAsyncContextManager[Any]:
        return self._plain("POST", url, **options) or self._session.post(url, **options)

    def delete(self, url: str, **options: Any) -> AbstractAsyncContextManager[Any]:
        return self._plain("DELETE", url, **options) or self._session.delete(url, **options)

    def _plain(
        self, method: str, url: str, *, json: Any = None, headers: Mapping[str, str] = _NONE
    ) -> _Exchange | None:
        if (
            not url.startswith(self._base)
            or len(url) > _LONGEST
            or asyncio.get_running_loop() is not self._loop
        ):
            return None
        # As aiohttp quotes it, which may take the path elsewhere ("..").
        path, _, query = URL(url).raw_path_qs.partition("?")
        if not path.startswith(self._path):
            return None
        return _Exchange(self, method, path.removeprefix(self._path), query, json, CIMultiDict(headers))

    async def ask(
        self, method: str, path: str, query: str, headers: CIMultiDict[str], body: bytes
    ) -> MountResponse:
        """What the mount answers. Who stops waiting for it does not stop it, as over the wire."""
        answered: asyncio.Future[MountResponse] = self._loop.create_future()
        answering = self._mount(method, path, query, headers, body, self._origin)
        try:
            self._asked.put(partial(self._begin, answering, answered))
        except RuntimeError:  # the host's loop has ended
            answering.close()
            raise aiohttp.ServerDisconnectedError from None
        return await answered

    def _begin(
        self, answering: Coroutine[Any, Any, MountResponse], answered: asyncio.Future[MountResponse]
    ) -> None:
        if self._closed:
            answering.close()
            self._answered.put_if_open(partial(_disconnect, answered))
            return
        task = self._home.create_task(answering)
        self._under_way.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(partial(self._end, answered))

    def _end(self, answered: asyncio.Future[MountResponse], task: asyncio.Task[MountResponse]) -> None:
        self._under_way.discard(task)
        self._answered.put_if_open(partial(_hand_over, task, answered))


def _hand_over(task: asyncio.Task[MountResponse], answered: asyncio.Future[MountResponse]) -> None:
    if answered.done():
        return
    if task.cancelled():
        _disconnect(answered)
    elif error := task.exception():
        answered.set_exception(error)
    else:
        answered.set_result(task.result())


def _disconnect(answered: asyncio.Future[MountResponse]) -> None:
    if not answered.done():
        answered.set_exception(aiohttp.ServerDisconnectedError())


class _Exchange:
    """One request; inside its ``async with``, the response to it."""

    status: int

    def __init__(
        self, by: LoopbackSession, method: str, path: str, query: str, data: Any, headers: CIMultiDict[str]
    ) -> None:
        self._by = by
        self._method = method
        self._path = path
        self._query = query
        self._data = data
        self._headers = headers
        self._body = b""

    async def __aenter__(self) -> _Exchange:
        body = b""
        if self._data is not None:  # aiohttp takes None for no body at all
            body = json.dumps(self._data).encode()
            self._headers["Content-Type"] = "application/json"
        elif self._method == "POST":
            self._headers["Content-Type"] = "application/octet-stream"
        answer = await self._by.ask(self._method, self._path, self._query, self._headers, body)
        self.status, self._body = answer.status, answer.body
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def json(self, *, content_type: str | None) -> Any:
        text = self._body.strip()
        return json.loads(text.decode()) if text else None
