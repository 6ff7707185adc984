"""Stores, modules, admin token (MAG §4.1, §1.2c)."""

from __future__ import annotations

from .errors import RestError
from .routing import ANONYMOUS, Call, route
from .storage import Doc

STORE = "Magento_Backend::store"


@route("GET", "/V1/store/storeViews", STORE)
def store_views(call: Call) -> list:
    """Id 0 (`admin`) included."""
    keys = ("id", "code", "name", "website_id", "store_group_id", "is_active")
    return [{key: store[key] for key in keys} for store in call.world["stores"]]


@route("GET", "/V1/store/storeGroups", STORE)
def store_groups(call: Call) -> list:
    return call.world["groups"]


@route("GET", "/V1/store/websites", STORE)
def websites(call: Call) -> list:
    return call.world["websites"]


@route("GET", "/V1/store/storeConfigs", STORE)
def store_configs(call: Call) -> list:
    wanted = call.param("storeCodes", None)
    codes = list(wanted.values()) if isinstance(wanted, dict) else None
    return [_config(call, s) for s in call.world["stores"] if s["id"] and (codes is None or s["code"] in codes)]


def _config(call: Call, store: Doc) -> Doc:
    root, base = f"{call.root}/", call.world["base_currency"]
    shown = {
        "id": store["id"],
        "code": store["code"],
        "website_id": store["website_id"],
        "locale": store["locale"],
        "base_currency_code": base,
        "default_display_currency_code": store.get("currency") or base,
        "timezone": "UTC",
        "weight_unit": call.world["weight_unit"],
    }
    urls = {
        "base_url": root,
        "base_link_url": root,
        "base_static_url": f"{root}static/version1795277745/",
        "base_media_url": f"{root}media/",
    }
    return {**shown, **urls, **{f"secure_{name}": url for name, url in urls.items()}}


@route("GET", "/V1/modules", "Magento_Backend::admin")
def modules(call: Call) -> list:
    """Module names for feature detection."""
    return call.world["modules"]


@route("POST", "/V1/integration/admin/token", ANONYMOUS)
def admin_token(call: Call) -> str:
    """The practice store has no administrators over REST."""
    text = "The account sign-in was incorrect or your account is disabled temporarily. Please wait and try again later."
    raise RestError(401, text)
