"""The cells of the returns grid that no other grid has (A217-A219)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup

from connector.core.clock import utcnow
from connector.domain import returns
from connector.grids import Column
from connector.grids.requests import NOT_KNOWN
from connector.grids.returns import decision_label, status_label
from connector.web import filters
from connector.web.cells import Cell, badge

Row = Mapping[str, Any]

_HINT = Markup('<small class="return-word" title="{}: it is kept and shown as TikTok sent it">not known to this version</small>').format(NOT_KNOWN)


def return_order(value: str, row: Row, column: Column) -> Markup:
    return Markup('<a href="/orders/{}">{}</a>').format(int(row["order_id"]), value)


def return_type(value: str, row: Row, column: Column) -> Markup:
    return Markup('<span class="two-lines">{}</span>').format(type_words(value))


def type_words(kind: str) -> Any:
    """The type in our words; an unknown one as it came, and flagged."""
    return returns.TYPE_LABELS[kind] if kind in returns.TYPE_LABELS else Markup("{}{}").format(kind or "No type", _HINT)


def return_status(value: str, row: Row, column: Column) -> Markup:
    return Markup('<span class="two-lines broad">{}</span>').format(status_words(value, row["arbitration"]))


def status_words(status: str, arbitrated: str = "", *, verbatim: bool = True) -> Markup:
    """Our label with TikTok's word, and who decides an appeal. An unknown status stands for itself, flagged."""
    known = returns.meaning(status).known
    drawn = badge(*status_label(status))
    if not known:
        drawn += _HINT
    elif verbatim:
        drawn += Markup('<small class="return-word" title="{0}">{0}</small>').format(status)
    return drawn + arbitration_words(arbitrated)


def arbitration_words(arbitrated: str) -> Markup:
    said = returns.arbitration(arbitrated)
    if said is None:
        return Markup()
    return Markup(' <span class="chip{}" title="Arbitration: {}">{}</span>{}').format(
        Markup(" chip-danger") if said.tone in ("danger", "warning") else "", arbitrated, said.label, Markup() if said.known else _HINT
    )


def return_reason(value: str, row: Row, column: Column) -> Any:
    words = value or row["reason"]
    return Markup('<span class="clip clip-short" title="{}">{}</span>').format(words, words) if words else ""


def respond_by(value: datetime | None, row: Row, column: Column) -> Any:
    if value is None or not row["needs_answer"]:
        return filters.when(value)
    return countdown(value, utcnow() + timedelta(seconds=row["offset"] or 0), estimated=row["estimated"])


def countdown(value: datetime, now: datetime, *, estimated: bool = False) -> Markup:
    """The deadline in the reader's time zone, with its pressing shape; the page's script counts it down. ``now`` is the shop's clock, and ``datetime``
    is the same instant by ours, which the browser's clock can be held against."""
    left = value - now
    kind = "overdue" if left < timedelta() else "soon" if left < filters.SOON else "today" if left < filters.DAY else "later"
    drawn = Markup('<time class="deadline" data-deadline="{}" data-countdown datetime="{}" title="{} UTC">{}</time>').format(
        kind, (utcnow() + left).isoformat(timespec="seconds"), value.strftime("%Y-%m-%d %H:%M"), _plain(value)
    )
    if estimated:
        drawn += Markup(' <span class="chip" title="TikTok named no deadline; this is the rule of the country">estimated</span>')
    return drawn


def _plain(value: datetime) -> str:
    local = value.astimezone(filters.user_zone())
    return f"{local.day} {filters.MONTHS[local.month]} {local.year}, {local.hour:02d}:{local.minute:02d}"


def return_goods(value: str, row: Row, column: Column) -> Any:
    return badge(*column.label_of(value)) if value else ""


def return_memo(value: str | None, row: Row, column: Column) -> Any:
    if value is None:
        return ""
    label = column.label_of(value)
    if row["memo_failure"] and value != "done":
        return _pop(badge(*label), row["memo_failure"], row["memo_remedy"], "")
    return badge(f"{label.text} {row['memo_id']}" if row["memo_id"] else label.text, label.tone)


def return_answer(value: str, row: Row, column: Column) -> Any:
    """What we answered, that an answer is on its way, or why it failed."""
    if row["failure_message"]:
        return _pop(badge("Failed", "danger"), row["failure_message"], row["failure_remedy"], row["failure_code"] or "")
    if row["answer_state"] == "sending":
        return badge("Being sent", "progress")
    return Markup('<span title="{} by {}">{}</span>').format(value, row["answered_by"] or "the connector", decision_label(value)) if value else ""


def _pop(shown: Markup, message: str, remedy: str | None, code: str) -> Markup:
    what = Markup("<p><strong>What to do:</strong> {}</p>").format(remedy) if remedy else ""
    return Markup(
        '<details class="pop error-pop" data-pop><summary>{}</summary><div class="pop-sheet error-pop-body"><p>{}</p>{}<p class="small text-secondary">{}</p></div></details>'
    ).format(shown, message, what, code)


RETURN_CELLS: dict[str, Cell] = {
    each.__name__: each for each in (return_order, return_type, return_status, return_reason, respond_by, return_goods, return_memo, return_answer)
}
