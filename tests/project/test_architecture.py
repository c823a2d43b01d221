"""The import rules, and other habits of the source that a reader relies on."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = [*ROOT.glob("dfhost/**/*.py"), *ROOT.glob("fan_out/**/*.py"), ROOT / "function_app.py"]

#: Every part of dfhost, and the parts that it may import: what stands lower, never sideways or up.
LAYERS = {
    "errors": "",
    "host_log": "",
    "engine": "",
    "settings": "errors",
    "store": "errors engine",
    "app": "errors host_log engine settings",
    "worker": "errors host_log engine settings store app",
    "task_hub": "errors engine settings store app worker",
    "management": "errors engine task_hub",
    "http": "errors host_log engine app management",
    "host": "errors host_log engine settings store app worker task_hub management http",
    "cli": "errors host_log settings app http host",
    "__main__": "cli",
    "__init__": "",
}

#: Packages from outside (and the parts of the standard library that matter): who may import them.
ONLY_IN = {
    "sqlite3": "dfhost.store.*",
    "aiohttp": "dfhost.http.* dfhost.worker.call_http dfhost.cli.runner dfhost.cli.instance_follower",
    "multidict": "dfhost.http.*",
    "yarl": "dfhost.http.loopback",
    "azure": "dfhost.app.* fan_out fan_out.* function_app",
    "croniter": "dfhost.app.schedule",
    "tqdm": "dfhost.cli.progress",
    "argparse": "dfhost.cli dfhost.cli.*",
    "threading": "dfhost.app.* dfhost.store.* dfhost.cli.* fan_out.*",
    "subprocess": "",
}


class Import(NamedTuple):
    by: str
    of: str
    at_top: bool


def module_name(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__") if name.count(".") else name


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCES):
        yield module_name(path), ast.parse(path.read_text("utf-8"), str(path))


def imports() -> Iterator[Import]:
    for name, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                wanted = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{name}: imports are absolute"
                assert node.module is not None
                whole = node.module in ("dfhost", "fan_out")
                wanted = [f"{node.module}.{alias.name}" for alias in node.names] if whole else [node.module]
            else:
                continue
            yield from (Import(name, each, node in tree.body) for each in wanted)


IMPORTS = list(imports())


def test_there_is_something_to_check() -> None:
    assert len(SOURCES) > 60
    assert len(IMPORTS) > 300


@pytest.mark.parametrize("part", LAYERS)
def test_the_parts_of_dfhost_know_only_what_stands_below_them(part: str) -> None:
    allowed = {part, *LAYERS[part].split()}
    wrong = [
        f"{each.by} imports {each.of}"
        for each in IMPORTS
        if each.by.split(".")[:2] == ["dfhost", part]
        and each.of.startswith("dfhost.")
        and each.of.split(".")[1] not in allowed
    ]
    assert wrong == []


def test_every_part_of_dfhost_has_its_place() -> None:
    parts = {path.stem if path.is_file() else path.name for path in (ROOT / "dfhost").iterdir()}
    assert parts - {"__pycache__", "README"} == LAYERS.keys()


@pytest.mark.parametrize("package", ONLY_IN)
def test_each_foreign_package_has_its_corner(package: str) -> None:
    allowed = ONLY_IN[package].split()
    wrong = {
        each.by
        for each in IMPORTS
        if each.of.split(".")[0] == package and not any(fnmatch(each.by, pattern) for pattern in allowed)
    }
    assert wrong == set()


def test_only_declared_packages_are_imported() -> None:
    known = {*sys.stdlib_module_names, *ONLY_IN, "dfhost", "fan_out"}
    assert {each.of.split(".")[0] for each in IMPORTS} - known == set()


def test_the_app_and_the_host_know_nothing_of_each_other() -> None:
    wrong = [
        each
        for each in IMPORTS
        if (each.by.startswith("dfhost") and each.of.split(".")[0] in ("fan_out", "function_app"))
        or (each.by.startswith(("fan_out", "function_app")) and each.of.split(".")[0] == "dfhost")
    ]
    assert wrong == []


def test_the_engine_depends_on_nothing_but_its_arguments() -> None:
    forbidden = {
        "asyncio",
        "threading",
        "time",
        "os",
        "sys",
        "random",
        "logging",
        "pathlib",
        "socket",
        "sqlite3",
    }
    wrong = [
        each for each in IMPORTS if each.by.startswith("dfhost.engine") and each.of.split(".")[0] in forbidden
    ]
    assert wrong == []
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


def test_the_hub_is_reached_by_the_management_api_alone_and_never_the_worker_or_the_store() -> None:
    """What the outside may ask is on TaskHub, so that another door could be opened beside HTTP."""
    wrong = [
        each
        for each in IMPORTS
        if each.by.startswith(("dfhost.http", "dfhost.management"))
        and re.match(r"dfhost\.(store|worker)", each.of)
    ]
    assert wrong == []


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
