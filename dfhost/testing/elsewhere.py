"""Replays in a second process, whose sets of texts have another order: `python -m dfhost.testing.elsewhere`.

Within one process the order of a set is the same in every replay, so a test alone cannot see that code depends on it.
On Azure the next replay may run in any process.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterable
from typing import Any

from dfhost.testing.determinism import RecordedReplay, difference

_SEEDS = ("1", "2")  # of the hashes of texts; a process that has one by chance gets the other


async def differences(folder: str, script: str, replays: Iterable[RecordedReplay]) -> list[str]:
    """A sentence for each of these replays that differs in a process of its own."""
    seed = next(seed for seed in _SEEDS if seed != os.environ.get("PYTHONHASHSEED"))
    environ = {**os.environ, "PYTHONHASHSEED": seed, "PYTHON_SCRIPT_FILE_NAME": script}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, folder, env=environ,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    asked = [each._asdict() for each in replays]
    answer, errors = await process.communicate(json.dumps(asked).encode())
    if process.returncode:
        raise RuntimeError(f"The second process has failed:\n{errors.decode(errors='replace')}")
    found: list[str] = json.loads(answer)
    return found


def _replay_all(folder: str, asked: list[dict[str, Any]]) -> list[str]:
    from dfhost.runner.app_runner import ReplayCall
    from dfhost.testing.apps import loaded_app

    app, found = loaded_app(folder), []
    with app.active():
        for each in (RecordedReplay(**fields) for fields in asked):
            result = app.runner.replay(ReplayCall(each.function, each.instance_id, each.trigger))
            if result.crash is None and (sentence := difference(each.actions, result.actions)):
                now = each._replace(actions=result.actions)
                found.append(now.sentence(sentence, each.actions, app.runner.replay))
    return found


if __name__ == "__main__":
    output, sys.stdout = sys.stdout, sys.stderr  # the app may print
    output.write(json.dumps(_replay_all(sys.argv[1], json.load(sys.stdin))))
