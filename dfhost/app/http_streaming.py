"""HTTP functions whose requests and responses are streams (azurefunctions-extensions-http-fastapi).

As in the real worker, the extension's own web app makes the request object and turns whatever the function
returns into a response; its one catch-all handler calls the function. The worker serves that web app with
uvicorn on a port of its own; here it is called directly, as the ASGI app it is, on the users' loop.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from dfhost.app.exceptions import describe_exception
from dfhost.app.functions import Function, InvocationResult
from dfhost.app.invocation import Invocation
from dfhost.app.threads import UserThreads
from dfhost.engine.failures import Failure
from dfhost.host_log import HostLog

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_CALL = "dfhost.call"


class StreamingWebApp:
    """The extension's web app, for an app that has imported it (`signature.streams`)."""

    def __init__(self, threads: UserThreads, log: HostLog) -> None:
        self._threads = threads
        self._log = log
        self._base: Any = sys.modules["azurefunctions.extensions.base"]
        extension: Any = importlib.import_module(self._base.ModuleTrackerMeta.get_module())

        async def serve(request: Any) -> Any:
            return await self._serve(request)

        # The web framework goes by the annotation, and wants the class itself.
        serve.__annotations__ = {"request": self._base.RequestTrackerMeta.get_request_type()}
        web_app: Any = extension.WebApp()
        web_app.route(serve)
        self._asgi: Callable[[Scope, Receive, Send], Awaitable[None]] = web_app.get_app()

    async def call(
        self,
        function: Function,
        values: Mapping[str, str],
        invocation: Invocation | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """One request, from the home loop; `receive` and `send` are called on the users' loop.

        Raises only what `send` raised: a client that is gone.
        """
        scope[_CALL] = (function, values, invocation)

        async def serve() -> Exception | None:
            try:
                await self._asgi(scope, receive, send)
            except OSError as error:  # what the web framework makes of it has this base, too
                return error
            except Exception as error:  # from the stream of a response that has begun
                failure = describe_exception(error)
                self._log.failed(function.name, function.kind, None, 0.0, failure.text, failure.stack)
            return None

        if error := await self._threads.run_async(serve):
            raise ConnectionResetError(str(error))

    async def _serve(self, request: Any) -> Any:
        """On the users' loop, inside the web app: what the function returns, or an empty 500."""
        function, values, invocation = request.scope[_CALL]
        self._base.RequestTrackerMeta.get_synchronizer().sync_route_params(request, dict(values))
        self._log.started(function.name, function.kind, None)
        began = time.perf_counter()
        outcome = await self._outcome(function, request, invocation)
        seconds = time.perf_counter() - began
        if isinstance(outcome, Failure):
            told = (outcome.text, outcome.stack)
            self._log.failed(function.name, function.kind, None, seconds, *told)
            return self._base.ResponseTrackerMeta.get_standard_response_type()(status_code=500)
        self._log.finished(function.name, function.kind, None, seconds)
        return outcome[0]

    async def _outcome(self, function: Function, request: Any, invocation: Invocation | None) -> Any:
        """A tuple of what the function returned, or its failure."""
        try:
            arguments = function.arguments(request, invocation)
            if function.is_async:
                returned = await function.callable(**arguments)
            else:
                returned = await self._in_pool(function, arguments)
            function.note_outputs(InvocationResult(None, function.outputs_of(arguments)))
        except BaseException as error:  # user code may raise anything, SystemExit included
            return describe_exception(error)
        return (returned,)

    async def _in_pool(self, function: Function, arguments: Mapping[str, Any]) -> Any:
        return await self._threads.run(lambda: function.callable(**arguments))


def across(home: asyncio.AbstractEventLoop, coroutine: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """`coroutine` to be awaited on another loop, while it runs on `home`."""

    async def call(*args: Any) -> Any:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine(*args), home))

    return call
