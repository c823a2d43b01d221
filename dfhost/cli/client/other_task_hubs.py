"""Other task hubs in the same folder: their unfinished instances wait until a host serves them again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from dfhost.errors import HostError

_UNFINISHED = "Pending,Running,Suspended"


def unfinished_in(folder: Path, besides: Path | None = None) -> Iterator[tuple[str, int]]:
    """The database files in `folder`, without `besides`, that hold unfinished orchestrations, and how many."""
    files = [file for file in sorted(folder.glob("*.db")) if file != besides]
    if not files:
        return
    from dfhost.cli.client.management_client import file_client, orchestrations

    for file in files:
        with suppress(HostError):  # an older schema, or no database at all
            if number := sum(
                1 for _ in orchestrations(file_client(file).instances(runtimeStatus=_UNFINISHED))
            ):
                yield _shown(file), number


def _shown(file: Path) -> str:
    """Relative to the present folder where it is below it."""
    with suppress(ValueError):  # another drive
        relative = os.path.relpath(file)
        return str(file) if relative.startswith("..") else relative
    return str(file)
