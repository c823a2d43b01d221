"""Which changes in an app's folder count, and which do not."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dfhost.cli.host.runner_choice import reloads
from dfhost.cli.host.source_watch import SourceWatch
from dfhost.cli.parser import parse
from tests.support.waiting import DEADLINE


@asynccontextmanager
async def watched(folder: Path, since: float) -> AsyncIterator[asyncio.Queue[list[str]]]:
    changes: asyncio.Queue[list[str]] = asyncio.Queue()
    watch = SourceWatch(folder, since, changes.put_nowait)
    try:
        yield changes
    finally:
        watch.stop()


async def following(changes: asyncio.Queue[list[str]]) -> list[str]:
    return await asyncio.wait_for(changes.get(), DEADLINE)


async def test_sources_and_settings_count_and_nothing_else(tmp_path: Path) -> None:
    for folder in (".git", ".dfhost", "env", "__pycache__", "node_modules", "data", "tests"):
        (tmp_path / folder).mkdir()
    (tmp_path / "env" / "pyvenv.cfg").touch()
    (tmp_path / "function_app.py").touch()
    os.utime(tmp_path / "function_app.py", (1_000_000, 1_000_000))
    async with watched(tmp_path, since=1_000_001) as changes:
        for name in (
            ".git/a.py",
            "env/a.py",
            "__pycache__/a.py",
            "node_modules/a.py",
            "data/host.json",
            ".a.py",
            "tests/a.py",
            "test_a.py",
            "data/conftest.py",
        ):
            (tmp_path / name).write_text("not the app's")
        (tmp_path / "notes.txt").touch()
        new = os.path.join("parts", "more", "new.py")
        seen: set[str] = set()

        async def until_seen(path: str) -> None:
            while path not in (changed := await following(changes)):
                seen.update(changed)
            seen.update(changed)

        (tmp_path / "host.json").write_text("{}")
        await until_seen("host.json")
        (tmp_path / "parts" / "more").mkdir(parents=True)
        (tmp_path / new).touch()
        await until_seen(new)
        (tmp_path / new).write_text("changed")
        await until_seen(new)
        (tmp_path / "host.json").unlink()
        await until_seen("host.json")
        assert seen == {"host.json", new}


async def test_what_has_changed_before_the_watch_began_counts_too(tmp_path: Path) -> None:
    for age, name in enumerate(("new.py", "old.py")):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1_000_000 - age, 1_000_000 - age))
    async with watched(tmp_path, since=999_999.5) as changes:
        assert await following(changes) == ["new.py"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], True),
        (["--workers", "2"], True),
        (["--no-reload"], False),
        (["--in-process"], False),
        (["--debug"], False),
    ],
)
def test_when_the_app_is_loaded_again(
    arguments: list[str], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FUNCTIONS_WORKER_PROCESS_COUNT", raising=False)
    assert reloads(parse(["start", *arguments])) is expected


async def test_an_app_in_the_folder_of_its_virtual_environment(tmp_path: Path) -> None:
    (tmp_path / "pyvenv.cfg").touch()
    (tmp_path / "lib" / "python3").mkdir(parents=True)
    async with watched(tmp_path, since=0) as changes:
        (tmp_path / "lib" / "python3" / "library.py").touch()
        (tmp_path / "function_app.py").touch()
        assert await following(changes) == ["function_app.py"]
