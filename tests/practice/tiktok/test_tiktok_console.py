"""The buyer console and the fault panel, as a person without JavaScript uses them (product.md 13)."""

from __future__ import annotations

import requests
from bs4 import BeautifulSoup

from .seller import Seller


def page(answer: requests.Response) -> BeautifulSoup:
    return BeautifulSoup(answer.text, "html.parser")


def press(seller: Seller, soup: BeautifulSoup, label: str, **fields: str) -> requests.Response:
    """Presses the button with that label in its form, with the form's own values."""
    button = next(each for each in soup.find_all("button") if each.get_text(strip=True) == label)
    form = button.find_parent("form")
    values = {each["name"]: each.get("value", "") for each in form.find_all("input") if each.get("name") and each.get("type") != "checkbox"}
    if button.get("name"):
        values[button["name"]] = button["value"]
    return seller.http.post(seller.url + form["action"], data={**values, **fields}, timeout=10)


def test_a_person_places_pays_and_cancels_an_order(seller: Seller) -> None:
    home = seller.http.get(f"{seller.url}/", timeout=10)
    assert home.url.endswith("/console")
    form = {"shop": seller.app["shops"][0]["id"], "sku": ["MUG/02 slash", "", "", ""], "quantity": ["2", "1", "1", "1"], "message": "hi 🎁"}
    placed = seller.http.post(f"{seller.url}/console/orders", data=form, timeout=10)
    assert "UNPAID" in page(placed).h1.text
    paid = press(seller, page(placed), "Pay")
    assert "ON_HOLD" in page(paid).h1.text
    assert "shown to the seller after the hold" in paid.text
    moved = press(seller, page(paid), "Change the address", address_line1="5 New Road")
    freed = press(seller, page(moved), "End the hold now")
    assert "5 New Road" in freed.text
    asked = press(seller, page(freed), "Cancel as the buyer")
    assert "CANCELLATION_REQUEST_PENDING" in asked.text
    back = press(seller, page(asked), "Take the request back")
    assert "CANCELLATION_REQUEST_CANCEL" in back.text
    listed = seller.http.get(f"{seller.url}/console?status=AWAITING_SHIPMENT", timeout=10)
    assert len(page(listed).tbody.find_all("tr")) == 1


def test_the_carrier_is_played_by_hand(seller: Seller) -> None:
    order_id = seller.place()
    body = {"tracking_number": "HAND-1", "shipping_provider_id": seller.provider()}
    seller.data("POST", f"/fulfillment/202309/orders/{order_id}/packages", body=body)
    soup = page(seller.http.get(f"{seller.url}/console/orders/{order_id}", timeout=10))
    for label, status in (("Carrier scans the parcel", "IN_TRANSIT"), ("Carrier delivers", "DELIVERED"), ("End the after-sales window", "COMPLETED")):
        soup = page(press(seller, soup, label))
        assert status in soup.h1.text
    assert "HAND-1" in soup.text


def test_wrong_input_is_answered_with_a_sentence_and_changes_nothing(seller: Seller) -> None:
    empty = seller.http.post(f"{seller.url}/console/orders", data={"shop": "GB", "sku": "", "quantity": "1"}, timeout=10)
    assert empty.status_code == 400
    assert "between 1 and 200 units" in page(empty).find(class_="complaint").text
    assert seller.control("GET", "orders")["total"] == 0
    assert seller.http.get(f"{seller.url}/console/orders/1", timeout=10).status_code == 404
    order_id = seller.place()
    wrong = seller.http.post(f"{seller.url}/console/orders/{order_id}/deliver", timeout=10)
    assert wrong.status_code == 400
    assert "no package" in page(wrong).find(class_="complaint").text


def test_orders_by_chance_and_the_clock_are_a_button_away(seller: Seller) -> None:
    soup = page(seller.http.get(f"{seller.url}/console", timeout=10))
    made = press(seller, soup, "Make them", orders="12", status="ON_HOLD")
    assert len(page(made).tbody.find_all("tr")) == 12
    later = press(seller, page(made), "+1 day")
    assert later.ok
    assert "ON_HOLD" not in [row.find_all("td")[2].text for row in page(later).tbody.find_all("tr")]
    press(seller, page(later), "Real time")
    assert abs(seller.control("GET", "clock")["offset_seconds"]) < 1


def test_the_fault_panel_adds_shows_and_removes_faults(seller: Seller) -> None:
    soup = page(seller.http.get(f"{seller.url}/console/faults", timeout=10))
    added = press(seller, soup, "Add", kind="rate_limit", operation="orders.*", times="3", retry_after="5")
    assert "orders.*" in page(added).tbody.text
    assert seller.call("POST", "/order/202309/orders/search", body={}, page_size=1).headers["Retry-After"] == "5"
    wrong = press(seller, soup, "Add", kind="slow", probability="7")
    assert wrong.status_code == 400
    removed = press(seller, page(added), "Remove all")
    assert "No fault is active" in removed.text
    press(seller, page(removed), "Set", ms="150")
    assert seller.control("GET", "latency") == {"ms": 150.0}


def test_what_a_buyer_writes_is_shown_as_text(seller: Seller) -> None:
    order_id = seller.place()
    seller.control("POST", f"orders/{order_id}/address", {"full_address": "<script>alert(1)</script>"})
    text = seller.http.get(f"{seller.url}/console/orders/{order_id}", timeout=10).text
    assert "<script>alert(1)" not in text
    assert "&lt;script&gt;" in text


def test_forms_from_other_sites_are_refused(seller: Seller) -> None:
    answer = seller.http.post(f"{seller.url}/console/seed", data={"orders": "1"}, headers={"Origin": "http://evil.example"}, timeout=10)
    assert answer.status_code == 403
