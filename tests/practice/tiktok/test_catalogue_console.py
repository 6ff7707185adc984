"""Listings in the buyer console, as a person without JavaScript uses them (product.md 13)."""

from __future__ import annotations

import pytest

from .lister import CREATE, mug, stock
from .seller import Seller
from .test_tiktok_console import page, press


def test_a_person_lists_looks_and_buys(seller: Seller) -> None:
    empty = seller.http.get(f"{seller.url}/console/listings", timeout=10)
    assert "no listings here" in empty.text
    form = {"shop": seller.app["shops"][0]["id"], "products": "4", "live": "on"}
    shown = page(seller.http.post(f"{seller.url}/console/listings", data=form, timeout=20))
    assert len(shown.tbody.find_all("tr")) == 4
    link = next(each for each in shown.tbody.find_all("tr") if "Stoneware mug" in each.text).a["href"]
    listing = page(seller.http.get(seller.url + link, timeout=10))
    assert seller.http.get(seller.url + listing.img["src"], timeout=10).content[:4] == b"\x89PNG"
    bought = press(seller, listing, "Buy", quantity="3", pay="on")
    assert "ON_HOLD" in page(bought).h1.text
    assert stock(seller, "MUG-01", "GB") == (99_996, 3)
    refused = press(seller, listing, "Buy", quantity="150000")
    assert refused.status_code == 400
    assert "between 1 and 200" in page(refused).find(class_="complaint").text


def test_a_person_plays_the_audit_and_the_promotion(seller: Seller) -> None:
    made = seller.data("POST", CREATE, "US", mug(seller))["product_id"]
    address = f"{seller.url}/console/listings/{made}"
    failed = press(seller, page(seller.http.get(address, timeout=10)), "Audit fails now", reason="The picture is blurred")
    assert "FAILED" in page(failed).h1.text
    assert "The picture is blurred" in failed.text
    seller.control("POST", f"listings/{made}", {"audit": "AUDITING"})
    live = press(seller, page(seller.http.get(address, timeout=10)), "Audit passes now")
    assert "ACTIVATE" in page(live).h1.text
    promoted = press(seller, page(live), "Start a promotion")
    assert "the price is locked" in promoted.text
    assert "the price is locked" not in press(seller, page(promoted), "End the promotion").text
    hidden = press(seller, page(promoted), "The platform takes it down")
    assert "PLATFORM_DEACTIVATED" in page(hidden).h1.text
    refused = press(seller, page(hidden), "Buy")
    assert "not for sale" in page(refused).find(class_="complaint").text
    assert seller.http.get(f"{seller.url}/console/listings/1729", timeout=10).status_code == 404
    assert seller.http.post(f"{address}/paint", timeout=10).status_code == 404


@pytest.mark.parametrize(
    ("path", "wish", "status"),
    [
        ("catalogue/seed", {"products": -1}, 400),
        ("catalogue/seed", {"shop": "FR"}, 404),
        ("listings/1729", {"status": "ACTIVATE"}, 404),
        ("audit", {"speed": 1}, 400),
        ("shops/US/prerequisites", {"SHOES": []}, 400),
        ("categories/1", {"leaf": False}, 404),
        ("categories/810007", {"colour": "red"}, 400),
    ],
)
def test_the_control_api_refuses_wrong_wishes_with_a_sentence(seller: Seller, path: str, wish: dict, status: int) -> None:
    answer = seller.http.post(f"{seller.url}/practice/{path}", json=wish, timeout=10)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_the_control_api_changes_listings_as_told(seller: Seller) -> None:
    made = seller.data("POST", CREATE, "US", mug(seller))["product_id"]
    seller.control("POST", f"listings/{made}", {"audit": "APPROVED"})
    changed = seller.control("POST", f"listings/{made}", {"stock": 7, "price": "9.50", "skus": ["MUG-GREEN"], "sku_status": "DEACTIVATED"})
    sku = changed["skus"][0]
    assert (sku["available"], sku["price"]["amount"], sku["status"]) == (7, "9.50", "DEACTIVATED")
    assert seller.data("GET", f"{CREATE}/{made}", "US")["skus"][0]["status_info"] == {"status": "DEACTIVATED", "deactivation_source": "SELLER"}
    for wish in ({"stock": -1}, {"status": "GONE"}, {"audit": "MAYBE"}, {"sku_status": "x"}, {"skus": ["NONE"]}, {"colour": "red"}):
        assert seller.http.post(f"{seller.url}/practice/listings/{made}", json=wish, timeout=10).status_code == 400
    assert seller.control("GET", f"listings?shop=US&status=ACTIVATE&ids={made}")["total"] == 1
    assert seller.control("GET", "listings?shop=GB")["listings"] == []
    assert seller.control("GET", f"listings/{made}")["versions"]["live"]["title"].startswith("Stoneware")


def test_a_shop_that_may_not_list_is_seeded_with_nothing_and_says_why(seller: Seller) -> None:
    seller.control("POST", "shops/US/prerequisites", {"SHOP_STATUS": ["The shop is not set up"]})
    made = seller.control("POST", "catalogue/seed", {"shop": "US", "products": 3})
    assert (made["products"], made["left_out"][0]["code"]) == (0, 12052419)
