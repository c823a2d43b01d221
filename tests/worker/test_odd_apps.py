"""Apps that do with their process what few apps do. Each test is a request to one host that has them all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.apps import write_app
from tests.support.host_process import HostProcess

ODD = """
@app.route("nested/{levels:int}")
def nested(req: func.HttpRequest) -> str:
    levels = int(req.route_params["levels"])
    return "[" * levels + "]" * levels
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    with HostProcess(write_app(tmp_path_factory.mktemp("odd") / "app", ODD), "--memory") as host:
        yield host


def get(host: HostProcess, path: str) -> str:
    response = host.client.request("GET", f"/api/{path}")
    assert response.status == 200, response
    return response.text


@pytest.mark.parametrize("levels", [600, 5000])
def test_json_that_is_nested_too_deeply_to_be_printed_is_sent_as_it_is(
    host: HostProcess, levels: int
) -> None:
    assert get(host, f"nested/{levels}") == "[" * levels + "]" * levels
