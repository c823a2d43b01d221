"""The version, the changelog and the tag of a release agree, or `scripts/check_version.py` says what does not."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check_version.py"
complaints: Callable[..., list[str]] = runpy.run_path(str(SCRIPT))["complaints"]

OLDER = "## 0.2.0 - 2026-12-31\n\n- more\n\n## 0.1.0 - 2026-11-30\n\n- first\n"


@pytest.mark.parametrize(
    ("version", "changelog", "tag"),
    [
        ("0.1.0.dev0", "# Changelog\n\n## Unreleased\n\n### Added\n", None),
        ("0.3.0.dev0", f"## Unreleased\n\n{OLDER}", None),
        ("0.2.0", OLDER, None),
        ("0.2.0", OLDER, "v0.2.0"),
    ],
)
def test_what_agrees(version: str, changelog: str, tag: str | None) -> None:
    assert complaints(version, changelog, tag) == []


@pytest.mark.parametrize(
    ("version", "changelog", "tag", "says"),
    [
        ("0.3.0", f"## Unreleased\n\n{OLDER}", None, "must begin with: ## 0.3.0 - YYYY-MM-DD"),
        ("0.3.0.dev0", OLDER, None, "must begin with: ## Unreleased"),
        ("0.2.0.dev0", f"## Unreleased\n\n{OLDER}", None, "not newer than the newest release"),
        ("0.3.0", OLDER, None, "not the newest release"),
        ("0.2.0", OLDER, "v0.3.0", "The tag v0.3.0 does not name the version 0.2.0"),
        ("0.2.0.dev0", "## Unreleased\n", "v0.2.0", "does not name the version 0.2.0.dev0"),
        ("0.2.0", "## 0.2.0 - 2026-13-01\n", None, "the heading is not"),
        ("0.2.0", "## 0.2.0\n", None, "the heading is not"),
        ("0.1.0", "## 0.1.0 - 2026-11-30\n## 0.2.0 - 2026-12-31\n", None, "newest first"),
        ("1.0", "## Unreleased\n", None, "neither 1.2.3 nor 1.2.3.dev0"),
    ],
)
def test_what_does_not(version: str, changelog: str, tag: str | None, says: str) -> None:
    assert any(says in each for each in complaints(version, changelog, tag))


def test_this_repository_agrees() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([sys.executable, str(SCRIPT), "--tag", "v0"], capture_output=True).returncode == 1
