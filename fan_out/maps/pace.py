"""How the items of a map are cut up: which part is handed out next, how large, with how many slots. Pure.

Two ways to work, and the reason there are two:

lanes   a batch is a lane: its items one after another, as many lanes as there are slots. Nobody waits for
        anybody, so uneven items keep all slots busy; each item costs a turn of its lane.
waves   a batch is a wave: all its items at once, the next wave when the last of them has ended. One turn a
        wave makes it several times cheaper, but every slot waits for the slowest item.

So waves are for items that are over in a moment: a map with many items a slot tries one, and goes on with
waves as long as a wave takes no longer than QUICK seconds, with lanes otherwise. `items_per_batch` decides
for waves of that width.

Each class answers two calls: `child(free, left)`, the next part to hand out or None, and `learn(child,
tally)` when one has come back. Sizes keep every history at a few hundred events: an orchestration's turn
replays all of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import Any, Protocol

from fan_out.maps.parts import Job, Tally

QUICK = 0.5  # seconds a wave may take; also the longest a slot may idle before the map changes to lanes
WAVE = 100  # items of a wave; more only lengthens histories, the cost per item is flat from here on
LANE = 16  # items of a lane: its turns cost the square of it
LANE_SECONDS = 0.75  # a lane should last so long: handing out stays cheap beside it, news stay fresh
LANES_A_SECOND = 12  # one section can hand out about that many lanes a second
LANES = 250  # lanes a section hands out before it ends
SLOTS = 25  # lanes under way in a section, unless that made more than SECTIONS of them
SECTIONS = 32
TURNS = 40  # items a slot gets in a section: enough that the idle end of a section weighs little
FEWEST = 10  # … and no fewer, for the same reason
WAVES = 20  # waves of a section; more where they are narrow
STAGE = 16_384  # items of a stage: what it is given and returns is read again at each of its turns


@dataclass(frozen=True)
class Child:
    """The next part: `kind` batch, section or stage; at most `count` items, `slots` of them in flight."""

    kind: str
    count: int
    slots: int
    plan: dict[str, Any] = field(default_factory=dict)


class Pace(Protocol):
    at_once: int  # parts that may be under way together, for sharing the failure budget among them

    def child(self, free: int, left: int) -> Child | None: ...

    def learn(self, child: Child, tally: Tally) -> None: ...

    @property
    def stop(self) -> str | None:
        """Why nothing more should be handed out here, though there are items left."""
        ...


class Lanes:
    """Batches of a section that works in lanes.

    A lane gets its share of what is left, so that they all end together; not more than is done in
    LANE_SECONDS at the speed seen so far; and little before any speed was seen.
    """

    def __init__(self, slots: int, bound: int) -> None:
        self.at_once = slots
        self.stop: str | None = None
        self._handed_out = 0
        self._seconds = max(LANE_SECONDS, bound / LANES_A_SECOND)
        self._seconds_an_item: float | None = None

    def child(self, free: int, left: int) -> Child | None:
        if not free:
            return None
        known = self._seconds_an_item
        affordable = 2 if known is None else int(self._seconds / max(known, 1e-6))
        self._handed_out += 1
        if self._handed_out == LANES:
            self.stop = "full"
        # Half of its share: the last lanes are short, so that none of them is waited for long.
        return Child("batch", max(1, min(LANE, affordable, left // (2 * self.at_once))), 1)

    def learn(self, child: Child, tally: Tally) -> None:
        done = len(tally.values) - tally.not_started
        if done:
            new = tally.seconds / done
            old = self._seconds_an_item
            self._seconds_an_item = new if old is None else 0.7 * old + 0.3 * new


class Waves:
    """Batches of a section that works in waves of `width`; `quick`: only while they are quick."""

    def __init__(self, slots: int, width: int, quick: bool) -> None:
        self.at_once = max(1, slots // width)
        self.stop: str | None = None
        self._width = width
        self._quick = quick

    def child(self, free: int, left: int) -> Child | None:
        width = min(self._width, left)
        return Child("batch", width, width) if free >= width else None

    def learn(self, child: Child, tally: Tally) -> None:
        if self._quick and tally.seconds > QUICK:
            self.stop = "slow"


class Sections:
    """Sections of a stage. Waves first, if there are enough items for a try to pay."""

    stop = None

    def __init__(self, job: Job, count: int) -> None:
        self._bound = job.bound
        self._waves = job.batch is not None or not job.bound
        self._width = job.batch or min(job.bound or WAVE, WAVE)
        if self._waves:
            units = max(1, job.bound // self._width) if job.bound else WAVES
            units = min(units, max(SLOTS, ceil(units / SECTIONS)))
            self._slots, self._count = units * self._width, _waves(self._width, units)
        else:
            self._slots = evenly(job.bound, max(SLOTS, ceil(job.bound / SECTIONS)))
            self._count = TURNS * self._slots
        self.at_once = ceil(job.bound / self._slots) if job.bound else ceil(count / self._count)
        self._quick = not self._waves and tries_waves(job, count)

    def child(self, free: int, left: int) -> Child | None:
        if self._waves:
            slots = self._slots if not self._bound else min(self._slots, free)
            if slots < self._width:
                return None
            plan = {"width": self._width, "quick": False}
            return Child("section", self._count, slots if self._bound else 0, plan)
        if self._quick:
            if free < self._bound:
                return None
            units = max(1, self._bound // self._width)
            plan = {"width": self._width, "quick": True}
            return Child("section", _waves(self._width, units), self._bound, plan)
        slots = min(self._slots, free)
        if not slots:
            return None
        # Its share of what is left, so that the sections end together.
        share = left * slots // self._bound
        return Child("section", max(FEWEST * slots, min(self._count, share)), slots)

    def learn(self, child: Child, tally: Tally) -> None:
        if tally.stop == "slow":
            self._quick = False


class Stages:
    """Parts of the whole map, one after another: a batch or a section where that is enough, else stages."""

    stop = None

    def __init__(self, job: Job, count: int) -> None:
        self._job = job
        self.at_once = 1 if job.bound else ceil(count / STAGE) or 1

    def child(self, free: int, left: int) -> Child | None:
        job = self._job
        if job.bound and free < job.bound:
            return None
        fits = left <= WAVE and (not job.bound or left <= job.bound)
        if fits and (job.batch is None or left <= job.batch):
            return Child("batch", left, left)
        if job.batch or not job.bound:
            width = job.batch or WAVE
            units = job.bound // width
            if units <= SLOTS and left <= _waves(width, units):
                return Child("section", left, job.bound, {"width": width, "quick": False})
        elif job.bound <= SLOTS and left <= TURNS * job.bound and not tries_waves(job, left):
            return Child("section", left, job.bound)
        return Child("stage", max(STAGE, 64 * job.bound), job.bound)

    def learn(self, child: Child, tally: Tally) -> None:
        pass


def _waves(width: int, units: int) -> int:
    """Items of a section that works in waves, `units` of them at once."""
    return width * max(WAVES, 4 * units, min(LANES, 2000 // width))


def tries_waves(job: Job, count: int) -> bool:
    """A wave of slow items costs a slot the slowest of them once: nothing beside 40 items a slot."""
    return job.batch is None and job.bound >= SLOTS and count >= 40 * job.bound


def evenly(bound: int, most: int) -> int:
    """The slots of each section when as few as can be, none with more than `most`, share `bound` evenly."""
    return ceil(bound / ceil(bound / most))
