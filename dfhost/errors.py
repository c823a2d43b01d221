"""What dfhost says no to, each with its sentence.

A `HostError` is for a person: its text is shown as it is, never with a traceback. Which HTTP status
or exit code it becomes is decided at the doors (`http/`, `cli/`), not here.
"""

from __future__ import annotations


class HostError(Exception):
    """Something a person can put right; `str()` is the sentence that says what and how."""


class AppError(HostError):
    """The function app cannot be loaded: no function_app.py, no app in it, two functions of one name."""


class SettingsError(HostError):
    """host.json or local.settings.json cannot be read; the sentence names file and line."""


class DatabaseError(HostError):
    """The database file cannot be used: locked by another host, newer, not a database, read-only, full."""


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
    """A start names an id whose instance is still alive (`status`: its runtime status)."""

    def __init__(self, status: str) -> None:
        super().__init__(f"An Orchestration instance with the status {status} already exists.")
        self.status = status


class WrongState(HostError):
    """The operation does not fit the instance's state (`status`: its runtime status).

    Suspending what is suspended, resuming what runs, raising an event to what has ended, rewinding what
    has not failed, purging what still runs.
    """

    def __init__(self, sentence: str, status: str) -> None:
        super().__init__(sentence)
        self.status = status


class UnknownFunction(HostError):
    """The app has no such orchestrator, activity or entity; the sentence lists what it has."""
