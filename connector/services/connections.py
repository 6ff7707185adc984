"""Clients of the remote systems, ready to use: credentials, tokens, pace, guards and records in one place.

``tiktok(account_id)``, ``magento_for(account_id)`` and ``storefront_for(account_id)`` read the database and make a light client on a transport that the
process shares. A Sandbox account's clients can reach the practice servers and nothing else (A247).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime, timedelta
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import urlsplit

from flask import Flask, current_app
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from connector.clients.base import Call, Transport
from connector.clients.limits import Breaker, Limiter, Rate
from connector.clients.magento import Bearer, MagentoClient, OAuth1
from connector.clients.storefront import StorefrontClient, TokenCache
from connector.clients.tiktok import TikTokAuth, TikTokClient
from connector.config import Config
from connector.core import redis
from connector.core.clock import utcnow
from connector.core.db import db, forbid_open_transaction
from connector.core.errors import DomainError, NotFoundError
from connector.domain import safeguards
from connector.models.account import PRODUCTION, SANDBOX, Account, MagentoConnection
from connector.models.oms import ExternalStore
from connector.services import events, recording, settings, tokens
from connector.services.settings import AppCredentials

T = TypeVar("T")

#: The order that the present work is about, for the record of its calls.
order_now: ContextVar[int | None] = ContextVar("order_now", default=None)
#: The call that is being replayed from the API-calls page.
replay_now: ContextVar[int | None] = ContextVar("replay_now", default=None)
_scope: ContextVar[Mapping[str, object] | None] = ContextVar("connection_scope", default=None)

#: TTS §3.5: safe starting points per shop and endpoint. The practice marketplace is ours and stands more.
_RATES = {PRODUCTION: {"read": Rate(10, 10), "write": Rate(3, 3)}, SANDBOX: {"read": Rate(100, 50), "write": Rate(50, 25)}}
#: Magento has no rate limit of its own; the connection's parallel slots decide (MAG §4.4.7).
_STORE_RATE = Rate(200, 100)
_EARLY = timedelta(seconds=30)


class Connections:
    """The transports of one application object: one per remote system and environment."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = Lock()
        self._transports: dict[tuple[str, str], Transport] = {}
        self._redis = redis.impatient(config.redis_url)
        self.clock_written: dict[int, tuple[float, float]] = {}  #: account id -> when its clock was last kept (monotonic), and what was kept
        self.storefront_tokens = TokenCache()

    def transport(self, system: str, environment: str) -> Transport:
        with self._lock:
            found = self._transports.get((system, environment))
            if found is None:
                found = self._transports[system, environment] = self._make(system, environment)
            return found

    def allows(self, environment: str, host: str) -> bool:
        """Whether clients of the environment may call ``host`` ("name" or "name:port"): Sandbox reaches the practice servers only."""
        config = self._config
        urls = (config.practice_tiktok_url, config.practice_magento_url, config.practice_storefront_url, config.practice_oms_url)
        practice = {urlsplit(url).netloc.lower() for url in urls}
        return environment != SANDBOX or host.lower() in practice

    def _make(self, system: str, environment: str) -> Transport:
        rates = _RATES[environment] if system == "tiktok" else {"read": _STORE_RATE, "write": _STORE_RATE}
        return Transport(
            before_send=forbid_open_transaction,
            record=recording.record,
            limiter=Limiter(self._redis, prefix=f"limit:{system}", **rates),
            breaker=Breaker(self._redis, prefix=f"circuit:{system}"),
            context=lambda: {**(_scope.get() or {}), "run": events.run_now.get(), "order": order_now.get(), "replay_of": replay_now.get()},
            allowed_hosts=lambda host: self.allows(environment, host),
            refuses=(lambda request: safeguards.danger(request.url or "", request.body)) if environment == SANDBOX else None,
            pool_size=32,
        )


class Scoped:
    """A transport that tells the record whose call it is."""

    def __init__(self, transport: Transport, base_url: str, *, account_id: int | None = None, magento_id: int | None = None) -> None:
        self._transport = transport
        self._facts = {"account": account_id, "magento": magento_id, "scheme": urlsplit(base_url).scheme or "https"}
        self.now = transport.now

    def send(self, call: Call[T]) -> T:
        outer = _scope.set(self._facts)
        try:
            return self._transport.send(call)
        finally:
            _scope.reset(outer)


