"""The app's storage queues: puts messages into them, and tells what they hold.

Every storage queue that the app names is here, whatever its connection: nothing is sent to a storage account. Names
and limits are those of Azure Storage, so that what passes here passes there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from dfhost.clock import Clock
from dfhost.errors import HostError
from dfhost.settings.app_settings import resolve_app_settings
from dfhost.store.queues import QueueLength, QueueMessage
from dfhost.store.store import Store

POISON = "-poison"
_NAME = re.compile("(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*")


class QueueRefused(HostError):
    """Azure Storage would not take this message, or has no queue of this name."""


def queue_name(written: str) -> str:
    """The queue that the app's code names so: ``%Setting%`` is resolved, and case does not count.

    Raises QueueRefused.
    """
    try:
        name = resolve_app_settings(written).lower()  # QueuesExtensionConfigProvider.NormalizeQueueName
    except ValueError as error:
        raise QueueRefused(f"The queue '{written}' cannot be named: {error}.") from None
    if "{" in name:
        raise QueueRefused(
            f"The queue '{written}' cannot be named: dfhost does not resolve binding expressions."
        )
    if not _NAME.fullmatch(name):
        raise QueueRefused(
            f"'{name}' cannot be the name of a queue. A name has 3 to 63 lower-case letters, digits and single "
            "hyphens, with no hyphen at its ends."
        )
    return name


def queue_of(binding: Mapping[str, object]) -> str:
    """The queue of a queue trigger or output. Raises QueueRefused."""
    return queue_name(str(binding.get("queueName", "")))


class Queues:
    """To be used on the host's loop. `max_bytes`: of a message, as UTF-8.

    `on_put` is called with the name of a queue that has new messages.
    """

    def __init__(self, store: Store, clock: Clock, max_bytes: int) -> None:
        self._store = store
        self._clock = clock
        self._max_bytes = max_bytes
        self.on_put: Callable[[str], None] = lambda queue: None

    async def put(self, written: str, texts: Sequence[str]) -> None:
        """Put the texts into the queue, in this order, all of them or none.

        Raises QueueRefused, or another HostError if they cannot be written.
        """
        queue = queue_name(written)
        for text in texts:
            try:
                size = len(text.encode())
            except UnicodeEncodeError:
                raise QueueRefused(
                    f"A message for queue {queue} has half of a surrogate pair in it: {text[:100]!a}."
                ) from None
            if size > self._max_bytes:
                raise QueueRefused(
                    f"A message of {size:,} bytes is too long for queue {queue}: Azure Storage takes "
                    f"{self._max_bytes:,} bytes. Put the data into a blob, and its name into the message."
                )
        await self._store.put_messages(queue, texts, self._clock.timestamp())
        self.on_put(queue)

    async def move(self, queue: str, to: str) -> int:
        """Move the messages of the queue, but those that functions work on, to another; how many there were.

        There they count as new.
        """
        moved = await self._store.move_messages(queue, to, self._clock.timestamp())
        self.on_put(to)
        return moved

    async def clear(self, queue: str) -> int:
        """Delete the messages of the queue, but those that functions work on; how many there were."""
        return await self._store.clear_queue(queue)

    def lengths(self) -> list[QueueLength]:
        """Of the queues that have messages, by name."""
        return self._store.storage_queues()

    def messages(self, queue: str, limit: int) -> list[QueueMessage]:
        """The oldest messages of the queue. Nothing is taken."""
        return self._store.queue_messages(queue, limit)
