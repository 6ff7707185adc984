"""The trouble shelf, whole path: import, mapping, assigning, checking, uploading, audit and status sync over real HTTP (A157, A158, A161; issue of bad records).

One world for the module: it is made once (some twenty runs), and each test looks at what became of one product. One database is enough: what is asked
here is what each fault is told as, and the services that write the rows are tested on both databases elsewhere.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import select

from connector import create_app
from connector.config import Config
from connector.core import redis as redis_connections
from connector.core.db import db
from connector.domain.policies import IMAGE, INVENTORY, PRICING
from connector.models.account import Account, ShopReference
from connector.models.listing import CategoryAttribute, Listing
from connector.models.product import Product
from connector.models.run import JobItem
from connector.practice.magento.shelf import FAULTS, ODDITIES
from connector.practice.serve import PracticeServer
from connector.services import policies
from connector.services.attributes import mapping
from connector.services.templates import editing
from connector.supervisor.valkey import EmbeddedValkey
from tests.factories.accounts import connect
from tests.factories.shop import Market, perform

pytestmark = pytest.mark.sqlite_only  # one world for the module; the verdicts depend on no database

#: Templates beside the shelf's: the category of the first gets subcategories later, that of the second a required attribute.
SHELF, SPLIT, STRICTER = "Shopping Bags", "Mirrors", "Baskets"


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
    query = select(Listing.id, Product.sku).join(Product, Product.id == Listing.product_id).where(Listing.template_id.is_not(None)).order_by(Listing.id)
    items = [(str(listing_id), sku) for listing_id, sku in db.session.execute(query)]
    db.session.commit()
    perform("products.validate", account.id, items=items)
    run = perform("products.upload", account.id, items=items)
    world.uploads = {item.label: item for item in db.session.scalars(select(JobItem).where(JobItem.run_id == run.id))}
    db.session.commit()
    _carry_out("products.sync_status", account.id)


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
    query = editing.query_of(join, [{"attribute": attribute, "operator": operator, "value": value} for attribute, operator, value in rows])
    options = editing.options_from({"usual_length": "30", "usual_width": "20", "usual_height": "10"})
    draft = editing.Draft(account_id=world.account_id, name=category, category_id=world.leaf(category), query=query, options=options, **chosen)
    editing.learn_category(editing.create(draft, actor="tests").id, actor="tests")


def test_dump(world: World) -> None:
    rows = db.session.execute(select(Listing, Product.sku).join(Product, Product.id == Listing.product_id)).all()
    for l, sku in rows:
        print(sku, "|", l.validation, l.marketplace_state, l.remote_status, l.failure_code, l.failure_message)
        for p in l.problems:
            print("    ", p)
        it = world.uploads.get(sku)
        print("    ITEM", it and (it.state, it.code, it.message, it.remedy))
    print(set(FAULTS) - {sku for _, sku in rows}, set(ODDITIES) - {sku for _, sku in rows})
