"""The order desk."""

from connector.blueprints.orders import desk
from connector.blueprints.orders.views import bp

__all__ = ["bp", "desk"]
