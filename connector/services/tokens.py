"""Access tokens of an account: read, renewed by one process at a time, lost and found again (TTS §1.4).

Nothing here uses the caller's session: clients ask for tokens between their calls, whatever the caller is doing.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from connector.clients.errors import ApiError, Unauthorized
from connector.clients.tiktok import TikTokAuth, TokenGrant
from connector.core import logs
from connector.core.clock import utcnow
from connector.core.db import db
from connector.models.account import Account

log = logs.get(__name__)

LEASE = timedelta(seconds=45)  #: longer than connecting and reading may take (clients' time-outs)
PATIENCE_SECONDS = 60.0


class Tokens(NamedTuple):
    access_token: str | None
    access_expires_at: datetime | None
    refresh_token: str | None
    refresh_expires_at: datetime | None


def stored(account_id: int) -> Tokens:
    """The pair as the database has it now."""
    with Session(db.engine) as session:
        return _read(session, account_id)


def renew(account_id: int, refused: str | None, auth: TikTokAuth) -> str:
    """The access token to use instead of ``refused``: what another process stored meanwhile, or a new one from TikTok.

    One refresh at a time per seller authorisation: a lease on the row of its first account is taken with a conditional update, the others wait
    for its outcome. Both tokens are stored in one transaction, for every account of the same authorisation. Raises the client's errors.
    """
    give_up = time.monotonic() + PATIENCE_SECONDS
    leader = _leader(account_id)
    while True:
        now = utcnow()
        with Session(db.engine) as session, session.begin():
            claimed = session.execute(
                update(Account)
                .where(Account.id == leader, or_(Account.refreshing_until.is_(None), Account.refreshing_until < now))
                .values(refreshing_until=now + LEASE)
                .execution_options(synchronize_session=False)
            ).rowcount
            tokens = _read(session, account_id)
        if tokens.access_token and tokens.access_token != refused:
            if claimed:
                _release(leader)
            return tokens.access_token
        if claimed:
            try:
                if not tokens.refresh_token:
                    raise Unauthorized("This account has not been authorised.", system="tiktok", operation="refresh", reason="revoked")
                grant = auth.refresh(tokens.refresh_token)
                keep(account_id, grant)
                return grant.access_token
            finally:
                _release(leader)
        if time.monotonic() > give_up:
            raise ApiError("The authorisation is being refreshed by another process, which does not finish.", system="tiktok", operation="refresh")
        time.sleep(0.05)


def keep(account_id: int, grant: TokenGrant) -> None:
    """Store a pair in one transaction, for this account and for the others of the same authorisation (one consent may cover several shops)."""
    with Session(db.engine) as session, session.begin():
        environment = select(Account.environment).where(Account.id == account_id).scalar_subquery()
        session.execute(
            update(Account)
            .where(or_(Account.id == account_id, (Account.open_id == grant.open_id) & (Account.environment == environment)))
            .values(
                access_token=grant.access_token,
                access_expires_at=grant.access_token_expires_at,
                refresh_token=grant.refresh_token,
                refresh_expires_at=grant.refresh_token_expires_at,
                open_id=grant.open_id,
                granted_scopes=list(grant.granted_scopes),
            )
            .execution_options(synchronize_session=False)
        )
    log.info("tokens.stored", account_id=account_id, expires=grant.access_token_expires_at.isoformat())


def _read(session: Session, account_id: int) -> Tokens:
    row = session.execute(
        select(Account.access_token, Account.access_expires_at, Account.refresh_token, Account.refresh_expires_at).where(Account.id == account_id)
    ).one()
    return Tokens(*row)


def _leader(account_id: int) -> int:
    with Session(db.engine) as session:
        open_id, environment = session.execute(select(Account.open_id, Account.environment).where(Account.id == account_id)).one()
        if not open_id:
            return account_id
        first = session.scalar(select(func.min(Account.id)).where(Account.open_id == open_id, Account.environment == environment))
        return first or account_id


def _release(leader: int) -> None:
    with Session(db.engine) as session, session.begin():
        session.execute(update(Account).where(Account.id == leader).values(refreshing_until=None).execution_options(synchronize_session=False))
