"""What would keep a host from starting, found before the app is loaded: loading may take long and have effects."""

from __future__ import annotations

from pathlib import Path

from dfhost.http.listening import check_can_listen
from dfhost.store.database_file import check_not_in_use


def check_can_start(database: Path | None, address: str, port: int) -> None:
    """HostError if another process has the file or the port. The host finds out again, once it takes them."""
    if database is not None:
        check_not_in_use(database)
    check_can_listen(address, port)
