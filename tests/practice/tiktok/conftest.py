from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from connector.practice.serve import PracticeServer

from .receiver import Receiver
from .seller import Seller


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PracticeServer]:
    with PracticeServer("tiktok", tmp_path_factory.mktemp("marketplace")) as running:
        yield running


@pytest.fixture
def seller(server: PracticeServer) -> Seller:
    """An app authorized for all three shops, in a marketplace that has just been emptied."""
    requests.post(f"{server.url}/practice/reset", json={"authorizations": True}, timeout=20).raise_for_status()
    requests.post(f"{server.url}/practice/app", json={"webhook_url": ""}, timeout=20).raise_for_status()
    return Seller(server.url)


@pytest.fixture
def receiver(seller: Seller) -> Iterator[Receiver]:
    running = Receiver()
    seller.control("POST", "app", {"webhook_url": running.url})
    yield running
    seller.control("POST", "app", {"webhook_url": ""})
    running.server.shutdown()
    running.server.server_close()
