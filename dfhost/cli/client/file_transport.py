"""Requests to a database file in place of a host: `--db FILE`. Only what reads is answered."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from dfhost.cli.client.http_transport import Response


def read_file(
    file: Path,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    wait: float = 0,
) -> Response:
    """The response of the management API to a GET. DatabaseError if the file cannot be read."""
    assert method == "GET", "the verbs that change something take no --db"
    from dfhost.file_hub import FileHub  # slow to import

    below, _, query = path.partition("?")
    if not below.startswith("/runtime/"):
        return Response(404, {}, b"")
    lower = {name.lower(): text for name, text in (headers or {}).items()}
    with closing(FileHub(file)) as hub:
        answer = hub.get(below, query, lower)
    return Response(answer.status, {name.lower(): text for name, text in answer.headers.items()}, answer.body)
