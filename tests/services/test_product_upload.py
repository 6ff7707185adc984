"""Upload against the practice marketplace and the practice store over real HTTP (A158, A177): one listing whatever happens, read back, in review, live."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.account import Account, ShopReference
from connector.models.listing import IN_REVIEW, LIVE, REJECTED, Listing, ListingTemplate
from connector.models.policy import Policy
from connector.models.product import Product
from connector.models.trace import Event
from connector.services.products import diff, drafts, linking, prerequisites, upload
from tests.factories import listings
from tests.factories.listings import Desk
from tests.factories.shop import Market, perform


@pytest.fixture
def desk(app: Flask, connected_account: Account, market: Market) -> Desk:
    return listings.a_desk(connected_account, market)


def test_a_product_is_created_with_its_pictures_read_back_and_live_after_the_audit(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A158: validate, pictures, create, read back, audit; the queue shows each stage (A177)."""
    listing, seen = desk.listing("TEE"), []
    from connector.jobs.context import JobContext

    told: Callable[..., None] = JobContext.stage
    monkeypatch.setattr(JobContext, "stage", lambda self, ref, words: (seen.append(words), told(self, ref, words))[1])
    run, (item,) = desk.upload(listing)
    listing = listings.fresh(listing)
    assert (run.state, item.state, item.stage) == ("succeeded", "done", ""), item.message
    assert seen == [upload.VALIDATING, upload.PICTURES, upload.CREATING, upload.READING, upload.REVIEW]
    assert "In review as " + str(listing.tiktok_id) in item.message
    assert (listing.marketplace_state, listing.remote_status, listing.audit_status) == (IN_REVIEW, "PENDING", "AUDITING")
    assert listing.sent_hash == listing.content_hash != ""
    assert (listing.upload_key, listing.drift, listing.failure_code, listing.busy_until) == ("", [], None, None)
    (there,) = desk.truth()
    assert there["external_product_id"] == f"magento:{listings.product(desk.account, 'TEE').entity_id}"
    skus = listings.skus_of(listing)
    assert {sku: row.tiktok_sku_id for sku, row in skus.items()} == {row["seller_sku"]: row["id"] for row in there["skus"]}
    assert {row.live_price for row in skus.values()} == {row.wanted_price for row in skus.values()}
    assert all(row.live_quantity == row.wanted_quantity for row in skus.values())

    listing = desk.audit(listing, "APPROVED")
    assert (listing.marketplace_state, listing.remote_status, listing.product_status, listing.audit_status) == (LIVE, "ACTIVATE", "ACTIVATE", "APPROVED")
    told_kinds = set(db.session.scalars(select(Event.kind).where(Event.subject_type == "listing", Event.subject_id == str(listing.id))))
    assert {"listing.created", "listing.in_review", "listing.live"} <= told_kinds


@pytest.mark.sqlite_only  # the audit's words are text on every database
def test_a_product_that_the_audit_rejects_says_why_and_is_corrected_by_another_upload(desk: Desk) -> None:
    """TikTok's words verbatim, what to do beside them; the edit goes to a new audit (A175)."""
    listings.rename(listing := desk.listing(), "Counterfeit mug")
    desk.upload(listing)
    listing = desk.audit(listings.fresh(listing), "FAILED", position="title", reasons=["Restricted word"], suggestions=["Describe the article"])
    assert (listing.marketplace_state, listing.failure_code) == (REJECTED, "listing.rejected")
    assert "title: Restricted word" in listing.failure_message
    assert "Describe the article" in listing.failure_remedy
    assert listing.audit_reasons[0]["reasons"] == ["Restricted word"]

    listings.rename(listing, "Stoneware mug with a lid")
    _, (item,) = desk.upload(listing)
    listing = listings.fresh(listing)
    assert item.state == "done", item.message
    assert (listing.marketplace_state, listing.failure_code) == (IN_REVIEW, None)
    assert len(desk.truth()) == 1
    assert desk.audit(listing, "APPROVED").marketplace_state == LIVE


