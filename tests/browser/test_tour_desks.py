"""A tour of each desk behind an order: hold board, cancellations and recalls, another storefront, the OMS, deadlines (docs/tour.md); against one open house.

The desk of returns has a tour of its own in ``test_tour_returns.py``.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from bench.house import House
from tests.browser.conftest import PATIENCE, NewContext, cookies
from tests.browser.people import OTHER, SKU, appears, asked_to_cancel, held, in_magento, menu, open_order, row, run_ends_well, sold, status_of, tab_to
from tests.browser.shop import ADMINISTRATOR, PASSWORD, settled, wait_until

JAVASCRIPT = pytest.mark.parametrize("javascript", [True, False], ids=["with-javascript", "without-javascript"])


@pytest.fixture(scope="module")
def desks() -> Iterator[House]:
    """A house with all four practice servers: an administrator, a GB and a US account, every webhook on its way, no order yet."""
    with House(storefront=True, oms=True) as house:
        app = house.app()
        with app.app_context():
            from connector.core.db import unit_of_work
            from connector.services import settings, users
            from connector.services.accounts.unattended import connect_practice_shop

            with unit_of_work():
                users.create(email=ADMINISTRATOR, password=PASSWORD, role="administrator", name="Ada", terms=True)
            settings.put({"setup.finished": True}, actor=ADMINISTRATOR)
            for country in ("GB", "US"):
                connect_practice_shop(country, actor=ADMINISTRATOR)
            settled(house, app)
        yield house


@pytest.fixture(scope="module")
def signed_in(chromium: Browser, desks: House) -> Any:
    return cookies(chromium, desks)


@pytest.fixture(scope="module")
def orders(desks: House) -> Iterator[str]:
    """Numbers of orders in Magento, for each test its own; all are sold at once."""
    return iter(sold(desks, 10))


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(new_context: NewContext, desks: House, signed_in: Any) -> OpenPage:
    """A signed-in administrator's page, wide; ``open_page(java_script_enabled=False)``."""

    def opened(**options: Any) -> Page:
        page = new_context(storage_state=signed_in, **options).new_page()
        page.goto(desks.url)
        return page

    return opened


@pytest.fixture
def operator(open_page: OpenPage) -> Page:
    return open_page()


# --- the hold board ---------------------------------------------------------------------------------------------------------------------------

#: Notes what an order's countdown shows, and when: [seconds left, seconds on the clock].
WATCH_COUNTDOWN = """number => {
  window.stayed = true;
  window.counted = [];
  setInterval(() => {
    const row = [...document.querySelectorAll("tbody tr")].find(each => each.textContent.includes(number));
    const [minutes, seconds] = (row?.querySelector("[data-countdown]")?.textContent.match(/\\d+/g) ?? []).map(Number);
    const left = minutes * 60 + seconds;
    if (!Number.isNaN(left) && left !== window.counted.at(-1)?.[0]) document.body.dataset.counted = window.counted.push([left, performance.now() / 1000]);
  }, 50);
}"""

#: In seconds: the time left is told as it was when the answer was made.
SLOWEST_ANSWER = "() => Math.max(0, ...performance.getEntriesByType('resource').map(each => each.duration)) / 1000"


