"""Importing the catalogue and the stock of the practice store over real HTTP (A162-A169, MAG §2, §4.2, §4.3)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import pytest
import requests
from flask import Flask
from sqlalchemy import func, select

from connector.clients import practice
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.account import SANDBOX, Account, MagentoConnection
from connector.models.listing import Listing
from connector.models.product import Product, ProductCursor, ProductStock, ProductView
from connector.models.run import JobItem
from connector.practice.catalogue import DEMO_PRODUCTS
from connector.practice.serve import PracticeServer
from connector.services import magento, runs
from connector.services.accounts.editing import Choice, create
from connector.services.accounts.practice import use_practice_store
from connector.services.products import catalogue, product_rows, stock_reading, store_attributes
from tests.factories.catalogue import a_listing
from tests.factories.creation import Store
from tests.factories.shop import carry_out

GB = "tiktok_gb"


class Shop(Store):
    """The practice store, changed through REST as the merchant's staff would, and its counters."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.token = practice.store_integration(url)["access_token"]

    def rest(self, method: str, path: str, body: Any = None, *, view: str = "all") -> Any:
        answer = requests.request(method, f"{self.url}/rest/{view}/V1/{path}", json=body, headers={"Authorization": f"Bearer {self.token}"}, timeout=30)
        assert answer.ok, answer.text
        return answer.json()

    def change(self, sku: str, /, *, view: str = "all", **product: Any) -> Any:
        return self.rest("PUT", f"products/{quote(sku, safe='')}", {"product": product}, view=view)

    def remove(self, sku: str) -> None:
        assert requests.delete(f"{self.url}/practice/products/{quote(sku, safe='')}", timeout=30).ok

    def forget_calls(self) -> None:
        assert requests.delete(f"{self.url}/practice/calls", timeout=30).ok


@pytest.fixture
def shop(app: Flask, practice_magento: PracticeServer) -> Shop:
    return Shop(practice_magento.url)


@pytest.fixture
def store(shop: Shop) -> MagentoConnection:
    return use_practice_store(actor="tests")


@pytest.fixture
def account(store: MagentoConnection) -> Account:
    from connector.services import policies

    policies.seed(actor="tests")
    return create(Choice(title="GB", country="GB", environment=SANDBOX, store_view=GB, magento_id=store.id), actor="tests")


def product(sku: str) -> Product:
    found = db.session.scalars(select(Product).where(Product.sku == sku, Product.gone_at.is_(None)).execution_options(populate_existing=True)).one()
    db.session.commit()
    return found


def view_of(sku: str) -> dict[str, Any]:
    found = db.session.scalar(select(ProductView.data).join(Product, Product.id == ProductView.product_id).where(Product.sku == sku))
    db.session.commit()
    return found or {}


def listed(account: Account, sku: str) -> Listing:
    return a_listing(account, product(sku))


def fresh(listing: Listing) -> Listing:
    db.session.refresh(listing)
    db.session.commit()
    return listing


