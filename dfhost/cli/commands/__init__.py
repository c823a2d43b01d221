"""The table of verbs. Each verb is a module of its own, imported only when it runs: `dfhost --help` stays fast.

A module has `DESCRIPTION` (what --help says, with two examples), `add_arguments` and `run`.
"""

from __future__ import annotations

import argparse
import gc
from importlib import import_module
from typing import NamedTuple, Protocol, cast


class CommandModule(Protocol):
    DESCRIPTION: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, options: argparse.Namespace) -> int:
        """The exit code. Raises HostError."""


class Command(NamedTuple):
    """`name` is what people type, `summary` a line of the table."""

    name: str
    summary: str

    def load(self) -> CommandModule:
        """Import its module, with the garbage collector paused: what an import makes stays."""
        module = _MODULES.get(self.name, self.name.replace("-", "_"))
        gc.disable()
        try:
            return cast(CommandModule, import_module(f"dfhost.cli.commands.{module}"))
        finally:
            gc.enable()


_MODULES = {"raise": "raise_event"}  # where Python has the verb itself for a keyword

#: In groups, in the order of `dfhost --help`.
GROUPS: dict[str, tuple[Command, ...]] = {
    "run an app": (
        Command("start", "serve a function app until ctrl-C"),
        Command("run", "run one orchestration from start to end"),
    ),
    "look at instances": (
        Command("list", "list instances or entities, the newest first"),
        Command("show", "show one: state, failures, payloads, tasks"),
        Command("history", "print the history events of one"),
        Command("logs", "print what the host has written to its console"),
        Command("explain", "explain what an instance waits for"),
        Command("export", "write instances with their histories as JSON"),
    ),
    "steer them": (
        Command("start-instance", "start an orchestrator by its name"),
        Command("raise", "raise an event for an instance"),
        Command("signal", "signal an entity"),
        Command("trigger", "run a function that has a timer, queue or other trigger"),
        Command("queue", "list the app's storage queues; put, move or delete messages"),
        Command("suspend", "let instances pause"),
        Command("resume", "let suspended instances go on"),
        Command("terminate", "end instances at once"),
        Command("rewind", "run what failed in failed instances again"),
        Command("restart", "start an instance anew with its input"),
        Command("purge", "delete instances that have ended"),
    ),
    "set up the shell": (Command("completion", "print the script that completes dfhost in bash or zsh"),),
}
COMMANDS = {command.name: command for group in GROUPS.values() for command in group}
