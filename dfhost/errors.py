"""The errors that dfhost reports to people.

The text of a `HostError` is shown as it is, never with a traceback. `management/` and `http/` map it to an HTTP
status, `cli/` to an exit code.
"""

from __future__ import annotations


class HostError(Exception):
    """A mistake that a person can correct; `str()` is a sentence that says what is wrong and what to do."""


class AppError(HostError):
    """The function app cannot be loaded: no function_app.py, no app in it, two functions with one name."""


class AppImportFailed(AppError):
    """The app's code raised during its import; `traceback` is the user's part, ready to print."""

    def __init__(self, sentence: str, traceback: str) -> None:
        super().__init__(sentence)
        self.traceback = traceback


class UserLoopEnded(HostError):
    """The app's own code has ended the event loop of its async functions while the host runs: `cause` says how."""

    def __init__(self, cause: str) -> None:
        super().__init__(
            f"The app has ended the event loop in which all its async functions run: {cause}. "
            "No async function can run any more, so the host stops. On Azure the worker process would end. "
            "Let the app's tasks return instead. Unfinished instances continue at the next start."
        )
        self.cause = cause


class SettingsError(HostError):
    """host.json or local.settings.json cannot be used; the sentence names file and line."""


class DatabaseError(HostError):
    """The database cannot be used: locked by another host, of a newer version, not SQLite, read-only, disk full."""


class DatabaseInUse(DatabaseError):
    """Another host runs on the database file."""


class DatabaseLost(DatabaseError):
    """The database file was deleted, replaced, overwritten or made read-only while the host was running."""


class OperationFailed(HostError):
    """A defect or unreadable data has failed one operation of the store: it changed nothing, the others go on."""


class PortInUse(HostError):
    """Another process listens on the port."""


class InstanceNotFound(HostError):
    """No instance has this id."""

    def __init__(self, instance_id: str) -> None:
        super().__init__(f"No instance with ID '{instance_id}' was found.")
        self.instance_id = instance_id


class InstanceExists(HostError):
    """A start names the id of an instance that has not ended (`status`: its runtime status)."""

    def __init__(self, status: str) -> None:
        super().__init__(f"An Orchestration instance with the status {status} already exists.")
        self.status = status


class IdTooLong(HostError):
    """An instance id is longer than the storage behind the extension takes."""

    def __init__(self, length: int, limit: int) -> None:
        super().__init__(
            f"The instance id has {length:,} characters. Azure Storage takes at most {limit:,}; use a shorter one."
        )


class WrongState(HostError):
    """The operation does not fit the instance's state (`status`: its runtime status).

    For example: suspending a suspended instance, raising an event for one that has ended, rewinding one that has
    not failed, purging one that still runs.
    """

    def __init__(self, sentence: str, status: str) -> None:
        super().__init__(sentence)
        self.status = status


class UnknownFunction(HostError):
    """The app has no such orchestrator, activity or entity; the sentence lists what it has."""
