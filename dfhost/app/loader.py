"""Loads a function app as the real Python worker does: import the script, find the app in it, index it once.

The only user code that runs here is the import. `script_import` does that, `signature` checks each function.
"""

from __future__ import annotations

import inspect
import json
import logging
import os
import re
import sys
from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import Any

import azure.functions as func

from dfhost.app.bundle import unknown_binding_types
from dfhost.app.code_hints import code_hints
from dfhost.app.functions import App, Function
from dfhost.app.load_hints import hidden_files, misplaced_binding_hint
from dfhost.app.outputs import Outputs
from dfhost.app.script_import import import_script
from dfhost.app.sdk import plain_function
from dfhost.app.signature import read_signature
from dfhost.errors import AppError
from dfhost.host_log import CallLog
from dfhost.runner.functions import FunctionInfo
from dfhost.runner.retry_policy import RetryPolicy, read_retry_policy
from dfhost.settings.app_files import script_name, v1_functions
from dfhost.user_frames import is_library

# What the Functions host accepts (Utility.ValidateName, case-insensitive), and what it reserves.
_NAME = re.compile(r"[a-z][a-z0-9_\-]{0,127}", re.IGNORECASE)


_ALL_LOST = " On Azure the host would run without any function, and every route would be a 404."


def load_app(
    root: Path, log: CallLog | None = None, only: Collection[str] = (), *, reuses_import: bool = False
) -> App:
    """The function app in the folder `root`.

    `only`: names of the functions to run (`functions` of host.json), all if empty. Functions that the
    settings disable (`AzureWebJobs.NAME.Disabled`) are left out. `log` gets the values of output bindings to
    services that dfhost does not have. `reuses_import`: if this process has imported the script already, its module
    is taken.

    Raises AppImportFailed if the user's code raises during its import, AppError for everything else that would keep
    the app from running on Azure.
    """
    root = root.resolve()
    script = script_name()
    app = _find_app(import_script(root, script, reuses_import=reuses_import), script)
    indexed = _indexed_functions(app)

    functions: list[Function] = []
    disabled: list[Function] = []
    excluded: list[Function] = []
    wanted = {name.lower() for name in only}
    outputs = Outputs(log)
    for each in indexed:
        try:
            function = _function(each, root, log, outputs)
        except _BadName:
            raise  # on Azure only this function is missing
        except AppError as error:
            raise AppError(f"{error}{misplaced_binding_hint(indexed)}{_ALL_LOST}") from None
        if _is_disabled(function.name):
            disabled.append(function)
        elif wanted and function.name.lower() not in wanted:
            excluded.append(function)
        else:
            functions.append(function)
    _check_unique(functions)
    notes = [
        *_notes_on_functions(functions),
        *_notes_on_files(root, script),
        *_notes_on_blueprints(app, root, script),
    ]
    loaded = App(root, functions, disabled, excluded, notes, code_hints(functions, [*disabled, *excluded]))
    loaded.outputs = outputs
    return loaded


class _BadName(AppError):
    """A function has a name that the Functions host does not take."""


def _find_app(module: ModuleType, script: str) -> Any:
    # As in the worker, one app under two names counts as two.
    apps = [(name, value) for name, value in vars(module).items() if isinstance(value, func.FunctionRegister)]
    if not apps:
        blueprints = [n for n, v in vars(module).items() if isinstance(v, func.DecoratorApi)]
        hint = f" '{blueprints[0]}' is a blueprint; register it with an app." if blueprints else ""
        raise AppError(f"{script} has no function app at its top level, e.g. app = df.DFApp().{hint}")
    if len(apps) > 1:
        names = " and ".join(f"'{name}'" for name, _ in apps)
        raise AppError(f"{script} has more than one function app at its top level: {names}. Keep one.")
    return apps[0][1]


def _indexed_functions(app: Any) -> list[Any]:
    # Without an HTTP trigger, get_functions() warns of HTTP auth levels through the root logger, and configures it.
    # The level prevents the warning, a handler the configuration.
    logger, handler = logging.getLogger(), logging.NullHandler()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.ERROR)
    try:
        return list(app.get_functions())
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        duplicate = re.match(r"Function (.+) does not have a unique function name", str(error))
        if duplicate:
            raise AppError(
                f"Two functions are called '{duplicate[1]}'{_places(app, duplicate[1])}. Rename one, or give it "
                f"another name with @app.function_name.{_ALL_LOST}"
            ) from None
        raise AppError(f"The app cannot be indexed: {error}") from None
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)


def _places(app: Any, name: str) -> str:
    """ " (function_app.py, line 4; orders.py, line 17)": where the functions of that name are."""
    places = []
    for builder in getattr(app, "_function_builders", ()):
        function = builder.build(app.auth_level)
        if function.get_function_name() == name:
            code = getattr(plain_function(function.get_user_function()), "__code__", None)
            if code is not None:
                places.append(f"{Path(code.co_filename).name}, line {code.co_firstlineno}")
    return f" ({'; '.join(places)})" if places else ""


