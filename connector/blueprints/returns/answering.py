"""What is done about returns: accepting, rejecting, offering a part, goods that came, credit memos, reading again (A214, A215, A220)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from flask import abort, render_template, request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response as AnyResponse

from connector.blueprints.returns.views import bp, find, spoken
from connector.clients.errors import ApiError, describe
from connector.core.db import db
from connector.core.errors import DomainError
from connector.domain import returns as domain
from connector.domain.money import minor_unit
from connector.grids.returns import ANSWER_LIMIT
from connector.models.aftersales import CreditMemo
from connector.services import events, return_pictures
from connector.web.auth import requires, safe_next
from connector.web.htmx import go_to, toast

KINDS = {"accept": "Accept", "reject": "Reject"}
COMMENT_LIMIT = 500


@dataclass
class Group:
    """Returns for which TikTok offers the same reasons; what was chosen for all of them, and (return key -> reason) for single ones."""

    number: int
    reasons: tuple[tuple[str, str], ...]
    previews: list[Any] = field(default_factory=list)
    reason: str = ""
    comment: str = ""
    own: dict[int, str] = field(default_factory=dict)

    @property
    def rejects(self) -> bool:
        return self.previews[0].action is not None and self.previews[0].action.rejects


@bp.route("/answer", methods=["GET", "POST"])
@requires("returns.write")
def answer() -> AnyResponse | str | tuple[str, int]:
    """What will be sent for each return and what follows in Magento; with ``confirm`` it is done. ``kind``: accept, reject; ``decision``: TikTok's word for
    one of several ways to accept or reject; ``ids``: ours, separated by commas; ``chosen``: how many were, if more than are asked about; ``back``: where to
    go on to afterwards, in place of the run's page."""
    from connector.services import returns

    kind, decision, back = request.values.get("kind", ""), request.values.get("decision", ""), safe_next(request.values.get("back"), "")
    ids = [int(one) for one in dict.fromkeys(request.values.get("ids", "").split(",")) if one.isdigit()][:ANSWER_LIMIT]
    if kind not in KINDS or not ids:
        toast("Nothing was done: choose the returns in the list first.", "warning")
        return go_to(url_for("returns.index"))
    left = max(request.values.get("chosen", 0, type=int) - len(ids), 0)
    previews = returns.preview(ids, kind, decision)
    ready = [one for one in previews if one.possible]
    groups = _groups(ready)
    problem: DomainError | None = None
    if request.method == "POST" and ready:
        try:
            submitted = _submit(kind, decision, groups, ready)
        except DomainError as error:
            problem = error
        except ApiError as error:
            problem = DomainError(error.code, f"{describe(error).title}: {error}", describe(error).advice)
        else:
            toast(f"{KINDS[kind]}: {len(ready)} return{'' if len(ready) == 1 else 's'}.")
            if left:
                toast(f"{left} of the chosen returns stay as they are: choose them here.", "info")
            if left or back:
                return go_to(back or url_for("returns.index"))
            return go_to(url_for("queue.run", run_id=submitted[0].run_id) if len(submitted) == 1 else url_for("queue.index"))
    page = render_template(
        "returns/answer.html",
        kind=kind,
        verb=KINDS[kind],
        decision=decision,
        ids=ids,
        left=left,
        back=back,
        ready=ready,
        refused=[one for one in previews if not one.possible],
        groups=groups,
        asks_reason=any(one.action and one.action.rejects for one in ready),
        may_keep=[one for one in ready if one.action and one.action.keep_item],
        partial=any(one.action and one.action.partial for one in ready),
        others=_others(kind, previews[0]) if len(previews) == 1 else (),
        problem=problem,
        limit=COMMENT_LIMIT,
        most_pictures=return_pictures.MOST_UPLOADED,
    )
    return (page, 422) if problem else page


def _groups(ready: Sequence[Any]) -> list[Group]:
    """One choice of reason for those that have the same reasons; markets and situations differ."""
    found: dict[tuple[tuple[str, str], ...], Group] = {}
    for one in ready:
        reasons = one.action.reasons if one.action and one.action.rejects else ()
        group = found.setdefault(reasons, Group(len(found) + 1, reasons))
        group.previews.append(one)
    for group in found.values():
        group.reason = request.form.get(f"reason-{group.number}", "")
        group.comment = request.form.get(f"comment-{group.number}", "").strip()
        group.own = {one.return_pk: name for one in group.previews if (name := request.form.get(f"reason-of-{one.return_pk}", ""))}
    return list(found.values())


