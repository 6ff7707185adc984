"""The board of pending actions (A271): six states and recalls, each entry with its countdown; searched by up to 100 ids."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, current_app, make_response, render_template, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response

from connector.domain.cancellations import APPROVE, REJECT
from connector.domain.deadlines import TO_SHIP
from connector.grids.orders import STATUS_LABELS
from connector.services import accounts, deadlines
from connector.services.deadlines import Deadline
from connector.web import filters
from connector.web.auth import can, requires
from connector.web.cells import badge
from connector.web.htmx import wants_partial
from connector.web.layout import Banner, banner_provider

bp = Blueprint("deadlines", __name__, url_prefix="/deadlines")

KINDS = {
    deadlines.SHIP_BY: "Ship by",
    deadlines.AUTO_CANCEL: "Auto-cancel",
    deadlines.ANSWER_CANCELLATION: "Answer the cancellation",
    deadlines.ANSWER_RETURN: "Answer the return",
    deadlines.RECALL: "Recall the parcel",
}
#: How urgent an entry must be to be said on every page.
HOUR = timedelta(hours=1)
#: As many are counted for it.
MANY = 20
#: Where an entry is worked on: subject -> (page, name of its argument). Without such a page it is the order's.
PAGES = {
    "cancellation": ("cancellations.show", "cancellation_id"),
    "return": ("returns.view", "return_pk"),
    "recall": ("cancellations.recall_page", "recall_id"),
}


@banner_provider
def passing() -> list[Banner]:
    """What passes within the hour, on every page."""
    soon = deadlines.passing_soon(HOUR, limit=MANY)
    if not soon:
        return []
    first, some = soon[0], f"{len(soon)}{' or more' if len(soon) == MANY else ''}"
    more = f", the first of {some}" if len(soon) > 1 else ""
    count = "A deadline passes" if len(soon) == 1 else f"{some} deadlines pass"
    text = f"{KINDS[first.kind]}: order {first.number} of {first.account}{more}. {first.what_then}"
    return [Banner("warning", f"{count} within the hour", text, "Open deadlines", url_for("deadlines.index"))]


@bp.get("/")
@requires("orders.read")
def index() -> Response:
    """One state of the board, of all accounts or of one."""
    sought = request.args.get("ids", "")[:8000]
    account = request.args.get("account", "")
    page = request.args.get("page", "1")
    found = deadlines.board(
        request.args.get("state", ""),
        account_id=int(account) if account.isdigit() and len(account) < 10 else None,
        ids=deadlines.ids_in(sought),
        page=int(page) if page.isdigit() and len(page) < 6 else 1,
    )
    kept = {name: value for name, value in (("account", account), ("ids", " ".join(deadlines.ids_in(sought)))) if value}
    template = "deadlines/_board.html" if wants_partial() else "deadlines/index.html"
    facts = {"board": found, "states": deadlines.STATES, "accounts": accounts.listed(), "account": account, "sought": sought, "kept": kept}
    return make_response(render_template(template, **facts))


@bp.app_template_global("deadline_url")
def url_of(entry: Deadline) -> str:
    """The page on which an entry is worked on."""
    endpoint, name = PAGES.get(entry.subject_type, ("", ""))
    if endpoint in current_app.view_functions:
        return url_for(endpoint, **{name: entry.subject_id})
    return url_for(entry.url_endpoint, **entry.url_args)


@bp.app_template_global("order_status_badge")
def status_badge(status: str) -> Markup:
    """TikTok's order status as the orders grid shows it; an unknown one verbatim."""
    label = STATUS_LABELS.get(status)
    return badge(label.text, label.tone) if label else badge(status or "no status", "neutral")


@bp.app_template_global("deadline_actions")
def actions_of(entry: Deadline, back: str) -> list[tuple[str, str]]:
    """(label, address) of what the signed-in person may do about an entry at once. Each page asks before it does anything, and then leads ``back``."""
    if entry.kind == deadlines.ANSWER_CANCELLATION and can("cancellations.write"):
        pages = (("Accept", APPROVE), ("Reject", REJECT))
        return [(label, url_for("cancellations.answer", answer=answer, id=entry.subject_id, back=back)) for label, answer in pages]
    if entry.kind == deadlines.ANSWER_RETURN and can("returns.write"):
        pages = (("Accept", "accept"), ("Reject", "reject"))
        return [(label, url_for("returns.answer", kind=kind, ids=entry.subject_id, back=back)) for label, kind in pages]
    if entry.kind in (deadlines.SHIP_BY, deadlines.AUTO_CANCEL) and entry.status in TO_SHIP and can("orders.write"):
        return [("Ship", url_for("orders.ship_form", order=entry.order_id, back=back))]
    return []


@bp.app_template_global("deadline_left")
def time_left(entry: Deadline) -> Markup:
    """Time left, by our own clock, for the script that counts it down."""
    return Markup(str(filters.deadline(entry.here_at)).replace("<time ", "<time data-countdown ", 1))  # noqa: S704 - our own markup


@bp.app_template_global("deadline_kind")
def kind_of(entry: Deadline) -> str:
    return KINDS[entry.kind]
