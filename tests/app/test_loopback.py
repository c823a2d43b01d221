"""The SDK's clients get the same answers over the loopback as over HTTP, and send the same requests."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from azure.durable_functions.models.utils import http_utils
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dfhost.app.in_process import InProcessRunner
from dfhost.app.loopback import LoopbackSession
from dfhost.app.sdk_patches import close_client_session, wrap_client_session
from dfhost.errors import UserLoopEnded
from dfhost.management.responses import ManagementResponse
from dfhost.management.urls import RPC_PATH
from tests.support.app_server import make_server, user_threads
from tests.support.apps import write_app
from tests.support.recording_log import RecordingLog

Asked = tuple[str, str, str, dict[str, str | None], bytes, str]
SEEN = ("Content-Type", "traceparent", "tracestate", "X-Azure-Functions-InvocationId")


class Twin:
    """A server with one mount, which answers with `answer` and records the requests."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[Asked] = []
        self.answer = ManagementResponse(200)
        self.loop = asyncio.new_event_loop()
        self._folder = folder

    async def mount(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes, origin: str
    ) -> ManagementResponse:
        self.asked.append((method, path, query, {name: headers.get(name) for name in SEEN}, body, origin))
        return self.answer

    def run(self, awaitable: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(awaitable)

    @contextmanager
    def serving(self) -> Iterator[Twin]:
        self.run(close_client_session())  # an app that dfhost.testing keeps loaded in this process has one
        with user_threads() as threads:
            runner = InProcessRunner(write_app(self._folder, ""), RecordingLog(), threads=threads)
            self.run(runner.start())
            self.server = make_server(runner, RecordingLog(), mounts={RPC_PATH: self.mount})
            self.run(self.server.start())
            self.base = f"http://127.0.0.1:{self.server.port}{RPC_PATH}"
            try:
                yield self
            finally:
                self.run(close_client_session())
                self.run(self.server.close())
                self.loop.close()

    @contextmanager
    def over_loopback(self) -> Iterator[None]:
        unwrap = wrap_client_session(self.front)
        try:
            yield
        finally:
            unwrap()

    def front(self, session: aiohttp.ClientSession) -> LoopbackSession:
        return LoopbackSession(session, self.base, self.mount, self.loop)

    def requests_and_result(self, ask: Callable[[], Awaitable[Any]]) -> tuple[list[Asked], Any]:
        """What the mount was asked, and what the caller got: a value, or an exception as text."""
        self.asked.clear()
        try:
            got = self.run(ask())
        except Exception as error:
            got = repr(error)
        return list(self.asked), got


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    with Twin(tmp_path_factory.mktemp("app")).serving() as twin:
        yield twin


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
ANSWERS = st.builds(
    ManagementResponse,
    st.sampled_from((200, 202, 400, 404, 409, 410, 500)),
    st.sampled_from(({}, {"Content-Type": "application/json; charset=utf-8"}, {"Location": "/elsewhere"})),
    st.sampled_from((b"", b" \r\n", b"null", b'{"id": "\xc3\xa9"}', b"not json", b'"\xff"', b"[1, 2]\n")),
)
PLACES = st.lists(st.text(max_size=12) | st.sampled_from((".", "..", "%2F", "%zz", "a+b", "é", "instances")))
TRACES = st.none() | st.text("0123456789abcdef-", max_size=55)


@settings(print_blob=True)
@given(
    verb=st.sampled_from(("post", "get", "delete")),
    places=PLACES,
    query=st.none() | st.text(max_size=20),
    data=JSON,
    trace=TRACES,
    invocation=TRACES,
    answer=ANSWERS,
)
@example("post", ["orchestrators", "a b", "#?&"], None, None, None, None, ManagementResponse(202, {}, b"{}"))
@example("post", ["instances", "\ud800"], None, {"a": float("nan")}, None, None, ManagementResponse(202))
@example("get", ["..", "..", "api"], "taskHub=x&taskHub=y", None, None, None, ManagementResponse(200))
@example("delete", ["instances", "x" * 2_000], None, None, None, "1", ManagementResponse(404))
@example("get", ["instances", "x" * 20_000], None, None, None, None, ManagementResponse(200))
def test_loopback_and_http_give_the_same_answers(
    twin: Twin,
    verb: str,
    places: list[str],
    query: str | None,
    data: Any,
    trace: str | None,
    invocation: str | None,
    answer: ManagementResponse,
) -> None:
    twin.answer = answer
    post: Any = http_utils.post_async_request  # its annotations leave None out
    url = twin.base + "/".join(places) + ("" if query is None else f"?{query}")

    def ask() -> Awaitable[Any]:
        if verb == "post":
            return post(url, data, trace, trace, invocation)
        return getattr(http_utils, f"{verb}_async_request")(url, invocation)

    over_http = twin.requests_and_result(ask)
    with twin.over_loopback():
        assert twin.requests_and_result(ask) == over_http


def test_a_plain_request_needs_no_server(twin: Twin) -> None:
    """Otherwise the test above would compare HTTP with HTTP."""
    twin.answer = ManagementResponse(202, {}, b'{"id": "1"}')

    def front(session: aiohttp.ClientSession) -> LoopbackSession:
        return LoopbackSession(session, "http://127.0.0.1:9/durabletask/", twin.mount, twin.loop)

    unwrap = wrap_client_session(front)
    try:
        asked, got = twin.requests_and_result(
            lambda: http_utils.post_async_request("http://127.0.0.1:9/durabletask/a?b=c", 1)
        )
    finally:
        unwrap()
    assert got == [202, {"id": "1"}]
    headers = dict.fromkeys(SEEN) | {"Content-Type": "application/json"}
    assert asked == [("POST", "a", "b=c", headers, b"1", "http://127.0.0.1:9")]
    assert (
        twin.requests_and_result(lambda: http_utils.get_async_request("http://127.0.0.1:9/durabletask/a"))[0]
        == []
    )


def test_a_second_event_loop_is_refused_as_by_aiohttp(twin: Twin) -> None:
    def from_two_loops() -> str:
        twin.run(http_utils.get_async_request(twin.base))
        with pytest.raises(RuntimeError) as refused:
            asyncio.run(http_utils.get_async_request(twin.base))
        twin.run(close_client_session())
        return str(refused.value)

    over_http = from_two_loops()
    with twin.over_loopback():
        assert from_two_loops() == over_http


def test_a_session_that_was_closed_is_replaced(twin: Twin) -> None:
    twin.answer = ManagementResponse(200, {}, b"[]")
    with twin.over_loopback():
        for _ in range(2):
            assert twin.run(http_utils.get_async_request(twin.base)) == [200, []]
            twin.run(close_client_session())


def test_a_cancelled_caller_disturbs_nothing(twin: Twin) -> None:
    async def scenario() -> None:
        entered, go_on, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def slow(*request: Any) -> ManagementResponse:
            entered.set()
            await go_on.wait()
            ended.set()
            return ManagementResponse(200)

        unwrap = wrap_client_session(
            lambda session: LoopbackSession(session, twin.base, slow, asyncio.get_running_loop())
        )
        try:
            caller = asyncio.ensure_future(http_utils.post_async_request(f"{twin.base}x", 1))
            await entered.wait()
            caller.cancel()
            with pytest.raises(asyncio.CancelledError):
                await caller
            go_on.set()
            await asyncio.wait_for(ended.wait(), 10)
        finally:
            unwrap()

    twin.run(scenario())


def test_an_exception_of_the_mount_reaches_the_caller(twin: Twin) -> None:
    async def broken(*_: Any) -> ManagementResponse:
        raise ArithmeticError("broken")

    unwrap = wrap_client_session(lambda session: LoopbackSession(session, twin.base, broken, twin.loop))
    try:
        with pytest.raises(ArithmeticError, match="broken"):
            twin.run(http_utils.get_async_request(f"{twin.base}x"))
    finally:
        unwrap()


def test_callers_that_wait_when_the_host_stops_get_an_error(twin: Twin) -> None:
    async def scenario() -> None:
        entered = asyncio.Event()
        fronts: list[LoopbackSession] = []

        async def never(*_: Any) -> ManagementResponse:
            entered.set()
            await asyncio.Event().wait()
            raise AssertionError

        def front(session: aiohttp.ClientSession) -> LoopbackSession:
            fronts.append(LoopbackSession(session, twin.base, never, asyncio.get_running_loop()))
            return fronts[-1]

        unwrap = wrap_client_session(front)
        try:
            caller = asyncio.ensure_future(http_utils.post_async_request(f"{twin.base}x", 1))
            await entered.wait()
            fronts[0].close()
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await asyncio.wait_for(caller, 10)
            with pytest.raises(aiohttp.ServerDisconnectedError):
                await asyncio.wait_for(fronts[0].get(f"{twin.base}x").__aenter__(), 10)
        finally:
            unwrap()

    twin.run(scenario())


def test_a_host_whose_loop_has_ended_counts_as_stopped(twin: Twin) -> None:
    home = asyncio.new_event_loop()
    home.close()
    unwrap = wrap_client_session(lambda session: LoopbackSession(session, twin.base, twin.mount, home))
    try:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            twin.run(asyncio.wait_for(http_utils.get_async_request(twin.base), 10))
    finally:
        unwrap()


async def test_an_ended_user_loop_is_an_error_for_its_callers() -> None:
    with user_threads() as threads:

        async def leave() -> None:
            threads.loop.stop()

        with suppress(UserLoopEnded):  # the loop may end before it has handed over the result
            await threads.run_async(leave)
        threads._loop_thread.join(10)
        for _ in range(2):
            with pytest.raises(UserLoopEnded):
                await asyncio.wait_for(threads.run_async(leave), 10)


def test_the_callers_context_variables_stay_with_the_caller(twin: Twin) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="the host's")

    async def mount(*_: Any) -> ManagementResponse:
        return ManagementResponse(200, {}, f'"{variable.get()}"'.encode())

    unwrap = wrap_client_session(lambda session: LoopbackSession(session, twin.base, mount, twin.loop))
    token = variable.set("the user's")
    try:
        assert twin.run(http_utils.get_async_request(twin.base)) == [200, "the host's"]
    finally:
        variable.reset(token)
        unwrap()


