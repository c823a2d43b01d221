"""Requests go through the host's own front, without a port."""

from __future__ import annotations

import socket
import urllib.request
from contextlib import closing
from datetime import timedelta

import pytest

from dfhost.testing import Durable, Host
from tests.support.apps import APPS


def test_a_url_at_which_no_host_answers() -> None:
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        with Host(url=url) as durable, pytest.raises(ConnectionError, match=f"^No host answers at {url}: "):
            durable.start("pay", "book")


def test_a_starter_and_the_run_that_it_starts(durable: Durable) -> None:
    response = durable.post("/api/approvals", json={"amount": 5})
    assert response.status == 202
    assert response.headers["location"].startswith(
        "http://localhost:7071/runtime/webhooks/durabletask/instances/"
    )
    assert response.json()["id"] == response.run.id
    response.run.waits_for(event="approved")
    shown = durable.get(response.json()["statusQueryGetUri"])
    assert (shown.status, shown.json()["runtimeStatus"]) == (202, "Running")


def test_status_codes_are_those_of_the_front(durable: Durable) -> None:
    assert durable.get("/api/now").text == "now"
    assert durable.get("/api/nowhere").status == 404
    assert durable.put("/api/approvals").status == 404
    assert durable.delete("/api/now").status == 404
    assert durable.patch("/api/now").status == 404
    assert durable.get("/api/now", headers={"Origin": "http://elsewhere.example"}).status == 403
    assert durable.get("/admin/host/status").json()["state"] == "Running"
    assert durable.get("/").status == 200


def test_bodies_headers_and_queries_arrive(durable: Durable) -> None:
    response = durable.post("/api/wait", params={"name": "pay"}, data=b"as it is")
    assert (response.status, response.json()) == (200, {"order": "wait", "price": 4})
    with pytest.raises(AssertionError, match="names no instance"):
        _ = response.run
    with pytest.raises(AssertionError, match="is not JSON"):
        durable.get("/api/now").json()


def test_a_starter_that_fails(durable: Durable) -> None:
    response = durable.post("/api/wait")  # without the parameter that it reads
    assert response.status == 500
    with pytest.raises(
        AssertionError, match=r"The function has failed: KeyError: 'name'\. The answer 500 names no"
    ):
        _ = response.run


def test_a_request_that_waits_for_a_run_lets_time_pass(durable: Durable) -> None:
    durable.stub("send_mail")
    durable.fail("charge", times=1)
    began = durable.now
    response = durable.post("/api/wait?name=pay")
    assert response.status == 202, "it gives up after ten seconds, the retry comes after a minute"
    assert durable.now - began == timedelta(seconds=10)
    durable.advance(minutes=1)
    assert response.run.result()["price"] == 4


def test_a_port_is_opened_only_on_request() -> None:
    with Host(APPS / "testing", port=0) as durable:
        assert durable.url != "http://localhost:7071"
        with urllib.request.urlopen(f"{durable.url}/api/now") as response:
            assert response.read() == b"now"
