"""Migrations on both databases: one head, models and schema agree, down and up again."""

from __future__ import annotations

import flask_migrate
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import inspect

from connector.core.db import Base, db


def test_there_is_one_head(app: Flask) -> None:
    script = ScriptDirectory.from_config(app.extensions["migrate"].migrate.get_config())
    assert len(script.get_heads()) == 1


def test_models_and_schema_agree(app: Flask) -> None:
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = [found for found in compare_metadata(context, Base.metadata) if not _is_only_the_spelling(found)]
    assert differences == []


def _is_only_the_spelling(found: object) -> bool:
    """Partial indexes are reflected with other parentheses than they were written with."""
    return isinstance(found, tuple) and str(found[0]) in ("add_index", "remove_index") and bool(found[1].dialect_options["postgresql"].get("where") is not None)


def test_down_and_up_again(app: Flask) -> None:
    db.session.remove()
    flask_migrate.downgrade(revision="base")
    assert set(inspect(db.engine).get_table_names()) <= {"alembic_version"}
    flask_migrate.upgrade()
    assert {"order", "order_line", "job_run", "account", "policy"} <= set(inspect(db.engine).get_table_names())
