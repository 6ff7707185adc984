"""Alembic's environment: the application's own engine and metadata, batch mode for SQLite, one lock so that two starts do not race."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from alembic import context
from flask import current_app
from sqlalchemy import text

from connector.core.db import Base

config = context.config


def _render_item(kind: str, item: Any, autogen_context: Any) -> str | bool:
    """Write our column types by their plain database types: a migration must not change when a Python class does."""
    if kind == "type" and item.__class__.__module__ == "connector.core.db":
        impl = item.impl_instance if hasattr(item, "impl_instance") else item.impl
        return f"sa.{impl!r}"
    return False


def _no_empty_revision(ctx: Any, revision: Any, directives: list[Any]) -> None:
    if getattr(config.cmd_opts, "autogenerate", False) and directives[0].upgrade_ops.is_empty():
        directives[:] = []


def run() -> None:
    engine = current_app.extensions["migrate"].db.engine
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_lock(hashtext('connector migrations'))"))
            connection.commit()
        elif engine.url.database and not re.match(r":memory:", engine.url.database):
            Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            render_as_batch=True,
            compare_type=True,
            render_item=_render_item,
            process_revision_directives=_no_empty_revision,
        )
        with context.begin_transaction():
            context.run_migrations()
        if connection.dialect.name == "postgresql":  # the connection goes back to a pool, and the lock would go with it
            connection.execute(text("SELECT pg_advisory_unlock_all()"))
            connection.commit()


run()
