"""Runs an app's queue functions on the messages of their queues.

As the queue extension does it (QueueListener, QueueProcessor): a function takes messages in batches, and the next
batch as soon as only few of its calls run. A message is deleted when its call has succeeded. When it has failed, the
message is visible again after a while; after so many failures it moves to the queue `NAME-poison`.

Unlike there nothing is polled, and what was taken when the host died may be taken again at the next start, at once.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from datetime import timedelta
from typing import NamedTuple

from dfhost.clock import Clock
from dfhost.engine.failures import Failure
from dfhost.errors import HostError
from dfhost.host_log import Attempt, HostLog
from dfhost.idle_signal import nobody_waits
from dfhost.printable import shortened
from dfhost.runner.app_runner import AppRunner, FunctionCall, QueueDelivery
from dfhost.runner.functions import AppInfo, FunctionInfo
from dfhost.runner.invoke import invoke_function
from dfhost.settings.model import QueueOptions
from dfhost.store.queues import QueueMessage
from dfhost.store.store import Store
from dfhost.timestamps import parse_timestamp, timestamp
from dfhost.triggers.queues import POISON, QueueRefused, Queues, queue_of

_INVISIBLE = timedelta(minutes=10)  # QueueListener: how long a taken message is, unless its call ends before
_EXPIRES = timedelta(days=7)  # Azure Storage's default
_LONGEST_NAME = 63
_PAUSE_AFTER_FAILURE = 1.0  # seconds
_SHOWN = 100  # characters of a message


class QueueState(NamedTuple):
    """How many messages a queue has, on how many of them functions work, and the names of those that take them."""

    name: str
    messages: int
    running: int
    functions: list[str]


class QueueTriggers:
    """Runs the queue functions between `start` and `close`. To be used on the host's loop."""

    def __init__(
        self,
        runner: AppRunner,
        store: Store,
        queues: Queues,
        log: HostLog,
        clock: Clock,
        options: QueueOptions,
        timeout: float | None = None,
    ) -> None:
        """`timeout`: see `invoke_function`."""
        self.runner = runner
        self.store = store
        self.log = log
        self.clock = clock
        self.options = options
        self.timeout = timeout
        self._listeners: list[_Listener] = []
        self.on_end = nobody_waits  # see `IdleSignal.changed`
        queues.on_put = self.wake

    async def start(self) -> None:
        await self.store.give_all_messages_back()
        self._listen(self.runner.app)

    def change_app(self, app: AppInfo) -> None:
        """The app was loaded again. What its old functions have taken, they may end."""
        self.stop_accepting()
        self._listen(app)

    def _listen(self, app: AppInfo) -> None:
        self._listeners = [each for each in self._listeners if each.unfinished]
        for function in app.queue_functions:
            try:
                queue = queue_of(function.trigger)
            except QueueRefused as error:
                self.log.note(f"{function.name} never runs. {error}")
            else:
                self._listeners.append(_Listener(self, function, queue))

    def wake(self, queue: str) -> None:
        """The queue may have a message to take."""
        for listener in self._listeners:
            if listener.queue == queue:
                listener.wake_up.set()

    def functions_of(self, queue: str) -> list[str]:
        """The names of the functions that take messages from the queue."""
        return [each.function.name for each in self._listeners if each.queue == queue and each.accepts]

    def states(self) -> list[QueueState]:
        """All queues that have messages, or from which functions take them, by name."""
        lengths = {each.queue: each for each in self.store.storage_queues()}
        taken_from = {each.queue for each in self._listeners if each.accepts}
        found = []
        for name in sorted({*lengths, *taken_from}):
            _, messages, running = lengths.get(name, (name, 0, 0))
            found.append(QueueState(name, messages, running, self.functions_of(name)))
        return found

    @property
    def unfinished(self) -> int:
        """See `IdleSignal`. A message that may be taken now counts."""
        return sum(each.unfinished for each in self._listeners)

    def stop_accepting(self) -> None:
        """Take no more messages; they stay in their queues."""
        for listener in self._listeners:
            listener.stop_accepting()

    async def finish(self) -> None:
        """Wait until what was taken has ended."""
        self.stop_accepting()
        for listener in self._listeners:
            await listener.finish()

    async def close(self) -> None:
        """What still runs ends in its thread, and its message may be taken again at the next start."""
        self.stop_accepting()
        for listener in self._listeners:
            await listener.close()


