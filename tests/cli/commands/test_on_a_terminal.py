"""What the commands print at a terminal, where tables have colours and end at its width, and what they ask there."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.commands.conftest import Commands
from tests.support.host_process import clean_environment, dfhost_command
from tests.support.waiting import DEADLINE


def at_terminal(*arguments: str, code: int = 0, folder: Path | None = None, typed: str = "") -> str:
    """What a command that must end with `code` shows on a terminal of 100 columns, on which somebody types."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        dfhost_command(*arguments),
        env=clean_environment(TERM="xterm", COLUMNS="100", LINES="30"),
        cwd=folder,
        stdin=follower,
        stdout=follower,
        stderr=follower,
    ) as process:
        os.close(follower)
        os.write(leader, typed.encode())
        shown = b""
        try:
            while piece := os.read(leader, 10_000):
                shown += piece
        except OSError:  # how Linux says that the other side is closed
            pass
        ended = process.wait(DEADLINE)
    os.close(leader)
    assert ended == code, shown.decode()
    return shown.decode()


@pytest.mark.parametrize(
    ("command", "cells"),
    [
        (["list", "--prefix"], ["\x1b[32mCompleted\x1b[0m", "echo"]),
        (["show"], ["\x1b[32mCompleted\x1b[0m", "\x1b[2mTASK"]),
        (["history"], ["\x1b[2m#", "ExecutionStarted"]),
    ],
)
def test_tables_are_in_colour_and_as_wide_as_the_terminal(
    dfhost: Commands, command: list[str], cells: list[str]
) -> None:
    instance_id = f"terminal-{command[0]}"
    dfhost.ended("echo", "long " * 50, instance_id)
    shown = at_terminal(*command, instance_id, "--url", dfhost.url)
    assert all(cell in shown for cell in cells)
    assert "…" in shown


def test_a_change_at_the_host_of_another_folder_is_asked_about(dfhost: Commands, tmp_path: Path) -> None:
    host = {"LocalHttpPort": urlsplit(dfhost.url).port}
    (tmp_path / "local.settings.json").write_text(json.dumps({"Host": host}))
    waits = dfhost.waiting()
    refused = at_terminal("terminate", waits, code=2, folder=tmp_path, typed="n\n")
    assert f"This folder has no host, so this is the one at {dfhost.url}, which runs " in refused
    assert "Go on? [y/N]" in refused and "dfhost: Nothing was done." in refused
    assert dfhost.http.status(waits)["runtimeStatus"] == "Running"
    agreed = at_terminal("terminate", waits, folder=tmp_path, typed="y\n")
    assert f"{waits} is terminated." in agreed
    assert dfhost.http.ended(waits)["runtimeStatus"] == "Terminated"
