from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from connector.practice.serve import PracticeServer

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
