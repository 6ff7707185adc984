"""What TikTok decides about products and what people change there (A159, A161, A170, A175): read back, never believed, never overwritten unasked."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from connector.core.db import db, unit_of_work
from connector.domain.listing_state import STATES, state_of, trouble_of
from connector.models.account import Account
from connector.models.listing import INACTIVE, LIVE, Listing, ListingTemplate
from connector.models.run import JobItem, JobRun
from connector.models.trace import Event
from connector.services.products import state, status_sync
from tests.factories import listings
from tests.factories.listings import Desk
from tests.factories.shop import Market, carry_out, perform
from tests.services.test_webhooks import Sender


@pytest.fixture
def account(app: Flask, connected_account: Account) -> Account:
    return connected_account


def change(account: Account, chosen: list[Listing], **args: Any) -> tuple[JobRun, list[JobItem]]:
    run = perform("products.change_status", account.id, items=[(str(one.id), "x") for one in chosen], args=args)
    return run, items(run)


def items(run: JobRun) -> list[JobItem]:
    return list(db.session.scalars(select(JobItem).where(JobItem.run_id == run.id).order_by(JobItem.id).execution_options(populate_existing=True)))


def again(run: JobRun) -> tuple[JobRun, list[JobItem]]:
    with unit_of_work() as session:
        session.get(JobRun, run.id).not_before = None  # type: ignore[union-attr]
    run = carry_out(run.id)
    return run, items(run)


def states(chosen: list[Listing]) -> set[tuple[str, str]]:
    rows = db.session.execute(select(Listing.marketplace_state, Listing.remote_status).where(Listing.id.in_([one.id for one in chosen])))
    found = {(row[0], row[1]) for row in rows}
    db.session.commit()
    return found


def told(listing: Listing, kind: str) -> int:
    query = select(func.count()).select_from(Event).where(Event.kind == kind, Event.subject_id == str(listing.id), Event.subject_type == "listing")
    count = db.session.scalar(query) or 0
    db.session.commit()
    return count


def calls(market: Market, name: str) -> int:
    return int(market.get("calls")["operations"].get(name, {}).get("count", 0))


# --- change status --------------------------------------------------------------------------------------------------------------------------


def test_products_are_hidden_and_shown_twenty_at_a_time_and_each_is_read_back(account: Account, market: Market) -> None:
    chosen = listings.standing(account, market, 22)
    market.delete("calls")
    run, found = change(account, chosen, active=False)
    assert (run.state, {item.state for item in found}) == ("succeeded", {"done"})
    assert (calls(market, "products.deactivate"), calls(market, "products.get")) == (2, 22)
    assert states(chosen) == {(INACTIVE, "SELLER_DEACTIVATED")}
    run, found = change(account, chosen[:2], active=True)
    assert {item.message for item in found} == {"Active (TikTok Shop shows PENDING)."}
    market.post(f"listings/{chosen[0].tiktok_id}", audit="APPROVED")
    status_sync.sync(account.id, [chosen[0].id])
    assert listings.fresh(chosen[0]).marketplace_state == LIVE
    assert told(chosen[0], "listing.deactivate") == told(chosen[0], "listing.activate") == told(chosen[0], "listing.live") == 1


@pytest.mark.sqlite_only  # decided by what TikTok answers
def test_a_product_that_cannot_be_changed_says_why_and_stops_no_neighbour(account: Account, market: Market) -> None:
    """TTS §3.1: errors per product, TikTok's words verbatim; already so is done; a disabled template and an unlinked product are refused here."""
    good, frozen, hidden, foreign, unlinked = listings.standing(account, market, 5)
    template = listings.a_template(account)
    market.post(f"listings/{frozen.tiktok_id}", status="FREEZE")
    market.post(f"listings/{hidden.tiktok_id}", status="SELLER_DEACTIVATED")
    with unit_of_work() as session:
        session.get(Listing, unlinked.id).tiktok_id = None  # type: ignore[union-attr]
        session.get(Listing, foreign.id).template_id = template.id  # type: ignore[union-attr]
        session.get(ListingTemplate, template.id).enabled = False  # type: ignore[union-attr]
    run, found = change(account, [good, frozen, hidden, foreign, unlinked], active=False)
    assert run.state == "partial"
    assert [(item.state, item.code) for item in found] == [
        ("done", None), ("failed", "tts.product.status"), ("done", None), ("failed", "listing.template_disabled"), ("failed", "listing.not_uploaded"),
    ]  # fmt: skip
    assert "is FREEZE and cannot be deactivated (12052901)" in found[1].message
    assert all(item.remedy for item in found if item.state == "failed")
    assert listings.fresh(frozen).failure_code == "listing.frozen"