def test_as_many_requests_at_a_time_as_the_session_has_connections(twin: Twin) -> None:
    running, most = 0, 0

    async def slow(*request: Any) -> ManagementResponse:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(100):  # everybody who may come in has come in by then
            await asyncio.sleep(0)
        running -= 1
        return ManagementResponse(200)

    async def ask_all() -> None:
        await asyncio.gather(*(http_utils.get_async_request(twin.base) for _ in range(70)))

    unwrap = wrap_client_session(lambda session: LoopbackSession(session, twin.base, slow, twin.loop))
    try:
        twin.run(ask_all())
    finally:
        unwrap()
    assert most == 30


def test_hosts_of_one_process_stop_in_any_order(twin: Twin) -> None:
    before = http_utils._get_session
    bases = [f"http://127.0.0.1:9/{name}/" for name in ("first", "second")]
    twin.answer = ManagementResponse(200, {}, b"true")

    def stand(base: str) -> Callable[[], None]:
        return wrap_client_session(lambda session: LoopbackSession(session, base, twin.mount, twin.loop))

    def answered(base: str) -> bool:
        try:
            return bool(twin.run(http_utils.get_async_request(base)) == [200, True])
        except aiohttp.ClientConnectorError:
            return False

    leave_first, leave_second = map(stand, bases)
    assert [answered(base) for base in bases] == [True, True]
    leave_first()
    assert [answered(base) for base in bases] == [False, True]
    leave_second()
    assert [answered(base) for base in bases] == [False, False]
    http_utils._get_session = before


@pytest.mark.parametrize("missing", [False, True])
def test_an_sdk_that_uses_more_of_the_session_keeps_it(
    monkeypatch: pytest.MonkeyPatch, missing: bool
) -> None:
    async def get_async_request(url: str) -> Any:
        async with (await http_utils._get_session()).get(url) as response:
            return response.headers

    if missing:
        monkeypatch.delattr(http_utils, "delete_async_request")
    else:
        monkeypatch.setattr(http_utils, "get_async_request", get_async_request)
    before = http_utils._get_session
    wrap_client_session(lambda session: session)()
    unwrap = wrap_client_session(lambda session: pytest.fail("it was replaced"))
    assert http_utils._get_session is before
    unwrap()
    assert http_utils._get_session is before
