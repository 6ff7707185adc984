"""Validate, the dry run and what both stand on: drafts in bulk, problems with field and remedy, a fingerprint of all that goes out (A157, A158, A176)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from flask import Flask
from sqlalchemy import event, select

from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.domain import listing_codes as codes
from connector.domain.listing_body import live_body
from connector.domain.policies import INVENTORY, PRICING, InventoryPolicy, PricingPolicy
from connector.models.listing import INCOMPLETE, READY, Listing, ListingSku
from connector.models.product import Product
from connector.models.run import JobItem
from connector.practice.serve import PracticeServer
from connector.services import connections
from connector.services.products import diff, drafts, state, validate
from tests.factories.catalogue import a_policy, stock
from tests.factories.shop import perform
from tests.factories.validation import MAIN_FILE, TINY_FILE, Shop


@pytest.fixture
def shop(app: Flask, practice_tiktok: PracticeServer, practice_magento: PracticeServer) -> Shop:
    shop = Shop(app, "US", practice_magento.url)
    tee = shop.fetch("Men's T-shirts")["Men's T-shirts"]
    with unit_of_work():
        shop.template("tees", tee.id, shop.good_mappings(tee))
    return shop


@contextmanager
def counted() -> Iterator[list[str]]:
    seen: list[str] = []

    def note(connection: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


PAIR = ({"color": "Black", "size": "S"}, {"color": "Red", "size": "M"})


def test_every_bad_product_says_its_field_reason_and_remedy_and_its_neighbours_are_fine(shop: Shop) -> None:
    tees, tee = shop.templates["tees"], shop.categories_of("tees")
    with unit_of_work() as session:
        off = shop.template("off", tee.id, shop.good_mappings(tee), enabled=False)
        unfinished = a_policy(PRICING, PricingPolicy(change="increase_percent"))
        held = a_policy(INVENTORY, InventoryPolicy(use_threshold=True))
        incomplete = shop.template("incomplete", tee.id, shop.good_mappings(tee), pricing_policy_id=unfinished.id, inventory_policy_id=held.id)
        other = shop.template("merchant", tee.id, shop.good_mappings(tee), options={"seller_sku_attribute": "merchant_sku"})
        bad = {
            "bundle": (shop.simple("B-1", tees, type_id="bundle"), "type", "bundle"),
            "grouped": (shop.simple("B-2", tees, type_id="grouped"), "type", "grouped"),
            "gone": (shop.simple("B-3", tees, gone_at=utcnow()), "product", "not in Magento"),
            "no template": (shop.simple("B-4", tees), "template", "no listing template"),
            "disabled template": (shop.simple("B-5", off), "template", "off is disabled"),
            "pricing policy": (shop.simple("B-6", incomplete), "pricing_policy", "Amount is empty"),
            "no children": (shop.configurable("B-7", tees, ()), "skus", "without variants"),
            "disabled": (shop.simple("B-8", tees, status=2), "status", "disabled in Magento"),
            "no weight": (shop.simple("B-9", tees, weight=None), "package_weight", "weight is missing"),
            "price 0": (shop.simple("B-10", tees, price="0"), "skus[0].price", "price of 0"),
            "no label": (shop.configurable("B-11", tees, (PAIR[0], {**PAIR[1], "values": {"size": "4711"}})), "B-11-1.size", "no label"),
            "another's SKU": (shop.simple("B-12", other, values={"merchant_sku": "good-1"}), "skus[0].seller_sku", "belongs to another product"),
        }
        bad["no template"][0].template_id = None
        bad["no children"][0].product.child_ids = []
        good = [shop.simple("GOOD-1", tees), shop.configurable("GOOD-2", tees, PAIR)]
        session.flush()
    problems = validate.validate([one.id for one, _, _ in bad.values()] + [one.id for one in good])
    for name, (listing, field, words) in bad.items():
        found = [problem for problem in problems[listing.id] if not problem.warning]
        assert any(problem.field == field and words in problem.message for problem in found), (name, found)
        assert all(problem.remedy.endswith(".") for problem in found)
        row = db.session.get_one(Listing, listing.id, populate_existing=True)
        assert row.validation == INCOMPLETE and row.validated_at is not None
        assert {(each["field"], each["reason"], each["remedy"]) for each in row.problems} == {
            (each.field, each.message, each.remedy) for each in problems[listing.id]
        }
    assert any(problem.field == "inventory_policy" for problem in problems[bad["pricing policy"][0].id])
    for listing in good:
        assert problems[listing.id] == [] and db.session.get_one(Listing, listing.id, populate_existing=True).validation == READY


def test_many_are_prepared_with_as_many_queries_as_one_and_a_run_says_what_the_rows_say(shop: Shop) -> None:
    tees = shop.templates["tees"]
    with unit_of_work():
        ids = [shop.simple(f"MANY-{number:02d}", tees, **({"weight": None} if number % 10 == 0 else {})).id for number in range(40)]
        ids += [shop.configurable(f"FAM-{number}", tees, PAIR).id for number in range(10)]
    end_reading()
    with counted() as few:
        drafts.prepare(ids[-1:])
    end_reading()
    with counted() as many:
        prepared = drafts.prepare(ids)
    assert len(many) == len(few) and len(prepared) == 50, (len(few), len(many))
    end_reading()
    run = perform("products.validate", shop.account.id)
    items = {item.ref: item for item in db.session.scalars(select(JobItem).where(JobItem.run_id == run.id))}
    assert (run.total, run.done, run.failed) == (50, 46, 4)
    for listing in db.session.scalars(select(Listing)):
        item = items[str(listing.id)]
        if listing.validation == INCOMPLETE:
            assert (item.state, item.code, item.message, item.remedy) == (
                "failed",
                "listing.incomplete",
                listing.problems[0]["reason"],
                listing.problems[0]["remedy"],
            )
        else:
            assert (item.state, item.message, listing.problems) == ("done", "Ready.", [])


@pytest.mark.sqlite_only  # its statements run on both databases in the tests above
def test_pictures_are_believed_until_they_are_looked_at(shop: Shop) -> None:
    tees = shop.templates["tees"]
    with unit_of_work():
        tiny, mixed, text = shop.simple("TINY", tees, images=(TINY_FILE,)), shop.simple("MIXED", tees, images=(MAIN_FILE, TINY_FILE)), shop.simple("TEXT", tees)
        text.product.data = {
            **text.product.data,
            "values": {**text.product.data["values"], "description": '<p>A</p><img src="/media/catalog/product/g/o/gone-1.jpg">'},
        }
        ids = [tiny.id, mixed.id, text.id]
    before = drafts.prepare(ids)
    assert all(one.problems == () and one.pending for one in before.values())
    assert before[mixed.id].body is not None and before[mixed.id].body.main_images == ()  # nothing that is not there is ever sent
    assert "2 pictures are not uploaded yet" in before[mixed.id].notes[-1]
    shown = diff.preview(mixed.id)
    assert next(change.send for change in shown.changes if change.field == "main_images") == f"to be uploaded: {MAIN_FILE}, to be uploaded: {TINY_FILE}"
    run = perform("products.validate", shop.account.id, items=[(str(one), str(one)) for one in ids], args={"images": True})
    assert (run.done, run.failed) == (2, 1)
    rows = {one: db.session.get_one(Listing, one, populate_existing=True) for one in ids}
    assert [rows[one].validation for one in ids] == [INCOMPLETE, READY, READY]
    (missing, left_out) = rows[tiny.id].problems
    assert missing["code"] == codes.MAIN_IMAGE_MISSING and TINY_FILE in missing["reason"] and "80 x 80" in missing["reason"] and left_out["warning"]
    assert [(each["field"], each["warning"]) for each in rows[mixed.id].problems + rows[text.id].problems] == [("main_images", True), ("description", True)]
    after = drafts.prepare(ids)
    assert not any(one.pending for one in after.values()) and len(after[mixed.id].body.main_images) == 1  # type: ignore[union-attr]
    assert "<img" not in after[text.id].body.description  # type: ignore[union-attr]


def test_the_dry_run_shows_what_a_push_would_change_and_notices_when_that_is_no_longer_true(shop: Shop) -> None:
    tees = shop.templates["tees"]
    shop.host()
    with unit_of_work():
        listing = shop.configurable("DRY", tees, PAIR)
    listing_id = listing.id
    new = diff.preview(listing_id)
    assert new.new and not new.blocked and not new.destructive and {"title", "skus[DRY-0]", "skus[DRY-1]"} <= {change.field for change in new.changes}
    body = drafts.prepare([listing_id])[listing_id].body
    assert body is not None
    end_reading()
    client = connections.tiktok(shop.account.id)
    saved = client.create_product(body.as_dict(), idempotency_key="dry")
    with unit_of_work() as session:
        state.read(session.get_one(Listing, listing_id), client.get_product(saved.product_id), sent=body)
    shown = diff.preview(listing_id)
    assert shown.changes == () and shown.review is not None and shown.review.status == "AUDITING" and shown.fingerprint != new.fingerprint
    children = db.session.scalars(select(Product).where(Product.is_child).order_by(Product.id)).all()
    stock(children[0], 4)
    moved = diff.preview(listing_id)
    assert [(change.kind, change.now, change.send, change.destructive) for change in moved.changes] == [("stock", "10", "4", False)]
    assert moved.fingerprint == shown.fingerprint  # units are sold every minute; stock has its own way
    with unit_of_work() as session:
        children[0].price, children[0].data = 25, {**children[0].data, "values": {**children[0].data["values"], "price": "25"}}
        parent = session.get_one(Listing, listing_id).product
        parent.name, children[1].status = "Another name of the product", 2
        session.add_all([*children, parent])
    changed = diff.preview(listing_id)
    kinds = {change.field.split("]")[-1] or change.field: (change.kind, change.destructive) for change in changed.changes}
    assert kinds["title"] == ("content", False) and kinds[".price"] == ("price", False) and ("content", True) in kinds.values()
    assert [change.label for change in changed.destructive] == ["Variant DRY-1"] and all(change.why for change in changed.changes)
    assert changed.fingerprint != shown.fingerprint
    with unit_of_work() as session:
        session.get_one(Listing, listing_id).remote_status = "ACTIVATE"
    assert diff.preview(listing_id).fingerprint != changed.fingerprint


@pytest.mark.sqlite_only  # its statements run on both databases in the tests above
def test_the_content_hash_is_of_the_content_alone(shop: Shop) -> None:
    tees = shop.templates["tees"]
    with unit_of_work():
        listing = shop.simple("HASH", tees, values={"barcode": "4006381333931"})
    body = drafts.prepare([listing.id])[listing.id].shown
    assert body is not None
    (sku,) = body.skus
    same = replace(body, skus=(replace(sku, id="1729", amount="1.00", currency="USD", inventory=()),))
    assert drafts.content_hash(same) == drafts.content_hash(body) != drafts.content_hash(replace(body, title="Other"))
    validate.validate([listing.id])
    assert db.session.get_one(Listing, listing.id, populate_existing=True).content_hash == drafts.content_hash(body)
    with unit_of_work() as session:
        template = session.merge(tees)
        template.options = {**template.options, "identifier_attribute": "barcode"}
    validate.validate([listing.id])
    assert db.session.scalars(select(ListingSku.identifier)).all() == ["4006381333931"]
    assert live_body({}).skus == ()
