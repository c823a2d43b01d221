"""Take the screenshots of docs/dashboard.md: `python -m tests.dashboard.screenshots`, with the extra `browser`.

They show the app of tests/apps/shop and the map's test app as they run, faults included. Make them small before they
are committed: `pngquant --force --ext .png docs/images/*.png`.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from tests.dashboard.test_page import Shop, order
from tests.support.apps import APPS, ROOT
from tests.support.host_process import HostProcess

IMAGES = ROOT / "docs" / "images"
SIZE: Any = {"width": 1200, "height": 720}


def take(page: Page, name: str) -> None:
    page.wait_for_timeout(700)
    page.screenshot(path=IMAGES / f"{name}.png")


def shop_images(page: Page, host: HostProcess, shop: Shop) -> None:
    shop.put("orders", {"id": 1024, "customer": "customer-0"}, {"id": 1025, "article": "ice"})
    for number in range(24):
        article = ("bread", "cake", "biscuits", "roll")[number % 4]
        body = {"id": f"{1000 + number}", "article": article, "customer": f"customer-{number}"}
        shop.start("place_order", body, f"order-{1000 + number}")
        time.sleep(0.06)
    shop.start("pack_orders", [order(k, "XXL" if k == 3 else "S") for k in range(5)], "packing-tuesday")
    host.client.ended("packing-tuesday")
    shop.open(page)
    take(page, "instances")
    shop.open(page, "instances/packing")
    page.get_by_role("button", name="Unfold").nth(1).click()
    take(page, "failed-item")
    shop.open(page, "instances/misspelt")
    take(page, "misspelt-event")
    shop.open(page, "instances/order-1003")
    page.get_by_role("button", name="Unfold").click()
    take(page, "timeline")
    shop.open(page, "entities/%40stock%40north")
    take(page, "entity")
    shop.open(page, "queues/orders-poison")
    take(page, "queue")


def map_image(page: Page, folder: Path) -> None:
    with HostProcess(APPS / "map", "--memory", MARKS=str(folder / "marks"), PYTHONPATH=str(ROOT)) as host:
        items: list[dict[str, Any]] = [{"value": f"item-{k}", "seconds": 0.2} for k in range(400)]
        for place in (17, 44, 61):
            items[place]["fails"] = -1
        body = {"items": items, "activity": "work", "max_concurrency": 12, "tolerated_failure_count": 9}
        map_id = host.start_instance("/api/start-map", body)
        page.goto(f"{host.url}/dashboard#/maps/{map_id}")
        page.get_by_role("region", name="In flight").wait_for()
        page.wait_for_timeout(3000)
        take(page, "map")


def main() -> int:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as name:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        stop = Path(name) / "stop"
        with HostProcess(APPS / "shop", "--memory", SHOP_STOP=str(stop), SHOP_PACE="0.02") as host:
            shop_images(page, host, Shop(host))
            dark = browser.new_page(viewport=SIZE, color_scheme="dark")
            dark.goto(f"{host.url}/dashboard#/instances/packing")
            take(dark, "dark")
            stop.touch()
        map_image(page, Path(name))
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
