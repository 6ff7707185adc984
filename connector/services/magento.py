"""The Magento connection: saved, tested, and what the store told about itself (A034, product.md 3, MAG §1)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from itertools import islice
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Select, delete, select

from connector.clients import errors as api
from connector.clients import stranger
from connector.clients.magento import BadBaseUrl, MagentoClient, ProbeReport, SearchCriteria, normalise_base_url
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError, NotFoundError
from connector.models.account import PRODUCTION, SANDBOX, MagentoConnection, StoreReference
from connector.services import connections, events, settings

KEYS = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")
_LABELS = dict(zip(KEYS, ("Consumer key", "Consumer secret", "Access token", "Access token secret"), strict=True))

#: Magento's clock may be this many seconds from ours before it is said: OAuth refuses more than 600 s in the future (MAG §1.2).
CLOCK_WARNING = 60.0
CARRIER_DAYS = 90
#: Shipments looked at for their carriers while a person waits for the test.
CARRIER_SHIPMENTS = 2000

#: Order statuses that every Magento has (MAG §4.5.4); others are learned from the orders seen.
STATUSES = {
    "pending": "Pending",
    "pending_payment": "Pending Payment",
    "processing": "Processing",
    "holded": "On Hold",
    "payment_review": "Payment Review",
    "complete": "Complete",
    "closed": "Closed",
    "canceled": "Canceled",
}


def connection(environment: str = PRODUCTION) -> MagentoConnection | None:
    """The connection of an environment, if there is one."""
    return db.session.scalar(select(MagentoConnection).where(MagentoConnection.environment == environment).order_by(MagentoConnection.id))


def get(magento_id: int) -> MagentoConnection:
    row = db.session.get(MagentoConnection, magento_id)
    if row is None:
        raise NotFoundError("magento.unknown", "There is no such Magento connection.", "Set it up under Configuration > Magento.")
    return row


def save(
    *,
    environment: str,
    base_url: str,
    auth_kind: str,
    actor: str,
    title: str = "Magento",
    consumer_key: str = "",
    consumer_secret: str = "",
    access_token: str = "",
    access_token_secret: str = "",
    signing_base_url: str = "",
    parallel_slots: int = 2,
) -> MagentoConnection:
    """Store the one connection of the environment. A blank key keeps the stored one while the address stays the same."""
    url = _address(base_url, environment, "base_url")
    signing = _address(signing_base_url, environment, "signing_base_url") if signing_base_url.strip() else None
    if not 1 <= parallel_slots <= 16:
        raise DomainError("magento.slots", "Parallel slots must be 1 to 16.", "Two suit most stores.", field="parallel_slots")
    given = dict(zip(KEYS, (consumer_key.strip(), consumer_secret.strip(), access_token.strip(), access_token_secret.strip()), strict=True))
    with unit_of_work() as session:
        row = connection(environment)
        if row is None:
            row = MagentoConnection(environment=environment, base_url=url)
            session.add(row)
        moved = row.base_url != url
        before = {"base_url": row.base_url, "auth_kind": row.auth_kind}
        keep = {} if moved else {name: getattr(row, name) for name in KEYS}
        values = {name: value or keep.get(name) for name, value in given.items()}
        needed = ("access_token",) if auth_kind == "bearer" else KEYS
        for name in needed:
            if not values[name]:
                where = "Copy it from Magento: System > Integrations."
                raise DomainError("magento.key_missing", f"{_LABELS[name]} is empty.", where, field=name)
        row.title, row.base_url, row.auth_kind, row.signing_base_url = title.strip() or "Magento", url, auth_kind, signing
        row.parallel_slots = parallel_slots
        for name, value in values.items():
            setattr(row, name, value)
        row.checked_at, row.facts = None, {}
        session.flush()
        after = {"base_url": url, "auth_kind": auth_kind}
        message = f"The Magento connection to {url} was saved."
        events.record("magento.saved", "magento", row.id, message, before=before, after=after, actor=actor)
        return row


def test(magento_id: int) -> dict[str, Any]:
    """Test connection: try everything that can be tried by reading, keep the facts, refresh what is known of the store.

    Returns ``{"ok", "problems": [{"message", "remedy"}], "version", "base_url", "modules", "store_views", "websites", "currency", "msi",
    "granted", "missing", "untried", "clock_offset", "carriers"}``. Never raises for a store that refuses or is away.
    """
    row = get(magento_id)
    try:
        client = connections.magento_client(row, pace=f"magento-test:{row.id}:{token_hex(4)}")  # failures before what was just corrected must not hold it up
    except BadBaseUrl as error:
        raise DomainError("magento.address", str(error), "Correct the address.", field="base_url") from error
    end_reading()
    report = client.probe()
    facts = _facts(report, row)
    if report.error is None:
        rows = list(_references(client, report))
        _store_references(magento_id, rows)
        facts["carriers"] = harvest_carriers(magento_id, client)
        facts["version"] = stranger.magento_version(row.base_url) or "not told by the store"
    with unit_of_work():
        row = get(magento_id)
        row.facts, row.checked_at = facts, utcnow()
        verdict = "passed" if facts["ok"] else f"found: {facts['problems'][0]['message']}"
        events.record("magento.tested", "magento", row.id, f"Test connection to {row.base_url} {verdict}", after={"ok": facts["ok"]})
    from connector.services import policies

    policies.recheck_all()
    return facts


def references(magento_id: int, kind: str) -> Select[tuple[StoreReference]]:
    """What is known of the store, of one kind, by label."""
    return select(StoreReference).where(StoreReference.magento_id == magento_id, StoreReference.kind == kind).order_by(StoreReference.label)


def harvest_carriers(magento_id: int, client: MagentoClient) -> int:
    """Learn the carriers used in the shipments of the last 90 days (REST cannot list them, MAG §4.5.1); the number known now."""
    seen: dict[str, tuple[str, int]] = {}
    try:
        for shipment in islice(client.shipments_since(utcnow() - timedelta(days=CARRIER_DAYS)), CARRIER_SHIPMENTS):
            for track in shipment.get("tracks") or []:
                code, title = str(track.get("carrier_code") or ""), str(track.get("title") or "")
                name = title if code in ("custom", "") else code
                if name:
                    seen[name] = (title or code, seen.get(name, ("", 0))[1] + 1)
    except api.ApiError:
        return 0  # the probe has already named the missing permission
    with unit_of_work() as session:
        known = {row.code: row for row in session.scalars(references(magento_id, "carrier"))}
        for code, (label, count) in seen.items():
            row = known.get(code)
            if row is None:
                session.add(StoreReference(magento_id=magento_id, kind="carrier", code=code[:120], label=label[:300], data={"shipments": count}))
            else:
                row.label, row.data, row.seen_at = label[:300], {"shipments": count}, utcnow()
        session.flush()
        return len(set(known) | set(seen))


def note_status(magento_id: int, status: str, state: str) -> None:
    """Remember an order status that was seen in Magento, so that it can be chosen in a policy. Joins the caller's transaction."""
    if not status or status in STATUSES:
        return
    with unit_of_work() as session:
        query = references(magento_id, "order_status").where(StoreReference.code == status)
        if session.scalar(query) is None:
            session.add(StoreReference(magento_id=magento_id, kind="order_status", code=status, label=status, data={"state": state}))
            session.flush()


