"""Prices that Magento changes without moving ``updated_at`` (MAG §4.2.3, §4.2.4), against the practice store over real HTTP."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.models.account import SANDBOX, Account, MagentoConnection
from connector.models.listing import Listing
from connector.models.product import Product, ProductCursor, ProductView
from connector.models.run import JobRun, Schedule
from connector.practice.serve import PracticeServer
from connector.services import policies, runs
from connector.services.accounts.editing import Choice, create
from connector.services.accounts.practice import use_practice_store
from connector.services.products import catalogue, price_reading
from tests.factories.catalogue import a_listing
from tests.factories.shop import carry_out
from tests.services.test_product_import import GB, Shop, product

pytestmark = pytest.mark.sqlite_only  # one store view read; rows are plain

BASE, SPECIAL = "POST /V1/products/base-prices-information", "POST /V1/products/special-price-information"


@pytest.fixture
def shop(app: Flask, practice_magento: PracticeServer) -> Shop:
    return Shop(practice_magento.url)


@pytest.fixture
def store(shop: Shop) -> MagentoConnection:
    return use_practice_store(actor="tests")


@pytest.fixture
def account(store: MagentoConnection) -> Account:
    policies.seed(actor="tests")
    account = create(Choice(title="GB", country="GB", environment=SANDBOX, store_view=GB, magento_id=store.id), actor="tests")
    catalogue.import_products(store.id)
    return account


def calls(shop: Shop) -> dict[str, int]:
    """By route, and forgotten."""
    found = shop.calls()
    shop.forget_calls()
    return found


def settled(listing: Listing) -> None:
    with unit_of_work():
        row = db.session.get(Listing, listing.id, populate_existing=True)
        assert row is not None
        row.due_at, row.due_reason = None, ""


def due_reason(listing: Listing) -> str:
    reason = db.session.scalar(select(Listing.due_reason).where(Listing.id == listing.id, Listing.due_at.is_not(None)))
    db.session.commit()
    return reason or ""


def test_prices_that_left_no_trace_are_found_with_two_calls_and_only_those_products_are_read_again(
    shop: Shop, store: MagentoConnection, account: Account
) -> None:
    tee = a_listing(account, product("TEE"), children=[product("TEE-BLA-S")])
    sale, mug, pen = (a_listing(account, product(sku)) for sku in ("SALE-01", "MUG-01", "PEN-01"))
    for listing in (tee, sale, mug, pen):
        settled(listing)
    shop.forget_calls()
    assert vars(price_reading.read_prices(store.id)) == {"read": 38, "changed": 0, "parked": 0}
    assert calls(shop) == {BASE: 1, SPECIAL: 1}

    shop.rest("POST", "products/base-prices", {"prices": [{"sku": "TEE-BLA-S", "price": "21.5", "store_id": 0}, {"sku": "MUG-01", "price": 9, "store_id": 0}]})
    shop.rest("POST", "products/special-price", {"prices": [{"sku": "SALE-01", "price": "3.25", "store_id": 0, "price_from": "2026-01-01 00:00:00"}]})
    with unit_of_work():
        for cursor in db.session.scalars(select(ProductCursor)):
            cursor.updated_after = utcnow() + timedelta(hours=1)  # as if the last import lay beyond its overlap
    assert catalogue.import_products(store.id).seen == 0, "an import of what changed cannot see them"
    shop.forget_calls()
    found = price_reading.read_prices(store.id)
    assert (found.read, found.changed, found.parked) == (38, 3, 0)
    assert calls(shop) == {BASE: 1, SPECIAL: 1, "GET /V1/products": 2}, "the three products in scope all, and as the account's store view has them"
    assert (product("TEE-BLA-S").price, product("MUG-01").price) == (Decimal("21.5"), Decimal(9))
    values = product("SALE-01").data["values"]
    assert (Decimal(values["special_price"]), values["special_from_date"]) == (Decimal("3.25"), "2026-01-01 00:00:00")
    assert {due_reason(tee), due_reason(mug)} == {"Magento: price changed"}
    assert "special_price" in due_reason(sale)
    assert due_reason(pen) == ""

    assert price_reading.read_prices(store.id).changed == 0, "what was found once is known"
    assert catalogue.import_products(store.id, full=True).changed == 0, "and stands as the import would have it"


@pytest.mark.sqlite_only  # compares answers; the rows are written by the import, which is tested on both
def test_a_price_of_a_store_view_and_one_that_was_taken_away_count_as_changes(shop: Shop, store: MagentoConnection, account: Account) -> None:
    """A row for each scope that has a value (MAG §4.2.4); the practice store keeps one price for all."""
    with unit_of_work() as session:
        session.add(ProductView(product_id=product("PEN-01").id, store_view=GB, data={"price": "4.0000", "values": {"special_price": "3.500000"}}))
    known = {item.sku: item for group in price_reading._groups(store.id, 0) for item in group.items}
    view = next(number for number in known["PEN-01"].scopes if number)
    pen, price = product("PEN-01"), product("PEN-01").price

    def differs(*rows: dict[str, Any], special: list[dict[str, Any]] | None = None) -> bool:
        given = [{"sku": "PEN-01", "store_id": view, "price": 3.5, "price_from": None, "price_to": None}] if special is None else special
        return price_reading.differing([known["PEN-01"]], rows, given) == [pen.entity_id]

    everywhere, there = {"sku": "PEN-01", "store_id": 0, "price": float(price or 0)}, {"sku": "PEN-01", "store_id": view, "price": 4}
    assert not differs(everywhere, there)
    assert differs(everywhere)
    assert differs(everywhere, {**there, "price": 4.01})
    assert differs(everywhere, there, special=[])
    assert differs(everywhere, there, special=[{"sku": "PEN-01", "store_id": view, "price": 3.5, "price_from": "2026-01-01 00:00:00", "price_to": None}])
    assert not differs(there), "a product that Magento does not name is the import's business"


def test_the_run_tells_the_counts_goes_on_where_it_stood_and_is_scheduled_hourly(
    shop: Shop, store: MagentoConnection, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(price_reading, "GROUP", 10)
    shop.rest("POST", "products/base-prices", {"prices": [{"sku": "STAND-01", "price": 77, "store_id": 0}]})
    shop.forget_calls()
    asked: list[int] = []
    compare = price_reading._changed

    def dies(*arguments: Any) -> list[int]:
        """Stopped between two groups, as a worker that is killed."""
        asked.append(1)
        if len(asked) == 3:
            raise KeyboardInterrupt
        return compare(*arguments)

    monkeypatch.setattr(price_reading, "_changed", dies)
    run_id = runs.submit("products.import_prices", account_id=account.id).run_id
    with pytest.raises(KeyboardInterrupt):
        carry_out(run_id)
    with unit_of_work() as session:
        row = session.get(JobRun, run_id, populate_existing=True)
        assert row is not None
        assert row.checkpoint["prices"]["found"]["read"] == 20
        row.state, row.lease_until = "queued", None
    run: JobRun = carry_out(run_id)
    assert (run.state, run.message) == ("succeeded", "Prices of 38 products read, 1 changed.")
    assert calls(shop)[BASE] == 4, "two groups before, two after"
    assert db.session.scalar(select(Product.price).where(Product.sku == "STAND-01")) == Decimal(77)
    assert db.session.scalar(select(Schedule.interval_seconds).where(Schedule.kind == "products.import_prices", Schedule.account_id == account.id)) == 3600
