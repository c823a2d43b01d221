"""The apps under test: those in tests/apps, and those that a test writes on the spot."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path
from types import ModuleType

from dfhost.app import script_import
from dfhost.app.functions import App, Function
from dfhost.app.loader import load_app
from dfhost.runner.functions import Functions

ROOT = Path(__file__).parents[2]
APPS = ROOT / "tests" / "apps"

HEAD = """
import azure.durable_functions as df
import azure.functions as func

app = df.DFApp()
"""


def write_app(folder: Path, body: str, head: str = HEAD) -> Path:
    """A folder with a function_app.py made of the usual imports, an `app`, and `body`."""
    folder.mkdir(exist_ok=True)
    (folder / "function_app.py").write_text(head + textwrap.dedent(body))
    return folder


_kept: dict[str, tuple[App, script_import.ImportedApp]] = {}


def kept_app(name: str) -> App:
    """An app in tests/apps that keeps nothing from one host to the next, for one host at a time.

    It is loaded once in a process, which takes longer than most tests of it.
    """
    if name not in _kept:
        _kept[name] = (load_app(APPS / name), script_import.imported_app())
    app, imported = _kept[name]
    script_import.switch_to(imported)
    return app


def loaded_module() -> ModuleType:
    """The function_app.py that was last loaded in this process."""
    return sys.modules["function_app"]


def load_written_app(folder: Path, body: str) -> App:
    """Write the app and load it as the host does."""
    return load_app(write_app(folder, body))


def function_named(functions: Functions[Function], name: str) -> Function:
    function = functions.get(name)
    assert function, name
    return function
