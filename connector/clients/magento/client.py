"""The client of one Magento store."""

from __future__ import annotations

from connector.clients.magento.carts import CartsApi
from connector.clients.magento.media import MediaApi
from connector.clients.magento.probe import ProbeApi


class MagentoClient(ProbeApi, CartsApi, MediaApi):
    """One method an endpoint. Cheap to make; threads may share it.

    `auth` is `OAuth1` (recommended, works everywhere) or `Bearer`. `signing_base_url` is what Magento believes it is reached by, when a
    proxy hides it (MAG §1.2 b). `account_key` names the account to limiter, breaker and record. `store` arguments are store view codes
    or "all"; without one Magento uses its default store view. Numbers with a fraction come as Decimal and may be sent as Decimal.
    Every method raises `ApiError` kinds only, and ValueError for an argument that can never be right. `Redirected` names the address
    that the base URL should have been.
    """
