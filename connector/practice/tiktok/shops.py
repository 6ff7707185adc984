"""Authorization, seller and logistics reads (TTS §5.1, §5.2)."""

from __future__ import annotations

from typing import Any

from .oauth import revoke
from .operations import Call, operation
from .refusals import BAD_PARAMETER, Refusal


@operation("shops.authorized", "GET /authorization/{version}/shops", "202309", "seller.authorization.info", cipher=False)
def authorized_shops(call: Call) -> dict[str, Any]:
    shops = [call.market.shops[shop_id] for shop_id in call.grant["shop_ids"]]
    return {"shops": [{name: shop[name] for name in ("id", "name", "region", "seller_type", "cipher", "code")} for shop in shops]}


@operation("shops.deauthorize", "DELETE /authorization/{version}/shops", "202403", "seller.authorization.info", writes=True)
def deauthorize(call: Call) -> dict[str, Any]:
    revoke(call.market, call.shop["id"])
    return {}


@operation("shops.active", "GET /seller/{version}/shops", "202309", "seller.shop.info", cipher=False)
def active_shops(call: Call) -> dict[str, Any]:
    inactive = call.market.app.get("inactive_shops", [])
    shops = [call.market.shops[shop_id] for shop_id in call.grant["shop_ids"] if shop_id not in inactive]
    return {"shops": [{"id": shop["id"], "region": shop["region"]} for shop in shops]}


@operation("shops.permissions", "GET /seller/{version}/permissions", "202309", "seller.shop.info", cipher=False)
def permissions(call: Call) -> dict[str, Any]:
    return {"permissions": []}


@operation("warehouses.list", "GET /logistics/{version}/warehouses", "202309", "seller.logistics")
def warehouses(call: Call) -> dict[str, Any]:
    return {"warehouses": call.shop["warehouses"]}


@operation("delivery_options.list", "GET /logistics/{version}/warehouses/{warehouse_id}/delivery_options", "202309", "seller.logistics")
def delivery_options(call: Call) -> dict[str, Any]:
    scope = call.parameter("scope", "WAREHOUSE", "PRODUCT", default="WAREHOUSE")
    if call.path["warehouse_id"] not in [each["id"] for each in call.shop["warehouses"]]:
        raise Refusal(BAD_PARAMETER, f"warehouse {call.path['warehouse_id']} does not exist")
    options = call.shop["delivery_options"]
    if scope == "PRODUCT":
        options = [{"id": each["id"], "name": each["name"]} for each in options]
    return {"delivery_options": options}


@operation("shipping_providers.list", "GET /logistics/{version}/delivery_options/{delivery_option_id}/shipping_providers", "202309", "seller.logistics")
def shipping_providers(call: Call) -> dict[str, Any]:
    option = next((each for each in call.shop["delivery_options"] if each["id"] == call.path["delivery_option_id"]), None)
    if option is None:
        raise Refusal(BAD_PARAMETER, f"delivery option {call.path['delivery_option_id']} does not exist")
    if option["type"] != "SEND_BY_SELLER":
        raise Refusal(BAD_PARAMETER, f"delivery option {option['id']} is not shipped by the seller and has no shipping providers")
    return {"shipping_providers": call.shop["shipping_providers"]}
