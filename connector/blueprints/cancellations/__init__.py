"""Cancellations: requests and their answers, recalls."""

from connector.blueprints.cancellations import recalls as _recalls  # noqa: F401 - adds its routes
from connector.blueprints.cancellations.views import bp

__all__ = ["bp"]