def test_the_demo_catalogue_is_taken_in_complete_and_a_second_reading_writes_nothing(shop: Shop, store: MagentoConnection, account: Account) -> None:
    shop.change("MUG-01", view=GB, name="Stoneware mug (UK)", custom_attributes=[{"attribute_code": "material", "value": "stoneware"}])
    shop.forget_calls()
    found = catalogue.import_products(store.id)
    assert (found.seen, found.new, found.changed, found.gone, found.parked) == (40, 40, 0, 0, 0)
    calls = shop.calls()
    assert calls["GET /V1/products"] == 2, "one page of scope all, the same products of the store view"
    wanted = {each.sku: each for each in DEMO_PRODUCTS}
    rows = {row.sku: row for row in db.session.scalars(select(Product))}
    assert rows.keys() == wanted.keys()
    for sku, each in wanted.items():
        row = rows[sku]
        assert (row.name, row.type_id, row.status) == (each.name, each.type_id, each.status)
        assert row.price == (Decimal(0) if each.type_id == "configurable" else each.price)
        assert row.is_child == (each.parent_sku is not None)
        assert row.image.endswith(".png") and len(row.data["images"]) == 2
        assert row.remote_updated_at is not None and row.category_ids in (",3,", ",4,")
    tee = rows["TEE"]
    assert [db.session.scalar(select(Product.sku).where(Product.entity_id == child)) for child in tee.child_ids] == [
        each.sku for each in DEMO_PRODUCTS if each.parent_sku == "TEE"
    ]
    assert [(axis["attribute_id"], axis["code"], axis["label"]) for axis in tee.data["axes"]] == [("137", "color", "Color"), ("138", "size", "Size")]
    assert rows["TEE-BLA-S"].data["values"]["color"] == "4" and rows["TEE-BLA-S"].weight == Decimal("0.2")
    assert rows["SALE-01"].data["values"]["special_price"] == "59.990000"
    assert rows["VIRT-01"].weight is None
    assert view_of("MUG-01") == {"name": "Stoneware mug (UK)", "values": {"material": "stoneware"}}
    for view, row in db.session.execute(select(ProductView.data, Product).join(Product, Product.id == ProductView.product_id)):
        base = {**row.data["values"], "name": row.name, "price": str(row.price)}
        own = {**view, **view.get("values", {})}
        assert own and all(value != base.get(code) for code, value in own.items()), "differences only"
    color = db.session.scalars(magento.references(store.id, "attribute").where(magento.StoreReference.code == "color")).one()
    assert color.data["options"] == {"4": "Black", "5": "White", "6": "Red", "7": "Grey"}
    assert color.data["options_by_view"] == {GB: color.data["options"]} and color.data["frontend_input"] == "select" and color.data["scope"] == "global"
    paths = {row.code: row.data["path"] for row in db.session.scalars(magento.references(store.id, "category"))}
    assert paths == {"2": ["Default Category"], "3": ["Default Category", "Clothing"], "4": ["Default Category", "Home"]}
    assert [row.label for row in db.session.scalars(magento.references(store.id, "attribute_set"))] == ["Default"]
    cursors = {row.store_view: row for row in db.session.scalars(select(ProductCursor))}
    assert cursors.keys() == {"all", GB} and all(row.full_at and row.updated_after for row in cursors.values())
    before = {row.sku: (row.read_at, row.changed_at) for row in rows.values()}
    db.session.commit()
    db.session.expire_all()
    again = catalogue.import_products(store.id, full=True)
    assert (again.seen, again.new, again.changed, again.gone) == (40, 0, 0, 0)
    assert {row.sku: (row.read_at, row.changed_at) for row in db.session.scalars(select(Product))} == before
    magento.test(store.id)
    assert store_attributes.known_options(store.id)["color"] == {"4", "5", "6", "7"}, "Test connection keeps the options"


def test_a_change_is_found_by_its_time_and_only_listings_of_changed_products_are_marked(shop: Shop, store: MagentoConnection, account: Account) -> None:
    catalogue.import_products(store.id)
    with unit_of_work() as session:  # as if the last import were an hour old, and the products too
        for cursor in session.scalars(select(ProductCursor)):
            cursor.updated_after = cursor.updated_after and cursor.updated_after.replace(year=cursor.updated_after.year + 1)
    cap, mug, pen = (listed(account, sku) for sku in ("CAP-01", "MUG-01", "PEN-01"))
    assert catalogue.import_products(store.id).seen == 0, "nothing was updated after the cursor"
    with unit_of_work() as session:
        for cursor in session.scalars(select(ProductCursor)):
            cursor.updated_after = cursor.updated_after and cursor.updated_after.replace(year=cursor.updated_after.year - 1)
    shop.change("CAP-01", price=15.25, name="Baseball cap, blue")
    shop.change("MUG-01", view=GB, name="British mug")
    shop.change("PEN-01", sku="PEN-01", price=22.40)  # saved without a difference
    found = catalogue.import_products(store.id)
    assert (found.new, found.changed, found.gone) == (0, 2, 0)
    assert (product("CAP-01").price, product("CAP-01").name) == (Decimal("15.25"), "Baseball cap, blue")
    assert view_of("MUG-01") == {"name": "British mug"}
    assert (fresh(cap).due_reason, cap.content_due) == ("Magento: name, price changed", True)
    assert fresh(mug).due_reason == "Magento: name changed"
    assert fresh(pen).due_at is None
    shop.change("MUG-01", view=GB, name="Stoneware mug")
    assert catalogue.import_products(store.id, skus=["mug-01"]).changed <= 1
    shop.forget_calls()
    catalogue.import_products(store.id)
    assert sum(shop.calls().values()) == shop.calls()["GET /V1/products"] <= 2, "a delta costs a call for each scope"


