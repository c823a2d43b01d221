"""local.settings.json, read as Core Tools reads it (AppSettingsFile, StartHostAction).

`Values` and `ConnectionStrings` become environment variables, `Host` says where to listen. Where Core Tools warns
and goes on without the file, dfhost stops: an app without its settings fails later, and less clearly.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dfhost.errors import SettingsError
from dfhost.settings.jsonc import Document, read_document


@dataclass(frozen=True, slots=True)
class LocalSettings:
    app_settings: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    address: str | None = None
    cors: tuple[str, ...] = ()
    cors_credentials: bool = False
    notes: tuple[str, ...] = ()


def read_local_settings(file: Path) -> LocalSettings:
    """The settings in `file`; the defaults if it does not exist. SettingsError names file, line and column."""
    document = read_document(file)
    return _LocalSettingsReader(document, file).settings() if document else LocalSettings()


class _LocalSettingsReader:
    def __init__(self, document: Document, file: Path) -> None:
        self.document = document
        self.file = file
        self.notes: list[str] = []

    def settings(self) -> LocalSettings:
        document = self.document.value
        values = self._values()
        encrypted = document.get("IsEncrypted")
        if encrypted is True and values:
            raise SettingsError(
                f"{self.file} is encrypted, so only Core Tools can read it. Run `func settings decrypt` there."
            )
        if encrypted is not False and values:
            self.notes.append(f'{self.file.name} lacks "IsEncrypted": false; Core Tools would not read it.')
        for name in document.keys() - {"IsEncrypted", "Values", "ConnectionStrings", "Host", "$schema"}:
            self.notes.append(
                f'{self.file.name}: "{name}" is not a key of this file; those are Values, Host and ConnectionStrings.'
            )
        host = self._object("Host")
        return LocalSettings(
            app_settings={**values, **self._connection_strings()},
            port=self._port(host.get("LocalHttpPort")),
            address=self._text(("Host", "LocalHttpAddress"), host.get("LocalHttpAddress")) or None,
            cors=tuple(self._text(("Host", "CORS"), host.get("CORS")).replace(" ", "").strip(",").split(","))
            if host.get("CORS")
            else (),
            cors_credentials=host.get("CORSCredentials") is True,
            notes=tuple(self.notes),
        )

    def _values(self) -> dict[str, str]:
        found = {}
        for name, value in self._object("Values").items():
            if value is None:
                self.notes.append(f"{self.file.name}: {name} is null, so it is ignored.")
            elif name:
                found[name] = self._variable(("Values", name), name, value)
        return found

    def _connection_strings(self) -> dict[str, str]:
        """{"Sql": "..."} or {"Sql": {"ConnectionString": "...", "ProviderName": "..."}}."""
        found = {}
        for name, value in self._object("ConnectionStrings").items():
            path: tuple[str, ...] = ("ConnectionStrings", name)
            if isinstance(value, dict):
                path, value = (*path, "ConnectionString"), value.get("ConnectionString")
            if value is not None:
                found[f"ConnectionStrings:{name}"] = self._variable(path, name, value)
        return found

    def _variable(self, path: tuple[str, ...], name: str, value: Any) -> str:
        """The text of an environment variable. Not every JSON text can be one, or its name."""
        text = self._text(path, value)
        if "=" in name or not _can_be_passed_on(name):
            shown = json.dumps(name, ensure_ascii=not _can_be_passed_on(name))
            raise self._refused(path, f"{shown} cannot be the name of an app setting")
        if not _can_be_passed_on(text):
            raise self._refused(path, f"{'.'.join(path)} has a character that no app setting can have")
        return text

    def _object(self, name: str) -> dict[str, Any]:
        value = self.document.value.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._wrong((name,), "an object in braces")
        return value

    def _text(self, path: tuple[str, ...], value: Any) -> str:
        """The string that Newtonsoft makes of it: true becomes True, 5 becomes 5. It refuses objects and lists."""
        if isinstance(value, (dict, list)):
            raise self._wrong(path, "a string")
        return "" if value is None else str(value)

    def _port(self, value: Any) -> int | None:
        if value in (None, 0, ""):
            return None
        if str(value).isdecimal() and int(value) < 65536:
            return int(value)
        raise self._wrong(("Host", "LocalHttpPort"), "a port from 1 to 65535")

    def _wrong(self, path: tuple[str, ...], wanted: str) -> SettingsError:
        return self._refused(path, f"{'.'.join(path)} has to be {wanted}")

    def _refused(self, path: tuple[str, ...], problem: str) -> SettingsError:
        line, column = self.document.place(path)
        return SettingsError(f"{self.file}, line {line}, column {column}: {problem}.")


def _can_be_passed_on(text: str) -> bool:
    """Whether the environment takes the text: no zero character, no half of a surrogate pair."""
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False
