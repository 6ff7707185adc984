"""What moves by itself, and what the hands do without a mouse: live runs, keys, selections and addresses of a grid (product.md 10 and 11)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from bench.house import House
from tests.browser.conftest import NewContext
from tests.browser.shop import wait_until

PLAIN = {"platform_shipping": 0, "fulfilled_by_tiktok": 0, "sample": 0, "bundle": 0, "cancel_request": 0, "multi_line": 0, "thirty_lines": 0}

#: In every document: counts the changes that the stream tells, and notes what the run's card says.
WATCH = """
window.told = 0;
window.seen = [];
document.addEventListener("DOMContentLoaded", () => {
  document.body.addEventListener("run:changed", () => window.told++);
  const look = () => {
    const words = document.querySelector(".run-card .progress-words span")?.textContent.trim();
    if (words && words !== window.seen.at(-1)) window.seen.push(words);
  };
  look();
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true, attributes: true});
});
"""


@pytest.fixture
def store(shop: House) -> Iterator[House]:
    """The shop, whose Magento is well again afterwards."""
    yield shop
    shop.delete("magento", "faults")


def _hold(store: House) -> int:
    """Magento stands still where an order is placed, until this fault is removed: a run is watched for as long as it takes."""
    match = {"method": "PUT", "path": "carts/[^/]+/order$"}
    return int(store.post("magento", "faults", {"kind": "held", "match": match, "times": 100, "seconds": 50})["id"])


def _let_go(store: House, fault: int) -> None:
    store.delete("magento", f"faults/{fault}")


def _start_a_run(shop: House, page: Page, orders: int) -> None:
    """New orders, imported by hand, then Create Sales Order for all of them; the page of the run is shown."""
    page.add_init_script(WATCH)
    ids = shop.post("tiktok", "seed", {"region": "GB", "orders": orders, "seed": 77, "since_hours": 3, "status": "AWAITING_SHIPMENT", "kinds": PLAIN})["ids"]
    page.goto(f"{shop.url}/orders/import")
    page.get_by_label("Order Id").fill(" ".join(ids))
    page.get_by_role("main").get_by_role("button", name="Import Orders").click()
    expect(page.locator(".run-card").get_by_text("Done", exact=True)).to_be_visible()
    page.goto(f"{shop.url}/orders/?tab=awaiting_shipment&per_page=100")
    for number in ids:
        page.get_by_label(f"Select order {number}").check()
    page.get_by_label("Action", exact=True).select_option("Create Sales Order")
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name=f"Create Sales Order ({orders})").click()
    expect(page.get_by_role("heading", level=1, name="Create sales orders")).to_be_visible()
    page.evaluate("window.stayed = true")


def test_a_runs_card_moves_by_server_sent_events_without_a_reload(store: House, page: Page) -> None:
    """A225: each step is told by the stream; nobody reloads."""
    first = _hold(store)
    _start_a_run(store, page, orders=8)
    card = page.locator(".run-card .progress-words")
    expect(card).to_contain_text("0 of 8")
    wait_until(lambda: any(fault["fired"] for fault in store.get("magento", "faults")))
    page.wait_for_timeout(600)  # a run tells its progress at most twice a second: the next step is told
    second = _hold(store)
    _let_go(store, first)
    expect(card).to_contain_text(re.compile("[1-7] of 8"))
    wait_until(lambda: page.evaluate("window.told >= 1"))
    _let_go(store, second)
    expect(page.locator(".run-card").get_by_text("Done", exact=True)).to_be_visible()
    wait_until(lambda: page.evaluate("window.told >= 2"))
    assert page.evaluate("window.stayed") is True, "the page was loaded again"
    steps = [int(words.split()[0]) for words in page.evaluate("window.seen") if re.match(r"\d+ of 8", words)]
    assert steps == sorted(steps)
    assert steps[0] == 0
    assert steps[-1] == 8
    assert len(steps) >= 3, f"the card jumped: {steps}"


def test_a_page_hears_the_stream_however_slowly_its_scripts_arrive(shop: House, new_context: NewContext, signed_in: Any) -> None:
    """htmx must not begin before its extension for server-sent events is there."""
    context = new_context(storage_state=signed_in)

    def late(route: Route) -> None:
        time.sleep(0.5)
        route.continue_()

    context.route("**/hx-sse.min.js*", late)
    page = context.new_page()
    with page.expect_request(re.compile(r"/live\?")):
        page.goto(shop.url)


def test_without_the_stream_the_card_polls(store: House, new_context: NewContext, signed_in: Any) -> None:
    context = new_context(storage_state=signed_in)
    context.route(re.compile(r"/live\?"), lambda route: route.fulfill(status=204))
    page = context.new_page()
    held = _hold(store)
    _start_a_run(store, page, orders=3)
    expect(page.locator(".run-card .progress-words")).to_contain_text("0 of 3")
    _let_go(store, held)
    expect(page.locator(".run-card").get_by_text("Done", exact=True)).to_be_visible()
    assert page.evaluate("window.stayed") is True
    assert page.evaluate("window.told") == 0


def test_the_orders_grid_shows_a_new_order_by_itself(shop: House, page: Page) -> None:
    page.goto(f"{shop.url}/orders/?sort=-placed_at")
    before = page.locator("#orders-count").inner_text()
    shop.post("tiktok", "seed", {"region": "GB", "orders": 1, "seed": 91, "since_hours": 3, "status": "AWAITING_SHIPMENT", "kinds": PLAIN})
    other = page.context.new_page()
    other.goto(f"{shop.url}/orders/import")
    other.get_by_role("main").get_by_role("button", name="Import Orders").click()
    expect(page.locator("#orders-count")).not_to_have_text(before)


#: The words of an answer without a search come late, after its status and headers: when ``window.release`` is called.
LATE_WORDS = """
const text = Response.prototype.text, released = new Promise((done) => { window.release = done; });
Response.prototype.text = async function () {
  const words = await text.call(this);
  if (!this.url.includes("q=")) { window.late = true; await released; }
  return words;
};
document.addEventListener("htmx:finally:request", (event) => {
  const asked = event.detail.ctx.asked;
  if (asked !== undefined && !asked.includes("q=")) window.over = true;
});
const section = document.querySelector("section[data-grid]");
document.body.dispatchEvent(new Event(section.getAttribute("hx-trigger").split(" ")[0]));
"""


def test_a_live_refresh_that_arrives_during_a_search_is_not_put_over_its_answer(shop: House, page: Page) -> None:
    page.goto(f"{shop.url}/orders/")
    page.evaluate(LATE_WORDS)
    wait_until(lambda: page.evaluate("window.late"))
    page.get_by_role("searchbox").fill("no such order")
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator("tbody tr[data-row]")).to_have_count(0)
    assert page.evaluate("window.over") is None
    page.evaluate("window.release()")
    wait_until(lambda: page.evaluate("window.over"))
    assert page.locator("tbody tr[data-row]").count() == 0


def test_what_a_proxy_answers_instead_of_the_server_is_not_put_into_the_page(shop: House, page: Page) -> None:
    page.goto(f"{shop.url}/orders/")
    rows = page.locator("tbody tr[data-row]")
    before = rows.count()
    away = re.compile(r"/orders/\?")
    page.route(away, lambda route: route.fulfill(status=502, content_type="text/html", body="<h1>Bad Gateway</h1>"))
    for words in ("nothing", "fits this"):
        page.get_by_role("searchbox").fill(words)
        with page.expect_response(away):
            page.get_by_role("searchbox").press("Enter")
    expect(page.get_by_text("The server did not answer.")).to_have_count(1)
    expect(rows).to_have_count(before)
    expect(page.get_by_text("Bad Gateway")).to_have_count(0)
    page.unroute(away)
    page.get_by_role("searchbox").press("Enter")
    expect(rows).to_have_count(0)


def test_keys_move_select_open_and_search(shop: House, page: Page) -> None:
    page.goto(f"{shop.url}/orders/")
    rows = page.locator("tbody tr[data-row]")
    page.keyboard.press("j")
    expect(rows.nth(0)).to_be_focused()
    page.keyboard.press("j")
    expect(rows.nth(1)).to_be_focused()
    page.keyboard.press("x")
    expect(rows.nth(1).get_by_role("checkbox")).to_be_checked()
    expect(page.locator("[data-chosen]")).to_have_text("1 selected")
    page.keyboard.press("k")
    page.keyboard.press("x")
    expect(page.locator("[data-chosen]")).to_have_text("2 selected")
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("jx/")
    expect(page.get_by_role("searchbox")).to_have_value("jx/")
    expect(page.get_by_text("No orders match")).to_be_visible()
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.get_by_role("searchbox").fill("")
    expect(rows.nth(0)).to_be_visible()
    rows.nth(0).focus()
    number = rows.nth(0).locator("a[data-open]").inner_text()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name=f"Order {number}")).to_be_visible()


def test_a_pop_up_opens_and_closes_with_the_keyboard_and_gives_the_focus_back(shop: House, page: Page) -> None:
    page.goto(f"{shop.url}/orders/")
    columns = page.locator("summary").filter(has_text="Columns")
    columns.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Show these")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Show these")).to_be_hidden()
    expect(columns).to_be_focused()


#: A live event, and the end of the swap that it brings about.
REFRESH = """() => new Promise((done) => {
  const section = document.querySelector("section[data-grid]");
  document.addEventListener("htmx:after:swap", () => setTimeout(done), { once: true });
  document.body.dispatchEvent(new Event(section.getAttribute("hx-trigger").split(" ")[0]));
})"""


def test_a_rows_menu_stays_where_it_is_when_the_grid_refreshes(shop: House, page: Page) -> None:
    page.goto(f"{shop.url}/orders/")
    menu = page.locator("tbody tr .col-menu").nth(2)
    menu.locator("summary").click()
    expect(menu.locator(".pop-sheet")).to_be_in_viewport(ratio=1)
    page.evaluate(REFRESH)
    expect(menu.locator(".pop-sheet")).to_be_in_viewport(ratio=1)


def test_every_control_of_a_page_is_reached_with_the_tab_key(shop: House, page: Page) -> None:
    """The skip link comes first, and nothing traps the focus."""
    page.goto(f"{shop.url}/queue/schedule")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    wanted = page.locator("main").locator("a[href]:visible, button:visible").count()
    reached = set()
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("[...document.querySelectorAll('main a[href], main button')].indexOf(document.activeElement)"))
    assert len(reached - {-1}) == wanted


def test_a_selection_survives_pages_and_swaps_and_is_sent_as_a_whole(shop: House, page: Page) -> None:
    """A022: chosen on two pages, with a sort in between, all of it arrives on the confirm page."""
    page.goto(f"{shop.url}/orders/?sort=placed_at")
    page.evaluate("window.stayed = true")
    chosen = []
    for _ in range(2):
        row = page.locator("tbody tr[data-row]").nth(2)
        chosen.append(row.locator("a[data-open]").inner_text())
        row.get_by_role("checkbox").check()
        page.get_by_role("link", name="Next").click() if len(chosen) == 1 else None
        expect(page.locator("[data-chosen]")).to_contain_text(f"{len(chosen)} selected")
        if len(chosen) == 1:
            expect(page.locator("[data-chosen]")).to_have_text("1 selected, 1 on other pages")
    page.get_by_role("link", name="Marketplace Order ID").click()
    expect(page.locator("th[aria-sort=ascending], th[aria-sort=descending]")).to_contain_text("Marketplace Order ID")
    expect(page.locator("[data-chosen]")).to_contain_text("2 selected")
    for number in chosen:
        box = page.get_by_label(f"Select order {number}")
        if box.count():
            expect(box).to_be_checked()
    assert page.evaluate("window.stayed") is True
    page.get_by_label("Action", exact=True).select_option("Sync Status")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("button", name="Sync Status (2)")).to_be_visible()
    for number in chosen:
        expect(page.get_by_role("main")).to_contain_text(number)


def test_filters_push_their_address_and_back_and_reload_show_what_it_says(shop: House, page: Page) -> None:
    page.goto(f"{shop.url}/orders/")
    page.evaluate("window.stayed = true")
    everything = page.locator("#orders-count").inner_text()
    page.get_by_role("navigation", name="Orders by status").get_by_role("link", name="Delivered").click()
    expect(page).to_have_url(re.compile(r"tab=delivered"))
    delivered = page.locator("#orders-count")
    expect(delivered).not_to_have_text(everything)
    words = delivered.inner_text()
    page.get_by_role("searchbox").fill("tee")
    expect(page).to_have_url(re.compile(r"q=tee"))
    expect(page).to_have_url(re.compile(r"tab=delivered"))
    assert page.evaluate("window.stayed") is True
    narrowed = page.url
    page.go_back()
    expect(page).not_to_have_url(re.compile("q=tee"))
    expect(page.locator("#orders-count")).to_have_text(words)
    page.goto(narrowed)
    expect(page.get_by_role("searchbox")).to_have_value("tee")


def test_a_grid_does_everything_without_javascript(shop: House, new_context: NewContext, signed_in: Any) -> None:
    """A022, A189: search, sort, filter, next page, columns, export, bulk: plain links and forms."""
    page = new_context(storage_state=signed_in, java_script_enabled=False).new_page()
    page.goto(f"{shop.url}/orders/")
    page.get_by_role("searchbox").fill("tee")
    page.get_by_role("button", name="Search", exact=True).click()
    expect(page).to_have_url(re.compile("q=tee"))
    page.get_by_role("link", name="Grand Total").click()
    expect(page).to_have_url(re.compile("sort=total"))
    page.locator("summary").filter(has_text="Filters").click()
    page.get_by_label("With an error").select_option(index=1)
    page.get_by_role("button", name="Apply filters").click()
    expect(page).to_have_url(re.compile("errors="))
    page.goto(f"{shop.url}/orders/")
    page.get_by_role("link", name="Next").click()
    expect(page).to_have_url(re.compile("page=2"))
    page.get_by_label("Which rows").select_option("page")
    page.get_by_label("Action", exact=True).select_option("Sync Status")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Sync Status")
    page.get_by_role("link", name="Back to the list").click()
    expect(page).to_have_url(re.compile("page=2"))
    page.goto(f"{shop.url}/orders/?tab=error")
    page.locator(".error-pop summary").first.click()
    expect(page.get_by_text("What to do:").first).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Export CSV").click()
    assert download.value.suggested_filename.startswith("orders-")


def test_the_theme_is_kept(shop: House, page: Page) -> None:
    page.goto(shop.url)
    page.get_by_role("button", name="Light or dark").click()
    theme = page.locator("html").get_attribute("data-bs-theme")
    page.goto(f"{shop.url}/orders/")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", theme)


def test_what_was_typed_into_another_form_of_the_page_is_still_there(page: Page, shop: House) -> None:
    """Rule 11: a page of several forms is loaded anew when one of them is sent; a password is kept nowhere."""
    page.goto(f"{shop.url}/configuration/")
    page.get_by_label("Recipients").fill("ops@example.test")
    page.get_by_label("A deadline of TikTok's comes near or has passed").uncheck()
    page.get_by_label("App secret").fill("a secret")
    general = page.locator("#general")
    general.get_by_label("Time zone").select_option("Europe/London")
    general.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The general settings are saved.")).to_be_visible()
    expect(page.get_by_label("Recipients")).to_have_value("ops@example.test")
    expect(page.get_by_label("A deadline of TikTok's comes near or has passed")).not_to_be_checked()
    expect(page.get_by_label("App secret")).to_have_value("")
    assert page.evaluate("sessionStorage.getItem('typed')") is None
    general.get_by_label("Time zone").select_option("UTC")
    general.get_by_role("button", name="Save").click()
    expect(page.get_by_text("The general settings are saved.")).to_be_visible()
