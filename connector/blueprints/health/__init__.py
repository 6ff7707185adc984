"""Is the product alive, ready, and how does it fare: ``/healthz``, ``/readyz``, ``/metrics``."""

from connector.blueprints.health.views import bp

__all__ = ["bp"]
