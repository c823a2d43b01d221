"""Calling functions: activities as the worker calls them, the text of failures, the data of an invocation."""

from __future__ import annotations

import asyncio
import json
import re
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from dfhost.app.exceptions import describe_exception
from dfhost.app.functions import App, NotConnected, stored_result
from dfhost.app.loader import load_app
from dfhost.errors import AppError
from dfhost.management.urls import client_json
from dfhost.runner.durable_clients import client_texts
from tests.support.apps import function_named, load_written_app, write_app
from tests.support.recording_log import RecordingLog


@pytest.fixture
def app(tmp_path: Path) -> App:
    return load_written_app(
        tmp_path,
        """
        import asyncio, enum, decimal, threading

        class Point:
            def __init__(self, x): self.x = x
            def to_json(self): return str(self.x)
            @classmethod
            def from_json(cls, text): return cls(int(text))

        class Rude(Exception):
            def __str__(self): raise RuntimeError("no words")

        @app.activity_trigger(input_name="value")
        def echo(value): return value

        @app.activity_trigger(input_name="value")
        def kind(value): return type(value).__name__

        @app.activity_trigger(input_name="value")
        def evaluate(value: str): return eval(value)

        @app.activity_trigger(input_name="point")
        def move(point: Point): return [Point(point.x + 1), {"at": Point(point.x + 2)}]

        @app.activity_trigger(input_name="value")
        async def later(value):
            await asyncio.sleep(0)
            return f"{value} later"

        @app.activity_trigger(input_name="value")
        def fail(value: str): exec(value)

        @app.activity_trigger(input_name="value")
        def context_seen(value, context: func.Context):
            found = []
            def inner(): found.append(getattr(context.thread_local_storage, "invocation_id", None))
            inner()
            thread = threading.Thread(target=inner)
            thread.start()
            thread.join()
            return [context.function_name, context.invocation_id, *found, context.retry_context.max_retry_count]

        @app.activity_trigger(input_name="value")
        @app.durable_client_input(client_name="client")
        async def with_client(value, client):
            return client.create_http_management_payload("an-id")["statusQueryGetUri"]

        @app.activity_trigger(input_name="value")
        @app.blob_output(arg_name="blob", path="c/b", connection="c")
        def sends(value, blob: func.Out[str]):
            blob.set("sent " + value)
            return "done"

        @app.activity_trigger(input_name="value")
        @app.blob_input(arg_name="blob", path="c/b", connection="c")
        def reads(value, blob: str): return blob
        """,
    )


def call(app: App, name: str, value: Any) -> str | None:
    function = app.activities.get(name)
    assert function is not None
    text = json.dumps(value)
    return asyncio.run(function.call_async(text)) if function.is_async else function.call(text)


# -- inputs and results --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "value", ["text", "", 0, 1.5, True, [], {"a": [1, {"b": None}]}, 2**70, "2024-05-06"]
)
def test_json_values_go_in_and_out(app: App, value: Any) -> None:
    assert call(app, "echo", value) == json.dumps(value, separators=(",", ":"))


def test_none_is_no_result_at_all(app: App) -> None:
    assert call(app, "echo", None) is None


def test_an_input_that_is_no_json_arrives_as_it_is(app: App) -> None:
    echo = function_named(app.activities, "echo")
    assert echo.call("not json") == '"not json"'


@pytest.mark.parametrize(
    ("expression", "stored"),
    [
        ("(1, 2)", "[1,2]"),
        ("{1: 'a', None: 2, True: 3}", '{"1":3,"null":2}'),
        ("float('nan')", '"NaN"'),
        ("[float('inf'), -float('inf')]", '["Infinity","-Infinity"]'),
        ("enum.IntEnum('C', 'A B')(2)", "2"),
        ("'é ' + chr(0x1F600)", '"é \U0001f600"'),
        ("'half ' + chr(0xD800)", '"half \\ud800"'),
        ("{'$type': 'x', '$id': '1', 'x': 1}", '{"x":1}'),
        ("{'x': 1, '$type': 'kept'}", '{"x":1,"$type":"kept"}'),
        ("[{'$type': 'kept'}]", '[{"$type":"kept"}]'),
        ("'a, b: c'", '"a, b: c"'),
        ("-0.0", "-0.0"),
    ],
)
def test_results_are_stored_as_the_extension_stores_them(app: App, expression: str, stored: str) -> None:
    assert call(app, "evaluate", expression) == stored


