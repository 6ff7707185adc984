"""Brands: authorized or not, T1 or not, available in a category or not, and the seller's own (TTS §5.3.6). All of them are made up."""

from __future__ import annotations

import re
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any

from . import refusals as codes
from .categories import SCOPE, check_version, find
from .operations import Call, operation
from .orderbook import Document
from .pages import keyset
from .refusals import Refusal
from .tree import Node

if TYPE_CHECKING:
    from .marketplace import Marketplace

FIRST = ("Alder", "Brisk", "Cobalt", "Dune", "Ember", "Fjord", "Grove", "Harbour", "Indigo", "Juniper", "Kestrel", "Lumen", "Moss", "Nord", "Opal", "Pine")
SECOND = ("Atelier", "Basics", "Collective", "Denim", "Electric", "Foods", "Goods", "Home", "Kids", "Labs", "Outdoor", "Works")
MOST_BRANDS = 1000
DAY = 86_400
# brands of these kinds are at home in these categories; the others everywhere
KINDS = {
    "Denim": ("apparel",),
    "Electric": ("electric", "battery"),
    "Foods": ("food", "pet"),
    "Kids": ("kids", "toys", "apparel"),
    "Outdoor": ("sport", "apparel", "footwear"),
}


@cache
def known_brands() -> dict[str, Document]:
    """The marketplace's own brands by id: every seventh is T1, every third is authorized."""
    names = sorted(f"{one} {other}" for one, other in product(FIRST, SECOND))
    return {
        str(7_081_000_000_000_000_000 + number): {"name": name, "t1": number % 7 == 0, "authorized": number % 3 == 0} for number, name in enumerate(names, 1)
    }


def brand_of(market: Marketplace, brand_id: str) -> Document | None:
    if brand_id in known_brands():
        return known_brands()[brand_id]
    row = market.store.read.execute("SELECT name FROM custom_brands WHERE id = ?", (brand_id,)).fetchone()
    return {"name": row["name"], "t1": False, "authorized": False} if row else None


def available(brand: Document, node: Node) -> bool:
    kinds = KINDS.get(brand["name"].rpartition(" ")[2])
    return kinds is None or any(trait in kinds for trait in node.traits)


def why_unusable(brand: Document, node: Node) -> tuple[int, str] | None:
    """Authorized and available is usable; unauthorized only when it is not T1."""
    if brand["t1"] and not brand["authorized"]:
        return codes.BRAND_NOT_AUTHORIZED, f"the shop has no authorization for the brand {brand['name']}"
    if not available(brand, node):
        return codes.BRAND_NOT_IN_CATEGORY, f"the brand {brand['name']} is not available in the category {node.name}"
    return None


@operation("brands.list", "GET /product/{version}/brands", "202309", SCOPE)
def list_brands(call: Call) -> dict[str, Any]:
    size, name = call.whole("page_size", 1, 100), call.query.get("brand_name", "").casefold()
    only = call.parameter("is_authorized", "0", "1", default="0") == "1"
    node = None
    if category_id := call.query.get("category_id"):
        node = find(call.market, category_id, check_version(call.shop, call.query.get("category_version")))
    own = call.market.store.read.execute("SELECT id, name FROM custom_brands ORDER BY id").fetchall()
    every = {**known_brands(), **{row["id"]: {"name": row["name"], "t1": False, "authorized": False} for row in own}}
    chosen = sorted(
        (brand_id for brand_id, brand in every.items() if brand["name"].casefold().startswith(name) and (brand["authorized"] or not only)),
        key=int,
    )
    page, token = keyset(call, "brands", [name, only, category_id], chosen, size)
    shown = []
    for brand_id in page:
        brand = every[brand_id]
        entry = {
            "id": brand_id,
            "name": brand["name"],
            "authorized_status": "AUTHORIZED" if brand["authorized"] else "UNAUTHORIEZD",
            "is_t1_brand": brand["t1"],
        }
        if node is not None:
            entry["brand_status"] = "AVAILABLE" if available(brand, node) else "UNAVAILABLE"
        shown.append(entry)
    return {"brands": shown, "next_page_token": token, "total_count": len(chosen)}


@operation("brands.create", "POST /product/{version}/brands", "202309", "seller.product.write", cipher=False, writes=True)
def create_brand(call: Call) -> dict[str, Any]:
    name = call.field("name", required=True).strip()
    if not 2 <= len(name) <= 30 or re.search(r"[㐀-䶿一-鿿豈-﫿]", name):
        raise Refusal(codes.BRAND_INVALID, "the name of a brand has 2 to 30 characters, none of them Chinese")
    if any(brand["name"].casefold() == name.casefold() for brand in known_brands().values()):
        raise Refusal(codes.BRAND_INVALID, f"the brand {name} exists already")
    db, owner = call.market.store.read, call.grant["open_id"]
    if db.execute("SELECT 1 FROM custom_brands WHERE open_id = ? AND name = ? COLLATE NOCASE", (owner, name)).fetchone():
        raise Refusal(codes.BRAND_INVALID, f"the brand {name} exists already")
    today = db.execute("SELECT count(*) FROM custom_brands WHERE open_id = ? AND time >= ?", (owner, call.now // DAY * DAY)).fetchone()[0]
    total = db.execute("SELECT count(*) FROM custom_brands WHERE open_id = ?", (owner,)).fetchone()[0]
    if today >= call.market.settings.daily_brand_limit or total >= MOST_BRANDS:
        raise Refusal(codes.LISTING_LIMIT, "the limit of custom brands is reached: 50 a day, 1000 in total")
    brand_id = call.market.ids("brand")[0]
    db.execute("INSERT INTO custom_brands VALUES (?, ?, ?, ?)", (brand_id, name, owner, call.now))
    return {"id": brand_id}
