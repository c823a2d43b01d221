"""The page's modules are checked against their JSDoc types, where the TypeScript compiler is there."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tests.support.apps import ROOT

pytestmark = pytest.mark.long


def test_the_modules_have_no_type_errors() -> None:
    compiler = shutil.which("tsc")
    if compiler is None:
        pytest.skip("there is no TypeScript compiler here: npm install --global typescript@5")
    project = ROOT / "dfhost" / "dashboard" / "static" / "jsconfig.json"
    checked = subprocess.run(
        [compiler, "-p", project], capture_output=True, text=True, timeout=100, check=False
    )
    assert checked.returncode == 0, checked.stdout
