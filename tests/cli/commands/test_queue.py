"""`dfhost queue`: the app's storage queues, and what is done with their messages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dfhost.cli import main
from tests.support.apps import write_app
from tests.support.host_process import HostProcess
from tests.support.waiting import until

APP = """
    import json

    @app.queue_trigger(arg_name="message", queue_name="orders", connection="Storage")
    @app.queue_output(arg_name="$return", queue_name="shipped", connection="Storage")
    def on_order(message: func.QueueMessage) -> str:
        return f"order {json.loads(message.get_body())['id']}"
"""


class Queues:
    """The command against one host: exit code, output, errors."""

    def __init__(self, host: HostProcess, capsys: pytest.CaptureFixture[str]) -> None:
        self.host = host
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        self._capsys.readouterr()
        try:
            code = main(["queue", *words, "--url", self.host.url])
        except SystemExit as end:
            code = int(end.code or 0)
        captured = self._capsys.readouterr()
        return code, captured.out, captured.err

    def until_shown(self, name: str, text: str) -> None:
        until(lambda: self(name)[1], lambda shown: text in shown)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    with HostProcess(write_app(tmp_path_factory.mktemp("queues"), APP), "--memory") as started:
        yield started


@pytest.fixture
def queues(host: HostProcess, capsys: pytest.CaptureFixture[str]) -> Queues:
    found = Queues(host, capsys)
    for name in ("orders", "orders-poison", "shipped", "other"):
        found(name, "--clear", "--yes")
    return found


def test_a_message_is_put_and_its_function_takes_it(queues: Queues) -> None:
    code, said, _ = queues("orders", "--put", '{"id": 7}')
    assert (code, said) == (
        0,
        "Put a message into queue orders. on_order takes it; the host's log shows how that ends.\n",
    )
    queues.until_shown("shipped", "order 7")
    code, said, _ = queues("shipped")
    assert code == 0 and "waiting" in said and "No function takes messages from this queue.\n" in said


def test_poison_messages_are_moved_back_or_deleted(queues: Queues) -> None:
    queues("orders", "--put", "no JSON")
    queues.until_shown("orders-poison", "no JSON")
    assert queues("orders-poison", "--move", "other")[:2] == (
        0,
        "Moved 1 message from queue orders-poison to other.\n",
    )
    asked = queues("other", "--clear")
    assert (asked[0], asked[2]) == (
        2,
        "dfhost: 1 message of queue other would be deleted. Add --yes to do it.\n",
    )
    assert queues("other", "--clear", "--yes")[:2] == (0, "Deleted 1 message of queue other.\n")
    assert queues("other", "--clear", "--yes")[0] == 4


def test_all_queues_are_listed(queues: Queues) -> None:
    queues("other", "--put", "a")
    code, said, _ = queues()
    assert code == 0 and [line.split() for line in said.splitlines()] == [
        ["QUEUE", "MESSAGES", "RUNNING", "TAKEN", "BY"],
        ["orders", "0", "0", "on_order"],
        ["other", "1", "0"],
    ]


def test_of_many_messages_the_oldest_are_shown(queues: Queues, tmp_path: Path) -> None:
    file = tmp_path / "message"
    file.write_text("from a file")
    for text in ("a", f"@{file}", "c"):
        queues("other", "--put", text)
    code, said, _ = queues("other", "--limit", "2")
    assert code == 0 and "from a file" in said and "1 more: --limit shows them." in said
    assert '"message": "c"' in queues("other", "--json")[1]


def test_an_empty_queue_that_nobody_takes_from_is_probably_misspelt(queues: Queues) -> None:
    said = "Queue order has no messages. No function takes messages from it. Did you mean 'orders'?\n"
    assert queues("order") == (4, said, "")
    assert queues("orders") == (4, "Queue orders has no messages.\n", "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--put", "x"], "which queue? Give its NAME"),
        (["orders", "--clear", "--limit", "1"], "--limit is for what is shown"),
        (["order", "--put", "x"], "There is no queue order so far. Did you mean 'orders'? Nothing was done;"),
        (["orders", "--move", "ordrs"], "There is no queue ordrs so far. Did you mean 'orders'? Nothing was"),
        (["a_b", "--put", "x"], "'a_b' cannot be the name of a queue. A name has 3 to 63 lower-case letters"),
        (["orders", "--move", "x"], "'x' cannot be the name of a queue."),
        (["orders", "--put", "x" * 50_000], "A message of 50,000 bytes is too long for queue orders"),
        (["orders", "--put", "x", "--clear"], "not allowed with"),
    ],
)
def test_what_cannot_be_is_a_sentence(queues: Queues, words: list[str], said: str) -> None:
    code, _, refused = queues(*words)
    assert code == 2 and said in refused


def test_another_host_has_no_queues(queues: Queues, monkeypatch: pytest.MonkeyPatch) -> None:
    from dfhost.cli.client import management_client
    from dfhost.cli.client.http_transport import Response

    def not_found(*_: Any, **__: Any) -> Response:
        return Response(404, {}, b"")

    monkeypatch.setattr(management_client, "send", not_found)
    code, _, said = queues("orders")
    assert code == 2 and "has no queues of its own: a storage account has them there." in said