def test_stored_results_survive_sqlite_and_come_back(app: App) -> None:
    for text in ('{"a": "\\u00e9, b"}', '"\\ud83d\\ude00"', '[1, 2.5e300, {"k": null}]'):
        stored = stored_result(text)
        assert stored is not None and stored.encode()
        assert json.loads(stored) == json.loads(text)


def test_custom_classes_are_rebuilt(app: App) -> None:
    point = {"__class__": "Point", "__module__": "function_app", "__data__": "1"}
    assert call(app, "kind", point) == '"Point"'
    moved = json.loads(call(app, "move", point) or "")
    assert [moved[0]["__data__"], moved[1]["at"]["__data__"]] == ["2", "3"]


def test_coroutine_functions_are_awaited(app: App) -> None:
    assert call(app, "later", "sooner or") == '"sooner or later"'


# -- what a call is given ------------------------------------------------------------------------------------
def test_the_invocation_context(app: App) -> None:
    first = json.loads(call(app, "context_seen", 1) or "")
    name, invocation, here, elsewhere, retries = first
    assert (name, here, elsewhere, retries) == ("context_seen", invocation, None, 0)
    assert json.loads(call(app, "context_seen", 1) or "")[1] != invocation


def test_a_durable_client_speaks_for_the_connected_hub(app: App) -> None:
    clients = client_texts(
        app.info, lambda hub, connection: client_json("http://h", "http://r/durabletask/", hub or "MyHub")
    )
    app.connect(clients)
    assert "/instances/an-id?taskHub=MyHub&connection=Storage" in (call(app, "with_client", 1) or "")


def test_a_clients_task_hub_may_be_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = load_written_app(
        tmp_path,
        """
        @app.activity_trigger(input_name="value")
        @app.durable_client_input(client_name="client", task_hub="%HUB%", connection_name="Other")
        async def work(value, client): ...
        """,
    )
    named: list[tuple[str | None, str | None]] = []

    def client(hub: str | None, connection: str | None) -> str:
        named.append((hub, connection))
        return "{}"

    with pytest.raises(AppError, match=r"'work': its task hub '%HUB%': there is no app setting 'HUB'\."):
        client_texts(app.info, client)
    monkeypatch.setenv("HUB", "MyHub")
    client_texts(app.info, client)
    assert named == [("MyHub", "Other")]


def test_outputs_for_services_that_are_not_there_are_logged(tmp_path: Path) -> None:
    log = RecordingLog()
    folder = write_app(
        tmp_path,
        """
        @app.activity_trigger(input_name="value")
        @app.blob_output(arg_name="blob", path="c/b", connection="c")
        def sends(value, blob: func.Out[str]):
            blob.set("sent " + value)
            return "done"
        """,
    )
    sends = function_named(load_app(folder, log).activities, "sends")
    assert sends.call('"x"') == '"done"'
    assert log.notes == ["sends: dfhost does not send its blob output: sent x"]


def test_inputs_that_nothing_provides_fail_the_call(app: App) -> None:
    with pytest.raises(NotConnected, match="'reads' reads 'blob' from a blob binding"):
        call(app, "reads", "x")


# -- failures ------------------------------------------------------------------------------------------------
def failing(app: App, source: str) -> Any:
    try:
        call(app, "fail", source)
    except BaseException as error:
        return describe_exception(error)
    raise AssertionError("it did not fail")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("raise ValueError('bad')", "ValueError: bad"),
        ("raise ValueError", "ValueError: "),
        ("raise KeyError('lost')", "KeyError: 'lost'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt: "),
        ("raise GeneratorExit('early')", "GeneratorExit: early"),
        ("raise Rude()", "Unhandled exception in function. Could not serialize original exception message."),
        ("try: 1/0\nexcept Exception as e: raise ValueError('outer') from e", "ValueError: outer"),
        ("raise ValueError('two\\nlines')", "ValueError: two\nlines"),
    ],
)
def test_failures_are_described_as_the_worker_describes_them(app: App, source: str, text: str) -> None:
    failure = failing(app, source)
    assert failure.text == text
    assert failure.type_name == source.split("raise ")[-1].split("(")[0].split(" ")[0].strip()


@pytest.mark.skipif(sys.version_info < (3, 11), reason="ExceptionGroup came with Python 3.11")
def test_an_exception_group_is_described_in_one_line(app: App) -> None:
    failure = failing(app, "raise ExceptionGroup('several', [ValueError('a'), KeyError('b')])")
    assert failure.text == "ExceptionGroup: several (2 sub-exceptions)"


