"""Categories: tree, flat list, products of one (MAG §4.2.1)."""

from __future__ import annotations

from .errors import no_such
from .routing import Call, route
from .search_criteria import search_list
from .storage import Doc

CATEGORIES = "Magento_Catalog::categories"


def _children(call: Call, parent_id: int) -> list[Doc]:
    rows = [c for c in call.world["categories"] if c["parent_id"] == parent_id]
    return sorted(rows, key=lambda c: c["position"])


def _counts(call: Call) -> dict[int, int]:
    sql = "SELECT value, COUNT(*) FROM product, json_each(product.doc,'$.category_ids') GROUP BY value"
    return {int(category): count for category, count in call.db.all(sql)}


def _total(call: Call, category: Doc, counts: dict[int, int]) -> int:
    return counts.get(category["id"], 0) + sum(_total(call, child, counts) for child in _children(call, category["id"]))


@route("GET", "/V1/categories", CATEGORIES)
def tree(call: Call) -> Doc:
    """The store's tree, the whole one with scope `all`."""
    root = int(call.query.get("rootCategoryId") or (1 if call.store["id"] == 0 else 2))
    depth = int(call.query["depth"]) if call.query.get("depth") else None
    category = next((c for c in call.world["categories"] if c["id"] == root), None)
    if category is None:
        raise no_such("id", root)
    counts = _counts(call)

    def node(row: Doc, left: int | None) -> Doc:
        below = [] if left == 0 else _children(call, row["id"])
        return {
            "id": row["id"],
            "parent_id": row["parent_id"],
            "name": row["name"],
            "is_active": row["is_active"],
            "position": row["position"],
            "level": row["level"],
            "product_count": 0 if row["level"] < 2 else _total(call, row, counts),
            "children_data": [node(child, None if left is None else left - 1) for child in below],
        }

    return node(category, depth)


@route("GET", "/V1/categories/list", CATEGORIES)
def flat(call: Call) -> Doc:
    criteria = call.criteria()
    rows, total = search_list([{**c, "entity_id": c["id"]} for c in call.world["categories"]], criteria)
    return call.found(criteria, [_view(call, row) for row in rows], total)


@route("GET", "/V1/categories/:categoryId", CATEGORIES)
def get_category(call: Call, category_id: str) -> Doc:
    row = next((c for c in call.world["categories"] if str(c["id"]) == category_id), None)
    if row is None:
        raise no_such("id", category_id)
    return _view(call, row)


def _view(call: Call, row: Doc) -> Doc:
    descendants = [c for c in call.world["categories"] if f"/{row['id']}/" in f"/{c['path']}/" and c["id"] != row["id"]]
    custom = [{"attribute_code": "path", "value": row["path"]}, {"attribute_code": "children_count", "value": str(len(descendants))}]
    if row["level"]:
        custom.insert(0, {"attribute_code": "display_mode", "value": "PRODUCTS"})
    shown = {
        "id": row["id"],
        "parent_id": row["parent_id"],
        "name": row["name"],
        "position": row["position"],
        "level": row["level"],
        "children": ",".join(str(c["id"]) for c in _children(call, row["id"])),
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "path": row["path"],
        "include_in_menu": True,
        "custom_attributes": custom,
    }
    if row["level"]:
        shown["is_active"] = row["is_active"]
    return shown


@route("GET", "/V1/categories/:categoryId/products", CATEGORIES)
def products(call: Call, category_id: str) -> list:
    """Unpaged, enabled products only; `category_id` is a string."""
    if not any(str(c["id"]) == category_id for c in call.world["categories"]):
        raise no_such("id", category_id)
    inside = "EXISTS (SELECT 1 FROM json_each(doc,'$.category_ids') WHERE value = ?)"
    sql = f"SELECT sku FROM product WHERE {inside} AND json_extract(doc,'$.status') = 1 ORDER BY id"
    return [{"sku": sku, "position": 0, "category_id": category_id} for (sku,) in call.db.all(sql, int(category_id))]
