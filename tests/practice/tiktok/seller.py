"""A caller of the practice marketplace for its tests: signs with code of its own, so that the server's signature check has a counterpart."""

from __future__ import annotations

import hashlib
import hmac
import time
from typing import Any
from urllib.parse import urlencode

import orjson
import requests


class Seller:
    """One app with an authorization for some shops. `call` returns the HTTP answer, `data` the envelope's data after checking code 0."""

    def __init__(self, url: str, shops: tuple[str, ...] = ("GB", "US", "SG")) -> None:
        self.url = url
        self.http = requests.Session()
        self.app = self.http.get(f"{url}/practice/app").json()
        self.ciphers = {shop["region"]: shop["cipher"] for shop in self.app["shops"]}
        self.authorize(*shops)

    def authorize(self, *shops: str) -> dict[str, Any]:
        code = self.control("POST", "authorize", {"shops": list(shops)})["code"]
        self.tokens = self.token("get", auth_code=code, grant_type="authorized_code")["data"]
        return self.tokens

    def token(self, kind: str, **query: str) -> dict[str, Any]:
        keys = {"app_key": self.app["app_key"], "app_secret": self.app["app_secret"]}
        return self.http.get(f"{self.url}/api/v2/token/{kind}", params={**keys, **query}, timeout=20).json()

    def control(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.http.request(method, f"{self.url}/practice/{path}", json=body, timeout=120)
        answer.raise_for_status()
        return answer.json()

    def now(self) -> int:
        return self.control("GET", "clock")["now"]

    def sign(self, path: str, query: dict[str, str], body: bytes = b"", multipart: bool = False) -> str:
        text = path + "".join(f"{k}{query[k]}" for k in sorted(query) if k not in ("sign", "access_token"))
        secret = self.app["app_secret"].encode()
        return hmac.new(secret, secret + text.encode() + (b"" if multipart else body) + secret, hashlib.sha256).hexdigest()

    def call(
        self, method: str, path: str, shop: str | None = "GB", body: Any = None, *, headers: dict[str, str] | None = None, **query: Any
    ) -> requests.Response:
        """Query values override what would be sent; None leaves a parameter out."""
        raw = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        values = {"app_key": self.app["app_key"], "timestamp": str(int(time.time()))}
        if shop:
            values["shop_cipher"] = self.ciphers[shop]
        values = {k: str(v) for k, v in {**values, **query}.items() if v is not None}
        if "sign" not in query:
            values["sign"] = self.sign(path, values, raw)
        sent = {"x-tts-access-token": self.tokens["access_token"], "content-type": "application/json", **(headers or {})}
        sent = {k: v for k, v in sent.items() if v}
        return self.http.request(method, f"{self.url}{path}?{urlencode(values)}", data=raw, headers=sent, timeout=20)

    def data(self, method: str, path: str, shop: str | None = "GB", body: Any = None, **query: Any) -> dict[str, Any]:
        answer = self.call(method, path, shop, body, **query).json()
        assert answer["code"] == 0, answer
        return answer["data"]

    def code(self, method: str, path: str, shop: str | None = "GB", body: Any = None, **query: Any) -> int:
        return self.call(method, path, shop, body, **query).json()["code"]

    def order(self, order_id: str, shop: str = "GB") -> dict[str, Any]:
        return self.data("GET", "/order/202507/orders", shop, ids=order_id)["orders"][0]

    def place(self, shop: str = "GB", lines: list[tuple[str, int]] | None = None, release: bool = True, **more: Any) -> str:
        wanted = [{"sku": sku, "quantity": quantity} for sku, quantity in lines or [("MUG-01", 1)]]
        order_id = self.control("POST", "orders", {"shop": shop, "lines": wanted, **more})["id"]
        if release and more.get("pay", True):
            self.control("POST", f"orders/{order_id}/release")
        return order_id

    def provider(self, shop: str = "GB", index: int = 0) -> str:
        warehouse = self.data("GET", "/logistics/202309/warehouses", shop)["warehouses"][0]["id"]
        options = self.data("GET", f"/logistics/202309/warehouses/{warehouse}/delivery_options", shop)["delivery_options"]
        own = next(each["id"] for each in options if each["type"] == "SEND_BY_SELLER")
        return self.data("GET", f"/logistics/202309/delivery_options/{own}/shipping_providers", shop)["shipping_providers"][index]["id"]
