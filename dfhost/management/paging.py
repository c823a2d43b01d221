"""Lists in pages of `top` entries; the header x-ms-continuation-token leads to the next page."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from dfhost.management.off_loop import off_loop
from dfhost.management.query import Query
from dfhost.management.responses import (
    ManagementResponse,
    RequestRefused,
    json_response,
    storage_failure,
)

_HEADER = "x-ms-continuation-token"
_TOKEN_PREFIX = "after "  # distinguishes our tokens from any other text
_DEFAULT_SIZE = 100

Row = TypeVar("Row")


async def page_response(
    query: Query,
    headers: Mapping[str, str],
    rows: Callable[[int, str], Sequence[Row]],
    id_of: Callable[[Row], str],
    size_of: Callable[[Row], int],
    text_of: Callable[[Row], str],
) -> ManagementResponse:
    """One page of a list as a response. `size_of`: the length of a row's payloads.

    `rows(limit, after)` returns at most `limit` rows after the id `after`. The last page has no token, and a
    foreign token finds nothing. A negative `top` is refused, as by the storage behind the extension.
    """
    size = query.number("top", _DEFAULT_SIZE)
    if size < 0:
        raise RequestRefused(storage_failure())
    after = _last_id(headers.get(_HEADER) or "")
    found = rows(size + 1, after) if after is not None else ()
    page = found[:size]
    more = {}
    if len(found) > size:
        more[_HEADER] = _token(id_of(page[-1]) if page else after or "")
    return await off_loop(
        sum(map(size_of, page)), lambda: json_response(200, f"[{','.join(map(text_of, page))}]", **more)
    )


def _token(last_id: str) -> str:
    return base64.urlsafe_b64encode((_TOKEN_PREFIX + last_id).encode()).decode()


def _last_id(token: str) -> str | None:
    """The id in a token: "" for no token, None for one that is not ours."""
    try:
        text = base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError, ValueError):
        return None
    if not token or text == "null":  # the extension's tokens are JSON
        return ""
    return text[len(_TOKEN_PREFIX) :] if text.startswith(_TOKEN_PREFIX) else None
