"""The gates before creation, one row a verdict (product.md 6; A101-A106, A114, A182; A20 contradictions 13-16)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal as D
from typing import Any

import pytest

from connector.domain.gates import CHECKS, decide
from connector.domain.money import Charges, Unit, check_parity
from connector.domain.order_facts import Facts, Product, Wanted
from connector.domain.order_policy import CarrierRow, OrderPolicy

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
MUG = Product("MUG-01", "60", "Mug", salable=D(10))
UNITS = [Unit("1", "MUG-01", D("12.50"))]
GOOD = check_parity(UNITS, Charges.of({"currency": "USD", "total_amount": "12.50"}))
BAD = check_parity(UNITS, Charges.of({"currency": "USD", "total_amount": "12.40"}))
SAFE = {"environment": "staging", "storefrontProtection": True, "paymentCapture": False, "confirmationEmails": False}
POLICY = OrderPolicy(carrier_mapping=(CarrierRow(magento_carrier="ups", tiktok_carrier="UPS"),))


def facts(**changes: Any) -> Facts:
    policy = changes.pop("policy", POLICY)
    if isinstance(policy, dict):
        policy = POLICY.model_copy(update=policy)
    base = Facts(
        number="576460000000000001", remote_status="AWAITING_SHIPMENT", now=NOW, account="Shop GB", policy=policy, policy_title="Orders",
        wanted=(Wanted("MUG-01", 1, MUG, "sku", "Mug"),), buyer_id="7021", parity=GOOD, currency="USD", base_currency="USD",
    )  # fmt: skip
    return replace(base, **changes)


def test_an_order_in_order_passes_every_check_in_the_order_of_the_specification() -> None:
    verdict = decide(facts())
    assert verdict.allowed and verdict.failing is None
    assert (verdict.writer, verdict.customer, verdict.warnings) == ("checkout", "guest", ())
    assert [check.check for check in verdict.checks] == [
        "Not created yet", "Account active and authorised", "Order policy valid and creation on", "Status reached", "Hold over",
        "Not cancelled, no open cancellation request", "Every line matched to a Magento product", "Products enabled and in stock", "Address complete",
        "Customer resolved", "Amounts agree to the cent",
    ]  # fmt: skip
    assert len(CHECKS) == len(verdict.checks)


SHORT = (Wanted("MUG-01", 11, MUG, "sku"),)
DISABLED = (Wanted("MUG-01", 1, replace(MUG, enabled=False), "sku"),)
UNKNOWN = (Wanted("NOPE", 1, None, "", "Nothing"),)

REFUSALS: list[tuple[str, dict[str, Any], str, str, str]] = [
    ("created already", {"magento_number": "000000012"}, "order.already_created", "created", "000000012"),
    ("account disabled", {"account_active": False}, "account.disabled", "ready", "Shop GB"),
    ("authorisation expired", {"connected": False, "auth_state": "expired"}, "account.unauthorised", "ready", "expired"),
    ("no store", {"has_store": False}, "magento.none", "failed", "no Magento store"),
    ("no policy", {"policy": None}, "policy.missing", "failed", "no order policy"),
    ("invalid policy", {"policy_problems": [{"message": "Carrier Mapping has no row.", "remedy": "Map one."}]}, "policy.invalid", "failed", "Carrier Mapping"),
    ("creation off", {"policy": {"create_in_magento": False}}, "policy.creation_off", "stored", "does not create"),
    ("unpaid", {"remote_status": "UNPAID"}, "status.not_reached", "stored", "Unpaid"),
    ("below the policy's status", {"policy": {"create_when": "IN_TRANSIT"}}, "status.not_reached", "stored", "In Transit"),
    (
        "partly shipped is below collection",
        {"remote_status": "PARTIALLY_SHIPPING", "policy": {"create_when": "AWAITING_COLLECTION"}},
        "status.not_reached",
        "stored",
        "Partially",
    ),
    ("a status nobody documented", {"remote_status": "TELEPORTED"}, "status.unknown", "failed", "TELEPORTED"),
    ("on hold", {"remote_status": "ON_HOLD", "has_address": False}, "status.not_reached", "held", "On Hold"),
    ("cancelled", {"remote_status": "CANCELLED"}, "order.cancelled", "cancelled", "cancelled on TikTok"),
    ("buyer asks to cancel", {"cancel_requested": True}, "order.cancel_requested", "ready", "asked to cancel"),
    ("every line cancelled", {"wanted": ()}, "order.no_lines", "cancelled", "Every line"),
    ("no seller SKU", {"wanted": (Wanted("", 1, None, "", "Mug"),)}, "mapping.sku_missing", "skipped", "Mug"),
    ("unknown SKU", {"wanted": UNKNOWN}, "mapping.sku_unknown", "skipped", "NOPE"),
    (
        "composite product",
        {"wanted": (Wanted("TEE", 1, replace(MUG, sku="TEE", type_id="configurable"), "sku"),)},
        "product.composite",
        "skipped",
        "configurable",
    ),
    ("disabled", {"wanted": DISABLED}, "product.disabled", "skipped", "MUG-01 is disabled"),
    ("out of stock", {"wanted": SHORT}, "stock.short", "skipped", "not enough stock of MUG-01"),
    (
        "two seller SKUs share the last units",
        {"wanted": (Wanted("A", 6, MUG, "sku"), Wanted("B", 6, MUG, "remembered mapping"))},
        "stock.short",
        "skipped",
        "MUG-01",
    ),
    ("not salable", {"wanted": (Wanted("MUG-01", 1, replace(MUG, is_salable=False), "sku"),)}, "stock.short", "skipped", "MUG-01"),
    ("no policy, and nothing fits", {"policy": None, "wanted": (*SHORT, *UNKNOWN)}, "policy.missing", "failed", "no order policy"),
    ("authorisation refused, in words", {"connected": False, "auth_message": "Seller left."}, "account.unauthorised", "ready", "(connected). Seller left."),
    ("no address", {"has_address": False}, "address.missing", "failed", "no recipient address"),
    ("address without a city", {"address_missing": ("city",)}, "address.incomplete", "failed", "no city"),
    ("no fixed customer", {"policy": {"customer_mode": "same"}}, "customer.none", "failed", "fixed customer"),
    ("amounts differ", {"parity": BAD}, "money.mismatch", "failed", "a difference of -0.10"),
    ("no rate", {"rate": None, "currency": "GBP"}, "money.no_rate", "failed", "GBP"),
    (
        "by hand, but for the books of cancelled orders",
        {"by_hand": True, "policy": {"create_when": "CANCELLED"}},
        "status.not_reached",
        "stored",
        "created from Cancelled on",
    ),
    ("external storefront: created already", {"external": True, "magento_number": "EX-7"}, "order.already_created", "created", "in the external storefront"),
    ("external storefront: none connected", {"external": True, "has_store": False}, "storefront.none", "failed", "no external storefront yet"),
    ("external storefront: not asked yet", {"external": True, "sandbox": True}, "storefront.unsafe", "failed", "has not told"),
    (
        "external storefront: takes money",
        {"external": True, "sandbox": True, "environment": {**SAFE, "paymentCapture": True}},
        "storefront.unsafe",
        "failed",
        "Payment capture is on",
    ),
    ("external storefront: no seller SKU", {"external": True, "wanted": (Wanted("", 1, None, "", "Mug"),)}, "mapping.sku_missing", "skipped", "Mug"),
    ("external storefront: every line cancelled", {"external": True, "wanted": ()}, "order.no_lines", "cancelled", "Every line"),
]


@pytest.mark.parametrize(("changes", "code", "outcome", "words"), [row[1:] for row in REFUSALS], ids=[row[0] for row in REFUSALS])
def test_the_first_failing_check_has_a_code_an_outcome_words_and_a_remedy(changes: dict[str, Any], code: str, outcome: str, words: str) -> None:
    verdict = decide(facts(**changes))
    failing = verdict.failing
    assert failing is not None and not verdict.allowed
    assert (failing.code, failing.outcome) == (code, outcome)
    assert words in failing.message
    assert failing.remedy
    stored = failing.as_dict()
    assert set(stored) == {"check", "ok", "facts", "message", "remedy", "code", "outcome"}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"remote_status": "DELIVERED"}, "passed counts as reached (contradiction 15)"),
        ({"remote_status": "PARTIALLY_SHIPPING"}, "partly shipped has passed Awaiting Shipment"),
        ({"by_hand": True, "policy": {"create_in_magento": False}}, "asked for by hand"),
        ({"by_hand": True, "policy": {"create_when": "DELIVERED"}}, "by hand the order need not have come that far"),
        ({"remote_status": "CANCELLED", "policy": {"create_when": "CANCELLED"}}, "a valid choice of the list (contradiction 14)"),
        ({"wanted": SHORT, "policy": {"create_for_unavailable": True}}, "A106 Yes"),
        ({"wanted": DISABLED, "policy": {"create_for_unavailable": True}}, "A106 Yes"),
        ({"wanted": UNKNOWN, "policy": {"if_product_missing": "create_product"}}, "A105 Create Product and Order"),
        ({"wanted": (Wanted("MUG-01", 999, replace(MUG, salable=None), "sku"),)}, "stock not managed is without limit"),
        ({"address_masked": True}, "a masked address is no reason to refuse"),
        ({"wanted": (Wanted("MUG-01", 10, MUG, "sku"),)}, "the last units may be sold"),
        ({"policy": {"customer_mode": "same", "same_customer_id": 5}}, "one fixed customer, who is named"),
        ({"external": True, "wanted": UNKNOWN}, "the external storefront knows its products by itself (A245)"),
        ({"external": True, "sandbox": True, "environment": SAFE}, "a test storefront that is safe (A247-A249)"),
        ({"external": True, "environment": {**SAFE, "environment": "production", "paymentCapture": True}}, "a Production account does real business"),
    ],
)
def test_what_the_policy_allows_is_allowed(changes: dict[str, Any], why: str) -> None:
    verdict = decide(facts(**changes))
    assert verdict.allowed, (why, verdict.failing)


def test_a_hold_is_refused_even_when_asked_for_by_hand() -> None:
    verdict = decide(facts(remote_status="ON_HOLD", by_hand=True, hold_until=NOW.replace(hour=12, minute=40)))
    assert verdict.failing is not None and verdict.failing.outcome == "held"
    hold = next(check for check in verdict.checks if check.check == "Hold over")
    assert (hold.ok, hold.code, hold.outcome, hold.message) == (False, "order.on_hold", "held", "The buyer may still cancel freely until 12:40 UTC.")
    assert verdict.as_list()[3:5] == [verdict.checks[3].as_dict(), hold.as_dict()]


def test_the_page_says_why_a_check_was_passed() -> None:
    def said(name: str, **changes: Any) -> str:
        return next(check.message for check in decide(facts(**changes)).checks if check.check == name)

    books = {"remote_status": "CANCELLED", "policy": {"create_when": "CANCELLED"}}
    assert said("Not cancelled, no open cancellation request", **books).startswith("Cancelled; the policy creates cancelled orders")
    assert said("Not cancelled, no open cancellation request") == "Not cancelled."
    matched = "Every line matched to a Magento product"
    assert said(matched) == "1 of 1 matched."
    assert said(matched, wanted=UNKNOWN, policy={"if_product_missing": "create_product"}) == "NOPE: a placeholder product is created, as the policy says."
    many = tuple(replace(UNKNOWN[0], seller_sku=sku) for sku in ("A", "B", "C", "D", "A"))
    assert said(matched, wanted=many) == "Magento has no product for A, B and 2 more."
    assert said(matched, wanted=many[:3]) == "Magento has no product for A, B and C."
    assert said("Not created yet") == "No Magento order is known for it."
    assert said("Not created yet", external=True) == "No order of the external storefront is known for it."
    policy = "Order policy valid and creation on"
    assert (said(policy), said(policy, by_hand=True)) == ("Orders creates orders.", "Asked for by hand.")
    assert said("Hold over", remote_status="ON_HOLD") == "The buyer may still cancel freely."
    assert said("Address complete") == "Complete."
    assert said("Address complete", address_masked=True).startswith("Masked by TikTok")
    assert decide(facts(policy_problems=[{"message": "?"}])).failing.remedy == "Complete the policy."
    assert decide(facts(policy_problems=[{"message": "?", "remedy": "Map one."}])).failing.remedy == "Map one."
    assert said("Storefront safe for tests", external=True).startswith("A Production account")
    assert said("Storefront safe for tests", external=True, sandbox=True, environment=SAFE).startswith("Protected, captures no payment")


def test_an_external_storefront_matches_and_counts_by_itself() -> None:
    """A243-A245: no check of Magento's products, stock or customers."""
    verdict = decide(facts(external=True))
    assert (verdict.allowed, verdict.writer) == (True, "external")
    assert [check.check for check in verdict.checks] == [
        "Not created yet", "Account active and authorised", "Storefront safe for tests", "Order policy valid and creation on", "Status reached", "Hold over",
        "Not cancelled, no open cancellation request", "Every line has a SKU", "Address complete", "Amounts agree to the cent",
    ]  # fmt: skip


