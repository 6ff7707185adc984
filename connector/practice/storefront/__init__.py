"""The practice external storefront: a shop that is no Magento, in the shape of S4 (CreateExternalOrder, GetOrder, PATCH Order), over real HTTP."""

from __future__ import annotations

from pathlib import Path

from flask import Flask

from connector.practice.mishaps import Mishaps

from . import api, control, pages
from .book import Book
from .problems import problem


def create_app(data_dir: Path) -> Flask:
    """The store whose state lives in `data_dir`, as a thread-safe WSGI application."""
    app = Flask(__name__, static_folder=None)
    book = Book(Path(data_dir))
    mishaps = Mishaps(lambda status, detail: problem(status, detail))
    app.register_blueprint(api.blueprint(book, mishaps))
    app.register_blueprint(control.blueprint(book, mishaps))
    app.register_blueprint(pages.blueprint(book))
    return app
