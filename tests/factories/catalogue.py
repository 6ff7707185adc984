"""Rows of the catalogue desk as they are after an import: products, their stock, a template, listings. No HTTP; both databases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.domain.policies import IMAGE, INVENTORY, PRICING, ImagePolicy, InventoryPolicy, PricingPolicy
from connector.domain.policy_body import PolicyBody
from connector.models.account import SANDBOX, Account, MagentoConnection, ShopReference, StoreReference
from connector.models.listing import Listing, ListingSku, ListingTemplate
from connector.models.policy import Policy
from connector.models.product import Product, ProductStock, ProductView
from connector.services import policies

#: Magento's attribute ids of the two usual axes, as in the practice store.
AXES = {"color": 137, "size": 138}
COLOURS = {"Black": "4", "White": "5", "Red": "6", "Grey": "7"}
SIZES = {"S": "8", "M": "9", "L": "10", "XL": "11"}
IN_BASE = "base"


def a_magento(*, environment: str = SANDBOX, base_url: str = "http://127.0.0.1:9", msi: bool = True, view: str = "default") -> MagentoConnection:
    """A connection that was tested and whose store was read: one website ``base``, store views default and tiktok_gb, colours and sizes."""
    facts = {"ok": True, "problems": [], "msi": msi, "currency": "USD", "store_views": [view], "websites": [IN_BASE], "granted": [], "missing": []}
    with unit_of_work() as session:
        row = MagentoConnection(environment=environment, base_url=base_url, access_token="token", auth_kind="bearer", facts=facts)
        session.add(row)
        session.flush()
        config = {"base_currency_code": "USD", "timezone": "America/Los_Angeles", "weight_unit": "kgs", "secure_base_media_url": f"{base_url}/media/"}
        for code, website in ((view, 1), ("tiktok_gb", 1)):
            session.add(
                StoreReference(
                    magento_id=row.id, kind="store_view", code=code, label=code, data={"id": 1, "code": code, "website_id": website, "config": config}
                )
            )
        session.add(StoreReference(magento_id=row.id, kind="website", code=IN_BASE, label="Main Website", data={"id": 1, "code": IN_BASE}))
        for code, label, kind, options in (
            ("color", "Color", "select", COLOURS),
            ("size", "Size", "select", SIZES),
            ("name", "Product Name", "text", {}),
            ("price", "Price", "price", {}),
            ("description", "Description", "textarea", {}),
        ):
            data = {
                "input": kind,
                "frontend_input": kind,
                "id": AXES.get(code, 0),
                "scope": "global",
                "options": {value: name for name, value in options.items()},
                "options_by_view": {},
            }
            session.add(StoreReference(magento_id=row.id, kind="attribute", code=code, label=label, data=data))
        session.flush()
        return row


def an_account_with_categories() -> Account:
    """An account with a store, the seeded policies and a small tree of categories (Caps only by invitation); nobody is called."""
    policies.seed()
    magento_id = a_magento().id
    with unit_of_work() as session:
        account = Account(title="Practice_GB", environment=SANDBOX, country="GB", store_view="all", magento_id=magento_id)
        session.add(account)
        session.flush()
        for key, parent, name in (("600", "0", "Clothes"), ("601", "600", "Shirts"), ("602", "601", "T-shirts"), ("603", "600", "Caps")):
            permission = "INVITE_ONLY" if name == "Caps" else "AVAILABLE"
            node = {"id": key, "parent_id": parent, "local_name": name, "is_leaf": key in ("602", "603"), "permission_statuses": [permission]}
            session.add(ShopReference(account_id=account.id, kind="category", parent_id=parent, remote_id=key, name=name, data=node))
    return account


def a_product(
    magento_id: int,
    sku: str,
    *,
    quantity: int | None = 10,
    price: Decimal | str | None = "19.50",
    values: Mapping[str, Any] | None = None,
    views: Mapping[str, Mapping[str, Any]] | None = None,
    images: Sequence[str] = ("/t/e/tee.jpg",),
    website: str = IN_BASE,
    **columns: Any,
) -> Product:
    """A simple product in stock. ``values``: attribute values verbatim; ``views``: overrides by store view, as in ``ProductView.data``;
    ``quantity`` None: Magento does not manage its stock; ``columns``: any column of ``Product``."""
    with unit_of_work() as session:
        entity_id = columns.pop("entity_id", None) or 1 + (session.scalar(select(func.max(Product.entity_id)).where(Product.magento_id == magento_id)) or 0)
        product = Product(
            magento_id=magento_id,
            entity_id=entity_id,
            sku=sku,
            sku_key=sku.casefold(),
            price=None if price is None else Decimal(price),
            image=images[0] if images else "",
            quantity=quantity,
            **{
                "name": sku.title(),
                "type_id": "simple",
                "status": 1,
                "visibility": 4,
                "weight": Decimal("0.2"),
                "category_ids": ",3,",
                "website_ids": [1],
                "data": {"values": _values(price, images, values), "images": _entries(images), "axes": []},
                **columns,
            },
        )
        session.add(product)
        session.flush()
        for view, data in (views or {}).items():
            session.add(ProductView(product_id=product.id, store_view=view, data=dict(data)))
        if product.type_id in ("simple", "virtual", "downloadable"):
            stock(product, quantity, website=website)
        session.flush()
        return product


def stock(product: Product, quantity: int | None, *, website: str = IN_BASE, sources: Mapping[str, int] | None = None) -> ProductStock:
    """Set what the last stock reading found: ``quantity`` salable, spread over ``sources`` (by default all in ``wh_main``); None: not managed."""
    held = {"wh_main": quantity or 0} if sources is None else sources
    values: dict[str, Any] = {
        "manages_stock": quantity is not None,
        "in_stock": quantity is None or quantity > 0,
        "quantity": quantity or 0,
        "salable": quantity,
        "sources": [{"code": code, "quantity": amount, "in_stock": amount > 0} for code, amount in held.items()],
        "read_at": utcnow(),
    }
    with unit_of_work() as session:
        row = session.scalar(select(ProductStock).where(ProductStock.product_id == product.id, ProductStock.website_code == website))
        if row is None:
            row = ProductStock(product_id=product.id, website_code=website)
            session.add(row)
        for name, value in values.items():
            setattr(row, name, value)
        session.flush()
        return row


def a_configurable(
    magento_id: int,
    sku: str,
    variants: Sequence[Mapping[str, Any]] = ({"color": "Black", "size": "S"}, {"color": "Black", "size": "M"}, {"color": "Red", "size": "S"}),
    **columns: Any,
) -> tuple[Product, list[Product]]:
    """A configurable with its children. A variant: the labels of its axes, and anything that ``a_product`` takes beside them."""
    children = []
    with unit_of_work() as session:
        for variant in variants:
            more = dict(variant)
            chosen = {code: str(more.pop(code)) for code in tuple(AXES) if code in more}
            values = {"color": COLOURS.get(chosen.get("color", ""), ""), "size": SIZES.get(chosen.get("size", ""), "")}
            values = {code: value for code, value in values.items() if value} | dict(more.pop("values", {}))
            child_sku = str(more.pop("sku", "-".join((sku, *(label.upper() for label in chosen.values())))))
            children.append(a_product(magento_id, child_sku, values=values, visibility=1, is_child=True, **more))
        parent = a_product(
            magento_id,
            sku,
            **{"type_id": "configurable", "price": "0", "quantity": None, "weight": None, "child_ids": [child.entity_id for child in children], **columns},
        )
        used = [code for code in AXES if any(code in child.data["values"] for child in children)]
        axes = [{"attribute_id": str(AXES[code]), "code": code, "label": code.title()} for code in used]
        parent.data = {**parent.data, "axes": axes}
        session.flush()
    return parent, children


def a_policy(kind: str, body: PolicyBody) -> Policy:
    """A saved, valid policy."""
    count = db.session.scalar(select(func.count()).select_from(Policy)) or 0
    return policies.create(kind, title=f"{kind} {count + 1}", body=body, actor="tests")


def a_template(
    account: Account,
    name: str = "Shirts",
    *,
    category_id: str = "601226",
    image: ImagePolicy | None = None,
    pricing: PricingPolicy | None = None,
    inventory: InventoryPolicy | None = None,
    **columns: Any,
) -> ListingTemplate:
    """A template with three policies of its own; the pricing policy keeps Magento's price, the inventory policy sends what there is."""
    chosen = {
        "image_policy_id": a_policy(IMAGE, image or ImagePolicy()).id,
        "pricing_policy_id": a_policy(PRICING, pricing or PricingPolicy()).id,
        "inventory_policy_id": a_policy(INVENTORY, inventory or InventoryPolicy(default_quantity=100)).id,
    }
    with unit_of_work() as session:
        template = ListingTemplate(
            account_id=account.id,
            name=name,
            name_key=name.casefold(),
            category_id=category_id,
            category_path="Womenswear > Tops > T-shirts",
            **chosen,
            **columns,
        )
        session.add(template)
        session.flush()
        return template


