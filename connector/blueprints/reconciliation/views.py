"""Per account and day: what TikTok lists, what is stored, created, skipped and missing; one click heals (product.md 12)."""

from __future__ import annotations

from flask import Blueprint, abort, render_template, request, url_for
from werkzeug.wrappers import Response

from connector.core.db import db
from connector.core.errors import DomainError
from connector.grids.reconciliation import RECONCILIATION
from connector.models.account import Account
from connector.models.order import ReconciliationDay
from connector.services import accounts, events, reconcile
from connector.web.auth import requires
from connector.web.grids import grid_routes
from connector.web.htmx import go_to, toast

bp = Blueprint("reconciliation", __name__, url_prefix="/reconciliation")

grid_routes(bp, RECONCILIATION, "reconciliation/index.html", context=lambda: {"accounts": accounts.listed(working=True)})


@bp.get("/<int:day_id>")
@requires("reconciliation.read")
def day(day_id: int) -> str:
    found = db.session.get(ReconciliationDay, day_id)
    if found is None:
        abort(404)
    return render_template("reconciliation/day.html", day=found, account=db.session.get(Account, found.account_id))


@bp.post("/check")
@requires("reconciliation.write")
def check() -> Response:
    """Check one account's day now, or the default days of all accounts."""
    account, day_wanted = request.form.get("account", ""), request.form.get("day", "").strip()
    try:
        if account.isdigit() and day_wanted:
            submitted = reconcile.submit(int(account), day_wanted, started_by=events.actor_now.get())
            toast("The check has started.")
            return go_to(url_for("queue.run", run_id=submitted.run_id))
        count = reconcile.submit_all(started_by=events.actor_now.get())
    except DomainError as error:
        toast(str(error), "danger")
        return go_to(url_for("reconciliation.index"))
    toast(
        f"Checking yesterday and today of {count} account{'s' if count != 1 else ''}." if count else "No account can be checked: none is connected and active."
    )
    return go_to(url_for("reconciliation.index"))


@bp.post("/<int:day_id>/heal")
@requires("reconciliation.write")
def heal(day_id: int) -> Response:
    """Import what is missing; the order policy then acts on it."""
    found = db.session.get(ReconciliationDay, day_id)
    if found is None:
        abort(404)
    try:
        submitted = reconcile.heal(found.account_id, found.day, started_by=events.actor_now.get())
    except DomainError as error:
        toast(str(error), "danger")
        return go_to(url_for("reconciliation.day", day_id=day_id))
    toast("The missing orders are being imported.")
    return go_to(url_for("queue.run", run_id=submitted.run_id))
