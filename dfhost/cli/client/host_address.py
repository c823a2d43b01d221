"""Where a command finds its host: a URL that is given, the host that runs this folder's app, or port 7071."""

from __future__ import annotations

import argparse
import os
import re
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from dfhost.cli import arguments
from dfhost.errors import HostError
from dfhost.settings.local_settings import read_local_settings
from dfhost.settings.model import DEFAULT_PORT

THIS_MACHINE = ("localhost", "127.0.0.1", "::1")

_STATUS_URL = re.compile(r"(?P<host>https?://[^/]+)/.*?/instances/(?P<id>[^/?#]+)", re.IGNORECASE)
_WEBHOOKS = re.compile(r"(?i)/runtime/webhooks(/.*)?$")


class HostAddress(NamedTuple):
    """`url`: http://localhost:7071, without a path. Empty texts stand for the host's own task hub, and for no key.

    `unanswered`: the sentences for people if no host answers there. `is_guess`: nobody has named this host, and
    this folder has none.
    """

    url: str
    key: str = ""
    task_hub: str = ""
    connection: str = ""
    unanswered: str = ""
    is_guess: bool = False


def add_arguments(parser: argparse.ArgumentParser, reads: bool = False) -> None:
    """`reads`: the command only reads, so a database file will do as well."""
    group = parser.add_argument_group("which host")
    if reads:
        group.add_argument(
            "--db",
            metavar="FILE",
            type=Path,
            help="no host: read the database file, whether a host runs it or not",
        )
    group.add_argument(
        "--url",
        type=arguments.url,
        help="any Functions host, on Azure too, or DFHOST_URL (default: the host that runs the app of this folder)",
    )
    group.add_argument(
        "--port", "-p", type=arguments.port, help="the host at this port of this machine, instead of --url"
    )
    group.add_argument(
        "--key",
        help="the system key durabletask_extension, which Azure asks for, or better the variable DFHOST_KEY",
    )
    group.add_argument("--task-hub", metavar="NAME", default="", help="default: the host's own")


def find_host(options: argparse.Namespace) -> HostAddress:
    """The host that the options name, else that of this folder."""
    key = options.key or os.environ.get("DFHOST_KEY", "")
    url = options.url or (f"http://localhost:{options.port}" if options.port else "")
    url = url or _url_of_environment()
    if url:
        parts = urlsplit(url)
        key = options.key or parse_qs(parts.query).get("code", [key])[0]
        url = _WEBHOOKS.sub("", url.partition("?")[0])
        return HostAddress(url, key, options.task_hub, unanswered=_unanswered(url))
    url, unanswered, is_guess = _host_of_folder(Path(), reads="db" in options)
    return HostAddress(url, key, options.task_hub, unanswered=unanswered, is_guess=is_guess)


def _url_of_environment() -> str:
    """DFHOST_URL, "" without it."""
    text = os.environ.get("DFHOST_URL", "")
    try:
        return text and arguments.url(text)
    except argparse.ArgumentTypeError as error:
        raise HostError(f"DFHOST_URL: {error}.") from None


def status_url(text: str) -> tuple[HostAddress, str] | None:
    """The host and the instance id in a status URL, None if the text is an id. HostError for any other URL."""
    if found := _STATUS_URL.match(text):
        query = {name: values[0] for name, values in parse_qs(urlsplit(text).query).items()}
        key = query.get("code") or os.environ.get("DFHOST_KEY", "")
        task_hub, connection = query.get("taskHub", ""), query.get("connection", "")
        address = HostAddress(found["host"], key, task_hub, connection, _unanswered(found["host"]))
        return address, unquote(found["id"])
    if text.lower().startswith(("http://", "https://")):
        raise HostError(f"{text} is not a status URL. A status URL contains /instances/ID.")
    return None


def _host_of_folder(folder: Path, reads: bool) -> tuple[str, str, bool]:
    """Where the host listens that serves the app in this folder; and what to say if none does.

    True if there is no such host: then this is where it would listen.
    """
    killed = ""
    for file in _newest_first(folder.glob(".dfhost/*.url")):
        if _listens(url := file.read_text("utf-8").strip()):
            return url, _unanswered(url), False
        killed = killed or url  # a host that stops removes its file
    port = read_local_settings(folder / "local.settings.json").port
    default = f"http://localhost:{port or DEFAULT_PORT}"
    files = _newest_first(folder.glob(".dfhost/*.db"))
    if not killed and not files:
        return default, _unanswered(default), True
    port_of_killed = f" (port {urlsplit(killed).port})" if killed else ""
    read_file = f", or read what it has left: --db {files[0]}" if files and reads else ""
    ended = f"The host of this folder{port_of_killed} has ended."
    return default, f"{ended} Start it with `dfhost start`{read_file}.", True


def _newest_first(files: Iterable[Path]) -> list[Path]:
    return sorted(files, key=lambda file: file.stat().st_mtime, reverse=True)


def _unanswered(url: str) -> str:
    local = urlsplit(url).hostname in THIS_MACHINE
    advice = " Start one with `dfhost start`, or name another with --url." if local else ""
    return f"No host answers at {url}.{advice}"


def _listens(url: str) -> bool:
    parts = urlsplit(url)
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=1):
            return True
    except OSError:
        return False


def url_file(database: Path) -> Path:
    """The file beside the database that holds the URL of the host which runs it."""
    return database.with_name(f"{database.name}.url")
