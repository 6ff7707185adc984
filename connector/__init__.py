"""The TikTok Shop connector for Magento 2."""

from __future__ import annotations

from datetime import timedelta

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from connector.config import Config

__version__ = "0.4.0"


def create_app(config: Config | None = None) -> Flask:
    """The application. Extensions are bound here; importing a module does no work."""
    from connector import blueprints, cli, jobs, models, services, web
    from connector.core import crypto, logs
    from connector.core.db import db

    config = config or Config.from_env()
    logs.configure(config.log_level, json_lines=config.log_json)
    crypto.configure(list(config.encryption_keys))
    app = Flask("connector", instance_path=str(config.instance))
    # bound values may be buyer data: they stay out of tracebacks
    engine_options: dict[str, object] = {"pool_pre_ping": not config.uses_sqlite, "hide_parameters": True}
    if config.uses_sqlite:
        engine_options["pool_size"] = 40
    else:
        # a server that vanishes without a word is given up after half a minute instead of two hours
        alive = {"connect_timeout": 10, "keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
        engine_options |= {"pool_size": 20, "max_overflow": 20, "connect_args": {"application_name": "connector", **alive}}
    app.config.update(
        CONNECTOR=config,
        SECRET_KEY=config.secret_key,
        SQLALCHEMY_DATABASE_URI=config.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options,
        SESSION_COOKIE_NAME="connector_session",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=config.public_url.startswith("https:"),
        PERMANENT_SESSION_LIFETIME=timedelta(days=14),
        MAX_CONTENT_LENGTH=4 * 1024 * 1024,
        TESTING=config.testing,
        VERSION=__version__,
    )
    if config.trusted_proxies:
        count = config.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]
    _ = models
    db.init_app(app)
    services.init_app(app)
    jobs.init_app(app)
    web.init_app(app)
    blueprints.register(app)
    cli.register(app)
    return app