def test_what_a_full_import_misses_is_gone_and_comes_back(shop: Shop, store: MagentoConnection, account: Account) -> None:
    catalogue.import_products(store.id)
    soap, last = listed(account, "SOAP-01"), product("STAND-01")
    bowl = product("ONE-LEFT")
    shop.remove("SOAP-01")
    shop.remove("STAND-01")
    shop.remove("TEE-RED-S")
    assert catalogue.import_products(store.id).gone == 0, "a delta cannot see it"
    found = catalogue.import_products(store.id, full=True)
    assert found.gone == 3 and found.changed == 0
    assert fresh(soap).due_reason == "Gone from Magento"
    db.session.refresh(last)
    assert last.gone_at is not None, "behind the last page too"
    # a new product with the SKU of the gone one, in another case, is another product
    body = {"sku": "Soap-01", "name": "Olive soap, new", "price": 5, "attribute_set_id": 4, "type_id": "simple", "status": 1, "visibility": 4}
    shop.rest("POST", "products", {"product": {**body, "custom_attributes": [{"attribute_code": "url_key", "value": "soap-new"}]}})
    assert catalogue.import_products(store.id).new == 1
    soaps = db.session.scalars(select(Product).where(Product.sku_key == "soap-01").order_by(Product.entity_id)).all()
    assert [(row.sku, row.gone_at is None) for row in soaps] == [("SOAP-01", False), ("Soap-01", True)]
    # what we took for gone comes back: the row is the same
    with unit_of_work() as session:
        row = session.get(Product, bowl.id)
        assert row is not None
        row.gone_at = row.changed_at
    found = catalogue.import_products(store.id, full=True)
    assert (found.changed, found.new) == (1, 0)
    assert product("ONE-LEFT").id == bowl.id


def test_an_answer_that_leaves_products_out_makes_none_gone(shop: Shop, store: MagentoConnection, account: Account) -> None:
    """Asked for by id, they are there after all: an index that is being rebuilt must not end listings."""
    catalogue.import_products(store.id)
    reader = catalogue._Import(store.id, "all", catalogue.Unattended())
    page = reader._read(catalogue.SearchCriteria(), 0)
    short = catalogue.Page(0, 0, True, 0, [], {})
    assert reader._vanished(short) == []
    shop.remove("BELT-01")
    belt = product("BELT-01")
    assert reader._vanished(short) == [belt.entity_id]
    assert reader._vanished(page) == []


def test_renamed_skus_and_moved_variants_keep_their_product(shop: Shop, store: MagentoConnection, account: Account) -> None:
    catalogue.import_products(store.id)
    hood, tee = product("HOOD-BLA-S"), product("TEE")
    with unit_of_work() as session:  # as it was before: another SKU, no child, not the variants of today
        for number, values in ((hood.id, {"sku": "OLD-NAME", "sku_key": "old-name", "is_child": False}), (tee.id, {"child_ids": tee.child_ids[:3]})):
            row = session.get(Product, number)
            assert row is not None
            for name, value in {**values, "digest": ""}.items():
                setattr(row, name, value)
        plain = session.scalar(select(Product).where(Product.sku == "CAP-01"))
        assert plain is not None
        plain.is_child = True
    listing = a_listing(account, tee)
    found = catalogue.import_products(store.id, full=True)
    assert (found.new, found.changed) == (0, 2)
    assert product("HOOD-BLA-S").id == hood.id and product("HOOD-BLA-S").is_child
    assert len(product("TEE").child_ids) == 12 and not product("CAP-01").is_child
    assert fresh(listing).due_reason == "Magento: variants changed"


