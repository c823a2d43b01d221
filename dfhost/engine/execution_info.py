"""Who an execution is: read from its EXECUTION_STARTED event, written into each of its triggers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from json.encoder import encode_basestring_ascii as quote
from typing import NamedTuple

from dfhost.engine import history as h
from dfhost.engine.history import Event
from dfhost.engine.options import EngineOptions


class Parent(NamedTuple):
    """The task of another execution that a sub-orchestration answers."""

    instance_id: str
    execution_id: str
    task_id: int


class ExecutionInfo(NamedTuple):
    """`input` is JSON text, `parent_json` the event's ParentInstance."""

    instance_id: str = ""
    execution_id: str = ""
    name: str = ""
    version: str | None = None
    input: str | None = None
    parent: Parent | None = None
    parent_json: str = "null"
    source_id: str | None = None  # the instance that was restarted as this one

    @classmethod
    def read(cls, started: Event) -> ExecutionInfo:
        data = json.loads(started.text)
        own, caller = data["OrchestrationInstance"], data["ParentInstance"]
        parent = None
        if caller:
            instance = caller["OrchestrationInstance"]
            parent = Parent(instance["InstanceId"], instance["ExecutionId"], caller["TaskScheduleId"])
        return cls(
            own["InstanceId"],
            own["ExecutionId"],
            data["Name"],
            data["Version"],
            data["Input"],
            parent,
            json.dumps(caller, separators=(",", ":")),
            (data["Tags"] or {}).get(h.SOURCE_TAG),
        )

    def trigger(self, history: Sequence[str], is_replaying: bool, options: EngineOptions) -> str:
        """The orchestration trigger's JSON (OrchestrationContextToString of the extension; recorded)."""
        return (
            f'{{"history":[{",".join(history)}],"input":{self.input or "null"},'
            f'"instanceId":{quote(self.instance_id)},"isReplaying":{"true" if is_replaying else "false"},'
            f'"parentInstanceId":{h.nullable(self.parent.instance_id if self.parent else None)},'
            f'"sourceInstanceId":{h.nullable(self.source_id)},'
            '"upperSchemaVersion":1,"upperSchemaVersionNew":3,'
            f'"longRunningTimerIntervalDuration":"{options.long_timer_interval}",'
            f'"maximumShortTimerDuration":"{options.max_short_timer}",'
            f'"defaultHttpAsyncRequestSleepTimeMillseconds":{options.async_request_sleep_ms}}}'
        )
