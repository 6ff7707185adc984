"""How a TikTok attribute gets its value: from a Magento attribute, a recommended value or a custom value (A124, A135-A138)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from connector.domain.listing_body import Choice
from connector.domain.listing_category import CategoryAttribute
from connector.domain.magento_product import MagentoProduct

Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000)]


class AttributeMapping(BaseModel):
    """One row of the Attributes grid. ``values``: Magento's option id or text -> TikTok's value id; ``categories``: blank for all (A138)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    attribute_id: Text
    source: Literal["magento", "recommended", "custom"] = Field(default="magento", title="Magento Attribute")
    magento_attribute: Text = Field(default="", title="Magento Attribute")
    recommended_values: tuple[Text, ...] = Field(default=(), title="Default Recommended Value", description="Ids of TikTok's own values.")
    custom_value: Text = Field(default="", title="Default Custom Value", description="A value outside the list.")
    values: dict[str, Text] = Field(default_factory=dict, title="Value by value")
    categories: tuple[Text, ...] = Field(default=(), title="For chosen categories")

    def applies_to(self, category_id: str) -> bool:
        return not self.categories or category_id in self.categories


@dataclass(frozen=True, slots=True)
class Resolved:
    """What an attribute gets for one product. ``words`` say where it came from; ``problem`` why nothing came, "" when all is well."""

    choices: tuple[Choice, ...]
    words: str
    problem: str = ""


def mapping_for(mappings: Iterable[AttributeMapping], attribute_id: str, category_id: str) -> AttributeMapping | None:
    """The mapping of an attribute in a category; one for chosen categories comes before one for all."""
    found = [each for each in mappings if each.attribute_id == attribute_id and each.applies_to(category_id)]
    return max(found, key=lambda each: bool(each.categories), default=None)


def resolve(mapping: AttributeMapping, attribute: CategoryAttribute, product: MagentoProduct) -> Resolved:
    """The values of ``attribute`` for ``product``. A mapped value wins, then a recommended value of the same name, then free text."""
    if mapping.source == "recommended":
        return Resolved(tuple(Choice(each, attribute.values.get(each, "")) for each in mapping.recommended_values), "Default Recommended Value")
    if mapping.source == "custom":
        return Resolved((_by_name(attribute, mapping.custom_value),) if mapping.custom_value else (), "Default Custom Value")
    code = mapping.magento_attribute
    words = f"Magento attribute {code}"
    known = product.options.get(code, {})
    choices = []
    for raw in product.raw(code):
        label = known.get(raw, "" if code in product.options else raw).strip()
        chosen = mapping.values.get(raw) or (mapping.values.get(label) if label else None)
        if chosen:
            choices.append(Choice(chosen, attribute.values.get(chosen, label)))
        elif label:
            choices.append(_by_name(attribute, label))
    problem = ""
    if missing := [raw for raw in product.unlabelled(code) if not mapping.values.get(raw)]:
        problem = f"The option {', '.join(missing)} of {code} has no label in Magento."
    return Resolved(tuple(dict.fromkeys(choices)), words, problem)


def stale_values(mapping: AttributeMapping, attribute: CategoryAttribute) -> Mapping[str, str]:
    """Mapped values that TikTok no longer offers, after attributes were fetched again: {Magento value: TikTok value id} (A127)."""
    if mapping.source == "recommended":
        return {each: each for each in mapping.recommended_values if each not in attribute.values}
    return {ours: theirs for ours, theirs in mapping.values.items() if theirs not in attribute.values}


def _by_name(attribute: CategoryAttribute, name: str) -> Choice:
    return Choice(attribute.value_named(name), name)
