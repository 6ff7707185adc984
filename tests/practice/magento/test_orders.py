"""The life of an order in the practice store beyond the recorded exchanges (MAG §4.4-4.6)."""

from __future__ import annotations

import pytest

from .scenarios import correction
from .shop import ADDRESS, Refused, Shop


def corrected(shop: Shop, *, quantity: int = 3, price: float = 9.9967, row: float = 29.99, **header) -> dict:
    """A placed and corrected order of one line; `row` is not divisible by the quantity."""
    order = shop.order(("MUG-01", quantity))
    line = {"item_id": order["items"][0]["item_id"], "price": price, "price_incl_tax": price, "row_total": row,
            "row_total_incl_tax": row, "tax_amount": 0, "discount_amount": 0}  # fmt: skip
    money = {"subtotal": row, "subtotal_incl_tax": row, "grand_total": row, "tax_amount": 0, "discount_amount": 0, **header}
    shop.rest("POST", "/orders", correction(order, [line], **money))
    return shop.rest("GET", f"/orders/{order['entity_id']}")


def test_partial_invoices_add_up_to_the_cent_and_the_last_takes_the_rest(shop: Shop) -> None:
    order = corrected(shop)
    item, order_id = order["items"][0]["item_id"], order["entity_id"]
    totals = []
    for _ in range(3):
        invoice = shop.rest("POST", f"/order/{order_id}/invoice", {"items": [{"order_item_id": item, "qty": 1}]})
        totals.append(shop.rest("GET", f"/invoices/{invoice}")["grand_total"])
    assert totals == [10, 10, 9.99]
    paid = shop.rest("GET", f"/orders/{order_id}")
    assert (paid["total_paid"], paid["total_due"], paid["state"]) == (29.99, 0, "processing")


def test_shipping_is_on_the_first_invoice_only(shop: Shop) -> None:
    order = corrected(shop, row=30, price=10, grand_total=35, shipping_amount=5, shipping_incl_tax=5)
    item, order_id = order["items"][0]["item_id"], order["entity_id"]
    first = shop.rest("POST", f"/order/{order_id}/invoice", {"items": [{"order_item_id": item, "qty": 1}]})
    second = shop.rest("POST", f"/order/{order_id}/invoice", {})
    assert [shop.rest("GET", f"/invoices/{i}")["shipping_amount"] for i in (first, second)] == [5, 0]
    assert shop.rest("GET", f"/orders/{order_id}")["total_paid"] == 35


def test_more_than_open_cannot_be_invoiced(shop: Shop) -> None:
    order = shop.order(("MUG-01", 2))
    body = {"items": [{"order_item_id": order["items"][0]["item_id"], "qty": 3}]}
    with pytest.raises(Refused, match="We found an invalid quantity to invoice item"):
        shop.rest("POST", f"/order/{order['entity_id']}/invoice", body)


def test_states_follow_invoice_and_shipment_and_the_ledger_balances(shop: Shop) -> None:
    order = shop.order(("MUG-01", 2), ("TEE-BLA-S", 1))
    order_id, items = order["entity_id"], order["items"]

    def state() -> tuple:
        read = shop.rest("GET", f"/orders/{order_id}")
        return read["state"], read["status"]

    assert state() == ("new", "pending")
    shop.ship(order_id, [{"order_item_id": items[0]["item_id"], "qty": 1}], "wh_main")
    assert state() == ("processing", "processing")
    shop.rest("POST", f"/orders/{order_id}/comments", {"statusHistory": {"comment": "x", "status": "tiktok_paid"}})
    shop.ship(order_id, [{"order_item_id": items[0]["item_id"], "qty": 1}], "wh_main")
    assert state() == ("processing", "tiktok_paid")  # a partial shipment keeps a custom status
    shop.rest("POST", f"/order/{order_id}/invoice", {})
    assert state() == ("processing", "processing")  # an invoice resets it
    shop.ship(order_id, [{"order_item_id": items[1]["item_id"], "qty": 1}], "wh_second")
    assert state() == ("complete", "complete")
    assert shop.control("GET", "ledger")["balanced"]
    assert shop.control("GET", "ledger?sku=MUG-01")["stocks"][0]["reservations"] == 0


