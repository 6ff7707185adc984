"""TikTok accounts: grid, forms, consent (A032-A049), go-live checklist (A247-A250)."""

from connector.blueprints.accounts import go_live
from connector.blueprints.accounts import storefront as _storefront  # noqa: F401
from connector.blueprints.accounts.views import bp

__all__ = ["bp", "go_live"]
