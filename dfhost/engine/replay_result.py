"""The result of one replay of an orchestrator through the SDK.

`app/sdk.py` makes these values, the engine reads them. `AwaitedTasks` and `SdkTask` (`app/sdk_tasks.py`) are the
SDK's own view of its tasks. With it the replay gate can hold a replay back until it is of use, and a task-id conflict
can be found.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from dfhost.engine.actions import Action
from dfhost.engine.failures import Failure


class AwaitedTasks(NamedTuple):
    """The tasks that the generator is parked at.

    `keys`: task ids (of a retried call its first id) and event names. `needs_all`: the generator goes on once all of
    them have succeeded or one has failed; else any one of them may let it go on. `long_timers`: those of the timers
    among `keys` that are only a part, since the SDK divides a timer of more than six days: task id -> when the whole
    timer is due, as the SDK writes it.
    """

    keys: frozenset[int | str]
    needs_all: bool
    long_timers: tuple[tuple[int | str, str], ...] = ()


class SdkTask(NamedTuple):
    """A task that the SDK has given a number and waits for.

    `role`: ``call`` for an action itself; ``timer`` or ``attempt`` for those that a retry adds, where `first_id` is
    the id of the retried call. `place`: where an action is in the list of all actions, a number for each level.
    """

    role: str
    first_id: int
    place: tuple[int, ...] = ()


class SdkTasks(Protocol):
    """The SDK's open tasks by id."""

    @property
    def ids(self) -> Set[int]: ...

    def get(self, task_id: int) -> SdkTask | None:
        """None if the SDK has no task of that id. Raises GeneratorLost if it can no longer be asked."""
        ...


class GeneratorLost(Exception):
    """The generator is no longer there: the history must be replayed."""


class KeptGenerator(Protocol):
    """A replay whose generator waits and goes on with the events that come next."""

    def go_on(self, texts: Sequence[str]) -> ReplayResult:
        """Process these events of the history: all that come after those of the replay and of earlier calls.

        Raises nothing but GeneratorLost. It can go on again if the result has it as its `generator`.
        """
        ...


@dataclass(slots=True)
class ReplayResult:
    """`error` is the text of the exception that the orchestrator raised, `crash` a failure outside its generator.

    `raised` is either of them with type and traceback, for the log: the history has the text alone, as on Azure. It
    is None where the failure of a task went through the orchestrator as it was.

    `no_answer` says why the SDK was not asked or has not answered: its process has died, or it took too long.
    `cause` says it in a sentence for people.

    `waits_in`: where the code waits after a replay from the beginning, " (function_app.py, line 8, in approval)"; ""
    if it does not wait, or if that is not known.
    """

    #: All actions; of a kept generator that went on, those that come after the first `known_actions`.
    actions: list[Action] = field(default_factory=list)
    is_done: bool = False
    output: Any = None
    custom_status: Any = None
    error: str | None = None
    raised: Failure | None = None
    crash: Failure | None = None
    no_answer: str | None = None
    cause: str | None = None
    awaited: AwaitedTasks | None = None
    waits_in: str = ""
    #: The SDK's open tasks by id, or None where it could not be asked.
    sdk_tasks: SdkTasks | None = None
    known_actions: int | None = None
    #: Among the first `known_actions`: those that are different now, by their places. Timers were cancelled in them.
    changed_actions: Mapping[int, Action] = field(default_factory=dict)
    #: If the generator waits and may be kept. It may not where user code would run if it were closed, as Azure closes
    #: it after every episode.
    generator: KeptGenerator | None = None

    @property
    def is_usable(self) -> bool:
        """Whether there are actions: the SDK has answered, and nothing failed outside the generator."""
        return self.crash is None and self.no_answer is None

    @property
    def has_ended(self) -> bool:
        """The user's code has returned, raised or continued as new."""
        return self.is_done or self.error is not None
