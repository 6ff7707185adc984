"""Every vector of the contract, by our client's code (TTS §2.4, §5.8.3)."""

from __future__ import annotations

import hmac
import string
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.clients.tiktok import sign, verify_webhook
from connector.clients.tiktok.signature import webhook_signature
from tests.clients.recorded import VECTORS
from tests.clients.scripted import ScriptedServer, tts


@pytest.mark.parametrize("vector", VECTORS["api_vectors"], ids=lambda v: v["name"])
def test_request_signature_equals_the_vector(vector: dict[str, Any]) -> None:
    body = None if vector["body"] is None else vector["body"].encode()
    assert sign(vector["app_secret"], vector["path"], vector["query"], body, vector["content_type"]) == vector["expected_sign"]


@pytest.mark.parametrize("vector", VECTORS["webhook_vectors"], ids=lambda v: v["name"])
def test_webhook_is_accepted_or_refused_as_the_vector_says(vector: dict[str, Any]) -> None:
    raw = vector["raw_body"].encode()
    assert verify_webhook(vector["app_key"], vector["app_secret"], raw, vector["signature"]) is vector["valid"]


def test_there_are_as_many_vectors_as_the_contract_names() -> None:
    assert (len(VECTORS["api_vectors"]), len(VECTORS["webhook_vectors"])) == (22, 14)


@given(st.binary(), st.text(string.printable))
def test_any_changed_body_or_foreign_header_is_refused(body: bytes, header: str) -> None:
    good = webhook_signature("key", "secret", body)
    assert verify_webhook("key", "secret", body, good)
    assert not verify_webhook("key", "secret", body + b" ", good)
    assert header == good or not verify_webhook("key", "secret", body, header)
    assert not verify_webhook("key", "secret", body, None)


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_sign_and_access_token_take_no_part(query: dict[str, str]) -> None:
    plain = {k: v for k, v in query.items() if k not in ("sign", "access_token")}
    noisy = plain | {"sign": "x", "access_token": "y"}
    assert sign("s", "/p", plain, None, None) == sign("s", "/p", noisy, None, None)


def test_what_is_sent_is_what_was_signed(server: ScriptedServer, tiktok: Any) -> None:
    """The server recomputes the signature from the bytes on the wire: path, decoded query, raw body."""
    server.default = tts({"orders": [], "webhooks": []})
    client = tiktok()
    client.search_orders({"order_status": "AWAITING_SHIPMENT", "buyer_user_id": "Ann é ☕"}, page_token="a+b/c==&x=1 y")
    client.get_orders(["576460000000000001", "576460000000000002"])
    client.remove_webhook("ORDER_STATUS_CHANGE")
    client.approve_cancellation("4035000000000000001", idempotency_key="k/1 + 2")
    assert len(server.received) == 4
    for request in server.received:
        query = dict(parse_qsl(urlsplit(request.target).query, keep_blank_values=True))
        given = query.pop("sign")
        text = "app-secret-never-shown" + request.path + "".join(k + query[k] for k in sorted(query))
        message = text.encode() + request.body + b"app-secret-never-shown"
        assert given == hmac.new(b"app-secret-never-shown", message, sha256).hexdigest()
        assert query["shop_cipher"] == "ROW_cipher+/="
        assert request.headers["x-tts-access-token"] == "access-token-never-shown"
        assert request.headers["content-type"] == "application/json"
    assert [r.method for r in server.received] == ["POST", "GET", "DELETE", "POST"]
    assert [bool(r.body) for r in server.received] == [True, False, True, False]
