"""The cells of the products grid that no other grid has (A162-A176)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import g, url_for
from markupsafe import Markup, escape
from sqlalchemy import select

from connector.blueprints.products.scope import address_of, view
from connector.core.db import db
from connector.grids import Column
from connector.grids.products import VISIBILITY
from connector.models.account import Account, MagentoConnection
from connector.models.listing import INCOMPLETE, READY, REJECTED
from connector.services.products.thumbnails import version
from connector.web import filters
from connector.web.cells import Cell, badge

Row = Mapping[str, Any]
_NO_PICTURE = Markup('<span class="thumb thumb-none" role="img" aria-label="No picture" title="No picture in Magento"></span>')


def plain_id(value: int, row: Row, column: Column) -> str:
    return str(value)


def thumbnail(value: str, row: Row, column: Column) -> Markup:
    """Loaded when it comes into sight, in a box of its size, so that nothing moves."""
    if not value:
        return _NO_PICTURE
    address = url_for("products.thumbnail", product_id=row["pk"], v=version(value))
    return Markup('<img class="thumb" src="{}" alt="{}" width="40" height="40" loading="lazy" decoding="async">').format(address, row["alt"] or row["sku"])


def product_name(value: str, row: Row, column: Column) -> Markup:
    """The name, which leads to the product's page; whether Magento has it no more, whether it is a variant."""
    name = value or row["sku"]
    drawn = Markup('<a class="product-name" href="{}" title="{}" data-open>{}</a>').format(address_of(row), name, name)
    if row["gone_at"]:
        drawn += Markup(' <span class="chip chip-danger" title="The last full import did not find it">gone from Magento</span>')
    if row["is_child"]:
        drawn += Markup(' <span class="chip">variant</span>')
    return drawn


def magento_price(value: Any, row: Row, column: Column) -> Any:
    """In the store's base currency; a configurable's own price is nothing, so its variants' range is shown."""
    if row["type_id"] == "configurable" and row["price_low"] is not None:
        return _money_span(row["price_low"], row["price_high"], _base_currency())
    if value is None or (row["type_id"] == "configurable" and not value):
        return ""
    return filters.money(value, _base_currency())


def magento_quantity(value: int | None, row: Row, column: Column) -> Any:
    if row["type_id"] == "configurable" and row["variant_quantity"] is not None:
        return Markup('<span title="Sum of its variants">{}</span>').format(filters.number(row["variant_quantity"]))
    return "" if value is None else filters.number(value)


def enabled(value: int, row: Row, column: Column) -> Markup:
    """Enabled or disabled in Magento (A168); where the store shows it."""
    shown = VISIBILITY.get(row["shown_in"], str(row["shown_in"]))
    return badge(*column.label_of(value), f"Visibility: {shown}")


def sale_state(value: str | None, row: Row, column: Column) -> Markup | str:
    """Active or Inactive (A170), TikTok's own word on hover."""
    return badge(*column.label_of(value), f"TikTok: {row['sale_words']}" if row["sale_words"] else "") if value else ""


def template_name(value: str | None, row: Row, column: Column) -> Any:
    if value is None:
        return ""
    if row["template_enabled"] is False:
        return Markup('{} <span class="chip" title="Its products can be neither uploaded nor acted upon">disabled</span>').format(value)
    return value


def live_price(value: Any, row: Row, column: Column) -> Any:
    """What buyers see, the range over the variants; why no price is sent."""
    shown: Any = "" if value is None else _money_span(value, row["live_price_high"], row["currency"])
    if row["price_block"]:
        shown += Markup(' <span class="chip chip-danger" title="{}">blocked</span>').format(row["price_block"])
    elif row["price_due"]:
        shown += Markup(' <span class="chip" title="The price differs from the one that is wanted">to be sent</span>')
    return shown


def live_quantity(value: int | None, row: Row, column: Column) -> Any:
    shown: Any = ""
    if value is not None:
        low, high = filters.number(value), filters.number(row["live_quantity_high"])
        shown = (
            low
            if (row["skus"] or 0) < 2
            else Markup('<span title="{} in all of {} variants">{}</span>').format(filters.number(row["live_quantity_sum"]), row["skus"], _span(low, high))
        )
    if row["stock_due"]:
        shown += Markup(' <span class="chip" title="The stock differs from the one that is wanted">to be sent</span>')
    return shown


