"""Shops, logistics and webhook configuration (TTS §5.1, §5.2, §5.8.1)."""

from __future__ import annotations

from dataclasses import dataclass, field

from connector.clients.tiktok.caller import Caller, Data


@dataclass(frozen=True, slots=True)
class AuthorizedShop:
    """`id` is the shop_id of webhooks, `cipher` the shop_cipher of calls, `region` two letters (GB, not UK)."""

    id: str
    cipher: str = field(repr=False)
    code: str
    name: str
    region: str
    seller_type: str


class ShopsApi(Caller):
    def authorized_shops(self) -> list[AuthorizedShop]:
        """TTS §5.1.1; no cipher. Read again after each re-authorization: ciphers may be reissued."""
        fields = ("id", "cipher", "code", "name", "region", "seller_type")
        return self._call(
            "authorized_shops",
            lambda data: [AuthorizedShop(**{f: str(shop.get(f) or "") for f in fields}) for shop in data.get("shops") or []],
        )

    def active_shops(self) -> list[Data]:
        """TTS §5.1.2: {id, region}. A shop that is authorized but missing here is not active."""
        return self._rows("active_shops", "shops")

    def permissions(self) -> list[str]:
        """TTS §5.1.3; empty for local sellers."""
        return self._call("permissions", lambda data: [str(p) for p in data.get("permissions") or []])

    def deauthorize(self) -> None:
        """TTS §5.1.4: ends this shop's authorization; the seller gets an e-mail."""
        self._call("deauthorize", lambda data: None)

    def warehouses(self) -> list[Data]:
        """TTS §5.2.1. Offer SALES_WAREHOUSE with effect_status ENABLED."""
        return self._rows("warehouses", "warehouses")

    def delivery_options(self, warehouse_id: str, *, scope: str | None = None) -> list[Data]:
        """TTS §5.2.2: {id, name, type, platform, ...}; `scope` WAREHOUSE (default) or PRODUCT."""
        return self._rows("delivery_options", "delivery_options", path={"warehouse_id": warehouse_id}, query={"scope": scope})

    def shipping_providers(self, delivery_option_id: str, *, warehouse_region: str | None = None, buyer_region: str | None = None) -> list[Data]:
        """TTS §5.2.3: {id, name}; only for SEND_BY_SELLER options. EU shops need both regions."""
        return self._rows(
            "shipping_providers",
            "shipping_providers",
            path={"delivery_option_id": delivery_option_id},
            query={"warehouse_region": warehouse_region, "buyer_region": buyer_region},
        )

    def webhooks(self) -> list[Data]:
        """TTS §5.8.1: {event_type, address, create_time, update_time}."""
        return self._rows("webhooks", "webhooks")

    def set_webhook(self, event_type: str, address: str) -> None:
        self._call("set_webhook", lambda data: None, body={"address": address, "event_type": event_type})

    def remove_webhook(self, event_type: str) -> None:
        """Succeeds even if none was set."""
        self._call("remove_webhook", lambda data: None, body={"event_type": event_type})
