"""What the pure domain is told of Magento's products: store view values and labels, stock, prices (MAG §4.2.2, §4.2.3; A163-A169)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from flask import Flask
from sqlalchemy import event, select

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.domain.policies import ImagePolicy, PricingPolicy
from connector.domain.pricing import price
from connector.models.account import SANDBOX, Account, MagentoConnection, StoreReference
from connector.models.product import Product
from connector.practice.serve import PracticeServer
from connector.services import policies
from connector.services.accounts.editing import Choice, create
from connector.services.accounts.practice import use_practice_store
from connector.services.products import catalogue, facts, stock_reading
from tests.factories.catalogue import a_configurable, a_magento, a_product, stock

pytestmark = pytest.mark.sqlite_only  # what one product says; rows are plain

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def store(app: Flask) -> MagentoConnection:
    policies.seed(actor="tests")
    return a_magento()


@pytest.fixture
def account(store: MagentoConnection) -> Account:
    return create(Choice(title="GB", country="GB", environment=SANDBOX, store_view="tiktok_gb", magento_id=store.id), actor="tests")


def test_a_store_view_shows_its_own_values_and_labels_and_no_others(store: MagentoConnection) -> None:
    with unit_of_work() as session:
        color = session.scalars(select(StoreReference).where(StoreReference.code == "color")).one()
        color.data = {**color.data, "options_by_view": {"tiktok_gb": {"6": "Scarlet", "7": ""}}, "labels_by_view": {"tiktok_gb": "Colour"}}
        for code, kind in (("is_fragile", "boolean"), ("materials", "multiselect")):
            options = {"10": "Clay", "11": "Cotton"} if kind == "multiselect" else {}
            data = {"id": code, "frontend_input": kind, "options": options, "options_by_view": {}}
            session.add(StoreReference(magento_id=store.id, kind="attribute", code=code, label=code, data=data))
    values = {"color": "6", "is_fragile": "1", "materials": "10,11", "description": "Good", "size": "77", "gone": "x"}
    views = {"tiktok_gb": {"name": "Jumper", "status": 2, "price": "15.25", "values": {"description": "Best", "gone": None}}}
    row = a_product(store.id, "SWEATER-1", values=values, views=views)
    everywhere = facts.magento_products([row.id], "all")[row.id]
    british = facts.magento_products([row.id], "tiktok_gb")[row.id]
    assert (everywhere.name, everywhere.status, everywhere.text("description"), everywhere.text("gone")) == ("Sweater-1", 1, "Good", "x")
    assert (british.name, british.status, british.text("description"), british.text("gone")) == ("Jumper", 2, "Best", "")
    assert (everywhere.number("price"), british.number("price")) == (Decimal("19.5"), Decimal("15.25"))
    assert (everywhere.text("color"), british.text("color")) == ("Red", "Scarlet")
    assert british.labels("materials") == ("Clay", "Cotton") and british.text("is_fragile") == "Yes"
    assert british.unlabelled("size") == ("77",) and british.text("size") == "", "an option that was deleted has no label"
    assert facts.magento_products([row.id], "default")[row.id].text("description") == "Good"
    grey = a_product(store.id, "GREY", values={"color": "7"})
    assert facts.magento_products([grey.id], "tiktok_gb")[grey.id].text("color") == "Grey", "never translated: the admin's label"
    assert british.product_id == str(row.entity_id) and british.weight == Decimal("0.2")


def test_a_configurable_brings_its_children_in_order_and_few_queries_do_for_many(store: MagentoConnection) -> None:
    pairs = [a_configurable(store.id, f"TEE{number}") for number in range(30)]
    parent, kids = pairs[0]
    with unit_of_work() as session:
        row = session.get(Product, parent.id)
        gone = session.get(Product, kids[1].id)
        assert row is not None and gone is not None
        row.child_ids = [kids[2].entity_id, kids[1].entity_id, kids[0].entity_id]
        gone.gone_at = utcnow()
    assert facts.children([parent.id, kids[0].id]) == {parent.id: [kids[2].id, kids[0].id]}
    ids = [pair[0].id for pair in pairs]
    db.session.expire_all()
    counted: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda *arguments: counted.append(arguments[2]))
    products = facts.magento_products(ids, "tiktok_gb")
    assert len(counted) <= 6, counted
    assert len(products) == 30 + 89
    tee = products[parent.id]
    assert tee.axes == ("color", "size") and tee.axis_labels == {"color": "Color", "size": "Size"}
    assert products[kids[2].id].text("color") == "Red" and tee.images[0].file == "/t/e/tee.jpg"
    assert len(facts.magento_products([parent.id], "all", with_children=False)) == 1
    levels = facts.stock_levels(products, "base")
    assert len(levels) == 89 and parent.id not in levels and levels[kids[0].id].quantity == 10
    assert facts.stock_levels(products, "elsewhere") == {}


def test_store_facts_are_those_of_the_view_and_its_website(store: MagentoConnection, account: Account) -> None:
    known = facts.store_facts(account)
    assert (known.magento_id, known.store_view, known.website_code, known.base_currency, known.weight_unit) == (store.id, "tiktok_gb", "base", "USD", "kgs")
    assert str(known.zone) == "America/Los_Angeles" and known.has_msi
    assert known.image_url("/t/e/tee.jpg") == "http://127.0.0.1:9/media/catalog/product/t/e/tee.jpg"
    with unit_of_work():
        account.store_view = "all"
    assert facts.store_facts(account).website_code == "base" and facts.store_facts(account).weight_unit == "kgs"
    with unit_of_work():
        account.store_view = "tiktok_fr"
    with pytest.raises(DomainError, match="store view tiktok_fr"):
        facts.store_facts(account)


def test_special_prices_run_by_the_days_of_the_store_and_broken_ones_are_none(store: MagentoConnection, account: Account) -> None:
    known = facts.store_facts(account)
    special = {"special_price": "12.00", "special_from_date": "2026-03-01 00:00:00", "special_to_date": "2026-03-02 00:00:00", "cost": "4.5", "note": "soft"}
    sale = a_product(store.id, "SALE", values=special, views={"tiktok_gb": {"values": {"special_price": "11.00"}}})
    broken = a_product(store.id, "BROKEN", values={"special_price": "soon", "special_from_date": "never"})
    products = facts.magento_products([sale.id, broken.id], "tiktok_gb")
    found = facts.price_facts(products, known, "GBP", NOW)
    assert found.keys() == {sale.id, broken.id}
    assert found[sale.id].values.get("cost") == Decimal("4.5") and found[sale.id].values.get("note") is None and found[sale.id].values.get("nothing") is None
    assert found[broken.id].special is None
    policy = PricingPolicy(minimum_margin_percent=Decimal(10), cost_attribute="cost")
    worked = price(policy, found[sale.id])
    assert (worked.amount, worked.currency) == (Decimal("11.00"), "GBP")
    assert worked.next_change == datetime(2026, 3, 3, 8, tzinfo=UTC), "midnight in Los Angeles, the last day counted"
    before = facts.price_facts(products, known, "GBP", NOW - timedelta(hours=12))[sale.id]
    assert price(policy, before).amount == Decimal("19.50")


def test_the_practice_store_s_facts_are_right_end_to_end(app: Flask, practice_magento: PracticeServer) -> None:
    policies.seed(actor="tests")
    magento_id = use_practice_store(actor="tests").id
    account = create(Choice(title="GB", country="GB", environment=SANDBOX, store_view="tiktok_gb", magento_id=magento_id), actor="tests")
    catalogue.import_products(magento_id)
    stock_reading.read_stock(magento_id, "base")
    known = facts.store_facts(account)
    assert (known.website_code, known.base_currency, known.weight_unit, known.has_msi) == ("base", "USD", "kgs", True)
    assert known.media_url == f"{practice_magento.url}/media/"
    ids = dict(db.session.execute(select(Product.sku, Product.id)).all())
    products = facts.magento_products([ids["TEE"], ids["SALE-01"]], known.store_view)
    tee, red = products[ids["TEE"]], products[ids["TEE-RED-M"]]
    assert tee.axes == ("color", "size") and (red.text("color"), red.text("size")) == ("Red", "M")
    pictures = tee.pictures(ImagePolicy())
    assert pictures and known.image_url(pictures[0]).startswith(f"{practice_magento.url}/media/catalog/product/")
    sale = facts.price_facts(products, known, "GBP", utcnow())[ids["SALE-01"]]
    assert sale.special is not None and sale.special.amount == Decimal("59.99") and sale.special.runs(utcnow())
    levels = facts.stock_levels([ids["ONE-LEFT"], ids["TEE-RED-M"]], known.website_code)
    assert levels[ids["ONE-LEFT"]].salable == 1
    assert [source["code"] for source in levels[ids["TEE-RED-M"]].sources] == ["wh_main", "wh_second"]
    stock(db.session.get_one(Product, ids["ONE-LEFT"]), 7)
    assert facts.stock_levels([ids["ONE-LEFT"]], "base")[ids["ONE-LEFT"]].quantity == 7
