"""What a new reading of a shop's onboarding data changed, what that breaks, and what is done about it (A036, A037)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from connector.core.clock import utcnow
from connector.core.db import db, in_parts
from connector.core.errors import DomainError
from connector.domain.onboarding_changes import (
    CARRIER,
    CATEGORY,
    COSMETIC,
    ENABLED,
    NOUNS,
    VERBS,
    WAREHOUSE,
    Change,
    Difference,
    Reference,
    compare,
    misfit,
    sentence,
    summary,
)
from connector.domain.order_policy import OrderPolicy
from connector.domain.policies import InventoryPolicy
from connector.domain.suggestions import category_paths
from connector.models.account import Account, ShopReference
from connector.models.listing import ListingCategory, ListingTemplate
from connector.models.policy import Policy
from connector.models.trace import Event
from connector.services import events, policies, policy_users, runs
from connector.services.products import due

EVENT = "account.onboarded"


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
    """The last import, for the account's page. ``changes``: a sentence, "" when there was nothing to compare with; ``details``: (what happened, to which)."""

    event: Event
    changes: str
    details: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What an import changed and what that breaks. ``changes``, ``details``: as in ``LastFetch``."""

    changes: str
    details: dict[str, str]
    broken: list[Breakage]

    def reason(self) -> str:
        """For the event and the run; "" for the first import."""
        breaks = " ".join(each.sentence() for each in self.broken)
        return f"Since the fetch before: {_uncapitalised(self.changes)} {breaks}".strip() if self.changes else ""

    def after(self) -> dict[str, str]:
        """For the event, beside the figures: nothing nested, because a person reads it as a table."""
        breaks = {"breaks": " ".join(each.sentence() for each in self.broken)} if self.broken else {}
        return {"changes": self.changes, **self.details, **breaks}


def store(session: Session, account_id: int, read: Iterable[Reference], kinds: Collection[str]) -> Difference:
    """Bring what is stored of these kinds in line with what was read, in the caller's transaction: only rows that differ are written."""
    columns = (ShopReference.kind, ShopReference.parent_id, ShopReference.remote_id, ShopReference.name, ShopReference.data, ShopReference.id)
    known = [Reference(*row) for row in session.execute(select(*columns).where(ShopReference.account_id == account_id, ShopReference.kind.in_(kinds)))]
    found = compare(known, read)
    now = utcnow()
    for part in in_parts(change.old.id for change in found.changes if change.new is None and change.old is not None):
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


def follow(session: Session, account: Account, found: Difference) -> Outcome:
    """Do what the changes ask for, in the caller's transaction, and say what changed and what it breaks.

    Listings that depend on a changed category or warehouse are marked due, the category's attributes are fetched again, templates show the
    category's new name, and policies are checked again.
    """
    policies.recheck_all()
    _categories_changed(session, account, found.of(CATEGORY))
    if found.of(WAREHOUSE):
        due.mark(reason="The shop's warehouses changed", content=False, account_id=account.id)
    notable = found.notable()
    lost = {(change.row.kind, _relied_on(change.row)) for change in notable if change.new is None}
    lost -= {(kind, value) for kind, values in _known(account.id).items() for value in values}
    touched = {_relied_on(row) for change in notable for row in (change.old, change.new) if row is not None}
    lines = summary(notable)
    details = {f"{NOUNS[line['kind']][1]} {VERBS[line['what']]}": _listed(line) for line in lines}
    broken = [each for each in broken_now(account, lost) if each.value in touched]
    return Outcome("" if found.first and not notable else sentence(lines), details, broken)


def last(account_id: int) -> LastFetch | None:
    """The last import; None before the first one."""
    event = _last_event(account_id)
    if event is None:
        return None
    details = {key: value for key, value in (event.after or {}).items() if isinstance(value, str)}
    changes = details.pop("changes", "")
    details.pop("breaks", None)
    return LastFetch(event, changes, list(details.items()))


def broken_now(account: Account, lost: Collection[tuple[str, str]] = ()) -> list[Breakage]:
    """What relies on things that the shop does not have now, whenever they went: its listing templates, their inventory policies, its order policy.

    A policy that serves several shops may name what only the other ones have, unless this shop has ``lost`` it, as (kind, id or carrier's name).
    """
    return [*_broken_templates(account.id), *_broken_inventory(account.id, lost), *_broken_orders(account, lost)]


