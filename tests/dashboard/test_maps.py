"""The view of map runs in a real browser: progress while it goes on, failed items by name, redrive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.apps import APPS, ROOT
from tests.support.host_process import HostProcess

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def host(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    marks = tmp_path_factory.mktemp("map") / "marks"
    with HostProcess(APPS / "map", "--memory", MARKS=str(marks), PYTHONPATH=str(ROOT)) as running:
        yield running


def start_map(host: HostProcess, items: list[Any], **options: Any) -> str:
    body = {"items": items, "activity": "work", "tolerated_failure_count": 9, **options}
    return host.start_instance("/api/start-map", body)


def test_a_map_from_its_progress_to_its_redrive(page: Page, host: HostProcess, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    gate = tmp_path / "gate"
    items: list[Any] = [{"value": number} for number in range(20)]
    items[3] = {"value": 3, "fails": 1}
    items[19] = {"value": 19, "gate": str(gate)}
    map_id = start_map(host, items, items_per_batch=1, max_concurrency=4)
    page.goto(f"{host.url}/dashboard#/maps")
    page.get_by_role("link", name="map_orchestrator over work").click()
    main = page.get_by_role("main")
    expect(main).to_contain_text("19 of 20 items · 1 failed · 1 in flight")
    expect(page.get_by_role("button", name="Cancel…")).to_be_visible()
    failures = page.get_by_role("region", name="Failures")
    expect(failures).to_contain_text("ValueError: item 3 fails")
    expect(failures).to_contain_text(json.dumps(items[3], separators=(",", ":")))
    expect(page.get_by_role("region", name="In flight")).to_contain_text("at most")
    gate.touch()
    expect(main).to_contain_text("20 of 20 items · 1 failed")
    page.get_by_role("button", name="Redrive…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Run 1 item again?")
    dialog.get_by_role("button", name="Redrive").click()
    expect(main).to_contain_text("redrive of")
    expect(main).to_contain_text(map_id)


def test_a_map_of_an_orchestrator_of_ones_own(page: Page, host: HostProcess, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    items = [{}, {"fails": -1}, {"gate": str(tmp_path / "gate")}]
    options = {"max_concurrency": 1, "tolerated_failure_count": 1}
    run = host.client.start("mapping", {"activity": "work", "items": items, "options": options})
    page.goto(f"{host.url}/dashboard#/maps")
    card = page.get_by_role("article").filter(has_text=run)
    expect(card).to_contain_text("2 of 3 items · 1 failed · 1 in flight")
    card.get_by_role("link", name="mapping over work").click()
    main = page.get_by_role("main")
    expect(main).to_contain_text("ValueError: item 1 fails")
    (tmp_path / "gate").touch()
    expect(main).to_contain_text("3 of 3 items · 1 failed")
    main.get_by_role("link", name=run).click()
    page.get_by_role("link", name="Map over work").click()
    expect(main).to_contain_text("3 of 3 items · 1 failed")
