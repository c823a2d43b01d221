"""`dfhost logs`: what the host of this folder has written to its console."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from dfhost.cli import arguments
from dfhost.cli.client.instance_ids import as_stored, suggestion
from dfhost.cli.client.management_client import file_client
from dfhost.cli.console.log_file import DATE, INDENTED, Searched, entries_with, follow_log, log_file, read_log
from dfhost.cli.exit_codes import DONE, NOT_FOUND
from dfhost.cli.style import printable
from dfhost.errors import HostError
from dfhost.short_id import short_child, short_id

DESCRIPTION = """\
Print what the host of this folder has written to its console, this time and before: calls, failures with their
tracebacks, notes, and what the app logs and prints. Of an instance, the lines that name it, and those of its
sub-orchestrations.

examples:
  dfhost logs 1f0c6a3e
  dfhost logs --follow --text ValueError

exit code: 0; 4 if there is no such line.
"""

_NOT_WITHIN = r"(?<![\w-])"  # another id, as b4 in 0fb45e02
_MAY_BE_SHORT = re.compile(r"[0-9a-f-]+")  # as the short form of a generated id
_STARTED_CHILD = re.compile(r"  started .*  (\S+)  of \S+$")
_MARKS = ".,:;'\"()[]"  # beside an id in a sentence
_HEAD = re.compile(r"(?P<time>\d\d:\d\d:\d\d\.\d{3})  (?P<label>.{9}) (?P<text>.*)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", nargs="?", help="an instance's id, or the beginning of one")
    parser.add_argument("--text", help="only entries in which this occurs, in this case")
    parser.add_argument(
        "--lines",
        "-n",
        metavar="N",
        type=arguments.above_zero,
        default=1000,
        help="the last N (default: 1000)",
    )
    parser.add_argument(
        "--follow", "-f", action="store_true", help="go on with what is written, until ctrl-C"
    )
    parser.add_argument(
        "--json", action="store_true", help="print each line as JSON: its local time, label and text"
    )
    parser.add_argument(
        "--db", metavar="FILE", type=Path, help="of the host of this database file (default: of this folder)"
    )


def run(options: argparse.Namespace) -> int:
    path = _path(options.db)
    options.id = as_stored(options.id) if options.id else None
    kept = read_log(path)
    wanted: list[Searched] = [re.compile(re.escape(options.text))] if options.text else []
    if options.id:
        wanted.append(_InstanceAndChildren(_pattern_of(options.id, kept)))
    shown = _json_lines if options.json else iter
    lines = list(shown(_matching(kept, wanted)))[-options.lines :]
    if not lines and wanted:
        print(f"dfhost: {_nothing_found(path, options.id, options.text)}", file=sys.stderr)
    for line in lines:
        print(line)
    if options.follow:
        for line in shown(_matching(follow_log(path), wanted)):
            print(line, flush=True)
    return DONE if lines else NOT_FOUND


def _nothing_found(path: Path, instance: str | None, text: str | None) -> str:
    """What is not in the log, and which instance was probably meant."""
    wanted = f" of an instance '{printable(instance)}'" if instance else ""
    wanted += f" with the text '{printable(text)}'" if text else ""
    sentence = f"The log has nothing{wanted}."
    if not instance:
        return sentence
    with suppress(HostError):  # the database may be gone
        client = file_client(path.with_suffix(""))
        if client.status(instance) is not None:
            return f"{sentence} `dfhost show {printable(instance)}` shows what the host has of it."
        sentence = f"{sentence} {suggestion(client, instance)}".rstrip()
    return sentence


def _path(database: Path | None) -> Path:
    """HostError if there is no log."""
    if database is not None:
        path = log_file(database)
    else:
        found = sorted(Path().glob(".dfhost/*.log"), key=lambda file: file.stat().st_mtime)
        path = found[-1] if found else Path(".dfhost/HUB.db.log")
    if path.is_file():
        return path
    raise HostError(
        f"There is no {path}. `dfhost start` writes it beside its database, and with --memory none. "
        "Another host's log is on its own console; on Azure: az webapp log tail."
    )


def _pattern_of(instance: str, lines: Sequence[str]) -> re.Pattern[str]:
    """Finds an instance whose id is written whole or in its short form, whichever of them is given.

    The beginning of an id finds all that begin so, unless it is itself an id in these lines.
    """
    text = short_id(instance)
    if child := short_child(text):
        beginning, ending = child
        return re.compile(rf"{_NOT_WITHIN}{beginning}[0-9a-f-]*{re.escape(ending)}(?![0-9a-f])")
    pattern = _NOT_WITHIN + re.escape(text)
    whole = re.compile(rf"{pattern}(?![\w-])")
    is_whole = _MAY_BE_SHORT.fullmatch(text) is None and any(map(whole.search, lines))
    return whole if is_whole else re.compile(pattern)


class _InstanceAndChildren:
    """Finds the lines that name an instance, or a sub-orchestration that one of these lines has started."""

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        self._children: set[str] = set()  # their ids in their short forms; there may be thousands

    def search(self, line: str) -> object:
        found = self._pattern.search(line) or not self._children.isdisjoint(_ids_in(line))
        if found and (started := _STARTED_CHILD.search(line)):
            self._children.add(short_id(started[1]))
        return found or None


def _ids_in(line: str) -> Iterator[str]:
    """What may be ids in the line, in their short forms, with those from which they are made: "order-7:2" is a part
    of "order-7", "@ledger@order-7" an entity of it."""
    for word in line.split():
        word = word.strip(_MARKS)
        for each in {word, word.rpartition("@")[2]}:
            each = short_id(each)
            while each:
                yield each
                each = each.rpartition(":")[0]


def _matching(lines: Iterable[str], wanted: list[Searched]) -> Iterable[str]:
    for pattern in wanted:
        lines = entries_with(lines, pattern)
    return lines


def _json_lines(lines: Iterable[str]) -> Iterator[str]:
    """Each line as a JSON object. A line that goes on with the one above has its time and label."""
    time, label, day = None, "", ""
    for line in lines:
        text = line.strip()
        if date := DATE.match(line):
            day = f"{date[1]}T"
        if head := _HEAD.match(line):
            time, label, text = day + head["time"], head["label"].rstrip(), head["text"]
        elif not line.startswith(INDENTED):
            time, label = None, ""
        yield json.dumps({"time": time, "label": label, "text": text}, ensure_ascii=False)