def test_the_hold_board_counts_down_and_orders_leave_it_by_themselves(desks: House, operator: Page) -> None:
    """A245, A246: what is held, for how long, what it reserves; a buyer's change of mind and the end of the hour, nobody reloads."""
    page, kept = operator, held(desks)
    menu(page, "On hold")
    appears(page, row(page, kept))
    expect(row(page, kept)).to_contain_text(f"2 × {SKU}")
    expect(row(page, kept)).to_contain_text("Created in the store")
    page.evaluate(WATCH_COUNTDOWN, kept)
    changed_mind = held(desks, sku=OTHER, units=3)  # its arrival renews the board while it counts
    expect(row(page, changed_mind)).to_contain_text(f"3 × {OTHER}")
    expect(page.locator("#hold-totals")).to_contain_text(re.compile(r"2\s+orders"))
    expect(page.locator("#hold-totals")).to_contain_text(re.compile(r"5\s+units"))
    expect(page.locator("body")).to_have_attribute("data-counted", re.compile(r"^([5-9]|\d\d+)$"))
    counted = page.evaluate("window.counted")
    (first, start), jumps = counted[0], []
    for left, now in counted[1:]:
        jumps.append(round((first - left) - (now - start), 1))
    assert max(map(abs, jumps)) <= 2 + page.evaluate(SLOWEST_ANSWER), f"the countdown jumps: {counted}"

    desks.post("tiktok", f"orders/{changed_mind}/cancel", {"by": "BUYER"})
    expect(row(page, changed_mind)).to_have_count(0)
    expect(row(page, kept)).to_have_count(1)
    expect(page.locator("#hold-totals")).to_contain_text(re.compile(r"2\s+units"))

    desks.post("tiktok", "clock", {"advance_seconds": 3600})
    expect(page.get_by_text("No order is on hold")).to_be_visible()
    assert page.evaluate("window.stayed") is True, "the page was loaded again"
    wait_until(lambda: kept in in_magento(desks))
    assert changed_mind not in in_magento(desks)
    open_order(page, desks, kept)
    appears(page, page.get_by_text("In Magento", exact=True), javascript=False)


# --- cancellations ----------------------------------------------------------------------------------------------------------------------------


@JAVASCRIPT
def test_the_cancellation_desk_accepts_one_request_and_rejects_two(desks: House, open_page: OpenPage, orders: Iterator[str], javascript: bool) -> None:
    """A259-A261, A266: the request with its deadline, what an answer does to the store, bulk with TikTok's reason (by keyboard alone), the result."""
    page = open_page(java_script_enabled=javascript)
    granted, *refused = asked_to_cancel(desks, orders, 3)
    menu(page, "Cancellations")
    for number in (granted, *refused):
        appears(page, row(page, number), javascript)
        expect(row(page, number)).to_contain_text("left")
    _accept(page, desks, granted, javascript)
    menu(page, "Cancellations")
    _reject_by_keyboard(page, refused) if javascript else _reject(page, refused)
    run_ends_well(page, "Reject cancellation requests", by_itself=javascript)
    assert [status_of(desks, number) for number in (granted, *refused)] == ["CANCELLED", "AWAITING_SHIPMENT", "AWAITING_SHIPMENT"]
    menu(page, "Cancellations")
    page.get_by_role("link", name=re.compile("^Rejected")).click()
    for number in refused:
        appears(page, row(page, number), javascript)
        expect(row(page, number)).to_contain_text(f"Rejected by {ADMINISTRATOR}")
    open_order(page, desks, granted)
    section = page.locator("section", has=page.get_by_role("heading", name="Cancellations", exact=True))
    expect(section).to_contain_text(f"Accepted by {ADMINISTRATOR}")
    wait_until(lambda: in_magento(desks)[granted]["status"] == "closed")  # it was invoiced: refunded, its units back on the shelf
    in_store = in_magento(desks)
    assert [in_store[number]["status"] for number in refused] == ["processing", "processing"]
    assert desks.get("magento", "ledger")["balanced"]


def _accept(page: Page, house: House, number: str, javascript: bool) -> None:
    """From the request's own page, with the question what happens in the store."""
    row(page, number).get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1, name=re.compile(r"^Cancellation \d+"))).to_be_visible()
    page.get_by_role("link", name="Accept", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="Accept 1 cancellation request")).to_be_visible()
    magento = in_magento(house)[number]["increment_id"]
    expect(row(page, number)).to_contain_text(f"Order {magento} is refunded by a credit memo in the store and its units return to stock, once")
    page.get_by_role("button", name="Accept (1)").click()
    run_ends_well(page, "Accept cancellation requests", by_itself=javascript)


def _reject(page: Page, numbers: list[str]) -> None:
    for number in numbers:
        row(page, number).get_by_role("checkbox").check()
    page.get_by_label("Action", exact=True).select_option("Reject")
    page.get_by_role("button", name="Continue").click()
    _asks_for_reason(page, numbers)
    page.get_by_role("button", name="Reject (2)").click()
    expect(page.get_by_role("alert")).to_contain_text("Choose a reason for the rejection.")  # the desk does not invent one
    page.get_by_label("Reason for all others").select_option(index=1)
    page.get_by_role("button", name="Reject (2)").click()