def test_a_bad_record_is_parked_with_its_reason_and_the_rest_goes_on(shop: Shop, store: MagentoConnection, account: Account) -> None:
    shop.post("products/CAP-01", price="twelve")
    shop.post("products/BELT-01", status=7)
    run = carry_out(runs.submit("products.import", account_id=account.id).run_id)
    assert run.state == "partial" and run.result["new"] == 38 and run.result["parked"] == 2
    items = {row.label: row for row in db.session.scalars(select(JobItem).where(JobItem.run_id == run.id))}
    assert items["CAP-01"].message == "CAP-01: price is 'twelve' in Magento, which is no amount." and items["CAP-01"].remedy
    assert items["BELT-01"].code == "product.status"
    db.session.commit()
    shop.post("products/CAP-01", price=16)
    retried = carry_out(runs.retry_failed(run.id, actor="tests").run_id)
    assert (retried.done, retried.failed) == (1, 1) and product("CAP-01").price == Decimal(16)
    for row, code in (({"id": 5, "sku": " "}, "product.no_sku"), ({"sku": "X"}, "product.no_id"), ({"id": 5, "sku": "X" * 129}, "product.sku_long")):
        with pytest.raises(product_rows.BadProduct) as caught:
            product_rows.read_product(row, {})
        assert caught.value.code == code


def test_the_trouble_shelf_is_taken_in_as_it_is(shop: Shop, store: MagentoConnection, account: Account) -> None:
    """SKUs that differ in case, 300 variants, a configurable without children, a name of 400 characters: judged by validation, not by the import."""
    shop.post("seed", shelf=True, keep_credentials=True)
    found = catalogue.import_products(store.id)
    assert found.parked == 0 and found.new == found.seen > 340
    twins = db.session.execute(select(Product.sku_key).where(Product.gone_at.is_(None)).group_by(Product.sku_key).having(func.count() > 1)).all()
    assert twins, "SKUs that differ in case only are two products"
    assert max(len(children) for children in db.session.scalars(select(Product.child_ids))) == 300
    assert max(len(name) for name in db.session.scalars(select(Product.name))) == 300, "the column's length; nothing is refused for it"
    assert {"bundle", "grouped"} <= set(db.session.scalars(select(Product.type_id)))
    again = catalogue.import_products(store.id, full=True)
    assert (again.changed, again.gone) == (0, 0)


class Killed(Exception):
    """Stands for the worker's death at this point."""


class Mortal(catalogue.Unattended):
    """A run whose worker dies before its n-th check-point is committed."""

    def __init__(self, dies_at: int) -> None:
        super().__init__()
        self.saves, self.dies_at, self.parked = 0, dies_at, list[str]()

    def save_checkpoint(self, session: Any, **values: Any) -> None:
        self.saves += 1
        if self.saves == self.dies_at:
            raise Killed
        super().save_checkpoint(session, **values)


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "PAGE", 7)
    monkeypatch.setattr(stock_reading, "GROUP", 7)


@pytest.mark.usefixtures("small_pages")
def test_an_import_that_dies_half_way_goes_on_where_it_stood(shop: Shop, store: MagentoConnection, account: Account) -> None:
    run = Mortal(dies_at=4)
    with pytest.raises(Killed):
        catalogue.import_products(store.id, run=run)
    assert db.session.scalar(select(func.count()).select_from(Product)) == 21, "a page is stored with its check-point or not at all"
    assert db.session.scalar(select(func.count()).select_from(ProductCursor)) == 0, "the cursor has not moved"
    db.session.commit()
    shop.forget_calls()
    shop.change("TEE", name="Tee, renamed meanwhile")  # already passed: the next delta has it
    found = catalogue.import_products(store.id, run=run)
    assert (found.seen, found.new) == (40, 40)
    assert shop.calls()["GET /V1/products"] == 6, "three pages of two scopes"
    assert product("TEE").name == "Plain tee"
    assert product("TEE-RED-XL").is_child
    assert catalogue.import_products(store.id).changed == 1 and product("TEE").name == "Tee, renamed meanwhile"
    dead = Mortal(dies_at=3)
    with pytest.raises(Killed):
        stock_reading.read_stock(store.id, "base", run=dead)
    assert db.session.scalar(select(func.count()).select_from(ProductStock)) == 14
    db.session.commit()
    read = stock_reading.read_stock(store.id, "base", run=dead)
    assert (read.read, read.changed) == (38, 38)


