"""Fetching onboarding data again: what changed, what it breaks and what is done about it (A036, A037, A177; TTS §5.2, §5.3.1, §5.3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event as sqlalchemy_event
from sqlalchemy import select, update

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.domain.onboarding_changes import Reference, compare, sentence, summary
from connector.domain.policies import InventoryPolicy
from connector.models.account import Account, ShopReference
from connector.models.listing import Listing, ListingCategory, ListingTemplate
from connector.models.policy import Policy
from connector.models.run import JobRun
from connector.models.trace import Event
from connector.services.accounts import onboarding_changes, shop_checks
from connector.services.attributes import fetch
from tests.factories import catalogue, shop

pytestmark = pytest.mark.sqlite_only  # comparison of two readings; the import is tested on both

TEES, MUGS, KIDS = "610021", "611421", "610567"


@contextmanager
def writes(table: str) -> Iterator[list[tuple[str, int]]]:
    """(verb, rows) of every statement that writes to a table."""
    seen: list[tuple[str, int]] = []

    def look(conn: Any, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool) -> None:
        verb = statement.split(maxsplit=1)[0].upper()
        if verb in ("INSERT", "UPDATE", "DELETE") and f" {table} " in statement.replace("\n", " "):
            seen.append((verb, len(parameters) if executemany else 1))

    sqlalchemy_event.listen(db.engine, "before_cursor_execute", look)
    try:
        yield seen
    finally:
        sqlalchemy_event.remove(db.engine, "before_cursor_execute", look)


def imported(account: Account) -> Event:
    """Fetch onboarding data as a worker does; the event that tells of it."""
    run = shop.perform("accounts.onboard", account.id)
    assert run.state == "succeeded", run.message
    event = db.session.scalars(select(Event).where(Event.kind == onboarding_changes.EVENT).order_by(Event.id.desc()).limit(1)).one()
    assert run.message == f"{event.message} {event.reason}".strip()
    return event


def rows(account: Account) -> dict[int, tuple[str, str, str]]:
    query = select(ShopReference.id, ShopReference.kind, ShopReference.parent_id, ShopReference.remote_id)
    found = db.session.execute(query.where(ShopReference.account_id == account.id, ShopReference.kind != "prerequisite")).all()
    db.session.commit()
    return {row.id: (row.kind, row.parent_id, row.remote_id) for row in found}


def settled(*listings: Listing) -> None:
    with unit_of_work() as session:
        session.execute(update(Listing).values(due_at=None, due_reason="", content_due=False))
    db.session.expire_all()


def refetches(account: Account) -> list[JobRun]:
    return list(db.session.scalars(select(JobRun).where(JobRun.account_id == account.id, JobRun.kind == "attributes.refetch").order_by(JobRun.id)))


@pytest.fixture
def mugs(account: Account) -> ListingTemplate:
    """Onboarded once, with listings of two templates, Mugs and Tees; what Mugs sends, it sends to the warehouse ``w-old``."""
    first = imported(account)
    assert first.reason == ""
    assert onboarding_changes.last(account.id).changes == ""  # type: ignore[union-attr]
    store = catalogue.a_magento()
    with unit_of_work() as session:
        session.get(Account, account.id).magento_id = store.id  # type: ignore[union-attr]
        session.add(ShopReference(account_id=account.id, kind="warehouse", remote_id="w-old", name="Old barn", data={"type": "SALES_WAREHOUSE"}))
        session.add(ShopReference(account_id=account.id, kind="shipping_provider", parent_id="1", remote_id="9", name="Old Post"))
    shop.change_policy(account, carrier_mapping=[{"magento_carrier": "custom", "tiktok_carrier": "Old Post"}])
    sources = InventoryPolicy.model_validate({"use_msi": True, "sources": [{"source_code": "wh_main", "warehouse_id": "w-old"}]})
    templates = [catalogue.a_template(account, "Mugs", category_id=MUGS, inventory=sources), catalogue.a_template(account, "Tees", category_id=TEES)]
    for template in templates:
        catalogue.a_listing(account, catalogue.a_product(store.id, f"{template.name}-1"), template)
    fetch.ensure(account.id, [MUGS, TEES])
    settled()
    return templates[0]


def test_what_changed_is_told_with_what_it_breaks_and_followed_up(account: Account, market: shop.Market, mugs: ListingTemplate) -> None:
    before = rows(account)
    tees = db.session.scalars(select(ListingTemplate).where(ListingTemplate.name == "Tees")).one()
    order_policy = db.session.scalars(select(Policy).where(Policy.kind == "order")).one()
    inventory = db.session.get(Policy, mugs.inventory_policy_id)
    assert order_policy.valid, order_policy.problems
    market.post(f"categories/{MUGS}", available=False)
    market.post(f"categories/{KIDS}", status="INVITE_ONLY")
    with unit_of_work() as session:  # what TikTok called it the last time
        session.execute(update(ShopReference).where(ShopReference.kind == "category", ShopReference.remote_id == TEES).values(name="T-shirts of old"))

    event = imported(account)

    # the sentence and its figures
    assert "1 category removed, 1 no longer open to the shop, 1 renamed; 1 warehouse removed; 1 carrier removed." in event.reason
    assert event.after["category"] == event.before["category"] - 1
    assert "was called T-shirts of old" in event.after["categories renamed"]
    assert "INVITE_ONLY, before AVAILABLE" in event.after["categories no longer open to the shop"]
    assert event.after["warehouses removed"] == "Old barn"
    assert event.after["carriers removed"] == "Old Post"
    for words in (
        "The listing template Mugs uses the category T-shirts, which is no longer in TikTok's tree: choose another category.",
        f"The policy {inventory.title} sends the stock of wh_main to the warehouse w-old, which the shop no longer has: choose another warehouse.",
        f"The policy {order_policy.title} maps custom to the carrier Old Post, which the shop no longer has: choose another carrier.",
    ):
        assert words in event.reason
        assert words in event.after["breaks"]
    assert "Tees" not in event.after["breaks"]

    # what is done: only what differs is written, listings are due, policies are checked, attributes are fetched again
    after = rows(account)
    assert {before[key] for key in before.keys() - after.keys()} == {
        ("category", *_place(before, MUGS)),
        ("warehouse", "", "w-old"),
        ("shipping_provider", "1", "9"),
    }
    assert after.keys() <= before.keys()
    db.session.expire_all()
    due = {each.template_id: each for each in db.session.scalars(select(Listing))}
    assert (due[mugs.id].due_at is not None, due[mugs.id].content_due) == (True, True)
    assert (due[tees.id].due_at is not None, due[tees.id].content_due) == (True, False)  # of the warehouse it hears; its category only has another name
    assert [policy.valid for policy in (db.session.get(Policy, inventory.id), db.session.get(Policy, order_policy.id))] == [False, False]
    (again,) = refetches(account)
    assert shop.carry_out(again.id).state == "succeeded"
    assert db.session.scalars(select(ListingCategory.node).where(ListingCategory.category_id == MUGS)).one() == {}
    path = db.session.scalars(select(ListingTemplate.category_path).where(ListingTemplate.id == tees.id)).one()
    assert path.endswith(db.session.scalars(select(ShopReference.name).where(ShopReference.remote_id == TEES)).one())

    # it comes back: told, due again, and no longer broken
    settled()
    market.post(f"categories/{MUGS}", available=True)
    event = imported(account)
    assert event.reason.startswith("Since the fetch before: 1 category added.")
    assert "Mugs" not in event.reason
    db.session.expire_all()
    assert {each.template_id: each.content_due for each in db.session.scalars(select(Listing))} == {mugs.id: True, tees.id: False}
    assert [(each.kind, each.id) for each in onboarding_changes.broken_now(account)] == [("policy", inventory.id), ("policy", order_policy.id)]


def _place(before: dict[int, tuple[str, str, str]], category_id: str) -> tuple[str, str]:
    return next((parent, remote) for kind, parent, remote in before.values() if kind == "category" and remote == category_id)


def test_nothing_changed_writes_nothing_and_says_so(account: Account, market: shop.Market) -> None:
    imported(account)
    before = rows(account)
    with unit_of_work() as session:
        session.execute(update(ShopReference).values(fetched_at=utcnow() - timedelta(days=7)))
    assert sum(kind == "category" for kind, _, _ in before.values()) > 400
    with writes("shop_reference") as written:
        event = imported(account)
    assert event.reason == "Since the fetch before: nothing changed."
    assert rows(account) == before
    checks = len(shop_checks.of(account.id))
    # beside the shop's own checks only the age of the carriers is written
    assert sorted(verb for verb, _ in written) == ["DELETE", "INSERT", "UPDATE"]
    assert sum(count for verb, count in written if verb == "INSERT") <= checks
    assert refetches(account) == []
    # rows that were not written are as young as the import: the tree is not read again for a new template's category
    market.delete("calls")
    fetch.ensure(account.id, [MUGS])
    assert "categories.list" not in market.get("calls")["operations"]


def test_a_carrier_counts_once_and_a_category_that_moves_stays_the_same() -> None:
    def carrier(option: str, name: str) -> Reference:
        return Reference("shipping_provider", option, f"{option}-{name}", name, {"name": name})

    def node(key: str, parent: str, name: str, row: int = 0, **data: Any) -> Reference:
        return Reference("category", parent, key, name, {"id": key, "is_leaf": True, "permission_statuses": ["AVAILABLE"], **data}, row)

    tree = [node(str(number), "0", f"Category {number}", number) for number in range(1, 6001)]
    old = [*tree, carrier("1", "Royal Mail"), carrier("2", "Royal Mail")]
    new = [*tree[:-3], node("5998", "17", "Category 5998"), node("5999", "0", "Mugs"), node("7000", "0", "New"), carrier("3", "DHL")]
    found = compare(old, new)
    assert [(change.row.remote_id, change.whats, change.old.id if change.old else 0) for change in found.of("category")] == [
        ("5998", ("moved",), 5998),
        ("5999", ("renamed",), 5999),
        ("7000", ("added",), 0),
        ("6000", ("removed",), 6000),
    ]
    lines = summary(found.notable())
    assert sentence(lines) == "1 category removed, 1 moved, 1 renamed, 1 added; 1 carrier removed, 1 added."
    assert compare(tree, [node("1", "0", "Category 1", permission_statuses=["INVITE_ONLY"], is_leaf=False)]).changes[0].whats == ("not_leaf", "not_allowed")
    few = summary(compare(tree, tree[50:]).notable())
    assert (few[0]["count"], len(few[0]["rows"]), few[0]["more"]) == (50, 20, 30)
    # what is read for the first time is not news, whatever else changed
    first = compare([carrier("1", "Royal Mail")], [carrier("1", "Royal Mail"), *tree])
    assert (first.first, first.notable(), sentence(summary(first.notable()))) == (frozenset({"category"}), [], "Nothing changed.")
    status = [Reference("warehouse", "", "1", "Main", {"effect_status": each}) for each in ("ENABLED", "RESTRICTED")]
    assert [change.words() for change in compare(status[:1], status[1:]).changes] == ["Main (effect_status is RESTRICTED, was ENABLED)"]


@pytest.mark.sqlite_only  # what TikTok answers decides
def test_a_category_with_subcategories_is_told_apart_and_without_the_product_scope_none_counts_as_removed(account: Account, market: shop.Market) -> None:
    imported(account)
    catalogue.a_template(account, "Tees", category_id=TEES)
    market.post(f"categories/{TEES}", leaf=False)
    event = imported(account)
    assert event.reason.startswith("Since the fetch before: 1 category with subcategories now. The listing template Tees uses the category")
    assert "Choose one of its subcategories." in [each.remedy for each in onboarding_changes.broken_now(account)]
    held = event.after["category"]
    market.post("authorizations/scopes", revoke=["seller.product.basic"])  # without the scope there is no tree to compare with
    event = imported(account)
    assert (event.reason, event.after["category"]) == ("Since the fetch before: nothing changed.", held)


def shown(client: FlaskClient, account_id: int) -> str:
    return " ".join(unescape(client.get(f"/accounts/{account_id}").text).split())


def test_the_account_page_shows_the_last_fetch_what_it_breaks_and_the_shops_failed_checks(
    admin_client: FlaskClient, account: Account, market: shop.Market, mugs: ListingTemplate
) -> None:
    account_id, template_id, policy_id = account.id, mugs.id, mugs.inventory_policy_id
    market.post(f"categories/{MUGS}", available=False)
    market.post("shops/GB/prerequisites", SHOP_STATUS=["Complete the verification"], BANk_ACCOUNT=[], CONTACT_INFO=["No telephone"])
    try:
        imported(account)
    finally:
        market.post("shops/GB/prerequisites")
    page = shown(admin_client, account_id)
    assert "<strong>Last fetch:</strong> 1 category removed; 1 warehouse removed; 1 carrier removed." in page
    assert f'The listing template <a href="/templates/{template_id}">Mugs</a> uses the category T-shirts, which is no longer in TikTok\'s tree.' in page
    assert f'<a href="/policies/{policy_id}">' in page
    assert "<strong>Choose another category.</strong>" in page
    assert "TikTok says: <q>Complete the verification</q>. Finish the shop's set-up in Seller Center." in page
    assert "stops new listings" in page
    assert "TikTok says: <q>No telephone</q>." in page
    assert next(check.item for check in shop_checks.of(account_id) if check.failed) == "SHOP_STATUS"

    with unit_of_work() as session:  # put right by hand
        session.get(ListingTemplate, template_id).category_id = TEES  # type: ignore[union-attr]
    imported(db.session.get(Account, account_id))  # type: ignore[arg-type]
    page = shown(admin_client, account_id)
    assert "<strong>Last fetch:</strong> Nothing changed." in page
    assert "no longer in TikTok's tree" not in page.split('id="broken"')[1].split("</div>")[0]
    assert "stops new listings" not in page
    assert "All 10 are passed." in page