def test_a_partial_shipment_a_comment_and_a_late_track_leave_updated_at_alone(shop: Shop) -> None:
    order = shop.order(("MUG-01", 3))
    order_id, item = order["entity_id"], order["items"][0]["item_id"]
    stamp = {"entity_id": order_id, "increment_id": order["increment_id"], "updated_at": "2020-01-01 00:00:00"}
    shop.rest("POST", "/orders", {"entity": stamp})
    before = shop.rest("GET", f"/orders/{order_id}")["updated_at"]
    shipment = shop.ship(order_id, [{"order_item_id": item, "qty": 1}], "wh_main")
    track = {"order_id": order_id, "parent_id": int(shipment), "track_number": "T1", "title": "UPS", "carrier_code": "ups"}
    read = shop.rest("GET", f"/shipment/{shipment}")
    shop.rest("POST", "/shipment/track", {"entity": track})
    assert shop.rest("GET", f"/orders/{order_id}")["updated_at"] == before
    assert shop.rest("GET", f"/shipment/{shipment}")["updated_at"] == read["updated_at"]
    assert [t["track_number"] for t in shop.rest("GET", f"/shipment/{shipment}")["tracks"]] == ["T1"]


def test_a_partly_invoiced_order_cancels_its_rest_only(shop: Shop) -> None:
    order = shop.order(("MUG-01", 3))
    order_id, item = order["entity_id"], order["items"][0]["item_id"]
    shop.rest("POST", f"/order/{order_id}/invoice", {"items": [{"order_item_id": item, "qty": 1}]})
    assert shop.rest("POST", f"/orders/{order_id}/cancel") is True
    read = shop.rest("GET", f"/orders/{order_id}")
    assert (read["state"], read["items"][0]["qty_canceled"]) == ("processing", 2)
    shop.ship(order_id, [{"order_item_id": item, "qty": 1}], "wh_main")
    assert shop.control("GET", "ledger")["balanced"]


@pytest.mark.parametrize("returned", [True, False])
def test_a_refund_before_shipping_moves_the_stock_as_recorded(shop: Shop, returned: bool) -> None:
    physical = shop.control("GET", "ledger?sku=MUG-01")["stocks"][0]["physical"]
    order = shop.order(("MUG-01", 2))
    shop.rest("POST", f"/order/{order['entity_id']}/invoice", {})
    listed = [order["items"][0]["item_id"]] if returned else []
    arguments = {"shipping_amount": 0, "extension_attributes": {"return_to_stock_items": listed}}
    shop.rest("POST", f"/order/{order['entity_id']}/refund", {"arguments": arguments})
    after = shop.control("GET", "ledger?sku=MUG-01")
    assert shop.rest("GET", f"/orders/{order['entity_id']}")["state"] == "closed"
    assert after["stocks"][0]["physical"] == physical - (0 if returned else 2)
    assert after["balanced"]


def test_a_refund_of_the_amount_alone_needs_a_positive_total(shop: Shop) -> None:
    order = shop.order(("MUG-01", 2))
    path, item = f"/order/{order['entity_id']}/refund", order["items"][0]["item_id"]
    shop.rest("POST", f"/order/{order['entity_id']}/invoice", {})
    nothing = {"items": [{"order_item_id": item, "qty": 0}], "arguments": {"shipping_amount": 0}}
    with pytest.raises(Refused, match="The credit memo's total must be positive"):
        shop.rest("POST", path, nothing)
    memo = shop.rest("POST", path, {**nothing, "arguments": {"shipping_amount": 0, "adjustment_positive": 5}})
    assert shop.rest("GET", f"/creditmemo/{memo}")["grand_total"] == 5
    assert shop.rest("GET", f"/orders/{order['entity_id']}")["items"][0]["qty_refunded"] == 0


def test_an_order_of_nothing_can_be_invoiced_and_refunded(shop: Shop) -> None:
    order = corrected(shop, quantity=2, price=0, row=0)
    path, lines = f"/order/{order['entity_id']}/refund", [order["items"][0]["item_id"]]
    returned = {"arguments": {"shipping_amount": 0, "extension_attributes": {"return_to_stock_items": lines}}}
    with pytest.raises(Refused, match="The most money available to refund is 0"):  # not invoiced: cancelled instead
        shop.rest("POST", path, returned)
    shop.rest("POST", f"/order/{order['entity_id']}/invoice", {})
    shop.rest("POST", path, returned)
    assert shop.rest("GET", f"/orders/{order['entity_id']}")["state"] == "closed"
    assert shop.control("GET", "ledger?sku=MUG-01")["balanced"]


