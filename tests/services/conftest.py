"""A shop with orders and no store."""

from __future__ import annotations

import pytest
from flask import Flask

from connector.models.account import Account
from connector.practice.serve import PracticeServer
from tests.factories import shop
from tests.factories.creation import Store


@pytest.fixture
def market(practice_tiktok: PracticeServer) -> shop.Market:
    return shop.Market(practice_tiktok.url)


@pytest.fixture
def account(app: Flask, market: shop.Market) -> Account:
    """A GB account, authorised at the practice marketplace."""
    return shop.authorise("GB")


@pytest.fixture
def store(practice_magento: PracticeServer) -> Store:
    """The practice store as the merchant sees it."""
    return Store(practice_magento.url)
