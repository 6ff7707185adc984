"""The tour of docs/tour.md, clicked through by a person who has never seen the product; with JavaScript and without (A001)."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from bench.house import House
from tests.browser.conftest import NewContext
from tests.browser.people import run_ends_well, swap

EMAIL, PASSWORD = "newcomer@example.test", "three-unrelated-words"
TRACKING = "AB123456789GB"
FAMILY, VARIANT, PRICE = "TEE", "TEE-BLA-M", "15.60"  # one product with twelve variants; 19.50 USD at 0.8


@pytest.mark.parametrize("javascript", [True, False], ids=["with-javascript", "without-javascript"])
def test_the_tour_leads_from_the_first_start_to_a_live_listing_and_a_shipped_order(fresh_house: House, new_context: NewContext, javascript: bool) -> None:
    page = new_context(java_script_enabled=javascript).new_page()
    _first_administrator(page, fresh_house)
    _practice_shop(page, fresh_house)
    _policies(page)
    _import_products(page)
    _listing_template(page, javascript)
    _attributes(page)
    _validate(page, javascript)
    listing = _upload(page, fresh_house, javascript)
    _audit(page, fresh_house, listing)
    _live(page, fresh_house, javascript)
    number = _buy(page, fresh_house, listing)
    _import(page, fresh_house, javascript)
    _create(page, number, javascript)
    _ship(page, number, javascript)
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


def _policies(page: Page) -> None:
    """3. Inventory wants its threshold, pricing the rate of the two currencies, orders one carrier; for the tour, orders are created by hand (A020-A026, A118)."""
    page.get_by_role("link", name="Default Inventory Policy").click()
    page.get_by_label("Threshold Value", exact=True).fill("5")
    page.get_by_role("button", name="Save & Close").click()
    page.get_by_role("link", name="Default Pricing Policy").click()
    page.get_by_label("Currency Conversion Rate").fill("0.8")
    page.get_by_role("button", name="Save & Close").click()
    page.get_by_role("link", name="Default Order Policy").click()
    expect(page.get_by_role("heading", level=1, name="Update Order Policy")).to_be_visible()
    page.get_by_label("Create Order in Magento").uncheck()
    page.get_by_label(re.compile(r"Magento.*carrier.*row 1", re.I)).fill("Royal Mail")
    carrier = page.get_by_label(re.compile(r"TikTok.*carrier.*row 1", re.I))
    # A list to choose from once the shop's carriers have been fetched, which goes on in the background; until then one types the name.
    carrier.select_option("Royal Mail") if carrier.evaluate("field => field.tagName") == "SELECT" else carrier.fill("Royal Mail")
    page.get_by_role("button", name="Save & Close").click()
    expect(page.get_by_role("heading", level=1, name="Default Policies")).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("^Not valid"))).to_contain_text("0")
    page.get_by_role("link", name="Next", exact=True).click()
    expect(page.get_by_role("heading", level=1, name="Summary")).to_be_visible()
    page.get_by_role("button", name="Finish").click()
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Summary")


def _menu(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Main", exact=True).get_by_role("link", name=name).click()
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def _import_products(page: Page) -> None:
    """4. Import from Magento, and watch the run (A157, A158)."""
    _menu(page, "Products")
    page.get_by_role("link", name="Import from Magento").first.click()
    page.get_by_role("main").get_by_role("button", name="Import").click()
    run_ends_well(page, "Import products from Magento")
    expect(page.get_by_text("40 products read")).to_be_visible()


def _listing_template(page: Page, javascript: bool) -> None:
    """5. A template: category by search, query by condition, what it matches, the usual parcel; then assign (A139-A146, A155, A156)."""
    _menu(page, "Listing Templates")
    page.get_by_role("link", name="Add Template").first.click()
    page.get_by_label("Template Name").fill("T-shirts")
    page.get_by_label("Search by words").fill("men's t-shirt")
    page.locator("#category").get_by_role("button", name="Search").click()
    page.locator("#category li", has_text="Men's T-shirts").get_by_role("button", name="Choose").click()
    expect(page.locator(".chosen-category")).to_contain_text("Men's Tops > Men's T-shirts")
    for part, choice in (("Attribute", "Name"), ("Operator", "contains")):
        field = page.get_by_label(f"{part} of condition 1")
        if javascript:  # the row offers what the choice allows
            with swap(page):
                field.select_option(label=choice)
            expect(page.get_by_label("Operator of condition 1")).to_be_focused()
        else:
            field.select_option(label=choice)
    page.get_by_label("Value of condition 1").fill("tee")
    page.get_by_role("button", name="Apply Query").click()
    expect(page.get_by_role("heading", name="1 product matches")).to_be_visible()
    expect(page.get_by_role("region", name="The first products that match")).to_contain_text(FAMILY)
    page.locator("summary", has_text="More: title").click()
    for label, value in (("Usual length", "30"), ("Usual width", "20"), ("Usual height", "10")):
        page.get_by_label(label).fill(value)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("heading", name="What comes next for T-shirts")).to_be_visible()
    page.get_by_role("button", name="Assign now").click()
    run_ends_well(page, "Assign products to T-shirts", by_itself=javascript)
    expect(page.get_by_text("1 product was assigned.")).to_be_visible()


def _attributes(page: Page) -> None:
    """6. Color and Size take their suggestions, Material a recommended value; in place, or without JavaScript on the attribute's own page (A123-A136)."""
    _menu(page, "Attributes")
    for name in ("Color", "Size"):
        page.get_by_role("link", name=name, exact=True).click()
        page.get_by_role("link", name=f"Use suggestion {name.lower()}", exact=True).click()
        expect(page.get_by_text("are filled in with suggestions")).to_be_visible()
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text(f"{name} is mapped. It is used by T-shirts.")).to_be_visible()
    expect(page.get_by_role("link", name=re.compile("^Required, not mapped"))).to_contain_text("1")
    page.get_by_role("link", name="Material", exact=True).click()
    page.get_by_role("radio", name="Default Recommended Value").check()
    page.locator(".body-recommended").get_by_label("Value for every product").select_option("Cotton")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Material is mapped. It is used by T-shirts.")).to_be_visible()