class _Listener:
    """Takes the messages of `queue` for one function, from now on."""

    def __init__(self, triggers: QueueTriggers, function: FunctionInfo, queue: str) -> None:
        self.function = function
        self.queue = queue
        self.wake_up = asyncio.Event()
        self.accepts = True
        self._triggers = triggers
        has_poison_queue = not queue.endswith(POISON) and len(queue + POISON) <= _LONGEST_NAME
        self._poison_queue = queue + POISON if has_poison_queue else None
        self._running: set[asyncio.Task[None]] = set()
        self._sleeps = False
        self._next_visible: str | None = None
        self._taking = asyncio.get_running_loop().create_task(self._take())

    @property
    def unfinished(self) -> int:
        """How many of its calls run, and one more if it is to take messages."""
        if self._taking.done():
            return len(self._running)
        is_due = self._next_visible is not None and self._next_visible <= self._triggers.clock.timestamp()
        return len(self._running) + (not self._sleeps or self.wake_up.is_set() or is_due)

    def stop_accepting(self) -> None:
        self.accepts = False
        self.wake_up.set()

    async def finish(self) -> None:
        await asyncio.wait({self._taking, *self._running})
        if self._running:  # taken at the last moment
            await asyncio.wait(self._running)

    async def close(self) -> None:
        for task in (self._taking, *self._running):
            task.cancel()
        await asyncio.gather(self._taking, *self._running, return_exceptions=True)

    # -- taking messages -------------------------------------------------------------------------------------

    async def _take(self) -> None:
        store, options = self._triggers.store, self._triggers.options
        while self.accepts:
            self.wake_up.clear()
            try:
                self._next_visible = store.next_visible(self.queue) if self._has_room else None
                now = self._triggers.clock.timestamp()
                if self._next_visible is not None and self._next_visible <= now:
                    for message in await store.take_messages(self.queue, options.batch_size, now):
                        self._begin(message)
                    continue
            except HostError:  # the store has reported it
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self.wake_up.wait(), _PAUSE_AFTER_FAILURE)
                continue
            await self._sleep()

    @property
    def _has_room(self) -> bool:
        return len(self._running) <= self._triggers.options.new_batch_threshold

    async def _sleep(self) -> None:
        self._sleeps = True
        self._triggers.on_end()
        if self._next_visible is None:
            await self.wake_up.wait()
        else:
            due = parse_timestamp(self._next_visible).timestamp()
            await self._triggers.clock.sleep_until(due, self.wake_up)
        self._sleeps = False

    def _begin(self, message: QueueMessage) -> None:
        task = asyncio.get_running_loop().create_task(self._run(message))
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self.wake_up.set()
        self._triggers.on_end()

    # -- one message -----------------------------------------------------------------------------------------

    async def _run(self, message: QueueMessage) -> None:
        with suppress(HostError):  # a write that has failed, which the store has reported
            if message.dequeue_count > self._triggers.options.max_dequeue_count:
                # Its host has died with it each time; or nothing sets it aside, and the function is given it no more.
                await self._give_back(message)
            elif await self._call(message):
                await self._triggers.store.delete_message(message)
            else:
                await self._give_back(message)

    async def _call(self, message: QueueMessage) -> bool:
        """Whether the call has succeeded."""
        triggers = self._triggers
        outcome = await invoke_function(
            triggers.runner,
            self.function,
            FunctionCall(self.function.name, self._delivery(message)),
            triggers.log,
            triggers.clock,
            triggers.timeout,
            delivery=self._attempt(message),
        )
        return not isinstance(outcome, Failure)

    def _delivery(self, message: QueueMessage) -> QueueDelivery:
        inserted = parse_timestamp(message.inserted_at)
        return QueueDelivery(
            text=message.text,
            message_id=message.message_id,
            dequeue_count=message.dequeue_count,
            inserted_at=message.inserted_at,
            expires_at=timestamp(inserted + _EXPIRES),
            visible_again_at=timestamp(self._triggers.clock.now() + _INVISIBLE),
            pop_receipt=uuid.uuid4().hex,
        )

    def _attempt(self, message: QueueMessage) -> Attempt:
        options, number = self._triggers.options, message.dequeue_count
        is_last = number >= options.max_dequeue_count
        return Attempt(
            number, options.max_dequeue_count, None if is_last else self._invisible.total_seconds()
        )

    @property
    def _invisible(self) -> timedelta:
        """How long a message is that has failed."""
        if self._poison_queue is None:
            return _INVISIBLE  # QueueProcessor: so that it does not fail in a fast loop
        return timedelta(seconds=self._triggers.options.visibility_timeout)

    async def _give_back(self, message: QueueMessage) -> None:
        triggers, most = self._triggers, self._triggers.options.max_dequeue_count
        if self._poison_queue is not None and message.dequeue_count >= most:
            return await self._set_aside(message, self._poison_queue)
        await triggers.store.give_message_back(message, timestamp(triggers.clock.now() + self._invisible))
        triggers.wake(self.queue)
        if message.dequeue_count == most:
            triggers.log.note(
                f"{self._given_in_vain} It stays there, and {self.function.name} is given it no more: "
                f"{shortened(message.text, _SHOWN)}"
            )

    async def _set_aside(self, message: QueueMessage, poison_queue: str) -> None:
        triggers = self._triggers
        await triggers.store.move_message(message, poison_queue, triggers.clock.timestamp())
        triggers.log.note(
            f"{self._given_in_vain} It is now in queue {poison_queue}, see `dfhost queue {poison_queue}`: "
            f"{shortened(message.text, _SHOWN)}"
        )
        triggers.wake(poison_queue)

    @property
    def _given_in_vain(self) -> str:
        most = self._triggers.options.max_dequeue_count
        times = f"{most} times" if most > 1 else "once"
        return (
            f"{self.function.name} was given the same message of queue {self.queue} {times} without success "
            "(maxDequeueCount)."
        )
