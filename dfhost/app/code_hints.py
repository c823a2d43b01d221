"""Mistakes in the code of functions that pass silently, found in the source before anything runs.

A call without `yield` or `await` does nothing, and some calls in an orchestrator differ from replay to replay. Only
what is certainly a mistake is reported. The function's own code is read, and that of the app's plain functions that
an orchestrator calls, for what they return.
"""

from __future__ import annotations

import ast
import inspect
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from azure.durable_functions import DurableOrchestrationClient, EntityId

from dfhost.app.changing_calls import (
    SLEEP,
    Files,
    changing_results,
    definition,
    imported_within,
    instead_of,
    is_written,
    resolve,
    sends_a_request,
    statements,
)
from dfhost.app.functions import Function
from dfhost.app.sdk import plain_function
from dfhost.did_you_mean import question
from dfhost.runner.functions import CAN_FAIL

_MOST = 20  # sentences
_TASKS = frozenset(
    """call_activity call_activity_with_retry call_sub_orchestrator call_sub_orchestrator_with_retry call_entity
    call_http wait_for_external_event create_timer task_all task_any""".split()
)
#: By the start of their names: what these methods of contexts and clients call.
_CALLED_KINDS = {
    "call_activity": "activity",
    "call_sub_orchestrator": "orchestrator",
    "call_entity": "entity",
    "signal_entity": "entity",
    "start_new": "orchestrator",
}


def code_hints(functions: Sequence[Function], switched_off: Sequence[Function] = ()) -> list[str]:
    """A sentence for each mistake, with its lines: what it does, and what to write.

    `switched_off`: functions that the app has and that do not run, as others say. To call one is no mistake here.
    """
    known = {(each.kind, each.durable_name.lower()): each for each in (*functions, *switched_off)}
    files: Files = {}
    found: list[str] = []
    for function in functions:
        code = _user_code(function)
        node = definition(code, files) if code is not None else None
        if code is None or node is None:
            continue
        lines: defaultdict[str, set[int]] = defaultdict(set)  # by what is wrong there
        if function.kind == "orchestrator" and _is_async(function):
            lines["an orchestrator that is an async def fails. Write def, and yield in place of await."].add(
                node.lineno
            )
        elif function.kind == "orchestrator":
            for line, what in _in_orchestrator(node, code, function.parameter):
                lines[what].add(line)
            for line, what in changing_results(node, code, function.directory, files):
                lines[what].add(line)
            for line, what in _unknown_names(node, code, function.parameter, known):
                lines[what].add(line)
        for binding in function.bindings:
            if binding["type"] == "durableClient":
                for line, what in _unawaited(node, str(binding["name"])):
                    lines[what].add(line)
                # With a task hub or a connection of its own it may start what another app has.
                if not (binding.get("taskHub") or binding.get("connectionName")):
                    for line, what in _unknown_names(node, code, str(binding["name"]), known):
                        lines[what].add(line)
        file = Path(code.__code__.co_filename).name
        found += [f"{function.name} ({file}, {_lines_in_words(lines[what])}): {what}" for what in lines]
    return found[:_MOST]


def _lines_in_words(lines: set[int]) -> str:
    """``line 34``, or ``lines 34, 39 and 43``."""
    *others, last = map(str, sorted(lines))
    return f"lines {', '.join(others)} and {last}" if others else f"line {last}"


def _user_code(function: Function) -> Callable[..., Any] | None:
    plain = plain_function(function.callable)
    return plain if inspect.isfunction(plain) else None


def _is_async(function: Function) -> bool:
    """Whether it is an `async def`, and not one that a decorator of the app drives."""
    handled = getattr(function.callable, "orchestrator_function", None)
    return inspect.iscoroutinefunction(handled) or inspect.isasyncgenfunction(handled)


