"""The stock ledger: whatever happens, in whatever order, a SKU's entries add up to what is shown (product.md 4)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.domain.policies import InventoryPolicy
from connector.models.listing import ListingSku, StockEntry
from connector.models.order import Order
from connector.models.policy import Policy
from connector.models.product import Product
from connector.services import policies
from connector.services.orders import reservations
from connector.services.products import evaluate, ledger, state
from tests.factories.catalogue import a_listing, a_magento, a_product, a_template, stock
from tests.factories.market import an_account, an_order, created_in_magento

EVENTS = st.one_of(
    st.tuples(st.just("stock"), st.integers(-2, 40)),
    st.tuples(st.just("order"), st.integers(1, 5)),
    st.tuples(st.sampled_from(["created", "cancelled", "disabled", "enabled", "carry", "unmanaged"]), st.just(0)),
    st.tuples(st.just("buffer"), st.integers(0, 8)),
    st.tuples(st.just("threshold"), st.integers(0, 20)),
    st.tuples(st.just("live"), st.integers(0, 40)),
    st.tuples(st.just("unknown"), st.integers(0, 4)),
)


@pytest.mark.sqlite_only  # sums are sums; the test below runs on both
def test_the_entries_of_a_sku_add_up_to_its_quantity_after_any_sequence_of_events(app: Flask) -> None:
    magento = a_magento()
    account = an_account(magento)
    template = a_template(account, inventory=InventoryPolicy(threshold_buffer=2))
    number = iter(range(1_000_000))

    @given(st.lists(EVENTS, min_size=1, max_size=12))
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
    def holds(happens: list[tuple[str, int]]) -> None:
        product = a_product(magento.id, f"SKU-{next(number)}", quantity=10)
        listing = a_listing(account, product, template, tiktok_id=product.sku, remote_status="ACTIVATE", sku={"tiktok_sku_id": product.sku})
        sku_id = db.session.scalars(select(ListingSku.id).where(ListingSku.listing_id == listing.id)).one()
        orders: list[Order] = []
        for what, figure in happens:
            committed = _happen(what, figure, product, template.inventory_policy_id, sku_id, orders, account)
            evaluate.evaluate([listing.id], reason=what, committed=committed)
            wanted, terms = db.session.execute(select(ListingSku.wanted_quantity, ListingSku.stock_terms).where(ListingSku.id == sku_id)).one()
            total, last = db.session.scalar(select(func.sum(StockEntry.change)).where(StockEntry.listing_sku_id == sku_id)) or 0, _last(sku_id)
            assert total == wanted == sum(term["change"] for term in terms)
            assert wanted >= 0
            assert last is None or last.balance == wanted
        assert ledger.of_sku(sku_id).in_balance

    holds()


def _last(sku_id: int) -> StockEntry | None:
    return db.session.scalars(select(StockEntry).where(StockEntry.listing_sku_id == sku_id).order_by(StockEntry.id.desc()).limit(1)).first()


def _happen(what: str, figure: int, product: Product, policy_id: int, sku_id: int, orders: list[Order], account: Any) -> dict[int, int]:
    policy = db.session.get(Policy, policy_id)
    assert policy is not None
    if what == "stock":
        stock(product, figure)
    elif what == "unmanaged":
        stock(product, None)
    elif what == "order":
        orders.append(an_order(account, {product.sku: figure}))
    elif what == "created" and orders:
        created_in_magento(orders.pop())
    elif what == "cancelled" and orders:
        reservations.release(orders.pop(0).id, "cancelled")
    elif what in ("disabled", "enabled"):
        with unit_of_work() as session:
            session.execute(update(Product).where(Product.id == product.id).values(status=2 if what == "disabled" else 1))
    elif what == "buffer":
        policies.save(policy_id, title=policy.title, body=InventoryPolicy.model_validate({**policy.body, "threshold_buffer": figure}), actor="tests")
    elif what == "threshold":
        body = {**policy.body, "use_threshold": True, "threshold_value": figure, "greater_quantity": figure * 2, "lesser_quantity": 1}
        policies.save(policy_id, title=policy.title, body=InventoryPolicy.model_validate(body), actor="tests")
    elif what == "live":
        with unit_of_work() as session:
            session.execute(update(ListingSku).where(ListingSku.id == sku_id).values(live_quantity=figure, live_warehouses={"w-main": figure}))
    elif what == "carry":
        ledger.carry(timedelta(seconds=-1))
    db.session.expire_all()
    return {sku_id: figure} if what == "unknown" else {}


def test_the_ledger_page_has_the_terms_the_statement_the_orders_the_other_sellers_and_the_risks(app: Flask) -> None:
    magento = a_magento()
    gb, us = an_account(magento), an_account(magento, "Shop_US", country="US")
    product = a_product(magento.id, "TEE-1", quantity=12)
    on_tiktok = {"tiktok_sku_id": "7", "live_quantity": 12, "live_warehouses": {"w-main": 12}}
    mine = a_listing(gb, product, a_template(gb, inventory=InventoryPolicy(threshold_buffer=2)), tiktok_id="1", remote_status="ACTIVATE", sku=on_tiktok)
    theirs = a_listing(us, product, a_template(us), tiktok_id="2", remote_status="ACTIVATE", sku={**on_tiktok, "tiktok_sku_id": "8"})
    evaluate.evaluate([mine.id, theirs.id], reason="imported")
    order = an_order(us, {"TEE-1": 3}, status="UNPAID")
    evaluate.evaluate([mine.id, theirs.id])
    sku = state.skus_of(mine)[0]
    page = ledger.of_sku(sku.id)
    assert [(line.key, line.change, line.balance) for line in page.terms] == [("item", 12, 12), ("open", -3, 9), ("buffer", -2, 7)]
    assert page.sku.wanted_quantity == 7 and page.in_balance and page.magento_sku == "TEE-1"
    assert [(entry.term, entry.change, entry.reason) for entry in page.entries] == [
        ("open", -3, "TikTok orders"),
        ("buffer", -2, "imported"),
        ("item", 12, "imported"),
    ]
    assert [(one.number, one.account, one.units, one.remote_status) for one in page.holders] == [(order.number, "Shop_US", 3, "UNPAID")]
    assert [(one.account, one.wanted, one.live) for one in page.sellers] == [("Shop_US", 9, 12)]
    assert {risk.code for risk in page.risks} == {"stock.falling", "stock.shared"}
    assert "24 units" in next(risk.message for risk in page.risks if risk.code == "stock.shared")
    first = ledger.of_sku(sku.id, limit=2)
    assert first.more and len(ledger.of_sku(sku.id, before=first.entries[-1].id).entries) == 1
    with unit_of_work() as session:
        session.execute(update(StockEntry).where(StockEntry.reason == "imported").values(at=utcnow() - timedelta(days=100)))
    assert ledger.carry() == 1
    carried = ledger.of_sku(sku.id)
    assert [(entry.term, entry.change, entry.balance) for entry in carried.entries] == [("open", -3, 7), (ledger.CARRIED, 10, 10)] and carried.in_balance
