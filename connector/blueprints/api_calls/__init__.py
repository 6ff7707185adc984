"""API calls: list, one call, copy as curl, safe replay."""

from connector.blueprints.api_calls.views import bp

__all__ = ["bp"]
