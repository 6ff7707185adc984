"""The practice store: a Magento 2.4.6 with MSI over REST, as a real HTTP server with its own storage."""

from .app import create_app

__all__ = ["create_app"]
