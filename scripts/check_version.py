"""Hold the version in pyproject.toml to CHANGELOG.md: `make lint` fails where they disagree.

Between releases the version ends in `.dev0`, and the changelog begins with `## Unreleased`.
A release drops both: version `0.2.0`, heading `## 0.2.0 - 2026-12-31`, tag `v0.2.0` (the release workflow's --tag).
"""

from __future__ import annotations

import argparse
import datetime
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEV = ".dev0"
VERSION = r"\d+\.\d+\.\d+"


def complaints(version: str, changelog: str, tag: str | None = None) -> list[str]:
    """One sentence for each thing that does not agree."""
    headings = re.findall(r"^## (.+?)\s*$", changelog, re.M)
    in_progress = version.endswith(DEV)
    found = []
    if not re.fullmatch(VERSION, version.removesuffix(DEV)):
        return [f"The version {version} is neither 1.2.3 nor 1.2.3{DEV}."]
    if ("Unreleased" in headings[:1]) != in_progress:
        wanted = "## Unreleased" if in_progress else f"## {version} - YYYY-MM-DD"
        found.append(f"The version is {version}, so CHANGELOG.md must begin with: {wanted}")
    released = headings[1:] if "Unreleased" in headings[:1] else headings
    numbers = []
    for heading in released:
        match = re.fullmatch(rf"({VERSION}) - (\S+)", heading)
        if not match or not is_date(match[2]):
            found.append(f"CHANGELOG.md: the heading is not '## 1.2.3 - YYYY-MM-DD': ## {heading}")
        else:
            numbers.append(parts(match[1]))
    if numbers != sorted(set(numbers), reverse=True):
        found.append("CHANGELOG.md: versions stand newest first, each once.")
    current = parts(version.removesuffix(DEV))
    if numbers and in_progress and current <= numbers[0]:
        found.append(f"The version {version} is not newer than the newest release in CHANGELOG.md.")
    if numbers and not in_progress and current != numbers[0]:
        found.append(f"The version is {version}, but it is not the newest release in CHANGELOG.md.")
    if tag is not None and tag != f"v{version}":
        found.append(f"The tag {tag} does not name the version {version}.")
    return found


def parts(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def is_date(text: str) -> bool:
    try:
        return datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tag", help="the tag that is released, such as v0.2.0")
    tag = parser.parse_args().tag
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "(.+?)"', project, re.M)
    assert found, "pyproject.toml has no version"
    wrong = complaints(found[1], (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), tag)
    print(
        "\n".join(wrong) if wrong else f"Version and changelog agree: {found[1]}.",
        file=sys.stderr if wrong else sys.stdout,
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