def test_an_unavailable_product_is_written_without_a_cart_and_with_a_warning() -> None:
    verdict = decide(facts(wanted=SHORT, policy={"create_for_unavailable": True}))
    assert verdict.writer == "direct"
    assert "MUG-01" in verdict.warnings[0] and "no stock is reserved" in verdict.warnings[0]
    disabled = decide(facts(wanted=DISABLED, policy={"create_for_unavailable": True}))
    assert (disabled.writer, disabled.warnings[0][:40]) == ("direct", "Written without a cart because MUG-01 co")
    available = next(check for check in disabled.checks if check.check == "Products enabled and in stock")
    assert available.message == "MUG-01: not available, but the policy creates the order all the same."
    assert available.facts == {"MUG-01": {"enabled": False, "salable": "10", "wanted": 1}}
    chosen = decide(facts(policy={"writer": "direct"}))
    assert (chosen.writer, chosen.warnings) == ("direct", ())


def test_an_order_from_tiktoks_warehouse_takes_no_stock_and_is_written_without_a_cart() -> None:
    verdict = decide(facts(wanted=SHORT, fulfilled_by_tiktok=True))
    assert verdict.allowed and (verdict.writer, verdict.warnings) == ("direct", ())


def test_masked_data_never_makes_a_real_customer() -> None:
    assert decide(facts(policy={"customer_mode": "real"})).customer == "real"
    assert decide(facts(policy={"customer_mode": "real"}, address_masked=True)).customer == "guest"
    assert decide(facts(policy={"customer_mode": "real"}, buyer_id="")).customer == "guest"
    assert decide(facts(policy={"customer_mode": "real"}, has_address=False)).customer == "guest"
    fixed = {"customer_mode": "same", "same_customer_id": 5}
    assert decide(facts(policy=fixed, address_masked=True, buyer_id="")).customer == "same"


def test_unknown_products_to_create_are_named() -> None:
    assert decide(facts(wanted=UNKNOWN, policy={"if_product_missing": "create_product"})).create_products == ("NOPE",)
    known_and_not = (Wanted("MUG-01", 1, MUG, "sku", "Mug"), *UNKNOWN, Wanted("", 1, None, "", "Nameless"))
    assert decide(facts(wanted=known_and_not, policy={"if_product_missing": "create_product"})).create_products == ("NOPE",)
    assert decide(facts(wanted=known_and_not)).create_products == ()
