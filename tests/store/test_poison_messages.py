"""One bad message harms nobody else: a real host, and a database with messages that nobody can read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from cli_process import Started
from crashing import Client, kill, wait_until
from serving import write_app

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


@contextmanager
def host(folder: Path) -> Iterator[tuple[Started, Client]]:
    with Started(folder, "--db", folder / "hub.db") as started:
        yield started, Client(started)


def signal(client: Client, key: str) -> None:
    assert (
        client.request("POST", f"entities/counter/{key}?op=add", "1")[0] == 202
    )  # JSON in JSON, as the SDK sends it


def until_counted(client: Client, key: str, count: int) -> None:
    wait_until(lambda: client.request("GET", f"entities/counter/{key}") == (200, count), f"never {count}")


def test_messages_that_cannot_be_read_are_set_aside_and_named(tmp_path: Path) -> None:
    folder = write_app(tmp_path / "app", APP)
    with host(folder) as (started, client):
        for instance_id in ("a", "b", "unreadable"):
            client.start("waits", instance_id)
            client.until(instance_id, lambda told: told["runtimeStatus"] == "Running")
        signal(client, "k")
        until_counted(client, "k", 1)
        kill(started)
    with closing(sqlite3.connect(folder / "hub.db")) as connection, connection:
        connection.execute("UPDATE history SET event = '{' WHERE instance_id = 'unreadable'")
        for number, text in enumerate(BAD):
            connection.execute("INSERT INTO inbox VALUES ('a', ?, ?, '')", (1000 + number, text))
            connection.execute(
                "INSERT INTO entity_requests VALUES ('@counter@k', ?, ?)", (2000 + number, text)
            )
    with host(folder) as (started, client):
        client.start("waits", "c")
        for instance_id in "abc":
            client.tell(instance_id, "raiseEvent/go", instance_id)
        client.tell("unreadable", "raiseEvent/go", 1)
        signal(client, "k")
        assert [client.output(instance_id) for instance_id in "abc"] == ["a", "b", "c"]
        until_counted(client, "k", 2)
        client.tell("unreadable", "terminate")
        said = "\n".join(started.lines)
        assert said.count("A message to a cannot be processed") == len(BAD)
        assert said.count("A message to @counter@k cannot be processed") == len(BAD)
        assert said.count("The history of unreadable cannot be read") == 1
        assert "Traceback" not in said
        kill(started)
    assert sorted(poison_messages(folder / "hub.db")) == sorted(
        (each, text) for each in ("a", "@counter@k") for text in BAD
    )


def poison_messages(file: Path) -> list[Any]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT instance_id, message FROM poison_messages").fetchall()


def test_an_orchestration_with_an_entitys_id_disturbs_neither_the_entity_nor_others(tmp_path: Path) -> None:
    folder = write_app(tmp_path / "app", APP)
    with host(folder) as (started, client):
        client.start("waits", "@counter@z")
        for number in range(20):
            client.start("waits", f"x{number}")
            signal(client, "z")
            client.tell(f"x{number}", "raiseEvent/go", number)
        for number in range(20):
            assert client.output(f"x{number}") == number
        until_counted(client, "z", 20)
        kill(started)
    with host(folder) as (started, client):
        signal(client, "z")
        client.tell("@counter@z", "raiseEvent/go", "for the orchestration")
        assert client.output("@counter@z") == "for the orchestration"
        assert client.request("DELETE", "instances/@counter@z") == (200, {"instancesDeleted": 1})
        until_counted(client, "z", 21)
        assert not [line for line in started.lines if "Traceback" in line]
