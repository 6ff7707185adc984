"""Long work. ``runtime`` is the only code that knows how runs are executed, ``doorbell`` the only one that knows RQ."""

from __future__ import annotations

import importlib
import pkgutil

from flask import Flask

from connector.jobs import doorbell

#: Parts of the machine itself; every other module in this package holds job bodies.
MACHINE = frozenset({"doorbell", "runtime", "context", "scheduler", "sweeper", "worker"})


def init_app(app: Flask) -> None:
    doorbell.init_app(app)
    load_bodies()


def load_bodies() -> None:
    """Import every module of job bodies, so that each kind of work is registered."""
    for module in pkgutil.iter_modules(__path__):
        if module.name not in MACHINE:
            importlib.import_module(f"{__name__}.{module.name}")
