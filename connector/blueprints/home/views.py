"""Home, "Today": what needs attention by deadline, failures by cause with their one fix, then the figures (product.md 12)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from flask import Blueprint, render_template, request, url_for
from werkzeug.wrappers import Response

from connector.core.db import db
from connector.core.errors import DomainError
from connector.models.account import Account, MagentoConnection
from connector.services import accounts, deadlines, events, figures, schedules
from connector.services.kinds import KINDS
from connector.services.oms import standing
from connector.services.orders import causes, flags
from connector.services.orders.flags import Band
from connector.services.orders.providers import known_providers
from connector.web.auth import requires
from connector.web.filters import user_zone
from connector.web.htmx import go_to, toast
from connector.web.layout import Banner, banner_provider

bp = Blueprint("home", __name__)

#: Of the deadlines, as many of each kind; orders only when their time ends within these hours.
DUE_ROWS, DUE_WITHIN = 8, timedelta(hours=24)


@banner_provider
def alerts() -> list[Banner]:
    """What every page must say: lost authorisations, a silent scheduler, tasks that missed two periods (product.md 5)."""
    found = []
    for account in db.session.query(Account).filter(Account.active, Account.auth_state.in_(("expired", "revoked"))):
        found.append(
            Banner(
                "danger", f"Authorisation expired: {account.title}", account.auth_message or "Its work is paused and goes on by itself afterwards.", "Re-authorise",
                url_for("accounts.show", account_id=account.id),
            )
        )  # fmt: skip
    if schedules.scheduler_silent_for() is not None and db.session.query(Account.id).first():
        found.append(
            Banner("danger", "The scheduler is silent", "Nothing is imported or sent by itself. Restart the product, or the connector-scheduler service.")
        )
    elif missed := schedules.missed():
        names = ", ".join(sorted({KINDS[one.kind].title + (f" of {one.account.title}" if one.account else "") for one in missed})[:3])
        found.append(Banner("warning", "Scheduled work is late", f"{names} missed two of its periods.", "Open the schedule", url_for("queue.schedule")))
    return found


@bp.get("/")
@requires("home.read")
def index() -> str:
    return render_template("home/index.html", **_facts())


@bp.get("/today")
@requires("home.read")
def board() -> str:
    """The board alone, for live pages."""
    return render_template("home/_board.html", **_facts())


def _to_ship(bands: Sequence[Band]) -> list[tuple[str, str, int]]:
    """(choice of the orders grid's filter "Due within", words, orders): "within 24 hours" holds what has to leave within 4, as the filter does."""
    rows, within = [], 0
    for band in bands:
        if band.hours == 0:
            rows.append(("late", "late", band.orders))
        elif band.hours is None:
            rows.append(("later", "later", band.orders))
        else:
            within += band.orders
            rows.append((f"ship{band.hours}", f"within {band.hours} hours", within))
    return rows


def _facts() -> dict[str, object]:
    groups, attention = causes.groups(), flags.attention()
    return {
        "answers": deadlines.upcoming(limit=DUE_ROWS, kinds=(deadlines.ANSWER_CANCELLATION, deadlines.ANSWER_RETURN, deadlines.RECALL)),
        "due": deadlines.upcoming(limit=DUE_ROWS, within=DUE_WITHIN, kinds=(deadlines.SHIP_BY, deadlines.AUTO_CANCEL)),
        "attention": attention,
        "to_ship": _to_ship(attention.to_ship),
        "next_ship_by": next(iter(deadlines.upcoming(limit=1, kinds=(deadlines.SHIP_BY,))), None),
        "causes": groups,
        "oms": standing.standing(),
        "carriers": {group.account_id: [one.name for one in known_providers(group.account_id)] for group in groups if group.fix == causes.MAP_CARRIER},
        "figures": figures.last_days(user_zone()),
        "catalogue": figures.catalogue(),
        "accounts": accounts.listed(),
        "has_store": db.session.query(MagentoConnection.id).first() is not None,
    }


@bp.post("/causes/heal")
@requires("orders.write")
def heal() -> Response:
    """The one fix of a group of failures; every member is tried again as one run (fix once, heal all)."""
    try:
        healed = causes.heal(request.form.get("key", ""), actor=events.actor_now.get(), answer=request.form.get("answer", "").strip())
    except DomainError as error:
        toast(str(error), "danger")
        return go_to(url_for("home.index"))
    toast(healed.message)
    return go_to(url_for("queue.run", run_id=healed.run_ids[0]) if len(healed.run_ids) == 1 else url_for("home.index"))
