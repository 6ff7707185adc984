"""Deadlines: the board of pending actions."""

from connector.blueprints.deadlines.views import bp

__all__ = ["bp"]
