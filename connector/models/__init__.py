"""Every table of the product; importing this package registers all of them."""

from connector.models import account, aftersales, grid, listing, oms, order, policy, product, run, trace, user

__all__ = ["account", "aftersales", "grid", "listing", "oms", "order", "policy", "product", "run", "trace", "user"]
