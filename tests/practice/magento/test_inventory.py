"""Stock of the practice store (MAG §4.3, §4.4.8)."""

from __future__ import annotations

import pytest

from .load_body import direct
from .shop import Refused, Shop


def test_placing_reserves_shipping_releases_and_the_source_goes_down(shop: Shop) -> None:
    before = shop.salable("MUG/02 slash")
    order = shop.order(("MUG/02 slash", 4))
    assert shop.salable("MUG/02 slash") == before - 4
    shop.ship(order["entity_id"], None, "wh_main")
    assert shop.salable("MUG/02 slash") == before - 4
    entry = shop.control("GET", "ledger?sku=MUG/02 slash")["stocks"][0]
    assert (entry["sources"]["wh_main"], entry["reservations"]) == (before - 4, 0)


def test_a_direct_order_reserves_nothing_and_shipping_it_unbalances_the_ledger(shop: Shop) -> None:
    product = shop.rest("GET", "/products/CAP-01")
    before = shop.salable("CAP-01")
    order = shop.rest("POST", "/orders", direct(product, 2))
    assert shop.salable("CAP-01") == before
    shop.ship(order["entity_id"], None, "wh_main")
    assert shop.salable("CAP-01") == before  # -2 at the source, +2 reserved: too high for good
    ledger = shop.control("GET", "ledger?sku=CAP-01")
    assert not ledger["balanced"]
    assert [(odd["reserved"], odd["open"]) for odd in ledger["open_orders"]] == [(2, 0)]


def test_backorders_let_the_salable_quantity_go_negative_but_not_the_shipment(shop: Shop) -> None:
    shop.rest("PUT", "/products/ONE-LEFT/stockItems/1", {"stockItem": {"use_config_backorders": False, "backorders": 1}})
    order = shop.order(("ONE-LEFT", 3))
    assert shop.salable("ONE-LEFT") == -2
    with pytest.raises(Refused, match="Could not save a shipment, see error log for details"):
        shop.ship(order["entity_id"], None, "wh_main")


def test_without_stock_management_nothing_moves(shop: Shop) -> None:
    shop.control("POST", "products/PEN-01", {"manage_stock": False})
    shop.control("POST", "products/PEN-01/stock", {"source": "wh_main", "quantity": 0, "status": 1})
    order = shop.order(("PEN-01", 5))
    shop.ship(order["entity_id"], None, "wh_main")
    entry = shop.control("GET", "ledger?sku=PEN-01")["stocks"][0]
    assert (entry["sources"], entry["reservations"]) == ({"wh_main": 0}, 0)
    item = shop.find("/inventory/export-stock-salable-qty/website/base", "sku", "PEN-01")["items"][0]
    assert item == {"sku": "PEN-01", "qty": 0, "is_salable": True}


def test_virtual_units_leave_the_stock_with_the_invoice(shop: Shop) -> None:
    before = shop.salable("VIRT-01")
    cart = shop.cart(("MUG-01", 1))
    shop.rest("POST", f"/carts/{cart}/items", {"cartItem": {"quote_id": cart, "sku": "VIRT-01", "qty": 2}})
    order_id = shop.place(cart)
    shop.rest("POST", f"/order/{order_id}/invoice", {})
    entry = shop.control("GET", "ledger?sku=VIRT-01")["stocks"][0]
    assert (entry["sources"]["wh_main"], entry["reservations"]) == (before - 2, 0)
    assert shop.control("GET", "ledger")["balanced"]


def test_shipped_units_go_back_to_the_source_they_left(shop: Shop) -> None:
    order = shop.order(("TEE-RED-M", 2))
    item = order["items"][0]["item_id"]
    shop.rest("POST", f"/order/{order['entity_id']}/invoice", {})
    shop.ship(order["entity_id"], [{"order_item_id": item, "qty": 2}], "wh_second")
    assert shop.control("GET", "ledger?sku=TEE-RED-M")["stocks"][0]["sources"]["wh_second"] == 48
    arguments = {"shipping_amount": 0, "extension_attributes": {"return_to_stock_items": [item]}}
    shop.rest("POST", f"/order/{order['entity_id']}/refund", {"items": [{"order_item_id": item, "qty": 1}], "arguments": arguments})
    assert shop.control("GET", "ledger?sku=TEE-RED-M")["stocks"][0]["sources"]["wh_second"] == 49


def test_a_batch_of_source_items_is_all_or_nothing(shop: Shop) -> None:
    rows = [{"sku": "MUG-01", "source_code": "wh_main", "quantity": 5, "status": 1}]
    with pytest.raises(Refused, match="Validation Failed"):
        shop.rest("POST", "/inventory/source-items", {"sourceItems": [*rows, {**rows[0], "status": None}]})
    with pytest.raises(Refused, match="Input data is empty"):
        shop.rest("POST", "/inventory/source-items", {"sourceItems": []})
    assert shop.rest("POST", "/inventory/source-items", {"sourceItems": rows}) == []
    assert shop.salable("MUG-01") == 5


def test_without_msi_the_inventory_routes_are_gone(shop: Shop) -> None:
    shop.control("POST", "settings", {"msi": False})
    with pytest.raises(Refused) as refused:
        shop.rest("GET", "/inventory/stocks", query=[("searchCriteria[pageSize]", 1)])
    assert (refused.value.status, refused.value.body["message"]) == (404, "Request does not match any route.")


def test_pictures_of_the_catalogue_are_served(shop: Shop) -> None:
    media = shop.rest("GET", "/products/MUG-01/media")
    base = shop.rest("GET", "/store/storeConfigs")[0]["base_media_url"]
    picture = shop.http.get(f"{base}catalog/product{media[0]['file']}", timeout=10)
    assert picture.headers["Content-Type"] == "image/png"
    assert picture.content.startswith(b"\x89PNG")
