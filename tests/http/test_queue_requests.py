"""``/admin/queues``: the messages of the app's queues can be listed, put, moved and deleted."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import pytest

from dfhost.settings.model import QueueOptions
from tests.support.apps import write_app
from tests.support.queues import Queues
from tests.support.running_host import RunningHost, running_host

APP = """
    from tests.support import gates

    @app.queue_trigger(arg_name="text", queue_name="%WORK%", connection="")
    def works(text: str) -> None:
        gates.stop_at("work", text)
"""


@pytest.fixture
async def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningHost]:
    monkeypatch.setenv("WORK", "Work")
    async with running_host(
        write_app(tmp_path, APP), queues=QueueOptions(batch_size=1, new_batch_threshold=0)
    ) as host:
        yield host


@pytest.fixture
def queues(host: RunningHost) -> Queues:
    return Queues(host)


async def refusal(queues: Queues, method: str, path: str, body: Any = None) -> str:
    """The sentence of a request that must be refused with 400."""
    response = await queues.request(method, path, body)
    assert response.status == 400, response
    assert list(response.body) == ["Message"]
    return str(response.body["Message"])


# -- what there is -------------------------------------------------------------------------------------------
async def test_queues_with_functions_or_messages_are_listed(queues: Queues) -> None:
    expected = {"name": "work", "messages": 0, "running": 0, "functions": ["works"]}
    assert (await queues.request("GET")).plain == (200, [expected])
    await queues.put("elsewhere", "a", "b")
    assert (await queues.request("GET", "/")).plain == (
        200,
        [{"name": "elsewhere", "messages": 2, "running": 0, "functions": []}, expected],
    )


async def test_the_messages_of_a_queue_are_shown_oldest_first(queues: Queues) -> None:
    await queues.put("elsewhere", *"abc")
    response = await queues.request("GET", "/ELSEWHERE")
    assert response.status == 200
    messages = response.body.pop("messages")
    assert response.body == {"name": "elsewhere", "functions": [], "length": 3}
    assert [each["message"] for each in messages] == ["a", "b", "c"]
    assert len({each["id"] for each in messages}) == 3
    assert {each["dequeueCount"] for each in messages} == {0}
    assert all(each["insertedAt"] == each["visibleAt"] and not each["running"] for each in messages)


async def test_a_queue_that_nobody_has_named_is_empty(queues: Queues) -> None:
    response = await queues.request("GET", "/unknown")
    assert response.plain == (200, {"name": "unknown", "functions": [], "length": 0, "messages": []})


@pytest.mark.parametrize(
    ("top", "count"), [("2", 2), ("0", 0), ("x", 100), ("", 100), ("1000", 120), ("9" * 30, 100)]
)
async def test_top_bounds_what_is_shown_and_not_the_length(queues: Queues, top: str, count: int) -> None:
    await queues.put("elsewhere", *map(str, range(120)))
    response = await queues.request("GET", f"/elsewhere?top={top}")
    assert response.body["length"] == 120
    assert len(response.body["messages"]) == count


async def test_a_negative_top_is_refused(queues: Queues) -> None:
    assert await refusal(queues, "GET", "/elsewhere?top=-1") == "The number in ?top= must not be negative."


# -- putting -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("a", "a"),
        ("", ""),
        ({"id": 7, "name": "é"}, '{"id": 7, "name": "é"}'),
        ([1, 2], "[1, 2]"),
        (7, "7"),
        (None, "null"),
        (True, "true"),
        ("[not json]", "[not json]"),
    ],
)
async def test_a_message_is_put_as_text_or_else_as_json(queues: Queues, message: Any, text: str) -> None:
    response = await queues.request("POST", "/Elsewhere", {"message": message})
    assert response.plain == (201, {"queue": "elsewhere", "put": 1})
    assert await queues.texts("elsewhere") == [text]


async def test_several_messages_are_put_in_their_order(queues: Queues) -> None:
    response = await queues.request("POST", "/elsewhere", {"messages": ["a", {"b": 1}, ["c"]]})
    assert response.plain == (201, {"queue": "elsewhere", "put": 3})
    assert await queues.texts("elsewhere") == ["a", '{"b": 1}', '["c"]']


async def test_no_messages_are_put_as_well(queues: Queues) -> None:
    response = await queues.request("POST", "/elsewhere", {"messages": []})
    assert response.plain == (201, {"queue": "elsewhere", "put": 0})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"text",
        b"\xff",
        b"[" * 100_000,
        b"null",
        [],
        {},
        "a",
        {"Message": "a"},
        {"messages": "abc"},
        {"messages": {"a": 1}},
        {"messages": None},
        {"message": "a", "messages": ["b"]},
        {"message": "a", "delay": 5},
    ],
)
async def test_a_body_that_is_no_message_is_refused(queues: Queues, body: Any) -> None:
    sentence = await refusal(queues, "POST", "/elsewhere", body)
    assert sentence.startswith('The body must be a JSON object such as {"message": "text"}')
    assert len(sentence) < 500
    assert await queues.length("elsewhere") == 0


async def test_a_message_that_is_too_long_is_refused_and_none_of_its_company_is_put(queues: Queues) -> None:
    sentence = await refusal(queues, "POST", "/elsewhere", {"messages": ["a", "x" * 49_153]})
    assert sentence.startswith("A message of 49,153 bytes is too long for queue elsewhere")
    assert await queues.length("elsewhere") == 0


async def test_half_a_surrogate_pair_is_refused(host: RunningHost, queues: Queues) -> None:
    assert "surrogate" in await refusal(queues, "POST", "/elsewhere", b'{"message": "\\ud800"}')
    assert host.log.notes == []


@pytest.mark.parametrize(
    "name", ["no", "with_underscore", "a--b", "%20", "%C3%A4%C3%A4%C3%A4", "a%2Fb", "x" * 64]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_name_that_no_queue_can_have_is_refused(queues: Queues, method: str, name: str) -> None:
    assert "cannot be the name of a queue" in await refusal(queues, method, f"/{name}", {"message": "a"})


@pytest.mark.parametrize("setting", ["WORK", "DEAD_LETTERS"])  # %DE is a character, encoded
async def test_a_setting_may_stand_for_a_name(
    queues: Queues, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    monkeypatch.setenv("DEAD_LETTERS", "elsewhere")
    monkeypatch.setenv("WORK", "elsewhere")
    await queues.put(f"%25{setting}%25", "a")
    assert await queues.texts("elsewhere") == ["a"]


async def test_a_setting_that_is_missing_is_named(queues: Queues) -> None:
    assert "there is no app setting 'NONE'" in await refusal(queues, "GET", "/%25NONE%25")


# -- moving and deleting -------------------------------------------------------------------------------------
async def test_messages_are_moved_as_new_ones(queues: Queues) -> None:
    await queues.put("elsewhere", "a", "b")
    response = await queues.request("POST", "/elsewhere/move", {"to": "Third"})
    assert response.plain == (200, {"queue": "elsewhere", "to": "third", "moved": 2})
    assert await queues.texts("third") == ["a", "b"]
    assert await queues.length("elsewhere") == 0


async def test_what_is_moved_to_a_function_is_given_to_it(
    gates: ModuleType, host: RunningHost, queues: Queues
) -> None:
    gates.open("work")
    await queues.put("work-poison", "a", "b")
    await queues.request("POST", "/work-poison/move", {"to": "work"})
    await host.host.idle()
    assert gates.arrived("work") == ["a", "b"]


@pytest.mark.parametrize("body", [b"", {}, {"to": None}, {"to": 7}, ["third"], b"third"])
async def test_a_body_without_a_target_is_refused(queues: Queues, body: Any) -> None:
    await queues.put("elsewhere", "a")
    sentence = await refusal(queues, "POST", "/elsewhere/move", body)
    assert sentence.startswith('The body must be a JSON object such as {"to": "orders"}')
    assert await queues.texts("elsewhere") == ["a"]


async def test_a_target_that_no_queue_can_be_is_refused(queues: Queues) -> None:
    assert "'a--b' cannot be" in await refusal(queues, "POST", "/elsewhere/move", {"to": "a--b"})
    assert "'a--b' cannot be" in await refusal(queues, "POST", "/a--b/move", {"to": "elsewhere"})


async def test_messages_are_deleted(queues: Queues) -> None:
    await queues.put("elsewhere", "a", "b")
    assert (await queues.request("DELETE", "/Elsewhere")).plain == (200, {"queue": "elsewhere", "deleted": 2})
    assert (await queues.request("DELETE", "/elsewhere")).body["deleted"] == 0
    assert await queues.length("elsewhere") == 0


async def test_what_a_function_works_on_is_neither_moved_nor_deleted(
    gates: ModuleType, host: RunningHost, queues: Queues
) -> None:
    await queues.put("work", "a", "b", "c")
    await gates.arrivals("work")
    listed = (await queues.request("GET")).body
    assert listed == [{"name": "work", "messages": 3, "running": 1, "functions": ["works"]}]
    moved = await queues.request("POST", "/work/move", {"to": "elsewhere"})
    assert moved.body["moved"] == 2
    await queues.put("work", "d")
    assert (await queues.request("DELETE", "/work")).body["deleted"] == 1
    assert await queues.running("work") == await queues.texts("work") == ["a"]
    gates.open("work")
    await host.host.idle()
    assert gates.arrived("work") == ["a"]
    assert await queues.length("work") == 0


# -- what else may be asked ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", ""),
        ("DELETE", ""),
        ("PUT", "/elsewhere"),
        ("PATCH", "/elsewhere"),
        ("GET", "/elsewhere/move"),
        ("POST", "/elsewhere/copy"),
        ("POST", "/elsewhere/move/on"),
    ],
)
async def test_other_requests_are_answered_404(queues: Queues, method: str, path: str) -> None:
    assert (await queues.request(method, path, {"message": "a", "to": "third"})).status == 404


async def test_another_web_page_puts_no_message(host: RunningHost, queues: Queues) -> None:
    headers = {"Origin": "https://evil.example", "Content-Type": "text/plain"}
    url = f"{host.host.url}/admin/queues/elsewhere"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=json.dumps({"message": "a"}), headers=headers) as response,
    ):
        assert response.status == 403
    assert await queues.length("elsewhere") == 0
