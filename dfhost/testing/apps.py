"""The apps under test. Each is loaded once in a process and then runs on one host after the other.

Its functions run in one set of threads all the while, so what the app has made for its event loop (a session, a lock)
stays usable from test to test, as it does from call to call on Azure.
"""

from __future__ import annotations

import atexit
import importlib.util
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dfhost.app import script_import
from dfhost.app.in_process import InProcessRunner
from dfhost.errors import AppError, HostError
from dfhost.settings.app_files import script_name
from dfhost.settings.app_folder import open_folder, working_in
from dfhost.testing.host_loop import host_loop
from dfhost.testing.records import ForwardedLog

__tracebackhide__ = True  # pytest shows errors at the line of the test

_loaded: dict[Path, LoadedApp] = {}
_failures: dict[Path, AppError] = {}
_is_one_active = False


@atexit.register
def _stop_all() -> None:
    """Close what the apps have open, above all the HTTP session of the SDK's clients."""
    for app in _loaded.values():
        host_loop().call(app.runner.stop())


class LoadedApp:
    def __init__(self, folder: Path, script: str) -> None:
        """`script`: the file with the app; "" for function_app.py, or what the setting names."""
        with _environment({"PYTHON_SCRIPT_FILE_NAME": script} if script else {}) as added:
            self.root, self.settings = open_folder(folder)
            self.script = script_name()
            self.log = ForwardedLog()
            self.runner = InProcessRunner(
                self.root, self.log, only=self.settings.functions, on_failure=self._failed, reuses_import=True
            )
            with working_in(self.root):
                host_loop().call(self.runner.start())
            self._imported = script_import.imported_app()
            # A test may have set some of the settings for itself alone, before this.
            self._settings_added = {
                **self.settings.app_settings,
                **{name: text for name, text in os.environ.items() if name not in added},
            }

    def _failed(self, error: HostError) -> None:
        """Its event loop has ended: the next test has to load it again."""
        self.log.note(str(error))
        for key in [key for key, app in _loaded.items() if app is self]:
            del _loaded[key]

    @contextmanager
    def active(self) -> Iterator[None]:
        """In this block the process's environment, modules and working directory are the app's.

        HostError inside another such block.
        """
        global _is_one_active
        if _is_one_active:
            raise HostError("One host under test at a time: leave the first before another is opened.")
        script_import.switch_to(self._imported)
        _is_one_active = True
        try:
            with _environment(self._settings_added), working_in(self.root):
                yield
        finally:
            _is_one_active = False


def loaded_app(app: str | Path) -> LoadedApp:
    """`app`: its folder, or ``module:name``. Raises the HostErrors of `dfhost start` if it cannot be loaded."""
    folder, script = _found(app) if is_module(app) else (Path(app).resolve(), "")
    key = folder / script
    if error := _failures.get(key):
        raise error
    if key not in _loaded:
        try:
            _loaded[key] = LoadedApp(folder, script)
        except AppError as error:  # it fails in the same way for every other test
            _failures[key] = error.with_traceback(None)
            raise
    return _loaded[key]


def is_module(app: str | Path) -> bool:
    """Whether it is written as ``module:name``."""
    return isinstance(app, str) and re.fullmatch(r"[\w.]+:\w+", app) is not None


def _found(app: str | Path) -> tuple[Path, str]:
    """Folder and file of ``module:name``; a module can only have one app, whatever its name."""
    module = str(app).partition(":")[0]
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.origin:
        raise AppError(
            f"There is no module {module}. pytest finds modules in the folders that its setting pythonpath names."
        )
    file = Path(spec.origin).resolve()
    return file.parent, file.name


@contextmanager
def _environment(added: dict[str, str]) -> Iterator[dict[str, str]]:
    """The process's environment before; in this block, with `added` where they do not exist. Restored then."""
    before = dict(os.environ)
    for name, text in added.items():
        os.environ.setdefault(name, text)
    try:
        yield before
    finally:
        for name in os.environ.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)
