"""Orchestration versions: whether a worker with this host.json would ever run an instance of one."""

from __future__ import annotations

import re


def refusal(name: str, version: str | None, default_version: str | None, strategy: str) -> str | None:
    """A sentence if an instance of this version would wait for ever on Azure, else None.

    `strategy` is host.json's versionMatchStrategy: None (any), Strict (equal), CurrentOrOlder (not newer than
    defaultVersion; the default). Without a defaultVersion an instance that names a version never runs (recorded).
    """
    if not version or strategy == "None":
        return None
    if default_version and _fits(version, default_version, strategy):
        return None
    has = f"defaultVersion '{default_version}'" if default_version else "no defaultVersion"
    return (
        f"The orchestrator function '{name}' was started with version '{version}', but host.json has {has} under "
        "extensions.durableTask: on Azure the instance would wait for ever. Set defaultVersion, or leave the version "
        "out."
    )


def _fits(version: str, default_version: str, strategy: str) -> bool:
    if strategy == "Strict":
        return version.lower() == default_version.lower()
    return _order(version) <= _order(default_version)


def _order(version: str) -> list[tuple[int, int, str]]:
    """Numbers as numbers: 1.10 is newer than 1.9."""
    return [
        (0, int(part), "") if part.isdigit() else (1, 0, part.lower())
        for part in re.split(r"[.\-+]", version)
    ]
