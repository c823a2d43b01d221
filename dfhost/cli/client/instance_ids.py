"""Ids as people type them: whole, or the beginning of one. An id that does not exist is answered with the nearest."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from itertools import islice

from dfhost.cli.client.management_client import Json, ManagementClient, check_name
from dfhost.cli.exit_codes import MISTAKE, NOT_FOUND, NotDone
from dfhost.cli.style import count, printable
from dfhost.did_you_mean import nearest, question
from dfhost.short_id import LENGTH, is_generated, short_child, short_id
from dfhost.timeline.model import CHILD, OPEN

_SEARCHED = 2000  # ids that are compared with a misspelt one
_SHOWN = 5
_NAMED = 3  # children; more are counted


def add_argument(parser: ArgumentParser, *, acting: bool = False, nargs: str | None = None) -> None:
    """The argument ID, whose texts are for `open_client` and then for `find_instance`."""
    beginning = "its beginning if it is generated" if acting else "the beginning of one"
    parser.add_argument("id", metavar="ID", nargs=nargs, help=f"an id, {beginning}, or a status URL")


def find_instance(
    client: ManagementClient, text: str, *, acting: bool = False, or_entity: bool = False
) -> Json:
    """The status, without its input, of the one instance whose id is `text` or begins with it.

    `acting`: something is done to the instance. Then only the beginning of a generated id counts: else a second
    `dfhost purge order-1` would purge order-17. NotDone if there is no such instance, or more than one, and for an
    entity unless `or_entity`: hosts accept to steer one, and nothing comes of it.
    """
    text = as_stored(text)
    check_name(text)
    status = client.status(text, showInput="false")
    if status is not None:
        if acting and not or_entity and text.startswith("@") and str(status["name"]).startswith("@"):
            shown = printable(text)
            raise NotDone(
                MISTAKE, f"{shown} is an entity: only `dfhost signal` and `dfhost purge` are for entities."
            )
        return status
    similar = list(islice(_without_parts(_beginning_with(client, text)), _SHOWN + 1)) if text else []
    if len(similar) == 1 and (not acting or is_generated(str(similar[0]["instanceId"]))):
        return similar[0]
    ids = [str(each["instanceId"]) for each in similar]
    if len(ids) > 1:
        shown = printable(", ".join(shortest_ids(ids[:_SHOWN]))) + (", …" if len(ids) > _SHOWN else "")
        raise NotDone(NOT_FOUND, f"'{printable(text)}' is the beginning of several ids: {shown}.")
    hint = _hint(text, similar or list(islice(client.instances(), _SEARCHED)))
    hint = hint or "Is it on another host? See --url."
    raise NotDone(NOT_FOUND, f"{client.place} has no instance '{printable(text)}'. {printable(hint)}")


def as_stored(text: str) -> str:
    """@Counter@Total -> @counter@Total: the name of an entity has no case, as on Azure. Any other id as it is."""
    if not text.startswith("@"):
        return text
    name, at, key = text[1:].partition("@")
    return f"@{name.lower()}{at}{key}"


def suggestion(client: ManagementClient, text: str) -> str:
    """What was probably meant by an id that does not exist, "" if that is unknown."""
    return printable(_hint(text, list(islice(client.instances(), _SEARCHED))))


def _hint(text: str, instances: list[Json]) -> str:
    """What was probably meant: an id, or the instances of an orchestrator whose name was given; or ""."""
    ids, names = ({str(each[key]) for each in instances} for key in ("instanceId", "name"))
    near = nearest(text, sorted(ids | names), 3)
    if near and near[0] not in ids:
        return f"Instances of {near[0]}? See `dfhost list --name {near[0]}`."
    return question(text, sorted(ids), 3)


def find_id(client: ManagementClient, text: str, *, acting: bool = False) -> str:
    return str(find_instance(client, text, acting=acting)["instanceId"])


def children(client: ManagementClient, instance_id: str, only_open: bool = False) -> list[str]:
    """The ids of its sub-orchestrations that are there; none from another host than dfhost."""
    timeline = client.own_status(instance_id, "timeline", limit="1") or {}
    calls = [
        call
        for task in timeline.get("tasks", ())
        if task["kind"] == CHILD
        for call in task.get("attempts") or [task]
    ]
    return [
        str(call["instanceId"])
        for call in calls
        if call.get("childStatus") and (not only_open or call["state"] in OPEN)
    ]


def in_words(ids: list[str]) -> str:
    """ "68af44aa:0, 68af44aa:1, 68af44aa:2 and 4 others": ready to print."""
    shown = ", ".join(printable(short_id(each)) for each in ids[:_NAMED])
    return shown + (f" and {count(more, 'other')}" if (more := len(ids) - _NAMED) > 0 else "")


def shortest_ids(ids: list[str]) -> list[str]:
    """Of each generated id the beginning that tells it from the others, any other id as it is."""
    length = LENGTH
    while len({short_id(text, length) for text in ids}) < len(set(ids)):
        length += 1
    return [short_id(text, length) for text in ids]


def _without_parts(instances: Iterator[Json]) -> Iterator[Json]:
    """Without those whose ids go on after a colon with the id of the first: the parts of a map. Ordered by id."""
    if first := next(instances, None):
        yield first
        parts = f"{first['instanceId']}:"
        yield from (each for each in instances if not str(each["instanceId"]).startswith(parts))


def _beginning_with(client: ManagementClient, text: str) -> Iterator[Json]:
    if child := short_child(text):
        beginning, number = child
        found = client.instances(instanceIdPrefix=beginning)
        return (each for each in found if str(each["instanceId"]).endswith(number))
    return client.instances(instanceIdPrefix=text)
