"""Running entities: one batch of operations at a time each, in the order in which they arrived.

A batch is queued, run in a thread and committed: the new state, the requests removed, the responses sent.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from dfhost.clock import Clock
from dfhost.dispatch.entity_cache import EntityCache, LoadedEntity
from dfhost.dispatch.poison_messages import PoisonMessages
from dfhost.engine import entities as en
from dfhost.engine.failures import Failure, is_timeout
from dfhost.errors import OperationFailed
from dfhost.host_log import HostLog
from dfhost.idle_signal import nobody_waits
from dfhost.loop_queue import LoopQueue
from dfhost.runner.app_runner import AppRunner, EntityCall, EntityReply, RunningOperation
from dfhost.runner.function_registry import AppFunctionRegistry
from dfhost.store.listener import InboxMessage
from dfhost.store.store import Store
from dfhost.thread_pool import ThreadPool

KEPT_FAILURES = 1000  # the last failed operations of so many entities
_NOTHING_READ = en.EntityBatchResult(False, None, ())  # the stored state stays as it is


@dataclass(slots=True)
class _FinishedBatch:
    """`result` is None if its messages are to be run again, one by one."""

    entity: LoadedEntity
    messages: list[InboxMessage]
    result: en.EntityBatchResult | None


class RunningBatch(NamedTuple):
    """A batch of the first `size` messages of an entity's inbox. `operation` is None until a worker has it.

    `operation.since` is a time of the host's clock.
    """

    size: int
    operation: RunningOperation | None


class EntityDispatcher:
    """`limit`: how many batches may run at once; `max_batch`: how many operations one batch may have."""

    def __init__(
        self,
        runner: AppRunner,
        store: Store,
        log: HostLog,
        clock: Clock,
        poison: PoisonMessages,
        limit: int,
        *,
        registry: AppFunctionRegistry,
        max_batch: int,
    ) -> None:
        self._runner = runner
        self._store = store
        self._threads = ThreadPool(max(1, limit))
        self._log = log
        self._clock = clock
        self._poison = poison
        self._registry = registry
        self._limit = max(1, limit)
        self._max_batch = max(1, max_batch)
        self._entities = EntityCache(store, poison)
        # The last failed operation of each entity, and when its batch ended.
        self._failures: OrderedDict[str, tuple[str, en.FailedOperation]] = OrderedDict()
        self._queue: deque[LoadedEntity] = deque()
        self._running = 0
        self._stopped_accepting = False
        self._busy = 0  # entities of which a batch is queued, runs or is being committed
        self.on_end = nobody_waits  # see `IdleSignal.changed`

    def start(self) -> None:
        self._finished: LoopQueue[_FinishedBatch] = LoopQueue(asyncio.get_running_loop(), self._commit)

    @property
    def unfinished(self) -> int:
        """See `IdleSignal`."""
        return self._busy

    def stop_accepting(self) -> None:
        """Start no more batches; what has arrived stays in the inbox for the next host."""
        self._stopped_accepting = True
        self._busy -= len(self._queue)
        self._queue.clear()

    def close(self) -> None:
        self._threads.stop()

    def receive(self, messages: Iterable[InboxMessage]) -> None:
        for message in messages:
            entity = self._entities.get(message.instance_id)
            if entity is not None:
                entity.receive(message)
                self._schedule(entity)

    def wake(self, entity_id: str) -> None:
        """Load an entity that has something to do; for the start of the host."""
        if entity_id not in self._entities and (entity := self._entities.get(entity_id)):
            self._schedule(entity)

    def drop(self, entity_id: str) -> None:
        """The entity was purged: drop it. If a batch of it runs, that will be discarded."""
        self._entities.remove(entity_id)
        self._failures.pop(entity_id, None)

    def last_failure(self, entity_id: str) -> tuple[str, en.FailedOperation] | None:
        """The last operation that failed since the host's start, and when (ISO 8601)."""
        return self._failures.get(entity_id)

    async def running_batch(self, entity_id: str) -> RunningBatch | None:
        entity = self._entities.in_memory(entity_id)
        if entity is None or not entity.batch_size:
            return None
        size = entity.batch_size
        operation = await asyncio.to_thread(self._runner.running_operation, entity_id)
        if operation is not None:
            since = self._clock.time() - (time.time() - operation.since)
            operation = RunningOperation(0 if size == 1 else operation.place, since)
        return RunningBatch(size, operation)

    # -- queueing --------------------------------------------------------------------------------------------

    def _schedule(self, entity: LoadedEntity) -> None:
        """Queue a batch if there are messages for one."""
        if entity.busy or not entity.messages or self._stopped_accepting:
            return
        entity.busy = True
        self._busy += 1
        self._entities.mark_used(entity)
        self._queue.append(entity)
        self._start_queued()

    def _start_queued(self) -> None:
        while self._queue and self._running < self._limit:
            entity = self._queue.popleft()
            if not self._entities.holds(entity):  # it was purged
                self._busy -= 1
                continue
            self._running += 1
            count = 1 if entity.alone else min(len(entity.messages), self._max_batch)
            entity.alone = max(0, entity.alone - 1)
            entity.batch_size = count
            messages = [entity.messages.popleft() for _ in range(count)]
            self._threads.post(partial(self._run, entity, messages))

    # -- running, in a thread -------------------------------------------------------------------------------

    def _run(self, entity: LoadedEntity, messages: list[InboxMessage]) -> None:
        try:
            finished = self._run_batch(entity, messages)
        except Exception as error:  # a defect of ours must not leave the entity busy
            self._log.note(
                f"dfhost itself failed in a batch of {entity.entity_id}:\n{traceback.format_exc()}"
            )
            for message in messages:
                self._poison.set_aside(message, error)
            finished = _FinishedBatch(entity, messages, _NOTHING_READ)
        self._finished.put_if_open(finished)

    def _run_batch(self, entity: LoadedEntity, messages: list[InboxMessage]) -> _FinishedBatch:
        readable = self._read(messages)
        if not readable:
            return _FinishedBatch(entity, messages, _NOTHING_READ)
        requests = [request for _, request in readable]
        batch = en.build_batch(
            entity.entity_id, en.stored_exists(entity.state), en.stored_state(entity.state), requests
        )
        name = batch.entity.name
        began = time.perf_counter()
        operations = ", ".join(dict.fromkeys(str(request["op"]) for request in requests))
        self._log.started(name, "entity", entity.entity_id, operations)
        result, error = _result(batch, self._reply(entity.entity_id, batch))
        seconds = time.perf_counter() - began
        if result is None:
            messages = [message for message, _ in readable]
        if result is None or result.failures:
            stack = result.failures[0].failure.stack if result else ""
            self._log.failed(name, "entity", entity.entity_id, seconds, error, stack, operations)
        else:
            self._log.finished(name, "entity", entity.entity_id, seconds, operations)
        return _FinishedBatch(entity, messages, result)

    def _reply(self, entity_id: str, batch: en.EntityBatch) -> EntityReply | Failure:
        function = self._runner.app.entities.get(batch.entity.name)
        if function is None:
            error = self._registry.explain_gone("entity", batch.entity.name)
            return Failure("", error, error, "")
        return self._runner.run_entity(EntityCall(function.name, entity_id, batch.trigger))

    def _read(self, messages: list[InboxMessage]) -> list[tuple[InboxMessage, dict[str, Any]]]:
        """The messages that can be read, with their requests; the others are set aside."""
        readable = []
        for message in messages:
            try:
                readable.append((message, en.read_request(message.text)))
            except Exception as error:
                self._poison.set_aside(message, error)
        return readable

    # -- committing ------------------------------------------------------------------------------------------

    def _commit(self, batches: list[_FinishedBatch]) -> None:
        at = self._clock.timestamp()
        for batch in batches:
            entity, result = batch.entity, batch.result
            self._running -= 1
            if not self._entities.holds(entity):
                self._busy -= 1
                continue  # it was purged meanwhile, and perhaps created again
            if result is None:
                self._run_one_by_one(batch)
                continue
            if result.failures:
                self._failures[entity.entity_id] = at, result.failures[-1]
                self._failures.move_to_end(entity.entity_id)
                if len(self._failures) > KEPT_FAILURES:
                    self._failures.popitem(last=False)
            if result.state is not None:
                state = en.scheduler_state(result.exists, result.state)
                exists = result.exists
            else:  # the function itself failed: the state stays as it was
                state = entity.state or en.scheduler_state(False, None)
                exists = en.stored_exists(state)
            self._store.commit_batch(
                entity.entity_id,
                at=at,
                state=state,
                custom_status=en.ENTITY_EXISTS_STATUS if exists else "{}",
                processed_up_to=0 if result is _NOTHING_READ else batch.messages[-1].seq,
                responses=result.responses,
            ).add_done_callback(partial(self._committed, batch, state))
        self._start_queued()
        self.on_end()

    def _run_one_by_one(self, batch: _FinishedBatch) -> None:
        entity = batch.entity
        entity.messages.extendleft(reversed(batch.messages))
        entity.alone = len(batch.messages)
        entity.busy, entity.batch_size = False, 0
        self._busy -= 1
        self._schedule(entity)

    def _committed(self, batch: _FinishedBatch, state: str, done: asyncio.Future[None]) -> None:
        self._busy -= 1
        self._go_on(batch, state, done.exception())
        self.on_end()

    def _go_on(self, batch: _FinishedBatch, state: str, error: BaseException | None) -> None:
        entity = batch.entity
        if not self._entities.holds(entity):
            return
        if error is None:
            entity.state = state
        elif isinstance(error, OperationFailed):
            for message in batch.messages:
                self._poison.set_aside(message, error)
        else:  # it was purged, or the store has failed
            self._entities.remove(entity.entity_id)
            return
        entity.busy, entity.batch_size = False, 0
        self._schedule(entity)
        self._entities.evict(entity)


