"""The hold-hour board."""

from connector.blueprints.holds.views import bp

__all__ = ["bp"]
