"""Lists in pages: `top`, and the token that leads to the next page, in header x-ms-continuation-token."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from dfhost.management.query import Query
from dfhost.management.responses import (
    SOMETHING_WENT_WRONG,
    ManagementResponse,
    RequestRefused,
    failure_response,
    json_response,
)

_HEADER = "x-ms-continuation-token"
_SEAL = "after "  # so that rubbish is told from a token
_SIZE = 100

Row = TypeVar("Row")


def page_response(
    query: Query,
    headers: Mapping[str, str],
    rows: Callable[[int, str], Sequence[Row]],
    id_of: Callable[[Row], str],
    text_of: Callable[[Row], str],
) -> ManagementResponse:
    """The asked-for page of a list as its answer.

    `rows(limit, after)` yields what follows the id `after`. The token is empty on the last page; a token
    that is none of ours finds nothing; a negative `top` is refused as the storage behind the extension does.
    """
    size = query.number("top", _SIZE)
    if size < 0:
        words = "An error occurred while communicating with Azure Storage"
        kind = "DurableTask.AzureStorage.Storage.DurableTaskStorageException"
        raise RequestRefused(failure_response(500, SOMETHING_WENT_WRONG, words, kind))
    after = _opened(headers.get(_HEADER) or "")
    found = rows(size + 1, after) if after is not None else ()
    listed = found[:size]
    last = id_of(listed[-1]) if listed else after or ""
    token = _sealed(last) if len(found) > size else ""
    return json_response(200, f"[{','.join(map(text_of, listed))}]", **{_HEADER: token})


def _sealed(after: str) -> str:
    return base64.urlsafe_b64encode((_SEAL + after).encode()).decode()


def _opened(token: str) -> str | None:
    try:
        text = base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError, ValueError):
        return None
    if not token:
        return ""
    return text[len(_SEAL) :] if text.startswith(_SEAL) else None
