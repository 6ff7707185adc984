"""The seller's consent: started with a single-use state bound to the browser, finished by the callback (A016-A019, TTS §1.2-§1.4)."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, select, update

from connector.clients import errors as api
from connector.clients.tiktok import AUTH_HOST, AuthorizedShop, TikTokClient, TokenGrant, authorization_url
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.models.account import AUTH_CONNECTED, SANDBOX, Account, OAuthState
from connector.services import connections, events, runs, settings
from connector.services.accounts import practice
from connector.services.accounts.editing import COUNTRIES, get
from connector.services.accounts.standing import authorisation_back

STATE_LIFE = timedelta(minutes=30)

#: What the connector does, and the scope it needs for it (TTS §1.5).
NEEDED_SCOPES = {
    "seller.authorization.info": "read the authorised shops",
    "seller.order.info": "read orders",
    "seller.fulfillment.basic": "ship parcels",
    "seller.logistics": "read warehouses and carriers",
    "seller.return_refund.basic": "answer cancellations and returns",
}


def start_authorisation(account_id: int, *, binding: str, next_url: str = "", actor: str) -> str:
    """The address of the seller's consent page. ``binding``: a secret of this browser's session, which must come back with the answer."""
    account = get(account_id)
    if account.environment == SANDBOX:
        practice.connect_app(actor=actor)
    app = connections.tiktok_app(account.environment)
    state = secrets.token_urlsafe(32)
    with unit_of_work() as session:
        session.execute(delete(OAuthState).where(OAuthState.created_at < utcnow() - timedelta(days=1)))
        session.add(OAuthState(state=state, account_id=account_id, session_digest=_digest(binding), next_url=next_url))
    conf = settings.config()
    if account.environment == SANDBOX:
        base = conf.practice_tiktok_url
    else:
        base = conf.tiktok_auth_url if conf.tiktok_auth_url != AUTH_HOST else None
    return authorization_url(app.service_id, state, region=account.country, base_url=base)


def finish_authorisation(*, state: str, code: str, error: str, binding: str, actor: str) -> tuple[Account, str, list[str]]:
    """Handle the callback. Returns the account, where to go on, and the missing scopes. Every refusal is a ``DomainError`` with its remedy."""
    account_id, next_url = _use_state(state, binding)
    account = get(account_id)
    if error or not code or code == "null":
        said = f" TikTok said: {error}." if error else ""
        raise _refusal("oauth.refused", f"The seller did not authorise {account.title}.{said}", "Choose Authorise again and accept on TikTok's page.", account)
    end_reading()
    try:
        grant = connections.tiktok_auth(account.environment, account_id=account_id).token(code)
        client = _first_client(account, grant)
        shops = client.authorized_shops()
    except api.Uncertain as fault:
        message = f"TikTok's answer to the authorisation of {account.title} was lost."
        raise _refusal("oauth.uncertain", message, "A code works once, so choose Authorise again.", account) from fault
    except api.Unavailable as fault:
        message = f"{account.title} was not authorised: {str(fault).rstrip('.')}."
        advice = "Check that this machine can reach TikTok's hosts, then choose Authorise again."
        raise _refusal(f"oauth.{fault.code}", message, advice, account) from fault
    except api.ApiError as fault:
        remedy = api.describe(fault)
        said = f" TikTok said: {fault.remote_message}" if fault.remote_message else f" {fault}."
        raise _refusal(f"oauth.{fault.code}", f"{account.title} was not authorised: {remedy.title}.{said}", remedy.advice, account) from fault
    shop = _right_shop(account, shops)
    _keep(account, grant, shop, shops, client.clock_offset, actor)
    authorisation_back(account_id)
    runs.submit("accounts.onboard", account_id=account_id, key=f"accounts.onboard:{account_id}", started_by=actor)
    missing = [scope for scope in NEEDED_SCOPES if grant.granted_scopes and scope not in grant.granted_scopes]
    return account, next_url, missing


def _use_state(state: str, binding: str) -> tuple[int, str]:
    """Take the state, once. One that is unknown, used, old or from another browser is refused."""
    with unit_of_work() as session:
        row = session.get(OAuthState, state) if state else None
        if row is None:
            raise DomainError("oauth.state_unknown", "This answer belongs to no authorisation that was started here.", "Open the account and choose Authorise.")
        session.refresh(row)
        if row.used_at is not None:
            raise DomainError(
                "oauth.state_used",
                "This authorisation has already been answered once.",
                "Nothing was changed. If the account is not connected, choose Authorise again.",
            )
        if not hmac.compare_digest(row.session_digest, _digest(binding)):
            raise DomainError(
                "oauth.state_foreign",
                "This authorisation was started in another browser or session.",
                "Nothing was changed. Choose Authorise in this browser and stay in it.",
            )
        if row.created_at < utcnow() - STATE_LIFE:
            raise DomainError("oauth.state_old", "This authorisation was started more than 30 minutes ago.", "Choose Authorise again.")
        won = session.execute(update(OAuthState).where(OAuthState.state == state, OAuthState.used_at.is_(None)).values(used_at=utcnow())).rowcount
        if won != 1:
            raise DomainError("oauth.state_used", "This authorisation has already been answered once.", "Nothing was changed.")
        return row.account_id, row.next_url


def _first_client(account: Account, grant: TokenGrant) -> TikTokClient:
    """A client with the fresh token, before anything is stored; it asks only which shops are authorised."""
    return connections.tiktok_with_token(account, grant.access_token)


def _right_shop(account: Account, shops: list[AuthorizedShop]) -> AuthorizedShop:
    """The account's own shop again, else the one of its country that no other account has."""
    taken = set(
        db.session.scalars(select(Account.shop_id).where(Account.id != account.id, Account.environment == account.environment, Account.shop_id.is_not(None)))
    )
    here = [shop for shop in shops if shop.region == account.country]
    own = [shop for shop in here if shop.id == account.shop_id]
    free = own or [shop for shop in here if shop.id not in taken]
    if free:
        return free[0]
    country = COUNTRIES.get(account.country, account.country)
    if here:
        raise _refusal(
            "oauth.shop_taken",
            f"The shop {here[0].name} ({account.country}) is already connected to another account.",
            "Use that account, or sign in to TikTok with the seller of the other shop.",
            account,
        )
    found = ", ".join(f"{shop.name} ({shop.region})" for shop in shops) or "no shop"
    raise _refusal(
        "oauth.wrong_country",
        f"{account.title} is for {country}, but the authorisation covers {found}.",
        f"Sign in to TikTok with the seller of the {country} shop and authorise again, or add an account for the other country.",
        account,
    )


