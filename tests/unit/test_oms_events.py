"""What an OMS may say of an order, and what it is told when it says it wrongly (A253-A255, A265)."""

from __future__ import annotations

from typing import Any

import pytest

from connector.domain import oms_events
from connector.domain.oms_events import BadEntry, cancel_reason, event_id, read, safe_id, units
from connector.domain.rejection import OUT_OF_STOCK, PRICING_ERROR, UNABLE_TO_DELIVER

ORDER = "576460000000000001"
SHIPPED: dict[str, Any] = {"id": "e1", "type": "shipped", "order_id": ORDER, "tracking_number": "AB123456789GB", "carrier": "Royal Mail"}
CANCELLED: dict[str, Any] = {"type": "cancelled", "order_id": ORDER, "reason": "out_of_stock"}
ITEM = {"sku": "MUG-01", "quantity": 2}


def test_an_entry_is_read_as_plain_values_without_empty_ones() -> None:
    said = {
        **SHIPPED,
        "tracking_number": " ab 123456789 gb ",
        "carrier": "Royal\n Mail",
        "occurred_at": "2026-11-22T12:00:00+02:00",
        "items": [ITEM],
        "colour": "red",
    }
    assert read(said) == {**SHIPPED, "tracking_number": "ab123456789gb", "occurred_at": "2026-11-22T10:00:00Z", "items": [ITEM]}
    assert read({**CANCELLED, "order_id": f" {ORDER} "}) == {**CANCELLED, "id": ""}
    assert read({"type": "cancellation_answered", "order_id": ORDER, "accept": False, "reason": "packed"})["accept"] is False
    assert read({"type": "goods_received", "order_id": ORDER}) == {"id": "", "type": "goods_received", "order_id": ORDER, "return_id": ""}
    assert read({"type": "delivered", "order_id": ORDER}) == {"id": "", "type": "delivered", "order_id": ORDER}


@pytest.mark.parametrize(
    ("entry", "field", "words", "remedy"),
    [
        ("shipped", "", "no JSON object", "Send an object"),
        ({"order_id": ORDER}, "type", "type: The type of the update is missing.", "Add it: one of shipped, cancelled"),
        ({"type": "exploded", "order_id": ORDER}, "type", "type: It is no type of update.", "Use one of: shipped, cancelled"),
        ({"type": "delivered"}, "order_id", "order_id: It is missing.", "Add it."),
        ({"type": "delivered", "order_id": " "}, "order_id", "order_id: It is empty.", "Correct it"),
        ({"type": "delivered", "order_id": int(ORDER)}, "order_id", "numbers of this size lose digits", "Correct it"),
        ({"type": "delivered", "order_id": 5.5}, "order_id", "lose digits", "Correct it"),
        ({"type": "delivered", "order_id": True}, "order_id", "order_id: It is no text.", "Send it as text."),
        ({"type": "delivered", "order_id": "5764\x00"}, "order_id", "cannot be printed", "Correct it"),
        ({"type": "delivered", "order_id": "5" * 61}, "order_id", " 60 ", "Shorten it."),
        ({**SHIPPED, "id": "e" * 101}, "id", " 100 ", "Shorten it."),
        ({**SHIPPED, "tracking_number": "AB"}, "tracking_number", "not one that TikTok accepts", "Correct it"),
        ({**SHIPPED, "carrier": "\n"}, "carrier", "carrier: It is empty.", "Correct it"),
        ({**SHIPPED, "items": [ITEM, {"sku": "MUG-01", "quantity": 0}]}, "items.1.quantity", "less than 1", "Correct it"),
        ({**SHIPPED, "items": [{"sku": "MUG-01", "quantity": "2"}]}, "items.0.quantity", "It is no whole number.", "Correct it"),
        ({**SHIPPED, "items": [{"sku": "MUG-01", "quantity": 100_001}]}, "items.0.quantity", "more than 100", "Correct it"),
        ({**SHIPPED, "items": [ITEM] * 501}, "items", " 500 ", "Correct it"),
        ({**SHIPPED, "occurred_at": "2026-11-22T12:00:00"}, "occurred_at", "no instant with a time zone", "Correct it"),
        ({**SHIPPED, "occurred_at": "1999-12-31T23:59:59Z"}, "occurred_at", "no instant", "Correct it"),
        ({**SHIPPED, "occurred_at": "9001-01-01T00:00:00Z"}, "occurred_at", "no instant", "Correct it"),
        ({**SHIPPED, "occurred_at": "yesterday"}, "occurred_at", "no instant", "Correct it"),
        ({**CANCELLED, "reason": "we are tired"}, "reason", "No reason of TikTok's", "Correct it"),
        ({"type": "cancellation_answered", "order_id": ORDER, "accept": "yes"}, "accept", "neither true nor false", "Send true or false."),
    ],
)
def test_a_wrong_entry_names_its_field_the_reason_and_the_remedy(entry: object, field: str, words: str, remedy: str) -> None:
    with pytest.raises(BadEntry) as refused:
        read(entry)
    assert refused.value.field == field
    assert words in refused.value.message and ".." not in refused.value.message
    assert remedy in refused.value.remedy


def test_as_much_as_is_allowed_is_taken() -> None:
    assert (
        read({**SHIPPED, "id": "e" * 100, "order_id": "5" * 60, "items": [{"sku": "MUG-01", "quantity": 100_000}] * 500})["items"][499]["quantity"] == 100_000
    )
    for year in (2000, 9000):
        assert read({**SHIPPED, "occurred_at": f"{year}-06-01T00:00:00Z"})["occurred_at"] == f"{year}-06-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("OUT_OF_STOCK", OUT_OF_STOCK), ("Sold out", OUT_OF_STOCK), ("back-order", OUT_OF_STOCK), ("Inventory is wrong", OUT_OF_STOCK),
        ("pricing_error", PRICING_ERROR), ("wrong price", PRICING_ERROR), ("unable_to_deliver", UNABLE_TO_DELIVER), ("No such address", UNABLE_TO_DELIVER),
        ("lost by the courier", UNABLE_TO_DELIVER), ("changed my mind", None), ("", None),
    ],
)  # fmt: skip
def test_words_that_mean_a_reason_of_tiktoks_are_understood(text: str, reason: str | None) -> None:
    assert cancel_reason(text) == reason


def test_an_entry_without_an_id_is_known_by_what_it_says() -> None:
    """A265: sent again, it has no second effect."""
    nameless = {**SHIPPED, "id": ""}
    assert event_id(SHIPPED) == "e1"
    assert event_id(nameless) == event_id({name: value for name, value in reversed(SHIPPED.items()) if name != "id"})
    assert event_id(nameless).startswith("sha256:") and len(event_id(nameless)) == 47
    assert event_id(nameless) != event_id({**nameless, "tracking_number": "AB123456780GB"})
    assert oms_events.digest("ä") == oms_events.digest("ä") != oms_events.digest("a")


def test_units_of_one_sku_add_up_and_nothing_named_means_everything() -> None:
    assert units([ITEM, {"sku": "CAP-01", "quantity": 1}, ITEM]) == {"MUG-01": 4, "CAP-01": 1}
    assert units([]) == units(None) == {}


def test_an_answer_repeats_an_id_in_characters_that_fit_into_it() -> None:
    assert safe_id("a b~\n\x7fé") == "a b~???"
    assert safe_id("x" * 101) == "x" * 100
    assert safe_id(5) == ""
