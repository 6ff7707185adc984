"""The cancellation desk (A259-A266, A271): requests with their deadline, and parcels to be recalled (A264)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import ColumnElement, and_, case, func, or_

from connector.domain import cancellations as requests
from connector.domain import tiktok_order as tiktok
from connector.domain.cancellations import ACCEPTED, APPROVE, BUYER_CANCEL, PENDING, REJECT
from connector.grids import Action, Choices, Column, DateRange, Empty, Flag, Grid, Join, Label, Tab, Text
from connector.grids.activity import account_choices
from connector.grids.requests import NEVER, NOT_KNOWN, OTHER, or_other
from connector.models.account import Account
from connector.models.aftersales import RECALL_LOST, RECALL_OPEN, RECALL_RECEIVED, RECALL_RETURNING, RecallTask
from connector.models.order import Cancellation, Order
from connector.services.orders import recall

#: The page that asks before answering takes so many at once.
ANSWER_LIMIT = 200
STATUS_LABELS = {
    PENDING: Label(requests.LABELS[PENDING], "warning"),
    requests.SUCCESS: Label(requests.LABELS[requests.SUCCESS], "neutral"),
    requests.COMPLETE: Label(requests.LABELS[requests.COMPLETE], "neutral"),
    **{status: Label(requests.LABELS[status], "neutral") for status in requests.CLOSED},
}
ROLE_LABELS = {"BUYER": "Buyer", "SELLER": "Seller", "SYSTEM": "TikTok (system)", "OPERATOR": "TikTok (operator)"}
RECALL_LABELS = {
    RECALL_OPEN: Label(recall.WORDS[RECALL_OPEN], "danger"),
    RECALL_RETURNING: Label(recall.WORDS[RECALL_RETURNING], "progress"),
    RECALL_RECEIVED: Label(recall.WORDS[RECALL_RECEIVED], "success"),
    RECALL_LOST: Label(recall.WORDS[RECALL_LOST], "neutral"),
}

WAITS = and_(Cancellation.remote_status == PENDING, Cancellation.cancel_type == BUYER_CANCEL)
_ACCEPTED = and_(Cancellation.answer == APPROVE, Cancellation.answer_state == ACCEPTED)
_REJECTED = and_(Cancellation.answer == REJECT, Cancellation.answer_state == ACCEPTED)
#: What waits comes first, the most urgent on top; in both databases.
_DUE = case((WAITS, func.coalesce(Cancellation.respond_by_at, Cancellation.remote_created_at)), else_=NEVER)
_statuses = or_other(Cancellation.remote_status, list(requests.LABELS), dict.fromkeys(requests.CLOSED[1:], requests.CLOSED[0]))


def _answers(values: Sequence[str]) -> ColumnElement[bool]:
    clauses = {
        "none": Cancellation.answer_state == "",
        "accepted": _ACCEPTED,
        "rejected": _REJECTED,
        **{state: Cancellation.answer_state == state for state in (requests.SENDING, requests.FAILED, *requests.ENDINGS)},
    }
    return or_(*(clauses[value] for value in values))


def answer_page(answer: str, ids: Sequence[Any]) -> str:
    """The page that asks before answering; it is told how many were chosen when they are too many for it."""
    more = [("chosen", len(ids))] if len(ids) > ANSWER_LIMIT else []
    return "/cancellations/answer?" + urlencode([("answer", answer), *(("id", one) for one in ids[:ANSWER_LIMIT]), *more])


def _waiting(row: Mapping[str, Any]) -> bool:
    return bool(row["raw_status"] == PENDING and row["cancel_type"] == BUYER_CANCEL)


CANCELLATIONS = Grid(
    key="cancellations",
    title="Cancellations",
    noun="cancellation",
    permission="cancellations.read",
    model=Cancellation,
    pk=Cancellation.id,
    joins=(Join(Account, Account.id == Cancellation.account_id), Join(Order, Order.id == Cancellation.order_id)),
    columns=(
        Column(key="cancel_id", label="Request ID", expr=Cancellation.cancel_id, cell="link", sort=False),
        Column(
            key="respond_by_at", label="Respond By", expr=Cancellation.respond_by_at, cell="respond_by", sort=_DUE, also={"offset": Account.clock_offset_seconds},
        ),
        Column(key="number", label="Order ID", expr=Order.number, cell="order_link", sort=False, also={"order_id": Cancellation.order_id}),
        Column(key="reason", label="Reason", expr=Cancellation.reason_text, cell="cancel_reason", sort=False, also={"reason_key": Cancellation.reason}),
        Column(
            key="items", label="Items / amount", expr=Cancellation.data, cell="cancel_items", align="end", sort=False,
            export=lambda value, row: (value.get("refund_amount") or {}).get("refund_total", ""),
        ),
        Column(key="account", label="Account", expr=Account.title, sort=False),
        Column(key="stage", label="Order's stage", expr=Order.remote_status, cell="order_stage", sort=False, also={"tag": Order.tag, "magento_number": Order.magento_number}),
        Column(key="remote_status", label="Status", expr=Cancellation.remote_status, cell="cancel_status", labels=STATUS_LABELS, sort=False),
        Column(key="role", label="Asked by", expr=Cancellation.role, labels=ROLE_LABELS, sort=False),
        Column(key="remote_created_at", label="Requested On", expr=Cancellation.remote_created_at, cell="when", sort=False),
        Column(key="remote_updated_at", label="Updated On", expr=Cancellation.remote_updated_at, cell="when", default=False),
        Column(
            key="answer", label="Answer", expr=Cancellation.answer, cell="cancel_answer", sort=False,
            also={"answered_by": Cancellation.answered_by, "failure_message": Cancellation.failure_message, "answer_reason": Cancellation.answer_reason},
            export=lambda value, row: answer_words(row),
        ),
    ),
    filters=(
        Choices("account", "Account View", Cancellation.account_id, account_choices, pinned=True),
        Choices("status", "Status", _statuses, {PENDING: "Waits for answer", requests.SUCCESS: "Cancelled", requests.COMPLETE: "Cancelled and refunded",
                                                requests.CLOSED[0]: "Closed", OTHER: NOT_KNOWN}),
        Choices("role", "Asked by", Cancellation.role, ROLE_LABELS),
        Choices("answer", "Answer", _answers, {"none": "None", "accepted": "Accepted", "rejected": "Rejected", requests.SENDING: "Being sent",
                                               requests.FAILED: "Failed", **requests.ENDINGS}),
        DateRange("requested", "Requested", Cancellation.remote_created_at),
        DateRange("respond_by", "Respond by", Cancellation.respond_by_at),
        Text("reason", "Reason", Cancellation.reason),
        Flag("in_store", "Exists in the store", Order.magento_id.is_not(None)),
    ),
    search=(Cancellation.cancel_id, Order.number),
    search_hint="Request or order",
    tabs=(
        Tab("waiting", "Waiting for answer", WAITS, "warning"),
        Tab("accepted", "Accepted", _ACCEPTED, "success"),
        Tab("rejected", "Rejected", _REJECTED, "info"),
        Tab("other", "Withdrawn / other", and_(~WAITS, Cancellation.answer_state != ACCEPTED)),
        Tab("all", "All"),
    ),
    default_sort="respond_by_at",
    actions=(
        Action(key="approve", label="Accept", icon="check", permission="cancellations.write", page=lambda ids: answer_page(APPROVE, ids), visible=_waiting),
        Action(key="reject", label="Reject", icon="ban", permission="cancellations.write", page=lambda ids: answer_page(REJECT, ids), danger=True, visible=_waiting),
    ),
    always={"cancel_type": Cancellation.cancel_type, "raw_status": Cancellation.remote_status, "answer_state": Cancellation.answer_state},
    row_label="cancel_id",
    row_url=lambda row: f"/cancellations/{row['pk']}",
    events=("orders:changed",),
    empty=Empty("No cancellations", "Requests of buyers and cancellations by TikTok appear here within minutes."),
)  # fmt: skip


def answer_words(row: Mapping[str, Any]) -> str:
    """What became of the request, in words: our answer with who gave it, or how it ended without one."""
    state, answer = row["answer_state"], row["answer"]
    if state == ACCEPTED:
        return f"{'Accepted' if answer == APPROVE else 'Rejected'} by {row['answered_by'] or 'the connector'}"
    if state == requests.SENDING:
        return "Being sent"
    if state == requests.FAILED:
        return f"Failed: {row['failure_message'] or ''}"
    if state in requests.ENDINGS:
        return requests.ENDINGS[state]
    if row["raw_status"] in requests.GRANTED and row["cancel_type"] == BUYER_CANCEL:
        return "No answer was needed"
    return ""


def stage_words(status: str, tag: str) -> str:
    """On hold, awaiting, shipped: TikTok's status of the order in our words; an unknown one as it came."""
    return tiktok.label(status) + (f", {tag}" if tag else "")


