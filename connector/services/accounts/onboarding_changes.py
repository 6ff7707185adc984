"""What a new reading of a shop's onboarding data changed, what that breaks, and what is done about it (A036, A037)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeVar

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from connector.core.clock import utcnow
from connector.core.db import db
from connector.core.errors import DomainError
from connector.domain.onboarding_changes import (
    CARRIER,
    CATEGORY,
    COSMETIC,
    ENABLED,
    WAREHOUSE,
    Change,
    Difference,
    Reference,
    compare,
    misfit,
    sentence,
    summary,
)
from connector.domain.policies import InventoryPolicy, OrderPolicy
from connector.domain.suggestions import category_paths
from connector.models.account import Account, ShopReference
from connector.models.listing import ListingCategory, ListingTemplate
from connector.models.policy import Policy
from connector.models.trace import Event
from connector.services import events, policies, runs
from connector.services.products import due

EVENT = "account.onboarded"
_AT_ONCE = 500
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Breakage:
    """A listing template or policy that relies on something the shop no longer has. ``kind``: template, policy; ``value``: what it relies on."""

    kind: Literal["template", "policy"]
    id: int
    title: str
    words: str
    remedy: str
    value: str

    def sentence(self) -> str:
        what = "listing template" if self.kind == "template" else "policy"
        return f"The {what} {self.title} {self.words}: {_uncapitalised(self.remedy)}"


@dataclass(frozen=True, slots=True)
class LastFetch:
    """The last import, for the account's page. ``lines``: ``summary``; ``first``: there was nothing to compare with."""

    event: Event
    first: bool
    sentence: str
    lines: Sequence[Mapping[str, Any]]


def store(session: Session, account_id: int, read: Iterable[Reference], kinds: Collection[str]) -> Difference:
    """Bring what is stored of these kinds in line with what was read, in the caller's transaction: only rows that differ are written."""
    columns = (ShopReference.kind, ShopReference.parent_id, ShopReference.remote_id, ShopReference.name, ShopReference.data, ShopReference.id)
    known = [Reference(*row) for row in session.execute(select(*columns).where(ShopReference.account_id == account_id, ShopReference.kind.in_(kinds)))]
    found = compare(known, read)
    now = utcnow()
    for part in _parts(change.old.id for change in found.changes if change.new is None and change.old is not None):
        session.execute(delete(ShopReference).where(ShopReference.id.in_(part)))
    fresh, changed = list[dict[str, Any]](), list[dict[str, Any]]()
    for old, new, _ in found.changes:
        if new is None:
            continue
        values = {"parent_id": new.parent_id, "name": new.name, "data": dict(new.data), "fetched_at": now}
        if old is None:
            fresh.append({"account_id": account_id, "kind": new.kind, "remote_id": new.remote_id, **values})
        else:
            changed.append({"id": old.id, **values})
    if changed:
        session.execute(update(ShopReference), changed)
    if fresh:
        session.execute(insert(ShopReference), fresh)
    # carriers are asked again when the newest row of an option is a day old (TTS §5.2.3); the tree's age is that of the whole import
    session.execute(update(ShopReference).where(ShopReference.account_id == account_id, ShopReference.kind == CARRIER).values(fetched_at=now))
    return found


def follow(session: Session, account: Account, found: Difference) -> dict[str, Any]:
    """Do what the changes ask for, in the caller's transaction, and give what the event keeps: ``{"first", "changes", "gone", "broken"}``.

    Listings that depend on a changed category or warehouse are marked due, the category's attributes are fetched again, templates show the
    category's new name, and policies are checked again.
    """
    policies.recheck_all()
    _categories_changed(session, account, found.of(CATEGORY))
    if found.of(WAREHOUSE):
        due.mark(reason="The shop's warehouses changed", content=False, account_id=account.id)
    gone = _gone(session, account.id, found)
    touched = {*gone[CARRIER], *(change.row.remote_id for change in found.notable() if change.row.kind in (CATEGORY, WAREHOUSE))}
    broken = [asdict(each) for each in broken_now(account, gone) if each.value in touched]
    first = CATEGORY in found.first or WAREHOUSE in found.first
    return {"first": first and not found.notable(), "changes": summary(found.notable()), "gone": gone, "broken": broken}