# -- orchestrators -----------------------------------------------------------------------------------------------
def _in_orchestrator(node: ast.stmt, code: Callable[..., Any], context: str) -> Iterator[tuple[int, str]]:
    nodes = list(ast.walk(node))
    yields = _may_yield(nodes, context)
    for statement in statements(node):
        name = _method(getattr(statement, "value", None), context)
        if name not in _TASKS:
            continue
        call = f"{context}.{name}"
        if isinstance(statement, ast.Expr) or (
            isinstance(statement, ast.Assign) and (not yields or _unused(statement, nodes))
        ):
            yield statement.lineno, f"{call} without yield starts nothing. Write: yield {call}(…)."
        elif isinstance(statement, ast.Return):
            yield statement.lineno, f"this returns a task that never starts. Write: return (yield {call}(…))."
    for line, tasks in _yielded_one_by_one(nodes, context):
        yield (
            line,
            f"the calls in '{tasks}' run one after another, since each starts when it is yielded. To run them side "
            f"by side, yield {context}.task_all({tasks}) before this loop.",
        )
    imported = imported_within(nodes)
    for each in nodes:
        called = resolve(each.func, code, imported) if isinstance(each, ast.Call) else None
        if isinstance(each, ast.Call) and called is time.sleep:
            yield each.lineno, f"{ast.unparse(each.func)}() holds up the host at each replay. Write {SLEEP}."
        elif isinstance(each, ast.Call) and sends_a_request(called):
            yield (
                each.lineno,
                f"{ast.unparse(each.func)}() sends its request again at each replay, and the answer may differ, "
                f"{CAN_FAIL}. Let an activity do it, or write yield {context}.call_http(…).",
            )
        elif isinstance(each, ast.Call) and called is open and is_written(each):
            yield each.lineno, "open() writes the file again at each replay. Let an activity do it."
        elif isinstance(each, ast.Call) and (instead := instead_of(called)):
            yield (
                each.lineno,
                f"{ast.unparse(each.func)}() differs at each replay, {CAN_FAIL}. Write {instead}.",
            )
    for line, text in _loops_over_sets(nodes, code, context):
        yield (
            line,
            f"the order of the set {text} differs from process to process, {CAN_FAIL}. Write sorted({text}).",
        )


def _may_yield(nodes: list[ast.AST], context: str) -> bool:
    """Whether tasks may get to the SDK: the function yields, or something that has its context does so for it."""
    return any(
        isinstance(each, (ast.Yield, ast.YieldFrom, ast.Await))
        or (
            isinstance(each, ast.Call) and any(isinstance(a, ast.Name) and a.id == context for a in each.args)
        )
        for each in nodes
    )


def _yielded_one_by_one(nodes: list[ast.AST], context: str) -> Iterator[tuple[int, str]]:
    """Line of the loop and name of each list of calls whose tasks are yielded there, and go nowhere else."""
    lists = set(_lists_of_calls(nodes, context))
    uses = Counter(each.id for each in nodes if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load))
    for each in nodes:  # `tasks.append(…)` and `len(tasks)` start nothing
        uses.subtract(_names([_appended(each)[0], *_arguments_of(each, "len")]))
    for loop in (each for each in nodes if isinstance(each, ast.For)):
        items = set(_names(ast.walk(loop.target)))
        within = (below for statement in loop.body for below in ast.walk(statement))
        if items.isdisjoint(_names(each.value for each in within if isinstance(each, ast.Yield))):
            continue
        for name in _names([loop.iter, *_arguments_of(loop.iter, "zip", "enumerate", "reversed")]):
            if name in lists and uses[name] == 1:
                yield loop.lineno, name


def _lists_of_calls(nodes: list[ast.AST], context: str) -> Iterator[str]:
    """Names of lists that hold calls: `[context.call_activity(…) for …]`, `tasks.append(context.call_…(…))`."""
    for each in nodes:
        if isinstance(each, ast.Assign):
            made = (
                [each.value.elt] if isinstance(each.value, ast.ListComp) else getattr(each.value, "elts", [])
            )
            if made and all(_method(one, context).startswith("call_") for one in made):
                yield from _names(each.targets)
        appended_to, appended = _appended(each)
        if _method(appended, context).startswith("call_"):
            yield from _names([appended_to])


def _appended(node: ast.AST) -> tuple[ast.expr | None, ast.expr | None]:
    """`tasks` and `value` of `tasks.append(value)`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "append":
        return node.func.value, node.args[0] if node.args else None
    return None, None


def _arguments_of(node: ast.AST, *functions: str) -> list[ast.expr]:
    """The arguments of a call of one of these functions; none of anything else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions:
        return node.args
    return []


def _names(nodes: Iterable[ast.AST | None]) -> Iterator[str]:
    """The names among these nodes."""
    return (each.id for each in nodes if isinstance(each, ast.Name))


