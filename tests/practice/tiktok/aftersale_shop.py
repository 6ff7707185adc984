"""The seller's side of aftersales for the tests: orders led to where a return is possible, and calls dated by the shop clock."""

from __future__ import annotations

import time
from typing import Any

import requests

from connector.practice.tiktok.markets import MARKETS, stable_id
from connector.practice.tiktok.pictures import swatch

from .seller import Seller

HOUR, DAY = 3600, 86_400
ROOT = "/return_refund"
DAMAGED = "ecom_order_delivered_refund_reason_product_damaged"
RETURN_DAMAGED = "ecom_order_delivered_refund_and_return_reason_product_damaged"
AGREED = "seller_reject_apply_you_have_reached_an_agreement_with_the_buyer"
LINES = [("MUG-01", 2)]


class Desk:
    """One shop's aftersales."""

    def __init__(self, seller: Seller, shop: str = "GB") -> None:
        self.seller, self.shop, self.ahead = seller, shop, 0

    def now(self) -> int:
        return int(time.time()) + self.ahead

    def call(self, method: str, path: str, body: Any = None, **query: Any) -> dict[str, Any]:
        answer = self.seller.call(method, path, self.shop, body, timestamp=self.now(), **query).json()
        if answer["code"] != 105002:
            return answer
        self.seller.tokens = self.seller.token("refresh", refresh_token=self.seller.tokens["refresh_token"], grant_type="refresh_token")["data"]
        return self.seller.call(method, path, self.shop, body, timestamp=self.now(), **query).json()

    def data(self, method: str, path: str, body: Any = None, **query: Any) -> dict[str, Any]:
        answer = self.call(method, path, body, **query)
        assert answer["code"] == 0, answer
        return answer["data"]

    def advance(self, seconds: int) -> None:
        self.seller.control("POST", "clock", {"advance_seconds": seconds})
        self.ahead += seconds

    def order(self, order_id: str) -> dict[str, Any]:
        return self.data("GET", "/order/202507/orders", ids=order_id)["orders"][0]

    def shipped(self, lines: list[tuple[str, int]] = LINES, to: str = "DELIVERED", **more: Any) -> str:
        """An order that the seller shipped, and the carrier moved as far as wanted."""
        order_id = self.seller.place(self.shop, lines, **more)
        carrier = MARKETS[self.shop].carriers[0]
        tracking = {"tracking_number": f"PARCEL-{order_id}", "shipping_provider_id": stable_id("6617", f"carrier:{self.shop}:{carrier}")}
        if self.shop == "SG":
            package = self.order(order_id)["packages"][0]["id"]
            self.data("POST", f"/fulfillment/202309/packages/{package}/ship", {"self_shipment": tracking})
        else:
            self.data("POST", f"/fulfillment/202309/orders/{order_id}/packages", tracking)
        for wanted, act in (("IN_TRANSIT", "collect"), ("DELIVERED", "deliver")):
            if to in (wanted, "DELIVERED"):
                assert self.seller.control("POST", f"orders/{order_id}/{act}")["status"] == wanted
        return order_id

    def ask(self, kind: str, order_id: str | None = None, **wish: Any) -> str:
        """The buyer's request; its return id."""
        summary = self.seller.control("POST", f"orders/{order_id or self.shipped()}/return", {"type": kind, **wish})
        return str(summary["returns"][-1]["return_id"])

    def act(self, return_id: str, name: str, **wish: Any) -> dict[str, Any]:
        return self.seller.control("POST", f"returns/{return_id}/{name}", wish)

    def find(self, **filters: Any) -> list[dict[str, Any]]:
        return self.data("POST", f"{ROOT}/202602/returns/search", filters, page_size=50).get("return_orders", [])

    def one(self, return_id: str) -> dict[str, Any]:
        (found,) = self.find(return_ids=[return_id])
        return found

    def status(self, return_id: str) -> str:
        return str(self.one(return_id)["return_status"])

    def approve(self, return_id: str, decision: str, **body: Any) -> int:
        return int(self.call("POST", f"{ROOT}/202309/returns/{return_id}/approve", {"decision": decision, **body})["code"])

    def reject(self, return_id: str, decision: str, *, version: str = "202606", **body: Any) -> int:
        whole = {"decision": decision, "reject_reason": AGREED, **body}
        return int(self.call("POST", f"{ROOT}/{version}/returns/{return_id}/reject", whole)["code"])

    def eligible(self, request_id: str, **query: Any) -> set[str]:
        decisions = self.data("GET", f"{ROOT}/202601/decision_eligibility", return_or_cancel_id=request_id, **query)["decisions"]
        return {each["decision"] for each in decisions if each["eligible"]}

    def records(self, return_id: str) -> list[dict[str, Any]]:
        return self.data("GET", f"{ROOT}/202309/returns/{return_id}/records")["records"]

    def upload(self) -> str:
        """The image_id of a picture of the seller's."""
        path = "/product/202309/images/upload"
        query = {"app_key": self.seller.app["app_key"], "timestamp": str(self.now())}
        query["sign"] = self.seller.sign(path, query, multipart=True)
        headers = {"x-tts-access-token": self.seller.tokens["access_token"]}
        files = {"data": ("proof.png", swatch(320, 320, (1, 2, 3)), "image/png")}
        answer = requests.post(f"{self.seller.url}{path}", params=query, headers=headers, files=files, data={"use_case": "DESCRIPTION_IMAGE"}, timeout=20)
        return str(answer.json()["data"]["uri"])
