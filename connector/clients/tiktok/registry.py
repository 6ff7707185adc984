"""Which path, version and cipher rule each TikTok Shop operation has (TTS §1.6, §5.0).

`version` is the one to use, `fallback` the older one that TikTok still offers; a fallback under another path names it.
Searches are reads although they are POSTs.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str  # {version} and path parameters
    version: str
    fallback: str | None = None
    fallback_path: str | None = None
    cipher: bool = True
    read: bool = False

    def template(self, version: str) -> str:
        other = self.fallback_path is not None and version == self.fallback
        return (self.fallback_path or self.path) if other else self.path


def _get(path: str, version: str = "202309", **rest: object) -> Operation:
    return Operation("GET", path, version, read=True, **rest)  # type: ignore[arg-type]


def _search(path: str, version: str = "202309", **rest: object) -> Operation:
    return Operation("POST", path, version, read=True, **rest)  # type: ignore[arg-type]


def _post(path: str, version: str = "202309", fallback: str | None = None) -> Operation:
    return Operation("POST", path, version, fallback)


OPERATIONS: dict[str, Operation] = {
    # TTS §5.1 authorization and seller
    "authorized_shops": _get("/authorization/{version}/shops", cipher=False),
    "active_shops": _get("/seller/{version}/shops", cipher=False),
    "permissions": _get("/seller/{version}/permissions", cipher=False),
    "deauthorize": Operation("DELETE", "/authorization/{version}/shops", "202403"),
    # TTS §5.2 logistics
    "warehouses": _get("/logistics/{version}/warehouses"),
    "delivery_options": _get("/logistics/{version}/warehouses/{warehouse_id}/delivery_options"),
    "shipping_providers": _get("/logistics/{version}/delivery_options/{delivery_option_id}/shipping_providers"),
    # TTS §5.3 product
    "prerequisites": _get("/product/{version}/prerequisites", "202312"),  # 202309 hides the same in nested JSON text: no fallback
    "categories": _get("/product/{version}/categories"),
    "recommend_category": _search("/product/{version}/categories/recommend"),
    "category_attributes": _get("/product/{version}/categories/{category_id}/attributes"),
    "category_rules": _get("/product/{version}/categories/{category_id}/rules"),
    "brands": _get("/product/{version}/brands"),
    "create_brand": Operation("POST", "/product/{version}/brands", "202309", cipher=False),
    "upload_image": Operation("POST", "/product/{version}/images/upload", "202309", cipher=False),
    "check_listing": _search("/product/{version}/products/listing_check"),
    "create_product": _post("/product/{version}/products"),
    "get_product": _get("/product/{version}/products/{product_id}"),
    "search_products": _search("/product/{version}/products/search", "202502", fallback="202312"),
    "edit_product": Operation("PUT", "/product/{version}/products/{product_id}", "202509", "202309"),
    "partial_edit_product": _post("/product/{version}/products/{product_id}/partial_edit", "202509", "202309"),
    "activate_products": _post("/product/{version}/products/activate"),
    "deactivate_products": _post("/product/{version}/products/deactivate"),
    "recover_products": _post("/product/{version}/products/recover"),
    "delete_products": Operation("DELETE", "/product/{version}/products", "202309"),
    "update_inventory": _post("/product/{version}/products/{product_id}/inventory/update"),
    "search_inventory": _search("/product/{version}/inventory/search"),
    "update_prices": _post("/product/{version}/products/{product_id}/prices/update"),
    "stock_settings": _post("/product/{version}/inventory/operation/settings", "202608"),
    # TTS §5.4 order
    "search_orders": _search("/order/{version}/orders/search"),
    "get_orders": _get("/order/{version}/orders", "202507", fallback="202309"),
    "price_detail": _get("/order/{version}/orders/{order_id}/price_detail", "202407"),
    "put_external_orders": _post("/order/{version}/orders/external_orders", "202406"),
    "get_external_orders": _get("/order/{version}/orders/{order_id}/external_orders", "202406"),
    "search_external_orders": _search("/order/{version}/orders/external_order_search", "202406"),
    # TTS §5.5 fulfillment
    "search_packages": _search("/fulfillment/{version}/packages/search"),
    "package": _get("/fulfillment/{version}/packages/{package_id}"),
    "mark_shipped": _post("/fulfillment/{version}/orders/{order_id}/packages", "202610", "202309"),
    "ship_package": _post("/fulfillment/{version}/packages/{package_id}/ship"),
    "batch_ship": _post("/fulfillment/{version}/packages/ship"),
    "update_order_shipping_info": _post("/fulfillment/{version}/orders/{order_id}/shipping_info/update"),
    "update_package_shipping_info": _post("/fulfillment/{version}/packages/{package_id}/shipping_info/update", "202610", "202309"),
    "shipping_services": _search("/fulfillment/{version}/orders/{order_id}/shipping_services/query"),
    "create_package": _post("/fulfillment/{version}/packages", "202512", "202309"),
    "handover_time_slots": _get("/fulfillment/{version}/packages/{package_id}/handover_time_slots"),
    "shipping_document": _get("/fulfillment/{version}/packages/{package_id}/shipping_documents"),
    "order_tracking": _get(
        "/logistics/{version}/orders/{order_id}/tracking",
        "202604",
        fallback="202309",
        fallback_path="/fulfillment/{version}/orders/{order_id}/tracking",
    ),
    "split_attributes": _get("/fulfillment/{version}/orders/split_attributes"),
    "split_order": _post("/fulfillment/{version}/orders/{order_id}/split"),
    "combinable_packages": _get("/fulfillment/{version}/combinable_packages/search"),
    "combine_packages": _post("/fulfillment/{version}/packages/combine"),
    "uncombine_package": _post("/fulfillment/{version}/packages/{package_id}/uncombine"),
    "report_delivery": _post("/fulfillment/{version}/packages/deliver"),
    # TTS §5.6 cancel, return, refund
    "aftersale_eligibility": _get("/return_refund/{version}/orders/{order_id}/aftersale_eligibility", "202602", fallback="202512"),
    "cancel_order": _post("/return_refund/{version}/cancellations", "202602", "202309"),
    "search_cancellations": _search("/return_refund/{version}/cancellations/search", "202602", fallback="202309"),
    "approve_cancellation": _post("/return_refund/{version}/cancellations/{cancel_id}/approve"),
    "reject_cancellation": _post("/return_refund/{version}/cancellations/{cancel_id}/reject"),
    "reject_reasons": _get("/return_refund/{version}/reject_reasons"),
    "decision_eligibility": _get("/return_refund/{version}/decision_eligibility", "202601"),
    "calculate_refund": _search("/return_refund/{version}/refunds/calculate", "202602", fallback="202309"),
    "search_returns": _search("/return_refund/{version}/returns/search", "202602", fallback="202309"),
    "return_records": _get("/return_refund/{version}/returns/{return_id}/records"),
    "create_return": _post("/return_refund/{version}/returns", "202602", "202309"),
    "approve_return": _post("/return_refund/{version}/returns/{return_id}/approve"),
    "reject_return": _post("/return_refund/{version}/returns/{return_id}/reject", "202606", "202309"),
    "upload_return_label": _post("/return_refund/{version}/returns/shipping_documents", "202405"),
    # TTS §5.6.9, the coming model
    "search_aftersales": _search("/return_refund/{version}/aftersales/search", "202603"),
    "search_rma": _search("/return_refund/{version}/rma/search", "202604"),
    "review_decision": _get("/return_refund/{version}/review_decision", "202606"),
    "review_aftersales": _post("/return_refund/{version}/aftersales/review", "202609"),
    # TTS §5.8 webhooks
    "webhooks": _get("/event/{version}/webhooks"),
    "set_webhook": Operation("PUT", "/event/{version}/webhooks", "202309"),
    "remove_webhook": Operation("DELETE", "/event/{version}/webhooks", "202309"),
}
