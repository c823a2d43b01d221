"""The scenarios: what each sends to a host, and the recording that its answers must match.

A scenario is a coroutine over a `Scene` that returns its answers; most only start an orchestrator and look
at its end, and are a line in a table. `SCENARIOS` holds them all, by the recording's name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from ..scene import NO_BODY, Scene

Play = Callable[[Scene], Awaitable[Any]]


@dataclass(frozen=True)
class Scenario:
    """`recording`: its file under recordings/. `interleaved`: its events come in any order.

    `alone`: it changes what others see (purges by filter), so it runs when the others are done.
    """

    name: str
    set: str
    play: Play
    interleaved: bool = False
    alone: bool = False

    @property
    def recording(self) -> str:
        return f"{self.set}/{self.name}.json"


SCENARIOS: dict[str, Scenario] = {}


def basic(play: Play | None = None, **traits: Any) -> Any:
    """Register a scenario of the first set."""
    return _register("basics", play, traits)


def corner(play: Play | None = None, **traits: Any) -> Any:
    """Register a scenario of the second set."""
    return _register("corners", play, traits)


def _register(of: str, play: Play | None, traits: dict[str, Any]) -> Any:
    def add(play: Play) -> Play:
        name = traits.pop("name", play.__name__)
        assert name not in SCENARIOS, name
        SCENARIOS[name] = Scenario(name, of, play, **traits)
        return play

    return add(play) if play else add


def ends(orchestrator: str, payload: Any = NO_BODY, *, name: str = "", patience: float | None = None) -> None:
    """First set: start it; its start and its end, with the history."""

    async def play(scene: Scene) -> Any:
        started, instance_id = await first(scene, orchestrator, payload)
        return {"start": started, "final": await scene.final(instance_id, patience)}

    basic(name=name or orchestrator)(play)


def settles(
    orchestrator: str,
    payload: Any = NO_BODY,
    *,
    name: str = "",
    patience: float | None = None,
    interleaved: bool = False,
) -> None:
    """Second set: start it; its end, with the history."""

    async def play(scene: Scene) -> Any:
        return {"final": await scene.ended(await scene.begin(orchestrator, payload), patience)}

    corner(name=name or orchestrator, interleaved=interleaved)(play)


async def first(scene: Scene, orchestrator: str, payload: Any = NO_BODY) -> tuple[Any, str]:
    """Start the one instance that the first set's recordings call INSTANCE."""
    started, instance_id = await scene.start(orchestrator, payload)
    scene.names[instance_id] = "INSTANCE"
    return started, instance_id


from . import (  # noqa: E402  (each module registers its scenarios here)
    children,
    compounds,
    concurrency,
    entities,
    events,
    failures,
    fan_out,
    generations,
    http_api,
    http_calls,
    ids,
    lifecycle,
    listing,
    timers,
    values,
)

__all__ = [
    "SCENARIOS",
    "Scenario",
    "children",
    "compounds",
    "concurrency",
    "entities",
    "events",
    "failures",
    "fan_out",
    "generations",
    "http_api",
    "http_calls",
    "ids",
    "lifecycle",
    "listing",
    "timers",
    "values",
]
