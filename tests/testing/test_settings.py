"""App settings that a test does not find."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfhost.testing import Durable
from tests.support.apps import write_app

APP = """
    import os

    def setting():
        return os.environ["APPROVAL_LIMIT"]

    @app.activity_trigger(input_name="x")
    def work(x: str):
        return setting()

    @app.orchestration_trigger(context_name="context")
    def calls(context):
        yield context.call_activity("work", "")

    @app.orchestration_trigger(context_name="context")
    def asks(context):
        return setting()

    @app.entity_trigger(context_name="context")
    def till(context):
        setting()

    @app.route(route="go")
    def go(req: func.HttpRequest):
        return setting()

    @app.orchestration_trigger(context_name="context")
    def other(context):
        return {}["APPROVAL_LIMIT"]
"""


@pytest.fixture
def durable_app(tmp_path: Path) -> str:
    return str(write_app(tmp_path, APP))


def act(durable: Durable, what: str) -> None:
    if what == "go":
        durable.get("/api/go")
    elif what == "till":
        durable.entity("till", "main").signal("add").signal("add")
    else:
        durable.start(what).wait()


@pytest.mark.parametrize("what", ["calls", "asks", "till", "go"])
def test_a_missing_setting_is_named_where_there_is_no_file(
    durable: Durable, durable_app: str, what: str
) -> None:
    act(durable, what)
    file = Path(durable_app, "local.settings.json")
    assert durable.notes == [
        f"The app setting APPROVAL_LIMIT is not set: there is no {file}. Tests that should not need the file set it "
        'in conftest.py: os.environ["APPROVAL_LIMIT"] = "…"'
    ]
    assert durable.notes[0] in durable.report()
    file.write_text("{}")
    durable.crash()
    act(durable, what)
    assert f"is not set: {file} does not have it." in durable.notes[1]


def test_another_key_that_is_missing_is_no_setting(durable: Durable) -> None:
    act(durable, "other")
    assert durable.notes == []
