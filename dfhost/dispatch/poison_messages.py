"""What cannot be read or processed: it is set aside or left alone, and reported, and everything else goes on."""

from __future__ import annotations

import traceback

from dfhost.clock import Clock
from dfhost.host_log import HostLog
from dfhost.store.listener import InboxMessage
from dfhost.store.store import Store


class PoisonMessages:
    """`set_aside` takes a message out of its inbox; the other methods only report."""

    def __init__(self, store: Store, log: HostLog, clock: Clock) -> None:
        self._store = store
        self._log = log
        self._clock = clock
        self._reported: set[tuple[str, str]] = set()  # defects: the instance, and what was raised

    def set_aside(self, message: InboxMessage, error: Exception) -> None:
        """Take a message that cannot be processed out of its inbox. From any thread."""
        reason = f"{type(error).__name__}: {error}"
        self._store.set_aside(message, reason, self._clock.timestamp())
        self._log.note(
            f"A message to {message.instance_id} cannot be processed ({reason}). It is now in the table "
            "poison_messages of the database; everything else goes on."
        )

    def report_history(self, instance_id: str, error: Exception) -> None:
        self._log.note(
            f"The history of {instance_id} cannot be read ({type(error).__name__}: {error}). The instance stays as "
            "it is until it is terminated or purged; everything else goes on."
        )

    def report_state(self, entity_id: str, error: Exception) -> None:
        self._log.note(
            f"The state of {entity_id} cannot be read ({type(error).__name__}: {error}). The entity stays as it is "
            "until it is purged; everything else goes on."
        )

    def report_defect(self, instance_id: str, error: Exception, failed_at: str = "loaded") -> None:
        """For what no stored text explains; each is reported once. `failed_at`: what dfhost did with the instance."""
        if (instance_id, repr(error)) in self._reported:
            return
        self._reported.add((instance_id, repr(error)))
        where = "".join(traceback.format_exception(error))
        self._log.note(
            f"dfhost itself failed when it {failed_at} {instance_id}. It tries again at the instance's next message, "
            f"and at its own next start; everything else goes on:\n{where}"
        )
