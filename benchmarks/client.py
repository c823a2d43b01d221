"""The client: what a caller of the app does, with as little CPU of its own as Python allows.

A run is timed from the first byte of the POST to the moment its output is in hand. The status URL is asked
as any caller would ask it; only the pace is chosen with care, since each question takes CPU from the run it
asks about: quiet for 85 % of the fastest of its kind's newest runs, then every thirtieth of the time gone by.
So a time is at most one such step too long, and a run much faster than the others counts as those 85 %. A
kind that was not yet timed twice is asked every twentieth of the time gone by.

Plain sockets kept alive, the standard library only.
"""

import json
import socket
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

FINISHED = ("Completed", "Failed", "Terminated", "Canceled")


class RunFailed(Exception):
    """The host answered what no right run answers."""


class Connection:
    """One HTTP/1.1 connection, kept alive, blocking."""

    def __init__(self, origin: str, key: str = "", timeout: float = 300) -> None:
        parts = urlsplit(origin)
        self.address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.host = f"Host: {parts.netloc}\r\n"
        self.key = f"x-functions-key: {key}\r\n" if key else ""
        self.timeout = timeout
        self.connect()

    def connect(self) -> None:
        self.socket = socket.create_connection(self.address, self.timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def close(self) -> None:
        self.socket.close()

    def get(self, url: str) -> tuple[int, Any]:
        return self.request("GET", url)

    def post(self, url: str, body: Any) -> tuple[int, Any]:
        return self.request("POST", url, json.dumps(body).encode())

    def request(self, method: str, url: str, body: bytes = b"") -> tuple[int, Any]:
        """Status and body (JSON read, None if empty). `url`: a path, or a whole URL of this origin.

        A URL with a key of its own (`code=`) is sent without the function key: the header would win, and the
        management API answers a function key with 403.
        """
        parts = urlsplit(url)
        key = "" if "code" in parse_qs(parts.query) else self.key
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        content = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n" if body else ""
        self.socket.sendall(f"{method} {target} HTTP/1.1\r\n{self.host}{key}{content}\r\n".encode() + body)
        head = self._until(b"\r\n\r\n").decode("latin-1").lower()
        status = int(head.split(" ", 2)[1])
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        if headers.get("transfer-encoding") == "chunked":
            payload = b""
            while size := int(self._until(b"\r\n"), 16):
                payload += self._exactly(size)
                self._exactly(2)
            self._exactly(2)
        else:
            payload = self._exactly(int(headers.get("content-length", 0)))
        if headers.get("connection") == "close":
            self.close()
            self.connect()
        return status, json.loads(payload) if payload else None

    def _until(self, mark: bytes) -> bytes:
        while (end := self.buffer.find(mark)) < 0:
            self._receive()
        found, self.buffer = self.buffer[:end], self.buffer[end + len(mark) :]
        return found

    def _exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            self._receive()
        found, self.buffer = self.buffer[:size], self.buffer[size:]
        return found

    def _receive(self) -> None:
        data = self.socket.recv(65_536)
        if not data:
            raise RunFailed("the host closed the connection in the middle of an answer")
        self.buffer += data


class Pace:
    """When to ask next, learned from the newest runs of this kind. Seconds."""

    def __init__(self) -> None:
        self.recent: deque[float] = deque(maxlen=9)

    def wait(self, elapsed: float) -> float:
        if len(self.recent) < 2:
            return max(0.001, elapsed / 20)
        return max(0.85 * min(self.recent) - elapsed, elapsed / 30)

    def learn(self, elapsed: float) -> None:
        self.recent.append(elapsed)


def run(
    connection: Connection, route: str, input: Any, pace: Pace, timeout: float = 120
) -> tuple[float, Any]:
    """Start one run and have its output: (seconds, output). RunFailed if it does not end as Completed."""
    began = time.perf_counter()
    status, links = connection.post(route, input)
    if status != 202:
        raise RunFailed(f"POST {route} was answered {status}: {links}")
    while True:
        elapsed = time.perf_counter() - began
        time.sleep(pace.wait(elapsed))
        _, state = connection.get(links["statusQueryGetUri"])
        elapsed = time.perf_counter() - began
        if state["runtimeStatus"] in FINISHED:
            break
        if elapsed > timeout:
            raise RunFailed(f"{route} {input} was {state['runtimeStatus']} after {timeout:.0f} s")
    if state["runtimeStatus"] != "Completed":
        raise RunFailed(f"{route} {input} ended as {state['runtimeStatus']}: {str(state['output'])[:1000]}")
    pace.learn(elapsed)
    return elapsed, state["output"]


def run_many(connections: list[Connection], route: str, input: Any, count: int) -> tuple[float, list[Any]]:
    """Start `count` runs at once and have all their outputs: (seconds, outputs).

    The connections share the POSTs, each sends its next as soon as one is answered. Then the runs are asked
    one after the other in the order of their start, each once if it is done: one not yet done holds the
    later ones back, which costs nothing since all must be done, and is asked again after a fiftieth of the
    time gone by.
    """
    share = [range(n, count, len(connections)) for n in range(len(connections))]

    def start(connection: Connection, numbers: range) -> list[str]:
        answers = [connection.post(route, input) for _ in numbers]
        for status, body in answers:
            if status != 202:
                raise RunFailed(f"POST {route} was answered {status}: {body}")
        return [body["statusQueryGetUri"] for _, body in answers]

    with ThreadPoolExecutor(len(connections)) as pool:
        list(pool.map(time.sleep, [0.001] * len(connections)))  # the threads are there before the clock runs
        began = time.perf_counter()
        urls = [url for started in pool.map(start, connections, share) for url in started]
        outputs = []
        for url in urls:
            while True:
                _, state = connections[0].get(url)
                if state["runtimeStatus"] in FINISHED:
                    break
                time.sleep(max(0.001, (time.perf_counter() - began) / 50))
            outputs.append(state["output"])
        return time.perf_counter() - began, outputs
