"""Whether user code would run if a suspended generator were closed.

On Azure a generator is closed after every episode, so the ``finally`` and ``with`` blocks that it waits in run each
time. Locks are freed there, for instance. Such a generator must not be kept.
"""

from __future__ import annotations

import ast
import linecache
import threading
from functools import lru_cache
from types import GeneratorType
from typing import Any

# Handlers of other exceptions do not run when a generator is closed.
_CATCH_CLOSING = frozenset(("BaseException", "GeneratorExit"))


_TRY: tuple[type[ast.Try], ...] = (ast.Try, getattr(ast, "TryStar", ast.Try))

_parsing = threading.Lock()


def closing_runs_code(generator: Any) -> bool:
    """True in case of doubt: of code without source text, for instance."""
    while generator is not None:
        if not isinstance(generator, GeneratorType) or generator.gi_frame is None:
            return True
        frame = generator.gi_frame
        try:
            with _parsing:
                lines = _lines_with_cleanup(frame.f_code.co_filename)
        except SystemError:
            # CPython counts the depth of a syntax tree for all threads together (gh-106905), and the app may be
            # building one in another thread. The next episode asks again.
            return True
        if lines is None or any(first <= frame.f_lineno <= last for first, last in lines):
            return True
        generator = generator.gi_yieldfrom
    return False


@lru_cache(maxsize=256)
def _lines_with_cleanup(file: str) -> list[tuple[int, int]] | None:
    """The first and last line of each statement that reacts when its generator is closed. None without a source."""
    # "<string>" names many codes; from Python 3.13 on, linecache has the text of `python -c` under it.
    if file.startswith("<"):
        return None
    try:
        tree = ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError, RecursionError):
        return None
    if not tree.body:
        return None
    return [(node.lineno, node.end_lineno or node.lineno) for node in ast.walk(tree) if _reacts(node)]  # type: ignore[attr-defined]


def _reacts(node: ast.AST) -> bool:
    if isinstance(node, _TRY):
        return bool(node.finalbody) or any(_catches_closing(handler.type) for handler in node.handlers)
    return isinstance(node, (ast.With, ast.AsyncWith))


def _catches_closing(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    names = (getattr(node, "id", None) or getattr(node, "attr", None) for node in ast.walk(caught))
    return not _CATCH_CLOSING.isdisjoint(names)
