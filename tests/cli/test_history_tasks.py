"""Tasks from the history that a host without a timeline shows."""

from __future__ import annotations

import pytest

from dfhost.cli.views.history_tasks import tasks_of_history


def at(second: int) -> str:
    return f"2026-11-28T10:00:{second:02}.000000Z"


def created(second: int, due: int) -> dict[str, str]:
    return {"EventType": "TimerCreated", "Timestamp": at(second), "FireAt": at(due)}


def fired(second: int, due: int) -> dict[str, str]:
    return {"EventType": "TimerFired", "Timestamp": at(second), "FireAt": at(due)}


@pytest.mark.parametrize(
    ("events", "states"),
    [
        ([created(0, 5), fired(6, 5)], ["completed"]),
        ([created(0, 5), created(0, 5), fired(6, 5), fired(7, 5)], ["completed", "completed"]),
        ([created(0, 50), created(0, 5), fired(6, 5)], ["cancelled", "completed"]),
        ([fired(6, 5)], ["completed"]),
    ],
)
def test_a_timer_is_one_task(events: list[dict[str, str]], states: list[str]) -> None:
    tasks = tasks_of_history(events, at(9))
    assert [task["state"] for task in tasks] == states
    assert [task["endedTime"] for task in tasks if task["state"] == "completed"] == [
        event["Timestamp"] for event in events if event["EventType"] == "TimerFired"
    ]
