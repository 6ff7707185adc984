"""Products: the grid and its pictures (A157-A177)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, request, send_file
from sqlalchemy import select

from connector.blueprints.products.cells import PRODUCT_CELLS
from connector.blueprints.products.forms import AssignForm
from connector.blueprints.products.scope import address_of, view
from connector.core.db import db
from connector.grids.products import products_grid
from connector.models.account import Account
from connector.models.listing import ListingTemplate
from connector.models.product import ProductCursor
from connector.services.products import thumbnails
from connector.web.auth import requires
from connector.web.grids import grid_routes

bp = Blueprint("products", __name__, url_prefix="/products")


def _facts() -> dict[str, Any]:
    """What a person may have to do before there is anything to see."""
    here = view()
    account = db.session.get(Account, here.account_id) if here else None
    return {
        "account": account,
        "has_template": bool(here and db.session.scalar(select(ListingTemplate.id).where(ListingTemplate.account_id == here.account_id).limit(1))),
        "cursor": db.session.scalar(select(ProductCursor).where(ProductCursor.magento_id == account.magento_id, ProductCursor.store_view == account.store_view))
        if account
        else None,
    }


PRODUCTS = products_grid(AssignForm, address_of)
grid_routes(bp, PRODUCTS, "products/index.html", scope=view, context=_facts, cells=PRODUCT_CELLS)


@bp.get("/<int:product_id>/thumbnail")
@requires("products.read")
def thumbnail(product_id: int) -> Response:
    """A product's picture, small; its address changes with the picture, so browsers keep it. ``file``: another one of its gallery."""
    found = thumbnails.of(product_id, request.args.get("file", ""))
    if found is None:  # drawn calmly, and asked for again later
        answer = current_app.send_static_file("no-picture.svg")
        answer.headers["Cache-Control"] = "private, max-age=300"
        return answer
    answer = send_file(found, mimetype="image/webp", conditional=True)
    answer.headers["Cache-Control"] = "private, max-age=31536000, immutable"
    return answer
