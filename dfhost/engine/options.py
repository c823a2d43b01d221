"""What an episode depends on besides its events: settings of host.json, and the functions of the app."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """The settings that show in an episode.

    The timer durations are the Azure Storage provider's; the SDK splits longer timers into chunks by them.
    `commands_per_episode` is dfhost's own: what starts more is recorded in several episodes, so that no commit is
    so large that others wait for it (10,000 activities take it 50 to 100 ms).
    """

    store_inputs: bool = False
    default_version: str | None = None
    version_match: str = "CurrentOrOlder"
    version_failure: str = "Reject"
    async_request_sleep_ms: int = 30000
    max_actions: int = 100_000
    commands_per_episode: int = 10_000
    max_short_timer: str = "6.00:00:00"
    long_timer_interval: str = "3.00:00:00"
    #: From so many history events on, a generator is kept between episodes; None: all episodes replay. See
    #: `orchestrator_code.py`.
    keep_generator_from: int | None = 50


class FunctionRegistry(Protocol):
    """The app's functions. A call of any other fails the instance at once, a call of a disabled one only itself."""

    def explain_missing(self, kind: str, name: str) -> str | None:
        """None if the app has such an activity, orchestrator or entity, disabled or not; else a sentence."""
        ...

    def explain_disabled(self, kind: str, name: str) -> str | None:
        """A sentence if the app has such a function and a setting disables it, else None."""
        ...

    def suggest(self, kind: str, name: str) -> str:
        """A sentence about a function that is missing, with the name that may be meant."""
        ...

    def explain_nondeterminism(self, orchestrator: str, began: str) -> str | None:
        """Why its code may not fit a history that `began` then (ISO text); None if nothing is known."""
        ...
