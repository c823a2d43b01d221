"""`dfhost explain ID`: asks a running host what an instance waits for, and prints the answer in words."""

from __future__ import annotations

import argparse
import json
from datetime import datetime, timezone
from typing import Any

from dfhost.cli import host_address
from dfhost.cli.exit_codes import DONE, NOT_COMPLETED, NotDone
from dfhost.cli.instance_ids import find_id
from dfhost.cli.management_client import open_client
from dfhost.cli.style import count, duration, printable, printable_json
from dfhost.cli.tables import parse_time
from dfhost.cli.watching import show
from dfhost.runtime_status import FINAL_STATUSES

_KINDS = {"subOrchestration": "sub-orchestration"}
_LISTED = 12  # more waits of one kind than that are counted

DESCRIPTION = """\
Ask a running host what an instance waits for, since when, and what holds it up.

examples:
  dfhost explain 1f0c6a3e9b1d4f4f8d7c2a5b6e7f8091
  dfhost explain order-17 --url http://localhost:8080 --json

exit code: 0; 1 if the host does not explain, since it is not dfhost; 4 if it has no such instance.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the instance's id, the beginning of it, or its status URL")
    parser.add_argument(
        "--watch", action="store_true", help="show every change, until the instance has ended"
    )
    parser.add_argument("--json", action="store_true", help="print the host's answer as JSON")
    host_address.add_arguments(parser, reads=True)


def run(options: argparse.Namespace) -> int:
    client, [text] = open_client(options, options.id)
    instance_id = find_id(client, text)

    def render() -> tuple[str, bool]:
        answer = client.own_status(instance_id, "explain")
        if answer is None:
            raise NotDone(
                NOT_COMPLETED,
                f"{client.place} does not explain what an instance waits for: it is not dfhost. "
                f"`dfhost show {printable(instance_id)}` lists its open tasks.",
            )
        if options.json:
            return printable_json(answer), answer["runtimeStatus"] in FINAL_STATUSES
        lines = explanation_lines(answer, datetime.now(timezone.utc))
        return "\n".join(map(printable, lines)), answer["runtimeStatus"] in FINAL_STATUSES

    show(render, options.watch)
    return DONE


def explanation_lines(answer: dict[str, Any], now: datetime) -> list[str]:
    """The lines for a host's answer (its shape: `TaskHub.explain`)."""
    # An entity has its id for a name.
    names = dict.fromkeys((answer["name"], answer["instanceId"]))
    lines = [f"{' '.join(names)} is {answer['runtimeStatus']}."]
    if answer.get("sentence"):
        lines.append(str(answer["sentence"]))
    waits: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for wait in answer.get("waitsFor") or []:
        what = f"{_KINDS.get(wait['kind'], wait['kind'])} {wait.get('name') or ''}".rstrip()
        waits.setdefault((what, wait.get("state") or ""), []).append(wait)
    if waits:
        lines.append("")
    for (what, state), group in waits.items():
        if len(group) > _LISTED:
            oldest = min(wait.get("since") or "" for wait in group)
            lines.append(f"  {what}, {state}: {count(len(group))} of them{_since(oldest, now, 'up to ')}")
            for wait in group:
                lines += _reason_lines(wait, "    ", f"{wait.get('instanceId')}: ")
        else:
            for wait in group:
                lines += [f"  {what}{_state(wait, now)}", *_reason_lines(wait, "    ")]
    if answer.get("heldBack"):
        lines += ["", "Held back, as on Azure, until the action before it has ended:"]
        lines += [f"  {held['action']} behind {held['behind']}: {held['why']}" for held in answer["heldBack"]]
    return lines


def _reason_lines(wait: dict[str, Any], indent: str, prefix: str = "") -> list[str]:
    """What the child or entity in `wait` waits for itself, each level below the one that waits for it."""
    explanation = wait.get("explanation")
    if not explanation:
        return []
    lines = [f"{indent}{prefix}{explanation['sentence']}"]
    several = sum("instanceId" in below for below in explanation["waitsFor"]) > 1
    for below in explanation["waitsFor"]:
        lines += _reason_lines(below, f"{indent}  ", f"{below.get('instanceId')}: " if several else "")
    return lines


def _state(wait: dict[str, Any], now: datetime) -> str:
    text = f" {wait['instanceId']}" if wait.get("instanceId") else ""
    text += f", {wait.get('status') or wait['state']}" if wait.get("state") else ""
    text += _since(wait.get("since"), now)
    if wait.get("due"):
        left = (parse_time(wait["due"]) - now).total_seconds()
        text += f", due in {duration(left)}" if left > 0 else ", due now"
    if wait.get("input") not in (None, ""):
        given = wait["input"]
        shown = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        text += f", input {shown if len(shown) <= 60 else shown[:59] + '…'}"
    return text


def _since(text: str | None, now: datetime, at_most: str = "") -> str:
    return f", for {at_most}{duration(max(0.0, (now - parse_time(text)).total_seconds()))}" if text else ""
