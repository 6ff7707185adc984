"""The returns grid (A213-A220): what buyers want back, the most pressing first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, or_, select, union_all

from connector.domain import returns
from connector.grids import Action, Choices, Column, DateRange, Empty, Flag, Grid, Join, Label, Tab, Text
from connector.grids.activity import account_choices
from connector.grids.orders import containing
from connector.grids.requests import NEVER, NOT_KNOWN, OTHER, or_other
from connector.models import aftersales as model
from connector.models.account import Account
from connector.models.aftersales import CreditMemo, Return
from connector.models.order import Order, OrderLine, Shipment

#: The page that asks before answering takes so many at once; TikTok is asked about each of them.
ANSWER_LIMIT = 100

STATUS_LABELS = {status: Label(said.label, said.tone) for status, said in returns.STATUSES.items()}
STATUS_LABELS |= {alias: STATUS_LABELS[status] for alias, status in returns.ALIASES.items()}
TYPE_LABELS = {kind: Label(text) for kind, text in returns.TYPE_LABELS.items()}
GOODS_LABELS = {
    model.GOODS_NONE: Label("None", "neutral"),
    model.GOODS_EXPECTED: Label("Expected", "progress"),
    model.GOODS_ASK: Label("Look for them", "warning"),
    model.GOODS_RECEIVED: Label("Received", "success"),
    model.GOODS_LOST: Label("Not received", "danger"),
}
MEMO_LABELS = {
    model.MEMO_WAITING: Label("Waiting", "progress"),
    model.MEMO_SENDING: Label("Being written", "progress"),
    model.MEMO_DONE: Label("Credit memo", "success"),
    model.MEMO_FAILED: Label("Failed", "danger"),
    model.MEMO_IGNORED: Label("Not written", "neutral"),
}


def status_label(status: str) -> Label:
    """Our word for TikTok's status; an unknown one stands for itself."""
    return STATUS_LABELS.get(status) or Label(status or "No status", "warning")


# --- search ---------------------------------------------------------------------------------------------------------------------------------


def search(statement: Select[Any], words: str) -> Select[Any]:
    """Return id, order id, SKU and tracking number (of the way back or the way there) by equality, each a query over an index; product and SKU by a part
    of their words. A pasted number is looked up by equality alone."""
    words = words.strip()
    own = select(Return.id)
    ways = [own.where(Return.return_id == words), own.where(Return.tracking_number == words)]
    orders: list[Select[Any]] = [
        select(Order.id).where(or_(Order.number == words, Order.tracking_number == words)),
        select(OrderLine.order_id).where(or_(OrderLine.seller_sku == words, OrderLine.tracking_number == words)),
        select(Shipment.order_id).where(Shipment.tracking_number == words),
    ]
    if len(words) >= 3 and not (words.isdigit() and len(words) > 9):
        of_lines = own.join(OrderLine, OrderLine.order_id == Return.order_id)
        ways += [of_lines.where(column.in_(containing(column, words))) for column in (OrderLine.name, OrderLine.seller_sku)]
    return statement.where(Return.id.in_(union_all(*ways, own.where(Return.order_id.in_(union_all(*orders))))))


# --- filters --------------------------------------------------------------------------------------------------------------------------------


_GOODS_NONE = "none"


def _goods(values: Sequence[str]) -> ColumnElement[bool]:
    return Return.goods.in_([model.GOODS_NONE if value == _GOODS_NONE else value for value in values])


_MEMOS = {"none": "None", **{state: label.text for state, label in MEMO_LABELS.items()}}


def _memo_of(*states: str) -> ColumnElement[bool]:
    clause = and_(CreditMemo.order_id == Return.order_id, CreditMemo.return_pk == Return.id)
    return select(CreditMemo.id).where(and_(clause, CreditMemo.state.in_(states)) if states else clause).correlate(Return).exists()


def _memo_states(values: Sequence[str]) -> ColumnElement[bool]:
    clauses = [~_memo_of()] if "none" in values else []
    if states := [value for value in values if value != "none"]:
        clauses.append(_memo_of(*states))
    return or_(*clauses)