def test_option_ids_nobody_knows_fetch_the_attributes_again_once(shop: Shop, store: MagentoConnection, account: Account) -> None:
    catalogue.import_products(store.id)
    shop.change("CAP-01", custom_attributes=[{"attribute_code": "color", "value": "99"}])
    shop.forget_calls()
    catalogue.import_products(store.id)
    assert shop.calls()["GET /V1/products/attributes"] == 2
    color = db.session.scalars(magento.references(store.id, "attribute").where(magento.StoreReference.code == "color")).one()
    assert color.data["deleted"] == ["99"] and "99" not in color.data["options"]
    db.session.commit()
    shop.change("CAP-01", price=1)
    shop.forget_calls()
    assert catalogue.import_products(store.id).changed == 1
    assert "GET /V1/products/attributes" not in shop.calls(), "an option that was deleted is not looked for again"


def test_stock_is_read_in_bulk_and_the_traps_of_the_export_are_known(shop: Shop, store: MagentoConnection, account: Account) -> None:
    """MAG §4.3.4: unmanaged stock comes as 0 and salable, what is not in the stock is left out, ``total_count`` is the page's."""
    catalogue.import_products(store.id)
    shop.post("products/CAP-01", manage_stock=False)
    shop.post("products/SOCK-3PK/stock", source="wh_second", quantity=0, status=0)
    shop.rest("POST", "products", {"product": {"sku": "NOWHERE, 1", "name": "In no source", "price": 1, "attribute_set_id": 4, "type_id": "simple"}})
    catalogue.import_products(store.id)
    tee, pen = a_listing(account, product("TEE"), children=[product("TEE-BLA-S")]), listed(account, "PEN-01")
    shop.forget_calls()
    read = stock_reading.read_stock(store.id, "base")
    assert (read.read, read.changed, read.parked) == (39, 39, 0)
    calls = shop.calls()
    assert calls.pop("GET /V1/inventory/export-stock-salable-qty/:salesChannelType/:salesChannelCode") == 1
    assert calls.pop("GET /V1/inventory/source-items") == 1
    assert sum(calls.values()) == 3, calls  # the website's stock, its sources, which of them are enabled
    levels = {row.product_id: row for row in db.session.scalars(select(ProductStock))}

    def level(sku: str) -> tuple[bool, bool, int, int | None]:
        row = levels[product(sku).id]
        return row.manages_stock, row.in_stock, row.quantity, row.salable

    assert level("ONE-LEFT") == (True, True, 1, 1)
    assert level("OOS-01") == (True, False, 0, 0)
    assert level("CAP-01")[0] is False and product("CAP-01").quantity is None
    assert level("NOWHERE, 1") == (True, False, 0, 0)
    assert level("TEE-BLA-S") == (True, True, 100_050, 100_050)
    assert levels[product("TEE-BLA-S").id].sources == [
        {"code": "wh_main", "quantity": 100_000, "in_stock": True},
        {"code": "wh_second", "quantity": 50, "in_stock": True},
    ]
    assert levels[product("SOCK-3PK").id].sources[1] == {"code": "wh_second", "quantity": 0, "in_stock": False}
    assert product("ONE-LEFT").quantity == 1 and product("TEE").id not in levels
    assert db.session.scalar(select(ProductCursor.stock_at).where(ProductCursor.store_view == "all")) is not None
    for listing in (tee, pen):
        with unit_of_work():
            fresh_row = db.session.get(Listing, listing.id, populate_existing=True)
            assert fresh_row is not None and fresh_row.due_reason == "Magento stock changed" and not fresh_row.content_due
            fresh_row.due_at, fresh_row.due_reason = None, ""
    shop.post("products/TEE-BLA-S/stock", source="wh_main", quantity=3)
    read = stock_reading.read_stock(store.id, "base")
    assert (read.read, read.changed) == (39, 1), "only what differs is written"
    assert fresh(tee).due_at is not None and fresh(pen).due_at is None
    shop.post("products/TEE-BLA-S/stock", source="wh_main", quantity=5)
    shop.forget_calls()
    assert stock_reading.read_stock(store.id, "base", product_ids=[product("TEE").id]).read == 12, "a configurable stands for its children"
    assert product("TEE-BLA-S").quantity == 55
    with pytest.raises(DomainError, match="has no stock"):
        stock_reading.read_stock(store.id, "nowhere")


