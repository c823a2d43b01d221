"""Habits of published apps that a host can break: layout, decorators, payloads, triggers, logging of their own.

Each app runs as its users run it: a process of its own, started from another folder.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from cli_process import DEADLINE, Started
from serving import APPS

INSTANCES = "/runtime/webhooks/durabletask/instances"


def answer(
    host: Started, method: str, path: str, body: Any = None, content_type: str = "application/json"
) -> tuple[int, str]:
    """Status and body; `body` is sent as JSON, unless it is bytes."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    url = path if path.startswith("http") else host.url + path
    request = urllib.request.Request(url, data, {"Content-Type": content_type}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def ended(host: Started, instance_id: str) -> dict[str, Any]:
    """The status of an instance that has to appear and to end."""
    deadline = time.monotonic() + DEADLINE
    while True:
        code, body = answer(host, "GET", f"{INSTANCES}/{instance_id}")
        if code == 200:
            return dict(json.loads(body))
        assert time.monotonic() < deadline, body
        time.sleep(0.01)


def output(host: Started, path: str, body: Any) -> Any:
    """What the orchestration that `path` starts completes with."""
    code, text = answer(host, "POST", path, body)
    assert code == 202, text
    status = ended(host, json.loads(text)["id"])
    assert status["runtimeStatus"] == "Completed", status
    return status["output"]


# -- layout, decorators, payloads ----------------------------------------------------------------------------
@pytest.fixture(scope="module")
def shop() -> Iterator[Started]:
    with Started(APPS / "idioms_shop", "--memory") as host:
        yield host


def test_typed_payloads_references_and_parts_of_orchestrators(shop: Started) -> None:
    order = {"customer": "Ann", "items": ["tea", "café"]}
    assert output(shop, "/api/start/sell", order) == {
        "lines": [{"item": "tea", "price": 3}, {"item": "café", "price": 5}],
        "total": 8,
        "receipt": "receipt: Ann bought tea, café",
        "shelf": 2,
    }
    # The app's own decorators ran around the functions, and what they print is heard.
    for name in ("sell_an_order", "add_up", "shelf_entity"):
        shop.line(f"in {name}")


def test_an_orchestrator_that_is_no_generator(shop: Started) -> None:
    assert output(shop, "/api/start/say_so", {"a": "ü"}) == "said: {'a': 'ü'}"


def test_activities_find_the_apps_files_and_may_use_clients_loops_and_processes(shop: Started) -> None:
    assert output(shop, "/api/start/look_around", 1) == {
        "read_file": ["café", "tea"],
        "ask_status": "Running",
        "own_loop": "done",
        "processes": [0, 1, 4],
    }


def test_plain_http_beside_the_durable(shop: Started) -> None:
    assert answer(shop, "GET", "/api/health") == (200, "fine")
    assert answer(shop, "OPTIONS", "/api/upload") == (200, "")
    field = 'Content-Disposition: form-data; name="{}"'
    form = "\r\n".join(
        [
            "--cut",
            field.format("files") + '; filename="a.csv"',
            "Content-Type: text/csv",
            "",
            "1;2;3",
            "--cut",
            field.format("kind"),
            "",
            "daily",
            "--cut--",
            "",
        ]
    )
    kind = "multipart/form-data; boundary=cut"
    assert answer(shop, "POST", "/api/upload", form.encode(), kind) == (200, "a.csv 5; daily")


def test_settings_that_only_azure_has_are_told_and_do_no_harm(shop: Started) -> None:
    shop.line("note .*there is no app setting SHOP_TASKHUB")
    shop.line("note .*storageProvider.type is azureManaged")
    code, body = answer(shop, "POST", "/api/start/say_so", 1)
    assert code == 202
    assert "taskHub=SHOPTASKHUB" in json.loads(body)["statusQueryGetUri"]


# -- triggers and patterns -----------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def events() -> Iterator[Started]:
    with Started(APPS / "idioms_events", "--memory", NIGHTLY="0 0 3 * * *") as host:
        yield host


@pytest.mark.parametrize(
    ("function", "sent", "instance", "recorded"),
    [
        ("on_queue", '{"a": 1}', "from-queue", {"a": 1}),
        ("on-blob", "1;2", "from-blob", {"name": "in/dfhost.csv", "text": "1;2"}),
        ("on_events", '[{"e": 1}, {"e": 2}]', "from-hub", [{"e": 1}, {"e": 2}]),
        ("on_bus", "job", "from-bus", "job"),
        (
            "on_grid",
            json.dumps(
                {
                    "id": "1",
                    "topic": "t",
                    "subject": "s",
                    "eventType": "e",
                    "eventTime": "2024-05-06T07:08:09Z",
                    "data": {"d": 1},
                    "dataVersion": "1",
                }
            ),
            "from-grid",
            {"d": 1},
        ),
    ],
)
def test_what_nothing_polls_can_be_run_by_hand_and_start_orchestrations(
    events: Started, function: str, sent: str, instance: str, recorded: Any
) -> None:
    events.line(f"note .*dfhost does not poll these triggers: .*{function}")
    assert answer(events, "POST", f"/admin/functions/{function}", {"input": sent})[0] == 202
    assert ended(events, instance)["output"] == recorded


def test_a_timer_under_its_client_that_runs_on_startup(events: Started) -> None:
    assert ended(events, "from-timer")["output"] == {"past_due": False}


def test_an_asgi_app_takes_what_no_function_does(events: Started) -> None:
    assert answer(events, "GET", "/hello/world") == (200, "GET /hello/world")
    text = "a plain route before the catch-all: 7"
    assert answer(events, "POST", "/approvals/7") == (200, text)
    assert output(events, "/fetch", f"{events.url}/hello".encode()) == [200, "GET /hello"]


def test_a_singleton_monitor_for_ever_until_its_own_url_is_posted_to(events: Started) -> None:
    code, body = answer(events, "POST", "/monitor")
    assert code == 202, body
    assert answer(events, "POST", "/monitor") == (409, "running")
    deadline = time.monotonic() + DEADLINE
    while True:
        status = json.loads(answer(events, "GET", json.loads(body)["statusQueryGetUri"])[1])
        if status["customStatus"] and status["customStatus"]["round"] > 2:
            break
        assert time.monotonic() < deadline, status
        time.sleep(0.01)
    assert answer(events, "POST", status["customStatus"]["answer_to"], {"by": "me"})[0] == 202
    told = ended(events, "the-monitor")
    assert told["output"] == {"stopped_by": {"by": "me"}, "at_least_one_round": True}

    tidied = json.loads(answer(events, "DELETE", "/tidy")[1])
    assert tidied["gone"] >= 1
    assert "the-monitor" not in tidied["left"]


# -- before the SDK had decorators of its own ----------------------------------------------------------------
def test_generic_bindings_and_handles_made_by_hand() -> None:
    with Started(APPS / "idioms_generic", "--memory") as host:
        for name, total in (("greet_all", 2), ("GreetAgain", 4)):
            code, body = answer(host, "POST", f"/api/start/{name}", ["Ann", "Bo"])
            assert (code, json.loads(body)) == (200, [["Hello Ann", "Hello Bo"], total])
