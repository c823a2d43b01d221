"""Habits of published apps that a host can break: layout, decorators, payloads, triggers, their own logging.

Each app runs as its users run it: in a process of its own, started from another folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import APPS
from tests.support.host_process import HostProcess
from tests.support.http_client import Response
from tests.support.waiting import until


def output(host: HostProcess, path: str, body: Any) -> Any:
    """What the orchestration that `path` starts completes with."""
    return host.client.output(host.start_instance(path, body))


# -- layout, decorators, payloads ----------------------------------------------------------------------------
@pytest.fixture(scope="module")
def shop() -> Iterator[HostProcess]:
    with HostProcess(APPS / "idioms_shop", "--memory") as host:
        yield host


def test_typed_payloads_references_and_parts_of_orchestrators(shop: HostProcess) -> None:
    order = {"customer": "Ann", "items": ["tea", "café"]}
    assert output(shop, "/api/start/sell", order) == {
        "lines": [{"item": "tea", "price": 3}, {"item": "café", "price": 5}],
        "total": 8,
        "receipt": "receipt: Ann bought tea, café",
        "shelf": 2,
    }
    # The app's own decorators ran around the functions, and what they print is on the console.
    for name in ("sell_an_order", "add_up", "shelf_entity"):
        shop.line(f"in {name}")


def test_an_orchestrator_that_is_no_generator(shop: HostProcess) -> None:
    assert output(shop, "/api/start/say_so", {"a": "ü"}) == "said: {'a': 'ü'}"


def test_activities_find_the_apps_files_and_may_use_clients_loops_and_processes(shop: HostProcess) -> None:
    assert output(shop, "/api/start/look_around", 1) == {
        "read_file": ["café", "tea"],
        "ask_status": "Running",
        "own_loop": "done",
        "processes": [0, 1, 4],
    }


def test_plain_http_beside_the_durable(shop: HostProcess) -> None:
    assert shop.client.request("GET", "/api/health").plain == (200, "fine")
    assert shop.client.request("OPTIONS", "/api/upload").plain == (200, None)
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
    assert shop.client.request("POST", "/api/upload", form.encode(), kind).plain == (200, "a.csv 5; daily")


def test_settings_that_only_azure_has_are_named_and_do_no_harm(shop: HostProcess) -> None:
    shop.line("note .*there is no app setting SHOP_TASKHUB")
    shop.line("note .*storageProvider.type is azureManaged")
    links = shop.client.request("POST", "/api/start/say_so", 1).body
    assert "taskHub=SHOPTASKHUB" in links["statusQueryGetUri"]


# -- triggers and patterns -----------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def events() -> Iterator[HostProcess]:
    with HostProcess(APPS / "idioms_events", "--memory", NIGHTLY="0 0 3 * * *") as host:
        yield host


def test_triggers_that_are_not_polled_are_named(events: HostProcess) -> None:
    named = events.line("note .*dfhost does not poll these triggers: (.*)Run one")[1]
    names = ("on-blob", "on_events", "on_bus", "on_grid")
    assert all(name in named for name in names) and "on_queue" not in named


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
def test_functions_of_any_trigger_can_be_run_by_hand(
    events: HostProcess, function: str, sent: str, instance: str, recorded: Any
) -> None:
    assert events.client.request("POST", f"/admin/functions/{function}", {"input": sent}).status == 202
    assert events.client.output(instance) == recorded


def test_a_blob_can_be_a_file_and_have_its_name(events: HostProcess, tmp_path: Path) -> None:
    def run(text: str) -> Response:
        return events.client.request("POST", "/admin/functions/on_upload", {"input": text})

    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG\xff")
    assert run(f"file:{picture}").status == 202
    assert events.client.output("upload-5") == {"name": "uploads/picture.png", "hex": "89504e47ff"}
    assert run("file:host.json").status == 202  # in the app's folder
    size = (APPS / "idioms_events" / "host.json").stat().st_size
    assert events.client.output(f"upload-{size}")["name"] == "uploads/host.json"
    assert run("text").status == 202
    assert events.client.output("upload-4") == {"name": "uploads/dfhost", "hex": "74657874"}

    refused = run("file:nowhere.png")
    assert refused.status == 400 and "there is no file" in refused.body["Message"]


def test_a_timer_under_its_client_that_runs_on_startup(events: HostProcess) -> None:
    assert events.client.output("from-timer") == {"past_due": False}


def test_an_asgi_app_takes_the_requests_that_no_function_takes(events: HostProcess) -> None:
    assert events.client.request("GET", "/hello/world").plain == (200, "GET /hello/world")
    text = "a plain route before the catch-all: 7"
    assert events.client.request("POST", "/approvals/7").plain == (200, text)
    assert output(events, "/fetch", f"{events.url}/hello".encode()) == [200, "GET /hello"]


def test_a_singleton_monitor_runs_until_its_own_event_url_is_posted_to(events: HostProcess) -> None:
    started = events.client.request("POST", "/monitor")
    assert started.status == 202, started
    assert events.client.request("POST", "/monitor").plain == (409, "running")
    url = started.body["statusQueryGetUri"]
    status = until(
        lambda: events.client.request("GET", url).body,
        lambda status: status["customStatus"] and status["customStatus"]["round"] > 2,
    )
    assert events.client.request("POST", status["customStatus"]["answer_to"], {"by": "me"}).status == 202
    assert events.client.output("the-monitor") == {"stopped_by": {"by": "me"}, "at_least_one_round": True}

    tidied = events.client.request("DELETE", "/tidy").body
    assert tidied["purged"] >= 1
    assert "the-monitor" not in tidied["left"]


@pytest.mark.long
# -- before the SDK had decorators of its own ----------------------------------------------------------------
def test_generic_bindings_and_handles_made_by_hand() -> None:
    with HostProcess(APPS / "idioms_generic", "--memory") as host:
        for name, total in (("greet_all", 2), ("GreetAgain", 4)):
            response = host.client.request("POST", f"/api/start/{name}", ["Ann", "Bo"])
            assert response.plain == (200, [["Hello Ann", "Hello Bo"], total])
