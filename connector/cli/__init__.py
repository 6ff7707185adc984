"""``flask connector ...``: everything a cron job or a script needs, through the same functions as the buttons."""

from __future__ import annotations

import importlib
import pkgutil

from flask import Flask
from flask.cli import AppGroup

group = AppGroup("connector", help="Work with the connector from the command line.")


def register(app: Flask) -> None:
    """Hang the commands of every module of this package into the application."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    app.cli.add_command(group)
