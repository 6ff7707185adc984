"""What the layout shows on every page: menu, banners, version, the live stream.

A part of the product that has something to say on every page ("authorisation expired") registers a provider once::

    @banner_provider
    def expired_authorisations() -> list[Banner]: ...
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from flask import Flask, current_app, request, url_for
from flask_login import current_user
from sqlalchemy import event
from sqlalchemy.orm import Session

from connector.core.db import db
from connector.web.auth import can
from connector.web.navigation import ROOT, drawn_menu


class Banner(NamedTuple):
    """``tone``: info, success, warning, danger."""

    tone: str
    title: str
    text: str = ""
    action_label: str = ""
    action_url: str = ""


#: How long an answer of the providers is kept; a commit of this process forgets it at once, one of a worker is seen after this time.
BANNER_SECONDS = 3.0

_providers: list[Callable[[], list[Banner]]] = []
_kept: dict[Any, tuple[int, float, list[Banner]]] = {}
_counter = itertools.count(1)
_commits = 0


def banner_provider(provider: Callable[[], list[Banner]]) -> Callable[[], list[Banner]]:
    """Register a function that is asked for banners at full pages. It may look at the database, the user's role and ``request.blueprint``,
    at nothing else: its answer is kept for a few seconds for everybody of that role in that area."""
    _providers.append(provider)
    return provider


@event.listens_for(Session, "after_commit")
def _forget_banners(session: Session) -> None:
    global _commits
    _commits = next(_counter)


@event.listens_for(Session, "after_begin")
def _note_what_is_visible(session: Session, transaction: Any, connection: Any) -> None:
    session.info["commits_seen"] = _commits


def _banners() -> list[Banner]:
    if not current_user.is_authenticated:
        return []
    key = (current_app.config["SQLALCHEMY_DATABASE_URI"], current_user.role, request.blueprint, request.script_root)
    now = time.monotonic()
    known = _kept.get(key)
    if known is None or known[0] != _commits or now - known[1] > BANNER_SECONDS:
        # This transaction may not see what was committed since it began, so its answer counts as one of that time.
        seen = db.session().info["commits_seen"] if db.session().in_transaction() else _commits
        known = _kept[key] = (seen, now, [banner for provider in _providers for banner in provider()])
    return known[2]


def _url_or_none(endpoint: str, **values: object) -> str | None:
    return url_for(endpoint, **values) if endpoint in current_app.view_functions else None  # type: ignore[arg-type]


def _may_open(endpoint: str) -> bool:
    """Is the present user allowed to open the page behind an endpoint?"""
    permission = getattr(current_app.view_functions.get(endpoint), "permission", None)
    return permission is None or can(permission)


def init_app(app: Flask) -> None:
    app.jinja_env.add_extension("jinja2.ext.do")
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(drawn_menu=drawn_menu, menu_root=ROOT, banners=_banners, url_or_none=_url_or_none, may_open=_may_open)
    app.jinja_env.globals["version"] = app.config.get("VERSION", "")