def known_statuses() -> dict[str, str]:
    """Order statuses to choose from: Magento's own and those seen."""
    seen = db.session.execute(select(StoreReference.code, StoreReference.label).where(StoreReference.kind == "order_status"))
    return {**STATUSES, **{code: label or code for code, label in seen}}


def known(kind: str) -> list[StoreReference]:
    """References of one kind over all stores, by label."""
    return list(db.session.scalars(select(StoreReference).where(StoreReference.kind == kind).order_by(StoreReference.label)))


def known_carriers() -> list[StoreReference]:
    """Carriers seen in Magento's shipments, most used first: suggestions for the mapping (product.md 4)."""
    return sorted(known("carrier"), key=lambda row: -int((row.data or {}).get("shipments", 0)))


def _address(text: str, environment: str, field: str) -> str:
    try:
        url = normalise_base_url(text)
    except BadBaseUrl as error:
        raise DomainError("magento.address", str(error), "", field=field) from error
    practice = urlsplit(settings.config().practice_magento_url).netloc
    if environment == SANDBOX and urlsplit(url).netloc != practice:
        raise DomainError(
            "magento.not_practice", f"Sandbox accounts may use the practice store only ({practice}).", "Choose Use the practice store.", field=field
        )
    if environment == PRODUCTION and urlsplit(url).netloc == practice:
        raise DomainError("magento.is_practice", "That is the practice store.", "Enter the address of your own store.", field=field)
    return url


def _facts(report: ProbeReport, row: MagentoConnection) -> dict[str, Any]:
    problems = list(_problems(report, row))
    configs = report.store_configs
    return {
        "ok": not problems,
        "problems": problems,
        "modules": len(report.modules),
        "store_views": [str(view["code"]) for view in report.store_views],
        "websites": [str(website["code"]) for website in report.websites],
        "currency": str(configs[0].get("base_currency_code", "")) if configs else "",
        "msi": report.msi,
        "granted": report.granted,
        "missing": report.missing,
        "untried": list(report.untried),
        "clock_offset": round(report.clock_skew, 1),
    }


