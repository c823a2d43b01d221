"""What may come next on a command line, for the shells: verbs, options, values, and what the host has: ids and names.

The scripts for bash and zsh ask for this at each tab, so they need not change when a command does.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from dfhost.cli.client import host_address
from dfhost.cli.client.function_names import orchestrator_names, triggered_names
from dfhost.cli.client.instance_ids import find_id
from dfhost.cli.client.management_client import ManagementClient, open_client, orchestrations
from dfhost.cli.commands import COMMANDS
from dfhost.cli.parser import build_parser
from dfhost.errors import HostError
from dfhost.runtime_status import FINAL_STATUSES, RUNTIME_STATUSES

_MOST = 200  # ids
_GOING_ON = [status for status in RUNTIME_STATUSES if status not in FINAL_STATUSES]
#: The statuses of the instances that a verb can do something to; any for the others.
_STATUSES = {
    "raise": _GOING_ON,
    "suspend": [status for status in _GOING_ON if status != "Suspended"],
    "resume": ["Suspended"],
    "terminate": _GOING_ON,
    "rewind": ["Failed"],
    "purge": FINAL_STATUSES,
}

BASH = """\
_dfhost() {
    local line="${COMP_LINE:0:COMP_POINT}" current cut IFS=$' \\t'
    local -a words replies
    read -ra words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    current="${words[${#words[@]}-1]}"
    IFS=$'\\n'
    replies=($(dfhost completion words -- "${words[@]:1}" 2>/dev/null | cut -f1))
    if [[ ${replies[0]} == --files ]]; then
        replies=($(compgen -f -- "$current"))
        compopt -o filenames 2>/dev/null
    fi
    # bash cuts words at : and @ and takes the rest alone.
    cut="${current%"${COMP_WORDS[COMP_CWORD]}"}"
    COMPREPLY=("${replies[@]#"$cut"}")
}
complete -F _dfhost dfhost
"""

ZSH = """\
#compdef dfhost
_dfhost() {
    local -a lines names shown
    lines=("${(@f)$(dfhost completion words -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ ${lines[1]} == --files ]]; then
        _files
        return
    fi
    names=("${(@)lines%%$'\\t'*}")
    shown=("${(@)lines//$'\\t'/  }")
    compadd -l -d shown -a names
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _dfhost dfhost
"""


class Candidate(NamedTuple):
    word: str
    meaning: str = ""


FILES = Candidate("--files")  # alone: the shell completes the name of a file


def candidates(words: Sequence[str]) -> list[Candidate]:
    """`words`: those after `dfhost`, of which the last one is being typed and may be empty."""
    *before, current = words or [""]
    found = list(_candidates(before, current))
    return found if FILES in found else [each for each in found if each.word.startswith(current)]


def _candidates(before: Sequence[str], current: str) -> Iterable[Candidate]:
    if not before:
        return [Candidate(command.name, command.summary) for command in COMMANDS.values()]
    verb, *rest = before
    if verb not in COMMANDS:
        return []
    parser = build_parser(verb)
    commands = next(action for action in parser._actions if isinstance(action.choices, dict))
    assert isinstance(commands.choices, dict)
    actions: list[argparse.Action] = commands.choices[verb]._actions
    options = {name: action for action in actions for name in action.option_strings}
    if rest and (option := options.get(rest[-1])) is not None and option.nargs != 0:
        return _values(verb, option, rest, [], current)
    if current.startswith("-"):
        return [
            Candidate(name, action.help or "") for name, action in options.items() if name.startswith("--")
        ]
    positionals = [action for action in actions if not action.option_strings]
    given = _positionals(rest, options)
    if len(given) < len(positionals):
        return _values(verb, positionals[len(given)], rest, given, current)
    if positionals and positionals[-1].nargs in ("+", "*"):
        return _values(verb, positionals[-1], rest, given, current)
    return []


def _positionals(words: Sequence[str], options: dict[str, argparse.Action]) -> list[str]:
    found, value_of = [], None
    for word in words:
        if value_of is None and not word.startswith("-"):
            found.append(word)
        option = options.get(word) if value_of is None else None
        value_of = option if option is not None and option.nargs != 0 else None
    return found


def _values(
    verb: str, action: argparse.Action, words: Sequence[str], given: Sequence[str], current: str
) -> Iterable[Candidate]:
    """`words`: all before the one that is typed, `given`: those of them that are neither options nor their values."""
    if action.choices is not None:
        return [Candidate(str(choice)) for choice in action.choices]
    if action.type is Path:
        return [FILES]
    if action.dest == "status":
        return [Candidate(status) for status in RUNTIME_STATUSES]
    if (ask := _ASKED.get(action.dest)) is None:
        return []
    with suppress(HostError, KeyError, TypeError, argparse.ArgumentError):
        client, _ = open_client(_host_options(words))
        return list(ask(client, verb, given, current))
    return []


def _host_options(words: Sequence[str]) -> argparse.Namespace:
    """Those of the options that say which host, as far as they are typed. ArgumentError if one has no valid value."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    host_address.add_arguments(parser, reads=True)
    return parser.parse_known_args(words)[0]


# -- what the host has -------------------------------------------------------------------------------------------
def _ids(client: ManagementClient, verb: str, given: Sequence[str], current: str) -> Iterable[Candidate]:
    found = client.instances(instanceIdPrefix=current, runtimeStatus=",".join(_STATUSES.get(verb, ())))
    for instance in islice(orchestrations(found), _MOST):
        yield Candidate(str(instance["instanceId"]), f"{instance['name']}, {instance['runtimeStatus']}")


def _entity_ids(
    client: ManagementClient, verb: str, given: Sequence[str], current: str
) -> Iterable[Candidate]:
    for entity in islice(client.entities(), _MOST):
        yield Candidate(f"@{entity['entityId']['name']}@{entity['entityId']['key']}")


def _orchestrators(
    client: ManagementClient, verb: str, given: Sequence[str], current: str
) -> Iterable[Candidate]:
    return map(Candidate, orchestrator_names(client.functions() or []))


def _triggered(
    client: ManagementClient, verb: str, given: Sequence[str], current: str
) -> Iterable[Candidate]:
    return map(Candidate, triggered_names(client.functions() or []))


def _awaited_events(
    client: ManagementClient, verb: str, given: Sequence[str], current: str
) -> Iterable[Candidate]:
    instance_id = find_id(client, given[0])
    return map(Candidate, (client.awaited_events(instance_id) or {}).get(instance_id, []))


def _queues(client: ManagementClient, verb: str, given: Sequence[str], current: str) -> Iterable[Candidate]:
    for queue in client.queues("GET"):
        taken_by = ", ".join(queue["functions"])
        yield Candidate(str(queue["name"]), f"taken by {taken_by}" if taken_by else "")


_ASKED: dict[str, Callable[[ManagementClient, str, Sequence[str], str], Iterable[Candidate]]] = {
    "id": _ids,
    "entity": _entity_ids,
    "name": _orchestrators,
    "function": _triggered,
    "event": _awaited_events,
    "queue": _queues,
}
