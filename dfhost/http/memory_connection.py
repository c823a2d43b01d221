"""A connection without a socket: the bytes of one request in, the bytes of the response out.

The listener's own protocol reads and writes them, so the request goes the same way as one from the network.
"""

from __future__ import annotations

import asyncio
from typing import Any


async def exchange(protocol: asyncio.Protocol, request: bytes) -> bytes:
    """Everything that `protocol` writes until it closes the connection. `request`: one whole HTTP/1.1 request."""
    transport = _MemoryTransport(protocol)
    protocol.connection_made(transport)
    protocol.data_received(request)
    if not protocol.eof_received():  # no more requests come: the connection closes behind the response
        transport.close()
    await transport.closed.wait()
    return bytes(transport.written)


class _MemoryTransport(asyncio.Transport):
    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__({"peername": ("127.0.0.1", 0), "sockname": ("127.0.0.1", 0)})
        self._protocol = protocol
        self.written = bytearray()
        self.closed = asyncio.Event()

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    def write(self, data: Any) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closed.is_set()

    def is_reading(self) -> bool:
        return True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        if not self.closed.is_set():
            self.closed.set()
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    abort = close
