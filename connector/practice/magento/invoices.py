"""Invoices: computed from the lines plus the header's shipping (MAG §4.6.1)."""

from __future__ import annotations

from decimal import Decimal

from . import documents
from .checkout import next_increment
from .documents import LINE_MONEY, children_of, share, top_lines, touch, validation
from .emails import log_email
from .errors import RestError
from .inventory import Stock, managed, move, reserve
from .numbers import ZERO, cents, dec, now, num
from .order_actions import set_state
from .orders import load_order, order_items, public
from .routing import Call, route
from .storage import Doc, Tables

_CLOSED_STATES = ("payment_review", "holded", "canceled", "complete", "closed")
NO_PRODUCTS = "The invoice can't be created without products. Add products and try again."


def open_to_invoice(item: Doc) -> Decimal:
    gone = dec(item.get("qty_invoiced")) + dec(item.get("qty_canceled"))
    return max(dec(item.get("qty_ordered")) - gone, ZERO)


@route("POST", "/V1/order/:orderId/invoice", "Magento_Sales::invoice")
def invoice(call: Call, order_id: str) -> str:
    db = call.db
    order = load_order(db, order_id)
    items = order_items(db, order["entity_id"])
    lines = top_lines(items)
    quantities = documents.quantities(call, lines, open_to_invoice, "invoice")
    faults = [] if quantities else [NO_PRODUCTS]
    if order.get("state") in _CLOSED_STATES:
        faults.append(f"An invoice cannot be created when an order has a status of {order.get('status')}")
    elif not any(open_to_invoice(line) for line in lines):
        faults.append("The order does not allow an invoice to be created.")
    if faults:
        raise validation("Invoice", *faults)
    document = build(db, order, lines, quantities)
    document["comments"] = documents.comments(call, "invoice_comment", document)
    db.put("invoice", document["entity_id"], document)
    if call.param("notify", False):
        log_email(db, "invoice", order)
    deliver_virtual(db, order, lines, quantities)
    for line in lines:
        for child in children_of(items, line):
            if line["item_id"] in quantities:
                child["qty_invoiced"] = num(dec(child.get("qty_invoiced")) + quantities[line["item_id"]])
                touch(db, child)
    settle(db, order, lines)
    return str(document["entity_id"])


def build(db: Tables, order: Doc, lines: list[Doc], quantities: dict[int, Decimal]) -> Doc:
    """Write the invoice with its lines and the invoiced amounts of order and lines."""
    first = not order.get("total_invoiced")
    document: Doc = {**documents.header(order), "can_void_flag": 0, "state": 2}
    document["increment_id"] = next_increment(db, order["store_id"], "invoice")
    document["total_qty"] = num(sum(quantities.values(), ZERO))
    if order.get("discount_description"):
        document["discount_description"] = order["discount_description"]
    db.add("invoice", document, "entity_id")
    shown = []
    sums = {p: dict.fromkeys(("row", "incl", "tax", "discount", "compensation"), ZERO) for p in ("", "base_")}
    for line in lines:
        quantity = quantities.get(line["item_id"])
        if not quantity:
            continue
        last = quantity == open_to_invoice(line)
        entry = {
            "entity_id": db.next("invoice_item"),
            "name": line.get("name"),
            "parent_id": document["entity_id"],
            "product_id": line.get("product_id"),
            "sku": line["sku"],
            "order_item_id": line["item_id"],
            "qty": num(quantity),
            "base_cost": line.get("base_cost"),
        }
        for prefix, total in sums.items():
            parts = [share(line.get(prefix + name), line.get(prefix + done), quantity, dec(line["qty_ordered"]), last) for name, done in LINE_MONEY]
            row, tax, discount, compensation = parts
            incl = cents(dec(line.get(f"{prefix}price_incl_tax")) * quantity)
            if last and quantity == dec(line["qty_ordered"]):
                incl = dec(line.get(f"{prefix}row_total_incl_tax"))
            for (_, done), part in zip(LINE_MONEY, parts, strict=True):
                line[prefix + done] = num(dec(line.get(prefix + done)) + part)
            entry.update(
                {
                    f"{prefix}price": line.get(f"{prefix}price"),
                    f"{prefix}price_incl_tax": line.get(f"{prefix}price_incl_tax"),
                    f"{prefix}row_total": num(row),
                    f"{prefix}row_total_incl_tax": num(incl),
                    f"{prefix}tax_amount": num(tax),
                    f"{prefix}discount_amount": num(discount) if discount else None,
                    f"{prefix}discount_tax_compensation_amount": num(compensation),
                }
            )
            for key, part in zip(total, (row, incl, tax, discount, compensation), strict=True):
                total[key] += part
        line["qty_invoiced"] = num(dec(line.get("qty_invoiced")) + quantity)
        line["weee_tax_applied"] = "[]"
        touch(db, line)
        shown.append({key: value for key, value in entry.items() if value is not None})
    for prefix, total in sums.items():
        _header_money(document, order, prefix, total, first)
    document["items"] = shown
    return {key: value for key, value in document.items() if value is not None}


