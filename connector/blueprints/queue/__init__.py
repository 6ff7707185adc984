"""Queue Process and Activity."""

from connector.blueprints.queue.views import bp

__all__ = ["bp"]
