"""What invoices, shipments and credit memos share: quantities asked for, header columns, comments, lists (MAG §4.6)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from . import schema
from .errors import NOT_FOUND, Crash, RestError
from .numbers import ZERO, cents, dec, now
from .routing import Call
from .search_criteria import document_columns, search_docs, snake
from .storage import Doc, Tables

COLUMNS = document_columns(schema.DOCUMENT)
_COPIED = [
    "base_currency_code",
    "base_to_global_rate",
    "base_to_order_rate",
    "billing_address_id",
    "global_currency_code",
    "order_currency_code",
    "store_currency_code",
    "store_id",
    "store_to_base_rate",
    "store_to_order_rate",
]
# The money columns of a line, with the column that counts how much of them was invoiced.
LINE_MONEY = (
    ("row_total", "row_invoiced"),
    ("tax_amount", "tax_invoiced"),
    ("discount_amount", "discount_invoiced"),
    ("discount_tax_compensation_amount", "discount_tax_compensation_invoiced"),
)


def validation(kind: str, *faults: str) -> RestError:
    return RestError(400, f"{kind} Document Validation Error(s):\n" + "\n".join(faults))


def requested(call: Call, lines: list[Doc]) -> dict[int, Decimal] | None:
    """`{order item id: quantity}` of the body; None when everything open is meant. A foreign line is a crash, as in Magento."""
    given = call.param("items", None)
    if not given:
        return None
    quantities: dict[int, Decimal] = {}
    known = {line["item_id"] for line in lines}
    for item in given:
        entry = {snake(key): value for key, value in item.items()}
        item_id = int(entry.get("order_item_id") or 0)
        if item_id not in known:
            raise Crash()
        quantities[item_id] = quantities.get(item_id, ZERO) + dec(entry.get("qty") or 0)
    return quantities


def quantities(call: Call, lines: list[Doc], left: Callable[[Doc], Decimal], verb: str) -> dict[int, Decimal]:
    """`{order item id: quantity}` that the body names, or all that is `left` of each line; more than that is refused."""
    asked = requested(call, lines)
    found = {}
    for line in lines:
        wanted = left(line) if asked is None else asked.get(line["item_id"], ZERO)
        if wanted > left(line):
            raise RestError(400, f'We found an invalid quantity to {verb} item "%1".', [line.get("name")])
        if wanted > 0:
            found[line["item_id"]] = wanted
    return found


def header(order: Doc) -> Doc:
    """The columns a document copies from its order."""
    copied = {name: order[name] for name in _COPIED if order.get(name) is not None}
    if order.get("_shipping_address"):
        copied["shipping_address_id"] = order["_shipping_address"]["entity_id"]
    at = now()
    return {**copied, "order_id": order["entity_id"], "created_at": at, "updated_at": at}


def share(total: Any, already: Any, quantity: Decimal, of: Decimal, last: bool) -> Decimal:
    """The part of an amount that `quantity` of `of` units carries; the last part takes the rest, cents included."""
    if last:
        return dec(total) - dec(already)
    return cents(dec(total) * quantity / of) if of else ZERO


def comments(call: Call, counter: str, document: Doc) -> list[Doc]:
    given = call.param("comment", None)
    if not given or not given.get("comment"):
        return []
    return [
        {
            "is_customer_notified": int(bool(call.param("appendComment", False)) and bool(call.param("notify", False))),
            "parent_id": document["entity_id"],
            "comment": schema.mysql_text(given["comment"]),
            "is_visible_on_front": int(given.get("is_visible_on_front") or given.get("isVisibleOnFront") or 0),
            "created_at": document["created_at"],
            "entity_id": call.db.next(counter),
        }
    ]


def touch(db: Tables, item: Doc) -> None:
    item["updated_at"] = now()
    db.put("order_item", item["item_id"], item)


def search(call: Call, table: str, view: Any) -> Doc:
    criteria = call.criteria()
    rows, total = search_docs(call.db, table, COLUMNS, criteria, repeat_last_page=call.repeats_last_page)
    return call.found(criteria, [view(call.db, row) for row in rows], total)


def one(call: Call, table: str, document_id: str) -> Doc:
    document = call.db.get(table, int(document_id)) if document_id.isdigit() else None
    if document is None:
        raise RestError(404, NOT_FOUND)
    return document


def top_lines(items: list[Doc]) -> list[Doc]:
    """Lines that documents name: those without a parent line."""
    return [item for item in items if not item.get("parent_item_id")]


def children_of(items: list[Doc], line: Doc) -> list[Doc]:
    return [item for item in items if item.get("parent_item_id") == line["item_id"]]
