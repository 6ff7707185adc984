"""The trouble shelf, whole path: import, mapping, assigning, checking, uploading, audit and status sync over real HTTP (A157, A158, A161; issue of bad records).

One world for the module: it is made once (some twenty runs), and each test looks at what became of one product. One database is enough: what is asked
here is what each fault is told as, and the services that write the rows are tested on both databases elsewhere.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image
from sqlalchemy import select

from connector import create_app
from connector.config import Config
from connector.core import redis as redis_connections
from connector.core.db import db, unit_of_work
from connector.domain import listing_codes as codes
from connector.domain.policies import IMAGE, INVENTORY, PRICING
from connector.models.account import Account, ShopReference
from connector.models.listing import INCOMPLETE, LIVE, NOT_UPLOADED, CategoryAttribute, Listing, ListingSku, ListingTemplate
from connector.models.product import Product
from connector.models.run import JobItem
from connector.practice.magento.shelf import FAULTS, ODDITIES
from connector.practice.serve import PracticeServer
from connector.services import policies
from connector.services.attributes import fetch, mapping
from connector.services.products import actions
from connector.services.templates import editing, filling
from connector.supervisor.valkey import EmbeddedValkey
from tests.factories.accounts import connect
from tests.factories.shop import Market, perform

pytestmark = pytest.mark.sqlite_only  # one world for the module; the verdicts depend on no database

#: Templates beside the shelf's: the category of the first gets subcategories later, that of the second a required attribute.
SHELF, SPLIT, STRICTER = "Shopping Bags", "Mirrors", "Baskets"
#: Types that no template's conditions match: somebody puts them into a template by hand.
BY_HAND = ("BAD-BUNDLE", "BAD-GROUPED")

#: SKU -> (TikTok's code, field, a part of the reason, a part of the remedy) of what stops it.
EXPECTED: dict[str, tuple[int, str, str, str]] = {
    "BAD-NO-IMAGE": (codes.MAIN_IMAGE_MISSING, "main_images", "There is no main image", "Give the product an image in Magento"),
    "BAD-IMAGE-404": (codes.MAIN_IMAGE_MISSING, "main_images", "gone-bad-01.jpg (HTTP 404)", "Upload it to the product in Magento again"),
    "BAD-IMAGE-PAGE": (codes.MAIN_IMAGE_MISSING, "main_images", "The file is a web page", "Save it as JPG or PNG"),
    "BAD-IMAGE-BROKEN": (codes.MAIN_IMAGE_MISSING, "main_images", "damaged or cut off", "Upload the picture to Magento again"),
    "BAD-IMAGE-TINY": (codes.MAIN_IMAGE_MISSING, "main_images", "80 x 80 pixels", "Upload a larger one"),
    "BAD-WEIGHT": (codes.WEIGHT_INVALID, "package_weight", "The weight is missing", "Enter the weight in Magento"),
    "BAD-PRICE-0": (codes.PRICE_INVALID, "skus[0].price", "has a price of 0 USD", "Enter a price above zero"),
    "BAD-OPTION": (codes.ATTRIBUTE_VALUES_UNUSABLE, "product_attributes", "The option 4711 of color has no label", "Give the option a label in Magento"),
    "BAD-NO-CHILDREN": (codes.NO_SKU, "skus", "is a configurable product without variants", "Add simple products to it in Magento"),
    "BAD-300-VARIANTS": (codes.AXIS_DUPLICATE, "skus.sales_attributes", "19 variants are Black / S", "Make every combination of values different"),
    "BAD-CASE-01": (codes.SELLER_SKU_DUPLICATE, "skus[0].seller_sku", "BAD-CASE-01 belongs to another product", "change the SKU"),
    "bad-case-01": (codes.SELLER_SKU_DUPLICATE, "skus[0].seller_sku", "bad-case-01 belongs to another product", "change the SKU"),
    "BAD-BUNDLE": (codes.INPUT_INVALID, "type", "is a bundle product", "List its simple products instead"),
    "BAD-GROUPED": (codes.INPUT_INVALID, "type", "is a grouped product", "List its simple products instead"),
    "BAD-TITLE": (codes.TITLE_LENGTH, "title", "GB takes 1 to 255", "Change the name in Magento"),
    "BAD-NO-TEXT": (codes.PARAMETER_MISSING, "description", "The description is empty", "Give the product a description in Magento"),
}


@dataclass
class World:
    account_id: int
    market: Market
    uploads: dict[str, JobItem]  #: by SKU, of the run that uploaded everything

    def listing(self, sku: str) -> Listing:
        query = select(Listing).join(Product, Product.id == Listing.product_id).where(Product.sku == sku).execution_options(populate_existing=True)
        found = db.session.scalars(query).one()
        db.session.commit()
        return found

    def truth(self, sku: str) -> dict[str, Any]:
        """The marketplace's own record of the product."""
        return self.market.get(f"listings/{self.listing(sku).tiktok_id}")

    def problems(self, sku: str) -> list[dict[str, Any]]:
        return [each for each in self.listing(sku).problems if not each["warning"]]

    def items(self, skus: list[str]) -> list[tuple[str, str]]:
        return [(str(self.listing(sku).id), sku) for sku in skus]

    def leaf(self, name: str) -> str:
        query = select(ShopReference.remote_id).where(ShopReference.account_id == self.account_id, ShopReference.kind == "category", ShopReference.name == name)
        return str(db.session.scalars(query).one())


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory,
    valkey_server: EmbeddedValkey,
    sqlite_template: Path,
    _practice_tiktok: PracticeServer,
    _practice_magento: PracticeServer,
) -> Iterator[World]:
    """Everything of the shelf imported, assigned, checked, uploaded and audited."""
    redis_connections.patient(valkey_server.url).flushall()
    folder = tmp_path_factory.mktemp("shelf")
    shutil.copy(sqlite_template, folder / "connector.sqlite3")
    for server, path, body in ((_practice_tiktok, "reset", {}), (_practice_magento, "seed", {"world": "demo", "shelf": True})):
        requests.post(f"{server.url}/practice/{path}", json=body, timeout=60).raise_for_status()
    config = Config.from_env({"CONNECTOR_INSTANCE": str(folder), "REDIS_URL": valkey_server.url, "LOG_LEVEL": "WARNING"}, testing=True)
    app = create_app(replace(config, practice_tiktok_url=_practice_tiktok.url, practice_magento_url=_practice_magento.url))
    with app.app_context():
        account = connect(app, "GB")
        made = World(account.id, Market(_practice_tiktok.url), {})
        _fill(made, account)
        yield made
        db.session.remove()
        db.engine.dispose()


