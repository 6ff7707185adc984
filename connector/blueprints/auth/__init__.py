"""Signing in and out, one's own sessions and tokens, and the users page for administrators."""

from connector.blueprints.auth.views import bp

__all__ = ["bp"]
