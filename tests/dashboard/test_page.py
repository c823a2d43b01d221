"""The page in a real browser, at a shop with six faults: each view is clicked through as a person would."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from tests.support.apps import APPS, write_app
from tests.support.host_process import HostProcess
from tests.support.waiting import until

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = pytest.mark.long

SIZES = ("S", "M", "L")


class Shop:
    """The running app, with an instance for each of its faults."""

    def __init__(self, host: HostProcess) -> None:
        self.host = host
        self.url = f"{host.url}/dashboard"
        self.start("pack_orders", [order(k, "XL" if k == 4 else SIZES[k % 3]) for k in range(12)], "packing")
        self.start("pack_orders", [order(k, SIZES[k % 3]) for k in range(60)], "many")
        self.start("approve_order", {"count": 12}, "approval")
        for instance_id in ("misspelt", "overlooked"):
            self.start("approve_order", {"count": 3}, instance_id)
        self.start("reserve", {"warehouse": "south", "count": 5}, "reserve-south")
        self.signal("stock", "north", "recount")
        for number in range(3):
            self.start("reserve", {"warehouse": "north", "count": 1}, f"reserve-{number}")
        self.start("close_month", [1, 2, 3], "ledger")
        self.put("orders", {"id": 7, "artikel": "cake", "customer": "<b>Ada</b>"})
        self.start("place_order", {"id": "7", "article": "cake", "customer": "<b>Ada</b>"}, "order-7")
        for instance_id in ("packing", "many", "order-7"):
            host.client.ended(instance_id)
        for instance_id in ("misspelt", "overlooked"):
            assert host.client.request("POST", f"/api/orders/{instance_id}/approve").status == 200

    def start(self, name: str, input: Any, instance_id: str) -> str:
        path = f"/runtime/webhooks/durabletask/orchestrators/{name}/{instance_id}"
        assert self.host.client.request("POST", path, json.dumps(input)).status == 202
        return instance_id

    def signal(self, entity: str, key: str, operation: str) -> None:
        path = f"/runtime/webhooks/durabletask/entities/{entity}/{key}?op={operation}"
        assert self.host.client.request("POST", path, "1").status == 202

    def put(self, queue: str, *messages: Any) -> None:
        path = f"/admin/queues/{queue}"
        assert self.host.client.request("POST", path, {"messages": messages}).status == 201

    def open(self, page: Page, view: str = "instances") -> None:
        """The view as it is at first: the list keeps its filters for as long as the page is loaded."""
        address = f"{self.url}#/{view}"
        if view == "instances" or page.url == address or not page.url.startswith(self.url):
            page.goto("about:blank")
        else:
            page.evaluate(
                "document.getElementById('main').replaceChildren()"
            )  # what follows waits for the new one
        page.goto(address)
        page.get_by_role("heading", level=1).wait_for()


def order(number: int, size: str) -> dict[str, Any]:
    return {"id": number, "size": size}


@pytest.fixture(scope="module")
def shop(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    stop = tmp_path_factory.mktemp("shop") / "stop"
    with HostProcess(APPS / "shop", "--memory", SHOP_STOP=str(stop), SHOP_PACE="0.01") as host:
        yield Shop(host)
        stop.touch()


def expect(found: Locator | Page) -> Any:
    from playwright.sync_api import expect as playwright_expect

    return playwright_expect(found)


def row(page: Page, instance_id: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=instance_id, exact=True))


def note(page: Page, title: str) -> Locator:
    return page.get_by_role("note").filter(has_text=title)


# -- instances -------------------------------------------------------------------------------------------------
def test_the_list_is_live(page: Page, shop: Shop) -> None:
    shop.open(page)
    expect(row(page, "packing")).to_contain_text("Failed")
    expect(row(page, "packing")).to_contain_text("pack: KeyError: 'XL'")
    expect(page.locator("#live")).to_have_text("Live")
    completed = page.get_by_role("button", name="Completed")
    before = int(re.findall(r"\d+", completed.inner_text())[0])
    shop.start("count_up", [1], "counted-live")
    expect(row(page, "counted-live")).to_contain_text("Completed")
    expect(completed).to_contain_text(str(before + 1))


def test_the_list_says_what_each_waits_for(page: Page, shop: Shop) -> None:
    shop.open(page)
    expect(row(page, "ledger")).to_contain_text("It waits for activity export_ledger (running).")
    expect(row(page, "misspelt")).to_contain_text("not awaited: Aproval")
    expect(row(page, "misspelt")).to_contain_text("It waits for event Approval or a timer due in 2 d (")
    expect(row(page, "reserve-0")).to_contain_text("the answer to reserve of @stock@north")


def test_filters(page: Page, shop: Shop) -> None:
    shop.open(page)
    page.get_by_role("button", name="Failed").click()
    expect(row(page, "packing")).to_be_visible()
    expect(row(page, "many")).to_have_count(0)
    page.get_by_role("button", name="Clear").click()
    page.get_by_label("Orchestrator", exact=True).select_option("reserve")
    expect(page.get_by_role("table").get_by_role("link")).to_have_count(4)
    page.get_by_role("button", name="Clear").click()
    find = page.get_by_label("Find instances")
    find.fill("ledger")
    expect(page.get_by_role("table").get_by_role("link")).to_have_count(1)
    find.fill('\\"XL\\"')
    expect(page.get_by_text("No instance fits.")).to_be_visible()
    find.press("Enter")
    expect(row(page, "packing")).to_be_visible()


def test_a_time_is_chosen_by_dragging(page: Page, shop: Shop) -> None:
    shop.open(page)
    page.get_by_role("img", name="created from").wait_for()
    box = page.locator(".histogram").bounding_box()
    assert box
    page.mouse.move(box["x"] + 1, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 20)
    page.mouse.up()
    expect(page.get_by_text("created from")).to_be_visible()


def test_sorting(page: Page, shop: Shop) -> None:
    shop.open(page)
    page.get_by_role("button", name="Instance", exact=True).click()
    expect(page.get_by_role("columnheader", name="Instance")).to_have_attribute("aria-sort", "ascending")
    ids = page.locator(".cell.id a").all_inner_texts()
    assert ids == sorted(ids)


def test_many_are_terminated_after_a_question_in_words(page: Page, shop: Shop) -> None:
    for number in range(3):
        shop.start("approve_order", {"count": number}, f"doomed-{number}")
    shop.open(page)
    page.get_by_label("Find instances").fill("doomed")
    expect(page.get_by_role("table").get_by_role("link")).to_have_count(3)
    page.get_by_label("Select all that are listed").check()
    bar = page.get_by_role("region", name="Selected instances")
    expect(bar).to_contain_text("3 selected")
    bar.get_by_role("button", name="Terminate").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Terminate 3 instances?")
    expect(dialog).to_contain_text("ends at once and for good")
    dialog.get_by_role("button", name="Cancel").click()
    expect(row(page, "doomed-0")).to_contain_text("Running")
    bar.get_by_role("button", name="Terminate").click()
    dialog.get_by_label("Reason").fill("too old")
    dialog.get_by_role("button", name="Terminate 3 instances").click()
    for number in range(3):
        expect(row(page, f"doomed-{number}")).to_contain_text("Terminated")
    assert shop.host.client.status("doomed-1")["output"] == "too old"
    page.get_by_label("Select all that are listed").check()
    bar.get_by_role("button", name="Purge").click()
    dialog.get_by_role("button", name="Purge 3 instances").click()
    expect(page.get_by_text("No instance fits.")).to_be_visible()


# -- one instance: the five faults -----------------------------------------------------------------------------
def test_a_failed_item_is_named_with_its_input(page: Page, shop: Shop) -> None:
    shop.open(page, "instances/packing")
    expect(note(page, "Failed")).to_contain_text(
        'pack [4] {"id": 4, "size": "XL"} failed, attempt 3 of 3: KeyError: \'XL\''
    )
    fan_out = page.get_by_role("row", name=re.compile("pack . 12"))
    expect(fan_out).to_contain_text("11 completed, 1 failed")
    failed = page.get_by_role("row", name="pack [4]")
    expect(failed).to_be_visible()  # although the others are folded
    expect(page.get_by_role("row", name="pack [5]")).to_have_count(0)
    failed.get_by_role("button", name="Unfold").click()
    for number in (1, 2, 3):
        attempt = page.get_by_role("row", name=re.compile(f"^attempt {number}"))
        expect(attempt).to_contain_text("KeyError: 'XL'")
    failed.get_by_role("button", name="pack [4]").click()
    detail = page.get_by_role("region", name="Task pack [4]")
    expect(detail).to_contain_text("3 of 3")
    expect(detail).to_contain_text("[4] of 12, counted from [0]")
    expect(detail).to_contain_text("in pack")  # the traceback
    expect(detail).to_contain_text(re.compile(r"Worker process\s*\d+"))
    fan_out.get_by_role("button", name="Unfold").click()
    expect(page.get_by_role("row", name="pack [5]")).to_be_visible()


def test_a_misspelt_event_is_told_and_the_right_one_raised(page: Page, shop: Shop) -> None:
    shop.open(page, "instances/misspelt")
    expect(note(page, "Not awaited")).to_contain_text("Aproval")
    expect(note(page, "Not awaited")).to_contain_text("It waits for Approval")
    page.get_by_role("button", name="Raise event…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label("Event")).to_have_value("Approval")
    dialog.get_by_label("Data (JSON)").fill("{yes")
    dialog.get_by_role("button", name="Raise").click()
    expect(dialog.get_by_role("alert")).to_contain_text("is not JSON")
    dialog.get_by_label("Data (JSON)").fill("true")
    dialog.get_by_label("Event").fill("aproval")
    dialog.get_by_role("button", name="Raise").click()
    expect(dialog.get_by_role("alert")).to_have_text("Nothing waits for aproval now. Did you mean Approval?")
    expect(dialog.get_by_role("button", name="Raise anyway")).to_be_visible()
    dialog.get_by_role("button", name="Approval").click()
    expect(dialog.get_by_label("Event")).to_have_value("Approval")
    expect(dialog.get_by_role("alert")).to_have_count(0)
    dialog.get_by_role("button", name="Raise").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Completed")
    expect(page.get_by_role("region", name="Output")).to_contain_text('"approved": true')


def test_an_early_event_is_raised_anyway(page: Page, shop: Shop) -> None:
    shop.start("approve_order", {"count": 1}, "early")
    shop.open(page, "instances/early")
    expect(note(page, "Now")).to_contain_text("event Approval")
    page.get_by_role("button", name="Raise event…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Event").fill("Payment")
    dialog.get_by_role("button", name="Raise").click()
    dialog.get_by_role("button", name="Raise anyway").click()
    expect(note(page, "Not awaited")).to_contain_text("Payment")


def test_a_stuck_entity_is_found_from_the_instance_that_waits(page: Page, shop: Shop) -> None:
    shop.open(page, "instances/reserve-0")
    expect(note(page, "Now")).to_contain_text("@stock@north: The entity's operation recount has been running")
    note(page, "Now").get_by_role("link", name="@stock@north").click()
    entity = page.get_by_role("complementary", name="Entity")
    expect(entity).to_contain_text("operation recount has been running since")
    expect(entity).to_contain_text("4 operations in its queue")
    expect(entity.get_by_role("listitem").first).to_contain_text("recount")


def test_a_mistake_in_the_code_is_told_at_its_instances_and_functions(page: Page, shop: Shop) -> None:
    shop.host.client.ended(shop.start("thank_customer", None, "thanked"))
    for view in ("instances/thanked", "functions"):
        shop.open(page, view)
        expect(note(page, "Code")).to_contain_text(
            re.compile(r"thank_customer \(function_app.py, line \d+\): .* without yield starts nothing")
        )


def test_a_slow_activity_shows_as_running(page: Page, shop: Shop) -> None:
    shop.open(page, "instances/ledger")
    expect(note(page, "Now")).to_contain_text("It waits for activity export_ledger (running)")
    expect(page.get_by_role("row", name="export_ledger")).to_contain_text("running")


# -- one instance: everything else -----------------------------------------------------------------------------
def test_children_are_nested_and_linked_both_ways(page: Page, shop: Shop) -> None:
    shop.open(page, "instances/order-7")
    page.get_by_role("row", name="ship_order").get_by_role("button", name="Unfold").click()
    expect(page.get_by_role("row", name="hand_over")).to_be_visible()
    page.get_by_role("button", name="ship_order").click()
    page.get_by_role("region", name="Task ship_order").get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("ship_order")
    page.get_by_role("navigation", name="Where this is").get_by_role("link", name="order-7").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("place_order")


def test_ids_are_short_where_they_are_not_the_subject(page: Page, shop: Shop) -> None:
    shop.open(page, "instances/order-7")
    crumbs = page.get_by_role("navigation", name="Where this is")
    expect(crumbs).to_have_text("Instances")
    page.get_by_role("button", name="ship_order").click()
    link = page.get_by_role("region", name="Task ship_order").get_by_role("link")
    whole = link.get_attribute("title") or ""
    expect(link).to_have_text(re.sub(r"-.*:", ":", whole))
    link.click()
    expect(crumbs).to_have_text("Instances / order-7")
    expect(page.locator("#instance-id")).to_have_text(whole)
    shop.open(page)
    expect(row(page, re.sub(r"-.*:", ":", whole))).to_be_visible()


def test_an_error_is_told_once_and_a_folded_fan_out_shows_how_much_of_it_failed(
    page: Page, shop: Shop
) -> None:
    shop.open(page, "instances/packing")
    expect(note(page, "Failed")).to_contain_text("failed, attempt 3 of 3: KeyError: 'XL'")
    assert note(page, "Failed").inner_text().count("KeyError") == 1
    failed = page.get_by_role("row", name=re.compile("Unfold pack . 12 ")).locator(".bar > i")
    expect(failed).to_have_attribute("style", re.compile("8.33"))


def test_no_label_of_the_axis_is_cut(page: Page, shop: Shop) -> None:
    shop.open(page, "instances/packing")
    for width in range(900, 1400, 25):
        page.set_viewport_size({"width": width, "height": 860})
        page.get_by_role("button", name="Fit").click()
        room = page.locator(".gantt-axis").evaluate(
            """(axis) => {
                const right = (part) => part.getBoundingClientRect().right;
                const ends = [...axis.querySelectorAll(".tick")].map(right);
                return right(axis.querySelector(".gantt-track")) - Math.max(...ends);
            }"""
        )
        assert room >= 0, width


def test_texts_are_texts(page: Page, shop: Shop) -> None:
    shop.open(page, "instances/order-7")
    expect(page.get_by_role("region", name="Input")).to_contain_text("<b>Ada</b>")
    assert page.locator("main b").count() == 0


def test_a_number_that_javascript_would_round_is_shown_as_it_is(page: Page, shop: Shop) -> None:
    shop.start("count_up", [9007199254740993], "counted-1")
    shop.open(page, "instances/counted-1")
    expect(page.get_by_role("region", name="Input")).to_contain_text("9007199254740993")
    shop.host.client.ended("counted-1")
    path = "/runtime/webhooks/durabletask/instances/counted-1"  # the list has room for so many rows
    assert shop.host.client.request("DELETE", path).status == 200


def test_an_object_of_a_class_is_shown_by_its_class(page: Page, shop: Shop) -> None:
    ada = {"__class__": "Customer", "__module__": "customers", "__data__": json.dumps({"name": "Ada"})}
    shop.start("count_up", {"customers": [ada]}, "customers-1")
    shop.open(page, "instances/customers-1")
    shown = page.get_by_role("region", name="Input")
    expect(shown).to_contain_text("Customer {")
    assert '"name": "Ada"' in shown.inner_text() and "__class__" not in shown.inner_text()
    shop.host.client.ended("customers-1")
    path = "/runtime/webhooks/durabletask/instances/customers-1"  # the list has room for so many rows
    assert shop.host.client.request("DELETE", path).status == 200


def test_the_sequence_diagram(page: Page, shop: Shop) -> None:
    shop.open(page, "instances/order-7")
    page.get_by_role("tab", name="Sequence").click()
    diagram = page.get_by_role("img", name="place_order and what it calls")
    for name in ("check_stock", "charge_card", "ship_order", "R-7"):
        expect(diagram).to_contain_text(name)


def test_the_history_in_pages(page: Page, shop: Shop) -> None:
    shop.open(page, "instances/many")
    page.get_by_role("tab", name="History").click()
    history = page.get_by_role("region", name="History")
    expect(history).to_contain_text(re.compile("1.100 of"))
    expect(history).to_contain_text("ExecutionStarted")
    history.get_by_role("button", name="Last").click()
    expect(history).to_contain_text("ExecutionCompleted")
    history.get_by_role("button", name="First").click()
    expect(history).to_contain_text(re.compile("1.100 of"))


def test_zoom_and_keys(page: Page, shop: Shop) -> None:
    shop.open(page, "instances/many")
    page.get_by_role("row", name=re.compile("pack . 60")).wait_for()
    track = page.locator(".gantt-row .gantt-track").first
    width = track.evaluate("element => element.getBoundingClientRect().width")
    page.get_by_role("button", name="Zoom in").click()
    assert track.evaluate("element => element.getBoundingClientRect().width") == pytest.approx(
        width * 1.6, rel=0.01
    )
    page.get_by_role("treegrid", name="Timeline").focus()
    page.keyboard.press("0")
    assert track.evaluate("element => element.getBoundingClientRect().width") == pytest.approx(
        width, rel=0.01
    )


def test_suspend_resume_and_start_again_with_another_input(page: Page, shop: Shop) -> None:
    shop.open(page, "instances/approval")
    status = page.get_by_role("heading", level=1)
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="Suspend…").click()
    dialog.get_by_label("Reason").fill("holidays")
    dialog.get_by_role("button", name="Suspend").click()
    expect(status).to_contain_text("Suspended")
    expect(note(page, "Now")).to_contain_text("holidays")
    page.get_by_role("button", name="Resume…").click()
    dialog.get_by_role("button", name="Resume").click()
    expect(status).to_contain_text("Running")
    page.get_by_role("button", name="Start again…").click()
    expect(dialog.get_by_label("Orchestrator")).to_have_value("approve_order")
    dialog.get_by_label("Input (JSON)").fill('{"count": 99}')
    dialog.get_by_label("Instance id").fill("approval-again")
    dialog.get_by_role("button", name="Start").click()
    expect(page.locator("#instance-id")).to_have_text("approval-again")
    expect(page.get_by_role("region", name="Input")).to_contain_text('"count": 99')


def test_rewind_restart_and_purge(page: Page, shop: Shop) -> None:
    shop.start("pack_orders", [order(1, "XL")], "again")
    shop.host.client.ended("again")
    shop.open(page, "instances/again")
    dialog = page.get_by_role("dialog")
    page.get_by_role("button", name="Rewind…").click()
    expect(dialog).to_contain_text("failed parts")
    expect(dialog).to_contain_text("was retried: after a rewind the instance fails as non-deterministic")
    dialog.get_by_role("button", name="Rewind").click()
    expect(page.get_by_text("1 instance rewound.")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Failed")
    page.get_by_role("button", name="Restart…").click()
    dialog.get_by_role("button", name="Restart").click()
    expect(page.locator("#instance-id")).not_to_have_text("again")
    shop.open(page, "instances/again")
    page.get_by_role("button", name="Purge…").click()
    dialog.get_by_role("button", name="Purge").click()
    expect(page).to_have_url(re.compile("#/instances$"))
    page.goto(f"{shop.url}#/instances/again")
    expect(page.get_by_text("There is no instance again.")).to_be_visible()


def test_an_instance_that_is_purged_and_started_again_shows_again(page: Page, shop: Shop) -> None:
    shop.start("count_up", [1], "twice")
    shop.host.client.ended("twice")
    shop.open(page, "instances/twice")
    line = page.get_by_role("row", name="count_up")
    expect(line).to_be_visible()
    path = "/runtime/webhooks/durabletask/instances/twice"
    assert shop.host.client.request("DELETE", path).status == 200
    expect(page.get_by_text("There is no instance twice.")).to_be_visible()
    shop.start("count_up", [1], "twice")
    expect(line).to_be_visible()


# -- entities and functions ------------------------------------------------------------------------------------
def test_an_entity_is_signalled_by_hand(page: Page, shop: Shop) -> None:
    shop.open(page, "entities")
    page.get_by_role("button", name="Signal…").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Entity").select_option("visits")
    dialog.get_by_label("Key").fill("home")
    dialog.get_by_label("Operation").fill("add")
    dialog.get_by_role("button", name="Signal").click()
    entity = page.get_by_role("complementary", name="Entity")
    expect(entity).to_contain_text("@visits@home")
    expect(entity.get_by_role("region", name="State")).to_contain_text("1")
    expect(entity).to_contain_text("The entity is idle.")


def test_functions_are_tried(page: Page, shop: Shop) -> None:
    shop.open(page, "functions")
    for title in ("HTTP", "Orchestrators", "Activities", "Entities", "Timers", "Other triggers"):
        expect(page.get_by_role("region", name=title, exact=True)).to_be_visible()
    expect(page.get_by_role("region", name="Timers")).to_contain_text("0 0 4 * * *, next run ")
    side = page.get_by_role("complementary", name="Try a function")
    page.get_by_role("link", name="health").click()
    side.get_by_role("button", name="Send").click()
    expect(side).to_contain_text("200 OK")
    expect(side).to_contain_text('"status": "ok"')
    page.get_by_role("link", name="place", exact=True).click()
    side.get_by_label("Body (JSON)").fill('{"id": "8", "article": "roll", "customer": "Eve"}')
    side.get_by_role("button", name="Send").click()
    expect(side).to_contain_text("202")
    side.get_by_role("link", name="Open the instance").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("place_order")
    shop.open(page, "functions/sweep")
    side.get_by_role("button", name="Run").click()
    expect(side).to_contain_text("It was called.")
    shop.host.line("swept")


# -- storage queues --------------------------------------------------------------------------------------------
def queue_row(page: Page, name: str) -> Locator:
    return (
        page.get_by_role("region", name="Queues")
        .get_by_role("row")
        .filter(has=page.get_by_role("link", name=name, exact=True))
    )


def test_a_poison_queue_stands_out_and_its_messages_move_back(page: Page, shop: Shop) -> None:
    shop.put("letters-poison", "Dear <b>Ada</b>", '"Dear Eve"')
    shop.open(page, "functions")
    expect(queue_row(page, "letters-poison").locator("[data-state=failed]")).to_have_text("2")
    expect(queue_row(page, "letters-poison")).to_contain_text("no function")
    page.get_by_role("link", name="letters-poison").click()
    side = page.get_by_role("complementary", name="Queue")
    texts = side.get_by_role("listitem").locator("pre")
    expect(texts).to_have_text(["Dear <b>Ada</b>", '"Dear Eve"'])
    assert page.locator("main b").count() == 0
    expect(side.get_by_role("listitem").first).to_contain_text("dequeue count 0")
    side.get_by_role("button", name="Move back to letters…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Move 2 messages?")
    expect(dialog.get_by_label("Into the queue")).to_have_value("letters")
    dialog.get_by_role("button", name="Move").click()
    expect(page.get_by_text("2 messages moved to letters.")).to_be_visible()
    expect(side).to_contain_text("It has no messages.")
    expect(side.get_by_role("button", name="Move")).to_have_count(0)
    expect(queue_row(page, "letters")).to_contain_text("2")
    expect(queue_row(page, "letters-poison")).to_have_count(0)


def test_messages_are_deleted_after_a_question(page: Page, shop: Shop) -> None:
    shop.put("parcels", "a", "b")
    shop.open(page, "queues/parcels")
    side = page.get_by_role("complementary", name="Queue")
    dialog = page.get_by_role("dialog")
    side.get_by_role("button", name="Delete…").click()
    expect(dialog).to_contain_text("Delete 2 messages?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(side.get_by_role("listitem")).to_have_count(2)
    side.get_by_role("button", name="Delete…").click()
    dialog.get_by_role("button", name="Delete 2 messages").click()
    expect(page.get_by_text("2 messages deleted.")).to_be_visible()
    expect(side).to_contain_text("It has no messages.")


def test_a_queue_function_leads_to_its_queue_and_back(page: Page, shop: Shop) -> None:
    shop.open(page, "functions")
    others = page.get_by_role("region", name="Other triggers", exact=True)
    others.get_by_role("link", name="orders", exact=True).click()
    side = page.get_by_role("complementary", name="Queue")
    expect(side).to_contain_text("Taken by on_order.")
    expect(page.get_by_role("navigation").get_by_role("link", name="Functions")).to_have_attribute(
        "aria-current", "page"
    )
    side.get_by_role("link", name="on_order").click()
    expect(page.get_by_role("complementary", name="Try a function")).to_contain_text(
        "It takes the messages of orders."
    )


def test_a_message_that_is_put_by_hand_is_seen_running(page: Page, shop: Shop) -> None:
    shop.open(page, "queues/orders")
    side = page.get_by_role("complementary", name="Queue")
    side.get_by_role("button", name="Put a message…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("on_order takes it")
    text = json.dumps({"article": "ice", "note": "cold " * 300})
    dialog.get_by_label("Message").fill(text)
    dialog.get_by_role("button", name="Put", exact=True).click()
    message = side.get_by_role("listitem").filter(has_text="ice")
    expect(message).to_contain_text("running")
    expect(message).to_contain_text("dequeue count 1")
    expect(queue_row(page, "orders").get_by_role("cell").nth(2)).to_have_text("1")
    expect(side.get_by_role("button", name="Delete…")).to_have_count(0)  # a function works on it
    message.get_by_role("button", name="Show all").click()
    expect(message.locator("pre")).to_have_text(text)


def test_the_queues_are_live(page: Page, shop: Shop) -> None:
    shop.open(page, "queues/news")
    side = page.get_by_role("complementary", name="Queue")
    expect(side).to_contain_text("It has no messages.")
    shop.put("news", *map(str, range(60)))
    expect(side.get_by_role("listitem")).to_have_count(50)
    expect(side).to_contain_text("The oldest 50 of 60.")
    expect(queue_row(page, "news").get_by_role("cell").nth(1)).to_have_text("60")


# -- for everybody ---------------------------------------------------------------------------------------------
#: With what is there once a view is complete.
VIEWS = {
    "instances": "It waits for event Approval",
    "instances/packing": "failed, attempt 3 of 3",
    "instances/overlooked": "Is the name misspelt?",
    "maps": "No map run yet.",
    "entities/%40stock%40north": "operation recount has been running",
    "functions/place": "Send",
    "queues/orders-poison": "Move back to orders",
}
LOOKS: tuple[Literal["light", "dark"], ...] = ("light", "dark")
ONLY_COLOURS: dict[str, Any] = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_accessible_in_light_and_dark_and_fits_a_narrow_window(
    page: Page, shop: Shop, view: str
) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install -e '.[browser]'"
    ).Axe()
    shop.open(page, view)
    page.get_by_text(VIEWS[view]).first.wait_for()
    found: dict[str, list[str]] = {}
    for look in LOOKS:
        page.emulate_media(color_scheme=look)
        options = {"resultTypes": ["violations"], **(ONLY_COLOURS if look == "dark" else {})}
        for each in axe.run(page, options=options).response["violations"]:
            if each["impact"] in ("serious", "critical"):
                found[f"{look} {each['id']}"] = [node["html"][:120] for node in each["nodes"]][:3]
    assert not found, json.dumps(found, indent=1)
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400, "it scrolls in two directions"


def test_the_keyboard_suffices(page: Page, shop: Shop) -> None:
    shop.open(page)
    row(page, "packing").wait_for()
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    row(page, "packing").get_by_role("link").focus()
    page.keyboard.press("Enter")
    heading = page.get_by_role("heading", level=1, name="pack_orders")
    expect(heading).to_be_visible()
    skip.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    expect(heading).to_be_visible()
    page.get_by_role("button", name="Purge…").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_hash_that_was_typed_shows_something(page: Page, shop: Shop) -> None:
    shop.open(page)
    page.goto(f"{shop.url}#/instances/50%")
    expect(page.get_by_text("There is no instance 50%.")).to_be_visible()
    page.goto(f"{shop.url}#/toString")
    expect(page.get_by_role("heading", level=1, name="Instances")).to_be_visible()


def test_the_theme_is_kept(page: Page, shop: Shop) -> None:
    shop.open(page)
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.get_by_role("button", name="Theme: auto").click()
    page.get_by_role("button", name="Theme: light").click()
    assert page.evaluate(background) != light
    page.reload()
    expect(page.get_by_role("button", name="Theme: dark")).to_be_visible()


def test_the_page_outlives_the_host(page: Page, browser: Browser) -> None:
    with HostProcess(APPS / "shop", "--memory") as host:
        page.goto(f"{host.url}/dashboard")
        expect(page.get_by_text("No instance yet.")).to_be_visible()
        host.kill()
        expect(page.locator("#live")).to_have_text("Host is away")
    with HostProcess(APPS / "shop", "--memory", port=host.url.rpartition(":")[2]):
        expect(page.locator("#live")).to_have_text("Live")
        page.get_by_role("button", name="Start…").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Orchestrator").select_option("count_up")
        dialog.get_by_label("Input (JSON)").fill("[1, 2]")
        dialog.get_by_role("button", name="Start").click()
        expect(page.get_by_role("region", name="Output")).to_contain_text("3")


def test_a_page_out_of_sight_holds_no_connection(page: Page, shop: Shop) -> None:
    shop.open(page)
    row(page, "packing").wait_for()
    page.evaluate("Object.defineProperty(document, 'hidden', { value: true, configurable: true })")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    shop.start("count_up", [1], "unseen")
    shop.host.client.ended("unseen")
    expect(row(page, "unseen")).to_have_count(0)
    page.evaluate("Object.defineProperty(document, 'hidden', { value: false, configurable: true })")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    expect(row(page, "unseen")).to_be_visible()


def given(input: Any) -> Callable[[dict[str, Any]], bool]:
    """Whether a status is that of an instance with this input."""
    return lambda status: bool(json.loads(status["input"]) == input)


def test_a_child_that_continues_as_new_is_one_call_with_its_first_input(page: Page, tmp_path: Path) -> None:
    code = """
        @app.orchestration_trigger(context_name="context")
        def orders(context):
            return (yield context.call_sub_orchestrator("watches", {"polls": 0}, "watch"))

        @app.orchestration_trigger(context_name="context")
        def watches(context):
            polls = context.get_input()["polls"]
            yield context.wait_for_external_event("poll")
            if polls < 2:
                context.continue_as_new({"polls": polls + 1})
    """
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    with HostProcess(write_app(tmp_path, code), "--memory") as host:
        client = host.client
        parent = client.start("orders", None, "order-1")
        until(lambda: client.manage("GET", "instances/watch").status, lambda code: code != 404)
        for polls in range(3):
            client.until("watch", given({"polls": polls}))
            client.send("watch", "raiseEvent/poll", 1)
        client.ended(parent)
        page.goto(f"{host.url}/dashboard#/instances/{parent}")
        page.get_by_role("button", name="watches").click()
        detail = page.get_by_role("region", name="Task watches")
        expect(detail).to_contain_text('{\n  "polls": 0\n}')
        detail.get_by_role("link").click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("watches")
        expect(page.get_by_text("generation 3")).to_be_visible()
