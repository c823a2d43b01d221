"""Write docs/testing-reference.md from the docstrings of `dfhost.testing`. A test holds the page to its output."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dfhost.testing

PAGE = Path(__file__).parents[1] / "docs" / "testing-reference.md"

_HEAD = """\
# Reference of dfhost.testing

Everything that `from dfhost.testing import …` offers. The fixture `durable` is a [`Durable`](#durable). \
[testing.md](testing.md) shows how to use it.
"""


def page() -> str:
    parts = [_HEAD]
    for name in dfhost.testing.__all__:
        parts.append("\n".join(_section(getattr(dfhost.testing, name))))
    return "\n".join(parts)


def _section(cls: Any) -> Iterator[str]:
    yield f"## {cls.__name__}"
    yield ""
    yield _text(cls.__doc__)
    yield ""
    for title, text in _members(cls):
        yield f"**`{title}`**  "
        yield text
        yield ""


def _members(cls: Any) -> Iterator[tuple[str, str]]:
    if issubclass(cls, BaseException):
        return
    if cls.__name__ == "Host":
        yield f"Host{_signature(cls.__init__)}", "Options, all by name but the folder."
    yield from _attributes(cls)
    for name, member in vars(cls).items():
        if name.startswith("_") or not (doc := inspect.getdoc(member)):
            continue
        if isinstance(member, property) or not callable(member):
            function = member.fget if isinstance(member, property) else getattr(member, "func", member)
            yield f"{name}: {_type(function)}", _text(doc)
        else:
            yield f"{name}{_signature(member)}", _text(doc)


def _attributes(cls: Any) -> Iterator[tuple[str, str]]:
    """Those that the constructor sets, with the ``#:`` comments above them."""
    source = textwrap.dedent(inspect.getsource(cls))
    for comment, name in re.findall(r"#: (.+)\n\s+self\.(\w+)(?:: [^=]+)? =", source):
        yield name, _text(comment)


def _type(function: Any) -> str:
    return str(inspect.get_annotations(function).get("return", "Any"))


def _signature(function: Any) -> str:
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(node, ast.FunctionDef)
    node.args.args.pop(0)  # self
    arguments = ast.unparse(node.args).replace("NOT_GIVEN", "…")
    returns = f" -> {ast.unparse(node.returns)}" if node.returns and node.name != "__init__" else ""
    return f"({arguments}){returns}"


def _text(doc: str | None) -> str:
    return " ".join((doc or "").replace("``", "`").split())


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
