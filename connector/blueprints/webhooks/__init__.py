"""Where TikTok delivers its webhooks."""

from connector.blueprints.webhooks.views import bp

__all__ = ["bp"]