def init_app(app: Flask) -> None:
    app.extensions["connections"] = Connections(app.config["CONNECTOR"])


def connections() -> Connections:
    found = current_app.extensions.get("connections")
    if found is None:
        init_app(current_app._get_current_object())  # type: ignore[attr-defined]
        found = current_app.extensions["connections"]
    return found


# --- TikTok


def tiktok_app(environment: str) -> AppCredentials:
    """The app's credentials. Raises ``DomainError("tiktok.no_app")`` when they are not complete."""
    app = settings.tiktok_app(environment)
    if not app.complete:
        raise DomainError(
            "tiktok.no_app",
            "The TikTok app is not configured: app key, app secret and service ID are needed.",
            "Enter them under Configuration > TikTok app." if environment == PRODUCTION else "Choose Use the practice shop under TikTok Account.",
        )
    return app


def tiktok_auth(environment: str, *, account_id: int | None = None) -> TikTokAuth:
    """Client of the token endpoints."""
    app = tiktok_app(environment)
    base = settings.config().tiktok_auth_url if environment == PRODUCTION else settings.config().practice_tiktok_url
    transport: Any = Scoped(connections().transport("tiktok", environment), base, account_id=account_id)
    return TikTokAuth(transport, app_key=app.app_key, app_secret=app.app_secret, base_url=base)


def tiktok(account_id: int) -> TikTokClient:
    """The client of an account's shop. Raises ``DomainError`` while the account has not been authorised."""
    account = account_of(account_id)
    holder = _TokenHolder(account_id, account.clock_offset_seconds)
    return _client(
        account,
        token=holder.token,
        refresh=holder.refresh,
        shop_cipher=account.shop_cipher,
        clock_offset=account.clock_offset_seconds,
        on_clock_offset=_ClockKeeper(account_id, holder).keep,
    )


def tiktok_with_token(account: Account, access_token: str) -> TikTokClient:
    """A client for the moment between consent and storing: it has a token, but no shop yet."""
    return _client(account, token=lambda: access_token)


def _client(account: Account, **facts: Any) -> TikTokClient:
    app = tiktok_app(account.environment)
    base = settings.config().tiktok_api_url if account.environment == PRODUCTION else settings.config().practice_tiktok_url
    transport: Any = Scoped(connections().transport("tiktok", account.environment), base, account_id=account.id)
    return TikTokClient(transport, app_key=app.app_key, app_secret=app.app_secret, account_key=f"account:{account.id}", base_url=base, **facts)


def shop_now(account: Account) -> datetime:
    """The marketplace's time, as last learned: use it for windows and deadlines."""
    return utcnow() + timedelta(seconds=account.clock_offset_seconds or 0.0)


def renew_tokens(account_id: int, refused: str | None) -> str:
    """Another access token than ``refused``; see ``tokens.renew``."""
    return tokens.renew(account_id, refused, tiktok_auth(account_of(account_id).environment, account_id=account_id))


class _TokenHolder:
    """The access token of one client object: read once, read again when its end is near, renewed when TikTok refuses it."""

    def __init__(self, account_id: int, offset: float) -> None:
        self._account_id = account_id
        self.offset = offset
        self._token: str | None = None
        self._expires: datetime | None = None

    def token(self) -> str:
        if self._token is None or (self._expires and utcnow() + timedelta(seconds=self.offset) + _EARLY > self._expires):
            row = tokens.stored(self._account_id)
            self._token, self._expires = row.access_token, row.access_expires_at
        if not self._token:
            raise DomainError("tiktok.not_authorised", "This account has not been authorised yet.", "Open the account and choose Authorise.")
        return self._token

    def refresh(self, refused: str) -> None:
        self._token = renew_tokens(self._account_id, refused)
        self._expires = tokens.stored(self._account_id).access_expires_at


#: A clock that moved by so much was set anew: deadlines are judged by it from now on.
JUMP_SECONDS = 30.0


