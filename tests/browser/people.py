"""What buyers, the store and an operator do in the tours of the desks: each a word."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from playwright.sync_api import Locator, Page, expect

from bench.house import House
from tests.browser.conftest import PATIENCE
from tests.browser.shop import wait_until

SKU, OTHER = "TEE-BLA-M", "MUG-01"


def held(house: House, *, sku: str = SKU, units: int = 2, shop: str = "GB") -> str:
    """An order is placed and paid: on hold for an hour."""
    return str(house.post("tiktok", "orders", {"shop": shop, "lines": [{"sku": sku, "quantity": units}]})["id"])


def sold(house: House, count: int, *, sku: str = SKU) -> list[str]:
    """Orders whose hold is over, which stand in Magento, and whose number there TikTok has been told."""
    numbers = [held(house, sku=sku, units=1) for _ in range(count)]
    for number in numbers:
        house.post("tiktok", f"orders/{number}/release")
    wait_until(
        lambda: all(order["external_orders"] for order in house.get("tiktok", "orders", ids=",".join(numbers))["orders"]),
        otherwise=lambda: str(in_magento(house).keys()),
    )
    return numbers


def in_magento(house: House) -> dict[str, dict[str, Any]]:
    return {order["ext_order_id"]: order for order in house.get("magento", "orders")}


def status_of(house: House, number: str) -> str:
    return house.get("tiktok", f"orders/{number}")["order"]["status"]


def asked_to_cancel(house: House, numbers: Iterator[str], count: int) -> list[str]:
    """Of orders in Magento, the next ones: their buyers ask to cancel."""
    chosen = list(islice(numbers, count))
    for number in chosen:
        house.post("tiktok", f"orders/{number}/cancel", {"by": "BUYER"})
    return chosen


def row(page: Page, words: str) -> Locator:
    return page.locator("tbody tr").filter(has_text=words)


def appears(page: Page, wanted: Locator, javascript: bool = True) -> None:
    """By itself; without JavaScript a person loads the page again."""
    if javascript:
        expect(wanted).to_be_visible()
        return
    deadline = time.monotonic() + PATIENCE / 1000
    while not wanted.is_visible():
        assert time.monotonic() < deadline, f"{page.url} does not show it: {page.locator('main').inner_text()[:1500]}"
        page.reload()


@contextmanager
def swap(page: Page) -> Iterator[None]:
    """What is done inside makes the page ask for a part of itself; afterwards the answer stands in it."""
    page.evaluate("() => { window.swapped = false; document.addEventListener('htmx:after:swap', () => { window.swapped = true; }, { once: true }); }")
    yield
    wait_until(lambda: page.evaluate("window.swapped"))


def menu(page: Page, name: str) -> None:
    page.get_by_role("navigation", name="Main", exact=True).get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()


def run_ends_well(page: Page, title: str, by_itself: bool = True) -> None:
    """The page of a run shows its end by itself: by server-sent events, or without JavaScript by loading itself again every three seconds.

    ``by_itself=False``: a person who does not wait for that loads it.
    """
    expect(page.get_by_role("heading", level=1, name=title)).to_be_visible()
    appears(page, page.locator(".run-card").get_by_text("Done", exact=True), by_itself)


def open_order(page: Page, house: House, number: str) -> None:
    page.goto(f"{house.url}/orders/?q={number}")
    row(page, number).get_by_role("link", name=number).click()
    expect(page.get_by_role("heading", level=1, name=f"Order {number}")).to_be_visible()


def tab_to(page: Page, wanted: Locator, key: str = "Tab") -> None:
    """Press the key until the control has the focus."""
    for _ in range(80):
        page.keyboard.press(key)
        if wanted.evaluate("control => control === document.activeElement"):
            return
    raise AssertionError(f"{key} never reaches {wanted}")
