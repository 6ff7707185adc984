"""The OMS: what it was given, what it said, how it is connected (A251-A255)."""

from connector.blueprints.oms.views import bp

__all__ = ["bp"]
