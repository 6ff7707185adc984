"""The receiving side of the signatures, against every vector of the contract (TTS §2.4, §5.8.3)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from connector.practice.tiktok.signature import request_digest, request_is_genuine, request_text, webhook_is_genuine

VECTORS = json.loads((Path(__file__).parents[2] / "contracts" / "tiktok-signing-vectors.json").read_text())


def parts(vector: dict[str, Any]) -> tuple[Any, ...]:
    body = (vector["body"] or "").encode()
    return vector["app_secret"], vector["path"], list(vector["query"].items()), vector["content_type"], body


@pytest.mark.parametrize("vector", VECTORS["api_vectors"], ids=lambda vector: vector["name"])
def test_every_request_vector_is_recomputed_and_accepted(vector: dict[str, Any]) -> None:
    assert request_text(*parts(vector)).decode() == vector["string_to_sign"]
    assert request_digest(*parts(vector)) == vector["expected_sign"]
    assert request_is_genuine(*parts(vector), vector["expected_sign"])


@pytest.mark.parametrize("vector", VECTORS["api_vectors"], ids=lambda vector: vector["name"])
def test_a_tampered_request_is_refused(vector: dict[str, Any]) -> None:
    secret, path, query, content_type, body = parts(vector)
    sign = vector["expected_sign"]
    assert not request_is_genuine(secret + "x", path, query, content_type, body, sign)
    assert not request_is_genuine(secret, path + "/", query, content_type, body, sign)
    assert not request_is_genuine(secret, path, [*query, ("extra", "1")], content_type, body, sign)
    assert not request_is_genuine(secret, path, query, content_type, body, sign.upper())
    assert not request_is_genuine(secret, path, query, content_type, body, sign[:-1])
    multipart = (content_type or "").startswith("multipart/form-data")
    assert request_is_genuine(secret, path, query, content_type, body + b" ", sign) is multipart


@pytest.mark.parametrize("vector", VECTORS["webhook_vectors"], ids=lambda vector: vector["name"])
def test_every_webhook_vector_is_judged_as_the_contract_says(vector: dict[str, Any]) -> None:
    raw = vector["raw_body"].encode()
    assert webhook_is_genuine(vector["app_key"], vector["app_secret"], raw, vector["signature"]) is vector["valid"]
    if vector["valid"]:
        assert not webhook_is_genuine(vector["app_key"], vector["app_secret"], raw + b"\n", vector["signature"])
