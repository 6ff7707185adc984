"""The world of the recorded exchanges (contract captures, README "The recorded world"), so that they can be replayed here."""

from __future__ import annotations

from typing import Any

from .attributes import attribute, choices
from .customers import save as save_customer
from .load import direct_order
from .products import put
from .routing import Call, match, perform
from .storage import Doc, Tables
from .worlds import (
    ADMIN_GROUP,
    ADMIN_STORE,
    ADMIN_WEBSITE,
    DEFAULT_SOURCE,
    add_product,
    begin,
    category,
    source,
    store,
    system_attributes,
)

_TEE_COLOURS = {"BLA": ("Black", 4), "WHI": ("White", 5)}
_SIZES = {"S": 7, "M": 8, "L": 9}
_BULK = 40
_ORDERS = 70
_RICH = {
    "materials": "10,11",
    "brand_name": "Acme",
    "care_notes": "Wash\ncold & dry",
    "is_fragile": "1",
    "release_date": "2024-05-06 00:00:00",
    "msrp_hint": "29.950000",
}


def _world() -> Doc:
    root = category(1, None, "Root Catalog", 0)
    default = category(2, root, "Default Category", 1)
    clothing, home = category(3, default, "Clothing", 1), category(6, default, "Home", 2)
    fr = {"2": " (fr)"}
    own = {"is_user_defined": True}
    return {
        "name": "recorded",
        "weight_unit": "lbs",
        "rates": {"USD": 1, "EUR": 0.7067},
        "websites": [
            {"id": 1, "code": "base", "name": "Main Website", "default_group_id": 1},
            ADMIN_WEBSITE,
            {"id": 2, "code": "eu", "name": "EU Website", "default_group_id": 2},
        ],
        "groups": [
            {"id": 1, "website_id": 1, "root_category_id": 2, "default_store_id": 1, "name": "Main Website Store", "code": "main_website_store"},
            ADMIN_GROUP,
            {"id": 2, "website_id": 2, "root_category_id": 2, "default_store_id": 3, "name": "EU Store", "code": "eu_store"},
        ],
        "stores": [
            ADMIN_STORE,
            store(1, "default", "Default Store View", 1, 1),
            store(2, "fr", "French", 1, 1, locale="fr_FR"),
            store(3, "eu_en", "EU English", 2, 2),
        ],
        "sources": [DEFAULT_SOURCE, source("wh_east", "East Warehouse", "07030"), source("wh_west", "West Warehouse", "90001")],
        "stocks": [
            {"stock_id": 1, "name": "Default Stock", "sales_channels": [{"type": "website", "code": "eu"}]},
            {"stock_id": 2, "name": "US Stock", "sales_channels": [{"type": "website", "code": "base"}]},
        ],
        "links": [
            {"stock_id": 1, "source_code": "default", "priority": 1},
            {"stock_id": 2, "source_code": "wh_west", "priority": 1},
            {"stock_id": 2, "source_code": "wh_east", "priority": 2},
        ],
        "categories": [
            root,
            default,
            clothing,
            category(4, clothing, "T-Shirts", 1),
            category(5, clothing, "Hoodies", 2),
            home,
            category(7, home, "Mugs", 1),
        ],
        "attributes": [
            *system_attributes(),
            attribute(137, "tshirt_color", "T-Shirt Color", "select", "int", options=choices("Black", "White", "Red", first=4, suffixes=fr), **own),
            attribute(138, "tshirt_size", "Size", "select", "int", options=choices("S", "M", "L", first=7), **own),
            attribute(139, "materials", "Materials", "multiselect", "text", options=choices("Clay", "Cotton", first=10), **own),
            attribute(140, "brand_name", "Brand", "text", "varchar", **own),
            attribute(141, "care_notes", "Care notes", "textarea", "text", **own),
            attribute(142, "is_fragile", "Fragile", "boolean", "int", **own),
            attribute(143, "release_date", "Release date", "date", "datetime", **own),
            attribute(144, "msrp_hint", "MSRP hint", "price", "decimal", **own),
            attribute(145, "gtin", "GTIN", "text", "varchar", **own),
        ],
    }