def _fill(world: World, account: Account) -> None:
    world.market.post("audit", delay_seconds=0)
    _carry_out("products.import", account.id, args={"full": True})
    _carry_out("products.import_stock", account.id)
    chosen = _policies()
    either = [("sku", "starts_with", "BAD-"), ("sku", "starts_with", "ODD-"), ("sku", "eq", "GOOD-01")]
    _template(world, SHELF, chosen, either, join="any")
    _template(world, SPLIT, chosen, [("sku", "eq", "MUG-01")])
    _template(world, STRICTER, chosen, [("sku", "eq", "LAMP-01")])
    for row in db.session.scalars(select(CategoryAttribute).where(CategoryAttribute.account_id == account.id, CategoryAttribute.name == "Material")).all():
        mapping.save(row.id, {"source": "magento", "magento_attribute": "color"})
    _carry_out("templates.assign", account.id)
    actions.assign_by_hand(account.id, [_product(sku).id for sku in BY_HAND], _template_id(SHELF))
    query = select(Listing.id, Product.sku).join(Product, Product.id == Listing.product_id).where(Listing.template_id.is_not(None)).order_by(Listing.id)
    items = [(str(listing_id), sku) for listing_id, sku in db.session.execute(query)]
    db.session.commit()
    perform("products.validate", account.id, items=items)
    run = perform("products.upload", account.id, items=items)
    world.uploads = {item.label: item for item in db.session.scalars(select(JobItem).where(JobItem.run_id == run.id))}
    db.session.commit()
    _carry_out("products.sync_status", account.id)


