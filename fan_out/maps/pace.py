"""How the items of a map are cut up: which part is handed out next, how large, with how many slots. Pure.

Two ways to work, and the reason there are two:

lanes   a batch is a lane: its items one after another, as many lanes as there are slots. Nobody waits for
        anybody, so uneven items keep all slots busy; each item costs a turn of its lane.
waves   a batch is a wave: all its items at once, the next wave when the last of them has ended. One turn a
        wave makes it several times cheaper, but every slot waits for the slowest item.

So waves are for items that are over in a moment. A map with many items a slot finds out: it begins with narrow
waves, doubles their width as long as they are quick, and goes over to lanes at the first that is not.
`items_per_batch` decides for waves of that width, whatever they take.

Each class answers two calls: `child(free, left)`, the next part to hand out or None, and `learn(child,
tally)` when one has come back. Sizes keep every history short: an orchestration's turn replays all of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import Any, Protocol

from fan_out.maps.parts import Job, Tally

QUICK = 0.5  # seconds that a wave may take; so no slot idles for longer before the map changes to lanes
WAVE = 100  # items of a wave; more only lengthens histories, the cost per item is flat from here on
NARROW = 4  # items of the first waves: few enough to lose little by if they are slow
# Items a slot from which on it pays to find out; a quarter of it for MANY slots, whose lanes are dear.
FIND = 20
MANY = 100
LANE = 16  # items of a lane: its turns cost the square of it
FEW = 10  # slots
LANE_SECONDS = 0.75  # a lane should last so long: handing out stays cheap beside it, news stay fresh
LANES_A_SECOND = 12  # one section can hand out about that many lanes a second
BATCHES = 250  # batches a section hands out before it ends
SLOTS = 25  # slots of a section, unless that made more than SECTIONS of them
SECTIONS = 32
TURNS = 40  # items a slot gets in a section: enough that the idle end of a section weighs little
FEWEST = 10  # … and no fewer, for the same reason
WAVES = 10  # waves of a section; more where they are narrow. Each is a turn that replays those before it
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

    @property
    def way(self) -> str | None:
        """What was found out: "waves" or "lanes"."""
        ...


class Batches:
    """Batches of a section. `way`: "waves", "lanes", or "find" out.

    A lane gets its share of what is left, so that they all end together; not more than is done in
    LANE_SECONDS at the speed seen so far; and little before any speed was seen.
    """

    def __init__(self, slots: int, bound: int, way: str) -> None:
        self.at_once = slots
        self.stop: str | None = None
        self._slots = slots
        self._seconds = max(LANE_SECONDS, bound / LANES_A_SECOND)
        # With many slots even the quickest wave has to wait for its turn on a small machine.
        self._quick = min(4 * QUICK, max(QUICK, bound / 200))
        self._widest = min(slots, WAVE)
        self._known_quick = way == "waves"
        self._width = {
            "waves": self._widest,
            "find": min(self._widest, max(NARROW, slots // 4)),
            "lanes": 1,
        }[way]
        self._all_waves = way == "waves"
        self._seconds_an_item: float | None = None
        self._handed_out = 0

    @property
    def way(self) -> str:
        return "waves" if self._width > 1 else "lanes"

    def child(self, free: int, left: int) -> Child | None:
        if self._width > 1:
            count = slots = min(self._width, left)
            if not self._known_quick:
                count = slots = min(slots, free)  # no slot waits for a wave that may take long
        else:
            count, slots = self._lane(left), 1
        if free < max(1, slots):
            return None
        self._handed_out += 1
        if self._handed_out == BATCHES:
            self.stop = "full"
        return Child("batch", count, slots)

    def learn(self, child: Child, tally: Tally) -> None:
        done = len(tally.values) - tally.not_started
        if child.slots > 1:
            if tally.seconds > self._quick:
                self._width = 1
                if self._all_waves:
                    self.stop = "slow"
            elif self._width > 1:
                self._known_quick = True
                self._width = max(self._width, min(2 * child.slots, self._widest))
        elif done:
            new, old = tally.seconds / done, self._seconds_an_item
            self._seconds_an_item = new if old is None else 0.7 * old + 0.3 * new

    def _lane(self, left: int) -> int:
        known = self._seconds_an_item
        affordable = 3 if known is None else int(self._seconds / max(known, 1e-6))
        # With many slots half of its share, so that the last lanes are short and none is waited for long; with
        # few the handing out would weigh more than that.
        share = left // (self._slots if self._slots <= FEW else 2 * self._slots)
        return max(1, min(LANE, affordable, share))


class Waves:
    """Batches of a section that works in waves of `width`, because the caller wants it so."""

    stop = None
    way = None

    def __init__(self, slots: int, width: int) -> None:
        self.at_once = max(1, slots // width)
        self._width = width

    def child(self, free: int, left: int) -> Child | None:
        width = min(self._width, left)
        return Child("batch", width, width) if free >= width else None

    def learn(self, child: Child, tally: Tally) -> None:
        pass


class Sections:
    """Sections of a stage. All slots go to one section where the map works in waves, since the wider they are
    the cheaper; else there are several, since the fewer lanes one of them has the shorter is its history."""

    stop = None

    def __init__(self, job: Job, count: int) -> None:
        self._bound = job.bound
        self._width = job.batch or (None if job.bound else WAVE)
        self.way: str | None = None
        if self._width:
            units = max(1, job.bound // self._width) if job.bound else 2 * WAVES
            units = min(units, max(SLOTS, ceil(units / SECTIONS)))
            self._slots, self._count = units * self._width, _waves(self._width, units)
        else:
            self._slots = evenly(job.bound, max(SLOTS, ceil(job.bound / SECTIONS)))
            self._count = TURNS * self._slots
            self.way = first_way(job, count)
        self.at_once = ceil(job.bound / self._slots) if job.bound else ceil(count / self._count)

    def child(self, free: int, left: int) -> Child | None:
        if self._width:
            slots = min(self._slots, free) if self._bound else self._slots
            if slots < min(self._width, left):
                return None
            return Child("section", self._count, slots if self._bound else 0, {"width": self._width})
        if self.way == "waves":
            if free < self._bound:
                return None
            width = min(self._bound, WAVE)
            return Child("section", _waves(width, self._bound // width), self._bound, {"way": "waves"})
        slots = min(self._slots, free)
        if not slots:
            return None
        # Its share of what is left, so that the sections end together; little while there is much to find out.
        share = 0 if self.way == "find" else left * slots // self._bound
        count = max(FEWEST * slots, min(self._count, share))
        return Child("section", count, slots, {"way": self.way})

    def learn(self, child: Child, tally: Tally) -> None:
        if tally.stop == "slow":
            self.way = "lanes"
        elif self.way == "find" and tally.way:
            self.way = tally.way


class Stages:
    """Parts of the whole map, one after another: a batch or a section where that is enough, else stages."""

    stop = None
    way = None

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
                return Child("section", left, job.bound, {"width": width})
        elif job.bound <= SLOTS and left <= TURNS * job.bound:
            return Child("section", left, job.bound, {"way": first_way(job, left)})
        return Child("stage", max(STAGE, 64 * job.bound), job.bound)

    def learn(self, child: Child, tally: Tally) -> None:
        pass


def first_way(job: Job, count: int) -> str:
    pays = FIND if job.bound < MANY else FIND // 4
    return "find" if job.bound >= 2 * NARROW and count >= pays * job.bound else "lanes"


def evenly(bound: int, most: int) -> int:
    """The slots of each section when as few as can be, none with more than `most`, share `bound` evenly."""
    return ceil(bound / ceil(bound / most))


def _waves(width: int, units: int) -> int:
    """Items of a section that works in waves, `units` of them at once."""
    return width * max(WAVES, 4 * units, min(BATCHES, 500 // width))