def _act(page: Page, action: str) -> None:
    """Find the product, choose an action, confirm it."""
    _menu(page, "Products")
    page.get_by_role("searchbox").fill(FAMILY)
    page.get_by_role("searchbox").press("Enter")
    expect(page.locator("tbody tr[data-row]")).to_have_count(1)
    page.get_by_label(f"Select product {FAMILY}", exact=True).check()
    page.get_by_label("Action", exact=True).select_option(action)
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name=f"{action} (1)").click()


def _validate(page: Page, javascript: bool) -> None:
    """7. Validate: everything that TikTok will check (A165)."""
    _act(page, "Validate")
    run_ends_well(page, "Validate products", by_itself=javascript)
    expect(page.get_by_role("row", name=re.compile(FAMILY))).to_contain_text("Ready.")


def _upload(page: Page, house: House, javascript: bool) -> str:
    """8. Upload, watched in Queue Process / Products and on the run. Returns TikTok's id of the listing (A163, A222)."""
    house.post("tiktok", "audit", {"delay_seconds": 3600})  # it is in its audit for as long as we look
    _act(page, "Upload")
    expect(page.get_by_role("heading", level=1, name="Upload products")).to_be_visible()
    run = page.url
    page.get_by_role("link", name="Queue Process").first.click()
    page.get_by_role("navigation", name="Queue Process").get_by_role("link", name="Products").click()
    expect(page.get_by_role("row", name=re.compile("Upload products"))).to_contain_text("Plain tee")
    page.goto(run)
    run_ends_well(page, "Upload products", by_itself=javascript)
    row = page.get_by_role("row", name=re.compile(FAMILY))
    expect(row).to_contain_text("In review as ")
    return re.search(r"In review as (\d+)", row.inner_text())[1]


def _audit(page: Page, house: House, listing: str) -> None:
    """9. The marketplace's own console: the listing in its audit, which passes."""
    page.goto(f"{house.tiktok_url}/console/listings")
    page.get_by_role("link", name=listing).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("PENDING")
    page.get_by_role("button", name="Audit passes now").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("ACTIVATE")
    expect(page.get_by_role("row", name=re.compile(VARIANT))).to_contain_text(f"{PRICE} GBP")


