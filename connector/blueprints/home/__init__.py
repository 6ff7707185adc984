"""Today: what needs attention first."""

from connector.blueprints.home.views import bp

__all__ = ["bp"]