def test_an_edit_of_a_live_product_is_reviewed_beside_the_live_version_and_price_and_stock_stay(desk: Desk) -> None:
    """TTS §5.3.12: full body with SKU ids; a live product keeps its old version until the audit passes."""
    listing = desk.live(desk.listing("TEE"))
    before = {row["id"]: (row["price"], row["available"]) for row in desk.truth()[0]["skus"]}
    listings.rename(listing, "Plain tee in three colours")
    _, (item,) = desk.upload(listing)
    listing = listings.fresh(listing)
    assert item.message.startswith("Edited; in review, the version before it stays live meanwhile")
    assert (listing.marketplace_state, listing.audit_status, listing.drift) == (LIVE, "AUDITING", [])
    there = listings.on_tiktok(desk.market.url, listing)
    assert (there["title"], there["versions"]["review"]["title"]) == ("Plain tee", "Plain tee in three colours")
    assert {row["id"]: (row["price"], row["available"]) for row in there["skus"]} == before

    assert desk.audit(listing, "FAILED", reasons=["Not like this"]).failure_code == "listing.edit_rejected"
    assert listings.fresh(listing).marketplace_state == LIVE
    desk.upload(listing)
    assert desk.audit(listings.fresh(listing), "APPROVED").failure_code is None
    assert listings.on_tiktok(desk.market.url, listing)["title"] == "Plain tee in three colours"


def test_nothing_is_sent_when_nothing_differs(desk: Desk) -> None:
    listing = desk.live(desk.listing())
    _, (item,) = desk.upload(listing)
    assert item.message.startswith("Nothing to send")
    assert desk.calls("products.edit") == 0


@pytest.mark.parametrize("kind", ["lost_answer", "malformed_json", "gateway_timeout"])
@pytest.mark.sqlite_only  # the same rows on every database; the crash below runs on both
def test_a_lost_answer_to_create_makes_one_listing(desk: Desk, kind: str) -> None:
    """TTS §3.6: key and body are stored before the call; the product is looked up before anything is repeated."""
    listing = desk.listing()
    desk.market.post("faults", kind=kind, operation="products.create", times=1)
    run, (item,) = desk.upload(listing)
    assert (run.state, item.state, item.attempts) == ("waiting", "open", 1)
    assert item.retry_at is not None
    assert listings.fresh(listing).upload_key
    run, (item,) = desk.again(run)
    listing = listings.fresh(listing)
    assert (run.state, item.state) == ("succeeded", "done"), item.message
    assert [one["id"] for one in desk.truth()] == [listing.tiktok_id]
    assert (listing.upload_key, listing.sent_hash) == ("", listing.content_hash)
    assert desk.calls("products.create") == 1


def test_a_worker_that_died_around_create_leaves_one_listing(desk: Desk) -> None:
    """Died after the call: found by its seller SKU. Died before it: the same body goes out with the same key."""
    client = upload.connections.tiktok(desk.account.id)
    after, before = desk.listing("MUG-01"), desk.listing("LAMP-01")
    for listing, sent in ((after, True), (before, False)):
        upload.images.host(desk.account, desk.account.magento_id, drafts.prepare([listing.id])[listing.id].needed_files)
        body = drafts.prepare([listing.id])[listing.id].body
        assert body is not None
        db.session.commit()
        with unit_of_work() as session:
            row = session.get(Listing, listing.id)
            assert row is not None
            row.upload_key, row.upload_body, row.busy_until = f"key-{listing.id}", body.as_dict(), utcnow() - timedelta(seconds=1)
        if sent:
            client.create_product(body.as_dict(), idempotency_key=f"key-{listing.id}")
    _, items = desk.upload(after, before)
    assert [item.state for item in items] == ["done", "done"], [item.message for item in items]
    assert sorted(sku["seller_sku"] for one in desk.truth() for sku in one["skus"]) == ["LAMP-01", "MUG-01"]
    assert {listings.fresh(after).marketplace_state, listings.fresh(before).marketplace_state} == {IN_REVIEW}


def test_two_workers_never_send_one_product_at_once(desk: Desk) -> None:
    listing = desk.listing()
    with unit_of_work() as session:
        session.get(Listing, listing.id).busy_until = utcnow() + timedelta(seconds=30)  # type: ignore[union-attr]
    run, (item,) = desk.upload(listing)
    assert (run.state, item.state, item.code) == ("waiting", "open", "listing.busy")
    assert desk.truth() == []


