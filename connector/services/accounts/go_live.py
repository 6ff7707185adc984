"""The go-live checklist of a Production account (A247-A250): ordered checks with verdict, facts and remedy."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import func, select

from connector.clients import stranger
from connector.clients.tiktok import API_HOST
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain.external_order import unsafe_for_tests
from connector.models.account import PRODUCTION, SANDBOX, Account, MagentoConnection, OutgoingMail
from connector.models.oms import ExternalStore
from connector.models.trace import ApiCall
from connector.services import connections, events, policies, settings
from connector.services.accounts.authorise import NEEDED_SCOPES
from connector.services.accounts.editing import get

Check = dict[str, Any]
MAX_CLOCK_SKEW = 120.0
RECENT_INVOICES = 100
CAPTURES = re.compile(r'"captured?"\s*:\s*true')
EXTERNAL = "external"


def go_live_checks(account: Account) -> list[Check]:
    """Each check: ``{"check", "ok", "facts", "message", "remedy"}``, in the order in which they should be mended. Makes one outside call at most."""
    store = db.session.get(MagentoConnection, account.magento_id) if account.magento_id else None
    checks = [
        _app(),
        _public_address(),
        _authorised(account),
        _scopes(account),
        *((_external_store(account),) if account.storefront == EXTERNAL else (_store(store), _permissions(store))),
        _clock(account, store),
        _order_policy(account),
        _sandbox_is_fenced(),
        _sandbox_has_practice_stores(),
        _sandbox_captures_nothing(),
        _sandbox_sends_no_mail(),
    ]
    staging, none = settings.get("go_live.staging_url"), settings.get("go_live.no_staging")
    end_reading()
    return [*checks, _staging_is_protected(staging, none)]


def check(account_id: int, *, actor: str) -> list[Check]:
    """Go through the checklist now and keep what it said, with who asked and when; the checks."""
    account = get(account_id)
    checks = go_live_checks(account)
    keep(account_id, checks, actor=actor)
    return checks


def keep(account_id: int, checks: list[Check], *, actor: str) -> None:
    """Store a result of the checklist on the account: ``{"at", "by", "ok", "checks"}``."""
    with unit_of_work() as session:
        account = session.get_one(Account, account_id)
        open_points = [check["check"] for check in checks if not check["ok"]]
        account.go_live = {"at": utcnow().isoformat(), "by": actor, "ok": not open_points, "checks": checks}
        said = f"open: {', '.join(open_points)}" if open_points else "every point is green"
        message = f"The go-live checklist of {account.title} was gone through; {said}."
        events.record("account.go_live_checked", "account", account_id, message, account_id=account_id, after={"open": open_points}, actor=actor)


def _check(name: str, ok: bool, message: str, remedy: str = "", **facts: Any) -> Check:
    return {"check": name, "ok": ok, "facts": facts, "message": message, "remedy": "" if ok else remedy}


def _app() -> Check:
    app = settings.tiktok_app(PRODUCTION)
    message = f"The TikTok app is set (from {app.source})." if app.complete else "The TikTok app is not complete."
    return _check("TikTok app", app.complete, message, "Enter app key, app secret and service ID under Configuration.", app_key=app.app_key)


def _public_address() -> Check:
    url = settings.config().public_url
    ok = urlsplit(url).scheme == "https"
    message = f"This dashboard is reached at {url}." if ok else f"PUBLIC_URL is {url}: TikTok calls back over https only."
    return _check("Public address", ok, message, "Set PUBLIC_URL to the https address, and that address as redirect URL in Partner Center.", public_url=url)


def _authorised(account: Account) -> Check:
    message = f"Authorised for the shop {account.shop_name}." if account.connected else "The shop has not been authorised."
    return _check("Authorisation", account.connected, message, "Open the account and choose Authorise.", auth_state=account.auth_state)


def _scopes(account: Account) -> Check:
    if not account.connected:
        return _check("Scopes", False, "They are not known before the shop is authorised.", "Open the account and choose Authorise.")
    missing = [scope for scope in NEEDED_SCOPES if scope not in (account.granted_scopes or [])]
    needs = "; ".join(f"{scope} ({NEEDED_SCOPES[scope]})" for scope in missing)
    message = f"The app lacks {needs}." if missing else "The app has every scope it needs."
    return _check("Scopes", not missing, message, "Enable them in Partner Center, then Re-authorise the account.", missing=missing)


def _store(store: MagentoConnection | None) -> Check:
    remedy = "Enter the store's address and keys under Configuration > Magento and choose Test connection."
    if store is None or store.environment != PRODUCTION:
        return _check("Magento connection", False, "No Magento store of your own is connected.", remedy)
    tested = bool(store.checked_at and store.facts.get("ok"))
    message = f"{store.base_url} was tested successfully." if tested else f"{store.base_url} has not passed Test connection."
    return _check("Magento connection", tested, message, remedy, base_url=store.base_url)


def _external_store(account: Account) -> Check:
    """The storefront that is no Magento: reached, and a production one (A243, A250)."""
    name, remedy = "External storefront", "Enter its address and credentials on the account's page and choose Test connection."
    store = db.session.scalar(select(ExternalStore).where(ExternalStore.account_id == account.id))
    if store is None:
        return _check(name, False, "No external storefront is connected.", remedy)
    facts = store.facts or {}
    said, passed = str(facts.get("environment") or ""), bool(store.checked_at and facts.get("ok"))
    if said and said != PRODUCTION:
        message, remedy = f"{store.base_url} says that its environment is {said}.", "Connect the store's production instance."
    else:
        message = f"{store.base_url} is a production store and passed Test connection." if passed else f"{store.base_url} has not passed Test connection."
    return _check(name, passed and said == PRODUCTION, message, remedy, base_url=store.base_url, environment=said)


def _permissions(store: MagentoConnection | None) -> Check:
    if store is None or not store.facts.get("granted"):
        message = "They are not known before Test connection has reached the store."
        return _check("Magento permissions", False, message, "Choose Test connection under Configuration > Magento.")
    missing = list(store.facts.get("missing", []))
    message = f"The integration lacks {', '.join(missing)}." if missing else "The integration lacks no permission that a test can see."
    return _check("Magento permissions", not missing, message, "Grant them in Magento under System > Integrations and re-authorise it.", missing=missing)


def _clock(account: Account, store: MagentoConnection | None) -> Check:
    skews = {"TikTok": account.clock_offset_seconds} if account.connected else {}
    if store is not None and store.facts.get("granted"):
        skews["Magento"] = float(store.facts.get("clock_offset", 0.0))
    if not skews:
        return _check("Clock", False, "No clock has been compared yet.", "Authorise the account, or test the connection to the store.")
    worst = max(skews, key=lambda name: abs(skews[name]))
    ok = abs(skews[worst]) <= MAX_CLOCK_SKEW
    message = "The clocks agree." if ok else f"{worst}'s clock is {skews[worst]:+.0f} s from ours."
    return _check("Clock", ok, message, "Switch on time synchronisation (NTP) on this machine.", **skews)


def _order_policy(account: Account) -> Check:
    remedy = "Complete the policy under TikTok Policies."
    try:
        policy = policies.order_policy_row(account)
    except DomainError as error:
        return _check("Order policy", False, error.message, error.remedy)
    problem = policy.problems[0] if policy.problems else {"message": "", "remedy": remedy}
    message = f"{policy.title} is valid." if policy.valid else f"{policy.title} is not valid: {problem['message']}"
    return _check("Order policy", policy.valid, message, problem["remedy"], policy=policy.title, version=policy.version)


def _sandbox_is_fenced() -> Check:
    """Asks the very rule that guards each Sandbox call whether the live host may be called (A247)."""
    live = urlsplit(API_HOST).netloc
    fenced = not connections.connections().allows(SANDBOX, live)
    return _check("Storefront protection", fenced, "Sandbox accounts can reach the practice servers only.", "Report this as a fault.", refused=live)


def _sandbox_has_practice_stores() -> Check:
    """No Sandbox account may stand before a store that does real business: neither a Production Magento, nor an external storefront that is open to
    strangers, captures payments or writes to buyers (A247-A249)."""
    name = "Sandbox stores are for tests"
    wrong = db.session.execute(
        select(Account.title, MagentoConnection.base_url)
        .join(MagentoConnection, MagentoConnection.id == Account.magento_id)
        .where(Account.environment == SANDBOX, MagentoConnection.environment != SANDBOX)
    ).all()
    if wrong:
        title, url = wrong[0]
        remedy = "Open the account and choose the practice store. Until then its calls are refused."
        return _check(name, False, f"The Sandbox account {title} points at {url}.", remedy, account=title)
    stores = select(ExternalStore, Account.title).join(Account).where(Account.environment == SANDBOX, Account.storefront == EXTERNAL).order_by(ExternalStore.id)
    rows = db.session.execute(stores).all()
    for store, title in rows:
        if (problem := unsafe_for_tests(store.facts)) is not None:
            return _check(name, False, f"{title}, {store.base_url}: {problem[0]}", problem[1], account=title, base_url=store.base_url)
    return _check(name, True, "Sandbox accounts use stores for tests only.", external_storefronts=len(rows))


def _sandbox_captures_nothing() -> Check:
    """Looks at the invoices that were really asked for (A248)."""
    query = (
        select(ApiCall.request_body)
        .join(Account, Account.id == ApiCall.account_id)
        .where(Account.environment == SANDBOX, ApiCall.operation.in_(("invoice", "create_external_order")))
    )
    asked = [body or "" for body in db.session.scalars(query.order_by(ApiCall.id.desc()).limit(RECENT_INVOICES))]
    captured = sum(bool(CAPTURES.search(body)) for body in asked)
    message = (
        f"{captured} of {len(asked)} recent Sandbox invoices captured a payment."
        if captured
        else f"None of {len(asked)} recent Sandbox invoices captured a payment."
    )
    return _check("Payment capture off in tests", not captured, message, "Report this as a fault.", invoices=len(asked), captured=captured)


def _sandbox_sends_no_mail() -> Check:
    query = select(func.count()).select_from(OutgoingMail).join(Account).where(Account.environment == SANDBOX, OutgoingMail.state == "sent")
    sent = db.session.scalar(query) or 0
    message = "Mail of Sandbox accounts stays on screen." if not sent else f"{sent} mails of Sandbox accounts were sent."
    return _check("No mail from tests", not sent, message, "Report this as a fault.", sent=sent)


def _staging_is_protected(url: str, none: bool) -> Check:
    """A stranger who opens the staging storefront must be refused (A247)."""
    name = "Staging storefront"
    if none:
        return _check(name, True, "You stated that there is no staging storefront.")
    if not url:
        remedy = "Enter its address under Configuration > Go-live, or state there that there is none."
        return _check(name, False, "It is not known whether a staging storefront is protected.", remedy)
    status = stranger.status(url)
    ok = status in (401, 403)
    message = f"{url} answers {status} to a stranger." if isinstance(status, int) else f"{url} {status}."
    remedy = "Protect it with a password or an address list, so that it answers 401 or 403."
    if not isinstance(status, int):
        remedy = "Correct its address under Configuration > Go-live; this machine has to reach it, as any stranger does."
    return _check(name, ok, message, remedy, url=url, status=status)