def last(account_id: int) -> LastFetch | None:
    """The last import; None before the first one, or when that did not compare yet."""
    event = _last_event(account_id)
    if event is None or "changes" not in (event.after or {}):
        return None
    lines = event.after["changes"]
    return LastFetch(event, event.after["first"], sentence(lines), lines)


def in_words(kept: Mapping[str, Any]) -> str:
    """Of ``follow``: what changed and what it breaks; "" for the first import."""
    if kept["first"]:
        return ""
    broken = [Breakage(**each).sentence() for each in kept["broken"]]
    return " ".join([f"Since the last fetch: {_uncapitalised(sentence(kept['changes']))}", *broken])


def broken_now(account: Account, gone: Mapping[str, Collection[str]] | None = None) -> list[Breakage]:
    """What relies on things that the shop does not have now, whenever they went.

    ``gone``: warehouse ids and carrier names that this shop had once, as ``follow`` keeps them; by default those of the last import. What no shop has counts
    anyway; what only other shops have does not, because a policy may serve several.
    """
    if gone is None:
        event = _last_event(account.id)
        gone = (event.after or {}).get("gone", {}) if event is not None else {}
    return [*_broken_templates(account.id), *_broken_inventory(account.id, gone), *_broken_orders(account, gone)]


def _last_event(account_id: int) -> Event | None:
    query = select(Event).where(Event.subject_type == "account", Event.subject_id == str(account_id), Event.kind == EVENT)
    return db.session.scalar(query.order_by(Event.id.desc()).limit(1))


def _parts(values: Iterable[T]) -> Iterator[list[T]]:
    every = list(dict.fromkeys(values))
    return (every[start : start + _AT_ONCE] for start in range(0, len(every), _AT_ONCE))


def _uncapitalised(words: str) -> str:
    return words[:1].lower() + words[1:]


# --- what is done -----------------------------------------------------------------------------------------------------------------------------


def _categories_changed(session: Session, account: Account, changes: list[Change]) -> None:
    if not changes:
        return
    touched = {change.row.remote_id: change for change in changes}
    templates = session.execute(
        select(ListingTemplate.id, ListingTemplate.category_id, ListingTemplate.category_path).where(ListingTemplate.account_id == account.id)
    ).all()
    mine = {row.category_id for row in templates} & set(touched)
    for category_id in sorted(mine):
        if set(touched[category_id].whats) - COSMETIC:
            of_category = [row.id for row in templates if row.category_id == category_id]
            due.mark(reason=f"TikTok changed the category {touched[category_id].row.name}", content=True, template_ids=of_category)
    fetched = select(ListingCategory.category_id, ListingCategory.name).where(ListingCategory.account_id == account.id)
    again = [(key, name or key) for key, name in session.execute(fetched.where(ListingCategory.category_id.in_(mine)))] if mine else []
    if again:
        words = f"Refetch attributes of {len(again)} changed {'category' if len(again) == 1 else 'categories'}"
        runs.submit("attributes.refetch", account_id=account.id, args={"all": False}, items=again, title=words, started_by=events.actor_now.get())
    if any(COSMETIC & set(change.whats) for change in changes):
        _rename_paths(session, account.id, [(row.id, row.category_id, row.category_path) for row in templates])


def _rename_paths(session: Session, account_id: int, templates: list[tuple[int, str, str]]) -> None:
    """Templates show the names that TikTok uses now."""
    nodes = select(ShopReference.remote_id, ShopReference.parent_id, ShopReference.name)
    rows = session.execute(nodes.where(ShopReference.account_id == account_id, ShopReference.kind == CATEGORY)).all()
    wanted = {category_id for _, category_id, _ in templates}
    paths = category_paths({"id": key, "parent_id": parent, "local_name": name, "is_leaf": key in wanted} for key, parent, name in rows)
    for template_id, category_id, path in templates:
        if (new := " > ".join(paths.get(category_id, ()))) and new != path:
            session.execute(
                update(ListingTemplate)
                .where(ListingTemplate.id == template_id)
                .values(category_path=new, updated_at=ListingTemplate.updated_at)
                .execution_options(synchronize_session="fetch")
            )


# --- what it breaks ---------------------------------------------------------------------------------------------------------------------------