def _last_event(account_id: int) -> Event | None:
    query = select(Event).where(Event.subject_type == "account", Event.subject_id == str(account_id), Event.kind == EVENT)
    return db.session.scalar(query.order_by(Event.id.desc()).limit(1))


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


def _relied_on(row: Reference) -> str:
    """By what policies name it: a carrier by its name, because its id differs with every delivery option."""
    return row.name if row.kind == CARRIER else row.remote_id


def _listed(line: Mapping[str, Any]) -> str:
    return "; ".join(line["rows"]) + (f"; and {line['more']} more" if line["more"] else "")


def _known(*account_ids: int) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Warehouses by id and carriers by name, of these shops."""
    query = select(ShopReference.kind, ShopReference.parent_id, ShopReference.remote_id, ShopReference.name, ShopReference.data)
    query = query.where(ShopReference.kind.in_((WAREHOUSE, CARRIER)), ShopReference.account_id.in_(account_ids))
    found: dict[str, dict[str, Mapping[str, Any]]] = {WAREHOUSE: {}, CARRIER: {}}
    for row in db.session.execute(query):
        reference = Reference(*row)
        found[reference.kind][_relied_on(reference)] = reference.data
    return found


def _broken_templates(account_id: int) -> list[Breakage]:
    mine = select(ListingTemplate.id, ListingTemplate.name, ListingTemplate.category_id, ListingTemplate.category_path)
    templates = db.session.execute(mine.where(ListingTemplate.account_id == account_id).order_by(ListingTemplate.name)).all()
    of_tree = (ShopReference.account_id == account_id, ShopReference.kind == CATEGORY)
    if not templates or db.session.scalar(select(ShopReference.id).where(*of_tree).limit(1)) is None:
        return []
    nodes: dict[str, Mapping[str, Any]] = {}
    for part in in_parts(row.category_id for row in templates):
        nodes |= dict(db.session.execute(select(ShopReference.remote_id, ShopReference.data).where(*of_tree, ShopReference.remote_id.in_(part))).all())
    found = []
    for template_id, title, category_id, path in templates:
        if wrong := misfit(nodes.get(category_id)):
            name = path.rsplit(" > ", 1)[-1] or category_id
            found.append(Breakage("template", template_id, title, f"uses the category {name}, which {wrong[0]}", wrong[1], category_id))
    return found


def _broken_inventory(account_id: int, lost: Collection[tuple[str, str]]) -> list[Breakage]:
    used = select(ListingTemplate.inventory_policy_id).where(ListingTemplate.account_id == account_id)
    found = list[Breakage]()
    for policy in db.session.scalars(select(Policy).where(Policy.id.in_(used), Policy.deleted_at.is_(None)).order_by(Policy.title)):
        known = _known(account_id, *policy_users.account_ids(policy.id))[WAREHOUSE]
        for row in InventoryPolicy.model_validate(policy.body).sources if known else ():
            sends, warehouse = f"sends the stock of {row.source_code} to the warehouse", known.get(row.warehouse_id)
            if warehouse is None or (WAREHOUSE, row.warehouse_id) in lost:
                words, remedy = f"{sends} {row.warehouse_id}, which the shop no longer has", "Choose another warehouse."
            elif (status := warehouse.get("effect_status") or ENABLED) != ENABLED:
                words = f"{sends} {warehouse.get('name') or row.warehouse_id}, of which TikTok says {status}"
                remedy = "Choose another warehouse, or enable it in Seller Center."
            else:
                continue
            found.append(Breakage("policy", policy.id, policy.title, words, remedy, row.warehouse_id))
    return found


def _broken_orders(account: Account, lost: Collection[tuple[str, str]]) -> list[Breakage]:
    try:
        policy = policies.order_policy_row(account)
    except DomainError:
        return []
    known = _known(account.id, *policy_users.account_ids(policy.id))[CARRIER]
    rows = OrderPolicy.model_validate(policy.body).carrier_mapping if known else ()
    words = "maps {0.magento_carrier} to the carrier {0.tiktok_carrier}, which the shop no longer has"
    return [
        Breakage("policy", policy.id, policy.title, words.format(row), "Choose another carrier.", row.tiktok_carrier)
        for row in rows
        if row.tiktok_carrier not in known or (CARRIER, row.tiktok_carrier) in lost
    ]
