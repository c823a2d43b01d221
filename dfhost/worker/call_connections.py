"""Connections on which one thread of the host calls and one thread of the worker answers.

Replays and batches of entities block a thread of the host anyway. On a connection of its own that thread speaks with
the thread of the worker that does the work, and no other thread of either side has to be woken for it. A connection
carries the calls of the protocol, one at a time, in the form of the channel's messages.
"""

from __future__ import annotations

import contextvars
import hmac
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any, TypeVar

from dfhost import forked_children
from dfhost.engine import failures
from dfhost.worker.channel import Message, pack, read_frame

_TRIES_AGAIN_AFTER = 0.05  # seconds
T = TypeVar("T")


class CallConnection:
    """The host's end."""

    def __init__(self, port: int, secret: str, timeout: float | None = None) -> None:
        """`timeout`: seconds that an answer may take. Raises ConnectionError if the worker is gone, and OSError."""
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb")
        try:
            self._socket.sendall(pack((secret,)))
        except OSError:
            self.release()
            raise

    def call(self, message: Message) -> tuple[Any, ...] | None:
        """The answer as a tuple of one value; None if the worker has ended, or somebody has closed the connection."""
        try:
            self._socket.sendall(pack(message))
            answer: tuple[Any, ...] | None = read_frame(self._file)
        except OSError:
            answer = None
        if answer is None:
            self.release()
        return answer

    def close(self) -> None:
        """End a `call` that waits in another thread."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._socket.close()

    def release(self) -> None:
        """Close a connection on which nobody waits."""
        self.close()
        self._file.close()


class CallConnections:
    """The connections to one worker that nobody uses at present. From any thread."""

    def __init__(self, port: int, secret: str) -> None:
        self.port = port
        self._secret = secret
        self._free: deque[CallConnection] = deque()

    def take(self) -> CallConnection:
        """Raises ConnectionError if the worker is gone, and OSError, say if the host has too many open files."""
        try:
            return self._free.pop()
        except IndexError:
            return CallConnection(self.port, self._secret)

    def give_back(self, connection: CallConnection) -> None:
        self._free.append(connection)

    def close(self) -> None:
        while self._free:
            self._free.pop().release()


class CallListener:
    """The worker's end: a thread for each connection, in which `answer` is called with each message."""

    def __init__(self, secret: str, answer: Callable[[Message], Any]) -> None:
        self._secret = secret
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        forked_children.close_in_children(self._listener.fileno())
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, name="calls", daemon=True).start()

    def _accept(self) -> None:
        for number in count():
            peer, _ = _as_soon_as_possible(self._listener.accept)
            name = f"ThreadPoolExecutor-1_{number}"
            thread = threading.Thread(target=self._serve, args=(peer,), name=name, daemon=True)
            _as_soon_as_possible(thread.start)

    def _serve(self, peer: socket.socket) -> None:
        descriptor = peer.fileno()
        forked_children.close_in_children(descriptor)
        with peer, peer.makefile("rb") as file:
            try:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                hello = read_frame(file)
                if hello is None or not hmac.compare_digest(str(hello[0]), self._secret):
                    return
                while (message := read_frame(file)) is not None:
                    peer.sendall(self._packed_answer(message))
            except OSError:  # the host has given the call up
                pass
            finally:
                forked_children.unregister(descriptor)

    def _packed_answer(self, message: Message) -> bytes:
        """The frame that `CallConnection.call` returns the value of."""
        try:
            return pack((contextvars.Context().run(self._answer, message),))
        except Exception as error:
            # For example, a value is nested too deeply to be sent. The host must not wait for ever.
            return pack((tuple(failures.not_answered(error)),))


def _as_soon_as_possible(make: Callable[[], T]) -> T:
    """What `make` returns, once the app leaves a descriptor or a thread for it. The host's call waits meanwhile."""
    while True:
        try:
            return make()
        except (OSError, RuntimeError):
            time.sleep(_TRIES_AGAIN_AFTER)
