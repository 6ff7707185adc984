"""A bare client of the practice store for its own tests: REST with a bearer token, and the control API."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import requests

ADDRESS = {
    "firstname": "Ana", "lastname": "Bell", "street": ["5 Elm St", "Apt 2"], "city": "Austin", "region": "Texas", "region_id": 57,
    "region_code": "TX", "postcode": "73301", "country_id": "US", "telephone": "5550100", "email": "tt-576461@orders.example.com",
    "save_in_address_book": 0,
}  # fmt: skip


class Refused(AssertionError):
    """An answer other than the 200 that the test wanted."""

    def __init__(self, response: requests.Response) -> None:
        super().__init__(f"{response.request.method} {response.request.url}: {response.status_code} {response.text[:300]}")
        self.status = response.status_code
        self.text = response.text
        self.body = response.json() if "json" in response.headers.get("Content-Type", "") else None


class Shop:
    """`rest` answers the parsed body of a 200 or raises Refused; `control` speaks to `/practice/*`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.token = ""
        self.http = requests.Session()

    def use_first_integration(self) -> None:
        self.token = self.control("GET", "integrations")[0]["access_token"]

    def control(self, method: str, path: str, body: Any = None) -> Any:
        response = self.http.request(method, f"{self.url}/practice/{path}", json=body, timeout=60)
        if response.status_code != 200:
            raise Refused(response)
        return response.json()

    def send(self, method: str, path: str, body: Any = None, query: Any = (), headers: dict | None = None) -> requests.Response:
        encoded = "&".join(f"{quote(str(k), safe='[]')}={quote(str(v), safe='')}" for k, v in query)
        url = f"{self.url}{path}" + (f"?{encoded}" if encoded else "")
        sent = {"Authorization": f"Bearer {self.token}", "Accept": "application/json", **(headers or {})}
        sent = {name: value for name, value in sent.items() if value is not None}
        return self.http.request(method, url, json=body, headers=sent, timeout=60)

    def rest(self, method: str, path: str, body: Any = None, query: Any = ()) -> Any:
        response = self.send(method, f"/rest/V1{path}", body, query)
        if response.status_code != 200:
            raise Refused(response)
        return response.json()

    def find(self, path: str, field: str, value: Any, condition: str = "eq", fields: str = "") -> Any:
        prefix = "searchCriteria[filter_groups][0][filters][0]"
        query = [(f"{prefix}[field]", field), (f"{prefix}[value]", value), (f"{prefix}[condition_type]", condition)]
        return self.rest("GET", path, query=query + ([("fields", fields)] if fields else []))

    # --- orders ---------------------------------------------------------------------------------------------------------

    def cart(self, *lines: tuple[str, int], carrier: str = "freeshipping", address: dict | None = None) -> str:
        """A cart with lines, address and shipping method; its id."""
        cart = self.rest("POST", "/carts/")
        for sku, quantity in lines:
            self.rest("POST", f"/carts/{cart}/items", {"cartItem": {"quote_id": cart, "sku": sku, "qty": quantity}})
        information = {
            "shipping_address": address or ADDRESS, "billing_address": address or ADDRESS, "shipping_carrier_code": carrier,
            "shipping_method_code": carrier,
        }  # fmt: skip
        self.rest("POST", f"/carts/{cart}/shipping-information", {"addressInformation": information})
        return cart

    def place(self, cart: str) -> int:
        return self.rest("PUT", f"/carts/{cart}/order", {"paymentMethod": {"method": "checkmo"}})

    def order(self, *lines: tuple[str, int], carrier: str = "freeshipping") -> dict:
        """A placed order, as read."""
        return self.rest("GET", f"/orders/{self.place(self.cart(*lines, carrier=carrier))}")

    def ship(self, order_id: int, items: list | None, source: str | None) -> str:
        body: dict[str, Any] = {"items": items or []}
        if source:
            body["arguments"] = {"extension_attributes": {"source_code": source}}
        return self.rest("POST", f"/order/{order_id}/ship", body)

    def salable(self, sku: str, stock: int = 2) -> Any:
        return self.rest("GET", f"/inventory/get-product-salable-quantity/{quote(sku, safe='')}/{stock}")