@pytest.mark.sqlite_only  # decided by what TikTok answers
def test_a_foreign_product_with_the_same_seller_sku_is_named_instead_of_doubled(desk: Desk) -> None:
    desk.market.post("settings", unique_seller_sku=False)
    try:
        desk.market.post("catalogue/seed", shop="GB", products=19)
        count = len(desk.truth())
        _, (item,) = desk.upload(desk.listing())
        assert (item.state, item.code) == ("failed", "listing.sku_on_tiktok")
        assert "MUG-01" in item.message
        assert "Product Linking" in item.remedy
        assert len(desk.truth()) == count
    finally:
        desk.market.post("settings", unique_seller_sku=True)


@pytest.mark.sqlite_only  # the read-back compares text
def test_an_accepted_edit_that_does_nothing_is_found_by_the_read_back(desk: Desk) -> None:
    """Product.md 14 "verified, not just sent": tried once more, then parked with what differs."""
    listing = desk.live(desk.listing())
    listings.rename(listing, "Stoneware mug, second edition")
    desk.market.post("faults", kind="no_effect", operation="products.edit", times=1)
    _, (item,) = desk.upload(listing)
    assert item.state == "done", item.message
    assert desk.calls("products.edit") == 2

    listings.rename(listing, "Stoneware mug, third edition")
    desk.market.post(f"listings/{listing.tiktok_id}", audit="APPROVED")
    desk.market.post("faults", kind="no_effect", operation="products.edit")
    _, (item,) = desk.upload(listing)
    listing = listings.fresh(listing)
    assert (item.state, item.code) == ("failed", "listing.not_applied")
    assert [(row["field"], row["now"], row["sent"]) for row in listing.drift] == [("title", "Stoneware mug, second edition", "Stoneware mug, third edition")]
    assert (listing.failure_code, listing.sent_hash) == ("listing.not_applied", "")

    desk.market.delete("faults")
    desk.upload(listing)
    assert (listings.fresh(listing).failure_code, listings.fresh(listing).drift) == (None, [])


@pytest.mark.sqlite_only  # decided by what TikTok answers
def test_an_accepted_create_that_does_nothing_is_sent_again_with_the_same_key(desk: Desk) -> None:
    listing = desk.listing()
    desk.market.post("faults", kind="no_effect", operation="products.create", times=1)
    _, (item,) = desk.upload(listing)
    assert item.state == "done", item.message
    assert (len(desk.truth()), desk.calls("products.create")) == (1, 2)


def test_what_changed_since_the_preview_is_refused(desk: Desk) -> None:
    """Product.md 14: the dry run's fingerprint is checked again."""
    listing = desk.live(desk.listing())
    listings.rename(listing, "Mug as previewed")
    seen = diff.preview(listing.id).fingerprint
    listings.rename(listing, "Mug as changed since")
    _, (item,) = desk.upload(listing, seen={str(listing.id): seen})
    assert (item.state, item.code) == ("failed", "listing.changed_since")
    assert desk.calls("products.edit") == 0
    _, (item,) = desk.upload(listing, seen={str(listing.id): diff.preview(listing.id).fingerprint})
    assert item.state == "done", item.message


@pytest.mark.sqlite_only  # decided by what TikTok answers
def test_a_product_in_its_audit_waits_without_using_up_attempts(desk: Desk) -> None:
    listing = desk.listing()
    desk.upload(listing)
    listings.rename(listing, "Stoneware mug for tea")
    run, (item,) = desk.upload(listing)
    assert (run.state, item.state, item.code, item.attempts) == ("waiting", "open", "listing.in_audit", 0)
    assert "PENDING" in run.wait_reason
    assert item.retry_at is not None
    desk.market.post(f"listings/{listings.fresh(listing).tiktok_id}", audit="APPROVED")
    run, (item,) = desk.again(run)
    assert (run.state, item.state) == ("succeeded", "done")
    assert listings.on_tiktok(desk.market.url, listings.fresh(listing))["versions"]["review"]["title"] == "Stoneware mug for tea"