def _function(indexed: Any, root: Path, log: CallLog | None, outputs: Outputs) -> Function:
    name = str(indexed.get_function_name())
    if not _NAME.fullmatch(name) or name.lower() == "host":
        raise _BadName(
            f"'{name}' cannot be the name of a function. A name is a letter, then letters, digits, '_' and '-', "
            "at most 128 characters, and not 'host'."
        )
    bindings = [json.loads(text) for text in indexed.get_raw_bindings()]
    trigger_name = indexed.get_trigger().name
    trigger = next(binding for binding in bindings if binding["name"] == trigger_name)
    user_function = indexed.get_user_function()
    others = tuple(binding for binding in bindings if binding is not trigger)
    return Function(
        FunctionInfo(name, trigger, others, _retry_policy(name, indexed)),
        user_function,
        read_signature(name, user_function, bindings),
        directory=str(root),
        is_async=inspect.iscoroutinefunction(user_function),
        log=log,
        outputs=outputs,
    )


def _retry_policy(name: str, indexed: Any) -> RetryPolicy | None:
    try:
        return read_retry_policy(indexed.get_settings_dict("retry_policy") or {})
    except ValueError as error:
        raise AppError(f"Function '{name}' cannot be loaded: its retry policy: {error}.") from None


def _check_unique(functions: list[Function]) -> None:
    seen: dict[tuple[str, str], Function] = {}
    for function in functions:
        if function.kind not in ("orchestrator", "activity", "entity"):
            continue
        other = seen.setdefault((function.kind, function.durable_name.lower()), function)
        if other is not function:
            raise AppError(
                f"The functions '{other.name}' and '{function.name}' are both the {function.kind} "
                f"'{function.durable_name}' (upper and lower case count as the same). Rename one."
            )


def _is_disabled(name: str) -> bool:
    # The second form is for systems whose environment variables cannot contain dots.
    keys = (f"AzureWebJobs.{name}.Disabled", f"AzureWebJobs_{name}_Disabled")
    return any(os.environ.get(key, "").strip().lower() in ("true", "1") for key in keys)


def _is_awaited_in_vain(function: Function) -> bool:
    """Whether the SDK's wrapper, which gives a function its durable client, awaits what a plain def returns."""
    has_client = any(each["type"] == "durableClient" for each in function.bindings)
    return (
        has_client
        and function.is_async
        and not inspect.iscoroutinefunction(inspect.unwrap(function.callable))
    )


def _notes_on_files(root: Path, script: str) -> list[str]:
    """What of the app's folder is never loaded, in a sentence for each file or kind of files."""
    notes = [
        f"The app's {name} is never imported, because {file} comes first, as on Azure. Rename {name}."
        for name, file in hidden_files(root)
    ]
    if older := v1_functions(root):
        notes.append(
            f"These functions of the Python v1 model are not loaded, as on Azure: {', '.join(older)}. "
            f"A folder has either function.json files or a {script}."
        )
    return notes


def _notes_on_blueprints(app: Any, root: Path, script: str) -> list[str]:
    """A sentence for each blueprint in an imported module of the app whose functions the app does not have."""
    registered = {id(each) for each in getattr(app, "_function_builders", ())}
    notes: dict[int, str] = {}
    for module in list(sys.modules.values()):
        names = getattr(module, "__dict__", {})  # some modules import what getattr asks them for
        file = str(names.get("__file__"))
        if not file.startswith(f"{root}{os.sep}") or is_library(file):
            continue
        for name, value in list(names.items()):
            kind = type(value)  # isinstance asks the object as well: a lazy one would be made then, or raise
            if not issubclass(kind, func.DecoratorApi) or issubclass(kind, func.FunctionRegister):
                continue
            builders = getattr(value, "_function_builders", ())
            if builders and registered.isdisjoint(map(id, builders)):
                functions = ", ".join(str(each._function.get_function_name()) for each in builders)
                notes[id(value)] = (
                    f"The app does not have these functions, because the blueprint '{name}' of "
                    f"{Path(file).relative_to(root)} is not registered: {functions}. "
                    f"Write app.register_functions({name}) in {script}."
                )
    return list(notes.values())


def _notes_on_functions(functions: list[Function]) -> list[str]:
    """What dfhost does not do for this app, in one sentence for each kind."""
    sent: list[str] = []
    read: list[str] = []
    for function in functions:
        for binding in function.bindings:
            is_output = binding.get("direction") == "OUT"
            if binding["type"] not in ("durableClient", "http") and not (
                is_output and binding["type"] == "queue"
            ):
                (sent if is_output else read).append(f"{function.name} ({binding['type']})")
    notes = []
    if sent:
        notes.append(f"dfhost shows these outputs instead of sending them: {', '.join(sent)}.")
    if read:
        notes.append(f"dfhost cannot read these inputs, so calls of their functions fail: {', '.join(read)}.")
    for binding_type, names in unknown_binding_types(functions).items():
        notes.append(
            f"No extension bundle has a binding of the type {binding_type}, so on Azure these functions do not load: "
            f"{', '.join(names)}. Check how the type is written."
        )
    if plain := [each.name for each in functions if _is_awaited_in_vain(each)]:
        notes.append(
            "Every call of a plain def with a durable client fails, because the SDK awaits its result. "
            f"Make these functions async def: {', '.join(plain)}."
        )
    return notes
