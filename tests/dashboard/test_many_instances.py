"""The list with more instances than the page holds: what is shown of them, and how smoothly it scrolls.

The frames are measured in the browser and printed (`-s`); on a busy machine they say nothing. What is asserted is
why they are short: only the rows in sight are elements.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dfhost.store.database import create_if_missing
from tests.support.apps import APPS
from tests.support.host_process import HostProcess

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.long

HELD = 20_000  # what the page holds at most
COUNT = HELD + 500
STATUSES = ("Completed", "Completed", "Completed", "Failed", "Terminated")
SCROLL = """
async () => {
  const table = document.querySelector(".table");
  const frames = [];
  let last = performance.now();
  for (let step = 1; step <= 90; step += 1) {
    table.scrollTop = (table.scrollHeight * step) / 90;
    await new Promise(requestAnimationFrame);
    frames.push(performance.now() - last);
    last = performance.now();
  }
  frames.sort((a, b) => a - b);
  return { median: frames[45], worst: frames[89], rows: document.querySelectorAll(".virtual-body .row").length };
}
"""


@pytest.fixture(scope="module")
def host(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    file = tmp_path_factory.mktemp("many") / "hub.db"
    create_if_missing(file)
    fill(file)
    with HostProcess(APPS / "shop", "--db", file) as running:
        yield running


def fill(file: Path) -> None:
    begin = datetime(2026, 11, 1, tzinfo=timezone.utc)
    rows = []
    for number in range(COUNT):
        created = begin + timedelta(seconds=number * 7)
        times = [
            f"{each:%Y-%m-%dT%H:%M:%S.%fZ}" for each in (created, created + timedelta(seconds=number % 90))
        ]
        name = ("place_order", "ship_order", "pack_orders")[number % 3]
        rows.append(
            (f"instance-{number:05}", "e", name, STATUSES[number % 5], *times, '{"step": 1}', '"in"', '"out"')
        )
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.executemany(
            "INSERT INTO instances (instance_id, execution_id, name, status, created_at, updated_at, custom_status, "
            "input, output) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            rows,
        )


def test_thousands_of_instances(page: Page, host: HostProcess) -> None:
    from playwright.sync_api import expect

    page.goto(f"{host.url}/dashboard")
    table, find = page.get_by_role("table"), page.get_by_label("Find instances")
    expect(table).to_have_attribute("aria-rowcount", str(HELD + 1))
    expect(page.get_by_text("the page holds the newest 20,000 of 20,500")).to_be_visible()
    expect(page.get_by_role("link", name="instance-20499")).to_be_visible()
    frames: dict[str, Any] = page.evaluate(SCROLL)
    print("milliseconds a frame while it scrolls from end to end:", frames)
    assert frames["rows"] < 60
    expect(page.get_by_role("link", name="instance-00500")).to_be_visible()
    find.fill("instance-0123")
    expect(table).to_have_attribute("aria-rowcount", "11")
    page.get_by_role("button", name="Failed").click()
    expect(table).to_have_attribute("aria-rowcount", "3")
    page.get_by_role("button", name="Clear").click()
    find.fill("instance-00003")
    expect(page.get_by_text("No instance fits.")).to_be_visible()
    find.press("Enter")  # the host finds what the page does not hold
    expect(page.get_by_role("link", name="instance-00003")).to_be_visible()


def test_what_is_purged_leaves_the_list(page: Page, host: HostProcess) -> None:
    from playwright.sync_api import expect

    page.goto(f"{host.url}/dashboard")
    table = page.get_by_role("table")
    expect(table).to_have_attribute("aria-rowcount", str(HELD + 1))
    path = "/runtime/webhooks/durabletask/instances?createdTimeFrom=2026-01-01&runtimeStatus=Completed"
    assert host.client.request("DELETE", path).status == 200
    expect(table).to_have_attribute("aria-rowcount", str(COUNT * 2 // 5 + 1))