def marketplace_state(value: str, row: Row, column: Column) -> Markup:
    """Ours, TikTok's words on hover (A175); it opens why it was rejected or failed, and what to do."""
    words = " / ".join(each for each in (row["remote_status"], f"audit {row['audit_status']}" if row["audit_status"] else "") if each)
    drawn = badge(*column.label_of(value), f"TikTok: {words}" if words else "")
    reasons = [(line, suggestion) for reason in row["audit_reasons"] or () for line, suggestion in _lines(reason)]
    if row["failure_code"] or reasons:
        lines = [row["failure_message"]] if row["failure_message"] else []
        lines += [f"{line} {suggestion}".strip() for line, suggestion in reasons if line not in (row["failure_message"] or "")]
        body = Markup().join(Markup("<p>{}</p>").format(line) for line in lines)
        if row["failure_remedy"]:
            body += Markup("<p><strong>What to do:</strong> {}</p>").format(row["failure_remedy"])
        mark = "" if value == REJECTED else Markup(' <span class="chip chip-danger">error</span>')
        drawn = Markup(
            '<details class="pop error-pop" data-pop><summary>{}{}</summary><div class="pop-sheet error-pop-body">{}<p class="small text-secondary">{}</p></div></details>'
        ).format(drawn, mark, body, row["failure_code"] or words)
    if row["drift"]:
        labels = ", ".join(str(each.get("label") or each.get("field")) for each in row["drift"])
        drawn += Markup(' <span class="chip" title="TikTok shows other values than were sent: {}">differs</span>').format(labels)
    return drawn


def validation(value: str | None, row: Row, column: Column) -> Markup | str:
    """Ready, or how many details are missing, which opens them (A176)."""
    if value is None or (row["template_id"] is None and value not in (READY, INCOMPLETE)):
        return ""
    problems = row["problems"] or []
    if not problems:
        return badge(*column.label_of(value))
    serious = [problem for problem in problems if not problem.get("warning")]
    words = f"{len(serious)} missing" if serious else f"Ready, {len(problems)} note{'' if len(problems) == 1 else 's'}"
    items = Markup().join(
        Markup("<li><strong>{}</strong> {} {}</li>").format(_field(problem), problem.get("reason", ""), problem.get("remedy", "")) for problem in problems[:12]
    )
    more = Markup("<li>and {} more on the product's page</li>").format(len(problems) - 12) if len(problems) > 12 else ""
    return Markup(
        '<details class="pop error-pop" data-pop><summary>{}</summary><div class="pop-sheet error-pop-body"><ul class="problem-list">{}{}</ul></div></details>'
    ).format(badge(words, "warning" if serious else "success"), items, more)


def _field(problem: Mapping[str, Any]) -> str:
    name = str(problem.get("field") or "")
    return f"{name[:1].upper()}{name[1:].replace('_', ' ')}:" if name else ""


def _lines(reason: Mapping[str, Any]) -> list[tuple[str, str]]:
    """TikTok's reasons with what it suggests, verbatim."""
    where = f"{reason['position']}: " if reason.get("position") else ""
    suggestions = [str(each) for each in reason.get("suggestions") or ()]
    return [(f"{where}{line}", suggestions[place] if place < len(suggestions) else "") for place, line in enumerate(reason.get("reasons") or ())]


def _money_span(low: Any, high: Any, currency: str | None) -> Any:
    """The currency once."""
    return filters.money(high, currency) if low == high else _span(filters.money(low), filters.money(high, currency))


def _span(low: Any, high: Any) -> Any:
    return low if low == high else Markup("{} – {}").format(escape(low), escape(high))


def _base_currency() -> str | None:
    """Of the store in view, as its last connection test found it."""
    if "base_currency" not in g:
        here = view()
        facts = (
            db.session.scalar(select(MagentoConnection.facts).join(Account, Account.magento_id == MagentoConnection.id).where(Account.id == here.account_id))
            if here
            else None
        )
        g.base_currency = str((facts or {}).get("currency") or "") or None
    found: str | None = g.base_currency
    return found


PRODUCT_CELLS: dict[str, Cell] = {
    each.__name__: each
    for each in (
        plain_id, thumbnail, product_name, magento_price, magento_quantity, enabled, sale_state, template_name, live_price, live_quantity, marketplace_state, validation,
    )
}  # fmt: skip
