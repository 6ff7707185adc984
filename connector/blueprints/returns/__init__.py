"""Returns and refunds."""

from connector.blueprints.returns import answering
from connector.blueprints.returns.views import bp

__all__ = ["answering", "bp"]
