"""What a test is told when the app does something else than it expects, or the test itself is mistaken.

All but one are AssertionErrors.
"""

from __future__ import annotations


class StillWaiting(AssertionError):
    """Nothing is left to run, and what the test waits for has not happened; the text says what is waited for."""


class RunFailed(AssertionError):
    """The instance ended, but not with a result. `status`: Failed or Terminated; `reason`: its whole output."""

    def __init__(self, sentence: str, status: str, reason: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason


class RunEnded(AssertionError):
    """The instance has ended, and the test expects it to wait, or to fail, or asks it to go on."""


class NotIdle(AssertionError):
    """The app has not come to rest within the time-out, which is in real seconds; the text says what runs."""


class HostCrashed(ConnectionError):
    """The host crashed, as `durable.crash` has asked for, before it answered a request of the test."""


class NotDeterministic(AssertionError):
    """An orchestrator asked for something else when its history was replayed; the text says what differs."""


class BrokenFault(AssertionError):
    """A mistake of the test: a `when` has raised, or a stub has no answer left; the text says which, and where.

    The call fails with it as well, so that the app goes on. What the function of a stub raises is no mistake.
    """


class UnmetFault(UserWarning):
    """A test has passed, and no call has met one of its faults; the text says which.

    A stub with a `when` counts as a fault if its function was called.
    """
