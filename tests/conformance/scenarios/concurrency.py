"""How much runs at once in each shape, measured by the activities themselves.

Activities that are to run at the same time meet before they work, so a busy machine changes nothing; the
work after the meeting is long enough for one too many to be seen.
"""

from __future__ import annotations

from typing import Any

from ..scene import Scene
from . import corner

WORK = 0.3  # seconds


def overlap(marks: list[dict[str, Any]]) -> int:
    """The greatest number that ran at one moment."""
    edges = sorted([(mark["start"], 1) for mark in marks] + [(mark["end"], -1) for mark in marks])
    most = now = 0
    for _, step in edges:
        now += step
        most = max(most, now)
    return most


def longest_chain(marks: list[dict[str, Any]]) -> int:
    """The longest sequence that ran strictly one after the other."""
    length, last_end = 0, 0.0
    for mark in sorted(marks, key=lambda mark: mark["end"]):
        if mark["start"] >= last_end:
            length, last_end = length + 1, mark["end"]
    return length


def beside_at_start(marks: list[dict[str, Any]]) -> list[int]:
    """How many others ran when each began, in the order of beginning."""
    return [
        sum(other["start"] < mark["start"] < other["end"] for other in marks)
        for mark in sorted(marks, key=lambda mark: mark["start"])
    ]


def items(scene: Scene, count: int, width: int, meeting: int) -> list[dict[str, Any]]:
    """Work for `count` activities; of the first `meeting`, each `width` neighbours meet."""
    return [
        {"tag": f"m{n}", "work": WORK}
        | ({"meet": f"{scene.token}-{n // width}", "parties": width} if n < meeting else {})
        for n in range(count)
    ]


async def measured(scene: Scene, orchestrator: str, spec: dict[str, Any]) -> tuple[Any, list[dict[str, Any]]]:
    end = await scene.until(await scene.begin(orchestrator, spec))
    marks = end["body"]["output"]
    assert isinstance(marks, list), end
    answer = {
        "status": end["body"]["runtimeStatus"],
        "max_overlap": overlap(marks),
        "longest_chain_of_disjoint_runs": longest_chain(marks),
    }
    return answer, marks


def shape(name: str, orchestrator: str, count: int, width: int, meeting: int) -> None:
    async def play(scene: Scene) -> Any:
        spec = {"items": items(scene, count, width, meeting), "width": width}
        return (await measured(scene, orchestrator, spec))[0]

    corner(name=name)(play)


shape("conc_all_at_once", "batches", 6, width=6, meeting=6)
shape("conc_batches_of_two", "batches", 6, width=2, meeting=6)
shape("conc_lanes", "lanes", 6, width=2, meeting=6)
shape("conc_one_by_one", "one_by_one", 4, width=1, meeting=0)
# A window lists the next when one has ended, and from then on they run one by one: only the first three meet.
shape("conc_window_any_three", "window_any", 9, width=3, meeting=3)


@corner
async def conc_window_any_slow_first(scene: Scene) -> Any:
    """The first outlasts all others, which go by beside it one at a time."""
    work = items(scene, 6, width=2, meeting=2)
    work[0]["gate"] = work[-1]["opens"] = scene.token
    answer, marks = await measured(scene, "window_any", {"items": work, "width": 2})
    return answer | {"others_running_at_first_three_starts": beside_at_start(marks)[:3]}
