"""What the start says of queue bindings that do not do what they seem to do, here or on Azure."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.apps import write_app
from tests.support.running_host import running_host


async def notes_of(folder: Path, name: str = "elsewhere", connection: str = "") -> list[str]:
    """Of a host whose app takes from the queue orders and writes to the one of the name."""
    app = f"""
        @app.queue_trigger(arg_name="text", queue_name="orders", connection="Orders")
        def takes(text: str) -> None: pass

        @app.activity_trigger(input_name="x")
        @app.queue_output(arg_name="out", queue_name={name!r}, connection={connection!r})
        def writes(x: str, out: func.Out[str]) -> None: pass
        """
    async with running_host(write_app(folder, app)) as host:
        return host.host.notes


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("in_valid", "writes cannot write to its queue, so its calls fail. 'in_valid' cannot be the name"),
        (
            "%UNSET%",
            "writes cannot write to its queue, so its calls fail. The queue '%UNSET%' cannot be named",
        ),
        (
            "oders",
            "writes writes to queue oders, from which no function takes messages. Did you mean 'orders'?",
        ),
        ("ORDERS", None),
        ("quite-another", None),
    ],
)
async def test_outputs_to_queues_that_are_hardly_meant(tmp_path: Path, name: str, note: str | None) -> None:
    notes = [each for each in await notes_of(tmp_path, name) if each.startswith("writes ")]
    assert [each[: len(note or "")] for each in notes] == ([note] if note else [])


@pytest.mark.parametrize(
    ("connection", "setting", "lacking"),
    [
        ("", "AzureWebJobsOrders", {}),
        ("AzureWebJobsStorage", "ORDERS", {}),
        ("orders", "Orders__queueServiceUri", {}),
        ("", None, {"Orders": "takes"}),
        ("Orders", None, {"Orders": "takes, writes"}),
        ("Out", None, {"Orders": "takes", "Out": "writes"}),
        ("Out", "AzureWebJobsOrders", {"Out": "writes"}),
    ],
)
async def test_connections_that_are_no_app_settings(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    connection: str,
    setting: str | None,
    lacking: dict[str, str],
) -> None:
    if setting:
        monkeypatch.setenv(setting, "there")
    notes = [each for each in await notes_of(tmp_path, connection=connection) if "connection" in each]
    assert notes == [
        f"There is no app setting {name}, the connection of {functions}. dfhost needs none; Azure loads "
        "no function without its connection."
        for name, functions in lacking.items()
    ]