def _gone(session: Session, account_id: int, found: Difference) -> dict[str, list[str]]:
    """Warehouses (by id) and carriers (by name) that the shop has no more: gone now, or gone before and not back."""
    event = _last_event(account_id)
    before: Mapping[str, Any] = (event.after or {}).get("gone", {}) if event is not None else {}
    known = _known(account_id)
    result = {}
    for kind, value in ((WAREHOUSE, "remote_id"), (CARRIER, "name")):
        lost = {getattr(change.old, value) for change in found.of(kind) if change.old is not None}
        result[kind] = sorted((lost | set(before.get(kind, ()))) - known[kind].keys())
    return result


def _known(account_id: int | None = None) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Warehouses by id and carriers by name, of one shop or of all."""
    query = select(ShopReference.kind, ShopReference.remote_id, ShopReference.name, ShopReference.data).where(ShopReference.kind.in_((WAREHOUSE, CARRIER)))
    found: dict[str, dict[str, Mapping[str, Any]]] = {WAREHOUSE: {}, CARRIER: {}}
    for kind, remote_id, name, data in db.session.execute(query if account_id is None else query.where(ShopReference.account_id == account_id)):
        found[kind][remote_id if kind == WAREHOUSE else name] = data
    return found


def _broken_templates(account_id: int) -> list[Breakage]:
    mine = select(ListingTemplate.id, ListingTemplate.name, ListingTemplate.category_id, ListingTemplate.category_path)
    templates = db.session.execute(mine.where(ListingTemplate.account_id == account_id).order_by(ListingTemplate.name)).all()
    of_tree = (ShopReference.account_id == account_id, ShopReference.kind == CATEGORY)
    if not templates or db.session.scalar(select(ShopReference.id).where(*of_tree).limit(1)) is None:
        return []
    nodes: dict[str, Mapping[str, Any]] = {}
    for part in _parts(row.category_id for row in templates):
        nodes |= dict(db.session.execute(select(ShopReference.remote_id, ShopReference.data).where(*of_tree, ShopReference.remote_id.in_(part))).all())
    found = []
    for template_id, title, category_id, path in templates:
        if wrong := misfit(nodes.get(category_id)):
            name = path.rsplit(" > ", 1)[-1] or category_id
            found.append(Breakage("template", template_id, title, f"uses the category {name}, which {wrong[0]}", wrong[1], category_id))
    return found


def _broken_inventory(account_id: int, gone: Mapping[str, Collection[str]]) -> list[Breakage]:
    used = select(ListingTemplate.inventory_policy_id).where(ListingTemplate.account_id == account_id)
    found, known = list[Breakage](), _known()[WAREHOUSE]
    if not known:
        return []
    for policy in db.session.scalars(select(Policy).where(Policy.id.in_(used), Policy.deleted_at.is_(None)).order_by(Policy.title)):
        for row in InventoryPolicy.model_validate(policy.body).sources:
            sends, warehouse = f"sends the stock of {row.source_code} to the warehouse", known.get(row.warehouse_id)
            if warehouse is None or row.warehouse_id in gone.get(WAREHOUSE, ()):
                words, remedy = f"{sends} {row.warehouse_id}, which the shop no longer has", "Choose another warehouse."
            elif (status := warehouse.get("effect_status") or ENABLED) != ENABLED:
                words = f"{sends} {warehouse.get('name') or row.warehouse_id}, of which TikTok says {status}"
                remedy = "Choose another warehouse, or enable it in Seller Center."
            else:
                continue
            found.append(Breakage("policy", policy.id, policy.title, words, remedy, row.warehouse_id))
    return found


def _broken_orders(account: Account, gone: Mapping[str, Collection[str]]) -> list[Breakage]:
    try:
        policy = policies.order_policy_row(account)
    except DomainError:
        return []
    known = _known()[CARRIER]
    if not known:
        return []
    return [
        Breakage(
            "policy", policy.id, policy.title, f"maps {row.magento_carrier} to the carrier {row.tiktok_carrier}, which the shop no longer has",
            "Choose another carrier.", row.tiktok_carrier,
        )
        for row in OrderPolicy.model_validate(policy.body).carrier_mapping
        if row.tiktok_carrier not in known or row.tiktok_carrier in gone.get(CARRIER, ())
    ]  # fmt: skip
