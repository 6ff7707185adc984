"""Cancellation requests: the grid, one request, the page that asks before answering (A259-A266, A271)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, render_template, request, url_for
from flask_login import current_user
from sqlalchemy import select
from werkzeug.wrappers import Response as AnyResponse

from connector.blueprints.cancellations.cells import CANCELLATION_CELLS, items_words
from connector.clients.errors import ApiError, describe
from connector.core.db import db
from connector.core.errors import DomainError
from connector.domain import cancellations as requests
from connector.domain.cancellations import ANSWERS, APPROVE, REJECT
from connector.grids.cancellations import ANSWER_LIMIT, CANCELLATIONS, ROLE_LABELS, STATUS_LABELS, answer_words, stage_words
from connector.models.aftersales import RecallTask
from connector.models.order import Cancellation, OrderLine
from connector.models.trace import Decision, Event
from connector.services import accounts, cancellations, connections, runs
from connector.services.orders import recall
from connector.web.auth import requires, safe_next
from connector.web.grids import grid_routes
from connector.web.htmx import go_to, toast

bp = Blueprint("cancellations", __name__, url_prefix="/cancellations")


def _open_recalls() -> dict[str, Any]:
    return {"recalls": db.session.query(RecallTask).filter(RecallTask.state.in_(recall.UNDER_WAY)).count()}


grid_routes(bp, CANCELLATIONS, "cancellations/index.html", cells=CANCELLATION_CELLS, context=_open_recalls)


@bp.app_template_global("answer_of")
def answer_of(one: Cancellation) -> str:
    """What became of a request, in words."""
    names = ("answer", "answer_state", "answered_by", "answer_reason", "failure_message", "cancel_type")
    return answer_words({**{name: getattr(one, name) for name in names}, "raw_status": one.remote_status})


@bp.app_template_global("cancel_label")
def cancel_label(status: str) -> tuple[str, str]:
    """(words, tone) of a cancellation's status; an unknown one as it came."""
    found = STATUS_LABELS.get(status)
    return (found.text, found.tone) if found else (status, "warning")


bp.add_app_template_global(items_words, "cancel_items")


@bp.post("/import")
@requires("cancellations.write")
def import_now() -> AnyResponse:
    """Read what changed since the last time, for every account that works."""
    for account in accounts.listed(working=True):
        runs.submit("cancellations.import", account_id=account.id, key=f"schedule:cancellations.import:{account.id}", started_by=current_user.email)
    toast("Cancellations are being read; they appear here in a moment.")
    return go_to(url_for("cancellations.index"))


@bp.get("/<int:cancellation_id>")
@requires("cancellations.read")
def show(cancellation_id: int) -> AnyResponse | str:
    """One request with the order's facts, what both sides said, and everything that happened."""
    one = db.session.get(Cancellation, cancellation_id)
    if one is None:
        toast("There is no such cancellation.", "warning")
        return go_to(url_for("cancellations.index"))
    ids = set(requests.line_ids(one.data))
    lines = db.session.scalars(select(OrderLine).where(OrderLine.order_id == one.order_id).order_by(OrderLine.id)).all()
    about = (Event.subject_type == "order", Event.subject_id == str(one.order_id))
    actions = ("cancellation_approve", "cancellation_reject")
    return render_template(
        "cancellations/show.html",
        one=one,
        order=one.order,
        now=connections.shop_now(one.account),
        lines=[line for line in lines if not ids or line.line_id in ids],
        known=requests.known(one.cancel_type, one.remote_status),
        waits=one.remote_status == requests.PENDING and one.cancel_type == requests.BUYER_CANCEL,
        role=ROLE_LABELS.get(one.role, one.role),
        stage=stage_words(one.order.remote_status, one.order.tag),
        recall=recall.of_order(one.order_id),
        recall_words=recall.WORDS,
        timeline=db.session.scalars(select(Event).where(*about).order_by(Event.id.desc()).limit(60)).all(),
        decisions=db.session.scalars(
            select(Decision).where(Decision.subject_type == "order", Decision.subject_id == str(one.order_id), Decision.action.in_(actions))
            .order_by(Decision.id.desc()).limit(5)
        ).all(),
    )  # fmt: skip


@bp.route("/answer", methods=["GET", "POST"])
@requires("cancellations.write")
def answer() -> AnyResponse | str | tuple[str, int]:
    """What accepting or rejecting these requests will do, order by order, before anything is done. ``chosen``: how many were, if more than are asked
    about; ``back``: where to go on to afterwards, in place of the run's page."""
    chosen, back = request.values.get("answer", APPROVE), safe_next(request.values.get("back"), "")
    ids = list(dict.fromkeys(int(one) for one in request.values.getlist("id") if one.isdigit()))[:ANSWER_LIMIT]
    if not ids or chosen not in ANSWERS:
        toast("Choose the requests to answer in the list.", "warning")
        return go_to(url_for("cancellations.index"))
    left = max(request.values.get("chosen", 0, type=int) - len(ids), 0)
    problem: DomainError | None = None
    if request.method == "POST":
        reasons = {one: request.form.get(f"reason-{one}", "") for one in ids}
        try:
            submitted = cancellations.submit(
                ids,
                chosen,
                reason=request.form.get("reason", ""),
                comment=request.form.get("comment", "").strip(),
                reasons=reasons,
                started_by=current_user.email,
            )
        except DomainError as error:
            problem = error
        else:
            toast(f"{ANSWERS[chosen]}: the {'answers are' if len(ids) > 1 else 'answer is'} being sent to TikTok.")
            if left:
                toast(f"{left} of the chosen requests still wait: choose them here.", "info")
            if left or back:
                return go_to(back or url_for("cancellations.index"))
            return go_to(url_for("queue.run", run_id=submitted[0].run_id) if len(submitted) == 1 else url_for("queue.index"))
    try:
        previews = cancellations.preview(ids, chosen)
    except (DomainError, ApiError) as error:
        words = str(error) if isinstance(error, DomainError) else f"{describe(error).title}: {error}"
        toast(words, "danger")
        return go_to(back or url_for("cancellations.index"))
    if not previews:
        toast("These requests do not exist any more.", "warning")
        return go_to(back or url_for("cancellations.index"))
    offered = dict(pair for one in previews for pair in one.reasons)
    known = {one.id: one for one in db.session.scalars(select(Cancellation).where(Cancellation.id.in_(ids)))}
    page = render_template(
        "cancellations/answer.html", previews=previews, requests=known, offered=offered, answer=chosen, ids=ids, problem=problem, rejecting=chosen == REJECT,
        label=ANSWERS[chosen], left=left, back=back, possible=[one for one in previews if one.possible],
    )  # fmt: skip
    return (page, 422) if problem else page
