"""Imports an app's script as the real Python worker does.

A process holds one app at a time: importing another removes what the one before it added to `sys.path` and
`sys.modules`.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from dfhost.app.app_modules import AppLoader, AppModules
from dfhost.app.exceptions import describe_exception, traceback_text
from dfhost.app.load_hints import import_hint
from dfhost.errors import AppError, AppImportFailed
from dfhost.settings.app_files import missing_script_sentence, packages_folder

_SCRIPT = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_\-]*\.py")

_added_paths: list[str] = []
_added_modules: list[str] = []
_app_modules: list[AppModules] = []  # at most one
_of_others: dict[Path, ModuleType] = {}  # scripts of apps that were not imported here


def import_script(root: Path, script: str, *, reuses_import: bool = False) -> ModuleType:
    """Import the file `script` of the folder `root`.

    `reuses_import`: if somebody has imported that very file, the module is taken as it is. AppError if there is no
    such file, AppImportFailed if the user's code raises.
    """
    path = root / script
    if not _SCRIPT.fullmatch(script):
        raise AppError(f"PYTHON_SCRIPT_FILE_NAME must be the name of a Python file, not '{script}'.")
    if not path.is_file():
        raise AppError(missing_script_sentence(root, script))
    _remove_last_app()
    _add_paths(root)
    if reuses_import:
        if (imported := _imported_by_others(path)) is not None:
            sys.modules[path.stem] = imported
            _added_modules.append(path.stem)
            return imported
    else:
        _app_modules.append(AppModules(root))
        _app_modules[-1].install()
    return _import(path, root)


def _import(path: Path, root: Path) -> ModuleType:
    """Run the script as a module of its own name. AppImportFailed if the user's code raises."""
    before = set(sys.modules)
    spec = importlib.util.spec_from_file_location(path.stem, path, loader=AppLoader(path.stem, str(path)))
    assert spec is not None and spec.loader is not None  # it is a .py file
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # user code may raise anything, SyntaxError and SystemExit included
        text = traceback_text(error)
        sentence = f"{path} cannot be imported: {describe_exception(error).text}{import_hint(error, root)}"
        raise AppImportFailed(sentence, text) from None
    finally:
        _added_modules.append(path.stem)
        _added_modules.extend(
            name for name in set(sys.modules) - before if _is_users(root, sys.modules[name])
        )
    return module


@dataclass(frozen=True, slots=True)
class ImportedApp:
    """What the import of an app has added to the process."""

    paths: list[str]
    modules: dict[str, ModuleType]


def imported_app() -> ImportedApp:
    """The app that was imported last."""
    names = [name for name in _added_modules if name in sys.modules]
    return ImportedApp(list(_added_paths), {name: sys.modules[name] for name in names})


def switch_to(app: ImportedApp) -> None:
    """Put an app that was imported before in the place of the one that is there."""
    if all(sys.modules.get(name) is module for name, module in app.modules.items()):
        return
    _remove_last_app()
    for path in app.paths:
        _add_path(path, len(sys.path))
    sys.modules.update(app.modules)
    _added_modules.extend(app.modules)


def _imported_by_others(path: Path) -> ModuleType | None:
    """The module of this very file, under whatever name somebody else has imported it.

    The module of another file that has the script's name is kept, for when its own app is loaded.
    """
    displaced = sys.modules.get(path.stem)
    file = getattr(displaced, "__file__", None)
    if displaced is not None and file:
        _of_others[Path(file).resolve()] = displaced
    same_file = (each for each in list(sys.modules.values()) if getattr(each, "__file__", None) == str(path))
    return next(same_file, None) or _of_others.get(path)


def _remove_last_app() -> None:
    for path in _added_paths:
        if path in sys.path:
            sys.path.remove(path)
    for name in _added_modules:
        sys.modules.pop(name, None)
    for hook in _app_modules:
        hook.remove()
    _added_paths.clear()
    _added_modules.clear()
    _app_modules.clear()
    importlib.invalidate_caches()


def _add_paths(root: Path) -> None:
    """Put the app's folders on `sys.path`, in the order of the real worker (its DependencyManager).

    Packages that a deployment put beside the app come first, the app's own folder comes last. So a user's file named
    like a library fails here if it does there.
    """
    packages = packages_folder(root)
    if packages.is_dir():
        _add_path(str(packages), 0)
    _add_path(str(root), len(sys.path))
    _move_checkout_last(root)


def _add_path(path: str, at: int) -> None:
    if path not in sys.path:
        sys.path.insert(at, path)
        _added_paths.append(path)


def _move_checkout_last(root: Path) -> None:
    """Keep the checkout of an editable install of dfhost, which is on the path, from hiding the app's modules.

    It matters in spawned child processes (`ProcessPoolExecutor`), which import the app's modules again by name.
    """
    checkout = Path(__file__).parents[2]
    entry = str(checkout)
    if entry in sys.path and checkout != root and (checkout / "pyproject.toml").is_file():
        sys.path[:] = [*(path for path in sys.path if path != entry), entry]


def _is_users(root: Path, module: ModuleType) -> bool:
    """Whether the module is the user's own: a file below `root` that is neither an installed package nor dfhost."""
    file = getattr(module, "__file__", None) or ""
    below_root = file.startswith(str(root) + os.sep) and f"{os.sep}site-packages{os.sep}" not in file
    return below_root and module.__name__.partition(".")[0] != "dfhost"
