"""Credit memos, offline: amounts from the invoiced lines, goods back to stock as asked (MAG §4.6.3)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from . import documents
from .checkout import next_increment
from .documents import children_of, share, top_lines, touch, validation
from .emails import log_email
from .errors import RestError
from .inventory import NotEnough, Stock, managed, move, reserve
from .numbers import ZERO, cents, dec, now, num
from .order_actions import add_history, set_state
from .orders import load_order, order_items, public
from .routing import Call, route
from .search_criteria import snake
from .storage import Doc, Tables

TECHNICAL = "Could not save a Creditmemo, see error log for details"
_SYMBOLS = {"USD": "$", "EUR": "€", "GBP": "£"}
# A line's money: the invoiced column, the refunded column, the column of the memo's line.
_MONEY = (
    ("row_invoiced", "amount_refunded", "row_total"),
    ("tax_invoiced", "tax_refunded", "tax_amount"),
    ("discount_invoiced", "discount_refunded", "discount_amount"),
    ("discount_tax_compensation_invoiced", "discount_tax_compensation_refunded", "discount_tax_compensation_amount"),
)


def open_to_refund(item: Doc) -> Decimal:
    return max(dec(item.get("qty_invoiced")) - dec(item.get("qty_refunded")), ZERO)


@route("POST", "/V1/order/:orderId/refund", "Magento_Sales::creditmemo")
def refund(call: Call, order_id: str) -> str:
    db = call.db
    order = load_order(db, order_id)
    items = order_items(db, order["entity_id"])
    lines = top_lines(items)
    arguments = {snake(k): v for k, v in (call.param("arguments", None) or {}).items()}
    extension = {snake(k): v for k, v in (arguments.get("extension_attributes") or {}).items()}
    back = {int(item) for item in extension.get("return_to_stock_items") or []}
    quantities = documents.quantities(call, lines, open_to_refund, "refund")
    if order.get("state") in ("payment_review", "holded", "canceled", "closed"):
        raise validation("Creditmemo", f"A creditmemo can not be created when an order has a status of {order.get('status')}")
    if any(line.get("_options_lost") for line in lines if line["item_id"] in quantities):
        raise RestError(400, TECHNICAL)
    document = _amounts(db, order, lines, quantities, arguments)
    _check_total(order, document)
    _write(db, order, lines, quantities, document)
    for line in lines:
        if line["item_id"] in quantities:
            try:
                _move_stock(db, order, line, quantities[line["item_id"]], line["item_id"] in back)
            except NotEnough:
                raise RestError(400, TECHNICAL) from None
            for child in children_of(items, line):
                child["qty_refunded"] = num(dec(child.get("qty_refunded")) + quantities[line["item_id"]])
                touch(db, child)
    memo_comments = documents.comments(call, "creditmemo_comment", document)
    document["comments"] = memo_comments
    db.put("creditmemo", document["entity_id"], document)
    if call.param("notify", False):
        log_email(db, "creditmemo", order)
    _settle(db, order, document)
    return str(document["entity_id"])


def _amounts(db: Tables, order: Doc, lines: list[Doc], quantities: dict[int, Decimal], arguments: Doc) -> Doc:
    """The memo's amounts, nothing written yet; an omitted shipping amount means all that is left (base currency)."""
    rate = dec(order.get("base_to_order_rate") or 1)
    document: Doc = {**documents.header(order), "state": 2, "items": []}
    if order.get("discount_description"):
        document["discount_description"] = order["discount_description"]
    left = dec(order.get("base_shipping_amount")) - dec(order.get("base_shipping_refunded"))
    given = arguments.get("shipping_amount")
    base_shipping = left if given is None else dec(given)
    if base_shipping > left:
        raise RestError(400, "Maximum shipping amount allowed to refund is: %1", [str(left)])
    full = dec(order.get("base_shipping_amount"))
    portion = base_shipping / full if full else ZERO
    for prefix in ("", "base_"):
        factor = Decimal(1) if prefix else rate
        whole = dec(order.get(f"{prefix}shipping_amount"))
        shipping = whole if portion == 1 else cents(base_shipping * factor)
        tax = share(
            order.get(f"{prefix}shipping_tax_amount"),
            order.get(f"{prefix}shipping_tax_refunded"),
            base_shipping,
            full,
            bool(base_shipping) and base_shipping == left,
        )
        sums = dict.fromkeys(("row", "incl", "tax", "discount", "compensation"), ZERO)
        for line in lines:
            quantity = quantities.get(line["item_id"])
            if not quantity:
                continue
            entry = _line_entry(document, line, quantity)
            parts = _line_parts(line, quantity, prefix)
            incl = cents(dec(line.get(f"{prefix}price_incl_tax")) * quantity)
            entry.update({f"{prefix}{name}": num(part) for (_, _, name), part in zip(_MONEY, parts, strict=True)})
            if not parts[2]:
                entry.pop(f"{prefix}discount_amount")
            entry.update(
                {
                    f"{prefix}row_total_incl_tax": num(incl),
                    f"{prefix}price": line.get(f"{prefix}price"),
                    f"{prefix}price_incl_tax": line.get(f"{prefix}price_incl_tax"),
                }
            )
            for key, part in zip(sums, (parts[0], incl, *parts[1:]), strict=True):
                sums[key] += part
        positive = dec(arguments.get("adjustment_positive")) * factor
        negative = dec(arguments.get("adjustment_negative")) * factor
        grand = sums["row"] - sums["discount"] + sums["tax"] + tax + sums["compensation"] + shipping + positive - negative
        incl_shipping = dec(order.get(f"{prefix}shipping_incl_tax")) if portion == 1 else shipping + tax
        document.update(
            {
                f"{prefix}adjustment": num(positive - negative),
                f"{prefix}adjustment_positive": num(positive),
                f"{prefix}adjustment_negative": num(negative),
                f"{prefix}discount_amount": num(-sums["discount"]),
                f"{prefix}grand_total": num(grand),
                f"{prefix}discount_tax_compensation_amount": num(sums["compensation"]),
                f"{prefix}shipping_amount": num(shipping),
                f"{prefix}shipping_incl_tax": num(incl_shipping),
                f"{prefix}shipping_tax_amount": num(tax),
                f"{prefix}subtotal": num(sums["row"]),
                f"{prefix}subtotal_incl_tax": num(sums["incl"]),
                f"{prefix}tax_amount": num(sums["tax"] + tax),
            }
        )
    return document


