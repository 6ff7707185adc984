"""Every table of the product; importing this package registers all of them."""

from connector.models import account, grid, order, policy, run, trace, user

__all__ = ["account", "grid", "order", "policy", "run", "trace", "user"]
