"""What the dashboard answers, without a browser: who is served, what is shown, what the buttons' requests do."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest_asyncio

from tests.support.apps import write_app
from tests.support.running_host import RunningHost, running_host
from tests.support.waiting import eventually


class Page:
    """The page's side: it has read the token that the HTML carries."""

    def __init__(self, host: RunningHost, session: aiohttp.ClientSession) -> None:
        self.host = host
        self.session = session
        self.base = f"http://127.0.0.1:{host.host.url.rpartition(':')[2]}"
        self.token = ""

    async def get(self, path: str, **headers: str) -> tuple[int, Any, str]:
        """Status, headers, text."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.get(self.base + path, headers=named) as response:
            return response.status, response.headers, await response.text()

    async def read(self, path: str) -> Any:
        status, _, text = await self.get(f"/dashboard/api/{path}")
        assert status == 200, (status, text)
        return json.loads(text)

    async def act(self, token: str | None = None, **asked: Any) -> tuple[int, Any]:
        headers = {"X-Dashboard-Token": self.token if token is None else token}
        url = f"{self.base}/dashboard/api/actions"
        async with self.session.post(url, json=asked, headers=headers) as response:
            return response.status, await response.json()

    async def done(self, **asked: Any) -> dict[str, Any]:
        """The report on an action that must succeed for all."""
        status, report = await self.act(**asked)
        assert status == 200 and report["refused"] == [], report
        return dict(report)

    async def events(self, query: str = "") -> AsyncGenerator[tuple[str, Any], None]:
        """The messages of a stream: name and data."""
        async with self.session.get(f"{self.base}/dashboard/api/stream{query}") as response:
            assert response.headers["Content-Type"] == "text/event-stream"
            while message := (await response.content.readuntil(b"\n\n")).decode():
                if found := re.fullmatch(r"event: (\w+)\ndata: (.*)\n\n", message):
                    yield found[1], json.loads(found[2])


@asynccontextmanager
async def open_page(folder: str | Path = "worker") -> AsyncIterator[Page]:
    async with running_host(folder) as host, aiohttp.ClientSession(read_bufsize=2**22) as session:
        page = Page(host, session)
        _, _, text = await page.get("/dashboard")
        page.token = re.findall(r'name="dashboard-token" content="([^"]+)"', text)[0]
        yield page


@pytest_asyncio.fixture(loop_scope="function")
async def page(gates: ModuleType) -> AsyncIterator[Page]:
    async with open_page() as opened:
        yield opened


# -- who is served -------------------------------------------------------------------------------------------
async def test_the_page_runs_nothing_but_its_own_files(page: Page) -> None:
    status, headers, text = await page.get("/dashboard")
    assert status == 200
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "script-src 'self'" in policy and "unsafe" not in policy
    assert "<script>" not in text and "style=" not in text and "onclick" not in text
    files = re.findall(r'(?:href|src)="(/dashboard/[^"]+)"', text)
    assert files
    for file in files:
        assert (await page.get(file))[0] == 200, file


async def test_every_module_that_is_imported_is_served(page: Page) -> None:
    pending, seen = ["main.js"], set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        status, headers, text = await page.get(f"/dashboard/{name}")
        assert (status, headers["Content-Type"]) == (200, "text/javascript; charset=utf-8"), name
        assert "innerHTML" not in text and "insertAdjacentHTML" not in text
        pending += re.findall(r'from "\./([^"]+)"', text)
    assert len(seen) > 10


async def test_other_web_pages_get_nothing(page: Page) -> None:
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Origin": "http://localhost:1", "Sec_Fetch_Site": "same-site"},
    ):
        for path in ("/dashboard", "/dashboard/api/hub", "/dashboard/api/stream"):
            assert (await page.get(path, **headers))[0] == 403, (path, headers)
    assert (await page.get("/dashboard", Sec_Fetch_Site="none"))[0] == 200
    assert (await page.get("/dashboard", Sec_Fetch_Site="same-origin", Origin=page.base))[0] == 200
    assert (await page.get("/dashboard", Origin=page.base.replace("http:", "https:")))[0] == 200  # a tunnel


async def test_cors_opens_the_app_but_not_the_dashboard(tmp_path: Path) -> None:
    async with running_host(cors=("*",)) as host, aiohttp.ClientSession() as session:
        page = Page(host, session)
        foreign = {"Origin": "http://other.example", "Sec_Fetch_Site": "cross-site"}
        assert (await page.get("/runtime/webhooks/durabletask/instances", **foreign))[0] == 200
        assert (await page.get("/dashboard", **foreign))[0] == 403


async def test_actions_need_the_token_of_the_page(page: Page) -> None:
    instance_id = await page.host.start("waits", ["go"])
    for token in ("", "wrong", "ü"):
        status, answer = await page.act(
            token.encode().decode("latin-1"), action="terminate", ids=[instance_id]
        )
        assert (status, answer) == (403, {"error": "The host was started anew. Reload the page."})
    assert (await page.host.status(instance_id))["runtimeStatus"] in ("Pending", "Running")


async def test_without_a_dashboard_there_is_none() -> None:
    async with running_host(dashboard=False) as host, aiohttp.ClientSession() as session:
        page = Page(host, session)
        assert (await page.get("/dashboard"))[0] == 404
        assert "dashboard" not in (await page.get("/"))[2]


async def test_the_start_page_leads_to_it(page: Page) -> None:
    assert 'href="/dashboard"' in (await page.get("/"))[2]


async def test_a_function_of_the_app_comes_first(tmp_path: Path) -> None:
    code = '@app.route(route="dashboard")\ndef own(req: func.HttpRequest) -> str:\n    return "mine"\n'
    async with running_host(write_app(tmp_path / "app", code), route_prefix="") as host:
        async with aiohttp.ClientSession() as session:
            assert (await Page(host, session).get("/dashboard"))[2] == "mine"


# -- what is shown -------------------------------------------------------------------------------------------
async def test_the_stream_sends_all_instances_and_then_what_changes(page: Page) -> None:
    await page.host.run("fan", {"activity": "echo", "inputs": [1]})
    stream = page.events()
    name, data = await anext(stream)
    assert (name, len(data["rows"]), data["counts"]) == ("all", 1, {"Completed": 1})
    started = await page.host.start("waits", ["go"], "mine")
    async for name, data in stream:
        assert name == "changed"
        rows = {row[0]: row for row in data["rows"]}
        if started in rows and data["counts"].get("Running"):
            assert rows[started][1:3] == ["waits", "Running"]
            break
    await stream.aclose()


async def test_the_end_of_an_instance_whose_code_has_run_for_long_is_sent(
    page: Page, gates: ModuleType
) -> None:
    stream = page.events()
    started = await page.host.start("ends", 1, "mine")
    await gates.arrivals("ending")
    await page.host.run(
        "fan", {"activity": "echo", "inputs": [1]}
    )  # it changes later, and is committed first
    shown = {}
    async for _, data in stream:
        shown.update({row[0]: row[2] for row in data["rows"]})
        if "Completed" in shown.values():
            gates.open("ending")
        if data["counts"] == {"Completed": 2}:
            break
    assert shown[started] == "Completed"
    await stream.aclose()


async def test_the_stream_of_an_instance_tells_how_it_goes_on(page: Page) -> None:
    await page.host.start("waits", ["go"], "mine")
    stream = page.events("?instance=mine")
    async for name, data in stream:
        assert name == "instance"
        tasks = data["timeline"]["tasks"]
        if tasks and data["explanation"]["waitsFor"]:
            assert (tasks[0]["kind"], tasks[0]["name"], tasks[0]["state"]) == ("event", "go", "waiting")
            break
    await page.done(action="raise", ids=["mine"], event="go", data='{"a": 1}')
    async for _, data in stream:
        if "endedTime" in data["timeline"]:
            assert data["timeline"]["output"] == '[{"a":1}]'
            break
    await page.done(action="purge", ids=["mine"])
    assert await anext(stream) == ("gone", None)
    await stream.aclose()


async def test_the_host_stops_while_a_page_listens() -> None:
    async with aiohttp.ClientSession() as session:
        async with running_host() as host:
            stream = Page(host, session).events()
            await anext(stream)
        async for _ in stream:  # what was on its way
            pass


async def test_a_large_payload_is_cut_and_can_be_fetched(page: Page) -> None:
    text = "x" * 150_000
    instance_id = await page.host.start("fan", {"activity": "echo", "inputs": [text, 1]})
    await page.host.ended(instance_id)
    view = await page.read(f"instance?instance={instance_id}")
    assert set(view["cut"]) == {"input", "output"}
    assert len(view["timeline"]["output"]) == 100_000
    assert view["timeline"]["tasks"][0]["truncated"] == ["input", "result"]
    whole = (await page.get(f"/dashboard/api/payload?instance={instance_id}&of=output"))[2]
    assert json.loads(whole) == [text, 1]
    result = (await page.get(f"/dashboard/api/payload?instance={instance_id}&of=result&task=0"))[2]
    assert json.loads(result) == text
    assert (await page.get(f"/dashboard/api/payload?instance={instance_id}&of=result&task=9"))[0] == 404


async def test_the_history_comes_in_pages(page: Page) -> None:
    instance_id = await page.host.start("steps", [["echo", number] for number in range(5)])
    await page.host.ended(instance_id)
    first = await page.read(f"history?instance={instance_id}&start=0&count=4")
    second = await page.read(f"history?instance={instance_id}&start=4&count=4")
    assert first["total"] == second["total"] > 8
    assert [each["EventType"] for each in first["events"]] == [12, 0, 4, 13]
    assert len(second["events"]) == 4


async def test_what_instances_wait_for(page: Page) -> None:
    await page.host.start("waits", ["go"], "mine")
    await page.host.until_waiting("mine", "event")
    assert await page.read('waits?instances=["mine","nobody",1]') == {
        "mine": {"sentence": "It waits for event go.", "unclaimed": []}
    }
    assert await page.read("waits?instances={") == {}


async def test_search_looks_into_payloads(page: Page) -> None:
    found = await page.host.start("fan", {"activity": "echo", "inputs": ["50%_Needle"]})
    other = await page.host.start("fan", {"activity": "echo", "inputs": ["50 needles"]})
    for each in (found, other):
        await page.host.ended(each)
    assert [row[0] for row in await page.read("search?text=50%25_needle")] == [found]
    assert {row[0] for row in await page.read("search?text=needle")} == {found, other}


async def test_entities_have_their_state_and_their_queue(page: Page, gates: ModuleType) -> None:
    await page.done(action="signal", entity="counter", key="k", operation="add", input="5")
    (entity,) = await eventually(
        lambda: page.read("entities"), lambda each: bool(each) and each[0]["state"] is not None
    )
    assert (entity["id"], entity["waiting"]) == ("@counter@k", 0)
    assert "5" in entity["state"]
    await page.done(action="signal", entity="counter", key="k", operation="add", input='"five"')
    explained = await eventually(
        lambda: page.read("explain?instance=@counter@k"), lambda each: "lastFailure" in each
    )
    assert "Its last failed operation was add at " in explained["sentence"]
    assert "TypeError: unsupported operand type(s)" in explained["sentence"]


async def test_an_entity_whose_first_operation_hangs_is_listed_with_it(page: Page, gates: ModuleType) -> None:
    for operation in ("stop", "get"):
        await page.done(action="signal", entity="counter", key="hangs", operation=operation, input='"entity"')
    await gates.arrivals("entity")
    (entity,) = await eventually(lambda: page.read("entities"), lambda each: each[0]["waiting"] == 2)
    assert (entity["id"], entity["state"], entity["runs"]) == ("@counter@hangs", None, "stop")
    gates.open("entity")
    await eventually(
        lambda: page.read("entities"), lambda each: (each[0]["runs"], each[0]["waiting"]) == (None, 0)
    )


async def test_queues_and_their_messages(tmp_path: Path, gates: ModuleType) -> None:
    code = """
    from tests.support import gates

    @app.queue_trigger(arg_name="text", queue_name="Work", connection="")
    def works(text: str) -> None:
        gates.stop_at("work")
    """
    async with open_page(write_app(tmp_path, code)) as page:
        assert await page.read("queues") == [
            {"name": "work", "messages": 0, "running": 0, "functions": ["works"]}
        ]
        stream = page.events()
        await anext(stream)
        long = "<b>" + "é" * 1_500
        await page.done(action="put", queue="work", message=long)
        assert (await anext(stream))[0] == "changed"  # which makes the page read them again
        await stream.aclose()
        await gates.arrivals("work")
        (queue,) = await page.read("queues")
        assert (queue["messages"], queue["running"]) == (1, 1)
        (message,) = await page.read("messages?queue=work")
        assert (message["text"], message["isCut"]) == (long[:1_000], True)
        assert (message["dequeueCount"], message["isRunning"]) == (1, True)
        assert message["insertedAt"] == message["visibleAt"]
        whole = f"/dashboard/api/payload?queue=work&message={message['id']}"
        status, headers, text = await page.get(whole)
        assert (status, headers["Content-Type"], text) == (200, "text/plain; charset=utf-8", long)
        gates.open("work")
        await page.host.host.idle()
        assert (await page.get(whole))[0] == 404
        assert await page.read("messages?queue=work") == []


# -- what is done --------------------------------------------------------------------------------------------
async def test_start_gives_the_input_as_the_client_of_the_sdk_does(page: Page) -> None:
    report = await page.done(action="start", name="waits", input='["go"]', id="mine")
    assert report["started"] == ["mine"]
    await page.host.until_waiting("mine", "event")


async def test_each_verb(page: Page) -> None:
    await page.done(action="start", name="waits", input='["go"]', id="mine")
    await page.host.until_waiting("mine", "event")
    await page.done(action="suspend", ids=["mine"], reason="lunch")
    await page.host.until("mine", lambda status: status["runtimeStatus"] == "Suspended")
    await page.done(action="resume", ids=["mine"])
    await page.host.until("mine", lambda status: status["runtimeStatus"] == "Running")
    await page.done(action="terminate", ids=["mine"], reason="enough")
    status = await page.host.ended("mine")
    assert (status["runtimeStatus"], status["output"]) == ("Terminated", "enough")
    (again,) = (await page.done(action="restart", ids=["mine"]))["started"]
    await page.host.until_waiting(again, "event")
    await page.done(action="purge", ids=["mine"])
    assert (await page.host.request("GET", "instances/mine"))[0] == 404


async def test_rewind(page: Page, gates: ModuleType) -> None:
    instance_id = await page.host.start("fan", {"activity": "stop_and_fail", "inputs": ["a"]})
    gates.open("a")
    await page.host.ended(instance_id)
    await page.done(action="rewind", ids=[instance_id])
    await gates.arrivals("a", 2)


async def test_why_a_rewind_will_not_help(tmp_path: Path) -> None:
    retries = """
    @app.activity_trigger(input_name="text")
    def fail(text):
        raise ValueError(text)

    @app.orchestration_trigger(context_name="context")
    def plain(context):
        yield context.call_activity("fail", "no")

    @app.orchestration_trigger(context_name="context")
    def retried(context):
        yield context.call_activity_with_retry("fail", df.RetryOptions(1, 2), "no")

    @app.orchestration_trigger(context_name="context")
    def tried_once(context):
        yield context.call_activity_with_retry("fail", df.RetryOptions(1, 1), "no")

    @app.orchestration_trigger(context_name="context")
    def above(context):
        yield context.call_sub_orchestrator("retried")
    """
    async with open_page(write_app(tmp_path, retries)) as page:
        names = ["plain", "tried_once", "retried", "above"]
        for name in names:
            await page.host.start(name, None, name)
            await page.host.failure(name)
        ids = quote(json.dumps([*names, "nobody"]))
        warning = (
            'fail "no" was retried: after a rewind the instance fails as non-deterministic, on Azure too. '
            "Restart it instead."
        )
        assert await page.read(f"rewind?instances={ids}") == {
            "tried_once": warning.replace("was retried", "was called with retries"),
            "retried": warning,
            "above": warning,
        }
        for name in names:
            await page.done(action="rewind", ids=[name])
            reason = await page.host.failure(name)
            assert ("Non-Deterministic" in reason) == (name != "plain"), reason


async def test_messages_are_put_moved_and_deleted(page: Page) -> None:
    for text in ("a", " b\n"):
        assert (await page.done(action="put", queue="Letters", message=text))["done"] == 1
    assert [each["text"] for each in await page.read("messages?queue=letters")] == ["a", " b\n"]
    assert (await page.done(action="move", queue="letters", to="Archive"))["done"] == 2
    assert await page.read("messages?queue=letters") == []
    assert (await page.done(action="clear", queue="archive"))["done"] == 2
    assert await page.read("queues") == []


async def test_what_azure_storage_would_not_take_is_refused(page: Page) -> None:
    for asked, sentence in (
        ({"action": "put", "queue": "a_b", "message": "x"}, "'a_b' cannot be the name of a queue."),
        ({"action": "put", "queue": "abc", "message": "x" * 50_000}, "is too long for queue abc"),
        ({"action": "move", "queue": "abc", "to": "a--b"}, "'a--b' cannot be the name of a queue."),
        ({"action": "clear", "queue": "ab"}, "'ab' cannot be the name of a queue."),
    ):
        status, report = await page.act(**asked)
        assert (status, report["done"]) == (200, 0)
        assert report["refused"][0]["id"] == asked["queue"] and sentence in report["refused"][0]["why"]
    assert await page.read("queues") == []


async def test_what_is_refused_is_told_for_each(page: Page) -> None:
    await page.host.start("waits", ["go"], "open")
    status, report = await page.act(action="purge", ids=["open", "nobody"])
    assert (status, report["done"]) == (200, 0)
    assert [each["id"] for each in report["refused"]] == ["open", "nobody"]
    assert "terminal state" in report["refused"][0]["why"]


async def test_a_bad_request_gets_a_sentence(page: Page) -> None:
    for asked, sentence in (
        ({"action": "fly", "ids": []}, "There is no action 'fly'."),
        ({"action": "purge", "ids": "x"}, "'ids' must be a list of instance ids."),
        ({"action": "raise", "ids": ["x"], "event": " "}, "'event' is missing."),
        ({"action": "start"}, "'name' is missing."),
        ({"action": "put", "message": "x"}, "'queue' is missing."),
        ({"action": "move", "queue": "letters", "to": ""}, "'to' is missing."),
    ):
        assert await page.act(**asked) == (400, {"error": sentence})
    _, answer = await page.act(action="start", name="waits", input="{a")
    assert answer["error"].startswith("The input is not JSON: ")
    _, answer = await page.act(action="start", name="waits", input="[" * 200_000)
    assert answer["error"] == "The input is not JSON: it is nested too deeply. A text needs quotes."
