"""The map in an app of one's own: the files that docs/map.md names are enough, and mistakes get a sentence."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.support.apps import ROOT, write_app
from tests.support.host_process import run_dfhost

APP = """
    import json
    from fan_out import bp, fan_out_map, map_activity

    app.register_functions(bp)

    @app.orchestration_trigger(context_name="context")
    def doubles(context):
        outcome = yield from fan_out_map(context, "double", context.get_input())
        return [entry["result"] for entry in outcome["results"]]

    @app.activity_trigger(input_name="n")
    @map_activity
    def double(n: int) -> int:
        return 2 * n
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An app with the files of the map that the page names, and without the examples."""
    folder = write_app(tmp_path_factory.mktemp("copied"), APP)
    page = (ROOT / "docs" / "map.md").read_text("utf-8")
    [named] = re.findall(r"The map needs ([^.]+(?:\.py[^.]*)+)\.\n", page)
    (folder / "fan_out").mkdir()
    for name in re.findall(r"`([\w./]+)`", named):
        source = ROOT / "fan_out" / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / "fan_out" / name)
    package = folder / "fan_out" / "__init__.py"
    kept = [line for line in package.read_text("utf-8").splitlines() if not line.startswith("import ")]
    package.write_text("\n".join(kept), "utf-8")
    return folder


def test_a_map_of_ones_own(folder: Path) -> None:
    done = run_dfhost("run", "doubles", "--input", "[1, 2, 3]", "--app", folder, "--in-process")
    assert json.loads(done.stdout) == [2, 4, 6], done.stderr


@pytest.mark.long
def test_items_that_are_no_list(folder: Path) -> None:
    done = run_dfhost("run", "doubles", "--input", '{"a": 1}', "--app", folder)
    assert (
        done.returncode == 1 and "ValueError: items must be a list of JSON values, not a dict." in done.stderr
    )


@pytest.mark.long
def test_the_decorator_above_the_trigger(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "app")
    source = tmp_path / "app" / "function_app.py"
    text = source.read_text("utf-8")
    source.write_text(re.sub(r"(@app\.activity_trigger.*\n)(@map_activity\n)", r"\2\1", text), "utf-8")
    done = run_dfhost("run", "doubles", "--input", "[1]", "--app", tmp_path / "app")
    assert "Put @map_activity below @app.activity_trigger: it decorates the function itself." in done.stderr
