"""One bad message harms nobody else: a real host, and a database with messages that nobody can read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import write_app
from tests.support.host_process import HostProcess
from tests.support.http_client import HttpClient
from tests.support.waiting import until

APP = """
@app.orchestration_trigger(context_name="context")
def waits(context: df.DurableOrchestrationContext):
    return (yield context.wait_for_external_event("go"))

@app.entity_trigger(context_name="context")
def counter(context):
    state = context.get_state(lambda: 0)
    if context.operation_name == "add":
        state += context.get_input()
        context.set_state(state)
"""

BAD = [
    "{",
    "[]",
    "5",
    '{"EventType": 99, "EventId": -1, "IsPlayed": false, "Timestamp": "2026-01-01T00:00:00Z"}',
    '{"EventType": 15, "Name": 5, "EventId": -1, "IsPlayed": false, "Timestamp": "2026-01-01T00:00:00Z"}',
    '{"EventType": 15, "Name": "go", "Input": "1", "EventId": -1, "IsPlayed": false, "Timestamp": "yesterday"}',
    '{"EventType": 15, "Name": "go"}',
]


def host(folder: Path) -> HostProcess:
    return HostProcess(folder, "--db", folder / "hub.db")


def signal(client: HttpClient, key: str) -> None:
    response = client.manage("POST", f"entities/counter/{key}?op=add", "1")  # JSON in JSON, as from the SDK
    assert response.status == 202


def until_counted(client: HttpClient, key: str, count: int) -> None:
    until(lambda: client.manage("GET", f"entities/counter/{key}").plain, lambda seen: seen == (200, count))


@pytest.mark.long
def test_messages_that_cannot_be_read_are_set_aside_and_named(tmp_path: Path) -> None:
    folder = write_app(tmp_path / "app", APP)
    with host(folder) as started:
        client = started.client
        for instance_id in ("a", "b", "unreadable"):
            client.start("waits", instance_id=instance_id)
            client.until(instance_id, lambda told: told["runtimeStatus"] == "Running")
        signal(client, "k")
        until_counted(client, "k", 1)
        started.kill()
    with closing(sqlite3.connect(folder / "hub.db")) as connection, connection:
        connection.execute("UPDATE history SET event = '{' WHERE instance_id = 'unreadable'")
        for number, text in enumerate(BAD):
            connection.execute("INSERT INTO inbox VALUES ('a', ?, ?, '')", (1000 + number, text))
            connection.execute(
                "INSERT INTO entity_requests VALUES ('@counter@k', ?, ?)", (2000 + number, text)
            )
    with host(folder) as started:
        client = started.client
        client.start("waits", instance_id="c")
        for instance_id in "abc":
            client.send(instance_id, "raiseEvent/go", instance_id)
        client.send("unreadable", "raiseEvent/go", 1)
        signal(client, "k")
        assert [client.output(instance_id) for instance_id in "abc"] == ["a", "b", "c"]
        until_counted(client, "k", 2)
        client.send("unreadable", "terminate")
        started.line("The history of unreadable cannot be read")
        said = started.text
        assert said.count("A message to a cannot be processed") == len(BAD)
        assert said.count("A message to @counter@k cannot be processed") == len(BAD)
        assert said.count("The history of unreadable cannot be read") == 1
        assert "Traceback" not in said
        started.kill()
    assert sorted(poison_messages(folder / "hub.db")) == sorted(
        (each, text) for each in ("a", "@counter@k") for text in BAD
    )


def poison_messages(file: Path) -> list[Any]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT instance_id, message FROM poison_messages").fetchall()


@pytest.mark.long
def test_an_orchestration_with_an_entitys_id_disturbs_neither_the_entity_nor_others(tmp_path: Path) -> None:
    folder = write_app(tmp_path / "app", APP)
    with host(folder) as started:
        client = started.client
        client.start("waits", instance_id="@counter@z")
        for number in range(20):
            client.start("waits", instance_id=f"x{number}")
            signal(client, "z")
            client.send(f"x{number}", "raiseEvent/go", number)
        for number in range(20):
            assert client.output(f"x{number}") == number
        until_counted(client, "z", 20)
        started.kill()
    with host(folder) as started:
        client = started.client
        signal(client, "z")
        client.send("@counter@z", "raiseEvent/go", "for the orchestration")
        assert client.output("@counter@z") == "for the orchestration"
        assert client.manage("DELETE", "instances/@counter@z").plain == (200, {"instancesDeleted": 1})
        until_counted(client, "z", 21)
        assert "Traceback" not in started.text
