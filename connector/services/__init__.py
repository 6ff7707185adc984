"""Use cases in verbs. Local ones only flush; remote ones run three short steps: read and decide, call, record."""

from __future__ import annotations

from flask import Flask
from flask_migrate import Migrate

from connector.core.db import db
from connector.services import runs


def init_app(app: Flask) -> None:
    Migrate(app, db, directory=app.root_path + "/migrations", render_as_batch=True, compare_type=True)
    runs.install_outbox(app)
