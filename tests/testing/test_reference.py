"""The reference page is complete and true: it is what the docstrings say."""

from __future__ import annotations

import inspect
import runpy

import dfhost.testing
from tests.support.apps import ROOT


def test_the_page_is_up_to_date() -> None:
    page = runpy.run_path(str(ROOT / "scripts" / "testing_reference.py"))["page"]()
    assert (ROOT / "docs" / "testing-reference.md").read_text("utf-8") == page, (
        "run: python scripts/testing_reference.py"
    )


def test_everything_public_is_typed_and_documented() -> None:
    for name in dfhost.testing.__all__:
        cls = getattr(dfhost.testing, name)
        assert inspect.getdoc(cls), name
        for attribute, member in vars(cls).items():
            function = member.fget if isinstance(member, property) else member
            if attribute.startswith("_") or not inspect.isfunction(function):
                continue
            assert inspect.getdoc(function), f"{name}.{attribute}"
            given = inspect.get_annotations(function)
            assert given.keys() == {"return", *list(inspect.signature(function).parameters)[1:]}, (
                f"{name}.{attribute}"
            )
