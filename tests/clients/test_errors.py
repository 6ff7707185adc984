"""Every refusal of the contracts in our words (TTS §1.4, §3.3, §3.4, §5.9; MAG §3)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from connector.clients import errors
from connector.clients.errors import (
    ApiError,
    Conflict,
    NotFound,
    PageTokenRefused,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    Uncertain,
    Unexpected,
    describe,
)
from connector.clients.magento import Bearer
from connector.clients.magento.faults import HINTS, fill
from connector.clients.remedies import REMEDIES
from connector.clients.tiktok.codes import KNOWN
from tests.clients.recorded import capture
from tests.clients.scripted import Reply, ScriptedServer, tts

READS: list[tuple[int, int, str, type[ApiError], str]] = [
    (36009002, 429, "Too many requests", RateLimited, "tts.rate_limited"),
    (36009003, 500, "Internal error", Unavailable, "tts.internal"),
    (36009004, 400, "param body.address is missing", Rejected, "tts.parameter"),
    (36009004, 400, "unexpected shop_cipher", Rejected, "tts.cipher_unexpected"),
    (36009004, 400, "invalid app_key", Unauthorized, "tts.app_key"),
    (36009004, 400, "sign is missing", Unauthorized, "tts.signature"),
    (36009004, 400, "timestamp is invalid", Unauthorized, "tts.clock"),
    (36009004, 400, "header x-tts-access-token is missing", Unauthorized, "tts.token_invalid"),
    (36009007, 408, "timeout", Unavailable, "tts.timeout"),
    (36009010, 405, "method", Rejected, "tts.method_not_allowed"),
    (36009021, 400, "too large", Rejected, "tts.file_too_large"),
    (36009022, 400, "parse", Rejected, "tts.request_malformed"),
    (36009023, 400, "multipart", Rejected, "tts.request_malformed"),
    (36009033, 403, "ip", Unauthorized, "tts.ip_not_allowed"),
    (36009037, 200, "quota", RateLimited, "tts.rate_limited"),
    (36009043, 403, "shop", Unauthorized, "tts.deactivated"),
    (36009044, 403, "seller", Unauthorized, "tts.deactivated"),
    (98001004, 400, "param", Rejected, "tts.parameter"),
    (101000, 401, "cipher", Unauthorized, "tts.cipher_foreign"),
    (105001, 401, "token", Unauthorized, "tts.token_invalid"),
    (105002, 401, "token", Unauthorized, "tts.token_expired"),
    (105003, 401, "inactive", Unauthorized, "tts.authorization_inactive"),
    (105004, 401, "region", Unauthorized, "tts.authorization_inactive"),
    (105005, 401, "scope", Unauthorized, "tts.scope_missing"),
    (106001, 401, "sign", Unauthorized, "tts.signature"),
    (106013, 400, "cipher", Unauthorized, "tts.cipher_missing"),
    (12001000, 200, "internal", Unavailable, "tts.internal"),
    (33001002, 200, "internal", Unavailable, "tts.internal"),
    *((code, 200, "internal", Unavailable, "tts.try_again") for code in (10002014, 10002015, 10037002, 10037003, 10037004, 10006402, 25020008)),
    (11050001, 200, "param", Rejected, "tts.parameter"),
    (36020001, 200, "order", NotFound, "tts.order_not_found"),
    (21008111, 200, "order", NotFound, "tts.order_not_found"),
    (21001001, 200, "param", Rejected, "tts.parameter"),
    (21011001, 200, "package", NotFound, "tts.package_not_found"),
    (21011006, 200, "already", Conflict, "tts.already_shipped"),
    (21011007, 200, "after-sale", Rejected, "tts.aftersale_open"),
    (21011029, 200, "status", Rejected, "tts.package_status"),
    (21011037, 200, "service", Rejected, "tts.no_shipping_service"),
    (21011044, 200, "hold", Rejected, "tts.on_hold"),
    (21011048, 200, "lines", Rejected, "tts.lines_required"),
    (10007014, 200, "frozen", Rejected, "tts.package_status"),
    *((code, 200, "track", Rejected, "tts.tracking") for code in (11007016, 11007018, 11007021)),
    (25001001, 200, "status", Rejected, "tts.cancel_status"),
    (25001021, 200, "reason", Rejected, "tts.cancel_reason"),
    (77777777, 200, "a code nobody told us", Rejected, "tts.rejected"),
    (77777777, 503, "busy", Unavailable, "tts.internal"),
    (77777777, 401, "no", Unauthorized, "tts.unauthorized"),
]


@pytest.mark.parametrize("as_text", [False, True], ids=["integer", "text"])
@pytest.mark.parametrize(("code", "status", "message", "kind", "ours"), READS)
def test_a_code_becomes_our_error_with_the_remote_words_kept(
    code: int, status: int, message: str, kind: type[ApiError], ours: str, as_text: bool, server: ScriptedServer, tiktok: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.clients.base.PATIENCE", 0.0)  # one try is enough here
    server.default = tts(code=str(code) if as_text else code, message=message, status=status)
    with pytest.raises(ApiError) as caught:
        tiktok().warehouses()
    error = caught.value
    assert type(error) is kind
    assert error.code == ours
    assert (error.remote_code, error.remote_message, error.status) == (str(code), message, status)
    assert error.request_id == "202601010000059A8B7C"
    assert message in str(error)


def test_every_code_of_the_contract_s_tables_is_tested() -> None:
    tested = {code for code, *_ in READS} | {36004001, 36004004, 36004005, 36009009, 36009014}
    assert set(KNOWN) <= tested


@pytest.mark.parametrize("code", [36009003, 36009007, 12001000, 33001002])
def test_an_internal_error_on_a_write_leaves_it_uncertain(code: int, server: ScriptedServer, tiktok: Any) -> None:
    server.default = tts(code=code, message="internal")
    with pytest.raises(Uncertain):
        tiktok().ship_package("1", handover_method="PICKUP")
    assert len(server.received) == 1


@pytest.mark.parametrize("code", [36009004, 11050001, 98001004, 99999999])
def test_a_refused_page_token_is_named(code: int, server: ScriptedServer, tiktok: Any) -> None:
    server.default = tts(code=code, message="page_token is invalid or expired", status=400)
    with pytest.raises(PageTokenRefused):
        tiktok().search_orders(page_token="abc")


def test_an_answer_without_envelope_is_unexpected_unless_the_status_says_more(server: ScriptedServer, tiktok: Any) -> None:
    server.default = Reply(404, "<html>not here</html>", content_type="text/html")
    with pytest.raises(Unexpected):
        tiktok().warehouses()
    server.default = Reply(429, "slow down", content_type="text/plain", headers={"Retry-After": "30"})
    with pytest.raises(RateLimited) as caught:
        tiktok().warehouses()
    assert caught.value.retry_after == 30


MAGENTO: list[tuple[str, type[ApiError], str]] = [
    ("auth-missing-acl", Unauthorized, "mag.acl_missing"),
    ("auth-oauth-bad-signature", Unauthorized, "mag.signature"),
    ("auth-oauth-sha1", Unauthorized, "mag.oauth"),
    ("auth-oauth-nonce-reused", Unauthorized, "mag.nonce_used"),
    ("route-unknown", NotFound, "mag.route_unknown"),
    ("route-wrong-method", NotFound, "mag.route_unknown"),
    ("route-unknown-store-code", Rejected, "mag.store_code"),
    ("header-accept-html", Unavailable, "mag.internal"),
    ("header-wrong-content-type", Rejected, "mag.rejected"),
    ("maintenance-mode", Unavailable, "mag.maintenance"),
    ("body-malformed-json", Rejected, "mag.rejected"),
    ("body-missing-wrapper", Rejected, "mag.rejected"),
    ("body-unknown-field", Unavailable, "mag.internal"),
    ("search-missing-criteria", Rejected, "mag.rejected"),
    ("search-bad-field-orders", Unavailable, "mag.internal"),
    ("search-bad-field-products", Rejected, "mag.rejected"),
    ("search-input-limit", Rejected, "mag.page_size"),
    ("search-fields-into-scalar-list", Unavailable, "mag.internal"),
    ("catalog-product-unknown", NotFound, "mag.sku_unknown"),
    ("stock-source-items-save-unknown-source", Rejected, "mag.source_item"),
    ("refuse-01-out-of-stock", Rejected, "mag.product_unavailable"),
    ("refuse-03-too-many", Rejected, "mag.qty_unavailable"),
    ("refuse-05-custom-option", Rejected, "mag.options_required"),
    ("refuse-09-place-before-address", Rejected, "mag.address"),
    ("refuse-10-unknown-carrier", NotFound, "mag.shipping_method"),
    ("refuse-11-bad-email", Rejected, "mag.address"),
    ("refuse-14-no-phone-place", Rejected, "mag.address"),
    ("refuse-15-payment-inactive", Rejected, "mag.payment_method"),
    ("refuse-17-stock-gone-at-place", Rejected, "mag.qty_unavailable"),
    ("aplus-30-place-same-cart-again", NotFound, "mag.not_found"),
    ("b-06-same-increment-id", Conflict, "mag.duplicate"),
    ("order-unknown", NotFound, "mag.not_found"),
    ("order-post-no-email", Rejected, "mag.address"),
    ("order-hold-twice", Rejected, "mag.rejected"),
    ("invoice-twice", Rejected, "mag.document"),
    ("invoice-held", Rejected, "mag.document"),
    ("ship-twice", Rejected, "mag.document"),
    ("ship-source-too-small", Rejected, "mag.shipment_not_saved"),
    ("refund-uninvoiced", Rejected, "mag.document"),
    ("customer-create-duplicate", Conflict, "mag.customer_exists"),
]


@pytest.mark.parametrize(("name", "kind", "ours"), MAGENTO)
def test_a_recorded_magento_refusal_becomes_our_error(
    name: str, kind: type[ApiError], ours: str, server: ScriptedServer, magento: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.clients.base.PATIENCE", 0.0)
    response = capture(name)["response"]
    server.default = Reply(response["status"], response["body"], content_type=response["content_type"] or "")
    with pytest.raises(ApiError) as caught:
        magento().order(1)
    assert type(caught.value) is kind
    assert caught.value.code == ours


TRANSIENT = ["stock-source-items-save-unknown-source", "refuse-01-out-of-stock", "ship-source-too-small"]


@pytest.mark.parametrize("name", TRANSIENT)
def test_refusals_that_a_busy_store_also_gives_are_transient(name: str, server: ScriptedServer, magento: Any) -> None:
    """MAG §4.4.7, point 7."""
    server.default = Reply(400, capture(name)["response"]["body"])
    with pytest.raises(Rejected) as caught:
        magento().hold(1)
    assert caught.value.transient
    assert len(server.received) == 1


def test_the_sku_missing_in_the_stock_at_placing_is_transient_too(server: ScriptedServer, magento: Any) -> None:
    server.default = Reply(400, {"message": "The requested sku is not assigned to given stock"})
    with pytest.raises(Rejected) as caught:
        magento().place_order("8", store="default")
    assert (caught.value.code, caught.value.transient) == ("mag.stock_unassigned", True)


def test_missing_permissions_are_named_one_by_one(server: ScriptedServer, magento: Any) -> None:
    server.default = Reply(401, capture("auth-missing-acl")["response"]["body"])
    with pytest.raises(Unauthorized) as caught:
        magento().order(1)
    assert (caught.value.reason, caught.value.missing) == ("acl", ("Magento_Sales::shipment",))
    assert "Magento_Sales::shipment" in str(caught.value)


def test_a_refused_bearer_is_told_with_all_three_causes(server: ScriptedServer, magento: Any) -> None:
    server.default = Reply(401, capture("auth-bearer-disabled")["response"]["body"])
    with pytest.raises(Unauthorized) as caught:
        magento(auth=Bearer("token")).websites()
    assert caught.value.code == "mag.not_authorized"
    assert "switched off" in describe(caught.value).advice


def test_the_report_id_of_a_masked_error_is_kept(server: ScriptedServer, magento: Any) -> None:
    body = capture("body-unknown-field")["response"]["body"]
    server.default = Reply(500, body)
    with pytest.raises(Uncertain) as caught:
        magento().create_order_direct({"nonsense": 1})
    assert caught.value.request_id
    assert caught.value.request_id in body["message"]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_failing_magento_write_is_uncertain(status: int, server: ScriptedServer, magento: Any) -> None:
    server.default = Reply(status, "<html>gone</html>", content_type="text/html")
    with pytest.raises(Uncertain):
        magento().place_order("8", store="default")
    assert len(server.received) == 1


def test_templates_are_filled_from_lists_and_objects() -> None:
    assert fill("Carrier %1, %2", ["tiktok", "standard"]) == "Carrier tiktok, standard"
    assert fill("No such entity with %fieldName = %fieldValue", {"fieldName": "cartId", "fieldValue": 4711}) == "No such entity with cartId = 4711"
    assert fill("100% sure %3", ["a"]) == "100% sure %3"


def test_every_code_has_words_for_people() -> None:
    used = {known.code for known in KNOWN.values()} | {hint.code for hints in HINTS.values() for hint in hints}
    source = "".join(p.read_text() for p in Path(errors.__file__).parent.rglob("*.py"))
    used |= set(re.findall(r'code="((?:net|mag)\.\w+)"', source))
    fallback = {"mag.rejected", "mag.rate_limited"}
    assert used - fallback <= set(REMEDIES)
    assert set(REMEDIES) - used <= {"net.uncertain", "net.circuit_open", "net.forbidden_host", "net.redirected", "net.timeout"} | {
        code for code in REMEDIES if f'"{code}"' in source.replace((Path(errors.__file__).parent / "remedies.py").read_text(), "")
    }
    for title, advice in REMEDIES.values():
        assert not title.endswith(".")
        assert advice.endswith(".")
        assert "!" not in title + advice


def test_an_unknown_code_is_described_by_its_kind() -> None:
    error = Conflict("there already", system="tiktok", operation="x", code="tts.something_new")
    assert describe(error) == ("tts.something_new", "It is there or done already", "Fetch it again and compare.")
