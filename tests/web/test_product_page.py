"""A product's page, its preview before a push, its stock ledger, and what is done from there (A157-A177, product.md 5 and 14)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag
from flask.testing import FlaskClient
from sqlalchemy import select

from connector.core.db import db, unit_of_work
from connector.models.account import Account, StoreReference
from connector.models.listing import DELETED, LIVE, REJECTED, Listing, ListingSku, StockEntry
from connector.models.product import Product
from connector.models.run import JobItem, JobRun
from connector.practice.serve import PracticeServer
from connector.services.products import evaluate
from tests.factories import listings
from tests.factories.catalogue import a_configurable, a_listing, a_magento, a_product, a_template
from tests.factories.market import an_account, an_order
from tests.factories.shop import Market, carry_out
from tests.web.test_html_quality import complaints
from tests.web.walking import HTMX, csrf_of

EVIL = "<img src=x onerror=alert(1)>"
EVIL_HTML = (
    "<script>alert(1)</script><h1 onclick='x'>Big</h1><table><tr><td>Cell</td></tr></table><a href='javascript:alert(1)'>Link</a><iframe src='x'></iframe>"
)


@pytest.fixture
def shop(app: Any) -> Account:
    """An account with a simple product that was rejected, a live configurable of three variants, and one product that is in no template."""
    store = a_magento()
    with unit_of_work() as session:
        facts = {"input": "media_image", "frontend_input": "media_image", "id": 87, "scope": "store", "options": {}, "options_by_view": {}}
        session.add(StoreReference(magento_id=store.id, kind="attribute", code="image", label="Base Image", data=facts))
    account = an_account(store)
    shirts = a_template(account)
    a_listing(
        account,
        a_product(store.id, "MUG-1", name=f"Mug {EVIL}", values={"description": EVIL_HTML}),
        shirts,
        tiktok_id="1729000000000000001",
        marketplace_state=REJECTED,
        remote_status="FAILED",
        product_status="FAILED",
        audit_status="FAILED",
        live={"id": "1729000000000000001", "title": "Mug, as TikTok has it", "description": "<p>Old</p>", "skus": []},
        failure_code="listing.rejected",
        failure_message="TikTok Shop's audit refused the product. TikTok Shop says: title: too short.",
        failure_remedy="Correct it in Magento.",
        drift=[{"field": "title", "label": "Title", "now": f"Theirs {EVIL}", "sent": "Ours", "destructive": False}],
    )
    parent, children = a_configurable(store.id, "TEE")
    sku = {"tiktok_sku_id": "", "live_price": Decimal("18.00"), "live_quantity": 12, "live_warehouses": {"w-main": 12}, "currency": "GBP"}
    tee = a_listing(account, parent, shirts, children=children, sku=sku, tiktok_id="1729000000000000002", marketplace_state=LIVE, remote_status="ACTIVATE")
    with unit_of_work():
        for place, row in enumerate(tee.skus):
            row.tiktok_sku_id = f"17300000000000000{place:02d}"
    evaluate.evaluate([tee.id], reason="Assigned to a template")
    a_product(store.id, "FREE-1")
    return account


def _id(sku: str) -> int:
    return db.session.scalars(select(Product.id).where(Product.sku == sku)).one()


def _page(client: FlaskClient, path: str, status: int = 200, **headers: str) -> BeautifulSoup:
    answer = client.get(path, headers=headers)
    assert answer.status_code == status, (path, answer.text[-2000:])
    assert not complaints(answer.text, whole=True), complaints(answer.text, whole=True)
    return BeautifulSoup(answer.text, "html.parser")


def _words(tag: Tag | None) -> str:
    assert tag is not None
    return tag.get_text(" ", strip=True)


def _post(client: FlaskClient, path: str, **values: Any) -> Any:
    headers = values.pop("headers", {})
    return client.post(path, data={"csrf_token": csrf_of(client), **values}, headers=headers)


def test_the_page_shows_states_failure_remedy_one_fix_drift_and_nothing_of_magento_runs_as_markup(shop: Account, operator_client: FlaskClient) -> None:
    path = f"/products/{_id('MUG-1')}?account={shop.id}"
    text = operator_client.get(path).text
    assert "<img src=x" not in text
    assert "<script>alert" not in text
    page = _page(operator_client, path)
    assert page.h1.text == f"Mug {EVIL}"
    assert "FAILED, audit FAILED" in _words(page.select_one(".product-head")), "TikTok's own words"
    alert = page.select_one(".failure")
    assert "says: title: too short." in _words(alert)
    assert "What to do: Correct it in Magento." in _words(alert)
    assert [link.text.strip() for link in alert.select("a.btn, button")] == ["Look at the preview"]
    fields = {row.th.find(string=True): row for row in page.select(".side-by-side tbody tr")}
    title = fields["Title"]
    assert "differs" in _words(title.th), "a difference is said in words"
    assert "Mug, as TikTok has it" in _words(title)
    rendered = fields["Description"].select_one(".description")
    assert _words(rendered) == "Big Cell Link"
    assert not rendered.select("script, h1, table, a, iframe, [onclick]")
    assert "<script>" in fields["Description"].select_one("pre").text, "the source is there on demand"
    drift = page.select_one("#drift")
    assert f"Theirs {EVIL}" in _words(drift)
    assert "ours wins" in _words(drift)
    missing = page.select_one("#problems")
    assert missing.find("a", string=lambda words: bool(words) and "Listing template" in words) is not None, "a problem leads to where it is fixed"
    for heading in ("Price and stock", "What happens by itself", "Timeline", "Work and API calls"):
        assert page.find("h2", string=heading) is not None, heading


def test_variants_stand_with_price_and_stock_of_all_sides_and_why_a_price_is_what_it_is(shop: Account, viewer_client: FlaskClient) -> None:
    page = _page(viewer_client, f"/products/{_id('TEE')}?account={shop.id}")
    rows = {_words(row.th): row for row in page.select("table.variants tbody tr")}
    assert set(rows) == {"TEE-BLACK-S", "TEE-BLACK-M", "TEE-RED-S"}
    black = rows["TEE-BLACK-S"]
    cells = [_words(cell) for cell in black.select("td")]
    assert "19.50\xa0USD" in cells[1]
    assert cells[3] == "18.00\xa0GBP"
    assert cells[4:7] == ["10", "10", "12"]
    assert "differs" in black.select("td")[5]["class"]
    assert "falling stock to be sent" in cells[7]
    steps = black.select("ol.price-steps li") or black.select(".remarks p")
    assert steps, "the price is explained, or why there is none"
    ledger = _page(viewer_client, black.select("td")[5].a["href"])
    assert "What may be sold of TEE-BLACK-S" in _words(ledger.main)


def test_a_viewer_sees_everything_and_can_change_nothing(shop: Account, viewer_client: FlaskClient) -> None:
    tee = _id("TEE")
    for path in (f"/products/{tee}", f"/products/{tee}/preview", f"/products/{tee}/stock"):
        page = _page(viewer_client, f"{path}?account={shop.id}")
        assert not page.select("main form"), path
    for path in ("delete", "recover", "unlink"):
        assert viewer_client.get(f"/products/{tee}/{path}?account={shop.id}").status_code == 403
        assert _post(viewer_client, f"/products/{tee}/{path}?account={shop.id}").status_code == 403
    assert _post(viewer_client, f"/products/{tee}/preview?account={shop.id}", fingerprint="x").status_code == 403
    assert _post(viewer_client, "/products/bulk", row_action=f"sync:{tee}", state=f"account={shop.id}").status_code == 403
    assert db.session.scalar(select(JobRun.id)) is None
    assert viewer_client.get("/products/999999").status_code == 404


def test_the_pages_buttons_are_the_grids_actions_and_say_the_same_reasons(shop: Account, operator_client: FlaskClient) -> None:
    page = _page(operator_client, f"/products/{_id('FREE-1')}?account={shop.id}")
    assert "It is no listing of Shop_GB yet." in _words(page.main)
    form = next(form for form in page.select("main form") if "Assign to template" in form.text)
    asked = operator_client.post(form["action"], data={field["name"]: field["value"] for field in form.select("[name]")})
    assert "Assign to template: 1 product" in asked.text
    page = _page(operator_client, f"/products/{_id('TEE')}?account={shop.id}")
    labels = {button.text.strip() for button in page.select("main .page-head .btn")}
    assert {"Preview and upload", "Validate", "Inventory Price Sync", "Status Sync", "Change Status: Inactive", "Unlink", "Delete on TikTok Shop"} <= labels
    assert "Recover on TikTok Shop" not in labels
    refused = dict(zip((_words(each) for each in page.select("details dt")), (_words(each) for each in page.select("details dd")), strict=True))
    assert refused["Change Status: Active"] == "It is active already. Nothing needs to be done."
    sync = next(form for form in page.select("main form") if "Inventory Price Sync" in form.text)
    values = {field["name"]: field["value"] for field in sync.select("[name]")}
    asked = BeautifulSoup(operator_client.post(sync["action"], data=values).text, "html.parser")
    confirmed = operator_client.post("/products/bulk", data=values | {"confirm": "1"})
    assert asked.h1.text == "Inventory Price Sync: 1 product"
    run = db.session.scalars(select(JobRun)).one()
    assert confirmed.headers["Location"].endswith(f"/queue/runs/{run.id}")
    assert (run.kind, run.total) == ("products.sync", 1)


@pytest.mark.parametrize("headers", [{}, HTMX], ids=["plain", "htmx"])
def test_deleting_and_recovering_are_asked_for_and_then_run(shop: Account, operator_client: FlaskClient, headers: dict[str, str]) -> None:
    tee = _id("TEE")
    ask = _page(operator_client, f"/products/{tee}/delete?account={shop.id}")
    assert "Buyers can no longer find or buy" in _words(ask.main)
    done = _post(operator_client, f"/products/{tee}/delete?account={shop.id}", headers=headers)
    run = db.session.scalars(select(JobRun)).one()
    assert (done.headers.get("HX-Redirect") or done.headers["Location"]).endswith(f"/queue/runs/{run.id}")
    assert (run.kind, run.args, run.title) == ("products.change_status", {"action": "delete"}, "Delete on TikTok Shop")
    refused = _post(operator_client, f"/products/{tee}/recover?account={shop.id}", headers=headers)
    assert refused.status_code == 422
    assert "is not deleted on TikTok Shop" in refused.text
    with unit_of_work():
        db.session.scalars(select(Listing).where(Listing.product_id == tee)).one().marketplace_state = DELETED
    _post(operator_client, f"/products/{tee}/recover?account={shop.id}", headers=headers)
    assert [run.args["action"] for run in db.session.scalars(select(JobRun).order_by(JobRun.id))] == ["delete", "recover"]


def test_unlinking_warns_and_leaves_the_product_on_tiktok(shop: Account, operator_client: FlaskClient) -> None:
    tee = _id("TEE")
    assert "would make a second product of it" in _words(_page(operator_client, f"/products/{tee}/unlink?account={shop.id}").main)
    answer = _post(operator_client, f"/products/{tee}/unlink?account={shop.id}")
    assert answer.headers["Location"] == f"/products/{tee}?account={shop.id}"
    listing = db.session.scalars(select(Listing).where(Listing.product_id == tee).execution_options(populate_existing=True)).one()
    assert (listing.tiktok_id, listing.marketplace_state) == (None, "not_uploaded")
    assert "stays as it is on TikTok Shop" in _words(_page(operator_client, answer.headers["Location"]).select_one(".timeline-list"))


def test_the_stock_ledger_is_an_account_statement_with_holders_other_accounts_and_risks(shop: Account, operator_client: FlaskClient) -> None:
    tee, variant = _id("TEE"), db.session.scalars(select(Product).where(Product.sku == "TEE-RED-S")).one()
    order = an_order(shop, {"TEE-RED-S": 3})
    other = an_account(db.session.get_one(Account, shop.id).magento, "Other_GB")
    a_listing(other, variant, sku={"live_quantity": 9, "wanted_quantity": 9})
    listing = db.session.scalars(select(Listing).where(Listing.product_id == tee)).one()
    evaluate.evaluate([listing.id], reason="An order came")
    sku = db.session.scalars(select(ListingSku).where(ListingSku.listing_id == listing.id, ListingSku.seller_sku == "TEE-RED-S")).one()
    page = _page(operator_client, f"/products/{tee}/stock?account={shop.id}&sku={sku.id}")
    lines = {row.th.find(string=True): [_words(cell) for cell in row.select("td")] for row in page.select(".statement tbody tr")}
    assert lines["Open TikTok orders"] == ["−3", "7"]
    assert _words(page.select_one(".statement tfoot")) == "May be sold 7"
    text = _words(page.main)
    for words in (
        f"3 in {order.number}",
        "Other_GB: 9 on TikTok",
        "too many on TikTok",
        "2 accounts together offer 21 units",
        "Raise the Threshold Buffer",
        "TikTok Shop offers 12 units; 7 units may be sold.",
    ):
        assert words in text, words
    assert page.find("a", href=f"/orders/{order.id}") is not None
    assert "adds up" in _words(page.select_one("#history"))
    assert "Assigned to a template" in _words(page.select_one(".ledger-history"))
    assert any("Push now" in form.text for form in page.select("main form"))
    with unit_of_work():
        db.session.get_one(ListingSku, sku.id).wanted_quantity = 6
    page = _page(operator_client, f"/products/{tee}/stock?account={shop.id}&sku={sku.id}")
    assert "does not add up" in _words(page.select_one("#history"))
    last = db.session.scalar(select(ListingSku.id).order_by(ListingSku.id.desc()).limit(1))
    assert operator_client.get(f"/products/{tee}/stock?account={shop.id}&sku={last + 9}").status_code == 404
    empty = _page(operator_client, f"/products/{_id('FREE-1')}/stock?account={shop.id}")
    assert "No SKU yet" in _words(empty.main)


def test_the_history_of_the_stock_ledger_is_paged(shop: Account, viewer_client: FlaskClient) -> None:
    tee = _id("TEE")
    sku = db.session.scalars(select(ListingSku).where(ListingSku.seller_sku == "TEE-RED-S")).one()
    with unit_of_work() as session:
        session.add_all([StockEntry(listing_sku_id=sku.id, term="open", change=1, balance=0, words=f"Move {number}") for number in range(60)])
    first = _page(viewer_client, f"/products/{tee}/stock?account={shop.id}&sku={sku.id}")
    assert len(first.select(".ledger-history tbody tr")) == 50
    older = _page(viewer_client, next(link["href"] for link in first.select("main a") if link.text.strip() == "Older"))
    rows = older.select(".ledger-history tbody tr")
    assert "Move 9" in _words(rows[0])
    assert any(link.text.strip() == "Newest" for link in older.select("main a"))


@pytest.mark.sqlite_only  # what is shown comes from one query each; the rest is the practice marketplace over HTTP
def test_only_what_the_preview_showed_is_sent_and_a_change_in_between_leads_back_to_a_fresh_preview(
    connected_account: Account, practice_tiktok: PracticeServer, operator_client: FlaskClient
) -> None:
    desk = listings.a_desk(connected_account, Market(practice_tiktok.url), ("MUG-01",))
    listing = desk.listing()
    path = f"/products/{listing.product_id}/preview?account={connected_account.id}"
    page = _page(operator_client, path)
    assert "New on TikTok Shop" in _words(page.main)
    assert "to be uploaded" in str(page.select_one(".side-by-side .picture-row"))
    seen = page.select_one("input[name=fingerprint]")["value"]
    listings.rename(listing, "Stoneware mug with a new name")
    refused = _post(operator_client, path, fingerprint=seen)
    assert refused.status_code == 409
    assert "is no longer as the preview showed it, so nothing was sent" in refused.text
    assert db.session.scalar(select(JobRun.id).where(JobRun.kind == "products.upload")) is None
    fresh = BeautifulSoup(refused.text, "html.parser")
    assert "Stoneware mug with a new name" in _words(fresh.main)
    now = fresh.select_one("input[name=fingerprint]")["value"]
    assert now != seen
    sent = _post(operator_client, path, fingerprint=now, headers=HTMX)
    run = db.session.scalars(select(JobRun).where(JobRun.kind == "products.upload")).one()
    assert sent.headers["HX-Redirect"].endswith(f"/queue/runs/{run.id}")
    assert run.args == {"seen": {str(listing.id): now}}
    listings.rename(listing, "Renamed after the confirmation")
    carry_out(run.id)
    (item,) = db.session.scalars(select(JobItem).where(JobItem.run_id == run.id)).all()
    assert (item.state, item.code) == ("failed", "listing.changed_since"), item.message
    assert desk.truth() == [], "nothing reached the marketplace"
    page = _page(operator_client, f"/products/{listing.product_id}?account={connected_account.id}")
    assert page.select_one(".failure a.btn")["href"] == path
    assert "Look at the preview again" in _words(page.select_one(".failure"))
    again = _page(operator_client, path).select_one("input[name=fingerprint]")["value"]
    carry_out(int(_post(operator_client, path, fingerprint=again).headers["Location"].rpartition("/")[2]))
    assert [row["title"] for row in desk.truth()] == ["Renamed after the confirmation"]
    text = _words(_page(operator_client, f"/products/{listing.product_id}?account={connected_account.id}").main)
    for words in ("In review", "PENDING", "buyers do not see it yet", "Upload products Done", "create_product"):
        assert words in text, words


@pytest.mark.sqlite_only  # as above
def test_the_preview_of_a_live_product_names_what_buyers_would_lose_first(
    connected_account: Account, practice_tiktok: PracticeServer, operator_client: FlaskClient
) -> None:
    desk = listings.a_desk(connected_account, Market(practice_tiktok.url), ("TEE", "TEE-BLA-S", "TEE-BLA-M", "TEE-RED-S"))
    listing = desk.live(desk.listing("TEE"))
    path = f"/products/{listing.product_id}/preview?account={connected_account.id}"
    assert "TikTok Shop has everything as it would be sent." in _words(_page(operator_client, path).main)
    listings.rename(listing, "A better name for the same tee")
    with unit_of_work():
        db.session.scalars(select(Product).where(Product.sku == "TEE-RED-S")).one().status = 2
    page = _page(operator_client, path)
    rows = [_words(row.th) for row in page.select(".side-by-side tbody tr")]
    assert rows[0] == "Variant TEE-RED-S is removed"
    assert "Title" in rows
    assert "Buyers would lose: Variant TEE-RED-S" in _words(page.select_one("main [role=alert]"))
    assert page.select_one("button.btn-danger").text.strip() == "Send these changes"
    lost = _page(operator_client, f"/products/{listing.product_id}?account={connected_account.id}").select_one("table.variants tr.is-lost")
    assert "the next edit deletes it" in _words(lost)
