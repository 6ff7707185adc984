"""What differs between two readings of a TikTok category, in words (A127): attributes, values, rules, and whether it can still be listed in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.domain.listing_category import CategoryAttribute, CategoryFacts

#: Changes that stop every listing of the category, whatever is mapped.
STOPPING = frozenset(("gone", "not_leaf", "not_allowed", "certificate", "size_chart", "dimensions"))
#: Changes that stop listings without a mapping (``required``), or with a mapping that no longer fits.
MAY_BREAK = STOPPING | {"required", "conditional", "values_removed", "closed", "single"}
ALLOWED = "AVAILABLE"


@dataclass(frozen=True, slots=True)
class Change:
    """``values``: TikTok's value ids with their names, of values that came or went."""

    what: str
    words: str
    attribute_id: str = ""
    values: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """As ``ListingCategory.changes`` keeps it."""
        return {"what": self.what, "attribute_id": self.attribute_id, "words": self.words, "values": dict(self.values)}


def compare(old: CategoryFacts, new: CategoryFacts) -> list[Change]:
    """Everything that changed from ``old`` to ``new``; what can stop a listing comes first."""
    found = [*_category(old, new)]
    if new.exists and new.is_leaf:  # TikTok tells nothing more of the others (TTS §5.3.4)
        found += [*_attributes(old, new), *_rules(old, new)]
    return sorted(found, key=lambda change: change.what not in MAY_BREAK)


def _category(old: CategoryFacts, new: CategoryFacts) -> Iterator[Change]:
    if old.exists and not new.exists:
        yield Change("gone", "The category is no longer in TikTok's tree. Choose another one in the listing template.")
        return
    if new.exists and not old.exists:
        yield Change("back", "The category is in TikTok's tree again.")
    if old.is_leaf and not new.is_leaf:
        yield Change("not_leaf", "The category has subcategories now, and TikTok lists in the lowest ones only. Choose one of them in the listing template.")
    if new.exists and set(old.permission_statuses) != set(new.permission_statuses):
        lost = ALLOWED in old.permission_statuses and ALLOWED not in new.permission_statuses
        words = f"TikTok now says {', '.join(new.permission_statuses) or 'nothing'} of the category; it said {', '.join(old.permission_statuses) or 'nothing'} before."
        yield Change("not_allowed" if lost else "permission", words + (" Apply for it in Seller Center, or choose another one." if lost else ""))
    if new.exists and old.name and old.name != new.name:
        yield Change("renamed", f"TikTok calls it {new.name} now; it was {old.name}.")


def _attributes(old: CategoryFacts, new: CategoryFacts) -> Iterator[Change]:
    for key, attribute in new.attributes.items():
        before = old.attributes.get(key)
        if before is None:
            words = f"{attribute.name} is new" + (" and required." if attribute.is_required else ".")
            yield Change("required" if attribute.is_required else "attribute_new", words, key)
            continue
        yield from _attribute(before, attribute)
    for key, attribute in old.attributes.items():
        if key not in new.attributes:
            yield Change("attribute_removed", f"{attribute.name} was removed; what is mapped to it is not sent any more.", key)


def _attribute(old: CategoryAttribute, new: CategoryAttribute) -> Iterator[Change]:
    if new.is_required and not old.is_required:
        yield Change("required", f"{new.name} became required.", new.id)
    elif old.is_required and not new.is_required:
        yield Change("optional", f"{new.name} is no longer required.", new.id)
    if not new.is_required and set(new.conditions) - set(old.conditions):
        yield Change("conditional", f"{new.name} is required for more values of other attributes.", new.id)
    if old.takes_own_values and not new.takes_own_values:
        yield Change("closed", f"{new.name} takes TikTok's own values only.", new.id)
    if old.is_multiple and not new.is_multiple:
        yield Change("single", f"{new.name} takes one value only.", new.id)
    if removed := {key: name for key, name in old.values.items() if key not in new.values}:
        yield Change("values_removed", f"{new.name} no longer offers {_some(removed)}.", new.id, removed)
    if added := {key: name for key, name in new.values.items() if key not in old.values}:
        yield Change("values_added", f"{new.name} now offers {_some(added)}.", new.id, added)
    if old.name != new.name:
        yield Change("attribute_renamed", f"{old.name} is called {new.name} now.", new.id)


def _rules(old: CategoryFacts, new: CategoryFacts) -> Iterator[Change]:
    asked = {certificate.id for certificate in old.certificates if certificate.is_required}
    for certificate in new.certificates:
        if certificate.is_required and certificate.id not in asked:
            yield Change("certificate", f"The certificate {certificate.name} is required now.")
    if new.size_chart_required and not old.size_chart_required:
        yield Change("size_chart", "A size chart is required now. Add one in the listing template.")
    if new.dimensions_required and old.dimensions_required is False:
        yield Change("dimensions", "The parcel's length, width and height are required now. Set them in the listing template or in Magento.")


def _some(values: Mapping[str, str], shown: int = 8) -> str:
    names = [name or key for key, name in values.items()]
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")