def test_the_stack_begins_in_the_users_code(app: App) -> None:
    failure = failing(app, "raise ValueError('bad')")
    lines = failure.stack.splitlines()
    assert re.search(r'function_app\.py", line \d+, in fail$', lines[0])
    assert failure.stack.endswith("\n") and "dfhost/app" not in failure.stack


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("b'abc'", "(b'abc')"),
        ("{1}", "({1})"),
        ("decimal.Decimal('1.50')", "(1.50)"),
        ("threading.current_thread", "(<function current_thread at "),
    ],
)
def test_results_that_are_no_json_fail_as_in_the_worker(app: App, expression: str, shown: str) -> None:
    with pytest.raises(ValueError, match="activity trigger output must be json serializable") as caught:
        call(app, "evaluate", expression)
    assert shown in describe_exception(caught.value).text


@pytest.mark.parametrize(
    ("result", "shown"),
    [("Decimal('1.5')", "a value of type Decimal,"), ("{'a': [1, {2}]}", "a value of type set at ['a'][1],")],
)
def test_what_is_no_json_is_named_once(tmp_path: Path, result: str, shown: str) -> None:
    body = f"    from decimal import Decimal\n    return {result}\n"
    (tmp_path / "function_app.py").write_text(
        "import azure.durable_functions as df\napp = df.DFApp()\n"
        f"@app.activity_trigger(input_name='x')\ndef plain(x):\n{body}"
        f"@app.activity_trigger(input_name='x')\ndef with_context(x, context):\n{body}"
    )
    log = RecordingLog()
    loaded = load_app(tmp_path, log)
    for name in ("plain", "with_context"):
        for _ in range(2):
            with pytest.raises(ValueError, match="must be json serializable"):
                call(loaded, name, 1)
    notes = [note for note in log.notes if "JSON does not have" in note]
    assert [note.partition(" ")[0] for note in notes] == ["plain", "with_context"]
    assert all(shown in note for note in notes)


# -- the client's JSON ---------------------------------------------------------------------------------------
def test_client_json_has_the_extensions_shape() -> None:
    found = json.loads(
        client_json("http://localhost:7071/", "http://127.0.0.1:7071/durabletask/", "Hub", "Conn")
    )
    base = "http://localhost:7071/runtime/webhooks/durabletask"
    assert list(found) == [
        "taskHubName",
        "connectionName",
        "creationUrls",
        "managementUrls",
        "baseUrl",
        "requiredQueryStringParameters",
        "rpcBaseUrl",
        "httpBaseUrl",
    ]
    assert found["baseUrl"] == base and found["rpcBaseUrl"].endswith("/durabletask/")
    assert (
        found["creationUrls"]["createNewInstancePostUri"]
        == f"{base}/orchestrators/{{functionName}}[/{{instanceId}}]"
    )
    assert found["managementUrls"] == {
        "id": "INSTANCEID",
        "statusQueryGetUri": f"{base}/instances/INSTANCEID?taskHub=Hub&connection=Conn",
        "sendEventPostUri": f"{base}/instances/INSTANCEID/raiseEvent/{{eventName}}?taskHub=Hub&connection=Conn",
        "terminatePostUri": f"{base}/instances/INSTANCEID/terminate?reason={{text}}&taskHub=Hub&connection=Conn",
        "rewindPostUri": f"{base}/instances/INSTANCEID/rewind?reason={{text}}&taskHub=Hub&connection=Conn",
        "purgeHistoryDeleteUri": f"{base}/instances/INSTANCEID?taskHub=Hub&connection=Conn",
        "restartPostUri": f"{base}/instances/INSTANCEID/restart?taskHub=Hub&connection=Conn",
        "suspendPostUri": f"{base}/instances/INSTANCEID/suspend?reason={{text}}&taskHub=Hub&connection=Conn",
        "resumePostUri": f"{base}/instances/INSTANCEID/resume?reason={{text}}&taskHub=Hub&connection=Conn",
    }


def test_many_threads_may_call_one_function(app: App) -> None:
    context_seen = function_named(app.activities, "context_seen")
    results: list[list[Any]] = []
    threads = [
        threading.Thread(target=lambda: results.append(json.loads(context_seen.call("1") or "")))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({result[1] for result in results}) == 16
    assert all(result[1] == result[2] for result in results)
