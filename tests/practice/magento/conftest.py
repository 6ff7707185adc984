"""One practice store per test module, over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.practice.serve import PracticeServer

from .shop import Shop


@pytest.fixture(scope="module")
def store_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PracticeServer]:
    with PracticeServer("magento", tmp_path_factory.mktemp("magento")) as server:
        yield server


@pytest.fixture
def shop(store_server: PracticeServer) -> Shop:
    """The demo world, fresh."""
    shop = Shop(store_server.url)
    shop.control("POST", "reset")
    shop.use_first_integration()
    return shop
