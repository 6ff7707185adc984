"""What each method of the TikTok client sends, one row an operation of the registry (TTS §5)."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest

from connector.clients.tiktok import OPERATIONS
from tests.clients.scripted import ScriptedServer, tts

CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any], str, str, Mapping[str, str], Any]] = [
    ("authorized_shops", (), {}, "GET", "/authorization/202309/shops", {}, None),
    ("active_shops", (), {}, "GET", "/seller/202309/shops", {}, None),
    ("permissions", (), {}, "GET", "/seller/202309/permissions", {}, None),
    ("deauthorize", (), {}, "DELETE", "/authorization/202403/shops", {}, None),
    ("warehouses", (), {}, "GET", "/logistics/202309/warehouses", {}, None),
    ("delivery_options", ("7",), {"scope": "PRODUCT"}, "GET", "/logistics/202309/warehouses/7/delivery_options", {"scope": "PRODUCT"}, None),
    (
        "shipping_providers",
        ("7",),
        {"warehouse_region": "DE", "buyer_region": "FR"},
        "GET",
        "/logistics/202309/delivery_options/7/shipping_providers",
        {"warehouse_region": "DE", "buyer_region": "FR"},
        None,
    ),
    ("search_orders", (), {}, "POST", "/order/202309/orders/search", {"page_size": "100"}, {}),
    ("get_orders", (["1", "2"],), {}, "GET", "/order/202507/orders", {"ids": "1,2"}, None),
    ("price_detail", ("5",), {}, "GET", "/order/202407/orders/5/price_detail", {}, None),
    ("put_external_orders", ([],), {}, "POST", "/order/202406/orders/external_orders", {}, {"orders": []}),
    ("get_external_orders", ("5",), {}, "GET", "/order/202406/orders/5/external_orders", {"platform": "MAGENTO"}, None),
    (
        "search_external_orders",
        ("71",),
        {},
        "POST",
        "/order/202406/orders/external_order_search",
        {"platform": "MAGENTO", "external_order_id": "71"},
        None,
    ),
    (
        "search_packages",
        ({"package_status": "TO_FULFILL"},),
        {},
        "POST",
        "/fulfillment/202309/packages/search",
        {"page_size": "50"},
        {"package_status": "TO_FULFILL"},
    ),
    ("package", ("8",), {}, "GET", "/fulfillment/202309/packages/8", {}, None),
    (
        "ship_package",
        ("8",),
        {"tracking_number": "T", "shipping_provider_id": "2"},
        "POST",
        "/fulfillment/202309/packages/8/ship",
        {},
        {"self_shipment": {"tracking_number": "T", "shipping_provider_id": "2"}},
    ),
    ("batch_ship", ([{"id": "8"}],), {}, "POST", "/fulfillment/202309/packages/ship", {}, {"packages": [{"id": "8"}]}),
    (
        "update_order_shipping_info",
        ("5",),
        {"tracking_number": "T", "shipping_provider_id": "2"},
        "POST",
        "/fulfillment/202309/orders/5/shipping_info/update",
        {},
        {"tracking_number": "T", "shipping_provider_id": "2"},
    ),
    (
        "update_package_shipping_info",
        ("8",),
        {"tracking_number": "T", "shipping_provider_id": "2"},
        "POST",
        "/fulfillment/202610/packages/8/shipping_info/update",
        {},
        {"shipping_info_list": [{"tracking_number": "T", "shipping_provider_id": "2"}]},
    ),
    (
        "shipping_services",
        ("5",),
        {"line_ids": ["1"], "dimension": {"length": "1"}, "weight": {"value": "2"}},
        "POST",
        "/fulfillment/202309/orders/5/shipping_services/query",
        {},
        {"order_line_item_ids": ["1"], "dimension": {"length": "1"}, "weight": {"value": "2"}},
    ),
    (
        "create_package",
        ("5",),
        {"shipping_service_id": "s"},
        "POST",
        "/fulfillment/202512/packages",
        {},
        {"order_id": "5", "shipping_service_id": "s", "ship_type": "1"},
    ),
    (
        "create_package",
        ("5",),
        {"line_ids": ["1"]},
        "POST",
        "/fulfillment/202512/packages",
        {},
        {"order_id": "5", "ship_type": "2", "order_line_item": [{"order_line_id": "1"}]},
    ),
    ("handover_time_slots", ("8",), {}, "GET", "/fulfillment/202309/packages/8/handover_time_slots", {}, None),
    ("shipping_document", ("8",), {}, "GET", "/fulfillment/202309/packages/8/shipping_documents", {"document_type": "SHIPPING_LABEL"}, None),
    ("split_attributes", (["5", "6"],), {}, "GET", "/fulfillment/202309/orders/split_attributes", {"order_ids": "5,6"}, None),
    (
        "split_order",
        ("5", {"a": ["1"], "b": ["2", "3"]}),
        {},
        "POST",
        "/fulfillment/202309/orders/5/split",
        {},
        {"splittable_groups": [{"id": "a", "order_line_item_ids": ["1"]}, {"id": "b", "order_line_item_ids": ["2", "3"]}]},
    ),
    ("combinable_packages", (), {}, "GET", "/fulfillment/202309/combinable_packages/search", {"page_size": "50"}, None),
    (
        "combine_packages",
        ({"9": ["5", "6"]},),
        {},
        "POST",
        "/fulfillment/202309/packages/combine",
        {},
        {"combinable_packages": [{"id": "9", "order_ids": ["5", "6"]}]},
    ),
    ("uncombine_package", ("8", ["5", "6"]), {}, "POST", "/fulfillment/202309/packages/8/uncombine", {}, {"order_ids": ["5", "6"]}),
    (
        "report_delivery",
        ([{"id": "8", "delivery_type": "DELIVERY_FAILED", "fail_delivery_reason": "BUYER_REFUSED"}],),
        {},
        "POST",
        "/fulfillment/202309/packages/deliver",
        {},
        {"packages": [{"id": "8", "delivery_type": "DELIVERY_FAILED", "fail_delivery_reason": "BUYER_REFUSED"}]},
    ),
    (
        "aftersale_eligibility",
        ("5",),
        {},
        "GET",
        "/return_refund/202602/orders/5/aftersale_eligibility",
        {"initiate_aftersale_user": "SELLER", "request_types": "CANCEL"},
        None,
    ),
    ("cancel_order", ("5",), {"cancel_reason": "r"}, "POST", "/return_refund/202602/cancellations", {}, {"order_id": "5", "cancel_reason": "r"}),
    (
        "cancel_order",
        ("5",),
        {"cancel_reason": "r", "line_ids": ["1"]},
        "POST",
        "/return_refund/202602/cancellations",
        {},
        {"order_id": "5", "cancel_reason": "r", "order_line_list": [{"order_line_item_id": "1"}]},
    ),
    ("search_cancellations", ({"order_ids": ["5"]},), {}, "POST", "/return_refund/202602/cancellations/search", {"page_size": "50"}, {"order_ids": ["5"]}),
    ("approve_cancellation", ("4",), {"idempotency_key": "k"}, "POST", "/return_refund/202309/cancellations/4/approve", {"idempotency_key": "k"}, None),
    (
        "reject_cancellation",
        ("4",),
        {"reject_reason": "r", "idempotency_key": "k", "comment": "c"},
        "POST",
        "/return_refund/202309/cancellations/4/reject",
        {"idempotency_key": "k"},
        {"reject_reason": "r", "comment": "c"},
    ),
    ("reject_reasons", ("4",), {"locale": "en-GB"}, "GET", "/return_refund/202309/reject_reasons", {"return_or_cancel_id": "4", "locale": "en-GB"}, None),
    ("decision_eligibility", ("4",), {}, "GET", "/return_refund/202601/decision_eligibility", {"return_or_cancel_id": "4"}, None),
    ("search_returns", (), {}, "POST", "/return_refund/202602/returns/search", {"page_size": "50"}, {}),
    (
        "calculate_refund",
        ("576",),
        {"request_type": "REFUND", "reason_name": "r", "line_ids": ["7"]},
        "POST",
        "/return_refund/202602/refunds/calculate",
        {},
        {"order_id": "576", "request_type": "REFUND", "reason_name": "r", "order_line_list": [{"order_line_item_id": "7"}]},
    ),
    ("return_records", ("4",), {"locale": "en-GB"}, "GET", "/return_refund/202309/returns/4/records", {"locale": "en-GB"}, None),
    (
        "create_return",
        ("576",),
        {"return_type": "REFUND", "return_reason": "r", "refund_total": Decimal("1.50"), "currency": "GBP", "idempotency_key": "k"},
        "POST",
        "/return_refund/202602/returns",
        {"idempotency_key": "k"},
        {"order_id": "576", "return_type": "REFUND", "return_reason": "r", "refund_total": "1.50", "currency": "GBP"},
    ),
    (
        "approve_return",
        ("4",),
        {"decision": "APPROVE_RETURN", "buyer_keep_item": True, "idempotency_key": "k"},
        "POST",
        "/return_refund/202309/returns/4/approve",
        {"idempotency_key": "k"},
        {"decision": "APPROVE_RETURN", "buyer_keep_item": True},
    ),
    (
        "reject_return",
        ("4",),
        {"decision": "REJECT_RETURN", "reject_reason": "r", "comment": "c", "idempotency_key": "k"},
        "POST",
        "/return_refund/202606/returns/4/reject",
        {"idempotency_key": "k"},
        {"decision": "REJECT_RETURN", "reject_reason": "r", "comment": "c"},
    ),
    ("webhooks", (), {}, "GET", "/event/202309/webhooks", {}, None),
    (
        "set_webhook",
        ("PACKAGE_UPDATE", "https://x.test"),
        {},
        "PUT",
        "/event/202309/webhooks",
        {},
        {"address": "https://x.test", "event_type": "PACKAGE_UPDATE"},
    ),
    ("remove_webhook", ("PACKAGE_UPDATE",), {}, "DELETE", "/event/202309/webhooks", {}, {"event_type": "PACKAGE_UPDATE"}),
]


@pytest.mark.parametrize(("name", "args", "kwargs", "method", "path", "query", "body"), CALLS)
def test_a_method_sends_what_the_contract_says(
    name: str, args: Any, kwargs: Any, method: str, path: str, query: Mapping[str, str], body: Any, server: ScriptedServer, tiktok: Any
) -> None:
    server.default = tts({"doc_url": "https://x.test/a.pdf", "package_id": "1", "return_id": "1", "order_refund_amount": {"currency": "GBP"}})
    getattr(tiktok(), name)(*args, **kwargs)
    (request,) = server.received
    assert (request.method, request.path) == (method, path)
    assert query.items() <= request.query.items()
    assert (request.json if request.body else None) == body


def test_every_operation_of_the_registry_is_covered() -> None:
    others = {name for name, operation in OPERATIONS.items() if not operation.path.startswith("/product/")}  # test_tiktok_products has those
    coming_model = {"search_aftersales", "search_rma", "review_decision", "review_aftersales"}  # test_tiktok_aftersales has those
    assert others == {call[0] for call in CALLS} | {"mark_shipped", "order_tracking", "upload_return_label"} | coming_model
