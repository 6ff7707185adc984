"""Listing templates (A139-A156)."""

from connector.blueprints.templates.views import bp

__all__ = ["bp"]
