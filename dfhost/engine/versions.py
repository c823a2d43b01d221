"""Orchestration versions: whether a worker with this host.json would run an instance of one."""

from __future__ import annotations

import re

from dfhost.engine.options import EngineOptions

#: The output of an instance that host.json's versionFailureStrategy Fail has failed (recorded).
MISMATCH = "VersionMismatch: Orchestration version did not comply with Worker Versioning"


def fits(version: str | None, options: EngineOptions) -> bool:
    """Whether an instance of this version runs here.

    versionMatchStrategy of host.json: None (any version), Strict (equal), CurrentOrOlder (not newer than
    defaultVersion; the default). Without a defaultVersion an instance that names a version never runs (recorded).
    """
    default = options.default_version
    if not version or options.version_match == "None":
        return True
    if not default:
        return False
    if options.version_match == "Strict":
        return version.lower() == default.lower()
    return _order(version) <= _order(default)


def never_runs(name: str, version: str | None, options: EngineOptions) -> str:
    """What to say of an instance that would wait for ever on Azure, where versionFailureStrategy is Reject."""
    default = options.default_version
    has = f"defaultVersion '{default}'" if default else "no defaultVersion"
    return (
        f"The orchestrator function '{name}' was started with version '{version}', but host.json has {has} under "
        "extensions.durableTask: on Azure the instance would wait for ever. Set defaultVersion, or leave the version "
        "out."
    )


def _order(version: str) -> list[tuple[int, int, str]]:
    """Numbers as numbers: 1.10 is newer than 1.9."""
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part.lower())
        for part in re.split(r"[.\-+]", version)
    ]
