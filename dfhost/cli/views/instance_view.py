"""One instance in words: how it is, why it failed, what it waits for, its tasks and its payloads. Pure: lines out.

Takes a status of the management API and the `tasks` of a timeline (`?timeline=true`, or `history_tasks`).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from dfhost.cli import unknown_function
from dfhost.cli.local_times import cause_in_local_time
from dfhost.cli.style import STATUS_LOOKS, Style, count, printable, printable_json, printable_lines
from dfhost.cli.views.tables import ago, due, table_lines, took
from dfhost.durations import duration
from dfhost.instance_failure import death_in_words, read_failure
from dfhost.parse_json import parse_json
from dfhost.printable import error_in_a_line, readable_payload, shortened
from dfhost.running_calls import ordinal
from dfhost.runtime_status import FINAL_STATUSES
from dfhost.short_id import short_id
from dfhost.timeline import model
from dfhost.timeline.sentences import brief
from dfhost.timestamps import parse_timestamp
from dfhost.user_frames import user_frames

Json = dict[str, Any]

_LISTED = 25  # tasks; more are counted, after those that failed and those that are open
_LONGEST_PAYLOAD = 2000  # characters
_MOST_LINES = 20  # of a payload
_SHORT_PAYLOAD = 90
_LONGEST_LABEL = 50  # of a task in the table


def headline(status: Json, timeline: Json, now: datetime, style: Style) -> list[str]:
    """Name and id, state and age. `timeline`: empty if the host has none.

    After a continue_as_new the times of hosts count from then on; only the timeline knows when it was created.
    """
    state = str(status["runtimeStatus"])
    ended = state in FINAL_STATUSES
    created = timeline.get("firstCreatedTime") or status["createdTime"]
    lasted = f" after {took(created, status['lastUpdatedTime'])}" if ended else ""
    age = ago(status["createdTime"], now)
    since = f"created {ago(created, now)}"
    if "firstCreatedTime" in timeline:
        number = ordinal(timeline["generation"])
        since += f", in its {number} generation: its last continue_as_new was {age}"
    elif timeline.get("hasContinued"):
        newest = "its last continue_as_new"
        since = f"counted from {newest} ({age})" if ended else f"{newest} was {age}"
    return [
        f"{style(printable(str(status['name'])), 'bold')} {printable(str(status['instanceId']))}",
        f"{style(state, STATUS_LOOKS.get(state, ''))}{lasted}, {since}",
    ]


def failure_lines(failures: Sequence[tuple[Sequence[str], Json]], style: Style, whole: bool) -> list[str]:
    """`failures`: failed tasks, each with the calls that lead to it. `whole`: with the frames of libraries.

    The "cause" of a task is why it failed, where its "error" does not say it.
    """
    lines: list[str] = []
    for path, task in failures:
        attempt = f", attempt {task['attempt']} of {task['maxAttempts']}" if task.get("maxAttempts") else ""
        head = f"{' > '.join([*path, str(task['label'])])} failed{attempt}: "
        given = readable_payload(task.get("input") or "")
        more = [f"input {shortened(given, _LONGEST_PAYLOAD)}"] if len(given) > len(brief(given)) else []
        error, stack = str(task.get("error") or "no reason given"), str(task.get("stack") or "")
        if cause := task.get("cause"):
            error, more = str(cause), [*_besides(str(cause), "Its error is", error), *more]
        lines += _failure(printable(head), error, more, stack, style, whole)
    return lines


def own_failure(status: Json, timeline: Json, style: Style, whole: bool) -> list[str]:
    """Why the instance failed, where no task of it says so. `timeline`: empty if the host has none."""
    failure = read_failure(status.get("output")).within(str(status["name"]))
    if (cause := timeline.get("cause")) is not None:
        output = _besides(cause, "Its output is", str(failure))
        return _failure("", cause, output, timeline.get("stack") or "", style, whole)
    return _failure("", str(failure), [], failure.stack, style, whole)


def _besides(cause: str, title: str, text: str) -> list[str]:
    """What stands below a cause: nothing for a text of several lines that all stand in the cause already."""
    lines = text.splitlines()
    is_told = len(lines) > 1 and all(line in cause for line in lines)
    return [] if is_told else [f"{title}: {' '.join(text.split())}"]


def _failure(head: str, error: str, more: Sequence[str], stack: str, style: Style, whole: bool) -> list[str]:
    text = "\n".join([cause_in_local_time(death_in_words(error)), *map(printable, more)])
    first, *rest = printable_lines(text if whole else unknown_function.in_short(text)).split("\n")
    below = (f"  {line}" for line in rest if line.strip())
    return ["", style(head + first, "red"), *below, *frame_lines(stack, whole)]


def frame_lines(stack: str, whole: bool) -> list[str]:
    """The user's frames, or all, one step to the right."""
    frames = printable_lines(stack if whole else user_frames(stack)).splitlines()
    return [f"  {line}" for line in frames if line.strip()]


