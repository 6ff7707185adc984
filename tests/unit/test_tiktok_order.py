"""Reading one TikTok order (TTS §5.4.5, §6.1): fields, money, deadlines, the ladder, masks, and what is refused."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from connector.domain import tiktok_order as tiktok
from connector.domain.tiktok_order import BadOrder, buyer_words, read_order

PAID = 1767222010
ORDER: dict[str, Any] = {
    "id": "576460000000000001", "status": "AWAITING_SHIPMENT", "create_time": 1767222000, "paid_time": PAID, "update_time": 1767225610,
    "shipping_type": "SELLER", "fulfillment_type": "FULFILLMENT_BY_SELLER", "delivery_option_id": "7091000000000000001",
    "delivery_option_name": "Standard shipping", "warehouse_id": "7068000000000000001", "user_id": "7021000000000000001",
    "buyer_email": "a1B2c3@chat.seller.tiktok.com", "rts_sla_time": 1767398400, "shipping_due_time": 1767657600,
    "payment": {
        "currency": "GBP", "original_total_product_price": "40.00", "seller_discount": "4.00", "platform_discount": "2.00",
        "sub_total": "34.00", "original_shipping_fee": "3.49", "shipping_fee": "3.49", "tax": "0", "total_amount": "37.49",
    },
    "recipient_address": {
        "name": "Ann Example", "first_name": "Ann", "last_name": "Example", "phone_number": "(+44)7700900123", "region_code": "GB",
        "postal_code": "AB1 2CD", "address_line1": "1 Sample Street", "post_town": "Sampleton",
    },
    "line_items": [
        {
            "id": number, "sku_id": "1729000000000000002", "seller_sku": "MUG-GREEN", "product_id": "1729000000000000001",
            "product_name": "Example mug", "sku_name": "Green", "original_price": "20.00", "sale_price": "17.00", "seller_discount": "2.00",
            "platform_discount": "1.00", "currency": "GBP", "display_status": "AWAITING_SHIPMENT",
        }
        for number in ("576460000000000011", "576460000000000012")
    ],
}  # fmt: skip


def order(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(ORDER), **changes}


def at(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def test_the_contracts_example_is_read_field_by_field():
    snapshot = read_order(order())
    assert (snapshot.number, snapshot.remote_status, snapshot.currency, snapshot.total) == ("576460000000000001", "AWAITING_SHIPMENT", "GBP", Decimal("37.49"))
    assert (snapshot.placed_at, snapshot.paid_at, snapshot.remote_updated_at) == (at(1767222000), at(PAID), at(1767225610))
    assert snapshot.ship_by_at == at(1767398400)
    assert snapshot.cancel_by_at == at(1767657600)
    assert snapshot.buyer_id == "7021000000000000001"
    assert snapshot.item_count == 2
    assert snapshot.units == {"MUG-GREEN": 2}
    first = snapshot.lines[0]
    assert (first.sale_price, first.original_price, first.seller_discount, first.platform_discount) == tuple(map(Decimal, ("17.00", "20.00", "2.00", "1.00")))
    assert first.variant == "Green"


def test_money_is_exact_and_a_float_is_refused():
    payload = order()
    payload["line_items"][0]["sale_price"] = 17.1
    with pytest.raises(BadOrder, match=r"line_items\[0\]\.sale_price"):
        read_order(payload)
    payload["line_items"][0]["sale_price"] = "0.10"
    payload["line_items"][1]["sale_price"] = "0.20"
    assert sum(line.sale_price for line in read_order(payload).lines) == Decimal("0.30")


def test_taxes_of_a_line_are_summed():
    payload = order()
    payload["line_items"][0]["item_tax"] = [{"tax_type": "SALES_TAX", "tax_amount": "1.11", "tax_rate": "0.06"}, {"tax_type": "COUNTY", "tax_amount": "0.02"}]
    assert [line.tax for line in read_order(payload).lines] == [Decimal("1.13"), Decimal(0)]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": None}, "id"),
        ({"id": "1" * 41}, "id"),
        ({"status": ""}, "status"),
        ({"create_time": 0}, "create_time"),
        ({"create_time": "yesterday"}, "create_time"),
        ({"update_time": 10**20}, "update_time"),
        ({"payment": None}, "payment"),
        ({"payment": {"currency": "GBP"}}, "payment.total_amount"),
        ({"payment": {"currency": "GB", "total_amount": "1"}}, "payment.currency"),
        ({"payment": {"currency": "GBP", "total_amount": "1.23456"}}, "payment.total_amount"),
        ({"payment": {"currency": "GBP", "total_amount": "NaN"}}, "payment.total_amount"),
        ({"payment": {"currency": "GBP", "total_amount": "1e40"}}, "payment.total_amount"),
        ({"line_items": []}, "line_items"),
        ({"line_items": "none"}, "line_items"),
        ({"line_items": [7]}, "line_items[0]"),
        ({"line_items": [{"id": "1", "sale_price": "twelve"}]}, "line_items[0].sale_price"),
        ({"line_items": [{"id": "1", "sale_price": "1"}, {"id": "1", "sale_price": "1"}]}, "line_items[1].id"),
        ({"line_items": [{"id": "1", "sale_price": "1", "seller_sku": "x" * 121}]}, "line_items[0].seller_sku"),
        ({"recipient_address": "here"}, "recipient_address"),
    ],
)
def test_a_payload_that_cannot_be_trusted_names_the_field(change, field):
    with pytest.raises(BadOrder) as refused:
        read_order(order(**change))
    assert refused.value.field == field
    assert field in refused.value.message
    assert refused.value.remedy


def test_the_ladder_goes_up_and_cancelled_is_a_branch_of_its_own():
    """Product.md 6: status reached *or passed*; A229-A235."""
    assert tiktok.reached("IN_TRANSIT", "AWAITING_SHIPMENT")
    assert tiktok.reached("AWAITING_SHIPMENT", "AWAITING_SHIPMENT")
    assert not tiktok.reached("ON_HOLD", "AWAITING_SHIPMENT")
    assert not tiktok.reached("CANCELLED", "AWAITING_SHIPMENT")
    assert not tiktok.reached("COMPLETED", "CANCELLED")
    assert tiktok.reached("CANCELLED", "CANCELLED")


def test_partially_shipping_has_passed_awaiting_shipment_but_not_reached_awaiting_collection():
    assert tiktok.reached("PARTIALLY_SHIPPING", "AWAITING_SHIPMENT")
    assert not tiktok.reached("PARTIALLY_SHIPPING", "AWAITING_COLLECTION")
    assert not tiktok.is_shipped("PARTIALLY_SHIPPING")
    assert tiktok.is_shipped("AWAITING_COLLECTION")


def test_an_unknown_status_is_kept_verbatim_and_reaches_nothing():
    snapshot = read_order(order(status="TO_SHIP"))
    assert snapshot.remote_status == "TO_SHIP"
    assert tiktok.label("TO_SHIP") == "TO_SHIP"
    assert not tiktok.is_known("TO_SHIP")
    assert not tiktok.reached("TO_SHIP", "AWAITING_SHIPMENT")
    assert all(tiktok.is_known(status) for status in tiktok.STATUSES)


def test_an_order_on_hold_is_held_one_hour_from_payment_and_a_pre_order_until_its_release():
    assert read_order(order(status="ON_HOLD")).hold_until == at(PAID) + timedelta(hours=1)
    assert read_order(order(status="ON_HOLD", order_type="PRE_ORDER", release_date=1768000000)).hold_until == at(1768000000)
    assert read_order(order(status="AWAITING_SHIPMENT")).hold_until is None


def test_deadlines_are_tiktoks_own_fields_and_never_computed():
    assert read_order(order(rts_sla_time=None)).ship_by_at == at(1767657600)
    assert read_order(order(rts_sla_time=0, shipping_due_time=0)).ship_by_at is None
    assert read_order(order(status="AWAITING_COLLECTION", collection_due_time=1767700000)).cancel_by_at == at(1767700000)
    assert read_order(order(status="DELIVERED")).cancel_by_at is None


@pytest.mark.parametrize(
    ("name", "phone", "hidden"), [("Ann Example", "(+44)7700900123", False), ("A** E******", "(+44)77*****123", True), ("Ann", "***", True)]
)
def test_masked_addresses_are_recognised(name, phone, hidden):
    payload = order()
    payload["recipient_address"] |= {"name": name, "phone_number": phone}
    assert read_order(payload).address_masked is hidden


def test_an_order_without_address_is_read():
    """It is missing in UNPAID and ON_HOLD."""
    payload = order(status="UNPAID")
    del payload["recipient_address"]
    snapshot = read_order(payload)
    assert (snapshot.has_address, snapshot.address_masked, snapshot.buyer_name) == (False, False, "")


def test_cancelled_lines_hold_no_units_and_a_bundle_holds_its_parts():
    payload = order()
    payload["line_items"][0]["display_status"] = "CANCELLED"
    payload["line_items"][1]["combined_listing_skus"] = [{"seller_sku": "PLATE", "sku_count": 2}, {"seller_sku": "CUP", "sku_count": 1}]
    assert read_order(payload).units == {"PLATE": 2, "CUP": 1}


def test_long_texts_are_cut_and_nul_is_dropped_but_emoji_stays():
    payload = order()
    payload["line_items"][0] |= {"product_name": "Mug \U0001f98a\0" + "x" * 600, "sku_name": "Größe ß 测试"}
    line = read_order(payload).lines[0]
    assert line.name.startswith("Mug \U0001f98ax")
    assert len(line.name) == 500
    assert line.variant == "Größe ß 测试"


def test_a_buyers_cancel_request_and_who_cancelled_are_read():
    assert read_order(order(is_buyer_request_cancel=True)).cancel_requested
    snapshot = read_order(
        order(status="CANCELLED", is_buyer_request_cancel=True, cancel_reason="changed mind", cancellation_initiator="BUYER", cancel_time=1767300000)
    )
    assert (snapshot.cancel_requested, snapshot.cancel_reason, snapshot.cancelled_by, snapshot.cancelled_at) == (False, "changed mind", "BUYER", at(1767300000))


def test_buyers_are_found_by_words_whole_address_and_digits_but_not_by_what_is_masked():
    assert buyer_words("Ann  EXAMPLE", "A1@chat.example", "(+44)7700 900-123") == {"ann", "example", "a1@chat.example", "447700900123"}
    assert buyer_words("A** Example", "", "(+44)77****") == {"example"}
