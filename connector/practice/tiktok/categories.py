"""Listing prerequisites, categories, recommendation, attributes and rules (TTS §5.3.1-§5.3.5)."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson

from . import refusals as codes
from .operations import Call, operation
from .orderbook import Document
from .refusals import Refusal
from .traits import attributes, conditions, rules
from .tree import LOCALES, VERSIONS, Node, chain, local_name, tree

if TYPE_CHECKING:
    from .marketplace import Marketplace

SCOPE = "seller.product.basic"
CHECKS = (
    *("SHOP_STATUS", "SHOP_TAX", "PICKUP_WAREHOUSE", "RETURN_WAREHOUSE", "DELIVERY_OPTION", "SHIPPING_TEMPLATE"),
    *("PRODUCT_QUANTITY_LIMIT", "EXTENDED_PRODUCER_RESPONSIBILITY", "BANk_ACCOUNT", "CONTACT_INFO"),  # the API's own spelling
)
V2_ONLY = ("US", "SG")
SHOP_LOCALES = {"GB": "en-GB", "US": "en-US", "SG": "en-GB"}
PLATFORMS = ("TIKTOK_SHOP", "TOKOPEDIA")
DAY = 86_400


# -- prerequisites ------------------------------------------------------------------------------------------------------------------------


def failures(market: Marketplace, shop: Document) -> dict[str, list[str]]:
    """Failed checks of a shop with their reasons; set by the control API, and the listing limit by itself."""
    found: dict[str, list[str]] = dict(market.store.meta("shop_failures", {}).get(shop["id"], {}))
    if (limit := market.settings.daily_listing_limit) is not None and listed_today(market, shop) >= limit:
        found.setdefault("PRODUCT_QUANTITY_LIMIT", [f"The shop has listed {limit:g} products today, which is its daily limit"])
    return found


def listed_today(market: Marketplace, shop: Document) -> int:
    """Products listed on this day (UTC) of the shop clock; drafts do not count."""
    midnight = market.clock.seconds() // DAY * DAY
    query = "SELECT count(*) FROM products WHERE shop_id = ? AND create_time >= ? AND status != 'DRAFT' AND json_extract(inner, '$.seeded') IS NULL"
    return market.store.read.execute(query, (shop["id"], midnight)).fetchone()[0]


@operation("products.prerequisites", "GET /product/{version}/prerequisites", "202312 202309", SCOPE)
def prerequisites(call: Call) -> dict[str, Any]:
    failed = failures(call.market, call.shop)
    results = [{"check_item": item, "is_failed": item in failed, "fail_reasons": failed.get(item, [])} for item in CHECKS]
    if call.version == "202312":
        return {"check_results": results}
    nested = [{**each, "fail_reasons": orjson.dumps(each["fail_reasons"]).decode()} for each in results]
    return {"check_results": orjson.dumps(nested).decode()}


# -- the tree -----------------------------------------------------------------------------------------------------------------------------


def check_version(shop: Document, version: str | None) -> str:
    """The tree a call means. v1 is the default; markets that have moved on accept v2 only."""
    chosen = version or "v1"
    if chosen not in VERSIONS:
        raise Refusal(codes.BAD_REQUEST, f"param category_version is invalid: {chosen} is not one of {', '.join(VERSIONS)}")
    if chosen != "v2" and shop["region"] in V2_ONLY:
        raise Refusal(codes.CATEGORY_VERSION, f"categories of {shop['region']} shops must be from the v2 tree: send category_version v2")
    return chosen


def usual_version(shop: Document) -> str:
    return "v2" if shop["region"] in V2_ONLY else "v1"


def changes(market: Marketplace) -> dict[str, Document]:
    """What the control API has changed, by category id: `leaf`, `status`, `available`, `required`, `rules`."""
    return market.store.meta("category_changes", {})


def is_leaf(node: Node, changed: dict[str, Document]) -> bool:
    return bool(changed.get(node.id, {}).get("leaf", node.is_leaf))


def find(market: Marketplace, category_id: str, version: str) -> Node:
    """A leaf that is in use. Raises Refusal 12052023, 12052024, 12052025 or 12052230."""
    node = tree(version).get(category_id)
    if node is None:
        other = "v1" if version == "v2" else "v2"
        if category_id in tree(other):
            raise Refusal(codes.CATEGORY_OTHER_TREE, f"category {category_id} is of the {other} tree, but category_version is {version}")
        raise Refusal(codes.CATEGORY_MISSING, f"category {category_id} does not exist")
    changed = changes(market)
    if not changed.get(node.id, {}).get("available", True):
        raise Refusal(codes.CATEGORY_NOT_AVAILABLE, f"category {category_id} is not available")
    if not is_leaf(node, changed):
        raise Refusal(codes.CATEGORY_NOT_LEAF, f"category {category_id} is not a leaf category")
    return node


def permission(market: Marketplace, node: Node) -> str:
    return changes(market).get(node.id, {}).get("status", node.status)


def _locale(call: Call) -> str:
    return call.parameter("locale", *LOCALES, default=SHOP_LOCALES[call.shop["region"]])


@operation("categories.list", "GET /product/{version}/categories", "202309", SCOPE)
def list_categories(call: Call) -> dict[str, Any]:
    """The whole tree, flat. A keyword keeps the nodes with it in their local name."""
    version, locale = check_version(call.shop, call.query.get("category_version")), _locale(call)
    call.parameter("listing_platform", *PLATFORMS, default="TIKTOK_SHOP")
    keyword = call.query.get("keyword", "").casefold()
    prohibited = call.parameter("include_prohibited_categories", "true", "false", default="false") == "true"
    changed = changes(call.market)
    shown = []
    for node in tree(version).values():
        change = changed.get(node.id, {})
        status = change.get("status", node.status)
        if (status == "PROHIBITED" and not prohibited) or not change.get("available", True):
            continue
        name = local_name(node.name, locale)
        if keyword in name.casefold():
            shown.append({"id": node.id, "parent_id": node.parent_id, "local_name": name, "is_leaf": is_leaf(node, changed), "permission_statuses": [status]})
    return {"categories": shown}


# -- recommendation -----------------------------------------------------------------------------------------------------------------------


def _stems(text: str) -> set[str]:
    """Words without plural and possessive, from three letters on."""
    words = (re.sub(r"('s|s'|es|s)$", "", word) for word in re.findall(r"[\w'-]+", text.casefold()))
    return {word for word in words if len(word) > 2}


@cache
def _leaf_words(version: str) -> list[tuple[Node, set[str], set[str]]]:
    """Leaves with the words of their own name and of the names above."""
    nodes = tree(version)
    leaves = [node for node in nodes.values() if not node.children]
    return [(node, _stems(node.name), _stems(" ".join(each.name for each in chain(nodes, node.id)[:-1]))) for node in leaves]


def recommend(version: str, title: str, description: str, *, prohibited: bool = False) -> Node | None:
    """The leaf that shares most words with the title; the description decides between equals."""
    asked, more = _stems(title), _stems(description)
    best: tuple[float, Node] | None = None
    for node, own, above in _leaf_words(version):
        shared = len(own & asked)
        if not shared or (node.status == "PROHIBITED" and not prohibited):
            continue
        score = 3 * shared / len(own) + 0.5 * shared + 0.3 * len(above & asked) + 0.1 * len(own & more)
        if best is None or score > best[0]:
            best = (score, node)
    return best[1] if best else None


@operation("categories.recommend", "POST /product/{version}/categories/recommend", "202309", SCOPE)
def recommend_category(call: Call) -> dict[str, Any]:
    title = call.field("product_title", required=True)
    version = check_version(call.shop, call.field("category_version"))
    prohibited = bool(call.field("include_prohibited_categories", bool))
    leaf = recommend(version, title, call.field("description") or "", prohibited=prohibited)
    if leaf is None:
        raise Refusal(codes.NO_CATEGORY_MATCHED, "no category could be matched")
    nodes, changed = chain(tree(version), leaf.id), changes(call.market)
    return {
        "leaf_category_id": leaf.id,
        "categories": [
            {
                "id": node.id,
                "name": local_name(node.name, SHOP_LOCALES[call.shop["region"]]),
                "level": node.level,
                "is_leaf": is_leaf(node, changed),
                "permission_statuses": [permission(call.market, node)],
            }
            for node in nodes
        ],
    }


# -- attributes and rules -----------------------------------------------------------------------------------------------------------------


def required_ids(market: Marketplace, node: Node) -> set[str]:
    """Attributes that are required without a condition."""
    known = attributes(node.traits)
    return {each.id for each in known.values() if each.required} | (set(changes(market).get(node.id, {}).get("required", ())) & set(known))


def rules_of(market: Marketplace, node: Node) -> Document:
    return {**rules(node.traits), **changes(market).get(node.id, {}).get("rules", {})}


@operation("categories.attributes", "GET /product/{version}/categories/{category_id}/attributes", "202309", SCOPE)
def category_attributes(call: Call) -> dict[str, Any]:
    version, _ = check_version(call.shop, call.query.get("category_version")), _locale(call)
    node = find(call.market, call.path["category_id"], version)
    known, required = attributes(node.traits), required_ids(call.market, node)
    shown = []
    for attribute in known.values():
        entry: Document = {"id": attribute.id, "name": attribute.name, "type": "SALES_PROPERTY" if attribute.sales else "PRODUCT_PROPERTY"}
        if not attribute.sales:
            entry["is_requried"] = attribute.id in required  # the API's own spelling
            entry["is_multiple_selection"] = attribute.multiple
            entry["is_customizable"] = attribute.custom or not attribute.values
            entry["value_data_format"] = "POSITIVE_INT_OR_DECIMAL" if attribute.number else ""
            if needs := conditions(attribute, known):
                entry["requirement_conditions"] = needs
        if attribute.values:
            entry["values"] = [{"id": attribute.value_id(value), "name": value} for value in attribute.values]
        shown.append(entry)
    return {"attributes": shown}


@operation("categories.rules", "GET /product/{version}/categories/{category_id}/rules", "202309", SCOPE)
def category_rules(call: Call) -> dict[str, Any]:
    version, _ = check_version(call.shop, call.query.get("category_version")), _locale(call)
    return rules_of(call.market, find(call.market, call.path["category_id"], version))
