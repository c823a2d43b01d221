"""host.json as the Functions host sees it: flat keys in any case, overridden by app settings.

The Functions host turns host.json into .NET configuration. There `extensions.durableTask.hubName` may be written in
any case, a number may be a string, and an app setting named
`AzureFunctionsJobHost__extensions__durableTask__hubName` overrides the file. This module owns that view and the
sentences about values of the wrong type. `reader` knows what a key means.
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

OVERRIDE_PREFIX = "AzureFunctionsJobHost"

_TIMESPAN = re.compile(r"(?:(\d{1,8})\.)?(\d{1,2}):(\d{1,2})(?::(\d{1,2}(?:\.\d{1,7})?))?")


@dataclass(frozen=True, slots=True)
class _Entry:
    key: str  # as written, "extensions.durableTask.hubName"
    value: Any
    source: str  # where a person finds it: file and line, or the app setting


class HostJson:
    """The values of one host.json, read by dotted keys in any case.

    Every getter raises SettingsError, with file, line and key, if the value is of another type. `unread_keys` are
    those that no getter has asked for.
    """

    def __init__(self, document: Document, file: Path, app_settings: Mapping[str, str]) -> None:
        self._entries: dict[str, _Entry] = {}
        self._asked_for: dict[str, str] = {}
        for path, value in document.leaves():
            self._add(path, value, f"{file}, line {document.place(path)[0]}")
        for name, text in app_settings.items():
            prefix, *rest = re.split("__|:", name)
            if rest and prefix.lower() == OVERRIDE_PREFIX.lower():
                self._add(rest, text, f"app setting {name}")

    def string(self, key: str, default: str) -> str:
        entry = self._entry(key)
        if entry and not isinstance(entry.value, str):
            raise _wrong(entry, "a string")
        return str(entry.value) if entry else default

    def choice(self, key: str, choices: Iterable[str]) -> str:
        """One of `choices`, written in any case; the first is the default."""
        by_lower_case = {choice.lower(): choice for choice in choices}
        entry = self._entry(key)
        if entry is None:
            return next(iter(by_lower_case.values()))
        if (word := str(entry.value).lower()) not in by_lower_case:
            raise _wrong(entry, " or ".join(f'"{choice}"' for choice in by_lower_case.values()))
        return by_lower_case[word]

    def integer(self, key: str, default: int, minimum: int = 1) -> int:
        entry = self._entry(key)
        if entry is None:
            return default
        if (
            re.fullmatch(r"-?\d{1,9}", text := json.dumps(entry.value).strip('"')) is None
            or int(text) < minimum
        ):
            raise _wrong(entry, f"a whole number of at least {minimum}")
        return int(text)

    def boolean(self, key: str, default: bool) -> bool:
        return self.choice(key, ("true", "false") if default else ("false", "true")) == "true"

    def timespan(self, key: str, default: timedelta) -> timedelta:
        """A .NET TimeSpan, `[d.]hh:mm:ss`."""
        entry = self._entry(key)
        if entry is None:
            return default
        if (span := _timespan(entry.value)) is None:
            raise _wrong(entry, 'a time span such as "00:00:30"')
        return span

    def time_limit(self, key: str, default: timedelta) -> timedelta | None:
        """A TimeSpan of at least a second; None for `-1`: no limit."""
        entry = self._entry(key)
        if entry is None:
            return default
        if str(entry.value) == "-1":
            return None
        span = _timespan(entry.value)
        if span is None or span < timedelta(seconds=1):
            raise _wrong(entry, 'a time span of at least a second such as "00:10:00", or "-1" for none')
        return span

    def section(self, key: str) -> dict[str, Any]:
        """All values below `key`, by the rest of their keys, as written.

        section("logging.logLevel") -> {"default": "Information", "Function.price": "Debug"}
        """
        prefix = key.lower() + "."
        self._asked_for[prefix] = key
        self._check_ancestors(prefix)
        return {
            entry.key[len(prefix) :]: entry.value
            for k, entry in self._entries.items()
            if k.startswith(prefix)
        }

    def invalid(self, key: str, problem: str) -> SettingsError:
        """The error for a value of the right type that cannot be used; `problem` ends the sentence."""
        entry = self._entries[key.lower()]
        return SettingsError(f"{entry.source}: {entry.key} {problem}.")

    def refused(self, key: str, sentence: str) -> SettingsError:
        """The error for a value with which a real host does not run; `sentence`: the real host's."""
        return SettingsError(f"{self._entries[key.lower()].source}: {sentence}")

    def unread_keys(self) -> list[str]:
        """The keys, as written, that no getter has asked for."""
        sections = tuple(key for key in self._asked_for if key.endswith("."))
        return [
            entry.key
            for key, entry in self._entries.items()
            if key not in self._asked_for and not key.startswith(sections) and entry.value not in ({}, [])
        ]

    def closest_key(self, key: str) -> str | None:
        """The known key that `key` is probably a typo of."""
        import difflib  # needed only for a typo

        close = difflib.get_close_matches(key.lower(), self._asked_for, n=1, cutoff=0.9)
        return self._asked_for[close[0]] if close else None

    def _add(self, path: Iterable[str], value: Any, source: str) -> None:
        key = ".".join(path)
        self._entries[key.lower()] = _Entry(key, value, source)

    def _entry(self, key: str) -> _Entry | None:
        """The entry of `key`; None if it is absent or null."""
        self._asked_for[key.lower()] = key
        self._check_ancestors(key)
        for full, below in self._entries.items():
            if full.startswith(key.lower() + "."):
                raise SettingsError(f"{below.source}: {below.key[: len(key)]} has to be a single value.")
        entry = self._entries.get(key.lower())
        return entry if entry and entry.value is not None else None

    def _check_ancestors(self, key: str) -> None:
        while key := key.rpartition(".")[0]:
            above = self._entries.get(key.lower())
            if above and above.value is not None and above.value != {}:
                raise _wrong(above, "an object in braces")


def _timespan(value: Any) -> timedelta | None:
    """None for what is no time span."""
    found = _TIMESPAN.fullmatch(str(value))
    if found is None:
        return None
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    if hours >= 24 or minutes >= 60 or seconds >= 60:
        return None
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def _wrong(entry: _Entry, wanted: str) -> SettingsError:
    shown = json.dumps(entry.value, ensure_ascii=False)
    return SettingsError(f"{entry.source}: {entry.key} has to be {wanted}, not {shown[:60]}.")