def _submit(kind: str, decision: str, groups: Sequence[Group], ready: Sequence[Any]) -> list[Any]:
    from connector.services import returns

    amounts = {one.return_pk: _amount(one) for one in ready if one.action and one.action.partial}
    for group in groups:
        _check(group)
    files = [(file.filename or "The picture", file.stream.read()) for file in request.files.getlist("pictures") if file.filename]
    # everything that can be refused comes before the first answer is submitted; a picture belongs to the account that uploaded it
    pictures = {account: return_pictures.upload(account, files) for account in {one.account_id for one in ready}} if files else {}
    submitted: list[Any] = []
    for group in groups:
        for account in sorted({one.account_id for one in group.previews}):
            pks = [one.return_pk for one in group.previews if one.account_id == account]
            submitted += returns.submit(
                pks,
                kind,
                decision=decision,
                reason=group.reason,
                reasons=group.own,
                comment=group.comment,
                amounts={pk: amounts[pk] for pk in pks if pk in amounts} or None,
                pictures=pictures.get(account, ()),
                keep_item=request.form.get("keep_item") == "1",
                started_by=events.actor_now.get(),
            )
    return submitted


def _check(group: Group) -> None:
    names = [name for name, _ in group.reasons]
    if group.rejects and any(group.own.get(one.return_pk, group.reason) not in names for one in group.previews):
        raise DomainError("returns.reason", "Choose a reason.", "TikTok takes no rejection without one of its own.", field=f"reason-{group.number}")
    if len(group.comment) > COMMENT_LIMIT:
        raise DomainError("returns.comment", f"The comment has more than {COMMENT_LIMIT} characters.", "Shorten it.", field=f"comment-{group.number}")


def _amount(preview: Any) -> Decimal:
    """What is offered instead of the whole; bounded by what TikTok would refund."""
    text = request.form.get(f"amount-{preview.return_pk}", "").strip()
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal("NaN")
    if not domain.can_be_offered(found, preview.amount, preview.currency):
        raise DomainError(
            "returns.amount",
            f"The offer for return {preview.return_id} is {repr(text) if text else 'missing'}.",
            f"Enter an amount above 0 and below {preview.amount:f} {preview.currency}, in steps of {minor_unit(preview.currency)}.",
            field=f"amount-{preview.return_pk}",
        )
    return found


def _others(kind: str, preview: Any) -> list[domain.Action]:
    """Further ways to answer one return in this direction, or in the other; those that can be sent."""
    return [each for each in preview.actions if each.known and (preview.action is None or each.decision != preview.action.decision)]


@bp.post("/<int:return_pk>/goods")
@requires("returns.write")
def goods(return_pk: int) -> AnyResponse:
    """A person says that the goods came, fit to be sold again or not, or that they did not come."""
    from connector.services import returns

    find(return_pk)
    what, note = request.form.get("what", ""), request.form.get("note", "").strip()[:1000]
    with spoken() as problems:
        if what == "lost":
            returns.goods.lost(return_pk, actor=events.actor_now.get(), note=note)
            toast("Noted: the goods did not come.")
        elif what == "received":
            toast(returns.goods.received(return_pk, sellable=request.form.get("sellable") == "1", actor=events.actor_now.get(), note=note))
        else:
            toast("Nothing was noted: choose what happened to the goods.", "warning")
    return _back(return_pk, problems, "goods")


@bp.post("/<int:return_pk>/credit-memo")
@requires("returns.write")
def credit_memo(return_pk: int) -> AnyResponse:
    """Have the return's credit memos that failed, were left out or wait written now."""
    from connector.services.returns import credit_memos

    found = find(return_pk)
    memos = db.session.scalars(
        select(CreditMemo.id).where(CreditMemo.order_id == found.order_id, CreditMemo.return_pk == found.id, CreditMemo.state.in_(credit_memos.RETRIED))
    ).all()
    with spoken() as problems:
        for memo_id in memos:
            credit_memos.retry(memo_id, actor=events.actor_now.get())
        toast("The credit memo is being written again." if memos else "Nothing was done: no credit memo of this return has failed.")
    return _back(return_pk, problems, "magento")


@bp.post("/memos/<int:memo_pk>/retry")
@requires("returns.write")
def retry_memo(memo_pk: int) -> AnyResponse:
    """Have one refund carried over again; those of cancelled lines and of memos made in Magento belong to no return, the order's page shows them."""
    from connector.services.returns import credit_memos

    memo = db.session.get(CreditMemo, memo_pk) or abort(404)
    order_id = memo.order_id
    with spoken() as problems:
        credit_memos.retry(memo_pk, actor=events.actor_now.get())
        toast("The refund is being carried over again.")
    for words in problems:
        toast(words, "danger")
    return go_to(url_for("orders.order", order_id=order_id, _anchor="refunds"))


@bp.post("/<int:return_pk>/refresh")
@requires("returns.write")
def refresh(return_pk: int) -> AnyResponse:
    """Read the return, its records and what may be answered again from TikTok."""
    from connector.services import returns

    find(return_pk)
    with spoken() as problems:
        returns.read_one(return_pk)
        returns.records(return_pk, fresh=True)
        toast("Read again from TikTok.")
    return _back(return_pk, problems)


def _back(return_pk: int, problems: Sequence[str], anchor: str | None = None) -> AnyResponse:
    for words in problems:
        toast(words, "danger")
    return go_to(url_for("returns.view", return_pk=return_pk, _anchor=anchor))
