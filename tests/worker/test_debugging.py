"""A debugger attached to the worker: breakpoints in an activity and in an orchestrator are hit, and calls go on."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import write_app
from tests.support.host_process import HostProcess
from tests.support.waiting import DEADLINE, until

pytest.importorskip("debugpy")

BODY = """
@app.orchestration_trigger(context_name="context")
def orchestrate(context):
    doubled = yield context.call_activity("double", 21)
    return doubled

@app.activity_trigger(input_name="n")
def double(n: int) -> int:
    return 2 * n
"""


class DebugClient:
    """A client of the Debug Adapter Protocol, as far as a breakpoint needs it."""

    def __init__(self, port: int) -> None:
        def connect() -> socket.socket | None:
            try:
                return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
            except ConnectionRefusedError:
                return None

        connected = until(connect, bool)
        assert connected is not None
        self._socket = connected
        self._file = self._socket.makefile("rb")
        self._number = 0

    def send(self, command: str, **arguments: Any) -> int:
        self._number += 1
        body = {"seq": self._number, "type": "request", "command": command, "arguments": arguments}
        data = json.dumps(body).encode()
        self._socket.sendall(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
        return self._number

    def receive(self, kind: str, name: str) -> dict[str, Any]:
        """The next event or response with this name."""
        while True:
            length = 0
            while line := self._file.readline().strip():
                length = int(line.split(b":")[1])
            message: dict[str, Any] = json.loads(self._file.read(length))
            if message["type"] == kind and message.get("event", message.get("command")) == name:
                return message

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        self.send(command, **arguments)
        return self.receive("response", command)

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@pytest.mark.long
def test_breakpoints_are_hit_and_the_calls_go_on(tmp_path: Path) -> None:
    folder = write_app(tmp_path / "app", BODY)
    script = folder / "function_app.py"
    lines = script.read_text().splitlines()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = HostProcess(folder, "--memory", "--debug", str(port))
    client = DebugClient(port)
    try:
        client.ask("initialize", adapterID="test", linesStartAt1=True, pathFormat="path")
        client.send("attach", justMyCode=False)
        client.receive("event", "initialized")
        places = [lines.index("    return 2 * n") + 1, lines.index("    return doubled") + 1]
        client.ask(
            "setBreakpoints",
            source={"path": str(script)},
            breakpoints=[{"line": line} for line in places],
        )
        client.ask("configurationDone")
        with process as host:
            instance_id = host.client.start("orchestrate")
            for line in places:
                stopped = client.receive("event", "stopped")["body"]
                assert stopped["reason"] == "breakpoint"
                frames = client.ask("stackTrace", threadId=stopped["threadId"])["body"]["stackFrames"]
                assert (frames[0]["source"]["path"], frames[0]["line"]) == (str(script), line)
                client.ask("continue", threadId=stopped["threadId"])
            assert host.client.output(instance_id) == 42
    finally:
        client.close()
        process.close()
