"""The catalogue part of the demonstration: import Magento's products, list a hundred of them, and ask the marketplace what became of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from bench.house import House

#: Load-test products that are listed beside the two products with variants; two of them are called what the marketplace's audit refuses.
BULK, REFUSED = 100, 2
AUDIT_SECONDS = 5

Say = Callable[[str], None]


def list_products(house: House, app: Any, account_id: int, say: Say, *, audit_seconds: int = AUDIT_SECONDS) -> dict[str, Any]:
    """Import, map, assign, upload and wait for the audit. What is reported is asked of the practice marketplace and the practice store."""
    house.post("tiktok", "audit", {"delay_seconds": audit_seconds})
    for number in range(1, REFUSED + 1):
        house.post("magento", f"products/BULK-{number:06d}", {"name": f"Replica of a famous box, number {number}"})
    with app.app_context():
        _run(house, "products.import", account_id, full=True)
        _run(house, "products.import_stock", account_id)
        imported = _imported()
        say(f"Imported {imported} products from Magento.")
        policies = _policies()
        _template(account_id, "Clothing", "Men's T-shirts", policies, [("type", "in", "configurable")])
        _template(account_id, "Boxes", "Storage Boxes", policies, [("sku", "starts_with", "BULK-"), ("sku", "neq", "BULK-000000")])
        _map_attributes(account_id)
        _run(house, "templates.assign", account_id)
        items = _listings(account_id)
        say(f"{len(items)} products assigned to two listing templates; uploading them.")
        began = time.monotonic()
        _run(house, "products.upload", account_id, items=items)
        say(f"Uploaded in {time.monotonic() - began:.1f} s; the marketplace audits them.")
    _wait_for_audits(house)
    with app.app_context():
        _run(house, "products.sync_status", account_id, items=items)
        for problem in _problems(account_id):
            say(problem)
    found = house.get("tiktok", "listings", shop="GB", limit=1000)["by_status"]
    say(f"The marketplace has {found}.")
    return {"products_imported": imported, "listings_live": found.get("ACTIVATE", 0), "listings_rejected": found.get("FAILED", 0)}


def oversold(house: House) -> int:
    """SKUs of which more can be bought than the store has, or of which more was sold than there was: asked of both practice servers."""
    offered: dict[str, int] = {}
    for listing in house.get("tiktok", "listings", shop="GB", status="ACTIVATE", limit=1000)["listings"]:
        for sku in listing["skus"]:
            offered[sku["seller_sku"]] = offered.get(sku["seller_sku"], 0) + sku["available"]
    stocks = {row["sku"]: row["salable"] for row in house.get("magento", "ledger")["stocks"] if row["stock_id"] == 2}
    return sum(1 for sku, units in offered.items() if units > stocks.get(sku, 0) or stocks.get(sku, 0) < 0)


def _imported() -> int:
    from sqlalchemy import func, select

    from connector.core.db import db
    from connector.models.product import Product

    count = db.session.scalar(select(func.count()).select_from(Product).where(Product.gone_at.is_(None)))
    db.session.commit()
    return int(count or 0)


def _policies() -> dict[str, int]:
    """The seeded policies; the inventory policy gets what it lacks, prices are turned from dollars into pounds."""
    from connector.domain.policies import IMAGE, INVENTORY, PRICING
    from connector.services import policies

    chosen = {}
    for kind, values in (
        (IMAGE, {}),
        (PRICING, {"conversion_rate": Decimal("0.8")}),
        (INVENTORY, {"threshold_value": 5, "greater_quantity": 500, "threshold_buffer": 2}),
    ):
        policy = policies.of_kind(kind)[0]
        body = policies.body_of(policy).model_copy(update=values)
        policies.save(policy.id, title=policy.title, body=body, actor="demo", note="For the practice shop")
        chosen[f"{kind}_policy_id"] = policy.id
    return chosen


def _template(account_id: int, name: str, category: str, policies: dict[str, int], rows: list[tuple[str, str, str]]) -> None:
    from sqlalchemy import select

    from connector.core.db import db
    from connector.models.account import ShopReference
    from connector.services.templates import editing, filling

    leaf = db.session.scalar(
        select(ShopReference.remote_id).where(ShopReference.account_id == account_id, ShopReference.kind == "category", ShopReference.name == category)
    )
    query = filling.query_of("all", [{"attribute": attribute, "operator": operator, "value": value} for attribute, operator, value in rows])
    options = filling.options_from({"usual_length": "30", "usual_width": "20", "usual_height": "10", "usual_weight": "0.5"})
    draft = filling.Draft(account_id=account_id, name=name, category_id=str(leaf), query=query, options=options, **policies)
    template = editing.create(draft, actor="demo")
    editing.learn_category(template.id, actor="demo")


def _map_attributes(account_id: int) -> None:
    """Suggestions of 60 % and more are taken; what is required and still open gets TikTok's first recommended value, or a word."""
    from sqlalchemy import select

    from connector.core.db import db
    from connector.models.listing import CategoryAttribute
    from connector.services.attributes import mapping, suggest

    rows = list(db.session.scalars(select(CategoryAttribute).where(CategoryAttribute.account_id == account_id)))
    suggest.apply([row.id for row in rows if row.required or row.is_variant], 60)
    mapped = suggest.mapped_rows([row.id for row in rows])
    db.session.commit()
    for row in rows:
        if row.required and row.id not in mapped:
            values = [value["id"] for value in row.values]
            mapping.save(
                row.id, {"source": "recommended", "recommended_values": values[:1]} if values else {"source": "custom", "custom_value": "Recycled cardboard"}
            )


def _listings(account_id: int) -> list[tuple[str, str]]:
    from sqlalchemy import select

    from connector.core.db import db
    from connector.models.listing import Listing
    from connector.models.product import Product

    found = db.session.execute(
        select(Listing.id, Product.sku)
        .join(Product, Product.id == Listing.product_id)
        .where(Listing.account_id == account_id, Listing.template_id.is_not(None))
    ).all()
    db.session.commit()
    return [(str(row.id), row.sku) for row in found]


def _run(house: House, kind: str, account_id: int, *, items: list[tuple[str, str]] | None = None, **args: Any) -> None:
    """Submit a run and wait for its end."""
    from connector.core.db import db
    from connector.models.run import FINAL_STATES, JobRun
    from connector.services import runs

    run_id = runs.submit(kind, account_id=account_id, args=args, items=items or (), key=f"demo:{kind}", started_by="demo").run_id
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        run = db.session.get(JobRun, run_id, populate_existing=True)
        db.session.commit()
        if run is not None and run.state in FINAL_STATES:
            return
        time.sleep(0.2)
    raise RuntimeError(f"{kind} did not end: {run.state if run else ''} {run.wait_reason if run else ''}\n{(house.folder / 'house.log').read_text()[-2000:]}")


def _wait_for_audits(house: House) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and house.get("tiktok", "listings", shop="GB", limit=1)["by_status"].get("PENDING"):
        time.sleep(0.5)


def _problems(account_id: int) -> list[str]:
    """Why products are not live, each cause once."""
    from sqlalchemy import func, select

    from connector.core.db import db
    from connector.models.listing import LIVE, Listing

    rows = db.session.execute(
        select(Listing.failure_code, func.min(Listing.failure_message), func.count())
        .where(Listing.account_id == account_id, Listing.marketplace_state != LIVE)
        .group_by(Listing.failure_code)
    ).all()
    db.session.commit()
    return [f"Not live: {count}. {code or 'no failure'}: {message}" for code, message, count in rows]
