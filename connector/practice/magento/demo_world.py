"""The demo world: the shared catalogue in a shop with a British and an American TikTok store view."""

from __future__ import annotations

from decimal import Decimal

from .. import catalogue
from .attributes import attribute, choices
from .products import put, url_key
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

_COLOURS = ("Black", "White", "Red", "Grey")
_SIZES = ("S", "M", "L", "XL")
_SECOND_WAREHOUSE = 50


def _world() -> Doc:
    root = category(1, None, "Root Catalog", 0)
    default = category(2, root, "Default Category", 1)
    return {
        "name": "demo",
        "weight_unit": "kgs",
        "rates": {"USD": 1, "GBP": 0.8, "SGD": 1.3},
        "websites": [ADMIN_WEBSITE, {"id": 1, "code": "base", "name": "Main Website", "default_group_id": 1}],
        "groups": [
            ADMIN_GROUP,
            {"id": 1, "website_id": 1, "root_category_id": 2, "default_store_id": 1, "name": "Main Website Store", "code": "main_website_store"},
        ],
        "stores": [
            ADMIN_STORE,
            store(1, "default", "Default Store View", 1, 1),
            store(2, "tiktok_gb", "TikTok Shop GB", 1, 1, locale="en_GB", currency="GBP"),
            store(3, "tiktok_us", "TikTok Shop US", 1, 1),
        ],
        "sources": [
            DEFAULT_SOURCE,
            source("wh_main", "Main Warehouse", "90001"),
            source("wh_second", "Second Warehouse", "07030"),
        ],
        "stocks": [
            {"stock_id": 1, "name": "Default Stock", "sales_channels": []},
            {"stock_id": 2, "name": "Main Stock", "sales_channels": [{"type": "website", "code": "base"}]},
        ],
        "links": [
            {"stock_id": 1, "source_code": "default", "priority": 1},
            {"stock_id": 2, "source_code": "wh_main", "priority": 1},
            {"stock_id": 2, "source_code": "wh_second", "priority": 2},
        ],
        "categories": [root, default, category(3, default, "Clothing", 1), category(4, default, "Home", 2)],
        "attributes": [
            *system_attributes(),
            attribute(137, "color", "Color", "select", "int", is_user_defined=True, options=choices(*_COLOURS, first=4)),
            attribute(138, "size", "Size", "select", "int", is_user_defined=True, options=choices(*_SIZES, first=8)),
            attribute(139, "material", "Material", "text", "varchar", is_user_defined=True),
            attribute(140, "tiktok_sku", "TikTok SKU", "text", "varchar", is_user_defined=True),
            attribute(141, "gtin", "GTIN", "text", "varchar", is_user_defined=True),
        ],
    }


def seed(db: Tables, *, bulk: int = 0, emails: bool = True, keep_credentials: bool = False) -> None:
    """Write the demo world; `bulk` adds that many load-test products."""
    payments = {
        "checkmo": {"active": True, "title": "Check / Money order"},
        "banktransfer": {"active": True, "title": "Bank Transfer Payment"},
        "purchaseorder": {"active": True, "title": "Purchase Order"},
    }
    begin(db, _world(), {"bearer": True, "emails": emails, "payments": payments}, keep_credentials)
    parents: dict[str, Doc] = {}
    for product in catalogue.DEMO_PRODUCTS:
        saved = _add(db, product)
        if product.type_id == "configurable":
            saved.update(links=[], configurable_options=[])
            parents[product.sku] = saved
        elif product.parent_sku:
            parents[product.parent_sku]["links"].append(saved["id"])
    for parent in parents.values():
        _finish_configurable(db, parent)
    for number in range(bulk):
        _add(db, catalogue.bulk_product(number))


def _add(db: Tables, product: catalogue.DemoProduct) -> Doc:
    attributes = dict(product.attrs)
    if product.colour:
        attributes["color"] = str(4 + _COLOURS.index(product.colour))
    if product.size:
        attributes["size"] = str(8 + _SIZES.index(product.size))
    attributes |= {"short_description": product.name, "description": description(product), "cost": f"{product.price * Decimal('0.55'):.6f}"}
    if product.sku == "SALE-01":
        attributes.update(special_price="59.990000", special_from_date="2024-01-01 00:00:00")
    variant = product.parent_sku is not None
    stock = {} if product.type_id == "configurable" else {"wh_main": product.qty}
    if variant:
        stock["wh_second"] = _SECOND_WAREHOUSE
    return add_product(
        db,
        product.sku,
        product.name,
        Decimal(0) if product.type_id == "configurable" else product.price,
        product.weight_kg if product.type_id == "simple" else None,
        [3] if variant or product.type_id == "configurable" else [4],
        [1],
        stock=stock,
        pictures=_pictures(product),
        attributes=attributes,
        type_id=product.type_id,
        status=product.status,
        visibility=1 if variant else 4,
        store_values=_store_values(product),
    )


def description(product: catalogue.DemoProduct) -> str:
    """A few honest paragraphs of HTML, as a merchant's editor leaves them."""
    what = product.name[:1].upper() + product.name[1:]
    facts = [f"Colour: {product.colour}"] if product.colour else []
    facts += [f"Size: {product.size}"] if product.size else []
    facts += [f"Weight: {product.weight_kg} kg"] if product.weight_kg else []
    rows = "".join(f"<li>{fact}</li>" for fact in facts)
    return (
        f"<p>{what}: made to be used every day and to be kept for years.</p><ul>{rows}<li>Packed without plastic</li></ul>"
        "<p>If something is not right, send it back within thirty days.</p>"
    )


def _pictures(product: catalogue.DemoProduct) -> tuple[str, ...]:
    """Two pictures each; load-test products share twenty-four, as a real range shares its packaging."""
    if product.sku.startswith("BULK-"):
        return (f"bulk-{int(product.sku[5:]) % 24:02d}",)
    return (url_key(product.sku), f"{url_key(product.sku)}-back")


def _store_values(product: catalogue.DemoProduct) -> Doc:
    """What the British store view (id 2) calls things."""
    british = {
        "HOOD": ("Hooded sweatshirt", "Hoodie"),
        "CHARGER-01": ("Wall charger", "Mains charger"),
        "SOCK-3PK": ("Cotton socks", "Cotton socks (UK sizes)"),
    }
    for sku, (here, there) in british.items():
        if product.sku == sku or product.parent_sku == sku:
            return {"2": {"name": product.name.replace(here, there)}}
    return {}


def _finish_configurable(db: Tables, parent: Doc) -> None:
    children = [child for key in parent["links"] if (child := db.get("product", key))]
    for position, (attribute_id, code, label) in enumerate(((137, "color", "Color"), (138, "size", "Size"))):
        values = sorted({int(child["attributes"][code]) for child in children})
        parent["configurable_options"].append(
            {"id": db.next("configurable_option"), "attribute_id": attribute_id, "code": code, "label": label, "position": position, "values": values}
        )
    put(db, parent)
