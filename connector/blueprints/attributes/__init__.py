"""TikTok attributes: grid, mapping in place, assigning, refetching (A123-A138, A153)."""

from connector.blueprints.attributes.views import bp

__all__ = ["bp"]