@pytest.mark.sqlite_only  # decided by what TikTok answers
def test_a_lost_answer_and_an_answer_without_effect_are_found_by_reading_back(account: Account, market: Market) -> None:
    chosen = listings.standing(account, market, 2)
    market.post("faults", kind="lost_answer", operation="products.deactivate", times=1)
    run, found = change(account, chosen, active=False)
    assert (run.state, found[0].state) == ("waiting", "open")
    run, found = again(run)
    assert (run.state, {item.state for item in found}) == ("succeeded", {"done"})
    market.post("faults", kind="no_effect", operation="products.activate")
    run, (item, _) = change(account, chosen, active=True)
    assert (item.state, item.code) == ("failed", "listing.not_applied")
    assert "still shows SELLER_DEACTIVATED" in item.message


def test_a_product_is_deleted_and_recovered_on_tiktok(account: Account, market: Market) -> None:
    (listing,) = listings.standing(account, market, 1)
    status_sync.sync(account.id, [listing.id])
    _, (item,) = change(account, [listing], action="delete")
    assert (item.state, listings.fresh(listing).marketplace_state, listings.fresh(listing).failure_code) == ("done", "deleted", "listing.deleted")
    _, (item,) = change(account, [listing], action="recover")
    assert (item.state, listings.fresh(listing).marketplace_state, listings.fresh(listing).failure_code) == ("done", INACTIVE, None)


# --- status sync ----------------------------------------------------------------------------------------------------------------------------


def test_what_happened_on_tiktok_is_found_without_any_webhook(account: Account, market: Market) -> None:
    """Product rule 4: the cursor overlaps and moves only afterwards; products in every state, deleted and frozen ones too (TTS §5.3.10)."""
    chosen = listings.standing(account, market, 6)
    run = perform("products.sync_status", account.id)
    assert (run.state, run.result) == ("succeeded", {"read": 6, "changed": 6})
    assert states(chosen) == {(LIVE, "ACTIVATE")}
    first = db.session.scalar(select(Account.products_cursor_at))
    platform, frozen, gone, hidden, renamed, same = chosen
    market.post("clock", advance_seconds=120)
    market.post(f"listings/{platform.tiktok_id}", status="PLATFORM_DEACTIVATED")
    market.post(f"listings/{frozen.tiktok_id}", status="FREEZE")
    market.post(f"listings/{gone.tiktok_id}", status="DELETED")
    market.post(f"listings/{hidden.tiktok_id}", status="SELLER_DEACTIVATED")
    market.post(f"listings/{renamed.tiktok_id}", title="Changed in Seller Center")
    market.delete("calls")
    run = perform("products.sync_status", account.id)
    assert run.result == {"read": 5, "changed": 4}
    assert calls(market, "products.get") == 3, "only what changed is fetched; what is deleted or frozen cannot be"
    found = {one.id: listings.fresh(one) for one in chosen}
    assert [found[one.id].failure_code for one in chosen] == ["listing.platform_deactivated", "listing.frozen", "listing.deleted", None, None, None]
    assert [found[one.id].marketplace_state for one in chosen] == [INACTIVE, "frozen", "deleted", INACTIVE, LIVE, LIVE]
    assert "PLATFORM_DEACTIVATED" in found[platform.id].failure_message
    assert "Seller Center" in found[platform.id].failure_remedy
    assert found[renamed.id].live["title"] == "Changed in Seller Center"  # type: ignore[index]
    assert db.session.scalar(select(Account.products_cursor_at)) > first
    market.post(f"listings/{platform.tiktok_id}", status="ACTIVATE")
    status_sync.sync(account.id)
    assert listings.fresh(platform).failure_code is None
    assert same.tiktok_id


@pytest.mark.sqlite_only  # decided by what TikTok answers
def test_an_outage_leaves_marks_and_cursor_where_they_were(account: Account, market: Market) -> None:
    chosen = listings.standing(account, market, 2)
    with unit_of_work() as session:
        status_sync.mark(session, account.id, [str(one.tiktok_id) for one in chosen])
    market.post("faults", kind="server_error", operation="products.get")
    run = perform("products.sync_status", account.id)
    assert run.state == "waiting"
    assert (listings.fresh(chosen[0]).status_due, db.session.scalar(select(Account.products_cursor_at))) == (True, None)
    market.delete("faults")
    run, _ = again(run)
    assert (run.state, listings.fresh(chosen[0]).status_due, listings.fresh(chosen[1]).marketplace_state) == ("succeeded", False, LIVE)


PRODUCT_WEBHOOKS: tuple[tuple[int, dict[str, Any]], ...] = (
    (5, {"status": "PRODUCT_AUDIT_FAILURE", "suspended_reason": "claimed"}),
    (15, {"change_source": "SELLER_CENTER", "changed_fields": ["title"]}),
    (16, {"product_types": []}),
    (18, {"previous_category_id": "1", "current_category_id": "2"}),
    (37, {"audit": {"status": "FAILED", "pre_approved_reasons": []}}),
    (50, {"skus": [{"sku_id": "1", "status": "DEACTIVATED"}]}),
)


