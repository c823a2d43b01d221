"""What a test wants a function to do instead: answers in its place, failures, delays, repeated deliveries.

One plan for each name, case ignored. Each call of a function gets the next number of its name, in the order in which
the calls were scheduled, and `Faults.decide` says what becomes of it. Knows neither the host nor the SDK.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from dfhost.testing.errors import BrokenFault

__tracebackhide__ = True  # pytest shows errors at the line of the test

#: Stands for "not given", where None is a value.
NOT_GIVEN: Any = type("NotGiven", (), {"__repr__": lambda self: "NOT_GIVEN"})()

#: Called with what a call is given: the input, for an entity the operation and its input.
When = Callable[..., object]


class Place(NamedTuple):
    """A line of the test."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{Path(self.file).name}, line {self.line}"

    @classmethod
    def of_caller(cls) -> Place:
        """The line outside this package that has led here."""
        frame, package = sys._getframe(), __name__.rpartition(".")[0]
        while frame.f_globals.get("__name__", "").startswith(f"{package}.") and frame.f_back is not None:
            frame = frame.f_back
        return cls(frame.f_code.co_filename, frame.f_lineno)


class Stub:
    """What answers in the place of a function."""

    def __init__(self, name: str, returns: Any = None, answers: Iterable[Any] | None = None) -> None:
        #: The name of the function.
        self.name = name
        self._returns = returns
        self._answers = None if answers is None else list(answers)
        self._place = Place.of_caller()
        self._on_mistake: Callable[[Mistake], None] = lambda mistake: None
        #: The inputs that it was called with, in order.
        self.calls: list[Any] = []

    @property
    def called(self) -> int:
        """How many times it was called."""
        return len(self.calls)

    def _take(self, *arguments: Any, **options: Any) -> Callable[[], Any]:
        """The answer to one call, to be evaluated later: what it returns or raises is the call's result."""
        self.calls.append(
            arguments[0] if len(arguments) == 1 and not options else (*arguments, *options.values())
        )
        if self._answers is None:
            value = self._returns
        elif len(self.calls) <= len(self._answers):
            value = self._answers[len(self.calls) - 1]
        else:
            count = "1 answer" if len(self._answers) == 1 else f"{len(self._answers)} answers"
            value = BrokenFault(
                f"the stub of {self.name} ({self._place}) has {count}, and this is call {len(self.calls)}. "
                "Each attempt of a call takes one."
            )
            self._on_mistake(Mistake(self.name, self._place, str(value)))

        def evaluate() -> Any:
            if isinstance(value, BaseException) or (
                isinstance(value, type) and issubclass(value, BaseException)
            ):
                raise value
            return value(*arguments, **options) if callable(value) else value

        return evaluate

    def __repr__(self) -> str:
        return f"<Stub of {self.name}, called {self.called} times>"


class Mistake(NamedTuple):
    """What is wrong with a stub or a fault of this name, which was made at this place. `cause`: what was raised."""

    name: str
    place: Place
    sentence: str
    cause: Exception | None = None


@dataclass
class Calls:
    """Which calls of a function: all, the next `times`, or those with the numbers `on_calls`.

    Of these only the calls for whose arguments `when` holds.
    """

    times: int | None = None
    on_calls: Sequence[int] | None = None
    when: When | None = None
    #: How many calls they have included so far.
    met: int = 0
    #: Where the test has asked for it.
    place: Place = field(default_factory=Place.of_caller)

    def include(self, number: int, given: Sequence[Any]) -> bool:
        """Whether they include the one with this number and these arguments."""
        is_included = self._include(number, given)
        self.met += is_included
        return is_included

    def _include(self, number: int, given: Sequence[Any]) -> bool:
        if self.when is not None and not self.when(*given):
            return False
        if self.on_calls is not None:
            return number in self.on_calls
        if self.times is None:
            return True
        if self.times <= 0:
            return False
        self.times -= 1
        return True

    def __str__(self) -> str:
        """As a test writes them: ``, on_call=5``."""
        numbers = self.on_calls
        on_call = numbers[0] if numbers and len(numbers) == 1 else None if numbers is None else list(numbers)
        options = {"times": self.times, "on_call": on_call, "when": self.when and "…"}
        return "".join(f", {name}={value}" for name, value in options.items() if value is not None)


#: What is done to these calls.
_Rule = tuple[Any, Calls]


@dataclass
class _Plan:
    name: str
    number: int = 0  # of the last call
    stubs: list[_Rule] = field(default_factory=list)  # the newest first
    failures: list[_Rule] = field(default_factory=list)
    delays: list[_Rule] = field(default_factory=list)
    redeliveries: list[_Rule] = field(default_factory=list)

    @property
    def rules(self) -> dict[str, list[_Rule]]:
        """By the method of `Durable` that has made them."""
        return {
            "stub": self.stubs,
            "fail": self.failures,
            "slow": self.delays,
            "redeliver": self.redeliveries,
        }


