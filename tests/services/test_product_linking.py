"""Product Linking (A178): TikTok's products become listings of Magento products by seller SKU, by hand and by file; conflicts are named, nothing is sent."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.account import Account
from connector.models.listing import LIVE, NOT_UPLOADED, Listing, TikTokProduct
from connector.models.run import JobItem, JobRun
from connector.services.products import link_file, linking
from tests.factories import listings
from tests.factories.catalogue import a_configurable, a_listing, a_product, a_template
from tests.factories.listings import rows_of
from tests.factories.shop import Market, carry_out, perform

WRITES = ("create", "edit", "partial_edit", "activate", "deactivate", "delete")


@pytest.fixture
def account(app: Flask, connected_account: Account) -> Account:
    return connected_account


def magento(account: Account) -> int:
    assert account.magento_id is not None
    return account.magento_id


def seed(account: Account, market: Market) -> None:
    """The marketplace's demonstration catalogue, and in Magento: one of its mugs, a lamp in another case, three of the tee's twelve variants."""
    market.post("catalogue/seed", shop="GB", products=19)
    a_product(magento(account), "MUG-01")
    a_product(magento(account), "lamp-01")
    colours = [
        {"sku": f"TEE-{short}-{size}", "color": colour, "size": size}
        for short, colour in (("BLA", "Black"), ("WHI", "White"), ("RED", "Red"))
        for size in ("S", "M", "L", "XL")
    ]
    a_configurable(magento(account), "TEE", colours)
    a_configurable(magento(account), "HOOD", [{"sku": "HOOD-BLA-S", "color": "Black", "size": "S"}, {"sku": "HOOD-BLA-M", "color": "Black", "size": "M"}])


def outcome(run: JobRun) -> list[JobItem]:
    return list(db.session.scalars(select(JobItem).where(JobItem.run_id == run.id).order_by(JobItem.id).execution_options(populate_existing=True)))


def link(account: Account, row: TikTokProduct, product_id: int | None = None) -> JobItem:
    submitted = linking.submit(account.id, [(row.id, product_id)], started_by="tests")
    (item,) = outcome(carry_out(submitted.run_id))
    return item


def sent(market: Market) -> int:
    operations = market.get("calls")["operations"]
    names = [f"products.{name}" for name in WRITES] + ["inventory.update", "prices.update"]
    return sum(operations.get(name, {}).get("count", 0) for name in names)


def test_products_are_read_with_suggestions_and_all_sure_ones_are_linked_without_sending_anything(account: Account, market: Market) -> None:
    """Initiate Import and Assign Products: exact, in another case, in part; the variants of one configurable belong together."""
    seed(account, market)
    run = perform("products.read_listings", account.id)
    rows = rows_of(account)
    assert (run.state, run.result) == ("succeeded", {"products": 19, "linked": 0, "suggested": 3})
    assert {sku: rows[sku].suggestion for sku in ("MUG-01", "LAMP-01", "TEE-BLA-S", "HOOD-BLA-S", "CAP-01")} == {
        "MUG-01": "exact", "LAMP-01": "case", "TEE-BLA-S": "exact", "HOOD-BLA-S": "partial", "CAP-01": "",
    }  # fmt: skip
    assert "CAP-01" in rows["CAP-01"].problem
    market.delete("calls")
    run = carry_out(linking.submit_suggested(account.id, started_by="tests").run_id)
    assert (run.state, run.done) == ("succeeded", 3)
    tee = db.session.scalars(select(Listing).where(Listing.tiktok_id == rows["TEE-BLA-S"].tiktok_id)).one()
    skus = listings.skus_of(tee)
    assert (len(skus), all(row.tiktok_sku_id and row.live_price and row.live_quantity for row in skus.values())) == (12, True)
    assert (tee.marketplace_state, tee.assigned_by, tee.template_id, tee.product.sku, tee.due_reason) == (LIVE, "link", None, "TEE", "Linked to TikTok Shop")
    assert rows_of(account)["TEE-BLA-S"].listing_id == tee.id
    assert sent(market) == 0
    with pytest.raises(DomainError, match="No TikTok product has a sure suggestion"):
        linking.submit_suggested(account.id, started_by="tests")
    run = perform("products.read_listings", account.id)
    assert run.result == {"products": 19, "linked": 3, "suggested": 0}


def test_linking_by_hand_explains_every_conflict_and_unlinking_makes_room(account: Account, market: Market) -> None:
    seed(account, market)
    perform("products.read_listings", account.id)
    rows = rows_of(account)
    mug, lamp = listings.product(account, "MUG-01"), listings.product(account, "lamp-01")
    assert link(account, rows["CAP-01"]).code == "link.no_suggestion"
    assert link(account, rows["CAP-01"], mug.id).state == "done", "one product and one SKU: a person may say so whatever the SKUs are"
    taken = link(account, rows["MUG-01"])
    assert (taken.code, rows["CAP-01"].tiktok_id in taken.message, taken.remedy) == (
        "link.product_taken", True, "Unlink that one first: a Magento product has one listing in an account.",
    )  # fmt: skip
    assert link(account, rows["CAP-01"], lamp.id).code == "link.taken"
    nothing = link(account, rows["TEE-BLA-S"], lamp.id)
    assert (nothing.code, "TEE-BLA-S" in nothing.message) == ("link.no_sku_fits", True)
    assert link(account, rows["TEE-BLA-S"], 999_999).code == "link.product"
    market.post(f"listings/{rows['LAMP-01'].tiktok_id}", status="DELETED")
    assert link(account, rows["LAMP-01"]).code == "link.gone"

    listing = db.session.scalars(select(Listing).where(Listing.product_id == mug.id)).one()
    assert "stays as it is on TikTok Shop" in linking.unlink(listing.id, actor="tests")
    assert db.session.scalar(select(func.count()).select_from(Listing).where(Listing.product_id == mug.id)) == 0
    assert (link(account, rows["MUG-01"]).state, rows_of(account)["CAP-01"].listing_id) == ("done", None)
    hood = link(account, rows["HOOD-BLA-S"])
    assert (hood.state, "are not in Magento: HOOD-BLA-L" in hood.message) == ("done", True)


@pytest.mark.sqlite_only  # the same rows on every database
def test_a_listing_that_waits_in_a_template_keeps_it_and_survives_unlinking(account: Account, market: Market) -> None:
    market.post("catalogue/seed", shop="GB", products=19)
    template, mug = a_template(account), a_product(magento(account), "MUG-01")
    listing = a_listing(account, mug, template)
    perform("products.read_listings", account.id)
    assert link(account, rows_of(account)["MUG-01"]).state == "done"
    listing = listings.fresh(listing)
    assert (listing.template_id, listing.assigned_by, listing.marketplace_state) == (template.id, "query", LIVE)
    linking.unlink(listing.id, actor="tests")
    listing = listings.fresh(listing)
    assert (listing.tiktok_id, listing.marketplace_state, listing.live, listings.skus_of(listing)["MUG-01"].tiktok_sku_id) == (None, NOT_UPLOADED, None, "")
    with pytest.raises(DomainError, match="not linked"):
        linking.unlink(listing.id, actor="tests")


@pytest.mark.sqlite_only  # pure matching
def test_ambiguous_suggestions_are_explained_and_not_linked_by_themselves(account: Account, market: Market) -> None:
    market.post("catalogue/seed", shop="GB", products=2)
    a_product(magento(account), "TEE-BLA-S")
    a_product(magento(account), "TEE-BLA-M")
    perform("products.read_listings", account.id)
    row = rows_of(account)["TEE-BLA-S"]
    assert (row.suggested_product_id, row.suggestion) == (None, "")
    assert "different Magento products" in row.problem
    linking.suggest_again(account.id)
    assert rows_of(account)["TEE-BLA-S"].problem == row.problem


@pytest.mark.sqlite_only  # decided by what TikTok answers
def test_reading_goes_on_after_an_outage_halves_searches_that_are_too_wide_and_forgets_what_is_gone(account: Account, market: Market) -> None:
    """TTS §5.3.11: 12052180 above the ceiling."""
    for first in (1, 6, 11):
        market.post("catalogue/seed", shop="GB", products=5, bulk=True, first=first)
        market.post("clock", advance_seconds=3600)
    market.post("settings", search_ceiling=6, search_refuses_wide_windows=True)
    try:
        with unit_of_work() as session:
            session.add(TikTokProduct(account_id=account.id, tiktok_id="17290", title="Gone", seller_skus="GONE", sweep=0))
        market.post("faults", kind="server_error", operation="products.search", times=4)
        run = perform("products.read_listings", account.id)
        assert run.state in ("waiting", "succeeded")
        market.delete("faults")
        with unit_of_work() as session:
            session.get(JobRun, run.id).not_before = None  # type: ignore[union-attr]
        run = carry_out(run.id)
        assert (run.state, run.result["products"]) == ("succeeded", 15)
        assert "GONE" not in rows_of(account)
    finally:
        market.post("settings", search_ceiling=10000, search_refuses_wide_windows=False)


# --- by file --------------------------------------------------------------------------------------------------------------------------------


def test_a_file_links_what_it_can_and_says_of_every_other_line_why_not(account: Account, market: Market) -> None:
    """A178: CSV bulk mapping; Excel's habits; every line is judged, none is lost."""
    seed(account, market)
    a_product(magento(account), "MY-CAP")
    a_product(magento(account), "MY-PEN")
    perform("products.read_listings", account.id)
    rows = rows_of(account)
    text = f"""sep=;
Seller SKU;TikTok Product ID;Magento SKU
cap-01;;MY-CAP
;="{rows["PEN-01"].tiktok_id}";my-pen
TEE-BLA-S;;TEE-BLA-S
TEE-BLA-M;;TEE-BLA-M
TEE-BLA-L;;MUG-01
NO-SUCH;;MUG-01
;1.7E+18;MUG-01
SOAP-01;;NOT-IN-MAGENTO
SOAP-01;;
;;MUG-01
BELT-01;;MY-CAP
MUG-01;{rows["PEN-01"].tiktok_id};MUG-01
"""
    parsed = link_file.read(text.encode("utf-16"), account.id)
    assert [line.number for line in parsed.accepted] == [3, 4, 5, 6]
    reasons = {line.number: line.problem for line in parsed.refused}
    for number, words in {
        7: "Line 5 links TikTok product", 8: "had no product with the seller SKU NO-SUCH", 9: "Excel has rounded", 10: "Magento has no product with the SKU NOT-IN-MAGENTO",
        11: "The Magento SKU is empty", 12: "Neither a TikTok product id nor a seller SKU", 13: "a Magento product has one listing", 14: "has no seller SKU MUG-01",
    }.items():  # fmt: skip
        assert words in reasons[number]
    run = carry_out(link_file.submit(parsed, started_by="tests").run_id)
    assert (run.state, run.done) == ("succeeded", 3), [item.message for item in outcome(run)]
    by_product: dict[str, Any] = {one.product.sku: one for one in db.session.scalars(select(Listing).where(Listing.tiktok_id.is_not(None)))}
    assert by_product["MY-CAP"].tiktok_id == rows["CAP-01"].tiktok_id
    assert by_product["MY-PEN"].tiktok_id == rows["PEN-01"].tiktok_id
    assert listings.skus_of(by_product["MY-CAP"])["MY-CAP"].tiktok_sku_id == rows["CAP-01"].data["skus"][0]["id"]
    again = link_file.read(b"seller_sku,magento_sku\nMUG-01,MY-CAP\nCAP-01,MUG-01", account.id)
    assert ["is linked to the TikTok product" in again.lines[0].problem, "linked to another Magento product" in again.lines[1].problem] == [True, True]
    with pytest.raises(DomainError, match="No line of the file can be linked"):
        link_file.submit(again, started_by="tests")


@pytest.mark.sqlite_only  # refused before anything is looked up
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b"PK\x03\x04", "Excel workbook"),
        (b"a,b\n1,2", "no column for magento_sku"),
        (b"sku,b\n1,2", "no column for tiktok_product_id or seller_sku"),
        (b"seller_sku,magento_sku\n", "no line below"),
        (b"seller_sku,magento_sku\nA,B", "No products were read"),
    ],
)
def test_a_file_of_another_shape_is_refused_whole(account: Account, data: bytes, words: str) -> None:
    with pytest.raises(DomainError, match=words) as refused:
        link_file.read(data, account.id)
    assert (refused.value.field, bool(refused.value.remedy)) == ("file", True)