def _result(batch: en.EntityBatch, reply: EntityReply | Failure) -> tuple[en.EntityBatchResult | None, str]:
    """The result, None if the operations are to be run again, one by one; and what failed, "" if nothing did."""
    if isinstance(reply, Failure):
        if is_timeout(reply) and (count := len(batch.requests)) > 1:
            return None, f"{reply.text}. Its {count} operations are run again, one by one."
        return en.fail_batch(batch, reply), reply.text + _lost_signals(batch)
    try:
        result = en.read_batch_reply(batch, reply.text, reply.raised)
    except Exception as unreadable:  # the function is no SDK handle, and has answered something else
        error = f"{type(unreadable).__name__}: {unreadable}"
        failure = Failure(type(unreadable).__name__, str(unreadable), error, "")
        return en.fail_batch(batch, failure), error + _lost_signals(batch)
    return result, _summary(result.failures)


def _lost_signals(batch: en.EntityBatch) -> str:
    """A line that names them: they have no caller who could be told."""
    names = [str(request["op"]) for request in batch.requests if request.get("signal")]
    if not names:
        return ""
    counts = Counter(names)
    text = ", ".join(name if times == 1 else f"{name} ({times} times)" for name, times in counts.items())
    return f"\nThe signal {text} is lost." if len(names) == 1 else f"\nThese signals are lost: {text}."


def _summary(failures: Iterable[en.FailedOperation]) -> str:
    """ "add: TypeError: no (2 times); get: KeyError: 'a'" """
    counts = Counter(f"{operation}: {failure.text}" for operation, failure in failures)
    return "; ".join(line if times == 1 else f"{line} ({times} times)" for line, times in counts.items())