def _reject_by_keyboard(page: Page, numbers: list[str]) -> None:
    """j and x choose the rows, Tab and letters do the rest."""
    rows = page.locator("tbody tr[data-row]")
    expect(rows).to_have_count(len(numbers))  # the one that was answered has left
    for index in range(rows.count()):
        page.keyboard.press("j")
        expect(rows.nth(index)).to_be_focused()
        if any(number in rows.nth(index).inner_text() for number in numbers):
            page.keyboard.press("x")
    expect(page.locator("[data-chosen]")).to_have_text("2 selected")
    tab_to(page, page.get_by_label("Action", exact=True), "Shift+Tab")
    page.keyboard.type("Rej")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Continue")).to_be_focused()
    page.keyboard.press("Enter")
    _asks_for_reason(page, numbers)
    tab_to(page, page.get_by_label("Reason for all others"))
    page.keyboard.press("ArrowDown")
    expect(page.get_by_label("Reason for all others")).not_to_have_value("")
    tab_to(page, page.get_by_role("button", name="Reject (2)"))
    page.keyboard.press("Enter")


def _asks_for_reason(page: Page, numbers: list[str]) -> None:
    expect(page.get_by_role("heading", level=1, name="Reject 2 cancellation requests")).to_be_visible()
    for number in numbers:
        expect(row(page, number)).to_contain_text("The order stays and may be shipped")
    offered = page.get_by_label("Reason for all others").locator("option").all_inner_texts()
    assert len(offered) > 2, f"TikTok's reasons are missing: {offered}"


def test_a_parcel_of_a_cancelled_order_is_recalled_and_its_stock_returns_once(desks: House, operator: Page, orders: Iterator[str]) -> None:
    """A264: cancelled by TikTok after it was shipped: tag, recall, on its way back, received; the shelf gets it back once and the page says so."""
    page, number = operator, next(orders)
    order = in_magento(desks)[number]
    desks.post(
        "magento", f"orders/{order['entity_id']}/ship", {"tracks": [{"track_number": "AB400000001GB", "title": "Royal Mail", "carrier_code": "royalmail"}]}
    )
    page.goto(f"{desks.url}/queue/schedule")
    page.get_by_role("row").filter(has_text="Collect the store's shipments").filter(has_text="Practice_GB").get_by_role("button", name="Run now").click()
    wait_until(lambda: status_of(desks, number) == "AWAITING_COLLECTION")
    before = _physical(desks)
    desks.post("tiktok", f"orders/{number}/cancel", {"by": "OPERATOR"})
    page.goto(f"{desks.url}/cancellations/recalls")
    appears(page, row(page, number))
    expect(row(page, number)).to_contain_text("Stop the parcel")
    assert _physical(desks) == before
    row(page, number).get_by_role("link", name=number).click()
    expect(page.get_by_role("heading", level=1, name=f"Recall of order {number}")).to_be_visible()
    expect(page.locator(".order-lead")).to_contain_text("cancel after shipped")
    page.get_by_role("button", name="On its way back").click()
    expect(page.locator(".order-lead")).to_contain_text("On its way back")
    page.get_by_label(f"{SKU} (1 sent)").fill("2")
    page.get_by_role("button", name="Received").click()
    expect(page.get_by_label(f"{SKU} (1 sent)")).to_be_focused()  # more than was sent: the browser already says so
    page.get_by_label(f"{SKU} (1 sent)").fill("1")
    page.get_by_role("button", name="Received").click()
    expect(page.get_by_text(f"Magento order {order['increment_id']} was refunded; 1 unit went back into stock.")).to_be_visible()
    expect(page.locator("main")).to_contain_text("1 sent, 1 back on the shelf")
    expect(page.get_by_role("button", name="Received")).to_have_count(0)
    assert _physical(desks) == before + 1
    open_order(page, desks, number)
    expect(page.get_by_text("Recall: the parcel is back.")).to_be_visible()
    assert _physical(desks) == before + 1
    assert desks.get("magento", "ledger")["balanced"]


def _physical(house: House) -> int:
    return next(int(each["physical"]) for each in house.get("magento", "ledger", sku=SKU)["stocks"] if each["stock_id"] == 2)


