"""Credentials in exceptions are hidden, as the Functions host hides them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfhost.credentials import hide_credentials
from tests.support.apps import write_app
from tests.support.running_host import running_host


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("url https://a/b?code=abc", "url https://a/b[Hidden Credential]"),
        ("url 'https://a/b?x=1&code=abc' failed", "url 'https://a/b?x=1[Hidden Credential]' failed"),
        ('AccountName=me;AccountKey=abc==;X="1"', 'AccountName=me;[Hidden Credential]"1"'),
        ("password=1 <b> PWD=2", "[Hidden Credential]<b> [Hidden Credential]"),
        ("a DefaultEndpointsProtocol=https;AccountName=me", "a [Hidden Credential]"),
        ("KeyError: key='x'", "KeyError: [Hidden Credential]'x'"),
        ("System, PublicKeyToken=b77a5c561934e089", "System, PublicKeyToken=b77a5c561934e089"),
        ("amqp://me:secret@host:5672 refused", "[Hidden Credential] refused"),
        ("http://localhost:7071/api?x=1", "http://localhost:7071/api?x=1"),
        ("no item 5: {'a': 1}", "no item 5: {'a': 1}"),
    ],
)
def test_what_is_hidden(text: str, shown: str) -> None:
    assert hide_credentials(text) == shown


APP = """
    @app.orchestration_trigger(context_name="context")
    def calls(context):
        return (yield context.call_activity("fails", context.get_input()))

    @app.orchestration_trigger(context_name="context")
    def raises(context):
        yield context.call_activity("echo", context.get_input())
        raise ValueError(context.get_input())

    @app.activity_trigger(input_name="text")
    def fails(text: str): raise ValueError(text)

    @app.activity_trigger(input_name="text")
    def echo(text: str) -> str: return text
"""


async def test_no_failure_shows_a_credential(tmp_path: Path) -> None:
    async with running_host(write_app(tmp_path, APP)) as host:
        for orchestrator in ("calls", "raises"):
            failure = await host.failure(await host.start(orchestrator, "https://a/b?code=s3cret"))
            assert "ValueError: https://a/b[Hidden Credential]" in failure or orchestrator == "raises"
            assert "https://a/b[Hidden Credential]" in failure and "s3cret" not in failure
        assert "s3cret" not in str(host.log.entries)