def _memo(column: Any) -> Any:
    """A column of the return's newest credit memo; found over the order, which has an index."""
    of_return = (CreditMemo.order_id == Return.order_id, CreditMemo.return_pk == Return.id)
    return select(column).where(*of_return).correlate(Return).order_by(CreditMemo.id.desc()).limit(1).scalar_subquery()


# --- order and tabs -------------------------------------------------------------------------------------------------------------------------

_DUE = func.coalesce(Return.respond_by_at, NEVER)
_DECIDES = or_(Return.phase == "platform", and_(Return.arbitration_status == "IN_PROGRESS", Return.phase.not_in(("done", "closed"))))
_WAITS = or_(Return.needs_answer.is_(True), Return.phase == "unknown")

TABS = (
    Tab("waiting", "Waiting for you", _WAITS, "warning"),
    Tab("buyer", "With the buyer", and_(Return.phase == "buyer", ~_WAITS, ~_DECIDES), "progress"),
    Tab("platform", "TikTok decides", and_(_DECIDES, ~_WAITS), "progress"),
    Tab("refunding", "Refunding", Return.phase == "refunding", "info"),
    Tab("done", "Done", Return.phase == "done", "success"),
    Tab("closed", "Closed", Return.phase == "closed"),
    Tab("all", "All"),
)


# --- actions --------------------------------------------------------------------------------------------------------------------------------


def answer_url(kind: str) -> Callable[[Sequence[Any]], str]:
    """The page that asks how the chosen returns are answered (``kind``: accept, reject); it is told how many were chosen when they are too many for it."""

    def address(ids: Sequence[Any]) -> str:
        more = f"&chosen={len(ids)}" if len(ids) > ANSWER_LIMIT else ""
        return f"/returns/answer?kind={kind}&ids={','.join(str(int(one)) for one in ids[:ANSWER_LIMIT])}{more}"

    return address


