"""Which calls of user code run now, kept in a file that outlives the process.

A call that ends the process (os._exit, a segmentation fault) leaves no word behind. So each call has an entry in a
small file beside the database while it runs, and the next host reads which entries were left. The file is mapped
into memory: an entry costs a microsecond and no system call, and the kernel keeps it when the process dies.
After a power cut nothing may be left, which is right: then no call was the cause.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import NamedTuple


class CurrentCall(NamedTuple):
    """`function`: its indexed name."""

    kind: str
    function: str
    instance_id: str | None


#: The call that runs in this thread or task, for its logs.
current_call: ContextVar[CurrentCall | None] = ContextVar("current_call", default=None)

_ENTRY_BYTES = 256  # the first is 0 in a free entry; a longer text is cut
_ENTRIES = 256  # further calls at the same time have no entry
_NO_ENTRY = -1
_SHOWN = 5


class InterruptedCall(NamedTuple):
    """A call that ran when the last host died. `times`: how many hosts in a row have died while it ran."""

    kind: str
    function: str
    instance_id: str
    times: int


class RunningCalls:
    """`begin` and `end` come from any thread. Without a file (`path` None) they do nothing."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._entries: mmap.mmap | None = None
        self._free: list[int] = []  # offsets; append and pop are atomic
        self.interrupted: list[InterruptedCall] = []
        self.left_calls = False  # the last host was killed, or has stopped while calls were running
        self._times: dict[tuple[str, str, str], int] = {}

    def open(self) -> None:
        """Read what the last host has left into `interrupted`, and start with an empty file.

        Nobody else may have the file open. Where it cannot be written, calls have no entries.
        """
        if self._path is None:
            return
        self.left_calls = self._path.exists()
        with suppress(OSError):
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                self._read(os.read(descriptor, _ENTRIES * _ENTRY_BYTES))
                # Written, not only made longer: a mapped page that has no room on the disk would end the process.
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, bytes(_ENTRIES * _ENTRY_BYTES), 0)
                self._entries = mmap.mmap(descriptor, _ENTRIES * _ENTRY_BYTES)
            finally:
                os.close(descriptor)
            # The last is taken first, and taken again when it is free: few pages are ever touched.
            self._free = [number * _ENTRY_BYTES for number in range(_ENTRIES)]

    def begin(self, kind: str, function: str, instance_id: str | None) -> int:
        """The entry of a call that starts now in this thread or task, for `end`. `function`: its indexed name."""
        current_call.set(CurrentCall(kind, function, instance_id))
        if not self._free or (entries := self._entries) is None:
            return _NO_ENTRY
        try:
            offset = self._free.pop()
        except IndexError:  # another thread took it
            return _NO_ENTRY
        times = self._times.get((kind, function, instance_id or ""), 0) if self._times else 0
        text = f"{kind}\0{function}\0{instance_id or ''}\0".encode("utf-8", "replace")[: _ENTRY_BYTES - 1]
        entries[offset + 1 : offset + 1 + len(text)] = text
        entries[offset] = min(times + 1, 255)
        return offset

    def end(self, entry: int) -> None:
        """In the thread or task of `begin`."""
        current_call.set(None)
        if entry != _NO_ENTRY and self._entries is not None:
            self._entries[entry] = 0
            self._free.append(entry)

    @contextmanager
    def entered(self, kind: str, function: str, instance_id: str | None) -> Iterator[None]:
        """In this block the call runs: `begin` and `end` around it."""
        entry = self.begin(kind, function, instance_id)
        try:
            yield
        finally:
            self.end(entry)

    def release_all(self) -> None:
        """Free every entry: the process ends because a person wants it to. Safe in a signal handler."""
        if self._entries is not None:
            self._entries[:] = bytes(len(self._entries))

    def close(self, leaves_calls: bool = False) -> None:
        """The host has stopped: nothing is left to report. Calls that still run have no entries any more.

        `leaves_calls`: there are some, of activities. The next host is told so by the file, which stays.
        """
        self.release_all()
        self._free = []
        if not leaves_calls and self._path is not None and self._entries is not None:
            with suppress(OSError):
                self._path.unlink()

    def _read(self, content: bytes) -> None:
        for offset in range(0, len(content), _ENTRY_BYTES):
            times = content[offset]
            fields = content[offset + 1 : offset + _ENTRY_BYTES].decode("utf-8", "replace").split("\0")
            if times and len(fields) > 2:
                kind, function, instance_id = fields[:3]
                self.interrupted.append(InterruptedCall(kind, function, instance_id, times))
                self._times[kind, function, instance_id] = times


def interrupted_sentence(calls: Sequence[InterruptedCall]) -> str:
    """What ran when the last host died, for the person at the terminal; "" if nothing did."""
    if not calls:
        return ""
    calls = sorted(calls, key=lambda call: -call.times)
    groups: dict[str, list[InterruptedCall]] = {}
    for call in calls:
        groups.setdefault(described_call(call.kind, call.function, call.instance_id), []).append(call)
    shown = [
        (f"{text} ({len(group)} calls)" if len(group) > 1 else text, group[0].times)
        for text, group in list(groups.items())[:_SHOWN]
    ]
    if len(groups) == 1:
        ((text, times),) = shown
        sentence = f"The last host died while {text} ran"
        sentence += f", for the {ordinal(times)} time in a row." if times > 1 else "."
    else:
        each = [
            f"{text} (for the {ordinal(times)} time in a row)" if times > 1 else text for text, times in shown
        ]
        if more := sum(map(len, list(groups.values())[_SHOWN:])):
            each.append(f"{more} more")
        sentence = f"The last host died while these ran: {', '.join(each[:-1])} and {each[-1]}."
    worst = calls[0]
    if worst.times > 1:
        setting = f"AzureWebJobs_{worst.function}_Disabled=true"
        sentence += (
            " If it ends the process (os._exit, a segmentation fault, too much memory), correct it, or set "
            f"{setting}: then its calls fail and do not run."
        )
    return sentence


def described_call(kind: str, function: str, instance_id: str | None) -> str:
    """ "orchestrator flow of instance x", "entity @counter@a", "HTTP function begin"."""
    if kind == "entity":
        return f"entity {instance_id}"
    kind = {"http": "HTTP function"}.get(kind, kind)
    return f"{kind} {function}" + (f" of instance {instance_id}" if instance_id else "")


def ordinal(number: int) -> str:
    """ "1st", "22nd", "113th"."""
    suffix = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{suffix}"
