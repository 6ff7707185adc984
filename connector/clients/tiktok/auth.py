"""Consent link and tokens (TTS §1.2-§1.4). The token endpoints carry the app secret in their query: records mask it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import requests

from connector.clients.answer import Answer
from connector.clients.base import USER_AGENT, Call, Transport
from connector.clients.tiktok.envelope import read_data

AUTH_HOST = "https://auth.tiktok-shops.com"
CONSENT_US = "https://services.us.tiktokshop.com"
CONSENT_WORLD = "https://services.tiktokshop.com"


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """What a consent or a refresh gave. Both instants are absolute; both tokens replace the stored pair in one transaction."""

    access_token: str = field(repr=False)
    access_token_expires_at: datetime
    refresh_token: str = field(repr=False)
    refresh_token_expires_at: datetime
    open_id: str
    seller_name: str
    seller_base_region: str
    user_type: int | None
    granted_scopes: tuple[str, ...]


def authorization_url(service_id: str, state: str, *, region: str | None = None, base_url: str | None = None) -> str:
    """Where the seller consents. `region` "US" has a host of its own; `base_url` is for the practice marketplace."""
    host = base_url or (CONSENT_US if region == "US" else CONSENT_WORLD)
    return f"{host.rstrip('/')}/open/authorize?{urlencode({'service_id': service_id, 'state': state})}"


class TikTokAuth:
    """Neither call is repeated when its answer is lost: a code works once, and a refresh may have replaced the token (`Uncertain`).

    After an uncertain refresh try the stored refresh token again; `tts.refresh_refused` then means that the seller must consent.
    """

    def __init__(self, transport: Transport, *, app_key: str, app_secret: str, base_url: str = AUTH_HOST) -> None:
        self._transport = transport
        self._app_key, self._app_secret = app_key, app_secret
        self._base_url = base_url.rstrip("/")

    def token(self, auth_code: str) -> TokenGrant:
        """Exchange the code of the callback (single-use, 30 minutes). Errors: `tts.auth_code_invalid`, `tts.not_authorized`."""
        return self._grant("token", "/api/v2/token/get", auth_code=auth_code, grant_type="authorized_code")

    def refresh(self, refresh_token: str) -> TokenGrant:
        """A new pair. One at a time per `open_id`, under a lock (TTS §1.4). Error: `tts.refresh_refused`."""
        return self._grant("refresh", "/api/v2/token/refresh", refresh_token=refresh_token, grant_type="refresh_token")

    def _grant(self, operation: str, path: str, **query: str) -> TokenGrant:
        trace: dict[str, str] = {}
        query = {"app_key": self._app_key, "app_secret": self._app_secret, **query}
        url = f"{self._base_url}{path}?" + "&".join(f"{k}={quote(v, safe='')}" for k, v in query.items())

        def prepare() -> requests.PreparedRequest:
            return requests.Request("GET", url, headers={"accept": "application/json", "user-agent": USER_AGENT}).prepare()

        def read(answer: Answer) -> TokenGrant:
            return _grant(read_data(answer, trace, operation=operation, safe=False))

        return self._transport.send(
            Call(
                system="tiktok",
                operation=operation,
                account=f"app:{self._app_key}",
                family="token",
                safe=False,
                prepare=prepare,
                read=read,
                secret_answer=True,
                trace=trace,
            )
        )


def _grant(data: dict[str, object]) -> TokenGrant:
    user_type, scopes = data.get("user_type"), data.get("granted_scopes")
    return TokenGrant(
        access_token=str(data["access_token"]),
        access_token_expires_at=_instant(data["access_token_expire_in"]),
        refresh_token=str(data["refresh_token"]),
        refresh_token_expires_at=_instant(data["refresh_token_expire_in"]),
        open_id=str(data["open_id"]),
        seller_name=str(data.get("seller_name") or ""),
        seller_base_region=str(data.get("seller_base_region") or ""),
        user_type=user_type if isinstance(user_type, int) else None,
        granted_scopes=tuple(map(str, scopes)) if isinstance(scopes, list) else (),
    )


def _instant(value: object) -> datetime:
    """An absolute Unix second, despite the name `..._expire_in` (TTS §7)."""
    return datetime.fromtimestamp(int(str(value)), UTC)