RETURNS = Grid(
    key="returns",
    title="Return/Refund",
    noun="return",
    permission="returns.read",
    model=Return,
    pk=Return.id,
    joins=(Join(Order, Order.id == Return.order_id), Join(Account, Account.id == Return.account_id)),
    columns=(
        Column(key="return_id", label="Marketplace Return ID", expr=Return.return_id, cell="link", sort=Return.return_id),
        Column(
            key="respond_by", label="Respond By", expr=Return.respond_by_at, cell="respond_by", sort=_DUE,
            also={"estimated": Return.deadline_estimated, "needs_answer": Return.needs_answer, "offset": Account.clock_offset_seconds},
        ),
        Column(key="return_type", label="Type", expr=Return.return_type, cell="return_type", labels=TYPE_LABELS, sort=False),
        Column(
            key="remote_status", label="Status", expr=Return.remote_status, cell="return_status", sort=False,
            also={"arbitration": Return.arbitration_status, "phase": Return.phase},
            export=lambda value, row: _status_words(value, row["arbitration"]),
        ),
        Column(
            key="reason_text", label="Reason", expr=Return.reason_text, cell="return_reason", sort=False, also={"reason": Return.reason},
            export=lambda value, row: value or row["reason"],
        ),
        Column(key="amount", label="Amount", expr=Return.amount, cell="money", align="end", sort=Return.amount, also={"currency": Return.currency}),
        Column(key="number", label="Order ID", expr=Order.number, cell="return_order", sort=False, also={"order_id": Return.order_id}),
        Column(key="account", label="Account", expr=Account.title, sort=False),
        Column(key="item_count", label="Items", expr=Return.item_count, cell="number", align="end", sort=False),
        Column(key="goods", label="Goods", expr=Return.goods, cell="return_goods", labels=GOODS_LABELS, sort=False),
        Column(
            key="memo", label="Magento", expr=_memo(CreditMemo.state), cell="return_memo", labels=MEMO_LABELS, sort=False,
            also={"memo_id": _memo(CreditMemo.memo_id), "memo_failure": _memo(CreditMemo.failure_message), "memo_remedy": _memo(CreditMemo.failure_remedy)},
            export=lambda value, row: _memo_words(value, row),
        ),
        Column(
            key="answer", label="Our answer", expr=Return.decision, cell="return_answer", sort=False,
            also={
                "answer_state": Return.answer_state, "failure_code": Return.failure_code, "failure_message": Return.failure_message,
                "failure_remedy": Return.failure_remedy, "answered_by": Return.answered_by,
            },
            export=lambda value, row: row["failure_message"] or decision_label(value),
        ),
        Column(key="tracking_number", label="Return tracking number", expr=Return.tracking_number, cell="mono", sort=False, default=False),
        Column(key="requested_at", label="Requested On", expr=Return.remote_created_at, cell="when", sort=False),
        Column(key="remote_updated_at", label="Updated On", expr=Return.remote_updated_at, cell="when", sort=Return.remote_updated_at),
    ),
    filters=(
        Choices("account", "Account View", Return.account_id, account_choices, pinned=True),
        Choices("type", "Type", or_other(Return.return_type, list(TYPE_LABELS)), {**returns.TYPE_LABELS, OTHER: NOT_KNOWN}),
        Choices("status", "Status", or_other(Return.remote_status, list(STATUS_LABELS), returns.ALIASES), {**{status: said.label for status, said in returns.STATUSES.items()}, OTHER: NOT_KNOWN}),
        Choices(
            "arbitration", "TikTok's decision", or_other(Return.arbitration_status, ["", *returns.ARBITRATION]),
            {**{status: said.label for status, said in returns.ARBITRATION.items()}, OTHER: NOT_KNOWN},
        ),
        Text("reason", "Reason", lambda words: or_(Return.reason_text.icontains(words, autoescape=True), Return.reason.icontains(words, autoescape=True))),
        DateRange("requested", "Requested", Return.remote_created_at),
        DateRange("updated", "Updated", Return.remote_updated_at),
        DateRange("due", "Respond by", Return.respond_by_at),
        Choices("goods", "Goods", _goods, {(value or _GOODS_NONE): label.text for value, label in GOODS_LABELS.items()}),
        Choices("memo", "Credit memo", _memo_states, _MEMOS),
        Flag("failed", "Answer failed", Return.failure_code.is_not(None)),
    ),
    tabs=TABS,
    search=search,
    search_hint="Return, order, SKU, product or tracking number",
    default_sort="respond_by",
    actions=(
        Action(
            key="accept", label="Accept", icon="check", permission="returns.write", page=answer_url("accept"),
            visible=lambda row: row["open_phase"] == "unknown" or row["waits"],
        ),
        Action(
            key="reject", label="Reject", icon="ban", permission="returns.write", danger=True, page=answer_url("reject"),
            visible=lambda row: row["open_phase"] == "unknown" or row["waits"],
        ),
    ),
    always={"open_phase": Return.phase, "waits": Return.needs_answer},
    row_label="return_id",
    row_url=lambda row: f"/returns/{row['pk']}",
    events=("orders:changed",),
    empty=Empty(
        "No return waits for you",
        "A return or refund stands here from the buyer's request until you have answered it; the other tabs hold the rest. "
        "They are read every few minutes, and at once by Import Returns.",
    ),
)  # fmt: skip


def decision_label(decision: str) -> str:
    """Our word for a decision; an unknown one as it came."""
    known = returns.ACTIONS.get(decision)
    return known.label if known else decision


def _status_words(status: str, arbitrated: str) -> str:
    said = returns.arbitration(arbitrated)
    label = status_label(status).text
    return f"{label}{f' ({status})' if label != status else ''}{f'; {said.label}' if said else ''}"


def _memo_words(state: str | None, row: Any) -> str:
    if state is None:
        return ""
    label = MEMO_LABELS.get(state, Label(state)).text
    return " ".join(part for part in (label, row["memo_id"] or "", row["memo_failure"] or "") if part)
