"""The listings in the buyer console: what the shop sells, with buttons to buy and to play the marketplace's part."""

from __future__ import annotations

from typing import Any

from flask import Response, redirect, render_template, request, url_for
from werkzeug.datastructures import MultiDict

from .acts import place
from .console import blueprint, market
from .listing_control import change, find_listings, truth
from .listing_seeds import seed_listings
from .listings import STATUSES, load, version
from .refusals import Refusal
from .schedule import settle

PAGE = 50
ACTS: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "approve": ("Audit passes now", {"audit": "APPROVED"}, ("PENDING",)),
    "reject": ("Audit fails now", {"audit": "FAILED"}, ("PENDING",)),
    "hide": ("The platform takes it down", {"status": "PLATFORM_DEACTIVATED"}, ("ACTIVATE",)),
    "freeze": ("The platform freezes it", {"status": "FREEZE"}, ("ACTIVATE", "SELLER_DEACTIVATED", "PLATFORM_DEACTIVATED")),
    "lock": ("Start a promotion", {"promotion_lock": True}, ("ACTIVATE",)),
    "unlock": ("End the promotion", {"promotion_lock": False}, ("ACTIVATE",)),
}


@blueprint.get("/console/listings")
def listings() -> str:
    return _page()


def _page(complaint: str = "") -> str:
    settle(market())
    page = max(1, request.args.get("page", 1, type=int))
    filters = {name: request.args[name] for name in ("shop", "status", "seller_sku") if request.args.get(name)}
    where, values = "1", []
    if "shop" in filters:
        where, values = where + " AND shop_id = ?", [*values, market().shop(filters["shop"])["id"]]
    if "status" in filters:
        where, values = where + " AND status = ?", [*values, filters["status"]]
    if "seller_sku" in filters:
        where, values = where + " AND id IN (SELECT product_id FROM skus WHERE seller_sku = ?)", [*values, filters["seller_sku"]]
    db = market().store.read
    total = db.execute(f"SELECT count(*) FROM products WHERE {where}", values).fetchone()[0]
    query = f"SELECT id FROM products WHERE {where} ORDER BY create_time DESC, id DESC LIMIT ? OFFSET ?"
    ids = [row["id"] for row in db.execute(query, (*values, PAGE, (page - 1) * PAGE))]
    found = {each["id"]: each for each in find_listings(market(), MultiDict({"ids": ",".join(ids)}))["listings"]} if ids else {}
    regions = {shop["id"]: shop["region"] for shop in market().shops.values()}
    return render_template(
        "listings.html", listings=[found[each] for each in ids], total=total, page=page, pages=-(-total // PAGE), filters=filters, regions=regions,
        product_statuses=STATUSES, complaint=complaint,
    )  # fmt: skip


@blueprint.get("/console/listings/<product_id>")
def one_listing(product_id: str) -> str | tuple[str, int]:
    return _one(product_id)


def _one(product_id: str, complaint: str = "") -> str | tuple[str, int]:
    settle(market())
    try:
        found = load(market(), product_id)
    except Refusal as refusal:
        return render_template("message.html", text=refusal.message), 404
    shown = truth(market(), [found])[0]
    auditing = shown["audit"]["status"] in ("AUDITING", "PRE_APPROVED")
    acts = [
        (name, label)
        for name, (label, _, statuses) in ACTS.items()
        if (auditing if name in ("approve", "reject") else shown["status"] in statuses) and not (name == "lock" and shown["promotion_lock"])
        and not (name == "unlock" and not shown["promotion_lock"])
    ]  # fmt: skip
    content = version(market(), product_id, "live")
    page = render_template("listing.html", listing=shown, content=content, shop=market().shops[shown["shop_id"]], acts=acts, complaint=complaint)
    return (page, 400) if complaint else page


@blueprint.post("/console/listings/<product_id>/buy")
def buy(product_id: str) -> Any:
    """A buyer takes one SKU of the listing."""
    form = request.form
    try:
        shop_id = load(market(), product_id).inner["shop_id"]
        lines = [{"sku": form.get("sku", ""), "quantity": form.get("quantity", 1, type=int)}]
        order = place(market(), {"shop": shop_id, "lines": lines, "pay": "pay" in form, "buyer": form.get("buyer", 42, type=int)})
    except Refusal as refusal:
        return render_template("message.html", text=refusal.message), 404
    except (ValueError, KeyError) as error:
        return _one(product_id, str(error.args[0]))
    return redirect(url_for("console.order", order_id=order.id), 303)


@blueprint.post("/console/listings/<product_id>/<name>")
def act_on_listing(product_id: str, name: str) -> Any:
    if name not in ACTS:
        return render_template("message.html", text=f"There is no act {name}."), 404
    asked = dict(ACTS[name][1])
    if name == "reject" and request.form.get("reason"):
        asked["reasons"] = [request.form["reason"]]
    try:
        change(market(), product_id, asked)
    except Refusal as refusal:
        return render_template("message.html", text=refusal.message), 404
    return redirect(url_for("console.one_listing", product_id=product_id), 303)


@blueprint.post("/console/listings")
def seed_listings_here() -> Response | tuple[str, int]:
    form = request.form
    try:
        seed_listings(market(), {"shop": form.get("shop", "GB"), "products": form.get("products", 19, type=int), "live": "live" in form})
    except (ValueError, KeyError) as error:
        return _page(str(error.args[0])), 400
    return redirect(url_for("console.listings", shop=form.get("shop", "")), 303)