@pytest.mark.sqlite_only  # decided before anything is stored
def test_a_disabled_template_a_missing_one_and_an_unready_product_are_refused_with_a_remedy(desk: Desk) -> None:
    listing, bare = desk.listing("MUG-01"), listings.ready(desk.account, None, "LAMP-01")
    listings.rename(unready := desk.listing("CAP-01"), "")
    with unit_of_work() as session:
        session.get(ListingTemplate, desk.template.id).enabled = False  # type: ignore[union-attr]
    _, items = desk.upload(listing, bare)
    assert [item.code for item in items] == ["listing.template_disabled", "listing.no_template"]
    assert "Bags" in items[0].message
    with unit_of_work() as session:
        session.get(ListingTemplate, desk.template.id).enabled = True  # type: ignore[union-attr]
    _, (item,) = desk.upload(unready)
    assert (item.code, bool(item.remedy)) == ("listing.not_ready", True)
    assert listings.fresh(unready).validation == "incomplete"
    assert (listings.fresh(unready).failure_code, desk.truth()) == ("listing.not_ready", [])
    with unit_of_work() as session:
        session.get(Account, desk.account.id).active = False  # type: ignore[union-attr]
    with pytest.raises(DomainError, match="disabled"):
        upload.upload_one(listing.id)


@pytest.mark.sqlite_only  # decided by what TikTok answers
def test_a_shop_that_may_not_list_makes_new_products_wait_and_is_shown(desk: Desk) -> None:
    """A177: the prerequisites panel; TTS §5.3.1. Nothing is tried while the shop's own check has failed."""
    listing = desk.listing()
    desk.market.post("shops/GB/prerequisites", SHOP_STATUS=["Complete the verification"], CONTACT_INFO=["No telephone"])
    try:
        run, (item,) = desk.upload(listing)
        assert (run.state, item.state, item.code, item.attempts) == ("waiting", "open", "tts.product.shop_setup", 0)
        assert "Complete the verification" in item.message
        assert desk.calls("products.create") == 0
        shown = {row.remote_id: row.data for row in db.session.scalars(select(ShopReference).where(ShopReference.kind == prerequisites.KIND))}
        assert shown["CONTACT_INFO"] == {"is_failed": True, "fail_reasons": ["No telephone"]}
    finally:
        desk.market.post("shops/GB/prerequisites")
    run, (item,) = desk.again(run)
    assert (run.state, item.state) == ("succeeded", "done")


@pytest.mark.sqlite_only  # decided by what TikTok answers
def test_the_daily_limit_stops_new_products_but_not_edits(desk: Desk) -> None:
    live = desk.live(desk.listing("MUG-01"))
    listings.rename(live, "Mug of the day")
    desk.market.post("faults", kind="refusal", operation="products.create", code=12052093, message="daily listing limit reached")
    run, items = desk.upload(desk.listing("LAMP-01"), desk.listing("CAP-01"), live)
    assert [(item.state, item.code) for item in items] == [("open", "tts.product.listing_limit"), ("open", "tts.product.listing_limit"), ("done", None)]
    assert "daily listing limit reached" in items[0].message
    assert run.state == "waiting"
    desk.market.delete("faults")
    _, items = desk.again(run)
    assert {item.state for item in items} == {"done"}


@pytest.mark.parametrize(("fault", "code"), [({"kind": "server_error"}, "net.uncertain"), ({"kind": "rate_limit", "retry_after": 1}, "tts.rate_limited")])
@pytest.mark.sqlite_only  # decided by what TikTok answers
def test_outages_and_rate_limits_wait_and_go_on(desk: Desk, fault: dict[str, Any], code: str) -> None:
    listing = desk.listing()
    desk.market.post("faults", operation="products.create", **fault)
    run, (item,) = desk.upload(listing)
    assert (run.state, item.state) == ("waiting", "open")
    assert item.code in (code, "tts.internal")
    desk.market.delete("faults")
    run, (item,) = desk.again(run)
    assert (run.state, item.state, len(desk.truth())) == ("succeeded", "done", 1)


