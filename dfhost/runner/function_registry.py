"""The app's functions as the engine looks them up (`FunctionRegistry`), with the extension's sentences."""

from __future__ import annotations

import time

from dfhost.did_you_mean import question
from dfhost.engine import failures
from dfhost.runner.functions import CAN_FAIL, AppInfo
from dfhost.timestamps import timestamp_of, whole_second


class AppFunctionRegistry:
    """Kinds are orchestrator, activity and entity."""

    def __init__(self, app: AppInfo) -> None:
        self._loaded_again_at = ""
        self._set_app(app)

    def change_app(self, app: AppInfo) -> None:
        self._loaded_again_at = timestamp_of(time.time())
        self._set_app(app)

    def _set_app(self, app: AppInfo) -> None:
        self._enabled = {
            "activity": app.activities,
            "orchestrator": app.orchestrators,
            "entity": app.entities,
        }
        self._mistakes = app.mistakes
        self._disabled = {kind: app.disabled_of(kind) for kind in self._enabled}

    def explain_missing(self, kind: str, name: str) -> str | None:
        if name in self._enabled[kind] or name in self._disabled[kind]:
            return None
        return failures.unknown_function(kind, name, self._enabled[kind].names)

    def explain_disabled(self, kind: str, name: str) -> str | None:
        return self.explain_gone(kind, name) if name in self._disabled[kind] else None

    def explain_gone(self, kind: str, name: str) -> str:
        """For a function that a setting disables, or that the app no longer has."""
        # The extension lists a disabled one among the known ones (recorded).
        names = [*self._enabled[kind].names, *self._disabled[kind].names]
        return failures.unknown_function(kind, name, names)

    def suggest(self, kind: str, name: str) -> str:
        return f"The app has no {kind} {name!r}. {question(name, self._enabled[kind].names)}".rstrip()

    def explain_nondeterminism(self, orchestrator: str, began: str) -> str | None:
        function = self._enabled["orchestrator"].get(orchestrator)
        place = f"{function.name} (" if function else "?"
        sentences = [each for each in self._mistakes if each.startswith(place) and CAN_FAIL in each]
        if sentences:
            sentences.insert(0, "Its code is not deterministic.")
        if began < self._loaded_again_at:
            # Which of several reloads has changed this orchestrator is not known.
            at = whole_second(self._loaded_again_at)
            sentences.append(f"The app was loaded again after this instance had begun, last at {at}.")
        return "\n".join(sentences) or None