def test_a_store_without_msi_is_read_by_stock_items(shop: Shop, store: MagentoConnection, account: Account) -> None:
    catalogue.import_products(store.id)
    shop.post("settings", msi=False)
    shop.rest("PUT", "products/PEN-01/stockItems/1", {"stockItem": {"qty": 17, "is_in_stock": True}})
    shop.rest("PUT", "products/BAG-01/stockItems/1", {"stockItem": {"use_config_manage_stock": False, "manage_stock": False}})
    shop.remove("BELT-01")
    run = carry_out(runs.submit("products.import_stock", account_id=account.id).run_id)
    assert (run.state, run.result["read"], run.result["parked"]) == ("succeeded", 38, 0), run.message
    found = {row.product_id: row for row in db.session.scalars(select(ProductStock))}
    pen, bag, belt = (found[product(sku).id] for sku in ("PEN-01", "BAG-01", "BELT-01"))
    assert (pen.quantity, pen.in_stock, pen.salable, pen.sources) == (17, True, None, [])
    assert bag.manages_stock is False
    assert (belt.quantity, belt.in_stock, belt.manages_stock) == (0, False, True), "unknown in Magento by now: nothing to sell"
    assert found[product("MUG/02 slash").id].product_id, "a SKU with a slash is asked for as well"


def test_small_pages_of_the_store_are_kept_to(shop: Shop, store: MagentoConnection, account: Account) -> None:
    """MAG §2.4: a store that allows 30 rows a page gets them, and nothing is lost between pages."""
    shop.post("settings", input_limit={"maximum_page_size": 30})
    assert catalogue.import_products(store.id).new == 40
    read = stock_reading.read_stock(store.id, "base")
    assert (read.read, read.changed) == (38, 38)
    assert product("STAND-01").quantity == 100_000 and product("TEE-RED-XL").quantity == 100_050
    sources = db.session.scalar(select(ProductStock.sources).where(ProductStock.product_id == product("TEE-RED-XL").id))
    assert sources is not None and len(sources) == 2


def test_the_jobs_read_catalogue_and_stock_and_tell_the_counts(shop: Shop, store: MagentoConnection, account: Account, work_off: Callable[..., int]) -> None:
    """New products get their stock at once: until it is read they can be neither validated nor uploaded."""
    runs.submit("products.import", args={"full": True})
    work_off()
    runs.submit("products.import_stock")
    work_off()
    told = select(runs.JobRun.message).where(runs.JobRun.account_id == account.id, runs.JobRun.kind.like("products.import%")).order_by(runs.JobRun.id)
    assert db.session.scalars(told).all() == [
        "40 products read, 40 new, 0 changed.",
        "Stock of 38 products read, 38 changed.",
        "Stock of 38 products read, 0 changed.",
    ]
    run = carry_out(runs.submit("products.import", account_id=account.id, args={"skus": ["CAP-01", "NO-SUCH"]}).run_id)
    assert run.state == "partial" and run.result["seen"] == 1
    assert db.session.scalars(select(JobItem.message).where(JobItem.run_id == run.id)).all() == ["Magento has no product with the SKU NO-SUCH."]
