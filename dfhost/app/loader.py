"""Load a function app as the real Python worker does: import function_app, find the app, index it once.

A process holds one app at a time: loading another takes back what the one before it put into `sys.path` and
`sys.modules`. Nothing of the user's code is called here but its import.
"""

from __future__ import annotations

import importlib.util
import inspect
import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import Any

import azure.functions as func

from dfhost.app.exceptions import describe_exception, user_traceback
from dfhost.app.functions import KINDS, App, Function
from dfhost.app.load_hints import import_hint, misplaced_binding_hint, missing_script_sentence
from dfhost.app.signature import read_signature
from dfhost.errors import AppError
from dfhost.host_log import HostLog

# What the Functions host accepts (Utility.ValidateName, case-insensitive), and what it reserves.
_NAME = re.compile(r"[a-z][a-z0-9_\-]{0,127}", re.IGNORECASE)
_SCRIPT = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_\-]*\.py")


class AppImportFailed(AppError):
    """The app's own code raised while it was imported; `traceback` is the user's, ready to print."""

    def __init__(self, sentence: str, traceback: str) -> None:
        super().__init__(sentence)
        self.traceback = traceback


def load_app(root: Path, log: HostLog | None = None, only: Collection[str] = ()) -> App:
    """The function app in the folder `root`.

    `only`: names of the functions to run (`functions` of host.json), all if empty. Functions that the
    settings switch off (`AzureWebJobs.NAME.Disabled`) are left out. `journal` hears of values for output
    bindings, which nothing receives here.

    Raises AppImportFailed if importing the user's code raises, AppError for everything else that keeps the
    app from running on Azure, too.
    """
    root = root.resolve()
    script = os.environ.get("PYTHON_SCRIPT_FILE_NAME") or "function_app.py"
    app = _find_app(_import_script(root, script), script)
    indexed = _index(app)

    functions: list[Function] = []
    disabled: list[str] = []
    wanted = {name.lower() for name in only}
    for each in indexed:
        try:
            function = _function(each, root, log)
        except AppError as error:
            raise AppError(f"{error}{misplaced_binding_hint(indexed)}") from None
        if (wanted and function.name.lower() not in wanted) or _is_disabled(function.name):
            disabled.append(function.name)
        else:
            functions.append(function)
    _refuse_twins(functions)
    running = {function.name for function in functions}
    retried = [name for each in indexed if (name := each.get_function_name()) in running and _retries(each)]
    return App(root, functions, disabled, _notes(functions, retried))


# -- importing -----------------------------------------------------------------------------------------------
_added_paths: list[str] = []
_added_modules: list[str] = []


def _import_script(root: Path, script: str) -> ModuleType:
    path = root / script
    if not _SCRIPT.fullmatch(script):
        raise AppError(f"PYTHON_SCRIPT_FILE_NAME must be the name of a Python file, not '{script}'.")
    if not path.is_file():
        raise AppError(missing_script_sentence(root, script))
    _forget_last_app()
    # Packages that `pip install --target` or a deployment put beside the app win over everything; the app's
    # own folder comes last in the real worker (its DependencyManager), so that a file of the user's called
    # like a library breaks here exactly if it does there.
    packages = root / ".python_packages" / "lib" / "site-packages"
    if packages.is_dir():
        _add_path(str(packages), 0)
    _add_path(str(root), len(sys.path))
    _stand_back(root)

    before = set(sys.modules)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None  # it is a .py file
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # user code: SyntaxError and SystemExit are among what may come
        text = "".join(traceback.format_exception(type(error), error, user_traceback(error)))
        sentence = f"{path} cannot be imported: {describe_exception(error).text}{import_hint(error, root)}"
        raise AppImportFailed(sentence, text) from None
    finally:
        _added_modules.append(path.stem)
        _added_modules.extend(name for name in set(sys.modules) - before if _lies_in(root, sys.modules[name]))
    return module


def _forget_last_app() -> None:
    for path in _added_paths:
        if path in sys.path:
            sys.path.remove(path)
    for name in _added_modules:
        sys.modules.pop(name, None)
    _added_paths.clear()
    _added_modules.clear()
    importlib.invalidate_caches()


def _add_path(path: str, at: int) -> None:
    if path not in sys.path:
        sys.path.insert(at, path)
        _added_paths.append(path)


def _stand_back(root: Path) -> None:
    """An editable install of dfhost puts its checkout on the path: nothing there is to hide the app's own modules.

    They are imported by name once more by child processes that are spawned (`ProcessPoolExecutor`).
    """
    checkout = Path(__file__).parents[2]
    place = str(checkout)
    if place in sys.path and checkout != root and (checkout / "pyproject.toml").is_file():
        sys.path[:] = [*(path for path in sys.path if path != place), place]


