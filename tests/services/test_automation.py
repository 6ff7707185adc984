"""The synchronization policy's switches: schedules, decisions, and what goes to TikTok by itself (A067-A079, product.md 5)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, select

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.domain.automation import UPDATE
from connector.domain.policies import SynchronizationPolicy
from connector.jobs import scheduler
from connector.models.account import Account
from connector.models.listing import IN_REVIEW, Listing
from connector.models.product import ProductCursor
from connector.models.run import JobItem, JobRun, Schedule
from connector.services import accounts, policies, schedules
from connector.services.accounts import Choice, editing
from connector.services.products import automation, diff, recheck, status_sync, switches
from tests.factories import listings
from tests.factories.catalogue import a_listing, a_magento, a_product, a_template
from tests.factories.shop import Market, perform

OFF = SynchronizationPolicy(product_update="off", inventory_price_sync="off")


@pytest.fixture
def account(app: Flask) -> Account:
    policies.seed()
    made = accounts.create(Choice(title="Shop", country="GB", environment="sandbox", magento_id=a_magento().id), actor="tests")
    with unit_of_work():
        made.auth_state, made.shop_cipher = "connected", "cipher"
    return made


def rows(account: Account) -> dict[str, Schedule]:
    db.session.commit()
    query = select(Schedule).where(Schedule.account_id == account.id).execution_options(populate_existing=True)
    return {row.kind: row for row in db.session.scalars(query)}


def switched_on(account: Account) -> set[str]:
    return {kind for kind, row in rows(account).items() if row.enabled and kind in switches.SWITCHES}


def save_sync(policy_id: int, body: SynchronizationPolicy, title: str = "Sync") -> None:
    policies.save(policy_id, title=title, body=body, actor="tests")


def failing(listing: Listing) -> list[str]:
    db.session.expire_all()
    return [str(check["code"]) for check in automation.decide(db.session.get_one(Listing, listing.id)) if not check["ok"]]


def test_a_new_account_has_the_switches_of_its_policy_as_schedules(account: Account) -> None:
    """A067-A071, A073: Off = the schedule is off; the intervals are the policy's"""
    found = rows(account)
    assert {kind: (found[kind].enabled, found[kind].interval_seconds) for kind in switches.SWITCHES} == {
        "templates.assign": (False, 3600),
        "products.auto_upload": (False, 3600),
        "products.auto_update": (True, 1800),
        "products.sync": (True, 300),
    }
    assert found["products.auto_upload"].last_outcome == "Off in the synchronization policy Default Synchronization Policy."
    assert {kind: found[kind].interval_seconds for kind in ("products.import", "products.import_stock")} == {
        "products.import": 900,
        "products.import_stock": 300,
    }
    assert found["products.evaluate"].enabled


def test_schedules_follow_the_policy_when_it_is_saved_assigned_and_replaced(account: Account) -> None:
    default = policies.of_kind("synchronization")[0]
    save_sync(default.id, SynchronizationPolicy(product_upload="any", upload_every_minutes=15, product_update="off"))
    assert switched_on(account) == {"products.auto_upload", "products.sync"}
    assert rows(account)["products.auto_upload"].interval_seconds == 900
    quiet = policies.create("synchronization", title="Quiet", body=OFF, actor="tests")
    choice = Choice(title="Shop", country="GB", environment="sandbox", magento_id=account.magento_id, sync_policy_id=quiet.id)
    accounts.update(account.id, choice, actor="tests")
    assert switched_on(account) == set()
    policies.delete(quiet.id, actor="tests", reassign_to=default.id)
    assert switched_on(account) == {"products.auto_upload", "products.sync"}
    with unit_of_work():
        account.sync_policy_id = None
    assign = policies.create("synchronization", title="Assign", body=SynchronizationPolicy(product_assign="enabled", product_update="off"), actor="tests")
    policies.make_default(assign.id, actor="tests")
    assert switched_on(account) == {"templates.assign", "products.sync"}


