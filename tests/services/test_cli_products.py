"""``flask connector products ...`` and ``templates ...`` (product.md 12): what scripts call, against the practice servers, with a real worker beside it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Protocol

import pytest
from flask import Flask
from sqlalchemy import func, select

from connector.core.db import db, unit_of_work
from connector.models.account import Account
from connector.models.listing import Listing
from connector.models.run import JobRun
from connector.services.templates import filling
from tests.factories import listings
from tests.factories.listings import Desk
from tests.factories.racing import at_a_shell
from tests.factories.shop import Market

pytestmark = pytest.mark.sqlite_only  # the commands submit runs and wait; services and jobs are tested on both databases


class Answer(Protocol):
    exit_code: int
    stdout: str
    stderr: str


Command = Callable[..., Answer]


@pytest.fixture
def connector(app: Flask) -> Command:
    """Run a command as a shell would, while a worker does what it submits."""

    def run(*words: str) -> Answer:
        db.session.commit()
        answer: Answer = at_a_shell(app, *words)
        db.session.expire_all()
        return answer

    return run


@pytest.fixture
def desk(connected_account: Account, market: Market) -> Desk:
    return listings.a_desk(connected_account, market)


def told(answer: Answer) -> dict[str, Any]:
    """The JSON object of the last line."""
    return json.loads(answer.stdout.strip().splitlines()[-1])


def number_of_runs() -> int:
    count = db.session.scalar(select(func.count()).select_from(JobRun))
    db.session.commit()
    return count or 0


def test_products_are_imported_validated_uploaded_and_synchronised_from_the_command_line(desk: Desk, connector: Command) -> None:
    title = desk.account.title
    answer = connector("products", "import", title, "--full", "--json")
    (run,) = told(answer)["runs"]
    assert (answer.exit_code, run["kind"], run["state"], run["seen"]) == (0, "products.import", "succeeded", 40)
    answer = connector("products", "stock", title)
    assert answer.exit_code == 0
    assert "Stock of 38 products read" in answer.stderr

    mug = desk.listing("MUG-01")
    answer = connector("products", "validate", title, "mug-01")
    assert answer.exit_code == 0, answer.stderr
    assert listings.fresh(mug).validation == "ready"
    desk.market.post("audit", delay_seconds=0)
    answer = connector("products", "upload", title, "MUG-01", "--json")
    assert answer.exit_code == 0, answer.stdout
    assert {key: told(answer)["runs"][0][key] for key in ("kind", "state", "total", "done", "failed")} == {
        "kind": "products.upload", "state": "succeeded", "total": 1, "done": 1, "failed": 0,
    }  # fmt: skip
    assert told(answer)["failed"] == []
    assert [one["id"] for one in desk.truth()] == [listings.fresh(mug).tiktok_id]
    for words, status in ((("deactivate",), "SELLER_DEACTIVATED"), (("activate",), "ACTIVATE"), (("sync-status",), "ACTIVATE"), (("sync",), "ACTIVATE")):
        answer = connector("products", *words, title, "--all")
        assert answer.exit_code == 0, answer.stderr
        assert (desk.truth()[0]["status"], listings.fresh(mug).remote_status) == (status, status)
    by = db.session.scalars(select(JobRun.started_by).where(JobRun.kind.startswith("products."))).all()
    assert set(by) == {"command line"}


def test_a_product_that_fails_is_named_with_its_remedy_and_the_exit_status_is_1(desk: Desk, connector: Command) -> None:
    desk.listing("MUG-01")
    listings.rename(desk.listing("LAMP-01"), "A lamp with a long name, " * 12)
    title = desk.account.title
    answer = connector("products", "upload", title, "--all")
    assert answer.exit_code == 1
    assert "LAMP-01: LAMP-01 is not ready: The title has 299 characters; GB takes 1 to 255. Change the name in Magento" in answer.stderr
    assert [one["skus"][0]["seller_sku"] for one in desk.truth()] == ["MUG-01"]
    answer = connector("products", "validate", title, "LAMP-01", "--json")
    (problem,) = told(answer)["failed"]
    assert answer.exit_code == 1
    assert problem["label"] == "LAMP-01"
    assert problem["remedy"].startswith("Change the name in Magento")


def test_what_is_not_there_is_refused_with_a_remedy_and_starts_nothing(desk: Desk, connector: Command) -> None:
    desk.listing("MUG-01")
    before, title = number_of_runs(), desk.account.title
    for words, expected in (
        (
            ("upload", title, "MUG-01", "CAP-01", "NO-SUCH"),
            f"No listing of {title}: CAP-01, NO-SUCH. Import the products and assign them to a listing template",
        ),
        (("sync", title), "No product was named. Give Magento SKUs, or --all."),
        (("import", "Nobody's shop"), f'There is no account "Nobody\'s shop". Known accounts: {title}.'),
    ):
        answer = connector("products", *words)
        assert answer.exit_code == 1
        assert expected in answer.stderr
    assert number_of_runs() == before


def test_templates_take_their_products_from_the_command_line(desk: Desk, connector: Command) -> None:
    with unit_of_work() as session:
        wanted = filling.query_of("all", [{"attribute": "sku", "operator": "starts_with", "value": "TEE"}])
        session.merge(desk.template).query = wanted.model_dump(mode="json")
    answer = connector("templates", "assign", desk.account.title, "--json")
    (run,) = told(answer)["runs"]
    assert (answer.exit_code, run["kind"], run["state"]) == (0, "templates.assign", "succeeded")
    count = db.session.scalar(select(func.count()).select_from(Listing).where(Listing.template_id == desk.template.id))
    assert (count, run["new"]) == (1, 1), "the parent; its variants are not listed on their own"
