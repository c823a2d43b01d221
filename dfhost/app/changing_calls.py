"""Calls that differ from replay to replay, or do something again at each: what an orchestrator must not call.

A name is looked up in the function that has it. Where that is not certain, nothing is said.
"""

from __future__ import annotations

import ast
import builtins
import datetime
import inspect
import os
import random
import secrets
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from dfhost.runner.functions import CAN_FAIL
from dfhost.user_frames import is_library

#: By file: the definitions in it, by their first lines.
Files = dict[str, dict[int, ast.stmt]]
#: How many functions deep what an orchestrator calls is read.
_DEPTH = 2
_NOW = "context.current_utc_datetime"
_UUID = "context.new_uuid()"
SLEEP = f"yield context.create_timer({_NOW} + timedelta(seconds=…))"
_RANDOM = "random.Random(context.instance_id), or let an activity choose"
#: What an orchestrator must not call -> what to write instead.
_CHANGING: dict[Any, str] = {
    **dict.fromkeys((time.time, time.time_ns, time.monotonic, time.perf_counter), f"{_NOW}.timestamp()"),
    **dict.fromkeys((uuid.uuid1, uuid.uuid4), _UUID),
    os.urandom: _RANDOM,
}
_VERBS = frozenset(("get", "post", "put", "patch", "delete", "head", "options", "request", "stream"))
#: By module: the functions that send a request.
_REQUESTS = {
    "requests.api": _VERBS,
    "httpx": _VERBS,
    "urllib.request": frozenset(("urlopen", "urlretrieve")),
}


def instead_of(called: Any) -> str:
    """What an orchestrator is to call in place of `called`, "" if nothing is wrong with it."""
    owner = getattr(called, "__self__", None)
    if isinstance(owner, type) and issubclass(owner, datetime.date):
        return _NOW if getattr(called, "__name__", "") in ("now", "utcnow", "today") else ""
    if owner is random._inst or getattr(called, "__module__", "") == secrets.__name__:
        return _RANDOM if getattr(called, "__name__", "") != "seed" else ""
    with suppress(TypeError):  # not hashable
        return _CHANGING.get(called, "")
    return ""


def sends_a_request(called: Any) -> bool:
    """Whether it is a function of a library that sends an HTTP request at once."""
    module, name = getattr(called, "__module__", None), getattr(called, "__name__", "")
    return inspect.isfunction(called) and module in _REQUESTS and name in _REQUESTS[module]


def is_written(call: ast.Call) -> bool:
    """Whether a call of `open` names a mode that writes."""
    modes = [*call.args[1:2], *(each.value for each in call.keywords if each.arg == "mode")]
    return any(isinstance(each, ast.Constant) and set(str(each.value)) & set("wax+") for each in modes)


def changing_results(
    node: ast.stmt, code: Callable[..., Any], root: str, files: Files
) -> Iterator[tuple[int, str]]:
    """Each call of a function of the app whose value differs at each replay."""
    nodes = list(ast.walk(node))
    dropped = {id(each.value) for each in nodes if isinstance(each, ast.Expr)}
    for each in nodes:
        if not isinstance(each, ast.Call) or id(each) in dropped:
            continue
        called = resolve(each.func, code, {})
        if found := _changing_result(called, root, files, _DEPTH):
            source, place, instead = found
            yield (
                each.lineno,
                f"{ast.unparse(each.func)}() returns what {source}() gives ({place}), which differs at each replay, "
                f"{CAN_FAIL}. Write {instead}.",
            )


def _changing_result(called: Any, root: str, files: Files, depth: int) -> tuple[str, str, str] | None:
    """The call that makes the result of a function of the app differ, its place, and what to write instead.

    Only if every call of the function comes by there, and its result is part of what the function returns.
    """
    node = definition(called, files) if depth and _is_plain(called, root) else None
    if not isinstance(node, ast.FunctionDef):
        return None
    nodes, last = list(ast.walk(node)), node.body[-1]
    if not isinstance(last, ast.Return) or sum(isinstance(each, ast.Return) for each in nodes) > 1:
        return None
    values, imported = _values(node, nodes), imported_within(nodes)
    left: list[ast.AST] = [last]
    while left:
        each = left.pop()
        if isinstance(each, ast.Name):
            left += values.pop(each.id, [])
        elif isinstance(each, ast.Call):
            inner = resolve(each.func, called, imported)
            if instead := instead_of(inner):
                file = Path(called.__code__.co_filename).name
                return ast.unparse(each.func), f"{file}, line {each.lineno}", instead
            if found := _changing_result(inner, root, files, depth - 1):
                return found
            # Any other function may answer the same to what differs; str and the like do not.
            left += ast.iter_child_nodes(each) if inspect.isclass(inner) else [each.func]
        elif not isinstance(each, (ast.BoolOp, ast.IfExp, ast.Compare, ast.Lambda)):
            left += ast.iter_child_nodes(each)
    return None