def test_a_persons_own_switch_stays_until_the_policys_switch_is_changed(account: Account) -> None:
    policy = policies.of_kind("synchronization")[0]
    with unit_of_work():
        rows(account)["products.sync"].enabled = False
    save_sync(policy.id, SynchronizationPolicy(inventory_price_every_minutes=10))
    assert (rows(account)["products.sync"].enabled, rows(account)["products.sync"].interval_seconds) == (False, 600)
    save_sync(policy.id, OFF)
    save_sync(policy.id, SynchronizationPolicy())
    assert rows(account)["products.sync"].enabled


def test_an_upgrade_brings_missing_schedules_and_two_missed_periods_are_told_but_not_of_what_was_off(account: Account) -> None:
    """product.md 5: two missed periods raise an alert on every page"""
    with unit_of_work() as session:
        session.execute(delete(Schedule).where(Schedule.kind.in_([*switches.SWITCHES, "products.import"])))
    editing.ensure_all_schedules()
    assert {"products.import", *switches.SWITCHES} <= set(rows(account))
    with unit_of_work():
        for kind in ("products.auto_upload", "products.auto_update"):
            rows(account)[kind].next_due_at = utcnow() - timedelta(days=2)
    assert [row.kind for row in schedules.missed()] == ["products.auto_update"]
    save_sync(policies.of_kind("synchronization")[0].id, SynchronizationPolicy(product_upload="enabled"))
    assert [row.kind for row in schedules.missed()] == ["products.auto_update"]  # what was switched on is due now, not late
    scheduler.start_due()
    assert schedules.missed() == []
    assert rows(account)["products.auto_upload"].last_run_id is not None


#: (listing, product, policy, codes of the checks that fail)
CASES: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any], list[str]]] = [
    ({}, {}, {}, []),
    ({}, {"status": 2}, {}, ["auto.status"]),
    ({}, {"status": 2}, {"product_upload": "any"}, []),
    ({}, {}, {"product_upload": "off"}, ["auto.upload_off"]),
    ({}, {"visibility": 1}, {}, ["auto.not_visible"]),
    ({}, {"visibility": 1}, {"sync_not_visible": True}, []),
    ({}, {"quantity": 0}, {}, []),
    ({}, {"quantity": 0}, {"sync_out_of_stock": False}, ["auto.out_of_stock"]),
    ({}, {"quantity": None}, {"sync_out_of_stock": False}, []),
    ({"validation": "incomplete", "problems": [{"reason": "No weight.", "remedy": "Enter it."}]}, {}, {}, ["auto.incomplete"]),
    ({"validation": "incomplete", "content_due": True}, {}, {}, []),
    ({"failure_code": "x", "content_hash": "a", "failed_hash": "a", "failed_at": utcnow()}, {}, {}, ["auto.parked"]),
    ({"failure_code": "x", "content_hash": "b", "failed_hash": "a", "failed_at": utcnow()}, {}, {}, []),
    ({"failure_code": "x", "retry_at": utcnow() + timedelta(hours=1)}, {}, {}, ["auto.retry_later"]),
    ({"failure_code": "x", "retry_at": utcnow() - timedelta(hours=1), "content_hash": "a", "failed_hash": "a"}, {}, {}, []),
    ({"failure_code": "x", "failed_at": utcnow() + timedelta(hours=1)}, {}, {}, ["auto.parked"]),
    ({"tiktok_id": "17", "marketplace_state": "live", "content_hash": "b", "sent_hash": "a"}, {}, {}, []),
    ({"tiktok_id": "17", "marketplace_state": "live", "content_hash": "a", "sent_hash": "a"}, {}, {}, ["auto.unchanged"]),
    ({"tiktok_id": "17", "marketplace_state": "frozen", "content_hash": "b", "sent_hash": "a"}, {}, {"product_update": "off"}, ["auto.update_off", "auto.state"]),
]  # fmt: skip


