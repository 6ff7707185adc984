"""What CreateExternalOrder and PATCH Order may carry."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from .problems import Problem

Doc = dict[str, Any]
METHOD = "SOCIAL_PAY"
CHANNEL = "TIKTOK_SHOP"


def checked_order(given: Any, *, may_capture: bool) -> Doc:
    """The order as it will be kept, or Problem 400 (no object) or 422 that names every field that is wrong."""
    if not isinstance(given, dict):
        raise Problem(400, "The body must be a JSON object.")
    errors: list[Doc] = []

    def need(fine: bool, field: str, message: str) -> None:
        if not fine:
            errors.append({"field": field, "message": message})

    external_id, payment, items = given.get("externalOrderId"), given.get("payment"), given.get("items")
    need(isinstance(external_id, str) and 0 < len(external_id) <= 100, "externalOrderId", "must be a text of 1 to 100 characters")
    need(given.get("externalChannel") == CHANNEL, "externalChannel", f"must be {CHANNEL}")
    need(given.get("c_externalOrderStatus") == "New", "c_externalOrderStatus", "an order is born as New")
    need(isinstance(given.get("customer"), dict), "customer", "must be an object")
    need(isinstance(given.get("shippingAddress"), dict), "shippingAddress", "must be an object")
    for name in ("shipping", "tax", "total"):
        need(money(given.get(name)) is not None, name, "must be an amount")
    if isinstance(payment, dict):
        need(payment.get("method") == METHOD, "payment.method", f"must be {METHOD}")
        need(isinstance(payment.get("currency"), str) and len(payment["currency"]) == 3, "payment.currency", "must be a currency code")
        need(isinstance(payment.get("captured"), bool), "payment.captured", "must be true or false")
        need(money(payment.get("amount")) is not None, "payment.amount", "must be an amount")
        need(money(payment.get("amount")) == money(given.get("total")), "payment.amount", "must be the total of the order")
        need(may_capture or not payment.get("captured"), "payment.captured", "payment capture is off in this store")
    else:
        need(False, "payment", "must be an object")
    need(isinstance(given.get("notify", False), bool), "notify", "must be true or false")
    if not isinstance(items, list) or not items:
        need(False, "items", "must be a list of at least one line")
        items = []
    for at, item in enumerate(items):
        if not isinstance(item, dict):
            need(False, f"items[{at}]", "must be an object")
            continue
        quantity = item.get("quantity")
        need(isinstance(item.get("sku"), str) and bool(item["sku"]), f"items[{at}].sku", "must be a text")
        need(isinstance(quantity, int) and not isinstance(quantity, bool) and quantity > 0, f"items[{at}].quantity", "must be a whole number above 0")
        need(isinstance(item.get("externalLineIds", []), list), f"items[{at}].externalLineIds", "must be a list")
        for name in ("unitPrice", "tax", "discount"):
            need(money(item.get(name, "0")) is not None, f"items[{at}].{name}", "must be an amount")
    if errors:
        raise Problem(422, "The order is not valid: " + "; ".join(f"{error['field']} {error['message']}" for error in errors) + ".", errors=errors)
    kept = [{"externalLineIds": [], **item, "itemId": str(number), "shippedQuantity": 0, "cancelledQuantity": 0} for number, item in enumerate(items, start=1)]
    return {"notify": False, **given, "items": kept}


def checked_address(given: Any) -> Doc:
    if not isinstance(given, dict) or not given:
        raise Problem(422, "shippingAddress must be an object.")
    return given


def money(value: Any) -> Decimal | None:
    """An amount as text or number, or None."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None
