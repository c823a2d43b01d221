"""`dfhost show ID`: one instance or entity, its failures first."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime
from typing import Any

from dfhost.cli import watching
from dfhost.cli.client import host_address, instance_ids
from dfhost.cli.client.management_client import Json, ManagementClient, open_client
from dfhost.cli.exit_codes import DONE, NOT_COMPLETED, NOT_FOUND, NotDone
from dfhost.cli.local_times import in_local_time
from dfhost.cli.style import Style, printable, printable_json
from dfhost.cli.views import instance_view
from dfhost.cli.views.explanation import FROM_FILE, reasons
from dfhost.cli.views.history_tasks import tasks_of_history
from dfhost.printable import readable_payload
from dfhost.runtime_status import FINAL_STATUSES
from dfhost.short_id import short_id

DESCRIPTION = """\
Show an instance: its state, what failed in it and with which input, what it waits for, its tasks and its payloads.
For an entity, its state and what is queued for it.

examples:
  dfhost show 1f0c6a3e
  dfhost show @counter@total --watch

exit code: 0; with --watch 1 if the instance did not complete; 4 if there is no such instance.
"""

_DEEPEST = 5  # children of children whose failures are looked up
_FOLLOWED = 3  # failed children of one instance
_LONGEST_PAYLOAD = "2000"  # characters of a task's input or result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    instance_ids.add_argument(parser)
    parser.add_argument(
        "--full", action="store_true", help="every task, payloads whole, and the frames of libraries"
    )
    watching.add_argument(parser, until="the instance has ended")
    parser.add_argument("--json", action="store_true", help="print its status and its tasks as JSON")
    host_address.add_arguments(parser, reads=True)


def run(options: argparse.Namespace) -> int:
    client, [text] = open_client(options, options.id)
    instance_id = instance_ids.find_id(client, text)
    state = ""

    def render(now: datetime) -> tuple[str, bool]:
        nonlocal state
        status = client.status(instance_id)
        if status is None:
            raise NotDone(NOT_FOUND, f"{printable(instance_id)} was purged meanwhile.")
        state = str(status["runtimeStatus"])
        view = _entity if instance_id.startswith("@") else _orchestration
        return view(client, status, options, now), state in FINAL_STATUSES

    watching.show(render, options.watch)
    return NOT_COMPLETED if options.watch and state != "Completed" else DONE


def _orchestration(client: ManagementClient, status: Json, options: argparse.Namespace, now: datetime) -> str:
    whole = options.full or options.json
    timeline = _timeline(client, str(status["instanceId"]), whole)
    tasks = _tasks(client, str(status["instanceId"]), timeline)
    if timeline:  # its times are precise
        ended = timeline.get("endedTime") or timeline["lastUpdatedTime"]
        status = {**status, "createdTime": timeline["createdTime"], "lastUpdatedTime": ended}
    waits = None
    if status["runtimeStatus"] not in FINAL_STATUSES:
        waits = client.own_status(str(status["instanceId"]), "explain")
    if options.json:
        return printable_json({**status, "tasks": tasks})
    style = Style.of(sys.stdout)
    lines = instance_view.headline(status, timeline or {}, now, style)
    if waits and waits.get("sentence"):
        lines += ["", *map(printable, [in_local_time(str(waits["sentence"])), *reasons(waits)])]
        if client.reads_file:
            lines.append(f"({FROM_FILE})")
    failures = _failures(client, tasks, [], _DEEPEST)
    if status["runtimeStatus"] == "Failed" and not _says_why(failures, str(status.get("output"))):
        lines += instance_view.own_failure(status, timeline or {}, style, options.full)
    lines += instance_view.failure_lines(failures, style, options.full)
    lines += instance_view.task_lines(tasks, now, style, options.full)
    lines += instance_view.payload_lines(status, style, options.full)
    return "\n".join(lines)


def _timeline(client: ManagementClient, instance_id: str, whole: bool = False) -> Json | None:
    """Of a wide fan-out its payloads may be many times what is shown of them."""
    return client.own_status(instance_id, "timeline", **({} if whole else {"limit": _LONGEST_PAYLOAD}))


def _tasks(client: ManagementClient, instance_id: str, timeline: Json | None) -> list[Json]:
    if timeline is not None:
        return list(timeline["tasks"])
    status = client.status(instance_id, showHistory="true", showHistoryOutput="true", showInput="true")
    status = status or {}
    ended_at = status["lastUpdatedTime"] if status.get("runtimeStatus") in FINAL_STATUSES else None
    return tasks_of_history(status.get("historyEvents") or [], ended_at)


def _failures(
    client: ManagementClient, tasks: list[Json], path: list[str], deepest: int
) -> list[tuple[list[str], Json]]:
    """The failed tasks with the calls that lead to them; in place of a failed child those that failed in it."""
    found: list[tuple[list[str], Json]] = []
    followed = 0
    for task in tasks:
        if task["state"] != "failed":
            continue
        below: list[tuple[list[str], Json]] = []
        if task["kind"] == "subOrchestration" and task.get("instanceId") and deepest and followed < _FOLLOWED:
            followed += 1
            child = str(task["instanceId"])
            if client.status(child, showInput="false") is not None:
                timeline, name = _timeline(client, child), f"{task['name']} {short_id(child)}"
                below = _failures(client, _tasks(client, child, timeline), [*path, name], deepest - 1)
                if not below and timeline and (cause := timeline.get("cause")):
                    known = {"label": name, "cause": cause, "stack": timeline.get("stack")}
                    below = [(path, {**task, **known})]
        found += below or [(path, task)]
    return found


def _says_why(failures: list[tuple[list[str], Json]], output: str) -> bool:
    """Whether the instance failed because of one of these tasks: its output has the task's error in it."""
    errors = (str(task.get("error") or "").strip() for _, task in failures)
    return any(not error or error.split("\n")[0] in output for error in errors)


def _entity(client: ManagementClient, status: Json, options: argparse.Namespace, _: datetime) -> str:
    entity_id = str(status["instanceId"])
    name, key = entity_id.split("@", 2)[1:]
    state: Any = client.entity_state(name, key)
    queue = client.own_status(entity_id, "explain")
    if options.json:
        return printable_json({"instanceId": entity_id, "state": state, "explanation": queue})
    style = Style.of(sys.stdout)
    lines = [style(printable(entity_id), "bold")]
    if queue and queue.get("sentence"):
        lines.append(printable(in_local_time(str(queue["sentence"]))))
    if queue and (failed := queue.get("lastFailure")):
        lines += instance_view.frame_lines(str(failed["stack"]), options.full)
    return "\n".join([*lines, "", style("state", "dim"), readable_payload(printable_json(state))])