RECALLS = Grid(
    key="recalls",
    title="Recalls",
    noun="recall",
    permission="cancellations.read",
    model=RecallTask,
    pk=RecallTask.id,
    joins=(Join(Account, Account.id == RecallTask.account_id), Join(Order, Order.id == RecallTask.order_id)),
    columns=(
        Column(key="number", label="Order ID", expr=Order.number, cell="link", sort=False),
        Column(key="account", label="Account", expr=Account.title, sort=False),
        Column(key="state", label="State", expr=RecallTask.state, cell="state", labels=RECALL_LABELS, sort=False),
        Column(
            key="due_at",
            label="See to it by",
            expr=RecallTask.due_at,
            cell="see_to_by",
            also={"raw_state": RecallTask.state, "offset": Account.clock_offset_seconds},
        ),
        Column(key="why", label="Why", expr=RecallTask.why, sort=False),
        Column(key="units", label="Units sent", expr=RecallTask.units, cell="units", sort=False),
        Column(key="note", label="Note", expr=RecallTask.note, cell="long_text", sort=False),
        Column(key="received", label="Back on the shelf", expr=RecallTask.received, cell="units", sort=False),
        Column(key="tracking_number", label="Tracking number", expr=Order.tracking_number, cell="mono", sort=False),
        Column(key="carrier", label="Carrier", expr=Order.carrier_name, sort=False),
        Column(key="opened_at", label="Opened", expr=RecallTask.opened_at, cell="when"),
        Column(key="closed_at", label="Closed", expr=RecallTask.closed_at, cell="when", sort=False),
        Column(key="closed_by", label="By", expr=RecallTask.closed_by, sort=False),
    ),
    filters=(
        Choices("account", "Account View", RecallTask.account_id, account_choices, pinned=True),
        DateRange("opened", "Opened", RecallTask.opened_at),
        Flag("unsettled", "Not yet settled in the store", and_(RecallTask.closed_at.is_not(None), RecallTask.restocked_at.is_(None))),
    ),
    search=(Order.number, Order.tracking_number),
    search_hint="Order or tracking number",
    tabs=(
        Tab("under_way", "Under way", RecallTask.state.in_(recall.UNDER_WAY), "danger"),
        Tab("received", "Received", RecallTask.state == RECALL_RECEIVED, "success"),
        Tab("lost", "Lost", RecallTask.state == RECALL_LOST),
        Tab("all", "All"),
    ),
    default_sort="-opened_at",
    row_label="number",
    row_url=lambda row: f"/cancellations/recalls/{row['pk']}",
    events=("orders:changed",),
    empty=Empty("No recalls", "A recall is opened when TikTok cancels an order whose parcel has left."),
)