def _simple(db: Tables, sku: str, name: str, price: Any, *, weight: Any = 0.5, categories: tuple = (6,), **more: Any) -> Doc:
    more.setdefault("stock", {"default": 20, "wh_west": 20})
    return add_product(db, sku, name, price, weight, list(categories), [1, 2], **more)


def _products(db: Tables) -> None:
    _simple(db, "OOS-01", "Out of stock thing", 15, stock={"default": 0, "wh_west": 0})
    _simple(db, "DISABLED-01", "Disabled thing", 15, status=2)
    _simple(db, "ONE-LEFT", "One left", 5, stock={"default": 1, "wh_west": 1})
    _simple(db, "NOPRICEWEIGHT", "No weight", 0, weight=None)
    tier = {"customer_group_id": 32000, "qty": 10, "value": 50, "extension_attributes": {"website_id": 0}}
    special = {"special_price": "59.990000", "special_from_date": "2024-01-01 00:00:00"}
    _simple(db, "SALE-01", "Sale thing", 80, attributes=special, tier_prices=[tier])
    _simple(db, "VIRT-01", "Warranty", 10, weight=None, type_id="virtual")
    _simple(db, "EU-ONLY", "EU only", 9)
    tees = [
        _variant(db, f"TEE-{code}-{size}", f"Tee {colour} {size}", 19.9, 4, {"tshirt_size": str(index), "tshirt_color": str(value)})
        for code, (colour, value) in _TEE_COLOURS.items()
        for size, index in _SIZES.items()
    ]
    hoods = [
        _variant(db, f"HOOD-BLA-{size}", f"Hood Black {size}", 39.9, 5, {"tshirt_size": str(index), "tshirt_color": "4"}) for size, index in _SIZES.items()
    ]
    option = {
        "product_sku": "CUSTOPT-01",
        "option_id": 1,
        "title": "Engraving",
        "type": "field",
        "sort_order": 1,
        "is_require": True,
        "price": 0,
        "price_type": "fixed",
        "max_characters": 0,
        "image_size_x": 0,
        "image_size_y": 0,
    }
    _simple(db, "CUSTOPT-01", "Engraved thing", 25, options=[option])
    for number in range(_BULK):
        _simple(db, f"BULK-{number:03d}", f"Bulk item {number}", 5 + number)
    long = {"short_description": "Acme mug short", "description": "<p>Acme mug long <b>description</b></p>"}
    _simple(
        db,
        "MUG-01",
        "Acme Mug",
        12.5,
        weight=0.4,
        categories=(7,),
        pictures=("mug-1", "mug-2"),
        stock={"default": 50, "wh_east": 25, "wh_west": 25},
        attributes={**_RICH, "gtin": "4006381333931", **long},
    )
    _simple(
        db,
        "MUG/02 slash",
        'Mug "Slash" & <b>html</b>',
        9.99,
        categories=(7,),
        pictures=("mug-s",),
        stock={"default": 5, "wh_west": 5},
        attributes={**_RICH, "gtin": "4006381333948", **long},
    )
    _simple(db, "LAMP-01", "Désk lamp ☀ ünïcode", 45, pictures=("lamp",), attributes={**_RICH, **long}, stock={"default": 20, "wh_west": 20, "wh_east": 20})
    _configurable(db, "TEE", "Acme Tee", 4, tees, ("tee", "tee-b"))
    _configurable(db, "HOOD", "Acme Hood", 5, hoods, ("hood",))
    for sku, kind in (("GROUP-01", "grouped"), ("BUNDLE-01", "bundle")):
        _simple(db, sku, f"{kind.title()} thing", 0, weight=None, type_id=kind, stock={}, links=[])


def _variant(db: Tables, sku: str, name: str, price: float, category_id: int, attributes: Doc) -> Doc:
    return _simple(db, sku, name, price, categories=(category_id,), visibility=1, pictures=(sku.lower(),), attributes=attributes)


def _configurable(db: Tables, sku: str, name: str, category_id: int, children: list[Doc], pictures: tuple) -> None:
    parent = _simple(
        db,
        sku,
        name,
        0,
        weight=None,
        categories=(category_id,),
        type_id="configurable",
        stock={},
        pictures=pictures,
        attributes={**_RICH, "short_description": f"{name} short", "description": f"<p>{name}</p>"},
    )
    parent["links"] = [child["id"] for child in children]
    parent["configurable_options"] = [
        {
            "id": db.next("configurable_option"),
            "attribute_id": attribute_id,
            "code": code,
            "label": label,
            "position": position,
            "values": sorted({int(child["attributes"][code]) for child in children}),
        }
        for position, (attribute_id, code, label) in enumerate(((137, "tshirt_color", "T-Shirt Color"), (138, "tshirt_size", "Size")))
    ]
    put(db, parent)