def _keep(account: Account, grant: TokenGrant, shop: AuthorizedShop, shops: list[AuthorizedShop], offset: float, actor: str) -> None:
    """Tokens, shop and cipher in one transaction; other accounts of the same consent get the new tokens and their shop's new cipher."""
    by_id = {found.id: found for found in shops}
    with unit_of_work() as session:
        siblings = session.scalars(
            select(Account).where(Account.open_id == grant.open_id, Account.environment == account.environment, Account.shop_id.in_(list(by_id)))
        ).all()
        for row in {account.id: account, **{other.id: other for other in siblings}}.values():
            mine = shop if row.id == account.id else by_id[row.shop_id or ""]
            values: dict[str, Any] = {
                "access_token": grant.access_token,
                "access_expires_at": grant.access_token_expires_at,
                "refresh_token": grant.refresh_token,
                "refresh_expires_at": grant.refresh_token_expires_at,
                "open_id": grant.open_id,
                "seller_name": grant.seller_name,
                "granted_scopes": list(grant.granted_scopes),
                "shop_id": mine.id,
                "shop_code": mine.code,
                "shop_name": mine.name,
                "shop_region": mine.region,
                "shop_cipher": mine.cipher,
                "clock_offset_seconds": offset,
                "auth_state": AUTH_CONNECTED,
                "auth_message": None,
                "refreshing_until": None,
            }
            for name, value in values.items():
                setattr(row, name, value)
        events.record(
            "account.authorised",
            "account",
            account.id,
            f"{account.title} was authorised for the shop {shop.name} ({shop.region}).",
            account_id=account.id,
            after={"shop_id": shop.id, "scopes": list(grant.granted_scopes), "until": grant.refresh_token_expires_at.isoformat()},
            actor=actor,
        )


def _refusal(code: str, message: str, remedy: str, account: Account) -> DomainError:
    with unit_of_work():
        events.record("account.authorisation_refused", "account", account.id, message, account_id=account.id, reason=code)
    return DomainError(code, message, remedy)


def _digest(binding: str) -> str:
    return hashlib.sha256(f"oauth:{binding}".encode()).hexdigest()
