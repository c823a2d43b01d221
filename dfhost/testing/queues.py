"""One storage queue, as a test puts messages into it and looks at what it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dfhost.app.json_values import from_json, to_json
from dfhost.management.responses import sentence_in
from dfhost.testing.errors import HostCrashed

if TYPE_CHECKING:
    from dfhost.testing.durable import Durable

__tracebackhide__ = True  # pytest shows errors at the line of the test

_MOST = 1_000_000  # messages


class Queue:
    """One storage queue, by its name."""

    def __init__(self, durable: Durable, name: str) -> None:
        if not name:
            raise ValueError("A queue has a name.")
        self._durable = durable
        #: Its name.
        self.name = name

    def __repr__(self) -> str:
        return f"<Queue {self.name}>"

    def put(self, message: Any) -> Queue:
        """Put a message: a text as it is, any other value as JSON. A function that takes it has ended then."""
        text = message if isinstance(message, str) else to_json(message, "the message")
        self._ask("POST", {"message": text})
        return self

    @property
    def messages(self) -> list[str]:
        """The texts of the messages that it holds, the oldest first."""
        return [str(each["message"]) for each in self._ask("GET")["messages"]]

    def clear(self) -> None:
        """Delete its messages."""
        self._ask("DELETE")

    def _ask(self, method: str, value: Any = None) -> Any:
        path = f"/admin/queues/{quote(self.name, safe='')}" + (f"?top={_MOST}" if method == "GET" else "")
        body = "" if value is None else to_json(value, "the message")
        try:
            response = self._durable.request(method, path, data=body)
        except HostCrashed:
            # The host was at rest, so the commits after which it crashed came from this request.
            self._durable._host.settle()
            return {}
        if response.status >= 400:
            said = sentence_in(response.body) or "no other host than dfhost has queues of its own"
            raise AssertionError(f"The host has refused {method} {path}: {response.status} {said}")
        return from_json(response.text)
