"""What an instance waits for, in words. Pure: the answer of `inspection/explain.explain` in, lines out."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dfhost.cli.local_times import cause_in_local_time, in_local_time
from dfhost.cli.style import count, text_of
from dfhost.cli.views.tables import due
from dfhost.durations import duration
from dfhost.runtime_status import FINAL_STATUSES
from dfhost.short_id import short_id
from dfhost.timeline import model
from dfhost.timeline.sentences import brief
from dfhost.timestamps import parse_timestamp

#: What is said of an instance that goes on and was read from a file.
FROM_FILE = "From the history alone: awaited events are not known."

_KINDS = {model.CHILD: "sub-orchestration", model.HTTP_CALL: "HTTP call", model.ENTITY_CALL: "entity call"}
_LONGEST_INPUT = 60  # characters
_LISTED = 12  # more waits of one kind than that are counted


def explanation_lines(answer: dict[str, Any], now: datetime) -> list[str]:
    """All that the host says."""
    # An entity has its id for a name, and is Running for ever: what it does is in its sentence.
    names = " ".join(dict.fromkeys((answer["name"], answer["instanceId"])))
    has_own_words = names.startswith("@") and answer.get("sentence")
    lines = [names if has_own_words else f"{names} is {answer['runtimeStatus']}."]
    if answer.get("sentence"):
        sentence = in_local_time(str(answer["sentence"]))
        if len(cause := cause_in_local_time(str(answer.get("cause") or "")).splitlines()) > 1:
            ended, _, _ = sentence.partition(": ")  # behind which the sentence has it in one line
            lines += [f"{ended}:", *(f"  {line}" for line in cause)]
        else:
            lines.append(cause_in_local_time(sentence))
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
    others = [wait for wait in answer.get("waitsFor") or [] if "instanceId" in wait]
    explained = sum("explanation" in wait for wait in others)
    if 0 < explained < len(others):
        lines.append(
            f"Only {explained} of these {count(len(others))} are looked into: `dfhost explain ID` explains one."
        )
    if answer.get("heldBack"):
        lines += ["", "Held back, as on Azure, until the action before it has ended:"]
        lines += [f"  {held['action']} behind {held['behind']}: {held['why']}" for held in answer["heldBack"]]
    return lines


def reason_in_depth(explanation: dict[str, Any]) -> str:
    """What it waits for; of a single sub-orchestration what that waits for: "order 68af44aa:0: It waits for …"."""
    waits: list[dict[str, Any]] = explanation.get("waitsFor") or []
    is_child = len(waits) == 1 and waits[0]["kind"] == model.CHILD
    below = waits[0].get("explanation") if is_child else None
    if below is None or below.get("runtimeStatus") in FINAL_STATUSES or not below.get("sentence"):
        return in_local_time(str(explanation.get("sentence") or ""))
    return f"{below['name']} {short_id(str(below['instanceId']))}: {reason_in_depth(below)}"


def reasons(answer: dict[str, Any]) -> list[str]:
    """What those wait for that the instance waits for: its children and entities."""
    lines: list[str] = []
    for wait in answer.get("waitsFor") or []:
        lines += _reason_lines(wait, "  ", f"{wait.get('instanceId')}: ")
    return lines


def _reason_lines(wait: dict[str, Any], indent: str, prefix: str = "") -> list[str]:
    """What the child or entity in `wait` waits for itself, each level below the one that waits for it."""
    explanation = wait.get("explanation")
    if not explanation:
        return []
    lines = [f"{indent}{prefix}{in_local_time(explanation['sentence'])}"]
    several = sum("instanceId" in below for below in explanation["waitsFor"]) > 1
    for below in explanation["waitsFor"]:
        lines += _reason_lines(below, f"{indent}  ", f"{below.get('instanceId')}: " if several else "")
    return lines


def _state(wait: dict[str, Any], now: datetime) -> str:
    text = ""
    if other := wait.get("instanceId"):
        text = f", called by {other}" if wait["kind"] == "operation" else f" {other}"
    text += f", {wait.get('childStatus') or wait['state']}" if wait.get("state") else ""
    text += _since(wait.get("since"), now)
    if wait.get("due"):
        text += f", {due(wait['due'], now)}"
    if given := brief(text_of(wait.get("input")), _LONGEST_INPUT):
        text += f", input {given}"
    return text


def _since(text: str | None, now: datetime, at_most: str = "") -> str:
    return (
        f", for {at_most}{duration(max(0.0, (now - parse_timestamp(text)).total_seconds()))}" if text else ""
    )
