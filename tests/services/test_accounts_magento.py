"""The Magento connection against the practice store: Test connection and its messages (product.md 3, MAG §1)."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from flask import Flask

from connector.clients.magento import MagentoClient
from connector.core.db import db, end_reading
from connector.core.errors import DomainError
from connector.models.account import MagentoConnection
from connector.practice.serve import PracticeServer
from connector.services import accounts, connections, magento
from connector.services.accounts.editing import store_views
from tests.clients.scripted import closed_port


def keys(server: PracticeServer, **body: Any) -> dict[str, str]:
    answer = requests.post(f"{server.url}/practice/integrations", json=body, timeout=30)
    answer.raise_for_status()
    found = answer.json()
    return {name: found[name] for name in magento.KEYS}


def save(server: PracticeServer, **changes: Any) -> MagentoConnection:
    values = {"environment": "sandbox", "base_url": server.url, "auth_kind": "oauth1", "actor": "tests", **changes}
    return magento.save(**values)


def test_the_practice_store_is_connected_in_one_step_and_everything_is_learned(app: Flask, practice_magento: PracticeServer) -> None:
    row = accounts.use_practice_store(actor="tests")
    facts = db.session.get(MagentoConnection, row.id, populate_existing=True).facts
    assert facts["ok"], facts["problems"]
    assert facts["problems"] == facts["missing"] == []
    assert facts["msi"] is True
    assert facts["currency"] == "USD"
    assert abs(facts["clock_offset"]) < 5
    assert len(store_views(row.id)) >= 2
    for kind in ("store_view", "website", "source", "stock", "attribute"):
        assert db.session.scalars(magento.references(row.id, kind)).all(), kind


def test_connecting_the_practice_store_again_keeps_one_connection(app: Flask, practice_magento: PracticeServer) -> None:
    """A034"""
    first = accounts.use_practice_store(actor="tests")
    assert accounts.use_practice_store(actor="tests").id == first.id


def test_missing_permissions_are_named_one_by_one(app: Flask, practice_magento: PracticeServer) -> None:
    row = save(practice_magento, **keys(practice_magento, acl=["Magento_Backend::store", "Magento_Catalog::products"]))
    facts = magento.test(row.id)
    assert not facts["ok"]
    assert "Magento_Sales::actions_view" in facts["missing"]
    assert "Magento_Sales::actions_view" in facts["problems"][0]["message"]
    assert "System > Integrations" in facts["problems"][0]["remedy"]


def test_a_wrong_token_is_said_with_magentos_own_words(app: Flask, practice_magento: PracticeServer) -> None:
    good = keys(practice_magento, acl="all")
    row = save(practice_magento, **{**good, "access_token": "z" * 32})
    facts = magento.test(row.id)
    assert not facts["ok"]
    assert "Magento said:" in facts["problems"][0]["message"]
    assert facts["problems"][0]["remedy"]


def test_a_store_that_is_not_there_is_said_as_such(app: Flask, practice_magento: PracticeServer) -> None:
    port = closed_port()
    row = magento.save(
        environment="production",
        base_url=f"http://127.0.0.1:{port}",
        auth_kind="bearer",
        access_token="t" * 32,
        actor="tests",
    )
    facts = magento.test(row.id)
    assert facts["problems"][0]["message"] == f"http://127.0.0.1:{port} cannot be reached."
    assert "address" in facts["problems"][0]["remedy"]
    for _ in range(10):
        magento.test(row.id)
    moved = magento.save(
        environment="production",
        base_url=practice_magento.url.replace("127.0.0.1", "localhost") + "/shop",
        auth_kind="bearer",
        access_token="t" * 32,
        actor="tests",
    )
    answered = magento.test(moved.id)["problems"][0]  # asked at once, however often the wrong address had failed
    assert "answers, but not as Magento's REST API" in answered["message"]
    assert "base address" in answered["remedy"]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("https://a..b", "host name"),
        ("shop.example", "https://"),
        ("https://", "host name"),
        ("https://a:b@shop.example", "password"),
        ("https://shop.example/rest/V1", "without /rest"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused_at_its_field(app: Flask, address: str, words: str) -> None:
    with pytest.raises(DomainError) as caught:
        magento.save(environment="production", base_url=address, auth_kind="bearer", access_token="t" * 32, actor="tests")
    assert caught.value.field == "base_url"
    assert words in caught.value.message


def test_a_sandbox_connection_may_not_point_to_another_store_and_a_live_one_not_to_the_practice_store(app: Flask, practice_magento: PracticeServer) -> None:
    """A247"""
    with pytest.raises(DomainError) as caught:
        save(practice_magento, base_url="https://shop.example.com")
    assert caught.value.code == "magento.not_practice"
    with pytest.raises(DomainError) as caught:
        save(practice_magento, environment="production")
    assert caught.value.code == "magento.is_practice"


def test_blank_keys_keep_the_stored_ones_but_not_for_another_address(app: Flask) -> None:
    first = {"environment": "production", "base_url": "https://one.example", "auth_kind": "bearer", "actor": "tests"}
    row = magento.save(**first, access_token="t" * 32)
    assert magento.save(**first, access_token="").access_token == "t" * 32
    with pytest.raises(DomainError) as caught:
        magento.save(**{**first, "base_url": "https://two.example"}, access_token="")
    assert caught.value.field == "access_token"
    db.session.expire_all()
    assert db.session.get(MagentoConnection, row.id).base_url == "https://one.example"


def test_a_newcomer_gets_a_practice_account_with_its_store(app: Flask, practice_tiktok: PracticeServer, practice_magento: PracticeServer) -> None:
    account = accounts.use_practice_shop("US", actor="tests")
    assert (account.environment, account.country, account.active, account.store_view) == ("sandbox", "US", True, "default")
    assert account.magento is not None
    assert accounts.use_practice_shop("US", actor="tests").id == account.id


class Relay(BaseHTTPRequestHandler):
    """Hands every read on to the practice store; its clock runs ``server.ahead`` seconds ahead."""

    def do_GET(self) -> None:
        answer = requests.get(f"{self.server.behind}{self.path}", headers={"Authorization": self.headers["Authorization"]}, timeout=30)
        self.send_response_only(answer.status_code)
        self.send_header("Date", formatdate(time.time() + self.server.ahead, usegmt=True))
        self.send_header("Content-Type", answer.headers["Content-Type"])
        self.send_header("Content-Length", str(len(answer.content)))
        self.end_headers()
        self.wfile.write(answer.content)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(behind: str, *, ahead: float = 0.0, certificate: Path | None = None) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    server.behind, server.ahead = behind, ahead
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def self_signed(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
    made = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "self-signed.pem"
    path.write_bytes(pem + made.public_bytes(serialization.Encoding.PEM))
    return path


def live_facts(url: str, token: str) -> dict[str, Any]:
    row = magento.save(environment="production", base_url=url, auth_kind="bearer", access_token=token, actor="tests")
    return magento.test(row.id)


def test_a_store_whose_clock_is_wrong_is_told_with_the_seconds(app: Flask, practice_magento: PracticeServer) -> None:
    integration = requests.post(f"{practice_magento.url}/practice/integrations", json={"acl": "all", "bearer": True}, timeout=10).json()
    with serving(practice_magento.url, ahead=400) as port:
        facts = live_facts(f"http://127.0.0.1:{port}", integration["access_token"])
    assert [problem["message"] for problem in facts["problems"]] == [f"Magento's clock is {abs(facts['clock_offset']):.0f} s ahead of ours."]
    assert 395 < facts["clock_offset"] < 405
    assert "NTP" in facts["problems"][0]["remedy"]


def test_a_certificate_that_nobody_vouches_for_is_told_as_such(app: Flask, practice_magento: PracticeServer, tmp_path: Path) -> None:
    with serving(practice_magento.url, certificate=self_signed(tmp_path)) as port:
        facts = live_facts(f"https://localhost:{port}", "t" * 32)
    assert "certificate is not accepted" in facts["problems"][0]["message"]
    assert "Install a valid certificate" in facts["problems"][0]["remedy"]
    assert facts["granted"] == []


def place_order(client: MagentoClient) -> str:
    """An order as a shopper makes it; its entity id."""
    end_reading()
    street = {"street": ["1 Sample Street"], "city": "Austin", "region_id": 57, "postcode": "78701", "country_id": "US", "telephone": "5550100"}
    address = {"firstname": "Buyer", "lastname": "0001 Example", "email": "buyer-0001@example.test", **street}
    cart = client.create_cart(store="default")
    client.add_item(cart, "TEE-BLA-S", 1, store="default")
    client.shipping_information(cart, shipping_address=address, billing_address=address, carrier_code="flatrate", method_code="flatrate", store="default")
    return client.place_order(cart, store="default")


def test_carriers_are_learned_from_the_shipments_of_the_last_90_days(app: Flask, practice_magento: PracticeServer) -> None:
    """product.md 4: carrier rows are suggested"""
    row = accounts.use_practice_store(actor="tests")
    for code, title in (("ups", "UPS"), ("custom", "Royal Mail"), ("ups", "UPS")):
        order_id = place_order(connections.magento(row.id))
        body = {"tracks": [{"carrier_code": code, "title": title, "track_number": f"T{order_id}"}]}
        requests.post(f"{practice_magento.url}/practice/orders/{order_id}/ship", json=body, timeout=30).raise_for_status()
    assert magento.test(row.id)["carriers"] == 2
    assert [(carrier.code, carrier.data["shipments"]) for carrier in magento.known_carriers()] == [("ups", 2), ("Royal Mail", 1)]