def _live(page: Page, house: House, javascript: bool) -> None:
    """10. Marketplace Status Sync tells that it is live; its price and stock stand beside Magento's (A166)."""
    page.goto(house.url)
    _act(page, "Marketplace Status Sync")
    run_ends_well(page, "Marketplace Status Sync", by_itself=javascript)
    _menu(page, "Products")
    page.get_by_role("navigation", name="Products by status").get_by_role("link", name="Live").click()
    row = page.get_by_role("row", name=re.compile("Plain tee"))
    expect(row).to_contain_text("Live")
    expect(row).to_contain_text(f"{PRICE} GBP")
    row.get_by_role("link", name="Plain tee").click()
    expect(page.get_by_role("heading", level=1, name="Plain tee")).to_be_visible()


def _buy(page: Page, house: House, listing: str) -> str:
    """11. Play the buyer: buy a variant of the listing and end the order's hold. Returns the order id."""
    page.goto(f"{house.tiktok_url}/console/listings/{listing}")
    page.get_by_role("row", name=re.compile(VARIANT)).get_by_role("button", name="Buy").click()
    page.get_by_role("button", name="End the hold now").click()
    heading = page.get_by_role("heading", level=1, name="AWAITING_SHIPMENT")
    expect(heading).to_be_visible()
    return re.search(r"Order (\d+)", heading.inner_text())[1]


def _import(page: Page, house: House, javascript: bool) -> None:
    """12. Import Orders and watch the run in Queue Process (A182, A221-A225)."""
    page.goto(f"{house.url}/orders/")
    page.get_by_role("link", name="Import Orders").first.click()
    page.get_by_role("main").get_by_role("button", name="Import Orders").click()
    run_ends_well(page, "Import orders", by_itself=javascript)
    expect(page.get_by_text("1 order read")).to_be_visible()


def _create(page: Page, number: str, javascript: bool) -> None:
    """13. Create Sales Order from the grid, with the question before it (A204, A205); the Magento number is on the order."""
    page.get_by_role("navigation", name="Main", exact=True).get_by_role("link", name="Orders").click()
    page.get_by_label(f"Select order {number}").check()
    page.get_by_label("Action", exact=True).select_option("Create Sales Order")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("Are you sure you want to import these orders?")).to_be_visible()
    page.get_by_role("button", name="Create Sales Order (1)").click()
    run_ends_well(page, "Create sales orders", by_itself=javascript)
    page.get_by_role("navigation", name="Main", exact=True).get_by_role("link", name="Orders").click()
    page.get_by_role("link", name=number).click()
    expect(page.get_by_role("heading", level=1, name=f"Order {number}")).to_be_visible()
    expect(page.locator("dt:text-is('Sales order') + dd")).to_contain_text(re.compile(r"\d{6,}"))
    expect(page.get_by_text("In Magento", exact=True)).to_be_visible()


def _ship(page: Page, number: str, javascript: bool) -> None:
    """14. Ship with a carrier and a tracking number (A207)."""
    page.get_by_role("button", name="Ship", exact=True).click()
    expect(page.get_by_role("heading", level=1, name=f"Ship order {number}")).to_be_visible()
    page.get_by_label(f"Carrier of order {number}").fill("Royal Mail")
    page.get_by_label(f"Tracking number of order {number}").fill(TRACKING)
    page.get_by_role("button", name="Ship", exact=True).click()
    run_ends_well(page, "Ship orders", by_itself=javascript)
    page.get_by_role("navigation", name="Main", exact=True).get_by_role("link", name="Orders").click()
    page.get_by_role("link", name=number).click()
    expect(page.get_by_text("Accepted by TikTok")).to_be_visible()
    expect(page.get_by_role("rowheader", name=TRACKING)).to_be_visible()


def _seen_by_the_marketplace(page: Page, house: House, number: str) -> None:
    """15. The buyer sees the parcel and the seller's own order number in the marketplace."""
    page.goto(f"{house.tiktok_url}/console/orders/{number}")
    expect(page.get_by_role("heading", level=1, name="AWAITING_COLLECTION")).to_be_visible()
    expect(page.get_by_text(f"Royal Mail {TRACKING}").first).to_be_visible()
    expect(page.get_by_text(re.compile(r"MAGENTO 0*\d+"))).to_be_visible()
