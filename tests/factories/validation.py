"""A shop of the practice marketplace with a store whose products are written by hand, so that each can be broken in its own way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import Flask
from sqlalchemy import delete, select

from connector.core.db import db, unit_of_work
from connector.domain.attribute_mapping import AttributeMapping
from connector.domain.listing_category import CategoryFacts
from connector.domain.policies import IMAGE, INVENTORY, PRICING, ImagePolicy, InventoryPolicy, PricingPolicy
from connector.models.account import Account, StoreReference
from connector.models.listing import CategoryAttribute, Listing, ListingTemplate, MappingRow, TemplateMapping
from connector.models.product import Product
from connector.services.attributes import fetch
from connector.services.products import images
from tests.factories.accounts import connect
from tests.factories.catalogue import AXES, a_configurable, a_listing, a_magento, a_policy, a_product

MAIN_FILE, TINY_FILE, TEXT_FILE = "/g/o/good-01.jpg", "/t/i/tiny-01.png", "catalog/product/t/e/text-01.jpg"
DESCRIPTION = "<p>A sound product with an honest description.</p>"
SIDES = {"package_length": "30", "package_width": "20", "package_height": "3"}
OPTIONS: dict[str, Any] = {"length_attribute": "package_length", "width_attribute": "package_width", "height_attribute": "package_height"}
#: More attributes than the factory's, with their options.
_ATTRIBUTES: dict[str, tuple[str, dict[str, str]]] = {
    "material": ("select", {"31": "Cotton", "32": "Wool", "33": "Moon dust", "34": "x" * 2001}),
    "materials": ("multiselect", {"41": "Cotton", "42": "cotton", "43": "Wool"}),
    "battery": ("select", {"51": "Yes", "52": "No", "53": "Perhaps"}),
    "battery_type": ("select", {"61": "Lithium-ion", "62": "Alkaline"}),
    "cut": ("select", {"71": "Slim", "72": "Wide", "73": "x" * 51}),
    "print": ("select", {"81": "None"}),
    "barcode": ("text", {}),
    "merchant_sku": ("text", {}),
    "watts": ("text", {}),
    **dict.fromkeys(SIDES, ("text", {})),
}


class Shop:
    """An account of ``country`` with the hand-made store, three valid policies and pictures that TikTok hosts already."""

    def __init__(self, app: Flask, country: str, magento_url: str) -> None:
        self.account = connect(app, country)
        self.magento = a_magento(base_url=magento_url)
        with unit_of_work() as session:
            account = session.merge(self.account)
            account.magento_id, account.store_view = self.magento.id, "default"
            for number, (code, (kind, options)) in enumerate(_ATTRIBUTES.items(), 200):
                data = {"input": kind, "frontend_input": kind, "id": number, "scope": "global", "options": options, "options_by_view": {}}
                session.add(StoreReference(magento_id=self.magento.id, kind="attribute", code=code, label=code.replace("_", " ").title(), data=data))
        self.account = db.session.get_one(Account, self.account.id)
        self.policies = {
            "image_policy_id": a_policy(IMAGE, ImagePolicy()).id,
            "pricing_policy_id": a_policy(PRICING, PricingPolicy()).id,
            "inventory_policy_id": a_policy(INVENTORY, InventoryPolicy(default_quantity=100)).id,
        }
        self.templates: dict[str, ListingTemplate] = {}
        self._mappings: dict[str, int] = {}
        self._entity = 1000

    def leaf(self, name: str) -> str:
        """The id of a category by its name, fetched with attributes and rules over HTTP."""
        version = "v1" if self.account.country == "GB" else "v2"
        from connector.services import connections

        rows = connections.tiktok(self.account.id).categories(version=version, prohibited=True)
        return next(str(row["id"]) for row in rows if row["local_name"] == name)

    def fetch(self, *names: str) -> dict[str, CategoryFacts]:
        found = {name: self.leaf(name) for name in names}
        fetch.ensure(self.account.id, list(found.values()))
        return {name: fetch.category_facts(self.account.id, category_id) for name, category_id in found.items()}

    def categories_of(self, template: str) -> CategoryFacts:
        return fetch.category_facts(self.account.id, self.templates[template].category_id)

    def host(self) -> None:
        assert self.account.magento_id is not None
        wanted = {MAIN_FILE: "MAIN_IMAGE", TINY_FILE: "MAIN_IMAGE", TEXT_FILE: "DESCRIPTION_IMAGE"}
        hosted = images.host(self.account, self.account.magento_id, wanted)
        assert set(hosted.refused) == {TINY_FILE}
        images.host(self.account, self.account.magento_id, {MAIN_FILE: "ATTRIBUTE_IMAGE"})

    def template(self, name: str, category_id: str, mappings: Sequence[Mapping[str, Any]] = (), **columns: Any) -> ListingTemplate:
        """``mappings``: bodies of ``AttributeMapping``; ``columns`` may hold ``options`` beside the usual dimensions."""
        options = {**OPTIONS, **columns.pop("options", {})}
        with unit_of_work() as session:
            row = ListingTemplate(
                account_id=self.account.id, name=name, name_key=name.casefold(), category_id=category_id, options=options, **{**self.policies, **columns}
            )
            session.add(row)
            session.flush()
            for body in mappings:
                session.add(TemplateMapping(template_id=row.id, mapping_id=self._mapping(AttributeMapping.model_validate(body))))
            session.flush()
        self.templates[name] = row
        return row

    def _mapping(self, body: AttributeMapping) -> int:
        key = body.model_dump_json()
        if key not in self._mappings:
            session = db.session
            attribute = session.scalar(
                select(CategoryAttribute).where(CategoryAttribute.account_id == self.account.id, CategoryAttribute.attribute_id == body.attribute_id)
            )
            if attribute is None:
                attribute = CategoryAttribute(account_id=self.account.id, attribute_id=body.attribute_id, name=body.attribute_id, type="PRODUCT_PROPERTY")
                session.add(attribute)
                session.flush()
            row = MappingRow(attribute_row_id=attribute.id, account_id=self.account.id, body=body.model_dump(mode="json"))
            session.add(row)
            session.flush()
            self._mappings[key] = row.id
        return self._mappings[key]

    def entity(self) -> int:
        self._entity += 1
        return self._entity

    def simple(self, sku: str, template: ListingTemplate, **changes: Any) -> Listing:
        """A good simple product but for ``changes``: columns of ``Product``, and ``values`` over its attributes (``...`` takes one away)."""
        return a_listing(self.account, self._product(sku, **changes), template)

    def configurable(
        self, sku: str, template: ListingTemplate, variants: Sequence[Mapping[str, Any]], axes: Sequence[Mapping[str, str]] | None = None, **changes: Any
    ) -> Listing:
        """``variants`` as in ``a_configurable``; ``axes``: the parent's axes as Magento shows them, in place of color and size."""
        made = [{"sku": f"{sku}-{place}", "entity_id": self.entity(), "images": (MAIN_FILE,), **variant} for place, variant in enumerate(variants)]
        values = {"description": DESCRIPTION, **SIDES, **changes.pop("values", {})}
        parent, children = a_configurable(
            self.magento.id, sku, made, entity_id=self.entity(), name=f"Good example product {sku}", images=(MAIN_FILE,), values=values, **changes
        )
        if axes is not None:
            with unit_of_work():
                parent.data = {**parent.data, "axes": list(axes)}
        return a_listing(self.account, parent, template, children=children or [parent])

    def _product(self, sku: str, **changes: Any) -> Product:
        values = {"description": DESCRIPTION, **SIDES, **changes.pop("values", {})}
        values = {code: value for code, value in values.items() if value is not ...}
        facts: dict[str, Any] = {"name": f"Good example product {sku}"[:300], "images": (MAIN_FILE,), "entity_id": self.entity(), **changes}
        return a_product(self.magento.id, sku, values=values, **facts)

    def good_mappings(self, category: CategoryFacts, **sources: str) -> list[dict[str, Any]]:
        """A mapping for each required attribute: its last recommended value, or a number; ``sources``: attribute name -> Magento attribute instead."""
        found: list[dict[str, Any]] = []
        for each in category.product_attributes():
            code = next((code for name, code in sources.items() if each.name.casefold().startswith(name.replace("_", " "))), None)
            if code is not None:
                found.append({"attribute_id": each.id, "source": "magento", "magento_attribute": code})
            elif each.is_required:
                value: dict[str, Any] = (
                    {"source": "recommended", "recommended_values": [list(each.values)[-1]]} if each.values else {"source": "custom", "custom_value": "12"}
                )
                found.append({"attribute_id": each.id, **value})
        return found


def forget_stock(listing: Listing) -> None:
    from connector.models.product import ProductStock

    with unit_of_work() as session:
        session.execute(delete(ProductStock).where(ProductStock.product_id == listing.product_id))


def axis(code: str, label: str = "") -> dict[str, str]:
    """An axis of a configurable as the import keeps it."""
    numbers = {**AXES, **{name: number for number, name in enumerate(_ATTRIBUTES, 200)}}
    return {"attribute_id": str(numbers[code]), "code": code, "label": label or code.title()}
