"""local.settings.json: its form, and its way into the environment.

As Core Tools reads it (AppSettingsFile, StartHostAction): `Values` and `ConnectionStrings` become environment
variables unless the environment has them already, `Host` says where to listen. Where Core Tools warns and
goes on without the file, this host stops: an app without its settings fails later and further away.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dfhost.errors import SettingsError
from dfhost.settings.jsonc import Document, JsonError, parse


@dataclass(frozen=True, slots=True)
class LocalSettings:
    app_settings: Mapping[str, str] = field(default_factory=dict)
    port: int | None = None
    address: str | None = None
    cors: tuple[str, ...] = ()
    cors_credentials: bool = False
    notes: tuple[str, ...] = ()


def read_local(file: Path) -> LocalSettings:
    """What `file` says; nothing if it does not exist. SettingsError names file, line and column."""
    document = read_document(file)
    return _Local(document, file).settings() if document else LocalSettings()


def read_document(file: Path) -> Document | None:
    """The JSON of a settings file, None if there is no such file."""
    try:
        # Visual Studio and PowerShell write a byte order mark.
        document = parse(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SettingsError(f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{file} is not UTF-8 text.") from None
    except JsonError as error:
        where = f"{file}, line {error.line}, column {error.column}"
        raise SettingsError(f"{where}: not valid JSON: {error}.") from None
    if not isinstance(document.value, dict):
        raise SettingsError(f"{file}, line 1: the file has to hold one JSON object in braces.")
    return document


def enter_environment(settings: Mapping[str, str], environ: MutableMapping[str, str] = os.environ) -> None:
    """Set what the environment does not have yet; an empty variable counts as absent."""
    for name, text in settings.items():
        if not environ.get(name):
            environ[name] = text


class _Local:
    def __init__(self, document: Document, file: Path) -> None:
        self.document = document
        self.file = file
        self.notes: list[str] = []

    def settings(self) -> LocalSettings:
        whole = self.document.value
        values = self._values()
        encrypted = whole.get("IsEncrypted")
        if encrypted is True and values:
            raise SettingsError(
                f"{self.file} is encrypted; only Core Tools can read it. Run `func settings decrypt` beside it."
            )
        if encrypted is not False and values:
            self.notes.append(f'{self.file.name} lacks "IsEncrypted": false; Core Tools would not read it.')
        for name in whole.keys() - {"IsEncrypted", "Values", "ConnectionStrings", "Host", "$schema"}:
            self.notes.append(f'{self.file.name}: "{name}" is no setting of this file (Values, Host, ...).')
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
                self.notes.append(f"{self.file.name}: {name} is null and left out.")
            elif name:
                found[name] = self._text(("Values", name), value)
        return found

    def _connection_strings(self) -> dict[str, str]:
        """{"Sql": "..."} or {"Sql": {"ConnectionString": "...", "ProviderName": "..."}}."""
        found = {}
        for name, value in self._object("ConnectionStrings").items():
            path: tuple[str, ...] = ("ConnectionStrings", name)
            if isinstance(value, dict):
                path, value = (*path, "ConnectionString"), value.get("ConnectionString")
            if value is not None:
                found[f"ConnectionStrings:{name}"] = self._text(path, value)
        return found

    def _object(self, name: str) -> dict[str, Any]:
        value = self.document.value.get(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self._wrong((name,), "an object in braces")
        return value

    def _text(self, path: tuple[str, ...], value: Any) -> str:
        """As Newtonsoft makes a text of it: true becomes True, 5 becomes 5; objects and lists it refuses."""
        if isinstance(value, (dict, list)):
            raise self._wrong(path, "a text")
        return "" if value is None else str(value)

    def _port(self, value: Any) -> int | None:
        if value in (None, 0, ""):
            return None
        if str(value).isdecimal() and int(value) < 65536:
            return int(value)
        raise self._wrong(("Host", "LocalHttpPort"), "a port from 1 to 65535")

    def _wrong(self, path: tuple[str, ...], wanted: str) -> SettingsError:
        line, column = self.document.place(path)
        return SettingsError(
            f"{self.file}, line {line}, column {column}: {'.'.join(path)} has to be {wanted}."
        )
