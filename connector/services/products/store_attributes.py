"""What describes Magento's products: attributes with their options and labels, attribute sets, categories, and each store view's settings (MAG §4.1, §4.2.1).

Kept as ``StoreReference`` rows. Kinds and their ``data``:

- ``attribute`` (code: attribute code): ``{"id", "input", "frontend_input", "scope", "user_defined", "options": {value: label},
  "options_by_view": {store view: {value: label}}, "labels_by_view": {store view: label}, "deleted": [values that no option has any more]}``
- ``attribute_set`` (code: id)
- ``category`` (code: id): ``{"parent_id", "level", "active", "path": [names from the root category], "ids": [ids of the same]}``
- ``store_view`` and ``website`` (code): Magento's row; a store view with its ``config`` (currency, time zone, weight unit, media URL)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from connector.clients.magento import MagentoClient, SearchCriteria
from connector.clients.magento.search import SearchResult, pages
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.models.account import Account, StoreReference
from connector.services import connections, magento
from connector.services.attributes import suggest

ATTRIBUTE, ATTRIBUTE_SET, CATEGORY, STORE_VIEW, WEBSITE = "attribute", "attribute_set", "category", "store_view", "website"
CHOICES = ("select", "multiselect", "swatch_visual", "swatch_text")
_PAGE = 200
_FIELDS = "items[attribute_id,attribute_code,default_frontend_label,frontend_labels,frontend_input,scope,is_user_defined,options],total_count"
_OPTIONS = "items[attribute_code,options],total_count"

Entry = tuple[str, str, str, dict[str, Any]]  # kind, code, label, data


def views_in_use(magento_id: int) -> list[str]:
    """Codes of the store views that accounts read, ``all`` apart."""
    query = select(Account.store_view).where(Account.magento_id == magento_id, Account.store_view.not_in(("all", ""))).distinct()
    return sorted(db.session.scalars(query))


def refresh(magento_id: int, views: Iterable[str] | None = None, *, missing: Mapping[str, set[str]] | None = None) -> set[str]:
    """Read everything again; the codes of the attributes whose labels changed or went.

    ``views``: store views whose labels are wanted beside the admin's. ``missing``: option ids by attribute that products have and nobody knew; those
    that are still unknown afterwards were deleted in Magento, and are remembered as such.
    """
    wanted = set(views_in_use(magento_id) if views is None else views)
    client = connections.magento(magento_id)
    end_reading()
    entries = list(_views(client))
    there = {code for kind, code, _, _ in entries if kind == STORE_VIEW}
    entries += _attributes(client, sorted(wanted & there), {data["id"]: code for kind, code, _, data in entries if kind == STORE_VIEW})
    entries += _sets(client)
    entries += _categories(client.categories(), (), ())
    before = _attributes_state(magento_id)
    relabelled = _store(magento_id, entries, missing or {})
    if _attributes_state(magento_id) != before:
        suggest.recompute_for_store(magento_id)
    return relabelled


def _attributes_state(magento_id: int) -> tuple[int, datetime | None]:
    """How many attributes are known, and when one last changed."""
    query = select(func.count(), func.max(StoreReference.seen_at)).where(StoreReference.magento_id == magento_id, StoreReference.kind == ATTRIBUTE)
    found = db.session.execute(query).one()
    end_reading()
    return found[0], found[1]


def known_options(magento_id: int) -> dict[str, set[str]]:
    """Option ids by attribute, deleted ones included. Magento's own selects whose options REST does not tell are left out."""
    found = {}
    for row in db.session.scalars(magento.references(magento_id, ATTRIBUTE)):
        options = row.data.get("options")
        if options or (row.data.get("user_defined") and row.data.get("frontend_input") in CHOICES):
            found[row.code] = {*(options or ()), *row.data.get("deleted", ())}
    return found


def attribute_codes(magento_id: int) -> dict[str, str]:
    """Attribute id -> code, because a configurable names its axes by id only."""
    rows = db.session.scalars(magento.references(magento_id, ATTRIBUTE))
    return {str(row.data["id"]): row.code for row in rows if row.data.get("id")}


def store_views(magento_id: int) -> set[str]:
    """Codes of the store views that Magento had when it was last asked."""
    return {row.code for row in db.session.scalars(magento.references(magento_id, STORE_VIEW))}


# --- reading ------------------------------------------------------------------------------------------------------------------------------


def _views(client: MagentoClient) -> Iterator[Entry]:
    configs = {str(config["code"]): config for config in client.store_configs()}
    for view in client.store_views():
        code = str(view["code"])
        yield STORE_VIEW, code, str(view.get("name") or code), {**view, "config": configs.get(code, {})}
    for website in client.websites():
        yield WEBSITE, str(website["code"]), str(website.get("name") or website["code"]), dict(website)