def _line_entry(document: Doc, line: Doc, quantity: Decimal) -> Doc:
    entry = next((e for e in document["items"] if e["order_item_id"] == line["item_id"]), None)
    if entry is None:
        entry = {
            "name": line.get("name"),
            "order_item_id": line["item_id"],
            "product_id": line.get("product_id"),
            "qty": num(quantity),
            "sku": line["sku"],
            "base_cost": line.get("base_cost"),
            "weee_tax_applied": "[]",
            "weee_tax_applied_row_amount": 0,
            "weee_tax_row_disposition": 0,
            "base_weee_tax_row_disposition": 0,
        }
        document["items"].append(entry)
    return entry


def _line_parts(line: Doc, quantity: Decimal, prefix: str) -> list[Decimal]:
    last = quantity == open_to_refund(line)
    invoiced = dec(line.get("qty_invoiced"))
    return [share(line.get(prefix + have), line.get(prefix + done), quantity, invoiced, last) for have, done, _ in _MONEY]


def _check_total(order: Doc, document: Doc) -> None:
    available = dec(order.get("base_total_paid")) - dec(order.get("base_total_refunded"))
    total = dec(document["base_grand_total"])
    if total > available or order.get("base_total_paid") is None:
        raise validation("Creditmemo", f"The most money available to refund is {num(available)}.")
    if total < 0 or (total == 0 and order.get("base_total_refunded") is None and dec(order.get("base_grand_total"))):
        raise validation("Creditmemo", "The credit memo's total must be positive.")


def _write(db: Tables, order: Doc, lines: list[Doc], quantities: dict[int, Decimal], document: Doc) -> None:
    document["increment_id"] = next_increment(db, order["store_id"], "creditmemo")
    db.add("creditmemo", document, "entity_id")
    for entry in document["items"]:
        entry.update(entity_id=db.next("creditmemo_item"), parent_id=document["entity_id"])
    for line in lines:
        quantity = quantities.get(line["item_id"])
        if quantity:
            for prefix in ("", "base_"):
                parts = _line_parts(line, quantity, prefix)
                for (_, done, _), part in zip(_MONEY, parts, strict=True):
                    line[prefix + done] = num(dec(line.get(prefix + done)) + part)
    for line in lines:
        if line["item_id"] in quantities:
            line["_refunded_before"] = line.get("qty_refunded") or 0
            line["qty_refunded"] = num(dec(line.get("qty_refunded")) + quantities[line["item_id"]])
    payment = order["_payment"]
    for prefix in ("", "base_"):
        counters = {
            "total_refunded": "grand_total",
            "total_offline_refunded": "grand_total",
            "subtotal_refunded": "subtotal",
            "tax_refunded": "tax_amount",
            "shipping_refunded": "shipping_amount",
            "shipping_tax_refunded": "shipping_tax_amount",
            "discount_refunded": "discount_amount",
            "adjustment_positive": "adjustment_positive",
            "adjustment_negative": "adjustment_negative",
            "discount_tax_compensation_refunded": "discount_tax_compensation_amount",
        }
        for name, column in counters.items():
            order[prefix + name] = num(dec(order.get(prefix + name)) + dec(document[prefix + column]))
        paid_back = dec(payment.get(f"{prefix}amount_refunded")) + dec(document[f"{prefix}grand_total"])
        payment[f"{prefix}amount_refunded"] = num(paid_back)
        sent_back = dec(payment.get(f"{prefix}shipping_refunded")) + dec(document[f"{prefix}shipping_amount"])
        payment[f"{prefix}shipping_refunded"] = num(sent_back)


