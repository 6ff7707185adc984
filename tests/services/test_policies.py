"""Policies as the product keeps them: seeds, versions, validity, use (A020-A023, A051-A060, A099-A122)."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from decimal import Decimal
from io import BytesIO

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import func, select, update

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.domain.order_policy import CarrierRow, OrderPolicy, StatusRow
from connector.domain.policies import ImagePolicy, InventoryPolicy, PricingPolicy, SourceRow
from connector.models.account import MagentoConnection, ShopReference, StoreReference
from connector.models.listing import Listing
from connector.models.policy import Policy, PolicyVersion
from connector.models.product import PolicyImage
from connector.services import accounts, policies, policy_images, policy_users
from connector.services.accounts import Choice
from connector.services.policies import PolicyErrors
from connector.services.policy_users import User
from tests.factories.catalogue import a_listing, a_magento, a_product, a_template

pytestmark = pytest.mark.postgres

MAPPED = OrderPolicy(carrier_mapping=(CarrierRow(magento_carrier="FedEx", tiktok_carrier="FedEx"),))


@pytest.fixture(autouse=True)
def seeded(app: Flask) -> None:
    policies.seed()


def default(kind: str) -> Policy:
    return policies.of_kind(kind)[0]


def test_seeding_twice_gives_five_defaults_of_which_inventory_and_order_are_not_valid() -> None:
    """A020, A023"""
    assert policies.seed() == 0
    rows = db.session.scalars(select(Policy)).all()
    assert sorted((row.kind, row.is_default, row.valid, row.version) for row in rows) == [
        ("image", True, True, 1),
        ("inventory", True, False, 1),
        ("order", True, False, 1),
        ("pricing", True, True, 1),
        ("synchronization", True, True, 1),
    ]
    assert default("order").problems[0]["field"] == "carrier_mapping"


def test_every_save_makes_a_version_and_an_earlier_one_can_be_compared_and_restored() -> None:
    row = default("order")
    policies.save(row.id, title=row.title, body=MAPPED, actor="ann@example.test", note="FedEx")
    policies.save(row.id, title="Orders", body=MAPPED.model_copy(update={"order_id_prefix": "TT-"}), actor="bob@example.test")
    assert [(version.number, version.author) for version in policies.versions(row.id)] == [(3, "bob@example.test"), (2, "ann@example.test"), (1, "system")]
    assert [change.label for change in policies.compare(row.id, 2, 3)] == ["Title", "Order ID Prefix"]

    policies.restore(row.id, 2, actor="ann@example.test")
    row = policies.get(row.id)
    assert (row.version, row.title, row.valid) == (4, "Default Order Policy", True)
    assert OrderPolicy.model_validate(row.body) == MAPPED
    assert policies.compare(row.id, 2, 4) == []


def test_a_save_over_somebody_elses_save_is_refused() -> None:
    row = default("pricing")
    policies.save(row.id, title=row.title, body=PricingPolicy(), actor="ann", seen_version=1)
    with pytest.raises(DomainError) as caught:
        policies.save(row.id, title=row.title, body=PricingPolicy(), actor="bob", seen_version=1)
    assert caught.value.code == "policy.changed_meanwhile"
    assert policies.get(row.id).version == 2


def test_there_is_one_default_of_a_kind() -> None:
    """A057"""
    second = policies.create("pricing", title="Sale", body=PricingPolicy(), actor="ann", is_default=True)
    assert [row.id for row in policies.of_kind("pricing") if row.is_default] == [second.id]
    with pytest.raises(DomainError) as caught:
        policies.save(second.id, title="Sale", body=PricingPolicy(), actor="ann", is_default=False)
    assert caught.value.field == "is_default"


def test_a_title_is_needed_and_is_unique_within_its_kind() -> None:
    """A061, A067, A080, A100: the name by which it is chosen"""
    with pytest.raises(PolicyErrors) as caught:
        policies.create("pricing", title="  ", body=PricingPolicy(), actor="ann")
    assert caught.value.by_field == {"title": "Title is empty."}
    with pytest.raises(PolicyErrors):
        policies.create("pricing", title="default pricing policy", body=PricingPolicy(), actor="ann")
    policies.create("inventory", title="Default Pricing Policy", body=InventoryPolicy(), actor="ann")


def test_a_copy_has_a_title_and_a_history_of_its_own() -> None:
    row = default("order")
    first, second = policies.duplicate(row.id, actor="ann"), policies.duplicate(row.id, actor="ann")
    assert (first.title, second.title) == ("Copy of Default Order Policy", "Copy of Default Order Policy (2)")
    assert (first.version, first.is_default, first.body) == (1, False, row.body)


def test_a_policy_in_use_is_deleted_only_with_a_successor_that_takes_its_accounts() -> None:
    """Contradiction 24"""
    row = policies.create("order", title="Mine", body=MAPPED, actor="ann")
    account = accounts.create(Choice(title="Shop", country="GB", environment="sandbox", order_policy_id=row.id), actor="ann")
    with pytest.raises(DomainError) as caught:
        policies.delete(row.id, actor="ann")
    assert caught.value.code == "policy.in_use"
    assert "Shop" in caught.value.message
    with pytest.raises(DomainError):
        policies.delete(row.id, actor="ann", reassign_to=default("pricing").id)
    policies.delete(row.id, actor="ann", reassign_to=default("order").id)
    db.session.refresh(account)
    assert account.order_policy_id == default("order").id
    assert row.id not in [policy.id for policy in policies.of_kind("order")]
    assert db.session.scalar(select(func.count()).select_from(PolicyVersion).where(PolicyVersion.policy_id == row.id)) == 1


def test_the_default_is_deleted_only_with_a_successor_that_becomes_the_default() -> None:
    other = policies.create("pricing", title="Other", body=PricingPolicy(), actor="ann")
    first = default("pricing")
    with pytest.raises(DomainError):
        policies.delete(first.id, actor="ann")
    policies.delete(first.id, actor="ann", reassign_to=other.id)
    assert [(row.id, row.is_default) for row in policies.of_kind("pricing")] == [(other.id, True)]


def test_the_order_policy_in_force_is_the_assigned_one_with_its_present_version() -> None:
    row = policies.create("order", title="Mine", body=MAPPED, actor="ann")
    account = accounts.create(Choice(title="Shop", country="GB", environment="sandbox", order_policy_id=row.id), actor="ann")
    policies.save(row.id, title="Mine", body=MAPPED.model_copy(update={"order_id_prefix": "X"}), actor="ann")
    body, version_id = policies.order_policy(account)
    assert body.order_id_prefix == "X"
    version = db.session.get(PolicyVersion, version_id)
    assert (version.policy_id, version.number) == (row.id, 2)


def test_a_policy_that_refers_to_something_gone_says_which_field_and_becomes_valid_again() -> None:
    """Contradiction 25"""
    account = accounts.create(Choice(title="Shop", country="GB", environment="sandbox"), actor="ann")
    row = default("order")
    body = MAPPED.model_copy(update={"alternate_sku_attribute": "tiktok_sku"})
    assert policies.save(row.id, title=row.title, body=body, actor="ann").valid  # nothing was imported yet: nothing to compare with
    with unit_of_work() as session:
        store = MagentoConnection(environment="sandbox", base_url="http://127.0.0.1:9")
        session.add(store)
        session.flush()
        session.add(ShopReference(account_id=account.id, kind="shipping_provider", parent_id="1", remote_id="2", name="Royal Mail"))
        session.add(StoreReference(magento_id=store.id, kind="attribute", code="image"))
    assert policies.recheck_all() == 1
    assert [problem["field"] for problem in policies.get(row.id).problems] == ["alternate_sku_attribute", "carrier_mapping"]
    assert "FedEx" in policies.get(row.id).problems[1]["message"]
    with unit_of_work() as session:
        session.add(ShopReference(account_id=account.id, kind="shipping_provider", parent_id="1", remote_id="3", name="FedEx"))
        session.add(StoreReference(magento_id=store.id, kind="attribute", code="tiktok_sku"))
    assert policies.recheck_all() == 1
    assert policies.get(row.id).valid


def test_an_unknown_tiktok_status_in_the_mapping_is_named() -> None:
    body = MAPPED.model_copy(update={"status_mapping": (StatusRow(tiktok_status="LOST_AT_SEA", magento_status="holded"),)})
    row = policies.create("order", title="Mine", body=body, actor="ann")
    assert [problem["field"] for problem in row.problems] == ["status_mapping"]


def test_a_body_that_cannot_be_saved_names_every_field_at_once_in_words() -> None:
    with pytest.raises(PolicyErrors) as caught:
        policies.parse("inventory", {"threshold_buffer": "-1", "default_quantity": "many", "sources": [{"source_code": "default"}]})
    assert caught.value.by_field == {
        "default_quantity": "Default Quantity must be a whole number.",
        "threshold_buffer": "Threshold Buffer must be at least 0.",
        "sources": "Sources and TikTok warehouses, row 1 is empty.",
    }
    with pytest.raises(PolicyErrors) as caught:
        policies.parse("order", {"carrier_mapping": [{"magento_carrier": "a", "tiktok_carrier": "b"}, {"magento_carrier": "A", "tiktok_carrier": "c"}]})
    assert caught.value.by_field == {"carrier_mapping": "The carrier A is mapped twice; keep one row."}


def test_a_policy_of_templates_is_deleted_only_with_a_successor_and_their_listings_become_due() -> None:
    """A054, A060: used by accounts and listing templates; what the change concerns is looked at again in the same transaction"""
    account = accounts.create(Choice(title="Shop", country="GB", environment="sandbox", magento_id=a_magento().id), actor="ann")
    template, other = a_template(account, "Shirts"), a_template(account, "Mugs")
    listing, elsewhere = (a_listing(account, a_product(account.magento_id, sku), chosen) for sku, chosen in (("A", template), ("B", other)))

    def due(*, content: bool) -> list[int]:
        rows = db.session.scalars(select(Listing).where(Listing.due_at.is_not(None), Listing.content_due == content).execution_options(populate_existing=True))
        found = [row.id for row in rows]
        with unit_of_work() as session:
            session.execute(update(Listing).values(due_at=None, content_due=False, due_reason=""))
        return found

    row = policies.get(template.pricing_policy_id)
    assert policy_users.used_by(row.id) == [User("template", template.id, "Shirts")]
    policies.save(row.id, title=row.title, body=PricingPolicy(), actor="ann")
    assert due(content=False) == []  # nothing has changed in it
    policies.save(row.id, title=row.title, body=PricingPolicy(use_special_price=False), actor="ann")
    assert due(content=False) == [listing.id]
    image = policies.get(template.image_policy_id)
    policies.save(image.id, title=image.title, body=ImagePolicy(gallery_images=2), actor="ann")
    assert due(content=True) == [listing.id]
    with pytest.raises(DomainError) as caught:
        policies.delete(row.id, actor="ann")
    assert caught.value.message == f"{row.title} is used by the listing template Shirts."
    policies.delete(row.id, actor="ann", reassign_to=other.pricing_policy_id)
    db.session.refresh(template)
    assert template.pricing_policy_id == other.pricing_policy_id
    assert due(content=False) == [listing.id]
    assert elsewhere.id != listing.id


def test_fields_that_cannot_work_together_are_named() -> None:
    """A058: cross-field rules of the four policies"""
    row = SourceRow(source_code="north", warehouse_id="7001")
    for kind, body, field, words in (
        ("inventory", InventoryPolicy(use_msi=True, sources=(row, row)), "sources", "is sent to the warehouse 7001 twice"),
        ("inventory", InventoryPolicy(default_quantity_for_zero=True), "default_quantity", "Default Quantity is empty."),
        ("pricing", PricingPolicy(change="decrease_percent", change_amount=Decimal(100)), "change_amount", "leaves no price"),
        ("image", ImagePolicy(default_image="upload:99"), "default_image", "the uploaded picture does not exist"),
    ):
        made = policies.create(kind, title=f"{kind} {field}", body=body, actor="ann")
        assert (made.valid, made.problems[0]["field"]) == (False, field)
        assert words in made.problems[0]["message"]
    with pytest.raises(PolicyErrors) as caught:
        policies.parse("inventory", {"sources": [{"source_code": "north", "warehouse_id": " "}]})
    assert caught.value.by_field == {"sources": "Sources and TikTok warehouses, row 1 is empty."}


def test_uploaded_pictures_are_decoded_kept_once_and_forgotten_when_nothing_names_them() -> None:
    """A063: JPG or PNG by content, 2 MB at most"""
    jpeg, png = (picture(kind) for kind in ("JPEG", "PNG"))
    first = policy_images.store(png, "C:\\fakepath\\logo.jpg", actor="ann")
    assert (first.media_type, first.file_name, first.width, first.height) == ("image/png", "logo.jpg", 40, 30)
    assert policy_images.store(png, "again.png", actor="bob").id == first.id
    for content, words in (
        (b"<svg onload=alert(1)>", "is not a JPG or PNG picture"),
        (picture("GIF"), "is not a JPG or PNG picture"),
        (png[:-40], "is not a JPG or PNG picture"),
        (png + b"x" * 2 * 1024 * 1024, "2 MB are allowed"),
    ):
        with pytest.raises(DomainError, match=words):
            policy_images.store(content, "logo.png", actor="ann")
    policies.create("image", title="Mine", body=ImagePolicy(default_image=policy_images.reference(first)), actor="ann")
    with unit_of_work() as session:
        loose = PolicyImage(file_name="x", media_type="image/png", content=b"x", sha256="x", width=1, height=1)
        session.add(loose)
        session.flush()
        session.execute(update(PolicyImage).values(created_at=utcnow() - timedelta(days=2)))
    policy_images.store(jpeg, "photo.jpg", actor="ann")
    assert db.session.scalars(select(PolicyImage.sha256).order_by(PolicyImage.id)).all() == [hashlib.sha256(png).hexdigest(), hashlib.sha256(jpeg).hexdigest()]


def picture(kind: str) -> bytes:
    out = BytesIO()
    Image.new("RGB", (40, 30), "teal").save(out, kind)
    return out.getvalue()