def _attributes(client: MagentoClient, views: Iterable[str], codes: Mapping[Any, str]) -> list[Entry]:
    translated = {
        view: {str(row["attribute_code"]): _labels(row) for row in _all(lambda c, view=view: client.attributes(c, store=view), _OPTIONS, "attribute_code")}
        for view in views
    }
    entries: list[Entry] = []
    for row in _all(lambda c: client.attributes(c, store="all"), _FIELDS, "attribute_code"):
        code = str(row["attribute_code"])
        labels = {codes.get(each.get("store_id"), ""): str(each.get("label") or "") for each in row.get("frontend_labels") or ()}
        data = {
            "id": str(row.get("attribute_id") or ""),
            "input": row.get("frontend_input"),
            "frontend_input": row.get("frontend_input"),
            "scope": row.get("scope"),
            "user_defined": bool(row.get("is_user_defined")),
            "options": _labels(row),
            "options_by_view": {view: found[code] for view, found in translated.items() if found.get(code)},
            "labels_by_view": {view: label for view, label in labels.items() if view and label},
        }
        entries.append((ATTRIBUTE, code, str(row.get("default_frontend_label") or code), data))
    return entries


def _labels(row: Mapping[str, Any]) -> dict[str, str]:
    """Without the empty placeholder, and without groups (MAG §4.2.1)."""
    options = row.get("options") or ()
    found = (
        (str(option.get("value")), str(option.get("label") or "").strip())
        for option in options
        if option.get("value") is not None and not isinstance(option["value"], list)
    )
    return {value: label for value, label in found if value}


def _sets(client: MagentoClient) -> list[Entry]:
    rows = _all(client.attribute_sets, "items[attribute_set_id,attribute_set_name,sort_order],total_count", "attribute_set_id")
    return [
        (ATTRIBUTE_SET, str(row["attribute_set_id"]), str(row.get("attribute_set_name") or row["attribute_set_id"]), {"sort_order": row.get("sort_order")})
        for row in rows
    ]


def _categories(node: Mapping[str, Any], path: tuple[str, ...], ids: tuple[int, ...]) -> Iterator[Entry]:
    """The tree in depth; Magento's invisible root (level 0) is no part of any path."""
    number, name = int(node["id"]), str(node.get("name") or node["id"])
    if int(node.get("level") or 0) > 0:
        path, ids = (*path, name), (*ids, number)
        data = {"parent_id": node.get("parent_id"), "level": node.get("level"), "active": bool(node.get("is_active")), "path": list(path), "ids": list(ids)}
        yield CATEGORY, str(number), name, data
    for child in node.get("children_data") or ():
        yield from _categories(child, path, ids)


def _all(read: Callable[[SearchCriteria], SearchResult], fields: str, sort: str) -> Iterator[dict[str, Any]]:
    for page in pages(read, SearchCriteria().order_by(sort).only(fields), page_size=_PAGE):
        yield from page


# --- storing ------------------------------------------------------------------------------------------------------------------------------


def _store(magento_id: int, entries: list[Entry], missing: Mapping[str, set[str]]) -> set[str]:
    """Write what differs; every kind was read completely, so what is not there any more goes."""
    now, relabelled = utcnow(), set[str]()
    kinds = {kind for kind, *_ in entries}
    with unit_of_work() as session:
        query = select(StoreReference).where(StoreReference.magento_id == magento_id, StoreReference.kind.in_(kinds))
        known = {(row.kind, row.code): row for row in session.scalars(query)}
        for kind, code, label, data in entries:
            row = known.pop((kind, code[:120]), None)
            if kind == ATTRIBUTE:
                gone = {*(row.data.get("deleted", ()) if row else ()), *missing.get(code, ())} - set(data["options"])
                data = {**data, **({"deleted": sorted(gone)} if gone else {})}
            if row is None:
                session.add(StoreReference(magento_id=magento_id, kind=kind, code=code[:120], label=label[:300], data=data, seen_at=now))
                continue
            if kind == ATTRIBUTE and _relabelled(row.data, data):
                relabelled.add(code)
            if (row.label, row.data) != (label[:300], data):
                row.label, row.data, row.seen_at = label[:300], data, now
        for row in known.values():
            session.delete(row)
        session.flush()
    return relabelled


def _relabelled(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """An option that was known reads differently now. New options concern no product that was read before."""
    pairs = [(before.get("options") or {}, after["options"])]
    pairs += [(old, after["options_by_view"].get(view, {})) for view, old in (before.get("options_by_view") or {}).items() if view in after["options_by_view"]]
    return any(new.get(value) != label for old, new in pairs for value, label in old.items())
