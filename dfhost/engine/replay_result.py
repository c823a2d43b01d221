"""What one replay of an orchestrator through the SDK came to, as values.

`app/sdk.py` makes these; the engine reads them. `Awaited` and `OpenTask` tell what the SDK itself holds to be
true about its tasks, so that the engine can hold a replay back until it is of use, and can notice when the
SDK and the extension would give one id to two different tasks.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from dfhost.engine.actions import Action
from dfhost.engine.failures import Failure


class AwaitedTasks(NamedTuple):
    """What the generator is parked at.

    `keys`: task ids (a retried call by its first id) and event names. `all`: it goes on once all of them have
    succeeded or one has failed; else any of them may be what it goes on with.
    """

    keys: frozenset[int | str]
    all: bool


class OpenTask(NamedTuple):
    """A task that the SDK numbers and waits for.

    `role`: ``call`` for the action itself, ``timer`` or ``attempt`` for what a retry adds; `first_id` is then
    the id of the retried call. `action` is the action's wire form for a ``call``.
    """

    role: str
    first_id: int
    action: Action | None


class OpenTasks(Protocol):
    """The SDK's open tasks by id."""

    def get(self, task_id: int) -> OpenTask | None: ...

    def same_ids(self, ids: Set[int]) -> bool: ...


@dataclass(slots=True)
class ReplayResult:
    """`error` is the text of what the orchestrator raised; `crash` a failure outside its generator.

    `raised` is either with its type and place, for people: in the history, as on Azure, is the text alone. None
    where a task's failure went through the orchestrator as it was.
    """

    actions: list[Action] = field(default_factory=list)
    is_done: bool = False
    output: Any = None
    custom_status: Any = None
    error: str | None = None
    raised: Failure | None = None
    crash: Failure | None = None
    awaited: AwaitedTasks | None = None
    #: The SDK's open tasks by id, or None where it could not be asked.
    open: OpenTasks | None = None

    @property
    def ended(self) -> bool:
        """The user's code has returned, raised or continued as new."""
        return self.is_done or self.error is not None
