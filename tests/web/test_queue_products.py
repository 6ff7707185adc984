"""Queue Process / Products: every status once, what a row says, trying again (A221-A225)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask.testing import FlaskClient
from sqlalchemy import select

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.grids.query import forget_counts
from connector.models.account import PRODUCTION, Account
from connector.models.listing import Listing
from connector.models.run import CANCELLED, FAILED, PARTIAL, QUEUED, RUNNING, WAITING, JobItem, JobRun
from connector.services import runs
from tests.factories.catalogue import a_listing, a_magento, a_product, a_template
from tests.web.walking import csrf_of

#: Queue Status -> state of the run, of the item, and what stands beside the status.
CASES: dict[str, tuple[str, dict[str, Any], dict[str, Any], str]] = {
    "Pending": (QUEUED, {}, {}, ""),
    "Scheduled": (QUEUED, {"not_before": True}, {}, "for "),
    "Waiting": (WAITING, {"wait_reason": "TikTok's rate limit"}, {}, "TikTok's rate limit"),
    "Running": (RUNNING, {}, {"stage": "Sending pictures"}, "Sending pictures"),
    "Retrying": (WAITING, {"wait_reason": "TikTok is away"}, {"retry_at": True}, "at "),
    "Parked": (
        PARTIAL,
        {},
        {"state": "failed", "code": "tts.product.title", "message": "The title is too short.", "remedy": "Write at least 25 characters."},
        "",
    ),
    "Done": (PARTIAL, {}, {"state": "done", "message": "Uploaded; in review"}, ""),
    "Cancelled": (CANCELLED, {}, {"state": "cancelled"}, ""),
    "Left out": (PARTIAL, {}, {"state": "skipped", "message": "Nothing differs."}, ""),
}


@pytest.fixture
def queue(app: Any) -> Account:
    """A unit of work in every status, one that a stopped run left behind, and an order's unit that is no business of this grid."""
    store = a_magento(environment=PRODUCTION)
    with unit_of_work() as session:
        account = Account(title="GB shop", country="GB", environment=PRODUCTION, magento_id=store.id, auth_state="connected", shop_cipher="cipher")
        session.add(account)
    template = a_template(account)
    for number, (status, (run_state, run, item, _)) in enumerate(CASES.items()):
        product = a_product(store.id, f"SKU-{number}", name=f"Product {status}")
        listing = a_listing(account, product, template)
        _unit(account, "products.auto_upload" if status == "Parked" else "products.upload", run_state, run, item, str(listing.id), product.name)
    _unit(account, "products.sync", FAILED, {"message": "The run stopped."}, {}, "999999", "Product of a stopped run")
    _unit(account, "products.upload", RUNNING, {}, {"stage": ""}, "not-a-listing", "Product not begun")
    _unit(account, "orders.create", PARTIAL, {}, {"state": "failed"}, "1", "576460000000000001")
    forget_counts()
    return account


def _unit(account: Account, kind: str, state: str, run: dict[str, Any], item: dict[str, Any], ref: str, label: str) -> None:
    soon = utcnow() + timedelta(minutes=5)
    with unit_of_work() as session:
        row = JobRun(
            kind=kind,
            title=kind,
            account_id=account.id,
            state=state,
            started_by="ops@example.test",
            **{**run, **({"not_before": soon} if run.get("not_before") else {})},
        )
        session.add(row)
        session.flush()
        session.add(JobItem(run_id=row.id, ref=ref, label=label, **{**item, **({"retry_at": soon} if item.get("retry_at") else {})}))


def _page(client: FlaskClient, address: str, **headers: str) -> BeautifulSoup:
    answer = client.get(address, headers=headers)
    assert answer.status_code == 200, answer.text[:3000]
    return BeautifulSoup(answer.text, "html.parser")


def _rows(page: BeautifulSoup) -> dict[str, dict[str, str]]:
    """Rows by name, their cells by heading."""
    heads = [head.get_text(" ", strip=True) for head in page.select("thead th")]
    rows = [dict(zip(heads, (cell.get_text(" ", strip=True) for cell in row.select("td")), strict=True)) for row in page.select("tbody tr[data-row]")]
    return {row["Name"]: row for row in rows}


