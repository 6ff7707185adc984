"""TikTok Shop: see `connector.clients` for the signatures."""

from connector.clients.tiktok.auth import AUTH_HOST, TikTokAuth, TokenGrant, authorization_url
from connector.clients.tiktok.caller import API_HOST, Page
from connector.clients.tiktok.client import TikTokClient
from connector.clients.tiktok.envelope import BatchResult, ItemError
from connector.clients.tiktok.fulfillment import MarkedShipped, ShippingDocument, TrackingEvent
from connector.clients.tiktok.orders import DETAIL_LIMIT, Window, external_order
from connector.clients.tiktok.registry import OPERATIONS, Operation
from connector.clients.tiktok.shops import AuthorizedShop
from connector.clients.tiktok.signature import sign, verify_webhook

__all__ = [
    "API_HOST",
    "AUTH_HOST",
    "DETAIL_LIMIT",
    "OPERATIONS",
    "AuthorizedShop",
    "BatchResult",
    "ItemError",
    "MarkedShipped",
    "Operation",
    "Page",
    "ShippingDocument",
    "TikTokAuth",
    "TikTokClient",
    "TokenGrant",
    "TrackingEvent",
    "Window",
    "authorization_url",
    "external_order",
    "sign",
    "verify_webhook",
]
