"""The client of one TikTok Shop."""

from __future__ import annotations

from connector.clients.tiktok.aftersales import AftersalesApi
from connector.clients.tiktok.catalogue import CatalogueApi
from connector.clients.tiktok.fulfillment import FulfillmentApi
from connector.clients.tiktok.orders import OrdersApi
from connector.clients.tiktok.products import ProductsApi
from connector.clients.tiktok.shops import ShopsApi


class TikTokClient(ShopsApi, CatalogueApi, ProductsApi, OrdersApi, FulfillmentApi, AftersalesApi):
    """One method an endpoint, for one shop of one seller. Cheap to make; threads may share it.

    `token` gives the access token, and is asked before every attempt. When the marketplace refuses it, `refresh` is called once with
    the refused token (so that a refresh by somebody else in between is noticed) and the call is repeated once.
    `account_key` names the account to limiter, breaker and record. `clock_offset` (seconds) is learnt from every answer's `Date`;
    `on_clock_offset` gets each new value. `versions` pins operations to a version; one that the marketplace no longer offers
    falls back by itself for the life of this object.
    Every method raises `ApiError` kinds only, and ValueError for an argument that can never be right.
    """
