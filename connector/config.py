"""Configuration from the environment (product.md 12); everything has an embedded default under ``instance/``."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from click import ClickException

from connector.core import crypto

PROJECT = Path(__file__).resolve().parent.parent

TIKTOK_API = "https://open-api.tiktokglobalshop.com"
TIKTOK_AUTH = "https://auth.tiktok-shops.com"


class ConfigError(ClickException):
    """The environment is half-configured; ``problems`` lists every fault at once. The command line shows it as text."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("The configuration cannot be used:\n" + "\n".join(f"  - {problem}" for problem in problems))
        self.problems = problems


@dataclass(frozen=True)
class Config:
    """What one process needs to know. Built once, never changed."""

    instance: Path
    database_url: str
    redis_url: str
    secret_key: str = field(repr=False)
    encryption_keys: tuple[str, ...] = field(repr=False)
    public_url: str = "http://127.0.0.1:5000"
    host: str = "127.0.0.1"
    port: int = 5000
    tiktok_app_key: str = ""
    tiktok_app_secret: str = field(default="", repr=False)
    tiktok_service_id: str = ""
    tiktok_api_url: str = TIKTOK_API
    tiktok_auth_url: str = TIKTOK_AUTH
    smtp_url: str = field(default="", repr=False)
    practice_tiktok_url: str = "http://127.0.0.1:5001"
    practice_magento_url: str = "http://127.0.0.1:5002"
    practice_storefront_url: str = "http://127.0.0.1:5003"  #: empty: there is none
    practice_oms_url: str = "http://127.0.0.1:5004"  #: empty: there is none
    own_keys: bool = False  #: the encryption key is the one in the instance folder
    embedded_redis: bool = True
    trusted_proxies: int = 0  #: proxies in front whose X-Forwarded headers are believed
    log_level: str = "INFO"
    log_json: bool = False
    testing: bool = False

    @property
    def uses_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, *, testing: bool = False) -> Config:
        """Read the environment; raises ``ConfigError`` that names every fault at once."""
        env = os.environ if environ is None else environ
        problems: list[str] = []
        instance = Path(env.get("CONNECTOR_INSTANCE", PROJECT / "instance")).resolve()
        with contextlib.suppress(PermissionError):
            instance.mkdir(parents=True, exist_ok=True)
        if not os.access(instance, os.W_OK | os.X_OK):
            raise ConfigError([f"The folder {instance} cannot be written. Give it to the user that runs the product: chown -R {os.getuid()}: {instance}"])

        port = _integer(env, "PORT", 5000, problems)
        host = env.get("HOST", "127.0.0.1")
        public_url = env.get("PUBLIC_URL", f"http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}").rstrip("/")  # noqa: S104
        if not re.match(r"https?://[^/]+", public_url):
            problems.append(f"PUBLIC_URL is {public_url!r}; write it with http:// or https:// and a host name.")
        database_url = env.get("DATABASE_URL", f"sqlite:///{instance / 'connector.sqlite3'}")
        database_url = re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", database_url)
        if not database_url.startswith(("sqlite:", "postgresql+psycopg:")):
            problems.append("DATABASE_URL must begin with sqlite: or postgresql:; other databases are not supported.")
        redis_url = env.get("REDIS_URL", "")
        keys = tuple(key for key in re.split(r"[,\s]+", env.get("CONNECTOR_ENCRYPTION_KEYS", "")) if key)
        own_keys = not keys
        if own_keys:
            keys = (crypto.read_or_create_key(instance / "encryption.key"),)
        try:
            crypto.Vault(list(keys))
        except ValueError:
            problems.append("CONNECTOR_ENCRYPTION_KEYS holds a key that is not 32 url-safe base64 bytes; make one with `flask connector keys`.")
        given = [name for name in ("TIKTOK_APP_KEY", "TIKTOK_APP_SECRET", "TIKTOK_SERVICE_ID") if env.get(name)]
        if given and len(given) < 3:
            lacking = sorted({"TIKTOK_APP_KEY", "TIKTOK_APP_SECRET", "TIKTOK_SERVICE_ID"} - set(given))
            problems.append(f"{', '.join(given)} is set but {', '.join(lacking)} is not; set all three or none.")
        trusted_proxies = _integer(env, "TRUSTED_PROXIES", 0, problems)
        if problems:
            raise ConfigError(problems)
        return cls(
            instance=instance,
            database_url=database_url,
            redis_url=redis_url or f"unix://{instance / 'valkey' / 'valkey.sock'}",
            embedded_redis=not redis_url,
            secret_key=env.get("SECRET_KEY") or crypto.read_or_create_key(instance / "session.key"),
            encryption_keys=keys,
            own_keys=own_keys,
            public_url=public_url,
            host=host,
            port=port,
            tiktok_app_key=env.get("TIKTOK_APP_KEY", ""),
            tiktok_app_secret=env.get("TIKTOK_APP_SECRET", ""),
            tiktok_service_id=env.get("TIKTOK_SERVICE_ID", ""),
            tiktok_api_url=env.get("TIKTOK_API_URL", TIKTOK_API).rstrip("/"),
            tiktok_auth_url=env.get("TIKTOK_AUTH_URL", TIKTOK_AUTH).rstrip("/"),
            smtp_url=env.get("SMTP_URL", ""),
            practice_tiktok_url=env.get("PRACTICE_TIKTOK_URL", f"http://127.0.0.1:{port + 1}").rstrip("/"),
            practice_magento_url=env.get("PRACTICE_MAGENTO_URL", f"http://127.0.0.1:{port + 2}").rstrip("/"),
            practice_storefront_url=env.get("PRACTICE_STOREFRONT_URL", f"http://127.0.0.1:{port + 3}").rstrip("/"),
            practice_oms_url=env.get("PRACTICE_OMS_URL", f"http://127.0.0.1:{port + 4}").rstrip("/"),
            trusted_proxies=trusted_proxies,
            log_level=env.get("LOG_LEVEL", "INFO").upper(),
            log_json=logs_json(env),
            testing=testing,
        )


def logs_json(env: Mapping[str, str]) -> bool:
    """Whether log lines are JSON objects; gunicorn's first process asks before there is a ``Config``."""
    return env.get("LOG_JSON", "") in ("1", "true", "yes")


def _integer(env: Mapping[str, str], name: str, default: int, problems: list[str]) -> int:
    raw = env.get(name, str(default))
    if raw.isdigit() and int(raw) < 65536:
        return int(raw)
    problems.append(f"{name} is {raw!r}; it must be a whole number below 65536.")
    return default
