"""`dfhost purge`: delete instances that have ended, by id or by a filter."""

from __future__ import annotations

import argparse

from dfhost.cli.asking import agreed
from dfhost.cli.client import host_address, instance_filter, instance_ids
from dfhost.cli.client.management_client import Json, ManagementClient, open_client
from dfhost.cli.exit_codes import DONE, NOT_FOUND, WRONG_STATE, NotDone
from dfhost.cli.style import count, printable, printable_json
from dfhost.runtime_status import FINAL_STATUSES

DESCRIPTION = """\
Delete instances with all that is stored of them. The space that they took is given back. With a filter only
instances that have ended are deleted, and the number is asked about first; so is the beginning of an id.
Sub-orchestrations are instances of their own, and stay.

examples:
  dfhost purge order-17 @counter@total
  dfhost purge --status Completed --until 7d --yes      those created more than seven days ago

exit code: 0; 4 if there is nothing to purge; 5 if an instance has not ended.
"""

_NAMED = 5  # of more instances the number is printed
_ALWAYS = "1970-01-01T00:00:00Z"  # the management API wants a first date


def add_arguments(parser: argparse.ArgumentParser) -> None:
    instance_ids.add_argument(parser, acting=True, nargs="*")
    instance_filter.add_arguments(parser)
    parser.add_argument("--dry-run", action="store_true", help="only say how many there are")
    parser.add_argument("--yes", "-y", action="store_true", help="do not ask")
    parser.add_argument("--json", action="store_true", help="print how many were purged as JSON")
    host_address.add_arguments(parser)
    parser.set_defaults(usage_error=parser.error)


def run(options: argparse.Namespace) -> int:
    by_filter = instance_filter.is_used(options)
    if bool(options.id) == by_filter:
        options.usage_error("which instances? Give ids, or a filter such as --status Completed --until 7d")
    if going_on := [status for status in options.status if status not in FINAL_STATUSES]:
        options.usage_error(
            f"only instances that have ended are purged, not those that are {going_on[0]}: terminate them first"
        )
    client, ids = open_client(options, *options.id)
    purged, which = _by_filter(client, options) if by_filter else _by_ids(client, ids, options)
    if options.json:
        print(printable_json({"instancesDeleted": purged}))
    elif not options.dry_run:
        print(f"Purged {which or count(purged, 'instance')}.")
    return DONE if purged or options.dry_run else NOT_FOUND


def _by_ids(client: ManagementClient, ids: list[str], options: argparse.Namespace) -> tuple[int, str]:
    """How many were purged, and which, in words. Beginnings are asked about: they may be another's than was meant."""
    # All are found before any is purged: a misspelt id stops the command.
    found = [instance_ids.find_instance(client, text, acting=True, or_entity=True) for text in ids]
    whole = [str(instance["instanceId"]) for instance in found]
    named = printable(", ".join(map(_named, found)))
    for each in found:
        if not _is_entity(each) and each["runtimeStatus"] not in FINAL_STATUSES:
            raise NotDone(
                WRONG_STATE,
                f"{printable(_named(each))} is {each['runtimeStatus']}. Only orchestrations in a terminal state can "
                "be purged: terminate it first.",
            )
    if options.dry_run:
        print(f"{named} would be purged.")
        return 0, ""
    if whole != ids and not (options.yes or _agreed(named)):
        return 0, ""
    left = "" if len(found) > _NAMED else _children_left(client, whole)
    return sum(map(client.purge, whole)), named + left if len(found) <= _NAMED else ""


def _children_left(client: ManagementClient, ids: list[str]) -> str:
    """What is to be said of the sub-orchestrations of these orchestrations and entities, after the names of these."""
    children = [child for each in ids if each[0] != "@" for child in instance_ids.children(client, each)]
    left = [child for child in dict.fromkeys(children) if child not in ids]
    owner, stay = ("Its" if len(ids) == 1 else "Their"), ("stays" if len(left) == 1 else "stay")
    what = "sub-orchestration" if len(left) == 1 else "sub-orchestrations"
    return f". {owner} {what} {instance_ids.in_words(left)} {stay}" if left else ""


def _named(instance: Json) -> str:
    instance_id = str(instance["instanceId"])
    return instance_id if _is_entity(instance) else f"{instance['name']} {instance_id}"


def _is_entity(instance: Json) -> bool:
    return str(instance["instanceId"]).startswith("@")


def _by_filter(client: ManagementClient, options: argparse.Namespace) -> tuple[int, str]:
    options.status = options.status or list(FINAL_STATUSES)
    found = [str(instance["instanceId"]) for instance in instance_filter.find(client, options)]
    if options.dry_run:
        print(f"{count(len(found), 'instance')} would be purged.")
        return 0, ""
    if not found or not (options.yes or _agreed(count(len(found), "instance"))):
        return 0, ""
    if options.name or options.text or options.prefix:  # which the management API cannot purge by
        return sum(client.purge(instance_id) for instance_id in found), ""
    purged = client.purge_where(
        createdTimeFrom=instance_filter.iso(options.since) or _ALWAYS,
        createdTimeTo=instance_filter.iso(options.until),
        runtimeStatus=",".join(options.status),
    )
    return purged, ""


def _agreed(what: str) -> bool:
    return agreed(f"Purge {what}?", f"{what} would be purged. Add --yes to do it.")
