"""Messages that cannot be read or processed: each is set aside and reported, and everything else goes on."""

from __future__ import annotations

from dfhost.host_log import HostLog
from dfhost.store.events import InboxMessage
from dfhost.store.store import Store
from dfhost.worker.clock import now


class PoisonMessages:
    def __init__(self, store: Store, log: HostLog) -> None:
        self._store = store
        self._log = log

    def set_aside(self, message: InboxMessage, error: Exception) -> None:
        """From any thread."""
        reason = f"{type(error).__name__}: {error}"
        self._store.set_aside(message, reason, now())
        self._log.note(
            f"A message to {message.instance_id} cannot be processed ({reason}). It is now in the table "
            "poison_messages of the database; everything else goes on."
        )

    def report_history(self, instance_id: str, error: Exception) -> None:
        self._log.note(
            f"The history of {instance_id} cannot be read ({type(error).__name__}: {error}). The instance stays as "
            "it is until it is terminated or purged; everything else goes on."
        )
