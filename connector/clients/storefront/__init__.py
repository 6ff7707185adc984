"""An external storefront in the shape of S4: see `client.StorefrontClient` for the signatures."""

from connector.clients.storefront.client import CANCELLED, Created, StorefrontClient, Versioned
from connector.clients.storefront.token import Grant, TokenCache

__all__ = ["CANCELLED", "Created", "Grant", "StorefrontClient", "TokenCache", "Versioned"]
