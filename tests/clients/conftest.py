from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from connector.clients.base import CallRecord, Transport
from connector.clients.magento import MagentoClient, OAuth1
from connector.clients.tiktok import TikTokClient
from tests.clients.scripted import ScriptedServer


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    yield server
    server.stop()


@pytest.fixture
def records() -> list[CallRecord]:
    return []


@pytest.fixture
def transport(records: list[CallRecord]) -> Iterator[Transport]:
    transport = Transport(record=records.append, timeouts=(10.0, 30.0))
    yield transport
    transport.close()


@pytest.fixture
def tiktok(server: ScriptedServer, transport: Transport) -> Callable[..., TikTokClient]:
    def make(**rest: Any) -> TikTokClient:
        facts: dict[str, Any] = {
            "app_key": "6examplekey01",
            "app_secret": "app-secret-never-shown",
            "token": lambda: "access-token-never-shown",
            "shop_cipher": "ROW_cipher+/=",
            "account_key": "a1",
            "base_url": server.url,
        }
        return TikTokClient(rest.pop("transport", transport), **facts | rest)

    return make


@pytest.fixture
def magento(server: ScriptedServer, transport: Transport) -> Callable[..., MagentoClient]:
    def make(**rest: Any) -> MagentoClient:
        facts: dict[str, Any] = {"base_url": server.url, "auth": OAuth1("ck", "cs", "at", "ats"), "account_key": "m1"}
        return MagentoClient(rest.pop("transport", transport), **facts | rest)

    return make