# --- another storefront -----------------------------------------------------------------------------------------------------------------------


def test_an_account_sells_through_an_external_storefront(desks: House, operator: Page) -> None:
    """A243-A250: chosen and connected in the form, tested, taken from the practice servers in one click; a held order is created there."""
    page = operator
    menu(page, "TikTok Account")
    page.get_by_role("row").filter(has_text="Practice_US").get_by_role("link", name="Edit").click()
    page.get_by_label("Storefront", exact=True).select_option("external")
    page.get_by_role("button", name="Save", exact=True).first.click()
    store = page.locator("#external-storefront")
    expect(store).to_contain_text("Not connected yet: orders of this account wait until it is.")
    store.get_by_label("Base URL").fill(desks.storefront_url)
    store.get_by_label("Client ID").fill(desks.get("storefront", "client")["client_id"])
    store.get_by_label("Client secret").fill("not-the-secret")
    store.get_by_role("button", name="Save and test").click()
    expect(store).to_contain_text("Not in order")
    store.get_by_role("button", name="Use the practice storefront").click()
    expect(store).to_contain_text("In order")
    expect(store).to_contain_text("a stranger gets")
    store.get_by_role("button", name="Test connection").click()
    expect(page.get_by_text("The external storefront answers and is in order.")).to_be_visible()

    number = held(desks, sku=OTHER, units=1, shop="US")
    menu(page, "On hold")
    appears(page, row(page, number))
    assert desks.get("storefront", "orders", externalOrderId=number)["total"] == 0
    desks.post("tiktok", f"orders/{number}/release")
    wait_until(lambda: desks.get("storefront", "orders", externalOrderId=number)["total"] == 1)
    made = desks.get("storefront", "orders", externalOrderId=number)["orders"][0]
    open_order(page, desks, number)
    appears(page, page.locator("dt:text-is('Store order') + dd").filter(has_text=made["orderNo"]), javascript=False)
    assert number not in in_magento(desks)


# --- the OMS ----------------------------------------------------------------------------------------------------------------------------------


def test_the_oms_is_connected_in_one_click_and_collects_its_feed(desks: House, operator: Page) -> None:
    """A251-A253: the practice OMS, a test call, a feed that it collects by itself."""
    page, number = operator, sold(desks, 1)[0]
    menu(page, "OMS")
    expect(page.get_by_text("No feed yet")).to_be_visible()
    page.get_by_role("navigation", name="OMS").get_by_role("link", name="Connections").click()
    page.get_by_role("row").filter(has_text="Practice_GB").get_by_role("link").click()
    page.get_by_role("button", name="Use the practice OMS").click()
    expect(page.get_by_text("The practice OMS is connected.")).to_be_visible()
    page.get_by_role("button", name="Send test call").click()
    expect(page.get_by_text("The OMS took the test call")).to_be_visible()
    connection, deadline = page.url, time.monotonic() + PATIENCE / 1000
    while number not in _known_to_the_oms(desks):  # what changed within the last seconds is left for the next feed
        assert time.monotonic() < deadline, f"order {number} is in no feed"
        page.goto(connection)
        page.get_by_role("button", name="Make feed now").click()
        run_ends_well(page, "Write order feeds")
    menu(page, "OMS")
    for kind in ("JSON Lines", "CSV"):
        expect(row(page, kind).first).to_contain_text("Announced")
        expect(row(page, kind).first).not_to_contain_text("not yet")
    wait_until(lambda: {feed["state"] for feed in desks.get("oms", "feeds")["feeds"]} == {"verified"}, otherwise=lambda: str(desks.get("oms", "feeds")))


def _known_to_the_oms(house: House) -> set[str]:
    return {order["order_id"] for order in house.get("oms", "orders")["orders"]}


