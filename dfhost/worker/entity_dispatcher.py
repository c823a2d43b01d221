"""Driving entities: strictly one batch at a time each, in the order the operations arrived.

A batch becomes true by one commit: the new state, the requests gone, the callers answered.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial

from dfhost.app.exceptions import describe_exception
from dfhost.app.functions import App
from dfhost.app.loop_queue import LoopQueue
from dfhost.app.threads import UserThreads
from dfhost.engine import entities as en
from dfhost.engine import failures
from dfhost.engine import history as h
from dfhost.host_log import HostLog
from dfhost.store.events import InboxMessage
from dfhost.store.store import Store
from dfhost.worker.clock import now

_KEPT = 1000  # idle entities whose state stays in memory


@dataclass(slots=True)
class _Entity:
    entity_id: str
    input: str | None
    last_seq: int = 0
    letters: deque[InboxMessage] = field(default_factory=deque)
    busy: bool = False


@dataclass(slots=True)
class _Ran:
    entity: _Entity
    consumed: int
    result: en.EntityBatchResult


class EntityDispatcher:
    def __init__(
        self,
        app: App,
        store: Store,
        threads: UserThreads,
        log: HostLog,
        limit: int,
        max_batch: int,
    ) -> None:
        self._app = app
        self._store = store
        self._threads = threads
        self._log = log
        self._limit = max(1, limit)
        self._max_batch = max(1, max_batch)
        self._entities: OrderedDict[str, _Entity] = OrderedDict()
        self._ready: deque[_Entity] = deque()
        self._running = 0
        self._draining = False

    def start(self) -> None:
        self._ran: LoopQueue[_Ran] = LoopQueue(asyncio.get_running_loop(), self._commit)

    @property
    def idle(self) -> bool:
        return self._running == 0

    def drain(self) -> None:
        self._draining = True
        self._ready.clear()

    def receive(self, letters: Iterable[InboxMessage]) -> None:
        for letter in letters:
            entity = self._entities.get(letter.instance_id) or self._load(letter.instance_id)
            if entity is None:
                continue
            if letter.seq > entity.last_seq:
                entity.letters.append(letter)
                entity.last_seq = letter.seq
            self._consider(entity)

    def wake(self, entity_id: str) -> None:
        if entity_id not in self._entities and (entity := self._load(entity_id)):
            self._consider(entity)

    def waiting(self, entity_id: str) -> int:
        """How many operations are in no batch yet."""
        entity = self._entities.get(entity_id)
        return len(entity.letters) if entity else 0

    def forget(self, entity_id: str) -> None:
        self._entities.pop(entity_id, None)

    def _load(self, entity_id: str) -> _Entity | None:
        stored = self._store.stored(entity_id)
        if stored is None:
            return None
        entity = _Entity(entity_id, stored.row.input)
        for letter in stored.inbox:
            entity.letters.append(letter)
            entity.last_seq = letter.seq
        self._entities[entity_id] = entity
        if len(self._entities) > _KEPT:
            oldest = next(iter(self._entities.values()))
            if not oldest.busy and not oldest.letters:
                del self._entities[oldest.entity_id]
        return entity

    def _consider(self, entity: _Entity) -> None:
        if entity.busy or not entity.letters or self._draining:
            return
        entity.busy = True
        self._entities.move_to_end(entity.entity_id)
        self._ready.append(entity)
        self._pump()

    def _pump(self) -> None:
        while self._ready and self._running < self._limit:
            entity = self._ready.popleft()
            self._running += 1
            count = min(len(entity.letters), self._max_batch)
            letters = [entity.letters.popleft() for _ in range(count)]
            self._threads.post(partial(self._run, entity, letters))

    # -- a batch, in the user's threads ----------------------------------------------------------------------

    def _run(self, entity: _Entity, letters: list[InboxMessage]) -> None:
        work = en.build_batch(
            entity.entity_id,
            en.stored_exists(entity.input),
            en.stored_state(entity.input),
            [letter.text for letter in letters],
        )
        name = work.entity.name
        began = time.perf_counter()
        self._log.started(name, "entity", entity.entity_id)
        function = self._app.entities.get(name)
        try:
            if function is None:
                raise LookupError(failures.unknown_function("entity", name, self._app.entities.names))
            result = en.read_batch_reply(work, function.callable(work.trigger))
        except BaseException as error:  # user code may raise anything, SystemExit included
            failure = describe_exception(error)
            result = en.fail_batch(work, failure)
            self._log.failed(
                name, "entity", entity.entity_id, time.perf_counter() - began, failure.text, failure.stack
            )
        else:
            self._tell(name, entity.entity_id, time.perf_counter() - began, result)
        self._ran.tell(_Ran(entity, letters[-1].seq, result))

    def _tell(self, name: str, entity_id: str, seconds: float, result: en.EntityBatchResult) -> None:
        if result.failures:
            self._log.failed(name, "entity", entity_id, seconds, "; ".join(result.failures), "")
        else:
            self._log.finished(name, "entity", entity_id, seconds)

    # -- making it true --------------------------------------------------------------------------------------

    def _commit(self, ran: list[_Ran]) -> None:
        at = now()
        for one in ran:
            self._running -= 1
            if self._entities.get(one.entity.entity_id) is not one.entity:
                continue  # purged meanwhile, and perhaps begun anew
            result = one.result
            if result.state is not None:
                input = en.scheduler_state(result.exists, result.state)
                exists = result.exists
            else:  # the function could not answer: the state stays as it was
                input = one.entity.input or en.scheduler_state(False, None)
                exists = en.stored_exists(input)
            self._store.commit_batch(
                one.entity.entity_id,
                at=at,
                input=input,
                custom_status=en.ENTITY_EXISTS_STATUS if exists else "{}",
                consumed=one.consumed,
                answers=result.answers,
                event=lambda answer: h.event_raised(at, answer.request_id, answer.text).text,
            ).add_done_callback(partial(self._committed, one, input))
        self._pump()

    def _committed(self, one: _Ran, input: str, done: asyncio.Future[None]) -> None:
        entity = one.entity
        if self._entities.get(entity.entity_id) is not entity:
            return
        if done.exception() is not None:
            del self._entities[entity.entity_id]
            return
        entity.input = input
        entity.busy = False
        self._consider(entity)
