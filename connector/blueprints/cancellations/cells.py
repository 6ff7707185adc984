"""The cells of the cancellation desk."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from markupsafe import Markup

from connector.core.clock import utcnow
from connector.domain import cancellations as requests
from connector.grids import Column
from connector.grids.cancellations import answer_words, stage_words
from connector.services.orders.recall import UNDER_WAY
from connector.web import filters
from connector.web.cells import Cell, badge, long_text

Row = Mapping[str, Any]
_TWO_LINES = Markup('<span class="two-lines">{}</span>')


def order_link(value: str, row: Row, column: Column) -> Markup:
    return Markup('<a href="/orders/{}">{}</a>').format(row["order_id"], value)


def cancel_reason(value: str, row: Row, column: Column) -> Markup:
    """TikTok's text with the key beside it, or the key alone."""
    key = Markup('<code class="small key" title="{0}">{0}</code>').format(row["reason_key"]) if row["reason_key"] else Markup("")
    return Markup("{}<br>{}").format(value, key) if value and value != row["reason_key"] else key


def cancel_items(value: Mapping[str, Any] | None, row: Row, column: Column) -> Markup:
    return _TWO_LINES.format(items_words(value or {}))


def items_words(request: Mapping[str, Any]) -> str:
    """Units and what TikTok would refund."""
    units = len(request.get("cancel_line_items") or ())
    amount = request.get("refund_amount") or {}
    parts = [f"{units} unit{'' if units == 1 else 's'}"] if units else []
    if amount.get("refund_total"):
        parts.append(filters.amount(amount["refund_total"], amount.get("currency")))
    return ", ".join(parts)


def respond_by(value: Any, row: Row, column: Column) -> Any:
    """Time left by the shop's clock while the request waits; the date afterwards."""
    if value and row["raw_status"] == requests.PENDING:
        return filters.deadline(value, utcnow() + timedelta(seconds=row["offset"] or 0))
    return filters.when(value)


def cancel_status(value: str, row: Row, column: Column) -> Markup:
    """Our word and TikTok's own, which stays alone when it is not known."""
    known = badge(*column.label_of(value), value)
    return known + Markup('<br><code class="small key">{}</code>').format(value) if value in requests.LABELS else known


def order_stage(value: str, row: Row, column: Column) -> Markup:
    return Markup('{}<br><small class="text-secondary">{}</small>').format(stage_words(value, row["tag"]), row["magento_number"] or "not in the store")


def cancel_answer(value: str, row: Row, column: Column) -> Any:
    words = answer_words(row)
    if row["answer_state"] == requests.FAILED:
        return badge("Failed", "danger", row["failure_message"] or "") + Markup(' <span class="small">{}</span>').format(row["failure_message"] or "")
    return Markup('{}<br><code class="small">{}</code>').format(words, row["answer_reason"]) if row["answer_reason"] and words else words


def units(value: Mapping[str, int] | None, row: Row, column: Column) -> Any:
    return long_text(", ".join(f"{quantity} × {sku}" for sku, quantity in (value or {}).items()), row, column)


def see_to_by(value: Any, row: Row, column: Column) -> Any:
    """Time left by the shop's clock while the parcel is under way; nothing afterwards."""
    return filters.deadline(value, utcnow() + timedelta(seconds=row["offset"] or 0)) if value and row["raw_state"] in UNDER_WAY else ""


CANCELLATION_CELLS: dict[str, Cell] = {
    "order_link": order_link, "cancel_reason": cancel_reason, "cancel_items": cancel_items, "respond_by": respond_by, "cancel_status": cancel_status,
    "order_stage": order_stage, "cancel_answer": cancel_answer,
}  # fmt: skip
RECALL_CELLS: dict[str, Cell] = {"units": units, "see_to_by": see_to_by}
