"""Catalogue routes: products, media, configurable children and options (MAG §4.2)."""

from __future__ import annotations

from typing import Any

from . import products
from .errors import Masked, RestError, required
from .inventory import product_by_sku
from .products import require
from .routing import Call, route
from .search_criteria import Column, Criteria, search_docs, snake
from .storage import Doc

PRODUCTS = "Magento_Catalog::products"
_TYPES = (
    "simple:Simple Product",
    "virtual:Virtual Product",
    "bundle:Bundle Product",
    "downloadable:Downloadable Product",
    "configurable:Configurable Product",
    "grouped:Grouped Product",
)
_PROPERTIES = [
    "id",
    "sku",
    "name",
    "attribute_set_id",
    "price",
    "status",
    "visibility",
    "type_id",
    "created_at",
    "updated_at",
    "weight",
    "extension_attributes",
    "product_links",
    "options",
    "media_gallery_entries",
    "tier_prices",
    "custom_attributes",
]
_FIXED = {
    "entity_id": Column("id", "int"),
    "sku": Column("sku"),
    "name": Column("json_extract(doc,'$.name')"),
    "attribute_set_id": Column("json_extract(doc,'$.attribute_set_id')", "int"),
    "type_id": Column("json_extract(doc,'$.type_id')"),
    "price": Column("json_extract(doc,'$.price')", "float"),
    "status": Column("json_extract(doc,'$.status')", "int"),
    "visibility": Column("json_extract(doc,'$.visibility')", "int"),
    "weight": Column("json_extract(doc,'$.weight')", "float"),
    "created_at": Column("json_extract(doc,'$.created_at')", "date"),
    "updated_at": Column("json_extract(doc,'$.updated_at')", "date"),
    "url_key": Column("url_key"),
}
_LISTS = {"category_id": "category_ids", "website_id": "website_ids"}


def columns(world: Doc) -> dict[str, Column]:
    """Searchable product fields: fixed columns and every attribute code."""
    found = {a["attribute_code"]: Column(f"json_extract(doc,'$.attributes.{a['attribute_code']}')") for a in world["attributes"]}
    return {**found, **_FIXED}


def bad_attribute(name: str) -> RestError:
    return RestError(400, 'The "%1" attribute name is invalid. Reset the name and try again.', [name])


def find(call: Call, criteria: Criteria) -> tuple[list[Doc], int]:
    """Products of a search: EAV rules, with the custom filters `category_id`, `website_id` and `store_id`."""
    known = columns(call.world)
    extra, args = [], []
    effective = Criteria(sorts=criteria.sorts, page_size=criteria.page_size, page=criteria.page)
    for group in criteria.groups:
        kept = []
        for item in group:
            if item.field in _LISTS:
                values = [int(v) for v in str(item.value).split(",") if v.strip().isdigit()]
                marks = ",".join("?" * len(values)) or "NULL"
                extra.append(f"EXISTS (SELECT 1 FROM json_each(doc,'$.{_LISTS[item.field]}') WHERE value IN ({marks}))")
                args.extend(values)
            elif item.field not in ("store", "store_id"):
                kept.append(item)
        if kept:
            effective.groups.append(kept)
    table = "product"
    if extra:
        table = f"(SELECT * FROM product WHERE {' AND '.join(extra)})"
        for value in args:  # only integers reach this point
            table = table.replace("?", str(value), 1)
    return search_docs(call.db, table, known, effective, unknown=bad_attribute, ignore_bad_sort=True, repeat_last_page=call.repeats_last_page)


@route("GET", "/V1/products", PRODUCTS)
def list_products(call: Call) -> Doc:
    criteria = call.criteria()
    rows, total = find(call, criteria)
    return call.found(criteria, [products.view(call.db, row, call.store["id"], kind="list") for row in rows], total)


@route("GET", "/V1/products/:sku", PRODUCTS)
def get_product(call: Call, sku: str) -> Doc:
    store_id = int(call.query.get("storeId") or call.store["id"])
    return products.view(call.db, require(call.db, sku), store_id)


def _given(call: Call) -> Doc:
    given = {snake(key): value for key, value in call.param("product").items()}
    if any(key not in _PROPERTIES for key in given):
        raise Masked()
    return given


