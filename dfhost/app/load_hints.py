"""When an app does not load: what its author probably did, and what to do. The second half of the loader's errors.

The loader and `signature` decide what is wrong. This module only looks into the app's folder.
"""

from __future__ import annotations

import ast
import inspect
import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def import_hint(error: BaseException, root: Path) -> str:
    """Follows the error of an import; empty unless a library, a folder or an app setting is missing."""
    requirements = root / "requirements.txt"
    if isinstance(error, ModuleNotFoundError) and (folder := _folder_with(error.name or "", root)):
        where = f"It is in the folder {folder}, and Python searches only the app's own, here and on Azure"
        return f". {where}: import it as {folder}.{error.name}."
    if isinstance(error, ModuleNotFoundError) and requirements.is_file():
        install = f"{sys.executable} -m pip install -r {requirements}"
        return f". Install the app's libraries beside dfhost: {install}"
    if isinstance(error, (ImportError, AttributeError)):
        for name, file in hidden_files(root):
            if Path(name).stem in str(error):
                return f". {name} is not what is imported: {file} comes first, as on Azure. Rename {name}."
    place = f"as an environment variable, or under Values in {root / 'local.settings.json'}."
    if isinstance(error, KeyError) and _came_from_environ(error):
        return f". Set it {place}"
    if missing := _missing_settings(error, root):
        return (
            f". The code has asked for app settings that are not set: {', '.join(missing)}. Set each {place}"
        )
    return ""


def _missing_settings(error: BaseException, root: Path) -> list[str]:
    """What the app's module that failed has read so far by `os.environ.get("NAME")` or `os.getenv("NAME")`: None.

    A library that is given such a None often fails with words that say nothing of a setting.
    """
    frames = [each for each in traceback.extract_tb(error.__traceback__) if _is_apps_own(each.filename, root)]
    if isinstance(error, ImportError) or not frames:
        return []
    try:
        module, last = ast.parse(Path(frames[-1].filename).read_bytes()), frames[-1].lineno or 0
    except (OSError, ValueError, SyntaxError):
        return []
    names: dict[str, None] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and node.lineno <= last and len(node.args) == 1 and not node.keywords:
            reads = ast.unparse(node.func) in ("os.environ.get", "os.getenv", "environ.get", "getenv")
            name = node.args[0].value if isinstance(node.args[0], ast.Constant) else None
            if reads and isinstance(name, str) and name not in os.environ:
                names[name] = None
    return list(names)


def _is_apps_own(file: str, root: Path) -> bool:
    """Not a library's, although the app's folder may hold a virtual environment."""
    return root in Path(file).parents and "site-packages" not in file


def _folder_with(module: str, root: Path) -> str:
    """The folder in the app's folder that has `module`, as `src` often does; empty if none has."""
    name = module.partition(".")[0]
    found = [*root.glob(f"[!.]*/{name}.py"), *root.glob(f"[!.]*/{name}/__init__.py")] if name else []
    return found[0].relative_to(root).parts[0] if found else ""


def hidden_files(root: Path) -> list[tuple[str, str]]:
    """The app's modules that are never imported, each with what `import` finds instead.

    The app's folder comes last on `sys.path`, so a file of the app named like a library loses, as on Azure. Only
    names that something has imported are listed.
    """
    found = []
    for path in sorted(root.iterdir()):
        is_module = path.suffix == ".py" or (path / "__init__.py").is_file()
        file = getattr(sys.modules.get(path.stem), "__file__", None)
        if is_module and file and root not in Path(file).parents:
            found.append((path.name, file))
    return found


def _came_from_environ(error: BaseException) -> bool:
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    return frame is not None and frame.tb_frame.f_code is type(os.environ).__getitem__.__code__


def misplaced_binding_hint(indexed: Sequence[Any]) -> str:
    """Follows the refusal of a function; empty unless a binding that one function lacks is on another.

    A decorator of one app or blueprint on a function that another one has declared goes to its own last function
    instead (`DecoratorApi._validate_type` in azure-functions).
    """
    missing: dict[str, str] = {}
    strays: dict[str, str] = {}
    for each in indexed:
        parameters = set(inspect.signature(each.get_user_function()).parameters)
        bindings = {json.loads(text)["name"] for text in each.get_raw_bindings()} - {"$return"}
        missing |= dict.fromkeys(parameters - bindings - {"context"}, each.get_function_name())
        strays |= dict.fromkeys(bindings - parameters, each.get_function_name())
    for binding in missing.keys() & strays.keys():
        return (
            f" The binding '{binding}' went to '{strays[binding]}' instead of '{missing[binding]}': all "
            "decorators of a function have to be of the same app or blueprint."
        )
    return ""
