"""Finding the TikTok category of a listing template: level by level, by words, by recommendation (A139, TTS §5.3.2, §5.3.3)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from connector.clients import errors as api
from connector.clients.tiktok import TikTokClient
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain.listing_limits import limits
from connector.domain.query import Query
from connector.domain.suggestions import CategorySuggestion, category_paths, suggest_categories, vote, words
from connector.models.account import Account, ShopReference, StoreReference
from connector.services import connections, events
from connector.services.templates import querying

ROOT = "0"
#: Products that TikTok is asked about for one recommendation.
SAMPLE = 5

#: Why a category may not be used, by TikTok's permission status.
_REFUSED = {
    "PROHIBITED": ("is prohibited for this shop", "Choose another category."),
    "INVITE_ONLY": ("is open by invitation only", "Apply for it in Seller Center, or choose another category."),
    "NON_MAIN_CATEGORY": ("is not in the shop's range", "Apply for it in Seller Center, or choose another category."),
}
_NOT_FETCHED = "Open the account and use Fetch Onboarding Data."


@dataclass(frozen=True, slots=True)
class Category:
    """One node of TikTok's tree. ``path``: names from the root; ``refused``: why it cannot be chosen, "" when it can."""

    id: str
    name: str
    parent_id: str
    is_leaf: bool
    path: tuple[str, ...] = ()
    refused: str = ""

    @property
    def choosable(self) -> bool:
        return self.is_leaf and not self.refused


@dataclass(frozen=True, slots=True)
class Recommended:
    """``source``: who says so, in words; ``problem``: why TikTok was not asked."""

    suggestions: tuple[CategorySuggestion, ...]
    source: str
    problem: str = ""


def any_fetched(account_id: int) -> bool:
    return db.session.scalar(select(ShopReference.id).where(ShopReference.account_id == account_id, ShopReference.kind == "category").limit(1)) is not None


def level(account_id: int, parent_id: str = ROOT) -> list[Category]:
    """The categories below one, by name; ``ROOT`` for the first level."""
    query = select(ShopReference).where(ShopReference.account_id == account_id, ShopReference.kind == "category")
    parents = (ROOT, "") if parent_id in (ROOT, "") else (parent_id,)
    rows = db.session.scalars(query.where(ShopReference.parent_id.in_(parents)).order_by(ShopReference.name, ShopReference.id))
    return [_category(row.remote_id, row.parent_id, row.name, row.data) for row in rows]


def ancestors(account_id: int, category_id: str) -> list[Category]:
    """The chain from the root down to a category; [] when the tree has no such id."""
    chain: list[Category] = []
    at, seen = category_id, set[str]()
    while at and at != ROOT and at not in seen:
        seen.add(at)
        row = db.session.scalar(
            select(ShopReference).where(ShopReference.account_id == account_id, ShopReference.kind == "category", ShopReference.remote_id == at).limit(1)
        )
        if row is None:
            break
        chain.insert(0, _category(row.remote_id, row.parent_id, row.name, row.data))
        at = row.parent_id
    return chain if chain and chain[-1].id == category_id else []


def get(account_id: int, category_id: str) -> Category | None:
    """One category with its path."""
    chain = ancestors(account_id, category_id)
    if not chain:
        return None
    last = chain[-1]
    return Category(last.id, last.name, last.parent_id, last.is_leaf, tuple(each.name for each in chain), last.refused)


def choose(account: Account, category_id: str) -> Category:
    """The category for a template, or why it cannot be used: it must exist, be a leaf and be open to the shop."""
    found = get(account.id, category_id)
    if found is None:
        if not any_fetched(account.id):
            raise _refusal("unknown", f"The categories of {account.title} were not fetched yet.", _NOT_FETCHED)
        raise _refusal("unknown", f"The category {category_id} is not in TikTok's tree.", "Choose another one; Fetch Onboarding Data reads the tree again.")
    if not found.is_leaf:
        raise _refusal("not_leaf", f"The category {found.name} has categories below it.", "Choose one of the categories below it.")
    if found.refused:
        remedy = next((remedy for words_, remedy in _REFUSED.values() if words_ == found.refused), "Choose another category.")
        raise _refusal("not_available", f"The category {found.name} {found.refused}.", remedy)
    return found


def search(account_id: int, text: str, limit: int = 30) -> list[Category]:
    """Leaves whose path has all of the words, those that have them in their own name first."""
    asked = words(text)
    if not asked:
        return []
    rows, paths = _tree(account_id)
    found = []
    for key, path in paths.items():
        whole, own = words(" ".join(path)), words(path[-1])
        if all(any(each.startswith(word) for each in whole) for word in asked):
            hits = sum(any(each.startswith(word) for each in own) for word in asked)
            found.append((-hits, len(path), path, key))
    found.sort()
    return [_category(key, str(rows[key].get("parent_id") or ""), path[-1], rows[key], path) for _, _, path, key in found[:limit]]


