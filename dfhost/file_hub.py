"""A task hub in a database file that is only read: the reading half of the management API, without a host.

What a host has in memory is missing: which activities run at this moment, and which events the code waits for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from dfhost.clock import Clock
from dfhost.dispatch.dispatchers import Dispatchers
from dfhost.management.api import ManagementApi
from dfhost.management.responses import ManagementResponse
from dfhost.management.urls import WEBHOOKS_PATH
from dfhost.settings import Settings
from dfhost.store.file_reader import FileReader
from dfhost.store.store import Store
from dfhost.task_hub import TaskHub


class FileHub:
    """DatabaseError if the file cannot be read."""

    def __init__(self, file: Path) -> None:
        self._reader = FileReader(file)
        # Nothing of them is asked for but what reading requests need.
        store, dispatchers = cast(Store, self._reader), cast(Dispatchers, _NoDispatchers())
        settings = Settings()
        hub = TaskHub(settings.hub, store, dispatchers, settings, Clock())
        self._api = ManagementApi(hub, connection=settings.connection, note=lambda sentence: None)

    def close(self) -> None:
        self._reader.close()

    def get(self, path: str, query: str, headers: Mapping[str, str]) -> ManagementResponse:
        """The response to GET `path`, which begins with /runtime/webhooks/durabletask."""
        below = path.removeprefix(WEBHOOKS_PATH)
        return asyncio.run(self._api.handle("GET", below, query, headers, b"", ""))


class _NoDispatchers:
    """What stands in the place of the dispatchers: nothing is loaded, and nothing runs."""

    def __init__(self) -> None:
        self.orchestrations = self.replays = self.activities = self.entities = self

    def has_code(self, orchestrator: str) -> bool:
        return True  # nobody can tell

    async def inspect(self, instance_id: str) -> None:
        return None

    def state(self, instance_id: str, task_id: int) -> tuple[str, None]:
        return "queued", None

    @property
    def limit_reached(self) -> None:
        return None

    @property
    def is_full(self) -> bool:
        return False

    @property
    def waits_for_worker(self) -> bool:
        return False

    async def running_batch(self, entity_id: str) -> None:
        return None

    def last_failure(self, entity_id: str) -> None:
        return None
