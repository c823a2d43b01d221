"""What happened in the instances of a test that runs against a URL, as far as its management API tells. Pure.

Of a host in the test's process `report` knows more.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dfhost.cli.views.history_tasks import tasks_of_history
from dfhost.instance_failure import failure_text
from dfhost.printable import readable_payload, shortened
from dfhost.runtime_status import FINAL_STATUSES

_LONGEST = 200  # characters of a payload


def instance_lines(status: Mapping[str, Any], sentence: str) -> Iterator[str]:
    """`status`: with its history. `sentence`: what the instance waits for."""
    has_ended = status["runtimeStatus"] in FINAL_STATUSES
    yield f"{status['name']} {status['instanceId']}: {status['runtimeStatus']}"
    if status.get("input") is not None:
        yield f"  input {_brief(status['input'])}"
    ended_at = status["lastUpdatedTime"] if has_ended else None
    for task in tasks_of_history(status.get("historyEvents") or (), ended_at):
        outcome = task.get("error") or task.get("result")
        yield f"  {task['label']}  {task['state']}" + (f"  -> {_brief(outcome)}" if outcome else "")
    if not has_ended:
        yield f"  {sentence}"
    elif status["runtimeStatus"] == "Failed":
        yield f"  failed: {_brief(failure_text(status['output']))}"
    else:
        yield f"  output {_brief(status['output'])}"


def _brief(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shortened(" ".join(readable_payload(text).split()), _LONGEST)
