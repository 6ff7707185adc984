"""The values of the Configuration page (A050). The TikTok app: environment first, then these; secrets are encrypted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from flask import current_app
from sqlalchemy import select

from connector.config import Config
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.domain.email import looks_like_email
from connector.models.account import PRODUCTION, Setting
from connector.services import events


@dataclass(frozen=True)
class Definition:
    """``secret`` values are stored encrypted and never shown again."""

    default: Any = ""
    secret: bool = False


DEFINITIONS: dict[str, Definition] = {
    "tiktok.app_key": Definition(),
    "tiktok.app_secret": Definition(secret=True),
    "tiktok.service_id": Definition(),
    "practice.app_key": Definition(),
    "practice.app_secret": Definition(secret=True),
    "practice.service_id": Definition(),
    "mail.smtp_url": Definition(secret=True),
    "mail.sender": Definition(),
    "debug_log": Definition(default=False),
    "log_retention_days": Definition(default=30),
    "time_zone": Definition(default="UTC"),
    "notify.recipients": Definition(default=[]),
    "notify.authorisation": Definition(default=True),
    "notify.failures": Definition(default=True),
    "notify.deadlines": Definition(default=True),
    "deadlines.ship_hours": Definition(default=24),
    "deadlines.answer_hours": Definition(default=6),
    "go_live.staging_url": Definition(),
    "go_live.no_staging": Definition(default=False),
    "setup.step": Definition(default="registration"),
    "setup.draft": Definition(default={}),
    "setup.finished": Definition(default=False),
}


@dataclass(frozen=True)
class AppCredentials:
    """A TikTok app (A016); ``source`` says where the values came from: environment, settings or practice."""

    app_key: str
    app_secret: str = field(repr=False)
    service_id: str
    source: str = "settings"

    @property
    def complete(self) -> bool:
        return bool(self.app_key and self.app_secret and self.service_id)


def get(key: str) -> Any:
    """The stored value, or the default. Secrets come in plain: never hand them to a template."""
    definition = DEFINITIONS[key]
    row = db.session.execute(select(Setting.value, Setting.secret).where(Setting.key == key)).first()
    value = None if row is None else (row.secret if definition.secret else row.value)
    return definition.default if value is None else value


def many(*keys: str) -> dict[str, Any]:
    return {key: get(key) for key in keys}


def put(values: dict[str, Any], *, actor: str) -> None:
    """Store values; an event names the keys that changed, never a secret's value."""
    with unit_of_work() as session:
        for key, value in values.items():
            definition = DEFINITIONS[key]
            before = get(key)
            if before == value:
                continue
            row = session.get(Setting, key)
            if row is None:
                row = Setting(key=key)
                session.add(row)
            if definition.secret:
                row.secret = value or None
            else:
                row.value = value
            row.updated_by = actor
            shown = ("***", "***") if definition.secret else (before, value)
            if not key.startswith("setup."):
                events.record("setting.saved", "setting", key, f"{key} was changed.", before=shown[0], after=shown[1], actor=actor)
        session.flush()


def config() -> Config:
    return current_app.config["CONNECTOR"]


def tiktok_app(environment: str) -> AppCredentials:
    """The app of an environment; ``.complete`` is false while values are missing."""
    if environment != PRODUCTION:
        values = many("practice.app_key", "practice.app_secret", "practice.service_id")
        return AppCredentials(*values.values(), source="practice")
    conf = config()
    if conf.tiktok_app_key:
        return AppCredentials(conf.tiktok_app_key, conf.tiktok_app_secret, conf.tiktok_service_id, source="environment")
    return AppCredentials(*many("tiktok.app_key", "tiktok.app_secret", "tiktok.service_id").values())


def save_tiktok_app(*, app_key: str, app_secret: str, service_id: str, actor: str) -> None:
    """A blank secret keeps the stored one."""
    if config().tiktok_app_key:
        raise DomainError(
            "settings.from_environment",
            "The TikTok app is set in the environment.",
            "Change TIKTOK_APP_KEY, TIKTOK_APP_SECRET and TIKTOK_SERVICE_ID there and restart.",
        )
    values = {"tiktok.app_key": app_key.strip(), "tiktok.service_id": service_id.strip()}
    if app_secret.strip():
        values["tiktok.app_secret"] = app_secret.strip()
    if bool(values["tiktok.app_key"]) != bool(values["tiktok.service_id"]):
        field_name = "service_id" if values["tiktok.app_key"] else "app_key"
        raise DomainError("settings.app_incomplete", "App key and service ID belong together.", "Copy both from Partner Center.", field=field_name)
    if values["tiktok.app_key"] and not (app_secret.strip() or get("tiktok.app_secret")):
        raise DomainError("settings.app_incomplete", "The app secret is missing.", "Copy it from Partner Center.", field="app_secret")
    put(values, actor=actor)


def save_general(*, time_zone: str, debug_log: bool, log_retention_days: int, actor: str) -> None:
    if time_zone not in available_timezones():
        raise DomainError("settings.time_zone", f"{time_zone} is not a time zone.", "Choose one such as Europe/London.", field="time_zone")
    if not 1 <= log_retention_days <= 3650:
        raise DomainError("settings.retention", "Log retention must be 1 to 3650 days.", "Enter a number of days.", field="log_retention_days")
    put({"time_zone": time_zone, "debug_log": debug_log, "log_retention_days": log_retention_days}, actor=actor)


def save_notifications(
    *, recipients: list[str], authorisation: bool, failures: bool, actor: str, deadlines: bool = True, ship_hours: int = 24, answer_hours: int = 6
) -> None:
    """Who is told what, and how many hours before a deadline passes."""
    wrong = [text for text in recipients if not looks_like_email(text)]
    if wrong:
        raise DomainError("settings.recipient", f"{', '.join(wrong)} is not an e-mail address.", "Write one address a line.", field="recipients")
    for name, hours in (("ship_hours", ship_hours), ("answer_hours", answer_hours)):
        if not 1 <= hours <= 240:
            raise DomainError("settings.warning", "A warning comes 1 to 240 hours before.", "Enter a number of hours.", field=name)
    switches = {"notify.authorisation": authorisation, "notify.failures": failures, "notify.deadlines": deadlines}
    put({"notify.recipients": recipients, **switches, "deadlines.ship_hours": ship_hours, "deadlines.answer_hours": answer_hours}, actor=actor)


def time_zone() -> ZoneInfo:
    return ZoneInfo(get("time_zone"))


def _host_name(url: str) -> bool:
    try:
        host = urlsplit(url).hostname or ""
        return bool(host.encode("idna"))
    except ValueError:
        return False


def save_staging(*, url: str, none: bool, actor: str) -> None:
    """The storefront that the go-live check looks at as a stranger."""
    url = url.strip()
    if url and not url.startswith(("http://", "https://")):
        raise DomainError("settings.staging", "Start the address with https://.", "", field="staging_url")
    if url and not _host_name(url):
        raise DomainError("settings.staging", "The address has no host name that can be one.", "Such as https://staging.example.com", field="staging_url")
    put({"go_live.staging_url": url, "go_live.no_staging": none}, actor=actor)