def a_listing(
    account: Account,
    product: Product,
    template: ListingTemplate | None = None,
    *,
    children: Sequence[Product] = (),
    sku: Mapping[str, Any] | None = None,
    **columns: Any,
) -> Listing:
    """A listing with one SKU for the product, or one for each child. ``sku``: any column of ``ListingSku``, set on all of them."""
    with unit_of_work() as session:
        listing = Listing(account_id=account.id, product_id=product.id, template_id=template.id if template else None, **columns)
        session.add(listing)
        session.flush()
        for place, variant in enumerate(children or [product]):
            session.add(
                ListingSku(
                    listing_id=listing.id,
                    account_id=account.id,
                    product_id=variant.id,
                    position=place,
                    seller_sku=variant.sku,
                    seller_sku_key=variant.sku.casefold(),
                    **dict(sku or {}),
                )
            )
        session.flush()
        return listing


def _values(price: Decimal | str | None, images: Sequence[str], values: Mapping[str, Any] | None) -> dict[str, Any]:
    found: dict[str, Any] = {"price": None if price is None else str(price), "tax_class_id": "2"}
    if images:
        found |= dict.fromkeys(("image", "small_image", "thumbnail"), images[0])
    return found | dict(values or {})


def _entries(images: Sequence[str]) -> list[dict[str, Any]]:
    """Media gallery entries as Magento shows them."""
    roles = ["image", "small_image", "thumbnail"]
    return [
        {"id": place, "media_type": "image", "label": "", "position": place, "disabled": False, "types": roles if place == 1 else [], "file": file}
        for place, file in enumerate(images, 1)
    ]
