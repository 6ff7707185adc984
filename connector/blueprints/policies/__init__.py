"""TikTok policies: grid, a form for each type, versions (A051-A060, A099-A122)."""

from connector.blueprints.policies.views import bp

__all__ = ["bp"]
