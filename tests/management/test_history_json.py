"""showHistory, from recorded wire histories to what the extension showed of the same orchestrations."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from dfhost.management.history_json import history_json

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?|TIME(\.f)?(Z|\+00:00)?")
ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|INSTANCE|GUID|I1")


def scrubbed(value: Any) -> Any:
    """Without what differs from run to run: times and ids."""
    if isinstance(value, dict):
        return {name: scrubbed(each) for name, each in value.items()}
    if isinstance(value, list):
        return [scrubbed(each) for each in value]
    return ID.sub("ID", TIME.sub("TIME", value)) if isinstance(value, str) else value


def in_any_order(events: list[dict[str, Any]]) -> list[str]:
    """The recordings sort events of parallel work; the last event is written after the last replay."""
    ended = [event for event in events if event["EventType"] != "ExecutionCompleted"]
    return sorted(json.dumps(event, sort_keys=True) for event in ended)


def load(path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    recorded = json.loads(path.read_text())
    return recorded["history"], recorded["shown"]


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_a_history_is_shown_as_the_extension_shows_it(path: Path) -> None:
    history, expected = load(path)

    result = history_json(history, inputs=True, outputs=True).events

    assert in_any_order(scrubbed(result)) == in_any_order(scrubbed(expected))


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
def test_inputs_and_results_are_left_out_on_demand(path: Path) -> None:
    history, expected = load(path)
    expected = [{k: v for k, v in event.items() if k not in ("Input", "Result")} for event in expected]

    result = history_json(history, inputs=False, outputs=False).events

    assert in_any_order(scrubbed(result)) == in_any_order(scrubbed(expected))


def scheduled(event_id: int, name: str) -> dict[str, Any]:
    return {
        "EventType": 4,
        "Name": name,
        "Version": "",
        "Input": None,
        "EventId": event_id,
        "IsPlayed": False,
        "Timestamp": "2026-01-02T03:04:05.678901Z",
    }


def completed(task_id: int, result: str | None) -> dict[str, Any]:
    return {
        "EventType": 5,
        "TaskScheduledId": task_id,
        "Result": result,
        "EventId": -1,
        "IsPlayed": True,
        "Timestamp": "2026-01-02T03:04:06.000000Z",
    }


def test_a_completion_absorbs_its_scheduling_and_keeps_its_keys_in_the_extensions_order() -> None:
    events = history_json(
        [scheduled(0, "echo"), completed(0, '{"a": 1.0}')], inputs=True, outputs=True
    ).events

    assert json.dumps(events) == json.dumps(
        [
            {
                "EventType": "TaskCompleted",
                "Result": {"a": 1.0},
                "Timestamp": "2026-01-02T03:04:06.000000Z",
                "ScheduledTime": "2026-01-02T03:04:05.678901+00:00",
                "FunctionName": "echo",
                "Input": None,
            }
        ]
    )


def test_work_that_is_still_open_stays_as_scheduled() -> None:
    events = history_json([scheduled(0, "slow")], inputs=True, outputs=False).events

    assert events == [
        {
            "EventType": "TaskScheduled",
            "Name": "slow",
            "Input": None,
            "Timestamp": "2026-01-02T03:04:05.678901Z",
        }
    ]


def test_a_history_in_which_one_id_was_scheduled_twice_can_be_shown() -> None:
    """An orchestrator that changed: the extension answers 400 here, and the history cannot be read."""
    events = history_json(
        [scheduled(0, "before"), completed(0, "1"), scheduled(0, "after")], inputs=True, outputs=True
    ).events

    assert [(event["EventType"], event.get("FunctionName") or event["Name"]) for event in events] == [
        ("TaskCompleted", "before"),
        ("TaskScheduled", "after"),
    ]


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (None, None),
        ("1180591620717411303424", 2**70),
        ("1e300", 1e300),
        ('"text"', "text"),
        ("words", "words"),
        ("", ""),
        ("NaN", "NaN"),
        ("7" * 5000, "7" * 5000),  # more digits than Python turns into a number
    ],
)
def test_results_are_shown_as_the_values_they_stand_for(stored: str | None, expected: Any) -> None:
    assert history_json([completed(0, stored)], inputs=True, outputs=True).events[0]["Result"] == expected
