"""Saved histories against the code of today: would an instance with this history go on, or fail as changed code does?

How the instance ended is compared only if it completed. One that failed or was terminated may have been ended by the
host in the midst of its code: an unknown function, a request. Today's code need not do the same.

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

__tracebackhide__ = True  # pytest shows errors at the line of the test

Replay = Callable[[ReplayCall], ReplayResult]


def check_histories(
    source: str | Path | Mapping[str, Any] | Sequence[Mapping[str, Any]],
    orchestrator: str | None,
    app: AppInfo,
    replay: Replay,
) -> None:
    """Raises NotDeterministic with every history that does not replay, or ValueError for what is not a history."""
    where = str(source) if isinstance(source, (str, Path)) else "the history"
    if orchestrator is not None and orchestrator not in app.orchestrators:
        raise ValueError(_missing(orchestrator, app))
    histories = list(_read(source, where))
    found = [(saved, _difference(saved, where, orchestrator, app, replay)) for saved in histories]
    differences = [(_title(saved, orchestrator), sentence) for saved, sentence in found if sentence]
    if differences and len(histories) == 1:
        [(title, sentence)] = differences
        raise NotDeterministic(f"{title} does not replay from {where}: {sentence}")
    if differences:
        do = "does" if len(differences) == 1 else "do"
        head = f"{len(differences)} of the {len(histories)} histories in {where} {do} not replay:"
        raise NotDeterministic(
            "\n".join((head, *(f"  {title}: {sentence}" for title, sentence in differences)))
        )


def _difference(
    saved: Mapping[str, Any], where: str, orchestrator: str | None, app: AppInfo, replay: Replay
) -> str | None:
    """How today's code differs from one history; None if it does not."""
    events = saved.get("historyEvents")
    if not isinstance(events, list) or not events:
        raise ValueError(f"{where} has no historyEvents: save the status with showHistory=true.")
    name = _name(saved, orchestrator)
    function = app.orchestrators.get(name)
    if function is None:
        return _missing(name, app)
    instance_id = str(saved.get("instanceId") or "replayed")

    def replay_call(trigger: str, keeps_generator: bool) -> ReplayResult:
        return replay(ReplayCall(function.name, instance_id, trigger))

    try:
        if isinstance(events[0].get("EventType"), int):
            replay_with_ids(events, replay_call)
        else:
            replay_without_ids(saved, events, function.durable_name, replay_call)
    except NonDeterminismError as difference:
        return str(difference)
    return None


def _name(saved: Mapping[str, Any], orchestrator: str | None) -> str:
    return orchestrator or str(saved.get("name") or saved["historyEvents"][0].get("FunctionName") or "")


def _title(saved: Mapping[str, Any], orchestrator: str | None) -> str:
    """The instance as people know it: ``ship o-1 (Running)``."""
    status = saved.get("runtimeStatus")
    parts = (_name(saved, orchestrator), saved.get("instanceId"), f"({status})" if status else None)
    return " ".join(str(part) for part in parts if part)


def _missing(orchestrator: str, app: AppInfo) -> str:
    return f"The app has no orchestrator '{orchestrator}'. It has: {', '.join(app.orchestrators.names)}."


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