def _product(sku: str) -> Product:
    return db.session.scalars(select(Product).where(Product.sku == sku)).one()


def _template_id(name: str) -> int:
    return db.session.scalars(select(ListingTemplate.id).where(ListingTemplate.name == name)).one()


def _carry_out(kind: str, account_id: int, **rest: Any) -> None:
    run = perform(kind, account_id, **rest)
    assert run.state in ("succeeded", "partial"), (kind, run.state, run.message)


def _policies() -> dict[str, int]:
    """The seeded policies, completed; Magento's dollars become pounds."""
    chosen = {}
    for kind, values in (
        (IMAGE, {}),
        (PRICING, {"conversion_rate": Decimal("0.8")}),
        (INVENTORY, {"threshold_value": 5, "greater_quantity": 20, "threshold_buffer": 2}),
    ):
        policy = policies.of_kind(kind)[0]
        policies.save(policy.id, title=policy.title, body=policies.body_of(policy).model_copy(update=values), actor="tests", note="")
        chosen[f"{kind}_policy_id"] = policy.id
    return chosen


def _template(world: World, category: str, chosen: dict[str, int], rows: list[tuple[str, str, str]], *, join: str = "all") -> None:
    query = filling.query_of(join, [{"attribute": attribute, "operator": operator, "value": value} for attribute, operator, value in rows])
    options = filling.options_from({"usual_length": "30", "usual_width": "20", "usual_height": "10"})
    draft = filling.Draft(account_id=world.account_id, name=category, category_id=world.leaf(category), query=query, options=options, **chosen)
    editing.learn_category(editing.create(draft, actor="tests").id, actor="tests")


@pytest.mark.parametrize("sku", FAULTS)
def test_what_cannot_be_listed_is_parked_with_reason_field_and_remedy(world: World, sku: str) -> None:
    code, field, reason, remedy = EXPECTED[sku]
    listing, problems, item = world.listing(sku), world.problems(sku), world.uploads[sku]
    assert (listing.validation, listing.marketplace_state, listing.tiktok_id) == (INCOMPLETE, NOT_UPLOADED, None)
    first = problems[0]
    assert (first["code"], first["field"].split("[1001")[0]) == (code, field)
    assert reason in first["reason"]
    assert remedy in first["remedy"]
    assert (item.state, item.code, item.remedy) == ("failed", "listing.not_ready", first["remedy"])
    assert first["reason"] in item.message
    assert (listing.failure_code, listing.failure_message, listing.failure_remedy) == (item.code, item.message, item.remedy)


@pytest.mark.parametrize("sku", ["GOOD-01", *ODDITIES])
def test_what_can_be_put_right_on_the_way_goes_live(world: World, sku: str) -> None:
    """The pictures that arrived are decoded: TikTok takes JPEG and PNG in RGB, 300 to 4000 pixels a side (TTS §5.3.7)."""
    listing, item = world.listing(sku), world.uploads[sku]
    assert (listing.marketplace_state, listing.failure_code, item.state) == (LIVE, None, "done"), item.message
    shown = world.truth(sku)
    assert (shown["status"], shown["audit"]["status"] if isinstance(shown["audit"], dict) else shown["audit"]) == ("ACTIVATE", "APPROVED")
    images = shown["versions"]["live"]["main_images"]
    assert len(images) == (2 if sku == "ODD-ONE-404" else 1)
    for each in images:
        picture = Image.open(BytesIO(requests.get(f"{world.market.url}/obj/{each['uri']}", timeout=30).content))
        picture.load()
        assert (picture.format in ("JPEG", "PNG"), picture.mode, getattr(picture, "n_frames", 1)) == (True, "RGB", 1)
        assert all(300 <= side <= 4000 for side in picture.size)