@route("POST", "/V1/products", PRODUCTS)
def create_product(call: Call) -> Doc:
    """Create or, by an existing SKU, update: the same upsert."""
    given = _given(call)
    if not given.get("sku"):
        raise required("sku")
    return _upsert(call, str(given["sku"]), given)


@route("PUT", "/V1/products/:sku", PRODUCTS)
def put_product(call: Call, sku: str) -> Doc:
    return _upsert(call, sku, _given(call))


def _upsert(call: Call, sku: str, given: Doc) -> Doc:
    product, store_id = product_by_sku(call.db, sku), call.store["id"]
    if product is not None:
        products.apply(call.db, product, given, store_id)
        products.store(call.db, product)
        return products.view(call.db, product, store_id)
    if not given.get("name"):
        raise required("name")
    websites = [w["id"] for w in call.world["websites"] if w["id"]] if store_id == 0 else [call.store["website_id"]]
    wanted = next((e["value"] for e in products.custom_list(given.get("custom_attributes")) if e["attribute_code"] == "url_key"), None)
    product = products.new_product(call.db, sku, given["name"], websites, url_key=wanted or products.url_key(given["name"]))
    products.apply(call.db, product, {**given, "name": None}, 0)
    products.store(call.db, product)
    return products.view(call.db, product, store_id, fresh=True)


@route("DELETE", "/V1/products/:sku", PRODUCTS)
def delete_product(call: Call, sku: str) -> bool:
    call.db.run("DELETE FROM product WHERE id = ?", require(call.db, sku)["id"])
    return True


@route("GET", "/V1/products/types", PRODUCTS)
def types(call: Call) -> list:
    return [{"name": name, "label": label} for name, label in (entry.split(":") for entry in _TYPES)]


# --- media --------------------------------------------------------------------------------------------------------------------


@route("GET", "/V1/products/:sku/media", PRODUCTS)
def list_media(call: Call, sku: str) -> list:
    return [products.media_view(entry) for entry in require(call.db, sku)["media"]]


@route("POST", "/V1/products/:sku/media", PRODUCTS)
def add_media(call: Call, sku: str) -> str:
    """An upload; the id comes back as a string. The picture served later is drawn from the file name."""
    product, given = require(call.db, sku), call.param("entry")
    content = given.get("content") or {}
    if not content.get("base64_encoded_data") or not content.get("name"):
        raise RestError(400, "The image content is invalid. Verify the content and try again.")
    entry = picture_entry(
        call.db.next("media"),
        content["name"],
        given.get("label"),
        given.get("position", len(product["media"]) + 1),
        given.get("types") or [],
        bool(given.get("disabled")),
    )
    for other in product["media"]:
        other["types"] = [kind for kind in other["types"] if kind not in entry["types"]]
    product["media"].append(entry)
    products.store(call.db, product)
    return str(entry["id"])


def picture_entry(media_id: int, name: str, label: Any, position: int, types: list[str], disabled: bool = False) -> Doc:
    clean = "".join(c if c.isalnum() or c in "._-" else "_" for c in name.lower())
    return {
        "id": media_id,
        "media_type": "image",
        "label": label,
        "position": position,
        "disabled": disabled,
        "types": types,
        "file": f"/{clean[0]}/{clean[1:2] or '_'}/{clean}",
    }


# --- configurable ---------------------------------------------------------------------------------------------------------------


@route("GET", "/V1/configurable-products/:sku/children", "Magento_Catalog::products")
def children(call: Call, sku: str) -> list:
    linked = [call.db.get("product", key) for key in require(call.db, sku).get("links", [])]
    return [products.view(call.db, child, call.store["id"], kind="child") for child in linked if child]


@route("GET", "/V1/configurable-products/:sku/options/all", "Magento_Catalog::products")
def options(call: Call, sku: str) -> list:
    return products.option_views(require(call.db, sku))


@route("POST", "/V1/configurable-products/:sku/child", "Magento_Catalog::products")
def add_child(call: Call, sku: str) -> bool:
    parent, child = require(call.db, sku), require(call.db, call.param("childSku"))
    links = parent.setdefault("links", [])
    if child["id"] in links:
        raise RestError(400, "The product is already attached.")
    links.append(child["id"])
    products.store(call.db, parent)
    return True
