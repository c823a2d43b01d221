"""Completion: what the shells are offered, and the scripts in a real bash and zsh."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dfhost.cli.commands import COMMANDS
from tests.cli.commands.conftest import Commands


def words(dfhost: Commands, *typed: str) -> list[str]:
    said = dfhost.plain("completion", "words", "--", *typed)
    assert said.code == 0
    return [line.split("\t")[0] for line in said.out.splitlines()]


def test_verbs_options_and_values(dfhost: Commands) -> None:
    assert words(dfhost, "") == list(COMMANDS)
    assert words(dfhost, "re") == ["resume", "rewind", "restart"]
    assert "--status" in words(dfhost, "list", "--") and "--yes" not in words(dfhost, "list", "--")
    assert words(dfhost, "list", "--status", "C") == ["Completed", "ContinuedAsNew", "Canceled"]
    assert words(dfhost, "start", "--replay", "") == ["auto", "always"]
    assert words(dfhost, "start", "") == words(dfhost, "list", "--db", "") == ["--files"]
    assert words(dfhost, "nonsense", "") == [] and words(dfhost, "list", "") == []


def test_what_the_host_has(dfhost: Commands) -> None:
    id = dfhost.waiting("complete-me")
    dfhost.done("signal", "@counter@complete", "add", "--input", "1")
    dfhost.http.until("@counter@complete", lambda status: "1" in str(status["input"]))
    assert words(dfhost, "show", "--url", dfhost.url, "complete-") == [id]
    assert words(dfhost, "terminate", "--url", dfhost.url, id, "complete-") == [id]
    assert words(dfhost, "raise", "--url", dfhost.url, "complete-") == [id]  # and none that has ended:
    ended = dfhost.ended("raises", None, "complete-ended")
    assert words(dfhost, "raise", "--url", dfhost.url, "complete-") == [id]
    assert words(dfhost, "rewind", "--url", dfhost.url, "complete-") == [ended]
    assert words(dfhost, "purge", "--url", dfhost.url, "complete-") == [ended]
    assert words(dfhost, "resume", "--url", dfhost.url, "complete-") == []
    assert set(words(dfhost, "show", "--url", dfhost.url, "complete-")) == {id, ended}
    dfhost.done("purge", ended)
    assert words(dfhost, "raise", "--url", dfhost.url, id, "") == ["Approval"]
    assert words(dfhost, "raise", id, "--url", dfhost.url, "") == ["Approval"]
    assert words(dfhost, "start-instance", "--url", dfhost.url, "import") == ["import_all", "import_orders"]
    assert words(dfhost, "trigger", "--url", dfhost.url, "on") == ["on_order"]
    assert "@counter@complete" in words(dfhost, "signal", "--url", dfhost.url, "@")
    port = dfhost.url.rpartition(":")[2]
    for which in (["--port", port], ["-p", port], [f"--url={dfhost.url}"]):
        assert words(dfhost, "show", *which, "complete-") == [id]
    assert words(dfhost, "show", "--port", "1", "") == []  # no host: nothing, and no error
    assert words(dfhost, "show", "--port", "none", "") == words(dfhost, "show", "--url", "none", "") == []


def in_shell(shell: str, script: str, url: str) -> list[str]:
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [shell, "-c", script], env={**environ, "DFHOST_URL": url}, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
def test_bash(dfhost: Commands) -> None:
    id = dfhost.waiting("with:colon")
    script = dfhost.plain("completion", "bash").out
    for line, cut, expected in (
        ("dfhost li", "li", ["list"]),
        ("dfhost list --status Fa", "Fa", ["Failed"]),
        ("dfhost show with:c", "c", [id.partition(":")[2]]),  # bash has cut the word at the colon
    ):
        typed = [*line.split()[:-1], cut]
        given = f"COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)} COMP_WORDS=({shlex.join(typed)})"
        run = f'{script}\n{given}; COMP_CWORD={len(typed) - 1}; _dfhost; printf "%s\\n" "${{COMPREPLY[@]}}"'
        assert in_shell("bash", run, dfhost.url) == expected, line


@pytest.mark.skipif(not shutil.which("zsh"), reason="there is no zsh")
def test_zsh(dfhost: Commands) -> None:
    id = dfhost.waiting("for-zsh")
    script = dfhost.plain("completion", "zsh").out
    for line, expected in (("dfhost li", ["list"]), ("dfhost show for-", [id])):
        typed = line.split()
        # In place of the line editor: what would be offered is printed.
        stub = 'compadd() { print -l -- "${names[@]}" }; compdef() { : }'
        run = f"{stub}\n{script}\nwords=({shlex.join(typed)}) CURRENT={len(typed)}; _dfhost"
        assert in_shell("zsh", run, dfhost.url) == expected, line
