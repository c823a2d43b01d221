"""App settings inside a function's declaration: ``%Name%`` stands for the setting (environment variable) Name.

Upper and lower case are the same in the names of app settings, whatever the system's environment thinks.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping


def resolve_app_settings(text: str, settings: Mapping[str, str] = os.environ) -> str:
    """`text` with each ``%Name%`` replaced; ValueError if there is no such setting."""

    def value(found: re.Match[str]) -> str:
        if found[1] in settings:
            return settings[found[1]]
        for name in settings:
            if name.lower() == found[1].lower():
                return settings[name]
        raise ValueError(f"there is no app setting '{found[1]}'")

    return re.sub("%([^%]+)%", value, text)