def _header_money(document: Doc, order: Doc, prefix: str, total: dict[str, Decimal], first: bool) -> None:
    """Header amounts of the invoice and the order's invoiced counters; all shipping goes on the first invoice."""
    shipping = dec(order.get(f"{prefix}shipping_amount")) if first else ZERO
    shipping_tax = dec(order.get(f"{prefix}shipping_tax_amount")) if first else ZERO
    shipping_discount = dec(order.get(f"{prefix}shipping_discount_amount")) if first else ZERO
    compensation_name = "shipping_discount_tax_compensation_amnt" if prefix else "shipping_discount_tax_compensation_amount"
    shipping_compensation = dec(order.get(prefix + compensation_name)) if first else ZERO
    tax, discount = total["tax"] + shipping_tax, total["discount"] + shipping_discount
    compensation = total["compensation"] + shipping_compensation
    grand = total["row"] + shipping + tax + compensation - discount
    document.update(
        {
            f"{prefix}discount_amount": num(-discount),
            f"{prefix}grand_total": num(grand),
            f"{prefix}subtotal": num(total["row"]),
            f"{prefix}subtotal_incl_tax": num(total["incl"]),
            f"{prefix}tax_amount": num(tax),
            f"{prefix}discount_tax_compensation_amount": num(compensation),
            f"{prefix}shipping_amount": num(shipping),
        }
    )
    for name, value in (("shipping_incl_tax", None), ("shipping_tax_amount", shipping_tax), (compensation_name, shipping_compensation)):
        if order.get(prefix + name) is not None:
            amount = dec(order[prefix + name]) if value is None and first else value or ZERO
            document[prefix + name] = num(amount)
    counters = {
        "total_invoiced": grand,
        "subtotal_invoiced": total["row"],
        "tax_invoiced": tax,
        "shipping_invoiced": shipping,
        "discount_invoiced": -discount,
        "discount_tax_compensation_invoiced": compensation,
        "total_paid": grand,
    }
    for name, amount in counters.items():
        order[prefix + name] = num(dec(order.get(prefix + name)) + amount)
    order["base_total_invoiced_cost"] = 0
    payment = order["_payment"]
    payment[f"{prefix}amount_paid"] = num(dec(payment.get(f"{prefix}amount_paid")) + grand)
    payment[f"{prefix}shipping_captured"] = num(dec(payment.get(f"{prefix}shipping_captured")) + shipping)


def deliver_virtual(db: Tables, order: Doc, lines: list[Doc], quantities: dict[int, Decimal]) -> None:
    """Virtual units leave the stock when they are invoiced: +reservation, −source, by priority."""
    for line in lines:
        quantity = quantities.get(line["item_id"])
        if not quantity or not line.get("is_virtual") or not line.get("product_id") or not managed(db, line):
            continue
        stock = Stock(db, order["_stock_id"])
        left, linked = quantity, stock.linked(line["sku"])
        for code in stock.codes:
            part = min(left, max(linked.get(code, (ZERO, 0))[0], ZERO))
            if part:
                move(db, code, line["sku"], -part)
                left -= part
        if left:
            raise RestError(400, "Not all of your products are available in the requested quantity.")
        reserve(db, order["_stock_id"], line["sku"], quantity, "invoice_created", order.get("increment_id"))
        line["_delivered"] = num(dec(line.get("_delivered")) + quantity)
        db.put("order_item", line["item_id"], line)


def settle(db: Tables, order: Doc, lines: list[Doc]) -> None:
    """The state after an invoice: complete when nothing is left to invoice and to ship, else processing; the status is reset."""
    if order.get("state") is None:
        set_state(order, "new")
    else:
        done = not any(open_to_invoice(line) for line in lines) and not any(unshipped(line) for line in lines)
        set_state(order, "complete" if done else "processing")
    order["updated_at"] = now()
    db.put("sales_order", order["entity_id"], order)


def unshipped(line: Doc) -> Decimal:
    """Units that keep an order from being complete: neither shipped, cancelled nor refunded."""
    if line.get("is_virtual"):
        return ZERO
    gone = dec(line.get("qty_shipped")) + dec(line.get("qty_canceled")) + dec(line.get("qty_refunded"))
    return max(dec(line.get("qty_ordered")) - gone, ZERO)


@route("GET", "/V1/invoices", "Magento_Sales::sales_invoice")
def list_invoices(call: Call) -> Doc:
    return documents.search(call, "invoice", lambda db, doc: public(doc))


@route("GET", "/V1/invoices/:id", "Magento_Sales::sales_invoice")
def get_invoice(call: Call, invoice_id: str) -> Doc:
    return public(documents.one(call, "invoice", invoice_id))


@route("POST", "/V1/invoices/:id/capture", "Magento_Sales::sales_invoice")
def capture(call: Call, invoice_id: str) -> bool:
    documents.one(call, "invoice", invoice_id)
    raise RestError(400, "The invoice can't be captured.")