def test_an_order_in_a_foreign_display_currency_keeps_base_amounts(shop: Shop) -> None:
    base = "/rest/tiktok_gb/V1"
    cart = shop.send("POST", f"{base}/carts/").json()
    item = {"cartItem": {"quote_id": cart, "sku": "MUG-01", "qty": 2}}
    assert shop.send("POST", f"{base}/carts/{cart}/items", item).json()["price"] == 10  # 12.50 USD at 0.8
    information = {"shipping_address": ADDRESS, "billing_address": ADDRESS, "shipping_carrier_code": "flatrate",
                   "shipping_method_code": "flatrate"}  # fmt: skip
    assert shop.send("POST", f"{base}/carts/{cart}/shipping-information", {"addressInformation": information}).status_code == 200
    placed = shop.send("PUT", f"{base}/carts/{cart}/order", {"paymentMethod": {"method": "checkmo"}}).json()
    order = shop.rest("GET", f"/orders/{placed}")
    assert (order["order_currency_code"], order["grand_total"], order["base_grand_total"]) == ("GBP", 28, 35)
    assert order["increment_id"] == "2000000001"
    invoice = shop.rest("GET", f"/invoices/{shop.rest('POST', f'/order/{placed}/invoice', {})}")
    assert (invoice["grand_total"], invoice["base_grand_total"]) == (28, 35)


def test_long_values_are_cut_and_emoji_become_question_marks(shop: Shop) -> None:
    order = shop.order(("MUG-01", 1))
    entity = {"entity_id": order["entity_id"], "increment_id": order["increment_id"], "ext_order_id": "9" * 40,
              "shipping_description": "Fast \U0001f69a"}  # fmt: skip
    shop.rest("POST", "/orders", {"entity": entity})
    read = shop.rest("GET", f"/orders/{order['entity_id']}")
    assert read["ext_order_id"] == "9" * 32
    assert read["shipping_description"] == "Fast ????"


def test_header_money_without_lines_leaves_a_wrong_invoice(shop: Shop) -> None:
    order = shop.order(("MUG-01", 2))
    shop.rest("POST", "/orders", {"entity": {"entity_id": order["entity_id"], "increment_id": order["increment_id"],
                                             "grand_total": 20, "base_grand_total": 20}})  # fmt: skip
    shop.rest("POST", f"/order/{order['entity_id']}/invoice", {})
    read = shop.rest("GET", f"/orders/{order['entity_id']}")
    assert (read["grand_total"], read["total_paid"]) == (20, 25)


def test_hold_keeps_everything_else_away(shop: Shop) -> None:
    order_id = shop.order(("MUG-01", 1))["entity_id"]
    shop.rest("POST", f"/orders/{order_id}/hold")
    assert shop.rest("POST", f"/orders/{order_id}/cancel") is False
    with pytest.raises(Refused, match="A shipment cannot be created when an order has a status of holded"):
        shop.ship(order_id, None, "wh_main")
    shop.rest("POST", f"/orders/{order_id}/unhold")
    assert shop.rest("GET", f"/orders/{order_id}/statuses") == "pending"


def test_from_2_4_7_a_comment_needs_a_status_of_the_state(shop: Shop) -> None:
    order_id = shop.order(("MUG-01", 1))["entity_id"]
    shop.control("POST", "settings", {"version": "2.4.7"})
    path = f"/orders/{order_id}/comments"
    with pytest.raises(Refused, match="is not part of the order status history"):
        shop.rest("POST", path, {"statusHistory": {"comment": "x", "status": "complete"}})
    assert shop.rest("POST", path, {"statusHistory": {"comment": "x", "status": "pending"}}) is True


def test_emails_are_logged_and_a_direct_order_sends_none(shop: Shop) -> None:
    shop.order(("MUG-01", 1))
    assert [mail["kind"] for mail in shop.control("GET", "emails")] == ["order"]
    shop.control("POST", "settings", {"emails": False})
    shop.order(("MUG-01", 1))
    assert len(shop.control("GET", "emails")) == 1


