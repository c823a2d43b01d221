"""What a reader of the source relies on and import-linter cannot express. Its contracts are in pyproject.toml."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import requires
from pathlib import Path

import pytest

pytestmark = pytest.mark.long  # `make lint` has most of it
ROOT = Path(__file__).parents[2]
SOURCES = [*ROOT.glob("dfhost/**/*.py"), *ROOT.glob("fan_out/**/*.py"), ROOT / "function_app.py"]


def module_name(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__") if name.count(".") else name


@cache
def trees() -> list[tuple[str, ast.Module]]:
    return [(module_name(path), ast.parse(path.read_text("utf-8"), str(path))) for path in sorted(SOURCES)]


@cache
def imported(tree: ast.Module) -> set[str]:
    """The modules that an import statement names, wherever it stands."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add("." * node.level + (node.module or ""))
    return names


# -- imports -------------------------------------------------------------------------------------------------
def test_there_is_something_to_check() -> None:
    assert len(SOURCES) > 60


def test_imports_are_absolute() -> None:
    assert [name for name, tree in trees() for each in imported(tree) if each.startswith(".")] == []


# Package from outside -> the dependency that brings it. multidict and yarl belong to the interface of aiohttp.
BROUGHT_BY = {
    "aiohttp": "aiohttp",
    "azure": "azure-functions-durable",
    "croniter": "croniter",
    "multidict": "aiohttp",
    "tqdm": "tqdm",
    "watchfiles": "watchfiles",
    "yarl": "aiohttp",
}


def test_every_package_from_outside_comes_with_a_declared_dependency() -> None:
    tops = {each.split(".")[0] for _, tree in trees() for each in imported(tree)}
    # Whoever has a use for the plugin has pytest; dfhost does not bring it.
    assert tops - sys.stdlib_module_names - {"dfhost", "fan_out", "pytest"} == BROUGHT_BY.keys()
    declared = {re.split(r"[<>=~!;\[ ]", line)[0] for line in requires("dfhost") or []}
    assert set(BROUGHT_BY.values()) <= declared


def test_the_app_file_imports_the_sdk_and_the_app_alone() -> None:
    tree = dict(trees())["function_app"]
    assert {each.split(".")[0] for each in imported(tree)} <= {"azure", "fan_out"}


def test_the_engine_asks_for_no_time_no_id_and_no_file() -> None:
    """import-linter holds its imports; these are reached without one, or through one that is allowed."""
    for name, tree in trees():
        if name.startswith("dfhost.engine"):
            used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
            assert not used & {"now", "utcnow", "today", "uuid1", "uuid4"}, name
            called = {
                node.func.id
                for node in ast.walk(tree)
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
            }
            assert not called & {"open", "print", "input", "eval", "exec"}, name


# -- what a reader relies on ---------------------------------------------------------------------------------
def test_every_module_says_what_it_is() -> None:
    mute = [name for name, tree in trees() if not (ast.get_docstring(tree) or "").strip()]
    assert mute == []


def test_public_functions_that_take_more_than_a_glance_say_what_they_do() -> None:
    """Those of more than 25 lines, in modules and in public classes."""
    mute = []
    for name, tree in trees():
        for node in _public(tree):
            long = (node.end_lineno or 0) - node.lineno > 25
            if long and not ast.get_docstring(node):
                mute.append(f"{name}.{node.name}")
    assert mute == []


def _public(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for each in node.body:
                if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)) and not each.name.startswith(
                    "_"
                ):
                    yield each


@pytest.mark.parametrize("mark", ["TODO", "FIXME", "XXX", "HACK"])
def test_nothing_is_left_for_later(mark: str) -> None:
    assert [str(path) for path in SOURCES if re.search(rf"\b{mark}\b", path.read_text("utf-8"))] == []


def test_importing_dfhost_costs_nothing() -> None:
    code = "import sys; before = set(sys.modules); import dfhost; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["dfhost"]


def test_azure_installs_the_sdk_and_nothing_else() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    names = [re.split("[<>=~ ]", line)[0] for line in lines if line and not line.startswith("#")]
    assert names == ["azure-functions", "azure-functions-durable"]