def _loops_over_sets(
    nodes: list[ast.AST], code: Callable[..., Any], context: str
) -> Iterator[tuple[int, str]]:
    """Line and source of each set in whose order tasks are begun."""
    assigned: dict[str, list[ast.expr]] = {}
    for each in nodes:
        if isinstance(each, ast.Assign):
            for target in each.targets:
                if isinstance(target, ast.Name):
                    assigned.setdefault(target.id, []).append(each.value)

    def is_set(node: ast.expr) -> bool:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return node.func.id in ("set", "frozenset") and node.func.id not in code.__globals__
        return isinstance(node, (ast.Set, ast.SetComp))

    for each in nodes:
        loops = [each] if isinstance(each, ast.For) else getattr(each, "generators", [])
        if loops and any(_method(below, context) in _TASKS for below in ast.walk(each)):
            for loop in loops:
                values = assigned.get(loop.iter.id, []) if isinstance(loop.iter, ast.Name) else [loop.iter]
                if values and all(map(is_set, values)):
                    yield loop.iter.lineno, ast.unparse(loop.iter)


def _unknown_names(
    node: ast.stmt, code: Callable[..., Any], owner: str, known: Mapping[tuple[str, str], Function]
) -> Iterator[tuple[int, str]]:
    """Each call of a method of `owner` with a name that is written there, and is that of no function of its kind.

    `known`: all functions, by their kinds and what they are called, in lower case.
    """
    for each in ast.walk(node):
        method = _method(each, owner)
        kind = _CALLED_KINDS.get(method.removesuffix("_with_retry"))
        if not isinstance(each, ast.Call) or kind is None:
            continue
        named = _argument(each, "orchestration_function_name" if method == "start_new" else "name")
        if kind == "entity":
            id = _argument(each, "entityId")
            is_made_here = isinstance(id, ast.Call) and resolve(id.func, code, {}) is EntityId
            is_elsewhere = len(each.args) > 3 or any(each.arg == "task_hub_name" for each in each.keywords)
            named = (
                _argument(id, "name")
                if isinstance(id, ast.Call) and is_made_here and not is_elsewhere
                else None
            )
        name = named.value if isinstance(named, ast.Constant) else None
        if isinstance(name, str) and (kind, name.lower()) not in known:
            meant = _what_is_meant(name, kind, known.values())
            yield each.lineno, f"the app has no {kind} {name!r}. {meant}".rstrip()


def _argument(call: ast.Call, name: str) -> ast.expr | None:
    """The first argument of a call, or that with this name; None if it is hidden in ``*`` or ``**``."""
    first = call.args[0] if call.args else None
    return first or next((each.value for each in call.keywords if each.arg == name), None)


def _what_is_meant(name: str, kind: str, known: Collection[Function]) -> str:
    for function in known:
        if name.lower() in (function.durable_name.lower(), function.name.lower()):
            if function.kind == kind:
                return f"{function.name} is called {function.durable_name!r}."
            return f"{function.name} is of the kind {function.kind}."
    return question(name, [function.durable_name for function in known if function.kind == kind])


# -- functions with a durable client -----------------------------------------------------------------------------
def _unawaited(node: ast.stmt, client: str) -> Iterator[tuple[int, str]]:
    for statement in statements(node):
        if not isinstance(statement, (ast.Expr, ast.Assign)):
            continue
        name = _method(statement.value, client)
        if not inspect.iscoroutinefunction(getattr(DurableOrchestrationClient, name, None)):
            continue
        if isinstance(statement, ast.Expr) or not _is_used_as_task(statement, node):
            call = f"{client}.{name}"
            yield statement.lineno, f"{call} without await does nothing. Write: await {call}(…)."


# -- both --------------------------------------------------------------------------------------------------------
def _method(value: Any, owner: str) -> str:
    """ "call_activity" for the call `context.call_activity(…)`, "" for all else."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        target = value.func.value
        if isinstance(target, ast.Name) and target.id == owner:
            return value.func.attr
    return ""


def _unused(statement: ast.Assign, nodes: list[ast.AST]) -> bool:
    names = {target.id for target in statement.targets if isinstance(target, ast.Name)}
    read = {each.id for each in nodes if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}
    return len(names) == len(statement.targets) and not names & read


def _is_used_as_task(statement: ast.Assign, node: ast.AST) -> bool:
    """Whether what was assigned is awaited later, or given to something that may do so, as asyncio.gather."""
    names = {target.id for target in statement.targets if isinstance(target, ast.Name)}
    if not names:
        return True
    for each in ast.walk(node):
        if isinstance(each, ast.Await) or (
            isinstance(each, ast.Call) and "asyncio" in ast.unparse(each.func)
        ):
            read = {n.id for n in ast.walk(each) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
            if names & read:
                return True
    return False