def test_every_reason_why_nothing_is_done_by_itself_is_named(account: Account) -> None:
    """A068, A073, A076, A077: one list of checks for the run, the page and the preview"""
    template = a_template(account)
    for number, (listing, product, policy, codes) in enumerate(CASES):
        body = SynchronizationPolicy(**{"product_upload": "enabled", **policy})
        unique = {**listing, "tiktok_id": f"17{number}"} if "tiktok_id" in listing else listing
        made = a_listing(account, a_product(account.magento_id, f"P{number}", **product), template, **unique)
        found = automation.decide_many([made.id], policy=body)[made.id]
        assert [check.code for check in found if not check.ok] == codes, (listing, product, policy)


def test_template_account_and_what_magento_has_no_more_stand_against_it_too(account: Account) -> None:
    save_sync(policies.of_kind("synchronization")[0].id, SynchronizationPolicy(product_upload="enabled"))
    product = a_product(account.magento_id, "P")
    made = a_listing(account, product, a_template(account, enabled=False))
    loose = a_listing(account, a_product(account.magento_id, "Q", gone_at=utcnow()))
    assert failing(made) == ["auto.template"]
    assert failing(loose) == ["auto.status", "auto.template"]
    with unit_of_work():
        account.active = False
    assert failing(made) == ["auto.account", "auto.template"]
    check = automation.decide(made)[0]
    assert (check["message"], check["remedy"]) == ("The account Shop is disabled.", "Enable it on the Accounts page.")


def test_only_what_fits_the_switch_has_its_rising_stock_and_its_prices_sent(account: Account) -> None:
    """A070"""
    policy = policies.of_kind("synchronization")[0]
    for switch, statuses in (("off", set()), ("enabled", {1}), ("disabled", {2}), ("any", {1, 2})):
        save_sync(policy.id, SynchronizationPolicy(inventory_price_sync=switch))  # type: ignore[arg-type]
        assert switches.synced_statuses(account) == statuses


def items(run: JobRun) -> list[tuple[str, str]]:
    query = select(JobItem.state, JobItem.message).where(JobItem.run_id == run.id).order_by(JobItem.id)
    found = [tuple(row) for row in db.session.execute(query)]
    db.session.commit()
    return found  # type: ignore[return-value]


def recorded(ids: Iterable[Listing]) -> list[Listing]:
    return [listings.fresh(one) for one in ids]


def test_new_products_go_to_tiktok_by_themselves_and_a_refused_one_is_not_sent_again_until_it_changes(connected_account: Account, market: Market) -> None:
    """A068, A073: against the practice marketplace over real HTTP"""
    account = connected_account
    policy_id = policies.of_kind("synchronization")[0].id
    save_sync(policy_id, SynchronizationPolicy(product_upload="enabled"))
    listings.imported(account, ("MUG-01", "CAP-01", "DISABLED-01"))
    template = listings.template_of(account)
    mug, cap, disabled = (listings.ready(account, template, sku) for sku in ("MUG-01", "CAP-01", "DISABLED-01"))
    listings.rename(cap, "x" * 290)
    run = perform("products.auto_upload", account.id)
    assert [state for state, _ in items(run)] == ["done"]
    assert run.message == "1 to upload; left alone: 1 incomplete, 1 of another Magento status."
    assert [one.marketplace_state for one in recorded((mug, cap, disabled))] == [IN_REVIEW, "not_uploaded", "not_uploaded"]
    listings.rename(cap, "Baseball cap of stone-washed cotton")
    with unit_of_work():
        db.session.get_one(Listing, cap.id).content_due = True
    market.post("faults", kind="refusal", operation="products.create", code=12052571, message="price too high for this market", times=1)
    assert [state for state, _ in items(perform("products.auto_upload", account.id))] == ["failed"]
    assert failing(cap) == ["auto.parked"]
    again = perform("products.auto_upload", account.id)
    assert (items(again), "1 refused with the same content" in again.message) == ([], True)
    listings.rename(cap, "Baseball cap of stone-washed cotton, one size")
    with unit_of_work():
        db.session.get_one(Listing, cap.id).content_due = True
    assert [state for state, _ in items(perform("products.auto_upload", account.id))] == ["done"]
    assert listings.fresh(cap).marketplace_state == IN_REVIEW
    save_sync(policy_id, SynchronizationPolicy())
    assert perform("products.auto_upload", account.id).message == "Product Upload is off in the synchronization policy Sync."


