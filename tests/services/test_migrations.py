"""Migrations on both databases: one head, models and schema agree, down and up again."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import flask_migrate
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import inspect, select

from connector.core.clock import utcnow
from connector.core.db import Base, db, unit_of_work
from connector.models.account import SANDBOX, Account, MagentoConnection
from connector.models.aftersales import RecallTask
from connector.models.order import Order
from connector.models.product import Product, ProductView


def test_there_is_one_head(app: Flask) -> None:
    script = ScriptDirectory.from_config(app.extensions["migrate"].migrate.get_config())
    assert len(script.get_heads()) == 1


def test_models_and_schema_agree(app: Flask) -> None:
    with db.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = [found for found in compare_metadata(context, Base.metadata) if not _is_only_the_spelling(found)]
    assert differences == []


def _is_only_the_spelling(found: object) -> bool:
    """Partial indexes are reflected with other parentheses than they were written with."""
    return isinstance(found, tuple) and str(found[0]) in ("add_index", "remove_index") and bool(found[1].dialect_options["postgresql"].get("where") is not None)


def test_down_and_up_again(app: Flask) -> None:
    with unit_of_work() as session:
        store = MagentoConnection(base_url="https://store.example")
        account = Account(title="GB shop", country="GB", environment=SANDBOX)
        session.add_all([store, account])
        session.flush()
        product = Product(magento_id=store.id, entity_id=1, sku="TEE", sku_key="tee", type_id="simple", status=1)
        order = Order(
            account_id=account.id,
            number="1",
            remote_status="CANCELLED",
            remote_updated_at=utcnow(),
            digest="0" * 32,
            placed_at=utcnow(),
            currency="GBP",
            total=Decimal(1),
        )
        session.add_all([product, order])
        session.flush()
        session.add_all([ProductView(product_id=product.id, store_view="en"), RecallTask(account_id=account.id, order_id=order.id)])
    db.session.remove()
    flask_migrate.downgrade(revision="0003")
    flask_migrate.upgrade()
    assert db.session.scalars(select(ProductView.store_view)).all() == ["en"], "a column that goes takes no row along"
    recall = db.session.scalars(select(RecallTask)).one()
    assert recall.due_at - recall.opened_at == timedelta(days=3)
    db.session.remove()
    flask_migrate.downgrade(revision="base")
    assert set(inspect(db.engine).get_table_names()) <= {"alembic_version"}
    flask_migrate.upgrade()
    assert {"order", "order_line", "job_run", "account", "policy"} <= set(inspect(db.engine).get_table_names())