def _values(node: ast.FunctionDef, nodes: Iterable[ast.AST]) -> dict[str, list[ast.expr]]:
    """What the function assigns once, under no condition, by name. `nodes`: all that are in it."""
    stores = Counter(
        each.id for each in nodes if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
    )
    return {
        target.id: [each.value]
        for each in node.body
        if isinstance(each, ast.Assign)
        for target in each.targets
        if isinstance(target, ast.Name) and stores[target.id] == 1
    }


def _is_plain(function: Any, root: str) -> bool:
    """Whether it is a function of one of the app's modules, as it stands there."""
    if not inspect.isfunction(function):
        return False
    code = function.__code__
    is_undecorated = code.co_name == function.__qualname__ and not hasattr(function, "__wrapped__")
    is_own = code.co_filename.startswith(f"{root}{os.sep}") and not is_library(code.co_filename)
    is_simple = not (inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function))
    return is_undecorated and is_own and is_simple


def resolve(node: ast.expr, code: Callable[..., Any], imported: dict[str, Any]) -> Any:
    """The object that a name or an attribute stands for in the function, None if that is not certain."""
    if isinstance(node, ast.Name):
        if node.id in imported:
            return imported[node.id]
        is_local = node.id in (*code.__code__.co_varnames, *code.__code__.co_freevars)
        return None if is_local else code.__globals__.get(node.id, getattr(builtins, node.id, None))
    if isinstance(node, ast.Attribute):
        owner = resolve(node.value, code, imported)
        if inspect.ismodule(owner) or inspect.isclass(owner):
            return getattr(owner, node.attr, None)
    return None


def imported_within(nodes: list[ast.AST]) -> dict[str, Any]:
    """What names stand for that a function of these `nodes` imports itself and assigns nowhere else, by name.

    Only the modules that have something which an orchestrator must not call.
    """
    modules = {module.__name__: module for module in (datetime, os, random, secrets, time, uuid)}
    libraries = ("requests", "httpx", "urllib.request")
    modules |= {name: sys.modules[name] for name in libraries if name in sys.modules}
    found: dict[str, Any] = {}
    for each in nodes:
        if isinstance(each, ast.Import):
            found |= {name.asname or name.name: modules.get(name.name) for name in each.names}
        elif isinstance(each, ast.ImportFrom):
            module = modules.get(each.module or "")
            found |= {name.asname or name.name: getattr(module, name.name, None) for name in each.names}
    if not found:
        return {}
    stored = {each.id for each in nodes if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
    stored |= {each.arg for each in nodes if isinstance(each, ast.arg)}
    return {name: value for name, value in found.items() if value is not None and name not in stored}


def definition(code: Callable[..., Any], files: Files) -> ast.stmt | None:
    """The function's definition. Each file is parsed once; it is that of the first decorator's line."""
    name, line = code.__code__.co_filename, code.__code__.co_firstlineno
    if name not in files:
        files[name] = {}
        with suppress(OSError, SyntaxError, ValueError):
            for node in statements(ast.parse(Path(name).read_bytes())):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                    first = node.decorator_list[0] if node.decorator_list else node
                    files[name][first.lineno] = node
    return files[name].get(line)


def statements(node: ast.AST) -> Iterator[ast.stmt]:
    """The statements within `node`, at any depth. Expressions, which are many, are not looked at."""
    for field in ("body", "orelse", "finalbody", "handlers", "cases"):
        for each in getattr(node, field, ()):
            if isinstance(each, ast.stmt):
                yield each
            yield from statements(each)
