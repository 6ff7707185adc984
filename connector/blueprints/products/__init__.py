"""Products: the grid with its actions, importing, and (``page``, ``stock``, ``linking``) one product and its links."""

from connector.blueprints.products import actions, linking, page, stock
from connector.blueprints.products.views import bp

__all__ = ["actions", "bp", "linking", "page", "stock"]