def _problems(report: ProbeReport, row: MagentoConnection) -> Iterable[dict[str, str]]:
    if report.error is not None:
        yield _no_answer(report.error, row)
        return
    if report.missing:
        yield {
            "message": f"The integration lacks {len(report.missing)} permissions: {', '.join(report.missing)}.",
            "remedy": "In Magento open System > Integrations, edit the integration, tick these resources, save and re-authorise it.",
        }
    for group, fault in report.faults.items():
        title, advice = api.describe(fault)[1:]
        yield {"message": f"{group}: {title}. {fault}", "remedy": advice}
    if abs(report.clock_skew) > CLOCK_WARNING:
        way = "ahead of" if report.clock_skew > 0 else "behind"
        yield {
            "message": f"Magento's clock is {abs(report.clock_skew):.0f} s {way} ours.",
            "remedy": "Switch on time synchronisation (NTP) on both machines: signed requests from the future are refused.",
        }


def _no_answer(error: api.ApiError, row: MagentoConnection) -> dict[str, str]:
    """Why nothing of the store could be read."""
    _, title, advice = api.describe(error)
    if isinstance(error, api.NotFound | api.Unexpected):
        remedy = "Enter the store's base address as Magento has it under Stores > Configuration > Web, without /admin or /rest."
        return {"message": f"{row.base_url} answers, but not as Magento's REST API ({error}).", "remedy": remedy}
    if error.code == "net.unreachable":
        return {"message": f"{row.base_url} cannot be reached.", "remedy": "Check the address, and that the store can be reached from this machine."}
    said = f"Magento said: {error.remote_message}" if error.remote_message else str(error)
    return {"message": f"{row.base_url}: {title}. {said.rstrip('.')}.", "remedy": advice}


def _references(client: MagentoClient, report: ProbeReport) -> Iterable[tuple[str, str, str, dict[str, Any]]]:
    configs = {str(config["code"]): config for config in report.store_configs}
    for view in report.store_views:
        code = str(view["code"])
        yield "store_view", code, str(view.get("name") or code), {**view, **({"config": configs[code]} if code in configs else {})}
    for website in report.websites:
        yield "website", str(website["code"]), str(website.get("name") or website["code"]), dict(website)
    if report.msi:
        for source in _or_nothing(client.sources):
            yield "source", str(source["source_code"]), str(source.get("name") or source["source_code"]), {"enabled": source.get("enabled")}
        for stock in _or_nothing(client.stocks):
            yield "stock", str(stock["stock_id"]), str(stock.get("name") or stock["stock_id"]), {}
    if "attributes" in report.granted:
        yield from _attributes(client)


def _attributes(client: MagentoClient) -> Iterable[tuple[str, str, str, dict[str, Any]]]:
    criteria = SearchCriteria().only("items[attribute_code,default_frontend_label,frontend_input],total_count").order_by("attribute_code")
    number = 1
    seen = 0
    while True:
        page = client.attributes(criteria.page(number, 200))
        for row in page.items:
            label = str(row.get("default_frontend_label") or row["attribute_code"])
            yield "attribute", str(row["attribute_code"]), label, {"input": row.get("frontend_input")}
        seen += len(page.items)
        if not page.items or seen >= page.total_count:
            return
        number += 1


def _or_nothing(read: Any) -> list[dict[str, Any]]:
    """A missing permission is already in the report; it does not stop the rest."""
    try:
        return list(read())
    except api.ApiError:
        return []


def _store_references(magento_id: int, rows: list[tuple[str, str, str, dict[str, Any]]]) -> None:
    """Replace the kinds that were read completely; a kind that could not be read keeps what was known, and an attribute its options."""
    now = utcnow()
    with unit_of_work() as session:
        kinds = {kind for kind, *_ in rows}
        known = {row.code: row.data for row in session.scalars(references(magento_id, "attribute"))}
        session.execute(delete(StoreReference).where(StoreReference.magento_id == magento_id, StoreReference.kind.in_(kinds)))
        unique = {(kind, code): (label, data) for kind, code, label, data in rows}
        for (kind, code), (label, data) in unique.items():
            if kind == "attribute":
                data = {**known.get(code, {}), **data}
            session.add(StoreReference(magento_id=magento_id, kind=kind, code=code[:120], label=label[:300], data=data, seen_at=now))
        session.flush()
