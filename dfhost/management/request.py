"""One request to the management API, taken apart only as far as its handler asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dfhost.management import json_text, query
from dfhost.management.query import Query


@dataclass(frozen=True, slots=True)
class ManagementRequest:
    """`path` and `raw_query` are as sent, `headers` ignore case, `hub` and `connection` are what links shall name."""

    method: str
    path: str
    raw_query: str
    query: Query
    headers: Mapping[str, str]
    body: bytes
    origin: str
    hub: str
    connection: str

    def url(self, base_path: str) -> str:
        """The request's own URL, of which the extension's Location headers speak."""
        path = query.as_uri(self.path.lstrip("/"))
        return f"{self.origin}{base_path}/{path}" + (f"?{self.raw_query}" if self.raw_query else "")

    @property
    def media_type(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0].strip().lower()

    def text(self) -> str:
        """The body, read in its charset (UTF-8 if it names none that is known); bad bytes become U+FFFD."""
        charset = "utf-8"
        for part in self.headers.get("Content-Type", "").split(";")[1:]:
            name, _, value = part.partition("=")
            if name.strip().lower() == "charset":
                charset = value.strip(" \"'")
        try:
            text = self.body.decode(charset, "replace")
        except LookupError:
            text = self.body.decode("utf-8", "replace")
        return text.removeprefix("\ufeff")

    def json(self) -> str:
        """The body as compact JSON. Raises `NotJson`."""
        text = self.text()
        json_text.check(text)
        return json_text.compact(text)
