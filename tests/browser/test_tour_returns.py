"""The returns desk, clicked through: a buyer asks with pictures, an operator looks, accepts, and finds the credit memo; with JavaScript and without (A213-A219)."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from bench.house import House
from tests.browser.conftest import NewContext
from tests.browser.people import appears, run_ends_well


@pytest.mark.parametrize("javascript", [True, False], ids=["with-javascript", "without-javascript"])
def test_the_returns_tour_leads_from_the_buyers_pictures_to_the_credit_memo(shop: House, new_context: NewContext, signed_in: Any, javascript: bool) -> None:
    return_id, order = _a_buyer_asks(shop)
    page = new_context(storage_state=signed_in, java_script_enabled=javascript).new_page()
    page.goto(shop.url)
    _import(page, javascript)
    _look(page, return_id, order, javascript)
    _accept(page, return_id, order, javascript)
    _credited(page, shop, return_id)


def _a_buyer_asks(house: House) -> tuple[str, str]:
    """For an order that Magento has shipped and that nobody has asked anything back of; (return id, order id)."""
    asked = {each["order_id"] for each in house.get("tiktok", "returns")["returns"]}
    shipped = [each["ext_order_id"] for each in house.get("magento", "orders") if each["ext_order_id"] not in asked]
    for number in shipped:
        order = house.get("tiktok", f"orders/{number}")["order"]
        if order["status"] in ("AWAITING_COLLECTION", "IN_TRANSIT", "DELIVERED") and order.get("fulfillment_type") == "FULFILLMENT_BY_SELLER":
            break
    else:
        raise AssertionError("the shop has no shipped order left")
    if order["status"] == "AWAITING_COLLECTION":
        house.post("tiktok", f"orders/{number}/collect", {})
    if order["status"] != "DELIVERED":
        house.post("tiktok", f"orders/{number}/deliver", {})
    answer = house.post("tiktok", f"orders/{number}/return", {"type": "REFUND", "note": "The seam is open on one side.", "pictures": 2})
    return answer["returns"][-1]["return_id"], number


def _import(page: Page, javascript: bool) -> None:
    page.get_by_role("navigation", name="Main", exact=True).get_by_role("link", name="Return/Refund").click()
    expect(page.get_by_role("heading", level=1, name="Return/Refund")).to_be_visible()
    page.get_by_role("button", name="Import Returns").click()
    run_ends_well(page, "Import returns", by_itself=javascript)
    expect(page.locator(".run-card")).to_contain_text("returns read")


def _look(page: Page, return_id: str, order: str, javascript: bool) -> None:
    page.get_by_role("navigation", name="Main", exact=True).get_by_role("link", name="Return/Refund").click()
    row = page.get_by_role("row", name=re.compile(return_id))
    expect(row).to_contain_text(order)
    expect(row).to_contain_text("RETURN_OR_REFUND_REQUEST_PENDING")
    expect(row.locator("time[data-countdown]")).to_contain_text(" left" if javascript else ":")
    row.get_by_role("link", name=return_id).click()
    expect(page.locator("blockquote")).to_have_text("The seam is open on one side.")
    pictures = page.get_by_role("img", name=re.compile("of Buyer"))
    expect(pictures).to_have_count(2)
    for picture in pictures.all():
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("naturalWidth", 480)


def _accept(page: Page, return_id: str, order: str, javascript: bool) -> None:
    page.get_by_role("link", name="Accept refund").click()
    expect(page.get_by_role("heading", level=1, name=f"Accept refund: return {return_id}")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile(return_id))).to_contain_text("credit memo")
    expect(page.get_by_role("row", name=re.compile(return_id))).to_contain_text(order)
    page.get_by_role("button", name="Accept refund (1)").click()
    expect(page.get_by_role("heading", level=1, name=re.compile("Answer returns"))).to_be_visible()
    appears(page, page.get_by_role("row", name=re.compile(return_id)).filter(has_text="Done"), javascript)


def _credited(page: Page, house: House, return_id: str) -> None:
    """The worker writes the memo by itself; the page tells its number."""
    page.goto(f"{house.url}/returns/?tab=all&q={return_id}")
    page.get_by_role("row", name=re.compile(return_id)).get_by_role("link", name=return_id).click()
    appears(page, page.locator("#magento tbody th").filter(has_text=re.compile(r"^\s*\d+\s*$")).first, javascript=False)
    expect(page.locator("#magento")).to_contain_text("Credit memo")
    appears(page, page.locator(".order-lead").filter(has_text="RETURN_OR_REFUND_REQUEST_SUCCESS"), javascript=False)
