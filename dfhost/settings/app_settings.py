"""App settings: environment variables, and what ``%Name%`` in a function's declaration stands for.

The names of app settings are not case-sensitive, even where the system's environment is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping

#: What the Functions host sets for its Python worker (DefaultWorkerProcessFactory): as good as no limit.
THREAD_COUNT_DEFAULT = "1000"


def set_environment_defaults(
    settings: Mapping[str, str], environ: MutableMapping[str, str] = os.environ
) -> None:
    """Set the variables that the environment lacks; an empty variable counts as absent."""
    for name, text in settings.items():
        if not environ.get(name):
            environ[name] = text


def shown_resolved(text: object) -> str:
    """For people: `text` resolved, or as it is written if a setting is missing, which is said elsewhere."""
    try:
        return resolve_app_settings(str(text))
    except ValueError:
        return str(text)


def resolve_app_settings(text: str, settings: Mapping[str, str] = os.environ) -> str:
    """`text` with each ``%Name%`` replaced by that setting; ValueError if there is no such setting."""

    def value(found: re.Match[str]) -> str:
        if found[1] in settings:
            return settings[found[1]]
        for name in settings:
            if name.lower() == found[1].lower():
                return settings[name]
        raise ValueError(f"there is no app setting '{found[1]}'")

    return re.sub("%([^%]+)%", value, text)


def has_storage_connection(name: str, settings: Mapping[str, str] = os.environ) -> bool:
    """Whether a real host finds the connection: a setting of this name, with or without its prefix, or a section.

    The host's own storage is what no app names in a setting of its own, so it counts as there.
    """
    name = name.lower()
    if name in ("storage", "azurewebjobsstorage"):
        return True
    names = (name, f"azurewebjobs{name}", f"connectionstrings:{name}", f"connectionstrings__{name}")
    sections = tuple(f"{each}{separator}" for each in names for separator in ("__", ":"))
    return any(setting in names or setting.startswith(sections) for setting in map(str.lower, settings))
