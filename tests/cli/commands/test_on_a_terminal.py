"""What the commands print at a terminal, where tables have colours and end at its width."""

from __future__ import annotations

import os
import pty
import subprocess

import pytest

from tests.cli.commands.conftest import Commands
from tests.support.host_process import clean_environment, dfhost_command
from tests.support.waiting import DEADLINE


def at_terminal(*arguments: str) -> str:
    """What a command that must succeed shows on a terminal of 100 columns."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        dfhost_command(*arguments),
        env=clean_environment(TERM="xterm", COLUMNS="100", LINES="30"),
        stdout=follower,
        stderr=follower,
    ) as process:
        os.close(follower)
        shown = b""
        try:
            while piece := os.read(leader, 10_000):
                shown += piece
        except OSError:  # how Linux says that the other side is closed
            pass
        code = process.wait(DEADLINE)
    os.close(leader)
    assert code == 0, shown.decode()
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
