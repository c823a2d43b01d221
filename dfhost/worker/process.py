"""The host's side of one worker: starts the process, passes calls to it, and says how it ended."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from dfhost.engine import failures
from dfhost.engine.failures import Failure
from dfhost.runner.app_runner import RunningOperation
from dfhost.runner.functions import AppInfo
from dfhost.worker import protocol
from dfhost.worker.call_connections import CallConnection, CallConnections
from dfhost.worker.calls import OUTDATED, BlockingCall, Outdated, RunningCall
from dfhost.worker.channel import Channel, Message
from dfhost.worker.output import OutputReader, Terminal

_SCRIPT = Path(__file__).with_name("script") / "worker.py"
_OUTPUT_ENDS_WITHIN = 0.5  # seconds after the process; a child of the app may hold the pipe open
_CHANNEL_ENDS_WITHIN = 0.5  # likewise
_ENDS_WITHIN = 1.0  # seconds after its channel, else it is killed
_CONNECTS_AGAIN_AFTER = 0.05  # seconds
_ANSWERS_WITHIN = 0.3  # seconds, which operation of an entity runs
_NOT_DURABLE = ("invoke", "stream")  # calls of functions of any kind

_OTHER_VERSION = "dfhost was installed anew since this host was started. Start the host again."

#: What threads do, see `Worker._stacks`: the function, the instance, and the user's lines.
Stacks = list[tuple[str | None, str | None, str]]


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """How every worker is started. `only`: see `load_app`. `log_levels`, `verbose`, `quiet`: see `AppLogLevels`.

    `python_arguments` come before the worker's script: those of a debugger, for instance.
    """

    root: Path
    only: Sequence[str] = ()
    log_levels: dict[str, int] | None = None
    verbose: bool = False
    quiet: bool = False
    python_arguments: Sequence[str] = ()


class WorkerProcess:
    """A worker from its start on. `open` has to be called on the host's loop; all callbacks come there.

    `on_message`: what is neither a result nor the hello. `on_lost`: it takes no more calls, and will end.
    `on_ended`: it has ended, and all that it has said before was passed on. `app`: what it has loaded, None before.
    """

    def __init__(self, options: WorkerOptions, sink: Terminal) -> None:
        """Raises OSError if no process can be started."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._secret = secrets.token_hex(16)
        try:
            self._process = subprocess.Popen(
                [sys.executable, *_interpreter_flags(), *options.python_arguments, str(_SCRIPT)],
                cwd=options.root,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        except OSError:
            self._listener.close()
            raise
        assert self._process.stdin is not None and self._process.stdout is not None
        self.pid = self._process.pid
        self.started_at = time.monotonic()
        self.exit_code: int | None = None
        self.calls: dict[int, RunningCall] = {}
        self.app: AppInfo | None = None
        self.is_expected_to_end = False
        self._numbers = count(1)
        self._channel: Channel | None = None
        self._is_lost = self._has_ended = False
        with self._process.stdout as stdout:
            self.output = OutputReader(os.dup(stdout.fileno()), sink)
        self.output.start()
        self._stdin = self._process.stdin  # it ends with this process, and the worker with it
        self._send_start(options)

    def _send_start(self, options: WorkerOptions) -> None:
        """The line from which the worker learns what it is to do, see `protocol`."""
        start = {
            "port": self._listener.getsockname()[1],
            "secret": self._secret,
            "root": str(options.root),
            "only": list(options.only),
            "log_levels": options.log_levels or {},
            "verbose": options.verbose,
            "quiet": options.quiet,
        }
        with suppress(OSError):  # the worker has ended already
            self._stdin.write(json.dumps(start).encode() + b"\n")
            self._stdin.flush()

    # -- its life --------------------------------------------------------------------------------------------

    def open(
        self,
        on_message: Callable[[WorkerProcess, Message], None],
        on_lost: Callable[[WorkerProcess], None],
        on_ended: Callable[[WorkerProcess], None],
    ) -> None:
        """Returns at once. Its first message is "loaded" or "not loaded", if it does not end before."""
        self._loop = asyncio.get_running_loop()
        self.on_message, self.on_lost, self.on_ended = on_message, on_lost, on_ended
        threading.Thread(target=self._wait, name="worker-exit", daemon=True).start()
        self._accepting = self._loop.create_task(self._accept())

    async def _accept(self) -> None:
        """Until the worker has said hello: whoever else finds the port is not heard."""
        self._listener.setblocking(False)
        channels: list[Channel] = []
        try:
            with self._listener:
                while True:
                    peer, _ = await self._loop.sock_accept(self._listener)
                    channels.append(channel := Channel())
                    channel.on_message, channel.on_lost = partial(self._hello, channel), _do_nothing
                    await channel.open(peer)
        finally:
            for channel in channels:
                if channel is not self._channel:
                    channel.close()

    def _hello(self, channel: Channel, message: Message) -> None:
        match message:
            case ("hello", protocol.VERSION, str(secret), int(pid), int(port)) if hmac.compare_digest(
                secret, self._secret
            ):
                self.pid = pid  # in a virtual environment on Windows, the process started is only a launcher
                self._channel = channel
                self._connections = CallConnections(port, self._secret)
                channel.on_message, channel.on_lost = self._receive, self._lost
                self._accepting.cancel()
            case ("hello", version, str(secret), *_) if version != protocol.VERSION and hmac.compare_digest(
                secret, self._secret
            ):
                self.on_message(self, ("not loaded", _OTHER_VERSION, None))

    def _wait(self) -> None:
        code = self._process.wait()
        self.output.finish(_OUTPUT_ENDS_WITHIN)
        try:
            self._loop.call_soon_threadsafe(self._exited, code)
        except RuntimeError:  # the host has ended
            pass

    def _exited(self, code: int) -> None:
        self.exit_code = code
        if self._channel is None:
            self._accepting.cancel()
            self._lost()
        elif self._is_lost:
            self._ended()
        else:  # what it has sent is still read; a forked child of the app may hold the channel open
            self._loop.call_later(_CHANNEL_ENDS_WITHIN, self._lost)

    def _lost(self) -> None:
        if not self._is_lost:
            self._is_lost = True
            self.on_lost(self)
        if self.exit_code is not None:
            self._ended()
        else:
            self._loop.call_later(_ENDS_WITHIN, self.kill)

    def _ended(self) -> None:
        if not self._has_ended:
            self._has_ended = True
            if self._channel is not None:
                self._channel.close()
                self._connections.close()
            with suppress(OSError):
                self._stdin.close()
            self.on_ended(self)

    def stop(self) -> None:
        """Ask it to end. One that has not connected yet runs nothing, cannot be asked, and is killed."""
        if self._channel is None:
            self.kill()
        else:
            self.send("stop")

    def kill(self) -> None:
        self._process.kill()  # does nothing if it has ended

    @property
    def failure(self) -> Failure:
        """What becomes of the calls that ran when it ended."""
        code = self.exit_code or 0
        return failures.worker_exited(sys.executable, code if code >= 0 else 128 - code)

    @property
    def how_it_ended(self) -> str:
        """ "exit code 3", "SIGKILL"."""
        code = self.exit_code or 0
        if code >= 0:
            return f"exit code {code}"
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"

    # -- calls, on any thread --------------------------------------------------------------------------------

    def enter(self, call: RunningCall) -> int:
        """Its number, for `begin` or `call_blocking`. From now on the process has this call."""
        number, call.since, call.worker = next(self._numbers), time.monotonic(), self.pid
        self.calls[number] = call
        return number

    def begin(self, number: int, call: RunningCall, *message: Any) -> None:
        """Make a call over the channel."""
        assert self._channel is not None
        missing = self._missing(call)
        if missing is None:
            # Several activities begin at once as a rule, and one that waits for the others loses nothing.
            send = self._channel.send_soon if call.kind == "activity" else self._channel.send
            send(("call", number, *message))
        if (missing or self._has_ended) and self.calls.pop(number, None) is not None:
            call.resolve(missing or self.failure)

    def call_blocking(self, number: int, call: BlockingCall, *message: Any) -> Any:
        """Make a call on a connection: its value from the wire, its Failure, or OUTDATED. Blocks."""
        if missing := self._missing(call):
            self.calls.pop(number, None)
            return missing
        connection = self._connection_for(number, call)
        if connection is None:  # the call has not begun; if the process has ended, another worker makes it
            outcome = self._outcome(number, call)
            return OUTDATED if isinstance(outcome, Failure) and failures.is_worker_exit(outcome) else outcome
        answer = connection.call(message)
        if answer is None:
            return self._outcome(number, call)
        if self.calls.pop(number, None) is not None:
            self._connections.give_back(connection)
        else:  # the call was given up just now, and its connection is closed
            connection.release()
        return protocol.answer_from_wire(answer[0])

    def _connection_for(self, number: int, call: BlockingCall) -> CallConnection | None:
        """None if the process has ended, or the call was given up."""
        while number in self.calls:
            try:
                connection = call.connection = self._connections.take()
            except ConnectionError:
                return None
            except OSError:  # the host has as many open files as it can
                time.sleep(_CONNECTS_AGAIN_AFTER)
            else:
                return connection
        return None

    def _outcome(self, number: int, call: BlockingCall) -> Failure | Outdated:
        """What becomes of a call without an answer: its process has ended, or it was given up.

        Blocks until one of the two is known.
        """
        if self._has_ended and self.calls.pop(number, None) is not None:
            return self.failure
        return call.wait_until_given_up()

    def stacks(self, timeout: float) -> Stacks:
        """What its threads do; nothing if it does not answer within `timeout` s. Blocks."""
        stacks = self._query(timeout, "stacks") or []
        return [(function, instance, text) for function, instance, text in stacks]

    def running_operation(self, entity_id: str) -> RunningOperation | None:
        """What the worker's runner answers (`AppRunner`); None as well if it does not answer. Blocks."""
        found = self._query(_ANSWERS_WITHIN, "running operation", entity_id)
        return None if found is None else RunningOperation(*found)

    def _query(self, timeout: float, *message: Any) -> Any:
        """The answer to a question that is no call; None if there is none within `timeout` s. Blocks."""
        if self._channel is None:
            return None
        try:
            connection = CallConnection(self._connections.port, self._secret, timeout)
        except OSError:
            return None
        answer = connection.call(message)
        connection.release()
        value = None if answer is None else protocol.answer_from_wire(answer[0])
        return None if isinstance(value, Failure) else value

    def _missing(self, call: RunningCall) -> Failure | None:
        """For a call that was addressed to the app as it was before it was loaded again."""
        assert self.app is not None
        function = self.app.get(call.function)
        if function is not None and (function.kind == call.kind or call.kind in _NOT_DURABLE):
            return None
        return failures.function_gone(call.function)

    def send(self, *message: Any) -> None:
        if self._channel is not None:
            self._channel.send(message)

    def drop_generator(self, generator: int) -> None:
        """Whatever a thread is doing: a garbage collection may call this in the middle of a `send`."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self.send, "drop", generator)

    def abandon_calls(self) -> None:
        """Their results are of no interest any more."""
        self.calls.clear()

    def end_calls(self, outcome: Failure | Outdated) -> None:
        """Give up all that it has still to do, with this outcome."""
        while self.calls:
            _, call = self.calls.popitem()
            call.resolve(outcome)

    def _receive(self, message: Message) -> None:
        if message[0] == "result":
            if (call := self.calls.pop(message[1], None)) is not None:
                call.resolve(message[2])
        else:
            self.on_message(self, message)


def _interpreter_flags() -> list[str]:
    """The flags of this process, such as `-W error` and `-X dev`: the app is to have them, too."""
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return flags


def _do_nothing() -> None:
    pass
