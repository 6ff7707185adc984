"""Whether an account may work: tokens refreshed in time, an authorisation lost and found again."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import or_, select

from connector.clients import errors as api
from connector.core import logs
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.models.account import AUTH_CONNECTED, AUTH_EXPIRED, AUTH_REVOKED, Account
from connector.services import connections, events, mail, runs

log = logs.get(__name__)

#: 20 % of an access token's usual seven days (TTS §1.4).
EARLY = timedelta(hours=34)
#: From here on people are told that the consent itself ends (TTS §5.8.2, webhook 7).
CONSENT_ENDS_SOON = timedelta(days=30)

#: Refusals that only a new consent heals. The others (signature, clock, a missing scope) are told, but the authorisation stands.
_LOST = {"expired": AUTH_EXPIRED, "revoked": AUTH_REVOKED, "deactivated": AUTH_REVOKED, "cipher": AUTH_REVOKED}


def authorisation_lost(account_id: int, error: api.ApiError) -> None:
    """Flag the account; its remote work pauses (it does not fail) until somebody re-authorises. A missing scope or a wrong clock is only noted."""
    title, advice = api.describe(error)[1:]
    said = f" TikTok said: {error.remote_message}" if error.remote_message else ""
    message = f"{title}.{said} {advice}"
    state = AUTH_EXPIRED if error.code == "tts.refresh_refused" else _LOST.get(getattr(error, "reason", "revoked"))
    with unit_of_work() as session:
        account = session.get(Account, account_id, populate_existing=True)
        if account is None or (account.auth_message == message and account.auth_state == (state or account.auth_state)):
            return
        account.auth_message = message
        if state is None:
            events.record("account.refused", "account", account_id, message, account_id=account_id)
            return
        before, account.auth_state = account.auth_state, state
        events.record("account.authorisation_lost", "account", account_id, message, account_id=account_id, before=before, after=state)
        mail.notify(
            "authorisation",
            subject=f"{account.title}: authorisation {'expired' if state == AUTH_EXPIRED else 'ended'}",
            body=f"{message}\n\nWork for this account waits and goes on by itself after Re-authorise on the Accounts page, or when TikTok takes the tokens again.",
            account=account,
        )
    log.warning("authorisation_lost", account_id=account_id, state=state, code=error.code)


def authorisation_back(account_id: int) -> int:
    """The account is authorised again: its waiting work goes on. The number of runs woken."""
    with unit_of_work() as session:
        account = session.get(Account, account_id, populate_existing=True)
        if account is None or not account.access_token:
            return 0
        if account.auth_state != AUTH_CONNECTED:
            events.record("account.authorisation_back", "account", account_id, f"{account.title} is authorised again.", account_id=account_id)
        account.auth_state, account.auth_message = AUTH_CONNECTED, None
    return runs.wake(account_id=account_id)


def due_for_refresh() -> list[int]:
    """Connected accounts whose access token ends within ``EARLY`` by TikTok's clock, one of each authorisation."""
    rows = db.session.scalars(select(Account).where(Account.auth_state == AUTH_CONNECTED, Account.refresh_token.is_not(None)).order_by(Account.id))
    due: dict[tuple[str, str], int] = {}
    for account in rows:
        ends = account.access_expires_at
        if ends is None or ends - connections.shop_now(account) < EARLY:
            due.setdefault((account.environment, account.open_id or str(account.id)), account.id)
    return list(due.values())


def refresh_due_tokens() -> tuple[int, list[tuple[int, api.ApiError]]]:
    """Refresh what ends soon. Returns how many were refreshed, and the failures; a refused refresh flags the account."""
    done, failures = 0, []
    for account_id in due_for_refresh():
        present = db.session.scalar(select(Account.access_token).where(Account.id == account_id))
        end_reading()
        try:
            connections.renew_tokens(account_id, present)
            done += 1
        except api.ApiError as error:
            failures.append((account_id, error))
            if isinstance(error, api.Unauthorized):
                authorisation_lost(account_id, error)
    _warn_of_ending_consents()
    return done, failures


def find_again() -> list[int]:
    """Accounts whose authorisation had expired and that TikTok serves again: their work goes on without anybody's click.

    TikTok may refuse a token that it has just given out. The consent behind it stands as long as the refresh token does (TTS §1.4), so it is tried, not waited for.
    """
    lost = select(Account).where(Account.auth_state == AUTH_EXPIRED, Account.refresh_token.is_not(None), Account.refresh_expires_at > utcnow())
    expired = [(account.id, account.shop_id) for account in db.session.scalars(lost.order_by(Account.id))]
    end_reading()
    found = []
    for account_id, shop_id in expired:
        try:
            shops = connections.tiktok(account_id).authorized_shops()
        except api.ApiError as error:
            log.info("authorisation_still_lost", account_id=account_id, code=error.code)
            continue
        finally:
            end_reading()
        if any(shop.id == shop_id for shop in shops):
            authorisation_back(account_id)
            found.append(account_id)
    return found


def _warn_of_ending_consents() -> None:
    with unit_of_work() as session:
        soon = utcnow() + CONSENT_ENDS_SOON
        accounts = session.scalars(
            select(Account).where(Account.auth_state == AUTH_CONNECTED, Account.refresh_expires_at < soon, or_(Account.auth_message.is_(None)))
        )
        for account in accounts:
            if account.refresh_expires_at is None:
                continue
            account.auth_message = f"The seller's consent ends on {account.refresh_expires_at:%d %B %Y}. Re-authorise before then, so that work does not pause."
            events.record("account.consent_ends", "account", account.id, account.auth_message, account_id=account.id)
            mail.notify("authorisation", subject=f"{account.title}: authorisation ends soon", body=account.auth_message, account=account)