@pytest.mark.sqlite_only  # the delivery itself is tested on both databases with orders
def test_product_webhooks_only_mark_and_the_truth_is_fetched(account: Account, market: Market, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """TTS §5.8.2: product ids come as integers or as text; what a webhook claims is never believed."""
    monkeypatch.setattr(status_sync, "GATHER", timedelta(hours=1))
    *chosen, other = listings.standing(account, market, 7)
    ids = [str(one.tiktok_id) for one in chosen]
    sender = Sender(app.test_client(), market, account)
    for (kind, data), number in zip(PRODUCT_WEBHOOKS, ids, strict=True):
        raw = sender.body(kind, {"product_id": number if kind in (15, 18, 50) else int(number), **data})
        assert [sender.send(raw), sender.send(raw)] == [200, 200]
        assert sender.send(sender.body(kind, {"product_id": 1, **data})) == 200
    assert {(listings.fresh(one).status_due, listings.fresh(one).marketplace_state) for one in chosen} == {(True, "not_uploaded")}
    run = db.session.scalars(select(JobRun).where(JobRun.kind == "products.sync_status")).one()
    assert run.not_before is not None
    assert timedelta(0) < run.not_before - run.created_at <= status_sync.GATHER, "one run for the webhooks of these seconds"
    run, _ = again(run)
    assert (run.state, run.result, run.quiet) == ("succeeded", {"read": 6, "changed": 6}, True)
    assert states(chosen) == {(LIVE, "ACTIVATE")}
    assert (listings.fresh(chosen[0]).status_due, listings.fresh(other).marketplace_state) == (False, "not_uploaded")


@pytest.mark.sqlite_only  # compares text
def test_a_change_by_hand_in_seller_center_is_shown_as_drift_and_not_overwritten(account: Account, market: Market) -> None:
    """Product.md 14: the drift list. Only an upload that a person asks for sends ours again."""
    desk: Desk = listings.a_desk(account, market, ("MUG-01",))
    listing = desk.live(desk.listing())
    market.post("clock", advance_seconds=60)
    market.post(f"listings/{listing.tiktok_id}", title="Edited by hand")
    status_sync.sync(account.id)
    listing = listings.fresh(listing)
    assert [(row["field"], row["now"], row["sent"]) for row in listing.drift] == [("title", "Edited by hand", "Stoneware mug")]
    assert (listing.sent_hash == listing.content_hash, told(listing, "listing.drift")) == (True, 1)
    assert listings.on_tiktok(market.url, listing)["title"] == "Edited by hand"
    _, (item,) = desk.upload(listing)
    assert item.state == "done", item.message
    assert listings.on_tiktok(market.url, listing)["versions"]["review"]["title"] == "Stoneware mug"
    assert listings.fresh(listing).drift == []


@pytest.mark.sqlite_only  # the evaluation is tested with the stock
def test_another_quantity_on_tiktok_asks_for_an_evaluation_instead_of_being_overwritten(account: Account, market: Market) -> None:
    desk = listings.a_desk(account, market, ("MUG-01",))
    listing = desk.live(desk.listing())
    with unit_of_work() as session:
        session.get(Listing, listing.id).due_at = None  # type: ignore[union-attr]
    market.post(f"listings/{listing.tiktok_id}", stock=7)
    status_sync.sync(account.id, [listing.id])
    listing = listings.fresh(listing)
    assert (listings.skus_of(listing)["MUG-01"].live_quantity, listing.due_reason) == (7, "TikTok shows another price or quantity")
    assert listing.due_at is not None


def test_every_status_has_a_state_and_an_unknown_one_is_shown_verbatim() -> None:
    for status in [*STATES, "ON_THE_MOON", ""]:
        product = {"id": "1", "status": status, "audit": {"status": "NONE"}}
        trouble = trouble_of(product)
        assert state_of(product) == STATES.get(status, "unknown")
        assert (trouble is not None) == (status in ("FAILED", "PLATFORM_DEACTIVATED", "FREEZE", "DELETED", "ON_THE_MOON"))
        assert trouble is None or ((status in trouble.message or status == "FAILED") and trouble.remedy)
        assert (status == "ON_THE_MOON") == (trouble is not None and trouble.code == "listing.unknown_status")


@pytest.mark.sqlite_only  # decided by what TikTok answers
def test_a_long_review_is_looked_at_again_though_nothing_moved(account: Account, market: Market) -> None:
    seeded = market.post("catalogue/seed", shop="GB", products=1, bulk=True, live=False)
    product = listings.a_product(account.magento_id or 0, "BULK-000001")
    listing = listings.a_listing(account, product, tiktok_id=seeded["ids"][0])
    status_sync.sync(account.id)
    assert listings.fresh(listing).marketplace_state == "in_review"
    with unit_of_work() as session:
        row = session.get(Listing, listing.id)
        assert row is not None
        assert row.read_at is not None
        row.read_at -= timedelta(hours=1)
    before = market.get("calls")["operations"]["products.get"]["count"]
    status_sync.sync(account.id)
    assert market.get("calls")["operations"]["products.get"]["count"] == before + 1
    assert state.name_of(listings.fresh(listing)) == "BULK-000001"