@dataclass(frozen=True)
class Decision:
    """What becomes of one call. `delay` in seconds of the test's clock; `stub` None means the app's own function."""

    delay: float = 0.0
    error: BaseException | type[BaseException] | None = None
    stub: Stub | None = None
    deliveries: int = 1

    @property
    def is_plain(self) -> bool:
        return self == _PLAIN


_PLAIN = Decision()


class Faults:
    """For any thread."""

    def __init__(self) -> None:
        self._plans: dict[str, _Plan] = {}
        self._mistakes: dict[tuple[str, Place], Mistake] = {}  # the first of each that is wrong
        self._lock = threading.RLock()  # a `when` may ask the fixture

    def stub(self, stub: Stub, when: When | None = None) -> Stub:
        stub._on_mistake = self._note_mistake
        with self._lock:
            plan = self._plan(stub.name)
            others = [] if when is None else plan.stubs
            plan.stubs = [(stub, Calls(when=when)), *others]
        return stub

    def unstub(self, name: str) -> None:
        """Forget everything about this name but how often it was called."""
        with self._lock:
            self._plans[name.lower()] = _Plan(name, self._plan(name).number)

    def fail(self, name: str, error: Any, calls: Calls) -> None:
        with self._lock:
            self._plan(name).failures.append((error, calls))

    def slow(self, name: str, seconds: float, calls: Calls) -> None:
        with self._lock:
            self._plan(name).delays.append((seconds, calls))

    def redeliver(self, name: str, calls: Calls) -> None:
        with self._lock:
            self._plan(name).redeliveries.append((2, calls))

    def may_answer(self, name: str) -> bool:
        """Whether a call of `name` may be stubbed or failed."""
        plan = self._plans.get(name.lower())
        return bool(plan and (plan.stubs or plan.failures))

    def decide(self, name: str, *given: Any) -> Decision:
        """For the next call of `name`, with what it is given. A `when` that raises fails the call, and the test."""
        with self._lock:
            plan = self._plan(name)
            plan.number += 1

            def first(rules: list[_Rule]) -> Any:
                return next((value for value, calls in rules if includes(calls)), None)

            def includes(calls: Calls) -> bool:
                try:
                    return calls.include(plan.number, given)
                except Exception as error:
                    raised = f"raised {type(error).__name__}: {error}"
                    called = f"called with {', '.join(map(repr, given))}"
                    sentence = f"`when` of {name} ({calls.place}), {called}, {raised}"
                    calls.met += 1  # a call has
                    self._note_mistake(Mistake(name, calls.place, sentence, error))
                    raise BrokenFault(sentence) from None

            try:
                return Decision(
                    first(plan.delays) or 0.0,
                    first(plan.failures),
                    first(plan.stubs),
                    first(plan.redeliveries) or 1,
                )
            except BrokenFault as error:
                return Decision(error=error)

    def _note_mistake(self, mistake: Mistake) -> None:
        with self._lock:
            self._mistakes.setdefault((mistake.name.lower(), mistake.place), mistake)

    def check(self) -> None:
        """Raise the mistakes of the test that were found since the last time."""
        with self._lock:
            mistakes, self._mistakes = list(self._mistakes.values()), {}
        if mistakes:
            raise BrokenFault("\n".join(each.sentence for each in mistakes)) from mistakes[0].cause

    @property
    def unmet(self) -> list[tuple[str, Place, str]]:
        """Each fault that no call has met: it, its place, how often its function was called.

        ``on_call=[]`` asks for no call. A stub with a `when` counts if its function was called.
        """
        with self._lock:
            return [
                (
                    f'{verb}("{plan.name}"{calls})',
                    calls.place,
                    f"{plan.name} was called {_times(plan.number)}.",
                )
                for plan in self._plans.values()
                for verb, rules in plan.rules.items()
                for _, calls in rules
                if not calls.met and calls.on_calls != () and (verb != "stub" or (calls.when and plan.number))
            ]

    def _plan(self, name: str) -> _Plan:
        return self._plans.setdefault(name.lower(), _Plan(name))


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def raised_error(error: BaseException | type[BaseException] | str) -> BaseException | type[BaseException]:
    """`error` as a test writes it, as something to raise, with a message if there can be one."""
    if isinstance(error, str):
        return RuntimeError(error)
    if isinstance(error, BaseException):
        return error
    try:
        return error("it was made to fail")
    except TypeError:
        return error


def on_calls(numbers: int | Iterable[int] | None) -> tuple[int, ...] | None:
    """`on_call` as a test writes it: 3 -> (3,). An empty one is no call, None is no choice."""
    if numbers is None:
        return None
    return (numbers,) if isinstance(numbers, int) else tuple(numbers)
