"""App settings inside a function's declaration: ``%Name%`` stands for the setting (environment variable) Name."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping


def resolve(text: str, settings: Mapping[str, str] = os.environ) -> str:
    """`text` with each ``%Name%`` replaced; ValueError if there is no such setting."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in settings:
            raise ValueError(f"there is no app setting '{found[1]}'")
        return settings[found[1]]

    return re.sub("%([^%]+)%", value, text)
