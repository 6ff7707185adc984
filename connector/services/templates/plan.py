"""What a listing template decides, for the domain: ``ListingPlan``, in bulk (product.md 5)."""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from sqlalchemy import select

from connector.core.db import db
from connector.domain.listing import ListingPlan
from connector.models.account import Account
from connector.models.listing import ListingTemplate
from connector.services.attributes import fetch, mapping
from connector.services.products import facts

Code = Annotated[str, StringConstraints(strip_whitespace=True, max_length=60, pattern=r"^[A-Za-z][A-Za-z0-9_]*$|^$")]
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
Weight = Annotated[Decimal, Field(gt=0, le=1000, max_digits=8, decimal_places=4)]
Side = Annotated[Decimal, Field(gt=0, le=1000, max_digits=8, decimal_places=2)]

#: TikTok's identifier types (TTS §5.3.8, skus[].identifier_code).
IDENTIFIERS = {"": "By the code's own shape", "GTIN": "GTIN", "EAN": "EAN", "UPC": "UPC", "ISBN": "ISBN"}
SIDES = ("length", "width", "height")


class TemplateOptions(BaseModel):
    """What a person may set on a template beside category, policies and query. ``title`` is the label on screen, ``description`` the help text."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title_attribute: Code = Field(default="name", title="Title", description="The Magento attribute that becomes the title on TikTok.")
    description_attribute: Code = Field(default="description", title="Description", description="The Magento attribute that becomes the description.")
    seller_sku_attribute: Code = Field(
        default="sku", title="Seller SKU", description="Orders find their Magento product by it; keep sku unless you know better."
    )
    brand_id: Annotated[str, StringConstraints(strip_whitespace=True, max_length=40, pattern=r"^\d*$")] = Field(default="", title="Brand")
    brand_name: Text = Field(default="", title="Brand name")
    identifier_attribute: Code = Field(
        default="", title="Identifier code", description="The attribute that holds the barcode (EAN, UPC, ISBN); blank: none is sent."
    )
    identifier_type: Literal["", "GTIN", "EAN", "UPC", "ISBN"] = Field(default="", title="Type of the code")
    usual_weight: Weight | None = Field(default=None, title="Usual weight", description="For products without a weight, in Magento's unit.")
    length_attribute: Code = Field(default="", title="Length attribute")
    width_attribute: Code = Field(default="", title="Width attribute")
    height_attribute: Code = Field(default="", title="Height attribute")
    dimension_unit: Literal["cm", "in"] = Field(default="cm", title="Unit of the dimensions")
    usual_length: Side | None = Field(default=None, title="Usual length")
    usual_width: Side | None = Field(default=None, title="Usual width")
    usual_height: Side | None = Field(default=None, title="Usual height")
    image_axis: Code = Field(
        default="", title="Pictures by variant", description="The variant attribute whose values show pictures, such as color; blank: found by itself."
    )
    size_chart_uri: Text = Field(default="", title="Size chart")
    size_chart_name: Text = Field(default="", title="Size chart file")
    override_existing: bool = Field(
        default=False,
        title="Override Existing Products",
        description="Takes products that match from other templates too. Without it, products stay with the template that has them.",
    )

    @model_validator(mode="after")
    def _whole_sets(self) -> TemplateOptions:
        for fields, what in (
            ([f"{side}_attribute" for side in SIDES], "The dimension attributes"),
            ([f"usual_{side}" for side in SIDES], "The usual dimensions"),
        ):
            given = [getattr(self, name) for name in fields]
            if any(given) and not all(given):
                raise ValueError(f"{what} need length, width and height, or none of them.")
        return self

    def plan_values(self) -> dict[str, Any]:
        """The fields of ``ListingPlan``."""
        usual = [getattr(self, f"usual_{side}") for side in SIDES]
        return {
            "title_attribute": self.title_attribute or "name",
            "description_attribute": self.description_attribute or "description",
            "seller_sku_attribute": self.seller_sku_attribute or "sku",
            "brand_id": self.brand_id,
            "identifier_attribute": self.identifier_attribute,
            "identifier_type": self.identifier_type,
            "usual_weight": self.usual_weight,
            "dimension_attributes": tuple(getattr(self, f"{side}_attribute") for side in SIDES),
            "dimension_unit": self.dimension_unit,
            "usual_dimensions": tuple(usual) if all(usual) else None,
            "image_axis": self.image_axis,
            "size_chart_uri": self.size_chart_uri,
        }


def options_of(template: ListingTemplate) -> TemplateOptions:
    """A template's options; ones that a newer or older version knows are left out."""
    return TemplateOptions.model_validate({name: value for name, value in (template.options or {}).items() if name in TemplateOptions.model_fields})


def plans(template_ids: Collection[int]) -> dict[int, ListingPlan]:
    """The plan of each template that exists. A few queries for any number; no HTTP."""
    templates = list(db.session.scalars(select(ListingTemplate).where(ListingTemplate.id.in_(set(template_ids)))))
    accounts = {account.id: account for account in db.session.scalars(select(Account).where(Account.id.in_({each.account_id for each in templates})))}
    units = {key: facts.store_facts(account).weight_unit for key, account in accounts.items()}
    categories = {key: fetch.categories_facts(key, {each.category_id for each in templates if each.account_id == key}) for key in accounts}
    mappings = mapping.of_template([each.id for each in templates])
    return {
        each.id: ListingPlan(
            category=categories[each.account_id][each.category_id],
            category_version=each.category_version,
            mappings=tuple(mappings.get(each.id, ())),
            weight_unit=units[each.account_id],
            **options_of(each).plan_values(),
        )
        for each in templates
    }