def test_a_picture_that_is_not_there_is_left_out_with_a_warning(world: World) -> None:
    (warning,) = world.listing("ODD-ONE-404").problems
    assert (warning["warning"], warning["field"]) == (True, "main_images")
    assert "gone-odd-06.jpg" in warning["reason"]
    assert "Upload it to the product in Magento again" in warning["remedy"]


def test_a_description_arrives_without_script_style_handler_and_link(world: World) -> None:
    arrived = world.truth("ODD-SCRIPT")["versions"]["live"]["description"]
    assert "Washed linen, " in arrived and "made by hand" in arrived
    assert not any(word in arrived for word in ("script", "alert", "style", "color:red", "onclick", "steal", "href", "elsewhere"))


def test_what_was_never_evaluated_before_its_upload_knows_its_skus_on_tiktok(world: World) -> None:
    """Nothing here waited for the scheduled evaluation: without these ids no falling stock could be sent."""
    rows = db.session.execute(
        select(Product.sku, ListingSku.tiktok_sku_id, ListingSku.live_quantity).join(Listing, Listing.id == ListingSku.listing_id)
        .join(Product, Product.id == Listing.product_id).where(Listing.marketplace_state == LIVE)
    ).all()  # fmt: skip
    assert {row.sku for row in rows} == {"GOOD-01", *ODDITIES, "MUG-01", "LAMP-01"}
    assert all(row.tiktok_sku_id and row.live_quantity for row in rows)


def test_a_category_that_changes_is_told_and_stops_its_products_only(world: World) -> None:
    """A category got subcategories, another one a required attribute (A123, A127): refetching says what changed and how many products it breaks."""
    split, stricter = world.leaf(SPLIT), world.leaf(STRICTER)
    (required,) = db.session.scalars(select(CategoryAttribute.attribute_id).where(CategoryAttribute.name == "Capacity (ml)"))
    world.market.post(f"categories/{split}", leaf=False)
    world.market.post(f"categories/{stricter}", required=[required])
    readings = {each.category_id: each for each in fetch.refetch(world.account_id)}
    assert {key: (each.sentence(), [change.what for change in each.changes]) for key, each in readings.items()} == {
        world.leaf(SHELF): ("Nothing changed.", []),
        split: ("1 change; breaks 1 product.", ["not_leaf"]),
        stricter: ("1 change; breaks 1 product.", ["required"]),
    }
    for sku in ("MUG-01", "LAMP-01", "GOOD-01"):
        with unit_of_work():
            _product(sku).name += ", second edition"
    run = perform("products.upload", world.account_id, items=world.items(["MUG-01", "LAMP-01", "GOOD-01"]))
    items = {item.label: item for item in db.session.scalars(select(JobItem).where(JobItem.run_id == run.id))}
    assert (run.state, {sku: item.state for sku, item in items.items()}) == ("partial", {"MUG-01": "failed", "LAMP-01": "failed", "GOOD-01": "done"})
    for sku, code, field, reason, remedy in (
        ("MUG-01", codes.CATEGORY_NOT_LEAF, "category_id", "Mirrors", "Choose"),
        ("LAMP-01", codes.ATTRIBUTE_MISSING, f"product_attributes[{required}]", "Capacity (ml)", "Map"),
    ):
        (problem,) = world.problems(sku)
        assert (problem["code"], problem["field"]) == (code, field)
        assert reason in problem["reason"]
        assert remedy in problem["remedy"]
        assert (items[sku].code, items[sku].remedy) == ("listing.not_ready", problem["remedy"])
        listing = world.listing(sku)
        assert (listing.failure_code, listing.marketplace_state) == ("listing.not_ready", LIVE), "what is live stays on sale as it is"
    assert world.truth("GOOD-01")["title"].endswith("second edition")
    assert world.listing("GOOD-01").failure_code is None
