"""The practice store's console, where a person plays the merchant; over real HTTP."""

from __future__ import annotations

import requests

from .shop import Shop


def _press(shop: Shop, path: str, **fields: str) -> str:
    answer = requests.post(f"{shop.url}{path}", data=fields, timeout=10)
    assert answer.status_code == 200, answer.text[:300]
    assert answer.url.split("?")[0] == f"{shop.url}/console"
    return answer.text


def test_the_merchant_ships_an_order_and_changes_price_and_stock(shop: Shop) -> None:
    order = shop.order(("MUG-01", 2))
    page = requests.get(f"{shop.url}/", timeout=10).text
    assert order["increment_id"] in page
    ship = f"/console/orders/{order['entity_id']}/ship"
    assert "Enter the carrier and the tracking number." in _press(shop, ship, carrier="Parcel Pigeon")
    assert "complaint" not in _press(shop, ship, carrier="Parcel Pigeon", number="PP12345").split("</style>")[1]
    tracks = shop.find("/shipments", "order_id", order["entity_id"])["items"][0]["tracks"]
    assert [(track["title"], track["track_number"]) for track in tracks] == [("Parcel Pigeon", "PP12345")]

    _press(shop, "/console/products", sku="MUG-01", price="13.25", quantity="7")
    assert shop.rest("GET", "/products/MUG-01")["price"] == 13.25
    assert f'<td class="number">{shop.salable("MUG-01")}</td>' in requests.get(f"{shop.url}/console", timeout=10).text
    for wrong in ({"sku": "MUG-01", "price": "cheap"}, {"sku": "MUG-01", "quantity": "-1"}, {"sku": "NONE"}):
        assert 'role="alert"' in _press(shop, "/console/products", **wrong)


def test_only_a_page_of_the_store_itself_may_press_its_buttons(shop: Shop) -> None:
    answer = requests.post(f"{shop.url}/console/products", data={"sku": "MUG-01"}, headers={"Origin": "https://elsewhere.example"}, timeout=10)
    assert answer.status_code == 403
