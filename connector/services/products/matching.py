"""Which Magento product a TikTok product's seller SKUs point to (A178): exactly, in another case, or in part. In bulk; nothing is linked here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from connector.core.db import db
from connector.models.listing import Listing
from connector.models.product import Product

EXACT, CASE, PARTIAL = "exact", "case", "partial"
#: What can be a TikTok SKU; a configurable is what its children belong to.
SELLABLE = ("simple", "virtual", "downloadable")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """``product_id`` None: nothing fits. ``problem``: why it is not linked by itself."""

    product_id: int | None = None
    kind: str = ""
    problem: str = ""


class Matcher:
    """Suggestions for one account; remembers which configurables the store's children belong to."""

    def __init__(self, account_id: int, magento_id: int | None) -> None:
        self._account_id, self._magento_id = account_id, magento_id
        self._parents: dict[int, list[tuple[int, str]]] | None = None

    def suggest(self, wanted: Mapping[str, Sequence[str]]) -> dict[str, Suggestion]:
        """``wanted``: seller SKUs by TikTok product id, "" for a SKU without one; a few hundred products at a time."""
        known = self._products({sku.casefold() for skus in wanted.values() for sku in skus if sku})
        found = {tiktok_id: self._one(skus, known) for tiktok_id, skus in wanted.items()}
        return self._without_taken(found)

    def parents(self, entity_id: int) -> list[tuple[int, str]]:
        """(id, SKU) of the configurables that a child belongs to."""
        if self._parents is None:
            self._parents = {}
            query = select(Product.id, Product.sku, Product.child_ids).where(
                Product.magento_id == self._magento_id, Product.type_id == "configurable", Product.gone_at.is_(None)
            )
            for parent_id, sku, child_ids in db.session.execute(query):
                for child in child_ids:
                    self._parents.setdefault(int(child), []).append((parent_id, sku))
        return self._parents.get(entity_id, [])

    def _products(self, keys: set[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        rest = sorted(keys)
        for first in range(0, len(rest), 500):
            query = select(Product.id, Product.entity_id, Product.sku, Product.sku_key, Product.is_child).where(
                Product.magento_id == self._magento_id,
                Product.sku_key.in_(rest[first : first + 500]),
                Product.gone_at.is_(None),
                Product.type_id.in_(SELLABLE),
            )
            found |= {row.sku_key: row for row in db.session.execute(query)}
        return found

    def _one(self, skus: Sequence[str], known: Mapping[str, Any]) -> Suggestion:
        named = [sku for sku in skus if sku]
        if not named:
            return Suggestion(problem="It has no seller SKU on TikTok Shop, so nothing can be found by it. Link it by hand.")
        hits = [(sku, known[sku.casefold()]) for sku in named if sku.casefold() in known]
        if not hits:
            return Suggestion(problem=f"Magento has no product with the SKU {', '.join(named[:5])}. Link it by hand, or correct the SKU on one side.")
        targets: dict[int, str] | None = None
        for _, row in hits:
            own = dict(self.parents(row.entity_id)) if row.is_child else {}
            own = own or {row.id: row.sku}
            targets = own if targets is None else {key: sku for key, sku in targets.items() if key in own}
        if not targets:
            owners = ", ".join(f"{sku} ({' or '.join(name for _, name in self.parents(row.entity_id)) or 'on its own'})" for sku, row in hits[:5])
            return Suggestion(problem=f"Its SKUs belong to different Magento products: {owners}. Its variants must be those of one configurable product.")
        if len(targets) > 1:
            return Suggestion(problem=f"Its SKUs belong to several configurable products: {', '.join(targets.values())}. Choose one by hand.")
        target = next(iter(targets))
        if len(hits) < len(skus):
            lacking = ", ".join(sku or "(no seller SKU)" for sku in skus if sku.casefold() not in known)
            return Suggestion(target, PARTIAL, f"Magento has no product with the SKU {lacking}; the other ones fit.")
        return Suggestion(target, EXACT if all(sku == row.sku for sku, row in hits) else CASE)

    def _without_taken(self, found: dict[str, Suggestion]) -> dict[str, Suggestion]:
        """A Magento product that is on TikTok already, or that two TikTok products point to, is not linked by itself."""
        ids = {each.product_id for each in found.values() if each.product_id is not None}
        query = select(Listing.product_id, Listing.tiktok_id).where(
            Listing.account_id == self._account_id, Listing.product_id.in_(ids), Listing.tiktok_id.is_not(None)
        )
        taken = dict(db.session.execute(query).all()) if ids else {}
        answer = {}
        for tiktok_id, each in found.items():
            other = taken.get(each.product_id) if each.product_id is not None else None
            if other is not None and other != tiktok_id:
                each = Suggestion(each.product_id, each.kind, f"The Magento product is linked to the TikTok product {other} already. Unlink that one first.")
            answer[tiktok_id] = each
        return answer