def _lies_in(root: Path, module: ModuleType) -> bool:
    """Whether the module is the user's own: a file below `root`, but no installed package and not dfhost."""
    file = getattr(module, "__file__", None) or ""
    own = file.startswith(str(root) + os.sep) and f"{os.sep}site-packages{os.sep}" not in file
    return own and module.__name__.partition(".")[0] != "dfhost"


# -- indexing ------------------------------------------------------------------------------------------------
def _find_app(module: ModuleType, script: str) -> Any:
    # As the worker: one app under two names counts as two.
    apps = [(name, value) for name, value in vars(module).items() if isinstance(value, func.FunctionRegister)]
    if not apps:
        blueprints = [n for n, v in vars(module).items() if isinstance(v, func.DecoratorApi)]
        hint = f" '{blueprints[0]}' is a blueprint; register it with an app." if blueprints else ""
        raise AppError(f"{script} has no function app at its top level, e.g. app = df.DFApp().{hint}")
    if len(apps) > 1:
        names = " and ".join(f"'{name}'" for name, _ in apps)
        raise AppError(f"{script} has more than one function app at its top level: {names}. Keep one.")
    return apps[0][1]


def _index(app: Any) -> list[Any]:
    # Without an HTTP trigger, get_functions() warns of HTTP auth levels through the root logger, and would
    # thereby even configure it. A handler of our own prevents the latter, the level the former.
    logger, quiet = logging.getLogger(), logging.NullHandler()
    level = logger.level
    logger.addHandler(quiet)
    logger.setLevel(logging.ERROR)
    try:
        return list(app.get_functions())
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        twin = re.match(r"Function (.+) does not have a unique function name", str(error))
        if twin:
            raise AppError(
                f"Two functions are called '{twin[1]}'. Rename one, or give it another name with "
                "@app.function_name."
            ) from None
        raise AppError(f"The app cannot be indexed: {error}") from None
    finally:
        logger.setLevel(level)
        logger.removeHandler(quiet)


def _function(indexed: Any, root: Path, log: HostLog | None) -> Function:
    name = str(indexed.get_function_name())
    if not _NAME.fullmatch(name) or name.lower() == "host":
        raise AppError(
            f"'{name}' cannot be the name of a function: a letter, then letters, digits, '_' and '-', "
            "128 in all, and not 'host'."
        )
    bindings = [json.loads(text) for text in indexed.get_raw_bindings()]
    trigger_name = indexed.get_trigger().name
    trigger = next(binding for binding in bindings if binding["name"] == trigger_name)
    user_function = indexed.get_user_function()
    return Function(
        name,
        user_function,
        trigger,
        [binding for binding in bindings if binding is not trigger],
        read_signature(name, user_function, bindings),
        directory=str(root),
        is_async=inspect.iscoroutinefunction(user_function),
        log=log,
    )


def _refuse_twins(functions: list[Function]) -> None:
    seen: dict[tuple[str, str], Function] = {}
    for function in functions:
        if function.kind not in ("orchestration", "activity", "entity"):
            continue
        other = seen.setdefault((function.kind, function.durable_name.lower()), function)
        if other is not function:
            raise AppError(
                f"The functions '{other.name}' and '{function.name}' both are the {function.kind} "
                f"'{function.durable_name}' (upper and lower case are the same). Rename one."
            )


def _is_disabled(name: str) -> bool:
    # The second form is for systems whose environment variables cannot contain dots.
    keys = (f"AzureWebJobs.{name}.Disabled", f"AzureWebJobs_{name}_Disabled")
    return any(os.environ.get(key, "").strip().lower() in ("true", "1") for key in keys)


def _retries(indexed: Any) -> bool:
    return bool(indexed.get_settings_dict("retry_policy"))


def _notes(functions: list[Function], retried: list[str]) -> list[str]:
    """What a person should know that this host leaves out, one sentence a kind."""
    polled = [f"{each.name} ({each.kind})" for each in functions if each.kind not in KINDS.values()]
    sent: list[str] = []
    read: list[str] = []
    for function in functions:
        for binding in function.bindings:
            if binding["type"] not in ("durableClient", "http"):
                is_output = binding.get("direction") == "OUT"
                (sent if is_output else read).append(f"{function.name} ({binding['type']})")
    notes = []
    if polled:
        notes.append(
            f"Not polled here: {', '.join(polled)}. "
            'Run one by POST /admin/functions/NAME with {"input": …}.'
        )
    if sent:
        notes.append(f"Outputs that are shown here, not sent: {', '.join(sent)}.")
    if read:
        notes.append(f"Inputs that are not connected here, so that a call fails: {', '.join(read)}.")
    if retried:
        notes.append(f"The retry policies of these triggers are not applied here: {', '.join(retried)}.")
    return notes
