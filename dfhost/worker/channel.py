"""A channel of messages over a socket, for both ends.

A message is a tuple of None, Booleans, numbers, texts, bytes, lists, tuples and dicts. Several at a time go over the
wire as one frame: its length in four bytes (big-endian), and the list of messages as `marshal` writes it. Both ends
are the same Python, and marshal is several times as fast as JSON. Messages arrive in the order in which one thread
sent them.
"""

from __future__ import annotations

import asyncio
import marshal
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

from dfhost import forked_children

Message = tuple[Any, ...]

_LENGTH = struct.Struct(">I")
_AT_ONCE = 64  # messages in a frame at most; so many are not left waiting for the loop
_WRITTEN_AT_ONCE = 1_000_000  # bytes; larger frames are not copied together
_LULL = 0.0005  # seconds without a message, after which one goes out at once

# These two need no descriptor of their own: the process may have as many open files as it can.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)


def pack(value: Any) -> bytes:
    """The frame of `value`. Raises ValueError or RecursionError for what cannot be sent, say 2,000 nested lists."""
    try:
        data = marshal.dumps(value)
    except ValueError:
        data = marshal.dumps(_plain(value))
    return _LENGTH.pack(len(data)) + data


def read_frame(file: IO[bytes]) -> Any:
    """The value of the next frame of a blocking stream, None at its end. Raises OSError."""
    head = file.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    data = file.read(length)
    return marshal.loads(data) if len(data) == length else None


class Channel(asyncio.Protocol):
    """`on_message` and `on_lost`, to be set before `open`, are called on the loop that `open` was called on.

    `on_lost` is called once, when the other end is closed or its process has ended.
    """

    on_message: Callable[[Message], None]
    on_lost: Callable[[], None]

    def __init__(self) -> None:
        self._received = bytearray()
        self._lock = threading.Lock()  # guards what follows
        self._messages: deque[Message] = deque()  # behind the frames
        self._frames: deque[bytes | memoryview] = deque()  # the rest of one may be in front
        self._flush_is_due = False
        self._wrote_at = 0.0
        self._is_blocked = False  # a thread waits until the other end takes more
        self._transport: asyncio.BaseTransport | None = None

    async def open(self, peer: socket.socket) -> None:
        self._socket = peer
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peer.setblocking(False)
        self._descriptor = peer.fileno()
        forked_children.close_in_children(self._descriptor)
        # The transport only reads. Writing is done here, because it comes from any thread.
        self._transport, _ = await self._loop.create_connection(lambda: self, sock=peer)

    def close(self) -> None:
        if self._transport is not None:
            forked_children.unregister(self._descriptor)
            self._transport.close()

    # -- sending, on any thread ------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """Send without delay; of a burst on the loop only the first one, and the others soon. Raises as `pack`."""
        frame = pack([message])
        with self._lock:
            self._pack_messages()
            self._frames.append(frame)
            # Each write lets other threads go on, and costs this one its turn: of a burst on the loop there are few.
            if self._is_loop_thread() and (
                self._flush_is_due or time.perf_counter() - self._wrote_at < _LULL
            ):
                self._flush_soon()
            else:
                self._write()
                self._wrote_at = time.perf_counter()

    def send_soon(self, message: Message) -> None:
        """Send together with what others send at this moment. It must be certain that the message can be sent."""
        with self._lock:
            self._messages.append(message)
            self._flush_soon()

    def _flush_soon(self) -> None:
        """Under the lock."""
        if len(self._messages) + len(self._frames) >= _AT_ONCE:
            self._write()
        elif not self._flush_is_due:
            self._flush_is_due = True
            if self._is_loop_thread():
                self._loop.call_soon(self._flush)
            else:
                self._loop.call_soon_threadsafe(self._flush)

    def send_at_flush(self, message: Message) -> None:
        """Send at the next `flush`, which somebody calls soon; on the loop, as `send_soon` does."""
        if self._is_loop_thread():
            self.send_soon(message)
        else:
            self._messages.append(message)

    def flush(self) -> None:
        """Send what waits."""
        if self._messages or self._frames:
            with self._lock:
                self._write()

    def _is_loop_thread(self) -> bool:
        return threading.get_ident() == self._loop_thread

    def _flush(self) -> None:
        with self._lock:
            self._flush_is_due = False
            self._write()

    def _write(self) -> None:
        """Write all that waits, as far as the other end takes it. Under the lock."""
        if self._is_blocked:
            return
        try:
            self._write_now()
        except BlockingIOError:
            self._is_blocked = True
            threading.Thread(target=self._write_when_possible, name="channel", daemon=True).start()
        except OSError:  # the other end is gone, which the reader notices, too
            self._discard()

    def _write_now(self) -> None:
        self._pack_messages()
        frames = self._frames
        while frames:
            if len(frames) > 1 and sum(map(len, frames)) < _WRITTEN_AT_ONCE:
                together = b"".join(frames)
                frames.clear()
                frames.append(together)
            sent = self._socket.send(frames[0])
            if sent < len(frames[0]):
                frames[0] = memoryview(frames[0])[sent:]
            else:
                frames.popleft()

    def _pack_messages(self) -> None:
        """What comes now is sent behind them."""
        while self._messages:
            count = min(len(self._messages), _AT_ONCE)
            self._frames.append(pack([self._messages.popleft() for _ in range(count)]))

    def _discard(self) -> None:
        self._messages.clear()
        self._frames.clear()

    def _write_when_possible(self) -> None:
        try:
            with _Selector() as selector:
                selector.register(self._socket, selectors.EVENT_WRITE)
                while True:
                    selector.select(1.0)
                    with self._lock, suppress(BlockingIOError):
                        self._write_now()
                        self._is_blocked = False
                        return
        except (OSError, ValueError):  # it was closed meanwhile
            with self._lock:
                self._discard()
                self._is_blocked = False

    # -- receiving, on the loop ------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        start, end = 0, len(received)
        while end - start >= 4:
            (length,) = _LENGTH.unpack_from(received, start)
            if end - start - 4 < length:
                break
            with memoryview(received) as view:
                messages = marshal.loads(view[start + 4 : start + 4 + length])
            start += 4 + length
            for message in messages:
                self._deliver(message)
        if start:
            del received[:start]

    def _deliver(self, message: Message) -> None:
        """A defect in what one message leads to must not end the connection, as an exception in a protocol does."""
        try:
            self.on_message(message)
        except Exception as error:
            self._loop.call_exception_handler(
                {"message": f"A message of the kind {message[:1]} failed", "exception": error}
            )

    def connection_lost(self, error: Exception | None) -> None:
        forked_children.unregister(self._descriptor)
        self.on_lost()


def _plain(value: Any) -> Any:
    """`value` with subclasses of the types that a message has replaced by these: texts of multidict, named tuples."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, dict):
        return {_plain(key): _plain(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, list):
        return list(map(_plain, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return int.__int__(value)
    return float.__float__(value) if isinstance(value, float) else value
