"""Loads every module that registers REST routes."""

from importlib import import_module

_MODULES = (
    "attributes",
    "carts",
    "catalog",
    "categories",
    "checkout",
    "creditmemos",
    "customers",
    "directory",
    "inventory_api",
    "invoices",
    "order_actions",
    "order_save",
    "orders",
    "prices",
    "shipments",
    "stores",
    "tax",
)


def load() -> None:
    """Import the route modules once; each registers its routes as it loads."""
    for name in _MODULES:
        import_module(f"{__package__}.{name}")
