"""HTTP functions whose requests and responses are streams (azurefunctions-extensions-http-fastapi).

As in the real worker, the extension's own web app makes the request object and turns the function's return value into
a response. Its one catch-all handler calls the function. The worker serves that web app with uvicorn on a port of
its own. Here it is called directly, as an ASGI app, on the user loop.
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
from dfhost.errors import UserLoopEnded
from dfhost.host_log import CallLog
from dfhost.runner.app_runner import Receive, Send

Scope = MutableMapping[str, Any]

_CALL_KEY = "dfhost.call"


class StreamingWebApp:
    """The extension's web app, for an app that has imported it (`http_streaming_enabled`)."""

    def __init__(self, threads: UserThreads, log: CallLog) -> None:
        self._threads = threads
        self._log = log
        self._base: Any = sys.modules["azurefunctions.extensions.base"]
        extension: Any = importlib.import_module(self._base.ModuleTrackerMeta.get_module())

        async def serve(request: Any) -> Any:
            return await self._serve(request)

        # The web framework reads the annotation, which must be the class itself.
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
        """Answer one request. Called on the host loop; calls `receive` and `send` on the user loop.

        Raises only ConnectionResetError: the client has disconnected, or the app has ended the user loop.
        """
        scope[_CALL_KEY] = (function, values, invocation)

        async def serve() -> Exception | None:
            try:
                await self._asgi(scope, receive, send)
            except OSError as error:  # what the web framework raises for it is an OSError, too
                return error
            except Exception as error:  # in the stream of a response that has started
                failure = describe_exception(error)
                self._log.failed(function.name, function.kind, None, 0.0, failure.text, failure.stack)
            return None

        try:
            error: Exception | None = await self._threads.run_async(serve)
        except UserLoopEnded as ended:
            error = ended
        if error:
            raise ConnectionResetError(str(error))

    async def _serve(self, request: Any) -> Any:
        """Runs on the user loop, inside the web app. The function's return value, or an empty 500."""
        function, values, invocation = request.scope[_CALL_KEY]
        self._base.RequestTrackerMeta.get_synchronizer().sync_route_params(request, dict(values))
        self._log.started(function.name, function.kind, None)
        start = time.perf_counter()
        with self._threads.calls.entered(function.kind, function.name, None):
            outcome = await self._outcome(function, request, invocation)
        seconds = time.perf_counter() - start
        if isinstance(outcome, Failure):
            self._log.failed(function.name, function.kind, None, seconds, outcome.text, outcome.stack)
            return self._base.ResponseTrackerMeta.get_standard_response_type()(status_code=500)
        self._log.finished(function.name, function.kind, None, seconds)
        return outcome[0]

    async def _outcome(self, function: Function, request: Any, invocation: Invocation | None) -> Any:
        """A tuple with the return value, or a Failure."""
        try:
            arguments = function.arguments(request, invocation)
            if function.is_async:
                returned = await function.callable(**arguments)
            else:
                returned = await self._threads.run(lambda: function.callable(**arguments))
            await function.send_outputs(InvocationResult(None, function.outputs_of(arguments)))
        except BaseException as error:  # user code may raise anything, SystemExit included
            return describe_exception(error)
        return (returned,)


def run_on_loop(
    loop: asyncio.AbstractEventLoop, coroutine: Callable[..., Any]
) -> Callable[..., Awaitable[Any]]:
    """A coroutine function for other loops that runs `coroutine` on `loop`."""

    async def call(*args: Any) -> Any:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine(*args), loop))

    return call