def suggest(account: Account, query: Query, limit: int = 5) -> Recommended:
    """Without asking TikTok: the leaves that share words with the names and Magento categories of the matching products."""
    _, products = querying.count_and_first(query, account.magento_id or 0, account.store_view, 20, shelf=querying.shelf_of(account))
    if not products:
        return Recommended((), "", "No product matches the conditions, so there is nothing to go by.")
    _, paths = _tree(account.id)
    labels = _magento_categories(account.magento_id or 0)
    counted: Counter[str] = Counter()
    best: dict[str, CategorySuggestion] = {}
    for product in products:
        own = [labels[each] for each in product.category_ids.split(",") if each in labels]
        for each in suggest_categories(paths, product.name, own, limit=3):
            counted[each.category_id] += each.confidence
            if each.category_id not in best or best[each.category_id].confidence < each.confidence:
                best[each.category_id] = each
    suggestions = [
        CategorySuggestion(key, best[key].path, round(total / len(products)), best[key].reason)
        for key, total in sorted(counted.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]
    ]
    return Recommended(tuple(suggestions), f"By the words of {len(products)} matching products")


def recommend(account: Account, query: Query, limit: int = 5) -> Recommended:
    """What TikTok recommends for a sample of the matching products, counted; by their words when TikTok cannot be asked or has no answer.

    Calls TikTok once for each product of the sample: not inside a transaction.
    """
    fallback = suggest(account, query, limit)
    _, products = querying.count_and_first(query, account.magento_id or 0, account.store_view, SAMPLE, shelf=querying.shelf_of(account))
    if not products:
        return fallback
    titles = [product.name for product in products]
    version = limits(account.country).tree or None
    try:
        client = _client(account)
        answers = [client.recommend_category(title, version=version) for title in titles if title.strip()]
    except (api.ApiError, DomainError) as error:
        return Recommended(fallback.suggestions, fallback.source, f"TikTok could not be asked: {error}")
    rows, paths = _tree(account.id)
    known = [answer.leaf_category_id if answer is not None and answer.leaf_category_id in rows else None for answer in answers]
    found = [each for each in vote(known, paths) if each.path][:limit]
    if not found:
        return Recommended(fallback.suggestions, fallback.source, "TikTok has no recommendation for these products.")
    return Recommended(tuple(found), f"TikTok, asked about {len(answers)} matching products")


def _tree(account_id: int) -> tuple[dict[str, Mapping[str, Any]], dict[str, tuple[str, ...]]]:
    query = select(ShopReference.remote_id, ShopReference.parent_id, ShopReference.name, ShopReference.data)
    rows = {
        row.remote_id: {**row.data, "id": row.remote_id, "parent_id": row.parent_id, "local_name": row.name}
        for row in db.session.execute(query.where(ShopReference.account_id == account_id, ShopReference.kind == "category"))
    }
    return rows, category_paths(rows.values())


def _category(key: str, parent_id: str, name: str, data: Mapping[str, Any], path: Sequence[str] = ()) -> Category:
    statuses = data.get("permission_statuses")
    refused = next((_REFUSED[status][0] for status in statuses or () if status in _REFUSED), "" if statuses or statuses is None else "is not available")
    return Category(key, name, parent_id, bool(data.get("is_leaf")), tuple(path), refused)


def _magento_categories(magento_id: int) -> dict[str, str]:
    query = select(StoreReference.code, StoreReference.label).where(StoreReference.magento_id == magento_id, StoreReference.kind == "category")
    return dict(db.session.execute(query).all())


def _refusal(code: str, message: str, remedy: str) -> DomainError:
    return DomainError(f"template.category_{code}", message, remedy, field="category_id")


@dataclass(frozen=True, slots=True)
class Brand:
    """``usable``: TikTok shows it on a listing of this shop; an unauthorised one is stored but not displayed (TTS §5.3.6)."""

    id: str
    name: str
    usable: bool


def brands(account: Account, name: str, category_id: str = "", limit: int = 20) -> list[Brand]:
    """TikTok's brands whose name begins so. Calls TikTok: not inside a transaction."""
    client = _client(account)
    page = client.brands(page_size=limit, name=name.strip() or None, category_id=category_id or None, version=limits(account.country).tree or None)
    return [Brand(str(row["id"]), str(row.get("name") or ""), bool(row["is_usable"])) for row in page.items]


def create_brand(account: Account, name: str, *, actor: str) -> Brand:
    """A brand of the shop's own (TTS §5.3.6). Calls TikTok: not inside a transaction."""
    wanted = " ".join(name.split())
    if not 2 <= len(wanted) <= 30:
        raise DomainError("template.brand_name", f"A brand name has 2 to 30 characters; this one has {len(wanted)}.", "Correct the name.", field="brand_search")
    brand = Brand(_client(account).create_brand(wanted), wanted, True)
    with unit_of_work():
        events.record("brand.created", "account", account.id, f"The brand {wanted} was created on TikTok.", account_id=account.id, actor=actor)
    return brand


def _client(account: Account) -> TikTokClient:
    if not account.connected:
        raise DomainError("template.not_authorised", f"{account.title} is not authorised.", "Authorise the account first.")
    client = connections.tiktok(account.id)
    end_reading()
    return client