def test_a221_to_a225_each_status_is_shown_once_with_what_it_waits_for(queue: Account, viewer_client: FlaskClient) -> None:
    page = _page(viewer_client, "/queue/products?per_page=50&cols=name,account,template,status,message")
    rows = _rows(page)
    assert len(rows) == len(CASES) + 2, "orders' work is not in it"
    for status, (_, _, _, words) in CASES.items():
        row = rows[f"Product {status}"]
        assert (row["Account Name"], row["Template Name"]) == ("GB shop", "Shirts")
        assert row["Queue Status"].startswith(f"{status} {words}".strip()), row["Queue Status"]
    assert rows["Product of a stopped run"]["Queue Status"] == "Parked", "what a stopped run left behind is not pending for ever"
    assert "The run stopped." in rows["Product of a stopped run"]["What happened"]
    assert rows["Product not begun"]["Queue Status"] == "Pending"
    assert "What to do: Write at least 25 characters." in rows["Product Parked"]["What happened"]
    product = db.session.scalars(select(Listing.product_id).order_by(Listing.id)).first()
    assert page.select_one(f"a[href='/products/{product}?account={queue.id}']") is not None
    assert page.select_one("nav.page-tabs a[aria-current]").text == "Products"
    assert page.select_one("#queue_products-grid")["hx-trigger"].startswith("run:changed"), "it is live"
    assert page.select_one("noscript meta[http-equiv=refresh]") is not None
    assert _page(viewer_client, "/queue/").select_one("nav.page-tabs a[href='/queue/products']") is not None


def test_a225_each_tab_and_filter_shows_its_status_alone(queue: Account, viewer_client: FlaskClient) -> None:
    more = {"Parked": {"Product of a stopped run"}, "Pending": {"Product not begun"}}
    for status in CASES:
        wanted = {f"Product {status}"} | more.get(status, set())
        key = "skipped" if status == "Left out" else status.lower()
        assert set(_rows(_page(viewer_client, f"/queue/products?status={key}"))) == wanted
        if key != "skipped":
            page = _page(viewer_client, f"/queue/products?tab={key}")
            assert set(_rows(page)) == wanted
            assert page.select_one(".grid-tabs a[aria-current] .tab-count").text == str(len(wanted))
    assert set(_rows(_page(viewer_client, "/queue/products?kind=products.sync"))) == {"Product of a stopped run"}
    template = db.session.scalars(select(Listing.template_id)).first()
    assert len(_rows(_page(viewer_client, f"/queue/products?template={template}&q=waiting"))) == 1
    assert "Product Waiting" in viewer_client.get("/queue/products/export.csv?tab=waiting").text


def test_a221_parked_products_are_tried_again_once_and_the_reasons_of_the_others_are_told(
    queue: Account, operator_client: FlaskClient, viewer_client: FlaskClient
) -> None:
    def bulk(client: FlaskClient, **data: Any) -> Any:
        return client.post("/queue/products/bulk", data={"csrf_token": csrf_of(client), "action": "retry", "scope": "all", **data})

    assert bulk(viewer_client).status_code == 403
    text = BeautifulSoup(bulk(operator_client).text, "html.parser").get_text(" ", strip=True)
    assert "Retry: 3 products" in text
    for reason in ("It is done.", "It is still in the queue."):
        assert reason in text
    assert bulk(operator_client, confirm="1").status_code == 303
    started = db.session.scalars(select(JobRun).where(JobRun.started_by == "operator@example.test")).all()
    assert sorted(run.kind for run in started) == ["products.sync", "products.upload"], "automatic uploads are tried again as uploads"
    assert sum(run.total or 0 for run in started) == 3
    text = BeautifulSoup(bulk(operator_client).text, "html.parser").get_text(" ", strip=True)
    assert "Nothing can be done." in text
    assert "It was tried again already." in text


def test_a221_a_real_run_is_in_the_queue_from_its_submission_on(queue: Account, viewer_client: FlaskClient) -> None:
    listing = db.session.scalars(select(Listing).order_by(Listing.id)).first()
    assert listing is not None
    submitted = runs.submit("products.validate", account_id=queue.id, items=[(str(listing.id), "Product Pending (SKU-0)")])
    page = _page(viewer_client, "/queue/products?kind=products.validate", **{"HX-Request": "true"})
    assert page.html is None
    (row,) = _rows(page).values()
    assert (row["Name"], row["SKU"], row["Work"], row["Queue Status"]) == ("Product Pending", "SKU-0", "Validate products", "Pending")
    runs.cancel(submitted.run_id, actor="tests")
    (row,) = _rows(_page(viewer_client, "/queue/products?kind=products.validate")).values()
    assert row["Queue Status"] == "Cancelled"
