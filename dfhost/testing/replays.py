"""Saved histories against the code of today: would an instance with this history go on, or fail as changed code does?

Two forms of a history are read. What `Run.save_history` writes has everything (`replay_with_ids`); what the
management API answers to ``showHistory=true`` leaves out the ids of tasks (`replay_without_ids`). With `episodes`, as
`dfhost export` writes it, the times are known; else they are guessed (`episode_times`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dfhost.engine.nondeterminism import NonDeterminismError
from dfhost.engine.replay_result import ReplayResult
from dfhost.runner.app_runner import ReplayCall
from dfhost.runner.functions import AppInfo
from dfhost.testing.errors import NotDeterministic
from dfhost.testing.replay_with_ids import replay_with_ids
from dfhost.testing.replay_without_ids import replay_without_ids

Replay = Callable[[ReplayCall], ReplayResult]


def check_histories(
    source: str | Path | Mapping[str, Any] | Sequence[Mapping[str, Any]],
    orchestrator: str | None,
    app: AppInfo,
    replay: Replay,
) -> None:
    """Raises NotDeterministic, or ValueError for something that is not a history."""
    where = str(source) if isinstance(source, (str, Path)) else "the history"
    for saved in _read(source, where):
        _check(saved, where, orchestrator, app, replay)


def _check(
    saved: Mapping[str, Any], where: str, orchestrator: str | None, app: AppInfo, replay: Replay
) -> None:
    events = saved.get("historyEvents")
    if not isinstance(events, list) or not events:
        raise ValueError(f"{where} has no historyEvents: save the status with showHistory=true.")
    name = orchestrator or str(saved.get("name") or events[0].get("FunctionName") or "")
    function = app.orchestrators.get(name)
    if function is None:
        raise ValueError(
            f"The app has no orchestrator '{name}'. It has: {', '.join(app.orchestrators.names)}."
        )
    instance_id = str(saved.get("instanceId") or "")

    def replay_call(trigger: str, keeps_generator: bool) -> ReplayResult:
        return replay(ReplayCall(function.name, instance_id or "replayed", trigger))

    try:
        if isinstance(events[0].get("EventType"), int):
            replay_with_ids(events, replay_call)
        else:
            replay_without_ids(saved, events, function.durable_name, replay_call)
    except NonDeterminismError as difference:
        which = f"{where} ({instance_id})" if instance_id else where
        raise NotDeterministic(f"{name} does not replay {which}: {difference}") from None


def _read(source: Any, where: str) -> Iterator[Mapping[str, Any]]:
    """The statuses in it: one, or as many as the lines of a file that `dfhost export` has written."""
    if isinstance(source, (str, Path)):
        text = Path(source).read_text("utf-8")
        try:
            source = json.loads(text)
        except json.JSONDecodeError as error:
            try:
                lines = [json.loads(line) for line in text.splitlines() if line.strip()]
            except json.JSONDecodeError:
                raise ValueError(f"{where} is not JSON: {error}.") from None
            for line in lines:
                yield from _read(line, where)
            return
    if isinstance(source, list):
        source = {"historyEvents": source}
    if not isinstance(source, Mapping):
        raise ValueError(f"{where} is neither the status of an instance nor a list of its history events.")
    yield source
