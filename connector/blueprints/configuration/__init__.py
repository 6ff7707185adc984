"""Configuration (A050, product.md 12): TikTok app, Magento, mail, notifications, logs, time zone, go-live."""

from connector.blueprints.configuration.views import bp

__all__ = ["bp"]