def test_the_merchant_ships_in_the_admin(shop: Shop) -> None:
    order = shop.order(("MUG-01", 2))
    track = {"track_number": "1Z", "title": "UPS", "carrier_code": "ups"}
    made = shop.control("POST", f"orders/{order['entity_id']}/ship", {"tracks": [track]})
    late = shop.control("POST", f"shipments/{made['shipment_id']}/tracks", {**track, "track_number": "2Z"})
    assert late["track_id"]
    found = shop.find("/shipments", "order_id", order["entity_id"])["items"]
    assert [t["track_number"] for t in found[0]["tracks"]] == ["1Z", "2Z"]
    assert found[0]["extension_attributes"]["source_code"] == "wh_main"


def test_the_merchant_makes_credit_memos_in_the_admin_that_a_connector_can_collect(shop: Shop) -> None:
    """A236: with and without return to stock, found by updated_at, created_at and entity_id (MAG §4.6.3)."""
    order = shop.order(("MUG-01", 3))
    shop.rest("POST", f"/order/{order['entity_id']}/invoice", {})
    shop.ship(order["entity_id"], None, "wh_main")
    before = shop.salable("MUG-01")
    path = f"orders/{order['entity_id']}/refund"
    gone = shop.control("POST", path, {"items": [{"sku": "MUG-01", "qty": 1}], "shipping_amount": 0})["creditmemo_id"]
    assert shop.salable("MUG-01") == before
    back = shop.control("POST", path, {"items": [{"sku": "MUG-01", "qty": 2}], "return_to_stock": True})["creditmemo_id"]
    assert shop.salable("MUG-01") == before + 2
    assert shop.control("GET", "ledger")["balanced"]
    memo = shop.rest("GET", f"/creditmemo/{back}")
    assert [(item["sku"], item["qty"]) for item in memo["items"]] == [("MUG-01", 2)]
    assert [each["entity_id"] for each in shop.find("/creditmemos", "entity_id", gone, "gt")["items"]] == [back]
    for column in ("created_at", "updated_at"):
        assert {each["entity_id"] for each in shop.find("/creditmemos", column, order["created_at"], "gteq")["items"]} == {gone, back}
        assert shop.find("/creditmemos", column, "2099-01-01 00:00:00", "gteq")["items"] == []
    with pytest.raises(Refused, match="closed"):
        shop.control("POST", path, {"return_to_stock": True})


def test_the_shipping_address_of_an_order_is_replaced(shop: Shop) -> None:
    order = shop.order(("MUG-01", 1))
    address = order["extension_attributes"]["shipping_assignments"][0]["shipping"]["address"]
    entity = {**{name: address[name] for name in ("entity_id", "parent_id", "address_type", "country_id", "firstname", "lastname", "postcode", "telephone",
                                                  "email", "region", "region_id", "region_code")}, "street": ["1 New Road"], "city": "Dallas"}  # fmt: skip
    shop.rest("PUT", f"/orders/{order['entity_id']}", {"entity": entity})
    read = shop.rest("GET", f"/orders/{order['entity_id']}")["extension_attributes"]["shipping_assignments"][0]["shipping"]["address"]
    assert (read["street"], read["city"], read["lastname"]) == (["1 New Road"], "Dallas", address["lastname"])


def test_a_configurable_line_ships_by_its_parent_and_reserves_the_child(shop: Shop) -> None:
    options = shop.rest("GET", "/configurable-products/TEE/options/all")
    chosen = [{"option_id": o["attribute_id"], "option_value": o["values"][0]["value_index"]} for o in options]
    cart = shop.cart(("MUG-01", 1))
    item = {"quote_id": cart, "sku": "TEE", "qty": 2,
            "product_option": {"extension_attributes": {"configurable_item_options": chosen}}}  # fmt: skip
    child = shop.rest("POST", f"/carts/{cart}/items", {"cartItem": item})["sku"]
    before = shop.salable(child)
    order_id = shop.place(cart)
    assert shop.salable(child) == before - 2
    shop.rest("POST", f"/order/{order_id}/invoice", {})
    shop.ship(order_id, None, "wh_main")
    read = shop.rest("GET", f"/orders/{order_id}")
    assert read["state"] == "complete"
    assert [i["qty_shipped"] for i in read["items"]] == [1, 2, 2]
    assert shop.control("GET", "ledger")["balanced"]
