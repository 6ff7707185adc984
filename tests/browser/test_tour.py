"""The five-minute tour of docs/tour.md, clicked through by a person who has never seen the product; with JavaScript and without."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from bench.house import House
from tests.browser.conftest import NewContext

EMAIL, PASSWORD = "newcomer@example.test", "three-unrelated-words"
TRACKING = "AB123456789GB"


@pytest.mark.parametrize("javascript", [True, False], ids=["with-javascript", "without-javascript"])
def test_the_tour_leads_from_the_first_start_to_a_shipped_order(fresh_house: House, new_context: NewContext, javascript: bool) -> None:
    page = new_context(java_script_enabled=javascript).new_page()
    _first_administrator(page, fresh_house)
    _practice_shop(page, fresh_house)
    _order_policy(page)
    number = _buy(page, fresh_house)
    _import(page, fresh_house)
    _create(page, number)
    _ship(page, number)
    _seen_by_the_marketplace(page, fresh_house, number)


def _first_administrator(page: Page, house: House) -> None:
    """1. Open the address; the first user becomes the administrator (A009, A010)."""
    page.goto(house.url)
    expect(page.get_by_role("heading", level=1, name="Registration")).to_be_visible()
    page.get_by_label("Email").fill(EMAIL)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("I accept the terms and conditions").check()
    page.get_by_role("button", name="Next").click()
    expect(page.get_by_role("heading", level=1, name="Account Onboarding")).to_be_visible()


def _practice_shop(page: Page, house: House) -> None:
    """2. Use the practice shop, and authorise on the marketplace's own page (A011-A018)."""
    page.get_by_role("button", name="Use the practice shop").click()
    expect(page.get_by_role("heading", name="An app asks for access to your shops")).to_be_visible()
    assert page.url.startswith(house.tiktok_url)
    page.get_by_role("button", name="Authorize").click()
    expect(page.get_by_role("heading", level=1, name="Default Policies")).to_be_visible()
    expect(page.get_by_text("Account Authorized Successfully")).to_be_visible()


def _order_policy(page: Page) -> None:
    """3. The order policy wants one carrier; for the tour, orders are created by hand. Then finish (A020-A026, A118)."""
    page.get_by_role("link", name="Default Order Policy").click()
    expect(page.get_by_role("heading", level=1, name="Update Order Policy")).to_be_visible()
    page.get_by_label("Create Order in Magento").uncheck()
    page.get_by_label(re.compile(r"Magento.*carrier.*row 1", re.I)).fill("Royal Mail")
    carrier = page.get_by_label(re.compile(r"TikTok.*carrier.*row 1", re.I))
    # A list to choose from once the shop's carriers have been fetched, which goes on in the background; until then one types the name.
    carrier.select_option("Royal Mail") if carrier.evaluate("field => field.tagName") == "SELECT" else carrier.fill("Royal Mail")
    page.get_by_role("button", name="Save & Close").click()
    expect(page.get_by_role("heading", level=1, name="Default Policies")).to_be_visible()
    page.get_by_role("link", name="Next", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="Summary")).to_be_visible()
    page.get_by_role("button", name="Finish").click()
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Summary")


def _buy(page: Page, house: House) -> str:
    """4. Play the buyer: place an order in the practice marketplace, pay, end its hold. Returns the order id."""
    page.goto(f"{house.tiktok_url}/console")
    basket = page.get_by_role("group", name="Basket")
    basket.locator("select[name=shop]").select_option(basket.locator("option", has_text="(GBP)").get_attribute("value"))
    page.get_by_role("button", name="Place the order").click()
    page.get_by_role("button", name="End the hold now").click()
    heading = page.get_by_role("heading", level=1, name="AWAITING_SHIPMENT")
    expect(heading).to_be_visible()
    return re.search(r"Order (\d+)", heading.inner_text())[1]


def _import(page: Page, house: House) -> None:
    """5. Import Orders and watch the run in Queue Process (A182, A221-A225)."""
    page.goto(f"{house.url}/orders/")
    page.get_by_role("link", name="Import Orders").first.click()
    page.get_by_role("main").get_by_role("button", name="Import Orders").click()
    _run_ends_well(page, "Import orders")
    expect(page.get_by_text("1 orders read")).to_be_visible()


def _run_ends_well(page: Page, title: str) -> None:
    """The page of a run shows its end by itself: by server-sent events, or without JavaScript by reloading."""
    expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()
    expect(page.locator(".run-card").get_by_text("Done", exact=True)).to_be_visible()


def _create(page: Page, number: str) -> None:
    """6. Create Sales Order from the grid, with the question before it (A204, A205); the Magento number is on the order."""
    page.get_by_role("navigation", name="Main", exact=True).get_by_role("link", name="Orders").click()
    page.get_by_label(f"Select order {number}").check()
    page.get_by_label("Action", exact=True).select_option("Create Sales Order")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Are you sure you want to import these orders?")).to_be_visible()
    page.get_by_role("button", name="Create Sales Order (1)").click()
    _run_ends_well(page, "Create sales orders")
    page.get_by_role("navigation", name="Main", exact=True).get_by_role("link", name="Orders").click()
    page.get_by_role("link", name=number).click()
    expect(page.get_by_role("heading", level=1, name=f"Order {number}")).to_be_visible()
    expect(page.locator("dt:text-is('Sales order') + dd")).to_contain_text(re.compile(r"\d{6,}"))
    expect(page.get_by_text("In Magento", exact=True)).to_be_visible()


def _ship(page: Page, number: str) -> None:
    """7. Ship with a carrier and a tracking number (A207)."""
    page.get_by_role("button", name="Ship", exact=True).click()
    page.get_by_role("button", name="Ship (1)").click()
    expect(page.get_by_role("heading", level=1, name="Ship 1 order")).to_be_visible()
    page.get_by_label(f"Carrier of order {number}").fill("Royal Mail")
    page.get_by_label(f"Tracking number of order {number}").fill(TRACKING)
    page.get_by_role("button", name="Ship", exact=True).click()
    _run_ends_well(page, "Ship orders")
    page.get_by_role("navigation", name="Main", exact=True).get_by_role("link", name="Orders").click()
    page.get_by_role("link", name=number).click()
    expect(page.get_by_text("Accepted by TikTok")).to_be_visible()
    expect(page.get_by_role("rowheader", name=TRACKING)).to_be_visible()


def _seen_by_the_marketplace(page: Page, house: House, number: str) -> None:
    """8. The buyer sees the parcel and the seller's own order number in the marketplace."""
    page.goto(f"{house.tiktok_url}/console/orders/{number}")
    expect(page.get_by_role("heading", level=1, name="AWAITING_COLLECTION")).to_be_visible()
    expect(page.get_by_text(f"Royal Mail {TRACKING}").first).to_be_visible()
    expect(page.get_by_text(re.compile(r"MAGENTO 0*\d+"))).to_be_visible()