def payload_lines(status: Json, style: Style, whole: bool) -> list[str]:
    """Input, custom status and output, each as JSON, cut unless `whole`."""
    lines: list[str] = []
    hidden = ("output",) if status["runtimeStatus"] == "Failed" else ()
    for key, title in (("input", "input"), ("customStatus", "custom status"), ("output", "output")):
        value = status.get(key)
        if value is None or key in hidden:
            continue
        text = _json(_decoded(value))
        shown = "\n".join(text.split("\n")[:_MOST_LINES])[:_LONGEST_PAYLOAD]
        if not whole and len(shown) < len(text):
            text = f"{shown}… ({count(len(text))} characters: --full shows all)"
        lines += ["", style(title, "dim"), *text.split("\n")]
    if status.get("parentInstanceId"):
        lines += ["", f"{style('called by', 'dim')} {printable(str(status['parentInstanceId']))}"]
    return lines


def task_lines(tasks: Sequence[Json], now: datetime, style: Style, whole: bool) -> list[str]:
    if not tasks:
        return []
    shown = list(tasks)
    if len(tasks) > _LISTED and not whole:
        # The first ones of each kind that matters, in their order.
        ranked = sorted(range(len(tasks)), key=lambda n: (_rank(tasks[n]), n))[:_LISTED]
        shown = [tasks[n] for n in sorted(ranked)]
    workers = {task.get("worker") for task in tasks} - {None}
    names_worker = len(workers) > 1  # of one worker everybody knows which it was
    head = ["TASK", "STATE", "QUEUED", "TOOK", *["WORKER"] * names_worker, "DETAILS"]
    lines = ["", *table_lines(head, [_row(task, now, names_worker) for task in shown], style)]
    if len(shown) < len(tasks):
        counted = ", ".join(_counts(tasks))
        lines.append(style(f"{count(len(tasks) - len(shown))} more: --full shows all. {counted}", "dim"))
    return lines


def _rank(task: Json) -> int:
    return 0 if task["state"] == model.FAILED else 1 if task["state"] in model.OPEN else 2


def _counts(tasks: Sequence[Json]) -> Iterator[str]:
    """ "process_item: 990 completed, 10 failed" """
    states: dict[str, Counter[str]] = {}
    for task in tasks:
        states.setdefault(str(task["name"] or task["kind"]), Counter())[str(task["state"])] += 1
    for name, counts in states.items():
        yield f"{printable(name)}: " + ", ".join(
            f"{count(number)} {state}" for state, number in counts.items()
        )


def _row(task: Json, now: datetime, names_worker: bool) -> list[str]:
    return [
        brief(str(task["label"]), _LONGEST_LABEL),
        str(task["state"]),
        *_times(task, now),
        *[str(task.get("worker", ""))] * names_worker,
        _details(task, now),
    ]


def _times(task: Json, now: datetime) -> tuple[str, str]:
    """How long it was queued, and how long it took or takes; "" for what is unknown."""
    scheduled, started, ended = (task.get(key) for key in ("scheduledTime", "startedTime", "endedTime"))
    if scheduled is None or scheduled == ended:
        return "", ""
    if task["state"] == "queued":
        return _span(scheduled, now), ""
    return _span(scheduled, started) if started else "", _span(started or scheduled, ended or now)


def _details(task: Json, now: datetime) -> str:
    parts = []
    if task.get("maxAttempts") and (task["state"] != "completed" or task["attempt"] > 1):
        parts.append(f"attempt {task['attempt']} of {task['maxAttempts']}")
    if task["state"] in model.OPEN and task.get("due"):
        parts.append(due(task["due"], now))
    if task.get("instanceId") and task["kind"] == "subOrchestration":
        parts.append(short_id(str(task["instanceId"])))
    if task.get("httpStatus"):
        parts.append(f"HTTP {task['httpStatus']}")
    if task.get("error"):
        parts.append(death_in_words(error_in_a_line(str(task["error"]))))
    elif shown := brief(task.get("result")):
        parts.append(shown)
    return ", ".join(parts)


def _span(start: str, end: str | datetime) -> str:
    at = parse_timestamp(end) if isinstance(end, str) else end
    return duration(max(0.0, (at - parse_timestamp(start)).total_seconds()))


def _json(value: Any) -> str:
    """In one line if it is short."""
    line = readable_payload(json.dumps(value, ensure_ascii=False))
    return printable(line) if len(line) <= _SHORT_PAYLOAD else readable_payload(printable_json(value))


def _decoded(value: Any) -> Any:
    """Without the second encoding that the SDK's client gives an input."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        with suppress(ValueError):
            return parse_json(value)
    return value
