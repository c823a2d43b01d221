"""One entity, as a test signals it and looks at its state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from dfhost.app.json_values import from_json, to_json
from dfhost.testing.responses import with_query

if TYPE_CHECKING:
    from dfhost.testing.durable import Durable

__tracebackhide__ = True  # pytest shows errors at the line of the test


class Entity:
    """One entity, by the name of its function and its key."""

    def __init__(self, durable: Durable, name: str, key: str) -> None:
        self._durable = durable
        #: The name of its function.
        self.name = name
        #: Its key.
        self.key = key

    def __repr__(self) -> str:
        return f"<Entity {self.name} {self.key}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Entity) and (other.name.lower(), other.key) == (self.name.lower(), self.key)

    def __hash__(self) -> int:
        return hash((self.name.lower(), self.key))

    @property
    def state(self) -> Any:
        """Its state; None if it does not exist, and after `destruct_on_exit`."""
        response = self._durable._manage("GET", self._path, accept=(200, 404))
        return from_json(response.text) if response.status == 200 else None

    @property
    def exists(self) -> bool:
        """Whether it was ever touched. As on Azure, one that has called `destruct_on_exit` still exists."""
        return self._durable._manage("GET", self._path, accept=(200, 404)).status == 200

    def signal(self, operation: str, input: Any = None) -> Entity:
        """Send one operation, as a client does."""
        body = json.dumps(to_json(input, f"the input of {operation}"))  # the SDK's client sends JSON in JSON
        before = self._last_operation
        self._durable._manage("POST", with_query(self._path, {"op": operation}), body)
        self._durable._wait_for_effect(lambda: self._last_operation != before)
        return self

    @property
    def _last_operation(self) -> str | None:
        """When a host elsewhere has run its last operation."""
        if self._durable._is_local:
            return None
        listed = self._durable._listed(f"entities/{quote(self.name, safe='')}")
        return next(
            (each["lastOperationTime"] for each in listed if each["entityId"]["key"] == self.key), None
        )

    @property
    def _path(self) -> str:
        return f"entities/{quote(self.name, safe='')}/{quote(self.key, safe='')}"