@pytest.mark.sqlite_only  # decided by what TikTok answers
def test_a_refusal_is_parked_with_tiktoks_words_and_the_next_try_has_a_key_of_its_own(desk: Desk) -> None:
    listing = desk.listing()
    desk.market.post("settings", wrap_product_errors=True)
    desk.market.post("audit", reject_words=["nothing"])
    desk.market.post("faults", kind="refusal", operation="products.create", code=12052571, message="price too high for this market", times=1)
    _, (item,) = desk.upload(listing)
    listing = listings.fresh(listing)
    assert (item.state, item.code) == ("failed", "tts.product.price")
    assert "price too high for this market (12052571)" in item.message
    assert (listing.failure_message, listing.upload_key) == (item.message, "")
    _, (item,) = desk.upload(listing)
    assert item.state == "done", item.message
    assert listings.fresh(listing).failure_code is None


@pytest.mark.sqlite_only  # the choice of fields needs no second database
def test_send_only_edits_the_chosen_attributes_and_leaves_the_rest_as_tiktok_has_it(desk: Desk) -> None:
    listing = desk.live(desk.listing())
    with unit_of_work() as session:
        policy = session.scalar(select(Policy).where(Policy.kind == "synchronization", Policy.is_default))
        assert policy is not None
        policy.body = {**policy.body, "send_only": ["description"]}
        product = session.get(Product, listing.product_id)
        assert product is not None
        product.name = "A name that stays at home"
        product.data = {**product.data, "values": {**product.data["values"], "description": "<p>A new description.</p>"}}
    _, (item,) = desk.upload(listing)
    assert item.state == "done", item.message
    review = listings.on_tiktok(desk.market.url, listings.fresh(listing))["versions"]["review"]
    assert (review["title"], review["description"]) == ("Stoneware mug", "<p>A new description.</p>")
    assert (desk.calls("products.partial_edit"), desk.calls("products.edit")) == (1, 0)
    assert listings.fresh(listing).drift == []
    desk.market.post(f"listings/{listing.tiktok_id}", audit="APPROVED")
    _, (item,) = desk.upload(listing)
    assert item.message.startswith("Nothing to send")


@pytest.mark.sqlite_only  # the stored key is what counts
def test_an_uncertain_create_keeps_its_key_and_body_for_the_repeat(desk: Desk) -> None:
    """Changed in Magento meanwhile: the repeat sends what was sent, and an update is due afterwards."""
    listing = desk.listing()
    desk.market.post("faults", kind="timeout_before", operation="products.create", seconds=0, times=1)
    run, _ = desk.upload(listing)
    key = listings.fresh(listing).upload_key
    assert key
    listings.rename(listing, "Changed while the answer was lost")
    desk.again(run)
    listing = listings.fresh(listing)
    assert desk.truth()[0]["title"] == "Stoneware mug"
    assert listing.sent_hash
    upload.validate.validate([listing.id])
    assert listings.fresh(listing).content_hash != listing.sent_hash


@pytest.mark.sqlite_only  # decided by what TikTok shows
def test_variants_that_only_tiktok_has_are_not_deleted_unseen(desk: Desk) -> None:
    """A178, TTS §5.3.12: a linked product's first edit leaves out what Magento lacks; a person has to see that in the preview."""
    desk.market.post("catalogue/seed", shop="GB", products=1)
    perform("products.read_listings", desk.account.id)
    listing = desk.listing("TEE")
    row = listings.rows_of(desk.account)["TEE-BLA-S"]
    linking.link(desk.account.id, row.id, listing.product_id)
    _, (item,) = desk.upload(listing)
    assert (item.state, item.code) == ("failed", "listing.would_delete")
    assert "TEE-WHI-XL" in item.message
    preview = diff.preview(listing.id)
    assert len(preview.destructive) >= 9
    _, (item,) = desk.upload(listing, seen={str(listing.id): preview.fingerprint})
    assert item.state == "done", item.message
    review = listings.on_tiktok(desk.market.url, listings.fresh(listing))["versions"]["review"]
    assert sorted(sku["seller_sku"] for sku in review["skus"]) == ["TEE-BLA-M", "TEE-BLA-S", "TEE-RED-S"]
