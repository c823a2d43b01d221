"""The entities in memory: loading them with what is in their inboxes, and dropping those that are idle.

When a batch of one runs is `EntityDispatcher`'s part.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

from dfhost.dispatch.poison_messages import PoisonMessages
from dfhost.engine.entities import stored_state
from dfhost.store.listener import InboxMessage
from dfhost.store.store import Store

KEPT_ENTITIES = 1000  # in memory; beyond that the one that was idle for longest is dropped
# Characters. An entity with a longer state is read from the store for each of its batches.
KEPT_STATE = 64_000


@dataclass(slots=True)
class LoadedEntity:
    """An entity in memory. Its `messages` are in its inbox and in no batch yet."""

    entity_id: str
    state: str | None  # as stored, see `entities.scheduler_state`
    newest_seen: int = 0  # the number of the newest message
    messages: deque[InboxMessage] = field(default_factory=deque)
    busy: bool = False  # a batch is queued, runs or is being committed
    batch_size: int = 0  # messages in that batch
    # So many messages are to be batches of their own: together they took longer than functionTimeout.
    alone: int = 0

    @property
    def is_idle(self) -> bool:
        return not self.busy and not self.messages

    def receive(self, message: InboxMessage) -> None:
        """A message may come twice: from whoever has written it, and with the entity when that is loaded."""
        if message.seq > self.newest_seen:
            self.messages.append(message)
            self.newest_seen = message.seq


class EntityCache:
    """Entities by id. To be used on the host's loop."""

    def __init__(self, store: Store, poison: PoisonMessages) -> None:
        self._store = store
        self._poison = poison
        self._entities: OrderedDict[str, LoadedEntity] = OrderedDict()  # the last used is the last
        self._unreadable: set[str] = set()  # entities whose state cannot be read

    def __contains__(self, entity_id: str) -> bool:
        return entity_id in self._entities

    def in_memory(self, entity_id: str) -> LoadedEntity | None:
        return self._entities.get(entity_id)

    def holds(self, entity: LoadedEntity) -> bool:
        """False once it was purged, even if there is a new one with its id."""
        return self._entities.get(entity.entity_id) is entity

    def get(self, entity_id: str) -> LoadedEntity | None:
        """The entity, loaded if it has to be. None if there is no such entity, or if it cannot be read."""
        try:
            return self._entities.get(entity_id) or self._load(entity_id)
        except Exception as error:  # one entity must not keep the others from their messages
            self._poison.report_defect(entity_id, error)
            return None

    def _load(self, entity_id: str) -> LoadedEntity | None:
        stored = self._store.load_entity(entity_id)
        if stored is None:
            return None
        try:
            stored_state(stored.state)
        except Exception as error:
            if entity_id not in self._unreadable:
                self._unreadable.add(entity_id)
                self._poison.report_state(entity_id, error)
            return None
        entity = LoadedEntity(entity_id, stored.state)
        for message in stored.requests:
            entity.receive(message)
        self._entities[entity_id] = entity
        if len(self._entities) > KEPT_ENTITIES:
            oldest = next(iter(self._entities.values()))
            if oldest.is_idle:
                self.remove(oldest.entity_id)
        return entity

    def mark_used(self, entity: LoadedEntity) -> None:
        self._entities.move_to_end(entity.entity_id)

    def evict(self, entity: LoadedEntity) -> None:
        """Drop it if it is idle and too large to be kept."""
        if entity.is_idle and len(entity.state or "") > KEPT_STATE:
            self.remove(entity.entity_id)

    def remove(self, entity_id: str) -> None:
        self._entities.pop(entity_id, None)
