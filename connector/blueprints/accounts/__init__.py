"""TikTok accounts: grid, forms, consent (A032-A049)."""

from connector.blueprints.accounts.views import bp

__all__ = ["bp"]
