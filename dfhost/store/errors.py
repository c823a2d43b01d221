"""What a commit of the dispatchers can fail with."""

from __future__ import annotations

from dfhost.errors import HostError


class StaleCommit(HostError):
    """The instance or entity was terminated, replaced or purged while its episode or batch ran."""

    def __init__(self) -> None:
        super().__init__("The instance has ended or was replaced meanwhile.")
