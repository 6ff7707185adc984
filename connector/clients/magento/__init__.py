"""Magento 2 REST: see `connector.clients` for the signatures."""

from connector.clients.magento.caller import BadBaseUrl, is_loopback, normalise_base_url
from connector.clients.magento.client import MagentoClient
from connector.clients.magento.inventory import Salable
from connector.clients.magento.oauth1 import Bearer, OAuth1
from connector.clients.magento.probe import ProbeReport
from connector.clients.magento.search import SearchCriteria, SearchResult

__all__ = [
    "BadBaseUrl",
    "Bearer",
    "MagentoClient",
    "OAuth1",
    "ProbeReport",
    "Salable",
    "SearchCriteria",
    "SearchResult",
    "is_loopback",
    "normalise_base_url",
]
