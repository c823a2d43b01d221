"""docs/management-api.md has the routes that the host has."""

from __future__ import annotations

import re

from dfhost.management.routes import ANY_METHOD, ROUTES
from dfhost.management.urls import WEBHOOKS_PATH
from tests.support.apps import ROOT


def test_every_route_has_a_row() -> None:
    page = (ROOT / "docs" / "management-api.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([A-Za-z ]+) \| `([^`]+)` \|", page, re.MULTILINE)
    served = [("any" if methods == ANY_METHOD else methods, path) for methods, path, _ in ROUTES]
    assert sorted(rows) == sorted(served)
    assert WEBHOOKS_PATH in page
