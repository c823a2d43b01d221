"""The exit codes of every command, so that scripts can tell what happened. The table for users: docs/commands.md."""

from __future__ import annotations

from dfhost.errors import DatabaseLost, HostError

DONE = 0
NOT_COMPLETED = 1  # the orchestration failed, was terminated or took too long; or the host refused
MISTAKE = 2  # in the command or the app: a person has to correct it first
DATABASE_LOST = 3  # the database file was deleted or replaced while the host was running
NOT_FOUND = 4  # no such instance or entity, or none that the filter matches
WRONG_STATE = 5  # the instance has ended already, or does not run yet: its state does not allow this
NO_HOST = 6  # nothing answers there
INTERRUPTED = 130  # ctrl-C


class NotDone(HostError):
    """The command has understood, and could not do it: `exit_code` says why."""

    def __init__(self, exit_code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


def exit_code(error: HostError) -> int:
    if isinstance(error, NotDone):
        return error.exit_code
    return DATABASE_LOST if isinstance(error, DatabaseLost) else MISTAKE
