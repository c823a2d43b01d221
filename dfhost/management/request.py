"""One request to the management API, decoded only as far as its handler needs it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from dfhost.management import charsets, json_text
from dfhost.management.off_loop import off_loop
from dfhost.management.query import Query
from dfhost.management.responses import ManagementResponse
from dfhost.management.urls import WEBHOOKS_PATH, location_path

#: `ManagementApi.handle`: (method, raw path below the mount, raw query, headers that ignore case, body, origin).
RequestHandler = Callable[
    [str, str, str, Mapping[str, str], bytes, str], Coroutine[Any, Any, ManagementResponse]
]


@dataclass(frozen=True, slots=True)
class ManagementRequest:
    """`path` and `raw_query` are as sent, `headers` ignore case. Links name `hub_name` and `connection`.

    `warn` prints a sentence on the console, and the same sentence once.
    """

    method: str
    path: str
    raw_query: str
    query: Query
    headers: Mapping[str, str]
    body: bytes
    origin: str
    hub_name: str
    connection: str
    warn: Callable[[str], None]

    @property
    def url(self) -> str:
        """The request's own URL, which the extension repeats in its Location headers."""
        path = location_path(self.path.lstrip("/"))
        return f"{self.origin}{WEBHOOKS_PATH}/{path}" + (f"?{self.raw_query}" if self.raw_query else "")

    @property
    def media_type(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def text(self) -> str:
        """The body, decoded by its charset. Raises `UnknownCharset`."""
        return charsets.decode(self.body, self.headers.get("Content-Type", ""))

    async def json(self) -> str:
        """The body as compact JSON. Raises `InvalidJson` and `UnknownCharset`."""
        return await off_loop(len(self.body), lambda: json_text.compact(json_text.checked(self.text())))
