"""host.json as the Functions host sees it: flat, its keys in any case, app settings laid over it.

The Functions host turns host.json into .NET configuration, where `extensions.durableTask.hubName` may be
written in any case, a number may stand as a text, and an app setting named
`AzureFunctionsJobHost__extensions__durableTask__hubName` wins over the file. This module owns that view and
the sentences about values of the wrong kind; what a key means is the affair of `read`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from dfhost.errors import SettingsError
from dfhost.settings.jsonc import Document

OVERRIDE = "AzureFunctionsJobHost"

_TIMESPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{1,2})(?::(\d{1,2}(?:\.\d{1,7})?))?")


@dataclass(frozen=True, slots=True)
class _Leaf:
    key: str  # as written, "extensions.durableTask.hubName"
    value: Any
    source: str  # where a person finds it


class HostJson:
    """The values of one host.json, asked for by dotted keys in any case.

    Every getter raises SettingsError, with file, line and key, if the value is of another kind. What was
    asked for is no longer `unread`.
    """

    def __init__(self, document: Document, file: Path, app_settings: Mapping[str, str]) -> None:
        self._leaves: dict[str, _Leaf] = {}
        self._asked: dict[str, str] = {}
        for path, value in document.leaves():
            self._add(path, value, f"{file}, line {document.place(path)[0]}")
        for name, text in app_settings.items():
            head, *rest = re.split("__|:", name)
            if rest and head.lower() == OVERRIDE.lower():
                self._add(rest, text, f"app setting {name}")

    def text(self, key: str, default: str) -> str:
        leaf = self._leaf(key)
        if leaf and not isinstance(leaf.value, str):
            raise _wrong(leaf, "a text")
        return str(leaf.value) if leaf else default

    def one_of(self, key: str, choices: Iterable[str]) -> str:
        """One of `choices`, written in any case; the first is the default."""
        known = {choice.lower(): choice for choice in choices}
        leaf = self._leaf(key)
        if leaf is None:
            return next(iter(known.values()))
        if (word := str(leaf.value).lower()) not in known:
            raise _wrong(leaf, " or ".join(f'"{choice}"' for choice in known.values()))
        return known[word]

    def whole(self, key: str, default: int, least: int = 1) -> int:
        leaf = self._leaf(key)
        if leaf is None:
            return default
        if re.fullmatch(r"-?\d{1,9}", text := json.dumps(leaf.value).strip('"')) is None or int(text) < least:
            raise _wrong(leaf, f"a whole number of at least {least}")
        return int(text)

    def flag(self, key: str, default: bool) -> bool:
        return self.one_of(key, ("true", "false") if default else ("false", "true")) == "true"

    def span(self, key: str, default: timedelta) -> timedelta | None:
        """A .NET TimeSpan, `[d.]hh:mm:ss`, of at least a second; None for `-1`: no limit."""
        leaf = self._leaf(key)
        if leaf is None:
            return default
        if str(leaf.value) == "-1":
            return None
        if found := _TIMESPAN.fullmatch(str(leaf.value)):
            days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
            span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
            if hours < 24 and minutes < 60 and seconds < 60 and span >= timedelta(seconds=1):
                return span
        raise _wrong(leaf, 'a time span of at least a second such as "00:10:00", or "-1" for none')

    def under(self, key: str) -> dict[str, Any]:
        """All values below `key`, by what their keys add to it, as written.

        under("logging.logLevel") -> {"default": "Information", "Function.price": "Debug"}
        """
        head = key.lower() + "."
        self._asked[head] = key
        self._check_ancestors(head)
        return {leaf.key[len(head) :]: leaf.value for k, leaf in self._leaves.items() if k.startswith(head)}

    def wrong(self, key: str, what: str) -> SettingsError:
        """The error for a value that is of the right kind and still cannot be used; `what` ends a sentence."""
        leaf = self._leaves[key.lower()]
        return SettingsError(f"{leaf.source}: {leaf.key} {what}.")

    def unread(self) -> list[str]:
        """The keys, as written, that nobody asked for."""
        read = tuple(key for key in self._asked if key.endswith("."))
        return [
            leaf.key
            for key, leaf in self._leaves.items()
            if key not in self._asked and not key.startswith(read) and leaf.value not in ({}, [])
        ]

    def nearest(self, key: str) -> str | None:
        """The key that somebody asked for and that `key` probably means: a slip of the pen."""
        import difflib  # wanted for slips only

        close = difflib.get_close_matches(key.lower(), self._asked, n=1, cutoff=0.9)
        return self._asked[close[0]] if close else None

    def _add(self, path: Iterable[str], value: Any, source: str) -> None:
        key = ".".join(path)
        self._leaves[key.lower()] = _Leaf(key, value, source)

    def _leaf(self, key: str) -> _Leaf | None:
        """None if it is absent or null."""
        self._asked[key.lower()] = key
        self._check_ancestors(key)
        for full, below in self._leaves.items():
            if full.startswith(key.lower() + "."):
                raise SettingsError(f"{below.source}: {below.key[: len(key)]} has to be a single value.")
        leaf = self._leaves.get(key.lower())
        return leaf if leaf and leaf.value is not None else None

    def _check_ancestors(self, key: str) -> None:
        while key := key.rpartition(".")[0]:
            above = self._leaves.get(key.lower())
            if above and above.value is not None and above.value != {}:
                raise _wrong(above, "an object in braces")


def _wrong(leaf: _Leaf, wanted: str) -> SettingsError:
    shown = json.dumps(leaf.value, ensure_ascii=False)
    return SettingsError(f"{leaf.source}: {leaf.key} has to be {wanted}, not {shown[:60]}.")
