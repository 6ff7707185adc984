"""The pages. Each package has a ``bp``; a view parses, calls one service or grid, and renders."""

from __future__ import annotations

import importlib
import pkgutil

from flask import Flask


def register(app: Flask) -> None:
    """Register the ``bp`` of every package below this one."""
    for package in sorted(pkgutil.iter_modules(__path__), key=lambda found: found.name):
        app.register_blueprint(importlib.import_module(f"{__name__}.{package.name}").bp)
