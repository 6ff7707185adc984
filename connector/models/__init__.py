"""Every table of the product; importing this package registers all of them."""

from connector.models import account, grid, listing, order, policy, product, run, trace, user

__all__ = ["account", "grid", "listing", "order", "policy", "product", "run", "trace", "user"]
