"""What a host's console says, in a test: notes about the app, and how a function ends that is run by hand."""

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

    @app.queue_trigger(arg_name="message", queue_name="orders", connection="AzureWebJobsStorage")
    def on_message(message: func.QueueMessage) -> None:
        if message.get_body() == b"bad":
            raise ValueError("bad")
"""


@pytest.fixture(scope="module")
def durable_app(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_app(tmp_path_factory.mktemp("notes"), APP))


def test_mistakes_in_the_code_are_among_them_and_in_the_report(durable: Durable) -> None:
    durable.start("flow").result()
    (note,) = durable.notes
    assert note.startswith("flow (function_app.py, line ") and "without yield starts nothing" in note
    assert f"The host says:\n  {note}" in durable.report()


@pytest.mark.parametrize(("message", "raised"), [("good", None), ("bad", "ValueError: bad")])
def test_a_function_that_is_run_by_hand_and_fails_fails_the_test(
    durable: Durable, message: str, raised: str | None
) -> None:
    if raised is None:
        durable.trigger("on_message", message)
    else:
        with pytest.raises(AssertionError, match=f"^on_message failed: {raised}$"):
            durable.trigger("On_Message", message)
