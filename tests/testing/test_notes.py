"""`durable.notes`: what the host's console would say of the app."""

from __future__ import annotations

import pytest

from dfhost.testing import Durable
from tests.support.apps import write_app

APP = """
    @app.orchestration_trigger(context_name="context")
    def flow(context):
        context.call_activity("work", 1)
        yield context.create_timer(context.current_utc_datetime)

    @app.activity_trigger(input_name="x")
    def work(x):
        return x
"""


@pytest.fixture(scope="module")
def durable_app(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_app(tmp_path_factory.mktemp("notes"), APP))


def test_mistakes_in_the_code_are_among_them_and_in_the_report(durable: Durable) -> None:
    durable.start("flow").result()
    (note,) = durable.notes
    assert note.startswith("flow (function_app.py, line ") and "without yield starts nothing" in note
    assert f"The host says:\n  {note}" in durable.report()
