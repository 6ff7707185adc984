"""What a policy would do, before it is saved (product.md 14, A066, A080-A098)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from flask import Flask

from connector.core.db import db, unit_of_work
from connector.domain.policies import ImagePolicy, InventoryPolicy, PricingPolicy, SourceRow, SynchronizationPolicy
from connector.models.account import Account, ShopReference
from connector.models.order import Order, Reservation
from connector.models.product import Product
from connector.services import accounts, policies, policy_preview, policy_what_if
from connector.services.accounts import Choice
from connector.services.policy_preview import Preview, Sample
from tests.factories.catalogue import a_configurable, a_listing, a_magento, a_product, a_template, stock

pytestmark = pytest.mark.sqlite_only  # sums of three products; rows are plain

BODY = InventoryPolicy(default_quantity=7, threshold_buffer=5)


@pytest.fixture
def account(app: Flask) -> Account:
    """A GB shop on a US store, two TikTok warehouses."""
    policies.seed()
    store = a_magento()
    made = accounts.create(Choice(title="Shop", country="GB", environment="sandbox", magento_id=store.id), actor="tests")
    with unit_of_work() as session:
        for number, default in (("7001", True), ("7002", False)):
            session.add(
                ShopReference(account_id=made.id, kind="warehouse", remote_id=number, name=number, data={"type": "SALES_WAREHOUSE", "is_default": default})
            )
    return made


def held(account: Account, sku: str, quantity: int) -> None:
    """Units of a TikTok order that Magento does not know about."""
    with unit_of_work() as session:
        now = datetime.now(UTC)
        order = Order(
            account_id=account.id, number=f"5{sku}", remote_status="ON_HOLD", remote_updated_at=now, digest="", placed_at=now, currency="GBP", total=Decimal(1)
        )
        session.add(order)
        session.flush()
        session.add(Reservation(order_id=order.id, account_id=account.id, sku=sku, quantity=quantity))


def by_sku(shown: Preview) -> dict[str, Sample]:
    return {sample.sku: sample for sample in shown.samples}


def words(sample: Sample) -> str:
    return " ".join(f"{line.label}: {line.words}" for line in sample.lines)


def test_inventory_is_shown_on_a_stocked_a_low_and_an_unmanaged_product_with_every_term_in_words(account: Account) -> None:
    """A081-A083, A091, A246"""
    a_product(account.magento_id, "PLENTY", quantity=28)
    a_product(account.magento_id, "LOW", quantity=3)
    a_product(account.magento_id, "ENDLESS", quantity=None)
    a_product(account.magento_id, "OTHER", quantity=12)
    held(account, "PLENTY", 2)
    shown = policy_preview.preview("inventory", BODY)
    found = by_sku(shown)
    assert [sample.sku for sample in shown.samples] == ["PLENTY", "LOW", "ENDLESS"]
    assert {sku: (sample.why, sample.result) for sku, sample in found.items()} == {
        "PLENTY": ("In stock", "21 units"),
        "LOW": ("Low stock", "0 units"),
        "ENDLESS": ("Stock not managed", "2 units"),
    }
    assert [line.label for line in found["PLENTY"].lines] == ["Stock in Magento", "Open TikTok orders", "Threshold buffer"]
    assert "In TikTok orders that Magento does not know about yet: 2 units." in words(found["PLENTY"])
    assert "Less than nothing cannot be offered." in words(found["LOW"])
    assert "Default Quantity is used" in words(found["ENDLESS"])
    threshold = BODY.model_copy(update={"use_threshold": True, "threshold_value": 10, "greater_quantity": 20, "lesser_quantity": 2})
    assert by_sku(policy_preview.preview("inventory", threshold))["PLENTY"].result == "20 units"
    assert [sample.sku for sample in policy_preview.preview("inventory", threshold, search="othe").samples] == ["OTHER"]
    assert policy_preview.preview("inventory", threshold, search="nowhere").empty == "No product matches nowhere."


def test_sources_are_spread_over_the_warehouses_and_risky_switches_say_so(account: Account) -> None:
    """A089, A090"""
    product = a_product(account.magento_id, "SPREAD", quantity=30)
    stock(product, 30, sources={"north": 20, "south": 10})
    rows = (SourceRow(source_code="north", warehouse_id="7001"), SourceRow(source_code="south", warehouse_id="7002"))
    body = InventoryPolicy(use_msi=True, sources=rows, use_threshold=True, threshold_value=1, greater_quantity=50, may_oversell=True)
    shown = policy_preview.preview("inventory", body)
    sample = by_sku(shown)["SPREAD"]
    assert (sample.result, sample.tone) == ("50 units in 2 warehouses", "danger")
    assert "although only 30 would be safe" in words(sample)
    assert any("more can be sold than you have" in remark for remark in shown.remarks)
    missing = policy_preview.preview("inventory", InventoryPolicy(use_threshold=True)).remarks
    assert missing[0].startswith("Threshold Value is empty.")


def test_pricing_shows_its_steps_in_words_or_the_block_with_its_reason(account: Account) -> None:
    """A093-A098"""
    ends = (datetime.now(UTC) + timedelta(days=3)).strftime("%Y-%m-%d 00:00:00")
    a_product(account.magento_id, "SALE", price="100.00", values={"special_price": "80.00", "special_to_date": ends})
    a_configurable(account.magento_id, "TEE")
    a_product(account.magento_id, "CHEAP", price="1.00")
    body = PricingPolicy(change="increase_percent", change_amount=Decimal(10), conversion_rate=Decimal("0.8"), rounding="ending", minimum_price=Decimal(5))
    found = by_sku(policy_preview.preview("pricing", body))
    assert (found["SALE"].why, found["SALE"].result) == ("Special price", "69.99 GBP")  # 80 + 10 % = 88; x 0.8 = 70.40
    assert [line.label for line in found["SALE"].lines] == ["Base price", "Special price", "Price change", "Currency conversion", "Rounding", "Minimum price"]
    assert found["TEE-BLACK-S"].why == "Variant"
    cheap = by_sku(policy_preview.preview("pricing", body, search="CHEAP"))["CHEAP"]
    assert (cheap.result, cheap.tone) == ("no price is sent", "danger")
    assert "is below the minimum price of 5 GBP" in words(cheap)
    assert "Magento's prices are in USD, Shop sells in GBP" in policy_preview.preview("pricing", PricingPolicy()).remarks[0]


def test_pictures_are_shown_in_the_order_in_which_they_would_go(account: Account) -> None:
    """A062-A066"""
    a_product(account.magento_id, "MANY", images=("/1.jpg", "/2.jpg", "/3.jpg", "/4.jpg"))
    a_product(account.magento_id, "NONE", images=())
    found = by_sku(policy_preview.preview("image", ImagePolicy(gallery_images=2)))
    assert found["MANY"].pictures == ("/1.jpg", "/2.jpg", "/3.jpg")
    assert "1 more in Magento's gallery than the policy sends" in words(found["MANY"])
    assert (found["NONE"].result, found["NONE"].tone) == ("0 pictures", "danger")
    found = by_sku(policy_preview.preview("image", ImagePolicy(default_image="upload:3")))
    assert (found["NONE"].pictures, "the default image of the policy" in words(found["NONE"])) == (("upload:3",), True)


def test_synchronization_says_what_is_done_by_itself_and_why_not(account: Account) -> None:
    """A067-A077"""
    template = a_template(account)
    new, off = a_product(account.magento_id, "NEW"), a_product(account.magento_id, "OFF", status=2)
    with unit_of_work():
        account.auth_state, account.shop_cipher = "connected", "cipher"
    a_listing(account, new, template)
    a_listing(account, off, template)
    a_product(account.magento_id, "LOOSE")
    found = by_sku(policy_preview.preview("synchronization", SynchronizationPolicy(product_upload="enabled")))
    assert (found["NEW"].why, found["NEW"].result) == ("Not on TikTok Shop yet", "is uploaded by itself")
    assert found["OFF"].result == found["LOOSE"].result == "nothing by itself"
    assert "OFF is Disabled in Magento; Product Upload is on for Enabled products only." in words(found["OFF"])
    assert "Only falling stock is sent by itself." in words(found["OFF"])
    assert "It is in no listing template" in words(found["LOOSE"])
    found = by_sku(policy_preview.preview("synchronization", SynchronizationPolicy()))
    assert "Product Upload is off in Default Synchronization Policy: this is done by hand." in words(found["NEW"])


def test_without_store_or_products_the_preview_says_so(app: Flask) -> None:
    policies.seed()
    assert "no account with a Magento store" in policy_preview.preview("pricing", PricingPolicy()).empty
    accounts.create(Choice(title="Shop", country="GB", environment="sandbox", magento_id=a_magento().id), actor="tests")
    for kind, body in (("pricing", PricingPolicy()), ("inventory", BODY), ("image", ImagePolicy()), ("synchronization", SynchronizationPolicy())):
        assert policy_preview.preview(kind, body).empty == "No products have been imported from Magento yet."


def test_the_whole_catalogue_is_counted_before_saving(account: Account) -> None:
    """product.md 14: policy what-if"""
    template = a_template(account)
    for number in range(30):
        product = a_product(account.magento_id, f"P{number:02}", quantity=number, price=f"{10 + number}.00")
        a_listing(account, product, template)
    elsewhere = a_template(account, "Elsewhere")
    a_listing(account, a_product(account.magento_id, "ELSEWHERE"), elsewhere)
    pricing = template.pricing_policy_id
    found = policy_what_if.what_if("pricing", PricingPolicy(change="increase_fixed", change_amount=Decimal(1), minimum_price=Decimal(16)), policy_id=pricing)
    assert (found.total, found.looked, found.altered, found.blocked, found.complete) == (30, 30, 30, 5, True)
    assert (len(found.rows), found.rows[0][:4]) == (20, ("P00", "P00", "10.00 GBP", "no price is sent"))
    assert "below the minimum price" in found.rows[0].note
    assert policy_what_if.what_if("pricing", PricingPolicy(), policy_id=pricing).altered == 0
    inventory = template.inventory_policy_id
    found = policy_what_if.what_if("inventory", InventoryPolicy(default_quantity=100, threshold_buffer=10), policy_id=inventory)
    assert (found.altered, found.blocked, found.oversell) == (29, 10, 0)
    risky = InventoryPolicy(default_quantity=5, default_quantity_for_zero=True)
    found = policy_what_if.what_if("inventory", risky, policy_id=inventory)
    assert (found.altered, found.oversell, found.released) == (1, 1, 1)
    found = policy_what_if.what_if("image", ImagePolicy(main_image_attribute="thumbnail", gallery_images=0), policy_id=template.image_policy_id)
    assert (found.total, found.altered) == (30, 0)
    cut = policy_what_if.what_if("inventory", BODY, policy_id=inventory, patience=-1)
    assert (cut.looked, cut.total, cut.complete) == (0, 30, False)
    assert "Nothing uses this policy yet" in policy_what_if.what_if("inventory", BODY, policy_id=None).empty


def test_the_switches_are_counted_over_the_accounts_that_use_them(account: Account) -> None:
    with unit_of_work():
        account.auth_state, account.shop_cipher = "connected", "cipher"
    template = a_template(account)
    for number in range(3):
        a_listing(account, a_product(account.magento_id, f"P{number}", status=1 + number // 2), template)
    policy = policies.of_kind("synchronization")[0]
    found = policy_what_if.what_if("synchronization", SynchronizationPolicy(product_upload="enabled"), policy_id=policy.id)
    assert (found.total, found.altered, found.released, found.blocked) == (3, 2, 2, 0)
    assert found.rows[0].after == "uploaded by itself"
    assert db.session.get(Product, 1) is not None
