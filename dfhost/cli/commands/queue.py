"""`dfhost queue [NAME]`: the app's storage queues and their messages; puts, moves and deletes messages."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timezone
from typing import Any

from dfhost.cli import arguments
from dfhost.cli.asking import agreed
from dfhost.cli.client import host_address
from dfhost.cli.client.management_client import Json, ManagementClient, open_client
from dfhost.cli.exit_codes import DONE, MISTAKE, NOT_FOUND, NotDone
from dfhost.cli.payload import read_bytes
from dfhost.cli.style import Style, count, printable, printable_json
from dfhost.cli.views.tables import ago, due, table_lines
from dfhost.did_you_mean import question
from dfhost.errors import HostError
from dfhost.timeline.sentences import brief
from dfhost.timestamps import parse_timestamp

DESCRIPTION = """\
Without NAME, list the app's storage queues; with NAME, the messages that wait in one, the oldest first. dfhost keeps
the queues itself, whatever connection the app names, so only dfhost has them.

examples:
  dfhost queue orders --put '{"id": 7}'
  dfhost queue orders-poison --move orders      once the function is mended

exit code: 0; 4 if there are no messages, or no queues.
"""

_SHOWN = 50  # messages


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("queue", metavar="NAME", nargs="?", help="of the queue, as the app or a list has it")
    change = parser.add_mutually_exclusive_group()
    change.add_argument(
        "--put", metavar="TEXT", help="put a message, as it is; @FILE, or @- for stdin, puts what is in it"
    )
    change.add_argument("--move", metavar="QUEUE", help="move its messages to another queue, as new ones")
    change.add_argument("--clear", action="store_true", help="delete its messages")
    parser.add_argument(
        "--limit",
        metavar="N",
        type=arguments.above_zero,
        help=f"show at most N messages (default: {_SHOWN})",
    )
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="print the host's answer as JSON")
    host_address.add_arguments(parser)
    parser.set_defaults(usage_error=parser.error)


def run(options: argparse.Namespace) -> int:
    changes = options.put is not None or options.move is not None or options.clear
    if changes and not options.queue:
        options.usage_error("which queue? Give its NAME")
    if changes and options.limit:
        options.usage_error("--limit is for what is shown: a change is of all messages of the queue")
    text = None if options.put is None else _text(options.put)
    options.dry_run = not changes  # looking at a host that was guessed needs no question
    client, _ = open_client(options)
    if not options.queue:
        return _show_queues(client.queues("GET"), options)
    if text is not None:
        return _put(client, text, options)
    if options.move is not None:
        return _move(client, options)
    if options.clear:
        return _clear(client, options)
    return _show_messages(client, options)


def _text(given: str) -> str:
    try:
        return read_bytes("--put", given).decode()
    except UnicodeDecodeError:
        raise HostError("--put is not UTF-8 text. Messages are kept as text.") from None


# -- looking -----------------------------------------------------------------------------------------------------
def _show_queues(queues: list[Json], options: argparse.Namespace) -> int:
    if options.json:
        print(printable_json(queues))
    elif not queues:
        print("There are none: no function has a queue trigger, and no message was put.")
    else:
        rows = [
            [each["name"], count(each["messages"]), count(each["running"]), ", ".join(each["functions"])]
            for each in queues
        ]
        head = ("QUEUE", "MESSAGES", "RUNNING", "TAKEN BY")
        print("\n".join(table_lines(head, rows, Style.of(sys.stdout))))
    return DONE if queues else NOT_FOUND


def _show_messages(client: ManagementClient, options: argparse.Namespace) -> int:
    queue = client.queues("GET", options.queue, top=options.limit or _SHOWN)
    messages, now, style = queue["messages"], datetime.now(timezone.utc), Style.of(sys.stdout)
    if options.json:
        print(printable_json(queue))
    elif not messages:
        print(f"Queue {printable(queue['name'])} has no messages. {_unknown(client, queue)}".rstrip())
    else:
        rows = [
            [
                ago(each["insertedAt"], now),
                _state(each, now),
                str(each["dequeueCount"]),
                brief(each["message"], 200),
            ]
            for each in messages
        ]
        print("\n".join(table_lines(("PUT", "STATE", "DEQUEUED", "MESSAGE"), rows, style)))
        if more := queue["length"] - len(messages):
            print(style(f"{count(more)} more: --limit shows them.", "dim"))
        if not queue["functions"]:
            print(style("No function takes messages from this queue.", "dim"))
    return DONE if messages else NOT_FOUND


def _state(message: Json, now: datetime) -> str:
    if message["running"]:
        return "running"
    return due(message["visibleAt"], now) if parse_timestamp(message["visibleAt"]) > now else "waiting"


def _unknown(client: ManagementClient, queue: Json) -> str:
    """What to say about a queue that no function takes messages from."""
    if queue["functions"]:
        return ""
    names = [str(each["name"]) for each in client.queues("GET") if each["name"] != queue["name"]]
    return f"No function takes messages from it. {printable(question(queue['name'], names))}".rstrip()


# -- changing ----------------------------------------------------------------------------------------------------
def _refuse_if_meant_otherwise(client: ManagementClient, name: str, options: argparse.Namespace) -> None:
    """NotDone if there is no such queue so far, and another one was probably meant."""
    names = [str(each["name"]) for each in client.queues("GET")]
    if options.yes or name.lower() in names or not (near := question(name.lower(), names)):
        return
    undone = "Nothing was done; --yes does it anyway."
    raise NotDone(MISTAKE, f"There is no queue {printable(name)} so far. {printable(near)} {undone}")


def _put(client: ManagementClient, text: str, options: argparse.Namespace) -> int:
    _refuse_if_meant_otherwise(client, options.queue, options)
    answer = client.queues("POST", options.queue, value={"message": text})
    if options.json:
        print(printable_json(answer))
        return DONE
    queue = client.queues("GET", answer["queue"], top=1)
    takers = ", ".join(queue["functions"])
    goes_on = f"{takers} takes it; the host's log shows how that ends." if takers else _unknown(client, queue)
    print(f"Put a message into queue {printable(answer['queue'])}. {printable(goes_on)}")
    return DONE


def _move(client: ManagementClient, options: argparse.Namespace) -> int:
    _refuse_if_meant_otherwise(client, options.move, options)
    answer = client.queues("POST", f"{options.queue}/move", value={"to": options.move})
    moved = int(answer["moved"])
    return _report(
        answer,
        moved,
        f"Moved {count(moved, 'message')} from queue {answer['queue']} to {answer['to']}.",
        options,
    )


def _clear(client: ManagementClient, options: argparse.Namespace) -> int:
    length = client.queues("GET", options.queue, top=1)["length"]
    what = f"{count(length, 'message')} of queue {printable(options.queue)}"
    if (
        length
        and not options.yes
        and not agreed(f"Delete {what}?", f"{what} would be deleted. Add --yes to do it.")
    ):
        return DONE
    answer = client.queues("DELETE", options.queue)
    deleted = int(answer["deleted"])
    return _report(
        answer, deleted, f"Deleted {count(deleted, 'message')} of queue {answer['queue']}.", options
    )


def _report(answer: Any, changed: int, sentence: str, options: argparse.Namespace) -> int:
    print(printable_json(answer) if options.json else printable(sentence))
    return DONE if changed else NOT_FOUND