def _customers(db: Tables) -> None:
    route, arguments = match("POST", "/V1/customers")
    home = next(s for s in db.config("world")["stores"] if s["id"] == 1)
    call = Call(db, route, arguments, {}, {}, home, "http://localhost")
    address = {
        "firstname": "Alice",
        "lastname": "Buyer",
        "street": ["1 Main St"],
        "city": "Austin",
        "postcode": "73301",
        "telephone": "5125550100",
        "country_id": "US",
        "region": {"region_code": "TX"},
        "default_shipping": True,
        "default_billing": True,
    }
    save_customer(call, {"email": "alice@example.com", "firstname": "Alice", "lastname": "Buyer", "website_id": 1, "addresses": [address]})
    save_customer(call, {"email": "bob@example.com", "firstname": "Bob", "lastname": "Buyer", "website_id": 1})


def _orders(db: Tables) -> None:
    """Order 1 closed after two parcels and two refunds, order 2 cancelled, order 4 commented, the rest plain direct orders."""
    mug = db.one("SELECT id FROM product WHERE sku = 'MUG-01'")[0]

    def direct(number: int, quantity: int, **header: Any) -> int:
        given = {"state": "new", "status": "pending", **header}
        body = direct_order("MUG-01", "MUG-01", mug, quantity, 12.5, 5, ext_order_id=f"TT-{1000 + number}", customer_email="tt.buyer@example.com", **given)
        return perform(db, "POST", "/V1/orders", body)["entity_id"]

    first = direct(1, 2, state="processing", status="processing")
    item = db.where("order_item", "json_extract(doc,'$.order_id') = ?", first)[0]["item_id"]
    line = [{"order_item_id": item, "qty": 1}]
    perform(db, "POST", f"/V1/order/{first}/invoice", {"capture": True, "comment": {"comment": "Paid by TikTok"}})
    for code, number, title, carrier, text in (
        ("default", "1Z999AA10123456784", "UPS", "ups", "first parcel"),
        ("wh_east", "TT123", "TikTok Shipping", "custom", ""),
    ):
        track = {"track_number": number, "title": title, "carrier_code": carrier}
        extension = {"extension_attributes": {"source_code": code}}
        body = {"items": line, "tracks": [track], "comment": {"comment": text}, "arguments": extension}
        perform(db, "POST", f"/V1/order/{first}/ship", body)
    perform(db, "POST", f"/V1/order/{first}/refund", {"items": line, "comment": {"comment": "return"}, "arguments": {"shipping_amount": 0}})
    perform(db, "POST", f"/V1/order/{first}/refund", {})
    perform(db, "POST", f"/V1/orders/{direct(2, 1, increment_id='TT-576460752303-1')}/cancel", {})
    direct(3, 1)
    fourth = direct(4, 1)
    for history in (
        {"comment": "TikTok: awaiting shipment", "status": "pending", "entity_name": "order"},
        {"comment": "just text"},
        {"comment": "again", "status": "pending"},
        {"comment": "last", "status": "pending"},
    ):
        perform(db, "POST", f"/V1/orders/{fourth}/comments", {"statusHistory": {**history, "parent_id": fourth}})
    for number in range(5, _ORDERS + 1):
        direct(number, 1)


def seed(db: Tables, *, keep_credentials: bool = False) -> None:
    """Write the recorded world: 64 products, two customers, 70 orders; order emails off, bearer on."""
    payments = {
        "checkmo": {"active": True, "title": "Check / Money order"},
        "banktransfer": {"active": True, "title": "Bank Transfer Payment"},
        "cashondelivery": {"active": True, "title": "Cash On Delivery"},
        "purchaseorder": {"active": False, "title": "Purchase Order"},
    }
    begin(db, _world(), {"bearer": True, "emails": False, "payments": payments}, keep_credentials)
    _products(db)
    _customers(db)
    _orders(db)
