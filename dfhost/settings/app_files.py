"""The files of an app that are known before it is loaded."""

from __future__ import annotations

import os
from pathlib import Path


def script_name() -> str:
    """The file in the app's folder that has the app."""
    return os.environ.get("PYTHON_SCRIPT_FILE_NAME") or "function_app.py"


def packages_folder(root: Path) -> Path:
    """Where a deployment puts the app's libraries."""
    return root / ".python_packages" / "lib" / "site-packages"


def v1_functions(root: Path) -> list[str]:
    """The folders that are functions of the Python v1 programming model."""
    return sorted(found.parent.name for found in root.glob("*/function.json"))


def missing_script_sentence(root: Path, script: str) -> str:
    """For a folder `root` without `script`: the mistake that it probably is."""
    if not root.is_dir():
        return f"There is no folder {root}."
    if v1_functions(root):
        return (
            f"{root} is an app of the Python v1 programming model (it has function.json files, and no {script}). "
            "dfhost runs v2 apps only, as will the SDK from 2.x on."
        )
    below = sorted(found.parent for depth in ("*", "*/*") for found in root.glob(f"{depth}/{script}"))
    if below:
        names = ", ".join(str(folder.relative_to(root)) for folder in below[:5])
        return f"There is no {script} in {root}, but there is one in {names}. Give the folder of the app."
    return (
        f"There is no {script} in {root}. Start dfhost in the folder of your function app, or give its path."
    )