def test_a_change_is_sent_by_itself_when_the_policy_reacts_to_its_attribute(connected_account: Account, market: Market) -> None:
    """A069, A072, A074, A078"""
    account = connected_account
    policy_id = policies.of_kind("synchronization")[0].id
    listings.imported(account, ("MUG-01",))
    mug = listings.ready(account, listings.template_of(account), "MUG-01")
    market.post("audit", delay_seconds=0)
    perform("products.upload", account.id, items=[(str(mug.id), "MUG-01")])
    status_sync.sync(account.id)
    assert perform("products.auto_update", account.id).message == "Nothing to update."
    listings.rename(mug, "Stoneware mug, hand-thrown")
    with unit_of_work():
        db.session.get_one(Listing, mug.id).content_due = True
    save_sync(policy_id, SynchronizationPolicy(react_only=("description",)))
    run = perform("products.auto_update", account.id)
    assert run.message == "Nothing to update; left alone: 1 changed elsewhere than the policy reacts to."
    assert failing(mug) == ["auto.not_reacting"]
    assert automation.changed_attributes(listings.fresh(mug)) == {"name"}
    assert [change.field for change in diff.preview(mug.id).changes if change.kind == "content"] == ["title"]
    save_sync(policy_id, SynchronizationPolicy(react_only=("name", "description")))
    run = perform("products.auto_update", account.id)
    assert [state for state, _ in items(run)] == ["done"]
    assert "hand-thrown" in str(listings.on_tiktok(market.url, listings.fresh(mug)))


def test_a_marked_listing_is_looked_at_again_once(connected_account: Account) -> None:
    """A176: what has changed is validated by the scheduled run, nothing else"""
    account = connected_account
    listings.imported(account, ("MUG-01",))
    mug = listings.ready(account, listings.template_of(account), "MUG-01")
    assert recheck.check_due(account.id) == 0
    with unit_of_work():
        db.session.get_one(Listing, mug.id).content_due = True
    assert perform("products.validate", account.id, started_by="scheduler").message == "1 changed products looked at again."
    mug = listings.fresh(mug)
    assert (mug.content_due, mug.validation, bool(mug.content_hash)) == (False, "ready", True)
    assert recheck.check_due(account.id) == 0


def test_a_changed_listing_is_found_again_after_its_worker_died_between_unmarking_and_validating(connected_account: Account) -> None:
    account = connected_account
    listings.imported(account, ("MUG-01",))
    mug = listings.ready(account, listings.template_of(account), "MUG-01")
    recheck.check([mug.id])
    with unit_of_work():
        row = db.session.get_one(Listing, mug.id)
        row.content_due, row.tiktok_id, row.sent_hash = True, "1729", row.content_hash
    passes = iter((True, False))

    def dies(session: object) -> None:
        if not next(passes):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recheck.check([mug.id], guard=dies)
    assert not listings.fresh(mug).content_due
    assert [mug.id] in list(automation.waiting(account.id, UPDATE))
    assert recheck.check_due(account.id) == 1
    assert listings.fresh(mug).validation == "ready"
    assert list(automation.waiting(account.id, UPDATE)) == []


def test_the_whole_catalogue_is_due_once_a_day_and_never_while_it_is_read_for_the_first_time(account: Account) -> None:
    """products.import: changes every 15 minutes, everything once a day"""
    assert not switches.whole_import_due(account)
    with unit_of_work() as session:
        cursor = ProductCursor(magento_id=account.magento_id, store_view="all", full_at=utcnow() - timedelta(hours=23))
        session.add(cursor)
    assert not switches.whole_import_due(account)
    with unit_of_work():
        cursor.full_at = utcnow() - timedelta(hours=25)
    assert switches.whole_import_due(account)
