"""What the layout shows on every page: menu, banners, version, the live stream.

A part of the product that has something to say on every page ("authorisation expired") registers a provider once::

    @banner_provider
    def expired_authorisations() -> list[Banner]: ...
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from flask import Flask, current_app, url_for
from flask_login import current_user

from connector.web.auth import can
from connector.web.navigation import ROOT, menu


class Banner(NamedTuple):
    """``tone``: info, success, warning, danger."""

    tone: str
    title: str
    text: str = ""
    action_label: str = ""
    action_url: str = ""


_providers: list[Callable[[], list[Banner]]] = []


def banner_provider(provider: Callable[[], list[Banner]]) -> Callable[[], list[Banner]]:
    """Register a function that is asked for banners at every full page; keep it to one small query."""
    _providers.append(provider)
    return provider


def _banners() -> list[Banner]:
    if not current_user.is_authenticated:
        return []
    return [banner for provider in _providers for banner in provider()]


def _url_or_none(endpoint: str, **values: object) -> str | None:
    return url_for(endpoint, **values) if endpoint in current_app.view_functions else None  # type: ignore[arg-type]


def _may_open(endpoint: str) -> bool:
    """Is the present user allowed to open the page behind an endpoint?"""
    permission = getattr(current_app.view_functions.get(endpoint), "permission", None)
    return permission is None or can(permission)


def init_app(app: Flask) -> None:
    app.jinja_env.add_extension("jinja2.ext.do")
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(menu=menu, menu_root=ROOT, banners=_banners, url_or_none=_url_or_none, may_open=_may_open)
    app.jinja_env.globals["version"] = app.config.get("VERSION", "")