def _move_stock(db: Tables, order: Doc, line: Doc, quantity: Decimal, returned: bool) -> None:
    """The table of MAG §4.3.1: units not shipped yet are refunded first."""
    before = dec(line.pop("_refunded_before"))
    delivered = dec(line.get("_delivered")) if line.get("is_virtual") else dec(line.get("qty_shipped"))
    unshipped = min(quantity, max(dec(line.get("qty_invoiced")) - delivered - before, ZERO))
    shipped = quantity - unshipped
    product_id = line.get("_child_product_id") or line.get("product_id")
    if not product_id:
        if returned:
            reserve(db, order["_stock_id"], line["sku"], quantity, "creditmemo_created", order.get("increment_id"))
    elif managed(db, {"product_id": product_id}):
        line["_refunded_unshipped"] = num(dec(line.get("_refunded_unshipped")) + unshipped)
        reserve(db, order["_stock_id"], line["sku"], unshipped, "creditmemo_created", order.get("increment_id"))
        if returned:
            _return_shipped(db, order, line, shipped)
        elif unshipped:
            _deduct_gone(db, order, line, unshipped)
    touch(db, line)


def _return_shipped(db: Tables, order: Doc, line: Doc, quantity: Decimal) -> None:
    """Shipped units go back to the sources they left from, oldest shipment first."""
    returned: dict[str, Any] = line.setdefault("_returned", {})
    per_source: dict[str, Decimal] = {}
    shipments = db.where("shipment", "json_extract(doc,'$.order_id') = ? ORDER BY id", order["entity_id"])
    for shipment in shipments:
        code = shipment["extension_attributes"]["source_code"]
        units = sum((dec(i["qty"]) for i in shipment["items"] if i["order_item_id"] == line["item_id"]), ZERO)
        per_source[code] = per_source.get(code, ZERO) + units
    for code, units in per_source.items():
        part = min(quantity, units - dec(returned.get(code)))
        if part > 0:
            move(db, code, line["sku"], part)
            returned[code] = num(dec(returned.get(code)) + part)
            quantity -= part


def _deduct_gone(db: Tables, order: Doc, line: Doc, quantity: Decimal) -> None:
    """Unshipped units that are not listed count as gone: deducted from the first source that has them."""
    stock = Stock(db, order["_stock_id"])
    linked = stock.linked(line["sku"])
    for code in stock.codes:
        if linked.get(code, (ZERO, 0))[0] >= quantity:
            move(db, code, line["sku"], -quantity)
            return
    raise NotEnough(line["sku"])


def _settle(db: Tables, order: Doc, document: Doc) -> None:
    symbol = _SYMBOLS.get(order.get("base_currency_code") or "", "")
    text = f"We refunded {symbol}{dec(document['base_grand_total']):,.2f} offline."
    everything = dec(order.get("total_paid")) - dec(order.get("total_refunded")) <= 0
    if everything and (
        order.get("total_paid") or not any(map(open_to_refund, top_lines(order_items(db, order["entity_id"]))))
    ):  # an order of nothing is closed by its units
        set_state(order, "closed")
    add_history(
        db,
        order,
        comment=text,
        entity_name="creditmemo",
        is_customer_notified=0,
        is_visible_on_front=0,
        status=order.get("status"),
    )
    order["customer_note_notify"] = 0
    order["updated_at"] = now()
    db.put("sales_order", order["entity_id"], order)


def _view(db: Tables, document: Doc) -> Doc:
    return public(document)


@route("GET", "/V1/creditmemos", "Magento_Sales::sales_creditmemo")
def list_creditmemos(call: Call) -> Doc:
    return documents.search(call, "creditmemo", _view)


@route("GET", "/V1/creditmemo/:id", "Magento_Sales::sales_creditmemo")
def get_creditmemo(call: Call, creditmemo_id: str) -> Doc:
    return public(documents.one(call, "creditmemo", creditmemo_id))
