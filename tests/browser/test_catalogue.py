"""The catalogue desk in a browser: by keyboard, in place, and what opens in it with a screen reader's eyes (product.md 11)."""

from __future__ import annotations

from pprint import pformat
from typing import Any

from playwright.sync_api import Page, expect

from bench.house import House
from tests.browser.conftest import PHONE, NewContext
from tests.browser.test_accessibility import examine, sideways


def test_the_products_grid_is_worked_with_the_keyboard(shop: House, page: Page) -> None:
    """Search, move, select, a pop-up that gives the focus back, and the product's page (A157, A166)."""
    page.goto(f"{shop.url}/products/?tab=rejected")
    rows = page.locator("tbody tr[data-row]")
    page.keyboard.press("j")
    expect(rows.nth(0)).to_be_focused()
    page.keyboard.press("x")
    expect(rows.nth(0).get_by_role("checkbox")).to_be_checked()
    expect(page.locator("[data-chosen]")).to_have_text("1 selected")
    reason = rows.nth(0).locator(".error-pop summary").first
    reason.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".error-pop[open] .error-pop-body")).to_contain_text("restricted goods: replica")
    page.keyboard.press("Escape")
    expect(page.locator(".error-pop[open]")).to_have_count(0)
    expect(reason).to_be_focused()
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("number 2")
    expect(rows).to_have_count(1)
    name = rows.nth(0).locator("a[data-open]").inner_text()
    rows.nth(0).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def test_an_attribute_is_mapped_in_place_with_the_keyboard(shop: House, page: Page) -> None:
    """A124: the row opens where it is, takes a value, is saved with Enter and closes; the page stays."""
    page.goto(f"{shop.url}/attributes/")
    page.evaluate("window.stayed = true")
    page.get_by_role("link", name="Neckline", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator(".row-open").get_by_role("heading", name="Neckline")).to_be_focused()
    page.get_by_role("radio", name="Magento Attribute").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("radio", name="Default Custom Value")).to_be_checked()
    page.locator(".body-custom").get_by_label("Value for every product").focus()
    page.keyboard.type("Crew neck")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Neckline is mapped. It is used by Clothing.")).to_be_visible()
    expect(page.locator(".row-open")).to_have_count(0)
    expect(page.get_by_role("row").filter(has=page.get_by_role("link", name="Neckline", exact=True))).to_be_focused()
    assert page.evaluate("window.stayed") is True


def test_axe_finds_nothing_serious_in_what_opens_at_the_catalogue_desk(shop: House, page: Page) -> None:
    """Rows that open, the query builder with an answer and with faults, categories, pop-ups, the page that asks."""
    found: dict[str, list[str]] = {}
    page.goto(f"{shop.url}/products/?tab=incomplete")
    for name in ("Filters", "Columns"):
        page.locator("summary").filter(has_text=name).first.click()
        found[name] = examine(page)
        page.keyboard.press("Escape")
    page.locator("tbody .error-pop summary").last.click()
    expect(page.locator(".error-pop[open] .error-pop-body")).to_contain_text("Package dimensions")
    found["what is missing"] = examine(page)
    page.keyboard.press("Escape")
    page.get_by_label("Which rows").select_option("page")
    page.get_by_label("Action", exact=True).select_option("Upload")
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Upload")
    found["confirm"] = examine(page)
    page.goto(f"{shop.url}/attributes/")
    page.get_by_role("link", name="Color", exact=True).click()
    expect(page.get_by_label("Color for Black")).to_be_visible()
    found["attribute"] = examine(page) + sideways(page)
    page.goto(f"{shop.url}/templates/new")
    page.get_by_label("Search by words").fill("mug")
    page.get_by_role("button", name="Search", exact=True).first.click()
    expect(page.locator("#category li")).to_have_count(7)
    page.get_by_role("button", name="Recommend").click()
    expect(page.locator("#category")).not_to_contain_text("Stoneware Mugs")
    page.get_by_role("button", name="Browse").click()
    expect(page.get_by_role("navigation", name="Levels of the category tree")).to_be_visible()
    page.get_by_role("button", name="Apply Query").click()
    expect(page.locator("#query .is-wrong, #query .query-result")).to_be_visible()
    found["query"] = examine(page)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("alert")).to_be_focused()
    found["template with errors"] = examine(page)
    assert not any(found.values()), pformat({name: each for name, each in found.items() if each}, width=160)


def test_a_phone_holds_an_open_attribute_the_query_and_a_preview(shop: House, new_context: NewContext, signed_in: Any) -> None:
    """390 pixels: nothing scrolls sideways, what opens fits the screen."""
    page = new_context(storage_state=signed_in, viewport=PHONE, has_touch=True).new_page()
    found = {}
    page.goto(f"{shop.url}/attributes/")
    page.get_by_role("link", name="Size", exact=True).tap()
    expect(page.get_by_label("Size for S", exact=True)).to_be_visible()
    found["attribute"] = sideways(page)
    page.goto(f"{shop.url}/templates/1")
    page.get_by_role("button", name="Apply Query").tap()
    expect(page.get_by_role("heading", name="2 products match")).to_be_visible()
    found["query"] = sideways(page)
    page.goto(f"{shop.url}/policies/3")
    page.get_by_label("Currency Conversion Rate").fill("0.9")
    expect(page.locator("#policy-preview")).to_contain_text("Times 0.90")
    found["preview"] = sideways(page)
    assert not any(found.values()), pformat({name: each for name, each in found.items() if each}, width=160)
