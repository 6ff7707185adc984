"""TikTok Shop: see `connector.clients` for the signatures."""

from connector.clients.tiktok.aftersales import CreatedReturn, RefundAmount
from connector.clients.tiktok.auth import AUTH_HOST, TikTokAuth, TokenGrant, authorization_url
from connector.clients.tiktok.caller import API_HOST, Page
from connector.clients.tiktok.catalogue import Prerequisite, Recommendation, UploadedImage
from connector.clients.tiktok.client import TikTokClient
from connector.clients.tiktok.envelope import BatchResult, ItemError
from connector.clients.tiktok.fulfillment import MarkedShipped, ShippingDocument, TrackingEvent
from connector.clients.tiktok.orders import DETAIL_LIMIT, Window, external_order
from connector.clients.tiktok.product_codes import ProductProblem, explain, explain_all
from connector.clients.tiktok.products import ListingCheck, Refusal, SavedProduct, SavedSku, shelf_price
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
    "CreatedReturn",
    "ItemError",
    "ListingCheck",
    "MarkedShipped",
    "Operation",
    "Page",
    "Prerequisite",
    "ProductProblem",
    "Recommendation",
    "RefundAmount",
    "Refusal",
    "SavedProduct",
    "SavedSku",
    "ShippingDocument",
    "TikTokAuth",
    "TikTokClient",
    "TokenGrant",
    "TrackingEvent",
    "UploadedImage",
    "Window",
    "authorization_url",
    "explain",
    "explain_all",
    "external_order",
    "shelf_price",
    "sign",
    "verify_webhook",
]
