"""The parser of the command line: `dfhost COMMAND …`, built from the table of verbs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from shlex import quote
from typing import Any, NoReturn

from dfhost.cli.commands import COMMANDS, GROUPS
from dfhost.cli.exit_codes import MISTAKE
from dfhost.did_you_mean import nearest, question


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The options of one command, `command` its name. SystemExit for help, and for a mistake with exit code 2."""
    verb = arguments[0] if arguments else ""
    if list(arguments[:3]) == ["completion", "words", "--"]:  # argparse would drop a further --
        return argparse.Namespace(command=verb, shell="words", words=list(arguments[3:]))
    parser = build_parser(verb)
    if verb and not verb.startswith("-") and verb not in COMMANDS:
        meant = question(verb, COMMANDS) or f"choose from {', '.join(COMMANDS)}"
        parser.error(f"argument COMMAND: invalid choice: '{verb}' ({meant})")
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.print_help()
        parser.exit()
    return options


def build_parser(verb: str) -> argparse.ArgumentParser:
    """The parser of one verb. If `verb` is none, it has the names of all without arguments, which takes no import."""
    parser = _Parser(
        prog="dfhost",
        usage="dfhost COMMAND …",
        description="The local durable host for Azure Durable Functions in Python.",
        epilog=_table_of_verbs() + "\n\n`dfhost COMMAND --help` shows its options and examples.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_VersionAction, nargs=0, help="print the versions and exit")
    commands = parser.add_subparsers(
        dest="command",
        metavar="COMMAND",
        parser_class=_Parser,
        help=argparse.SUPPRESS,
    )
    if verb in COMMANDS:
        module = COMMANDS[verb].load()
        below = commands.add_parser(
            verb,
            prog=f"dfhost {verb}",
            description=module.DESCRIPTION,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(below)
    else:
        for name in COMMANDS:
            commands.add_parser(name, add_help=False)
    return parser


def _table_of_verbs() -> str:
    width = max(map(len, COMMANDS))
    return "\n\n".join(
        "\n".join([f"{title}:", *(f"  {each.name:<{width}}  {each.summary}" for each in group)])
        for title, group in GROUPS.items()
    )


class _VersionAction(argparse.Action):
    """Looks the versions up only for --version: that takes longer than everything else here."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import platform
        from importlib.metadata import version

        versions = [f"{name} {version(name)}" for name in ("dfhost", "azure-functions-durable")]
        print(", ".join([*versions, f"Python {platform.python_version()}"]))
        parser.exit()


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in a line, with the name that was meant; its usage would stand above and hide that."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        # With abbreviations --nam would be taken for --name, while other misspelt options are refused.
        super().__init__(*arguments, **{**options, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        self.exit(MISTAKE, f"{self.prog}: {message}\n`{self.prog} --help` shows what it takes.\n")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        options, unknown = super().parse_known_args(args, namespace)
        if unknown:
            meant = self._meant(unknown) or _meant_value(unknown, options)
            self.error(f"unrecognized arguments: {' '.join(unknown)}{meant}")
        return options, unknown

    def _meant(self, unknown: Sequence[str]) -> str:
        """ ". Did you mean --port?", "" if no option is near."""
        name = next((word[2:].partition("=")[0] for word in unknown if word.startswith("--")), "")
        found = nearest(
            name, [option[2:] for option in self._option_string_actions if option.startswith("--")]
        )
        return f". Did you mean --{found[0]}?" if name and found else ""


#: The names that other programs have for --data and --input.
_PAYLOAD_OPTIONS = ("-d", "-i", "--body", "--json", "--payload", "--data-raw", "--data-binary", "--args")


def _meant_value(unknown: Sequence[str], options: argparse.Namespace) -> str:
    """ ". Did you mean --data '{"a": 1}'?" for a value without its option, or with another program's.

    "" if the command's default `value_option`, which names the option, is missing.
    """
    option_of = getattr(options, "value_option", None)
    first = unknown[0].partition("=")[0]
    if option_of is None or (first.startswith("-") and first not in _PAYLOAD_OPTIONS):
        return ""
    option = option_of(options)
    if first.startswith("-") and option not in ("--data", "--input"):
        return ""
    value = next((word for word in unknown if not word.startswith("-")), None)
    return f". Did you mean {option}{'' if value is None else f' {quote(value)}'}?"
