"""The set-up wizard (A007-A031)."""

from connector.blueprints.setup.views import bp

__all__ = ["bp"]