@JAVASCRIPT
def test_a_batch_file_gets_a_result_for_every_line(desks: House, open_page: OpenPage, orders: Iterator[str], javascript: bool) -> None:
    """A255: a good line ships its order, a bad one says why; the same file again is the same batch."""
    page, number = open_page(java_script_enabled=javascript), next(orders)
    tracking = f"AB{number[-9:]}GB"
    content = f"order_id,action,tracking_number,carrier\n{number},shipped,{tracking},Royal Mail\n{number},exploded,,\n"
    for _ in range(2):
        menu(page, "OMS")
        page.get_by_role("navigation", name="OMS").get_by_role("link", name="Batches").click()
        page.get_by_role("link", name="Upload a file").click()
        page.get_by_label("Account").select_option("Practice_GB")
        page.get_by_label("File").set_input_files({"name": f"parcels-{tracking}.csv", "mimeType": "text/csv", "buffer": content.encode()})
        page.get_by_role("button", name="Read the file").click()
        expect(page.get_by_role("heading", level=1, name=f"parcels-{tracking}.csv")).to_be_visible()
        address = page.url
        good, bad = row(page, tracking), row(page, "exploded")
        appears(page, good.filter(has_text="Done"), javascript)
        appears(page, bad.filter(has_text="Failed"), javascript)
        bad.locator("summary").first.click()
        expect(bad).to_contain_text("What to do:")
    expect(page.get_by_text("This file was sent before; nothing is done twice.")).to_be_visible()
    assert page.url == address
    assert status_of(desks, number) == "AWAITING_COLLECTION"


def test_an_api_token_is_shown_once_and_opens_what_was_chosen(desks: House, operator: Page) -> None:
    """A254: scopes and account chosen by a person; the text is not kept."""
    page = operator
    page.goto(f"{desks.url}/me")
    page.get_by_label("Name of the token").fill("warehouse script")
    page.get_by_label("Collect order feeds").check()
    page.get_by_role("button", name="Make a token").click()
    shown = page.locator(".banner").filter(has_text="The token is made.")
    expect(shown).to_be_visible()
    token = shown.locator("code").inner_text().strip()
    expect(page.get_by_role("row").filter(has_text="warehouse script")).to_contain_text("Collect order feeds")

    def ask(path: str) -> int:
        return requests.get(f"{desks.url}/api/v1/{path}", headers={"Authorization": f"Bearer {token}"}, timeout=60).status_code

    assert ask("feeds?account=1") == 200
    assert ask("accounts/1/orders/1") == 403
    page.goto(f"{desks.url}/me")
    expect(page.get_by_text(token)).to_have_count(0)
    page.get_by_role("row").filter(has_text="warehouse script").get_by_role("button", name="Revoke").click()
    expect(page.get_by_text("The token is revoked.")).to_be_visible()
    assert ask("feeds?account=1") == 401


# --- deadlines --------------------------------------------------------------------------------------------------------------------------------


def test_a_deadline_is_found_by_its_order_and_answered_from_there(desks: House, operator: Page, orders: Iterator[str]) -> None:
    """A271: Today says what waits, the board finds it by ids, the answer is given on the page it leads to."""
    page, number = operator, asked_to_cancel(desks, orders, 1)[0]
    page.goto(desks.url)
    expect(page.get_by_role("heading", name="Needs an answer, and deadlines")).to_be_visible()
    page.get_by_role("link", name="All deadlines").click()
    expect(page.get_by_role("heading", level=1, name="Deadlines")).to_be_visible()
    page.get_by_label("Order, cancellation or return ids").fill(f"{number}\n576469999999999999")
    page.get_by_role("button", name="Search").click()
    page.get_by_role("navigation", name="Pending actions").get_by_role("link", name=re.compile("^Cancel requested")).click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_text("Nothing is pending for 1 of the ids: 576469999999999999.")).to_be_visible()
    expect(row(page, number)).to_contain_text("TikTok accepts the cancellation")
    expect(row(page, number).locator("time[data-countdown]")).to_contain_text("left")
    found = page.url
    row(page, number).get_by_role("link", name=number).click()
    expect(page.get_by_role("heading", level=1, name=re.compile(r"^Cancellation \d+"))).to_be_visible()
    page.get_by_role("link", name="Reject", exact=True).click()
    page.get_by_label(f"Reason for order {number}").select_option(index=1)
    page.get_by_role("button", name="Reject (1)").click()
    run_ends_well(page, "Reject cancellation requests")
    page.goto(found)
    expect(page.locator("#deadlines")).to_contain_text("Nothing here for this search")
    assert status_of(desks, number) == "AWAITING_SHIPMENT"
