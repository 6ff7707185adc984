"""The go-live checklist of an account (A247-A250): every point with its facts, its remedy and the page where it is mended."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import render_template, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from connector.blueprints.accounts.views import bp
from connector.models.account import PRODUCTION, Account
from connector.services import accounts
from connector.web.auth import can, requires
from connector.web.htmx import go_to, toast


@bp.get("/<int:account_id>/go-live")
@requires("accounts.read")
def go_live(account_id: int) -> str:
    """What the last check said, who asked for it and when."""
    account = accounts.get(account_id)
    kept: dict[str, Any] = account.go_live or {}
    checked_at = datetime.fromisoformat(kept["at"]) if kept.get("at") else None
    production = account.environment == PRODUCTION
    facts = {"account": account, "production": production, "kept": kept, "checked_at": checked_at, "where": where(account)}
    return render_template("accounts/go_live.html", **facts)


@bp.post("/<int:account_id>/go-live")
@requires("accounts.write")
def check_go_live(account_id: int) -> Response:
    """Check now, and keep the result."""
    checks = accounts.check_go_live(account_id, actor=current_user.email)
    red = sum(not check["ok"] for check in checks)
    toast(f"{red} of {len(checks)} points are open." if red else "Every point is green.", "warning" if red else "success")
    return go_to(url_for("accounts.go_live", account_id=account_id))


def where(account: Account) -> dict[str, tuple[str, str]]:
    """Check -> (words, address) of the page where it is mended; none of a page that the user may not open."""
    own = ("Open the account", url_for("accounts.show", account_id=account.id))
    known = dict.fromkeys(("Authorisation", "Scopes", "External storefront", "Sandbox stores are for tests", "Clock"), own)
    known["Order policy"] = ("Open TikTok Policies", url_for("policies.index"))
    if can("configuration.read"):
        for name, part in (("TikTok app", "tiktok"), ("Magento connection", "magento"), ("Magento permissions", "magento"), ("Staging storefront", "go_live")):
            known[name] = ("Open Configuration", url_for("configuration.index", _anchor=part))
        known["No mail from tests"] = ("Open the outbox", url_for("configuration.outbox"))
    if can("api_calls.read"):
        known["Payment capture off in tests"] = ("Open API calls", url_for("api_calls.index"))
    return known