class _ClockKeeper:
    """Keeps what was learned of TikTok's clock: a jump at once, else at most once in two seconds (a practice clock may run fast)."""

    def __init__(self, account_id: int, holder: _TokenHolder) -> None:
        self._account_id, self._holder = account_id, holder
        self._written = connections().clock_written

    def keep(self, offset: float) -> None:
        self._holder.offset = offset
        now = time.monotonic()
        at, stored = self._written.get(self._account_id, (-10.0, offset))
        if now - at < 2 and abs(offset - stored) < JUMP_SECONDS:
            return
        self._written[self._account_id] = now, offset
        with Session(db.engine) as session, session.begin():
            session.execute(
                update(Account)
                .where(Account.id == self._account_id)
                .values(clock_offset_seconds=offset, updated_at=Account.updated_at)
                .execution_options(synchronize_session=False)
            )


# --- Magento


def magento(magento_id: int) -> MagentoClient:
    """The client of a Magento connection."""
    row = db.session.get(MagentoConnection, magento_id)
    if row is None:
        raise NotFoundError("magento.unknown", "There is no such Magento connection.", "Set it up under Configuration > Magento.")
    return magento_client(row)


def magento_for(account_id: int) -> MagentoClient:
    """The client of the store that an account's orders go to."""
    account = account_of(account_id)
    if account.magento_id is None:
        raise DomainError("magento.none", f"Account {account.title} has no Magento store.", "Connect Magento under Configuration > Magento.")
    row = db.session.get(MagentoConnection, account.magento_id)
    assert row is not None  # a foreign key
    if row.environment != account.environment:
        raise DomainError(
            "account.magento_environment",
            f"{account.title} is a {account.environment.title()} account, and its Magento connection {row.base_url} is one for {row.environment.title()}.",
            "Open the account and choose the practice store." if account.environment == SANDBOX else "Open the account and choose your own Magento store.",
        )
    return magento_client(row, account_id=account_id)


def magento_client(row: MagentoConnection, *, environment: str | None = None, account_id: int | None = None, pace: str = "") -> MagentoClient:
    """A client from a connection's values, saved or not. ``ValueError`` for an address that cannot be one.

    ``pace``: the key of a limiter and a breaker of its own, instead of those that all work with the store shares.
    """
    auth: OAuth1 | Bearer
    if row.auth_kind == "bearer":
        auth = Bearer(row.access_token or "")
    else:
        auth = OAuth1(row.consumer_key or "", row.consumer_secret or "", row.access_token or "", row.access_token_secret or "")
    shared = connections().transport("magento", environment or row.environment)
    transport: Any = Scoped(shared, row.base_url, account_id=account_id, magento_id=row.id)
    return MagentoClient(
        transport,
        base_url=row.base_url,
        auth=auth,
        account_key=pace or f"magento:{row.id or 'new'}",
        signing_base_url=row.signing_base_url or None,
        clock_offset=float((row.facts or {}).get("clock_offset", 0.0)),
    )


# --- external storefronts


def storefront_for(account_id: int) -> StorefrontClient:
    """The client of the external storefront that an account's orders go to (A243)."""
    row = db.session.scalar(select(ExternalStore).where(ExternalStore.account_id == account_id))
    if row is None:
        raise DomainError("storefront.none", f"Account {account_of(account_id).title} has no external storefront.", "Connect it on the account's page.")
    return storefront_client(row, environment=account_of(account_id).environment)


def storefront_client(row: ExternalStore, *, environment: str) -> StorefrontClient:
    """A client from a storefront's values, saved or not. ``ValueError`` for an address that cannot be one."""
    transport: Any = Scoped(connections().transport("storefront", environment), row.base_url, account_id=row.account_id)
    return StorefrontClient(
        transport, base_url=row.base_url, client_id=row.client_id, client_secret=row.client_secret or "",
        account_key=f"storefront:{row.account_id}", tokens=connections().storefront_tokens,
    )  # fmt: skip


def account_of(account_id: int, *, fresh: bool = False) -> Account:
    """The account; ``fresh``: as the database has it now. Raises ``NotFoundError``."""
    account = db.session.get(Account, account_id, populate_existing=fresh)
    if account is None:
        raise NotFoundError("account.unknown", f"There is no account {account_id}.", "Open TikTok Account for the present ones.")
    return account
