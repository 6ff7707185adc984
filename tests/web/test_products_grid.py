"""The products grid: columns, tabs, filters, actions with their reasons, pictures, importing (A148, A157-A177)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import select

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.grids.query import forget_counts
from connector.models.account import PRODUCTION, Account
from connector.models.listing import IN_REVIEW, INACTIVE, INCOMPLETE, LIVE, NOT_UPLOADED, READY, REJECTED, Listing
from connector.models.product import Product
from connector.models.run import JobItem, JobRun
from connector.models.trace import Event
from connector.services import figures
from connector.services.products import actions
from tests.factories.catalogue import a_configurable, a_listing, a_magento, a_product, a_template
from tests.web.walking import csrf_of

PROBLEMS = [{"code": "listing.title", "field": "title", "reason": "The title has 12 characters.", "remedy": "Write at least 25.", "warning": False}]
REASONS = [{"position": "main image", "reasons": ["Watermark on the picture"], "suggestions": ["Remove the watermark"], "listing_platform": ""}]


class _Media(BaseHTTPRequestHandler):
    """A store's media folder: one large picture, and nothing else."""

    asked: list[str]

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        found = self.path == "/media/catalog/product/t/e/tee.jpg"
        out = BytesIO()
        Image.new("RGB", (900, 600), "teal").save(out, "JPEG")
        self.send_response(200 if found else 404)
        self.send_header("Content-Type", "image/jpeg")
        self.end_headers()
        if found:
            self.wfile.write(out.getvalue())

    def log_message(self, *args: Any) -> None:
        return


@pytest.fixture
def media() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Media", (_Media,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def shop(app: Any) -> Account:
    """A store's products in an account: one in every Marketplace Status, one with a disabled template, one without listing, a configurable."""
    store = a_magento(environment=PRODUCTION)
    with unit_of_work() as session:
        account = Account(title="GB shop", country="GB", environment=PRODUCTION, magento_id=store.id, auth_state="connected", shop_cipher="cipher")
        session.add_all([account, Account(title="Other shop", country="GB", environment=PRODUCTION, magento_id=store.id, active=False)])
    shirts, old = a_template(account), a_template(account, "Old range", enabled=False)
    a_listing(account, a_product(store.id, "NEW-1"), shirts, validation=INCOMPLETE, problems=PROBLEMS)
    for sku, state, status in (("LIVE-1", LIVE, "ACTIVATE"), ("REVIEW-1", IN_REVIEW, "PENDING"), ("HIDDEN-1", INACTIVE, "SELLER_DEACTIVATED")):
        _listed(account, a_product(store.id, sku), shirts, state, status)
    _listed(
        account,
        a_product(store.id, "BAD-1"),
        shirts,
        REJECTED,
        "FAILED",
        audit_status="FAILED",
        audit_reasons=REASONS,
        failure_code="tts.audit",
        failure_message="TikTok Shop rejected it.",
        failure_remedy="Correct it.",
    )
    _listed(account, a_product(store.id, "OLD-1"), old, LIVE, "ACTIVATE")
    a_product(store.id, "FREE-1", name="Free <b>mug</b>", status=2, quantity=0, images=())
    parent, children = a_configurable(
        store.id, "TEE", [{"color": "Black", "size": "S", "price": "10", "quantity": 2}, {"color": "Red", "size": "M", "price": "12.50", "quantity": 5}]
    )
    listing = _listed(account, parent, shirts, LIVE, "ACTIVATE", children=children)
    with unit_of_work():
        for sku, price, quantity in zip(listing.skus, ("9.99", "14.99"), (1, 4), strict=True):
            sku.live_price, sku.live_quantity, sku.stock_due, sku.stock_falls = Decimal(price), quantity, quantity == 4, quantity == 4
    forget_counts()
    return account


def _listed(account: Account, product: Product, template: Any, state: str, status: str, **columns: Any) -> Listing:
    sku = {"live_price": Decimal("19.50"), "live_quantity": 10, "wanted_quantity": 10, "currency": "GBP", "tiktok_sku_id": f"8{product.id:017d}"}
    children = columns.pop("children", ())
    for place, child in enumerate(children):
        assert child.id, place
    row = a_listing(
        account, product, template, children=children, marketplace_state=state, remote_status=status, product_status=status,
        tiktok_id=f"17{product.id:016d}", validation=READY, validated_at=utcnow(), sku=sku, **columns,
    )  # fmt: skip
    db.session.refresh(row)
    return row


def _page(client: FlaskClient, address: str, **headers: str) -> BeautifulSoup:
    answer = client.get(address, headers=headers)
    assert answer.status_code == 200, answer.text[:3000]
    return BeautifulSoup(answer.text, "html.parser")


def _skus(page: BeautifulSoup) -> set[str]:
    return {row.select_one("code").text for row in page.select("tbody tr[data-row]")}


def _row(page: BeautifulSoup, sku: str) -> dict[str, str]:
    """The cells of a row by the headings."""
    heads = [head.get_text(" ", strip=True) for head in page.select("thead th")]
    row = next(row for row in page.select("tbody tr[data-row]") if row.select_one("code").text == sku)
    return dict(zip(heads, (cell.get_text(" ", strip=True) for cell in row.select("td")), strict=True))


def _id(sku: str) -> int:
    return db.session.scalars(select(Product.id).where(Product.sku == sku)).one()


def _bulk(client: FlaskClient, **data: Any) -> Any:
    return client.post("/products/bulk", data={"csrf_token": csrf_of(client), **data})


def test_a162_to_a176_every_column_shows_what_the_catalogue_and_tiktok_know(shop: Account, admin_client: FlaskClient) -> None:
    page = _page(admin_client, "/products/")
    wanted = (
        "Product ID", "Thumbnail", "Name", "SKU", "Marketplace Status", "Validation Status", "Type", "Price", "Visibility", "Quantity", "Product Status",
        "Listing Template", "Marketplace Price", "Marketplace Quantity", "Marketplace Item Id",
    )  # fmt: skip
    assert [head for head in _row(page, "TEE") if head in wanted] == list(wanted)
    live = _row(page, "LIVE-1")
    assert (live["Price"], live["Quantity"], live["Product Status"], live["Listing Template"]) == ("19.50\xa0USD", "10", "Active", "Shirts")
    assert (live["Marketplace Price"], live["Marketplace Quantity"], live["Marketplace Status"], live["Validation Status"]) == (
        "19.50\xa0GBP",
        "10",
        "Live",
        "Ready",
    )
    assert live["Marketplace Item Id"] == f"17{_id('LIVE-1'):016d}"
    parent = _row(page, "TEE")
    assert (parent["Type"], parent["Price"], parent["Quantity"], parent["Marketplace Price"]) == (
        "Configurable",
        "10.00 – 12.50\xa0USD",
        "7",
        "9.99 – 14.99\xa0GBP",
    )
    assert parent["Marketplace Quantity"].startswith("1 – 4")
    assert "to be sent" in parent["Marketplace Quantity"]
    free = _row(page, "FREE-1")
    assert (free["Visibility"], free["Marketplace Status"], free["Validation Status"], free["Listing Template"]) == ("Disabled", "Not uploaded", "", "")
    assert "<b>" in free["Name"], "a name is text, never markup"
    assert "1 missing" in _row(page, "NEW-1")["Validation Status"]
    assert "Write at least 25." in _row(page, "NEW-1")["Validation Status"]
    bad = _row(page, "BAD-1")["Marketplace Status"]
    assert "Watermark on the picture Remove the watermark" in bad
    assert page.select_one("span[title='TikTok: FAILED / audit FAILED']") is not None, "TikTok's own words are kept"
    assert _skus(page).isdisjoint({"TEE-BLACK-S", "TEE-RED-M"}), "variants stand inside their product"


def test_a175_each_tab_shows_its_products_and_their_number(shop: Account, admin_client: FlaskClient) -> None:
    """A175, A242: the statuses stand in a bar above the products"""
    tabs = {
        "not_uploaded": {"NEW-1"}, "in_review": {"REVIEW-1"}, "live": {"LIVE-1", "OLD-1", "TEE"}, "rejected": {"BAD-1"}, "inactive": {"HIDDEN-1"},
        "incomplete": {"NEW-1"}, "error": {"BAD-1"}, "unassigned": {"FREE-1"},
    }  # fmt: skip
    for tab, skus in tabs.items():
        page = _page(admin_client, f"/products/?tab={tab}")
        assert _skus(page) == skus, tab
        link = page.select_one(".grid-tabs a[aria-current]")
        assert link.select_one(".tab-count").text == str(len(skus)), tab
    page = _page(admin_client, "/products/", **{"HX-Request": "true"})
    assert page.html is None, "htmx gets the grid alone"
    assert page.select_one(".grid-tabs a[aria-current] .tab-count").text == "8"


def test_a157_products_are_found_by_name_sku_variant_and_both_systems_ids(shop: Account, admin_client: FlaskClient) -> None:
    parent = _id("TEE")
    entity = db.session.scalar(select(Product.entity_id).where(Product.id == parent))
    free_parent, free_children = a_configurable(shop.magento_id, "UNLISTED", [{"color": "Grey", "size": "L"}])
    for words, skus in (
        ("free <b>", {"FREE-1"}), ("tee-red", {"TEE"}), (f"17{parent:016d}", {"TEE"}), (f"8{parent:017d}", {"TEE"}), (str(entity), {"TEE"}),
        (free_children[0].sku, {free_parent.sku}), ("%", set()),
    ):  # fmt: skip
        assert _skus(_page(admin_client, f"/products/?{_query(q=words)}")) >= skus, words
        assert words != "%" or not _skus(_page(admin_client, "/products/?q=%25"))
    assert {"TEE-RED-M", "TEE"} <= _skus(_page(admin_client, "/products/?variants=yes&q=TEE-RED"))


def test_a157_filters_narrow_by_every_fact(shop: Account, admin_client: FlaskClient) -> None:
    with unit_of_work():
        live = db.session.scalars(select(Listing).where(Listing.product_id == _id("LIVE-1"))).one()
        live.drift, live.assigned_by = [{"field": "title", "label": "Title", "now": "a", "sent": "b", "destructive": False}], "link"
    old = db.session.scalars(select(Listing.template_id).where(Listing.product_id == _id("OLD-1"))).one()
    for query, skus in (
        ("type=configurable", {"TEE"}), ("status=2", {"FREE-1"}), ("quantity_max=0", {"FREE-1"}), (f"template={old}", {"OLD-1"}), ("state=rejected&state=inactive", {"BAD-1", "HIDDEN-1"}),
        ("validation=incomplete", {"NEW-1"}), ("sync=stock_due", {"TEE"}), ("sync=falling", {"TEE"}), ("drift=yes", {"LIVE-1"}), ("assigned=link", {"LIVE-1"}), ("errors=yes", {"BAD-1"}),
        ("cause=audit", {"BAD-1"}), ("state=not_uploaded", {"NEW-1", "FREE-1"}), ("price_min=0.01&tab=unassigned", {"FREE-1"}), ("visibility=1", {"TEE-BLACK-S", "TEE-RED-M"}),
        ("gone=no", set()),
    ):  # fmt: skip
        assert _skus(_page(admin_client, f"/products/?{query}")) == skus, query


def test_a175_the_account_view_says_whose_listings_are_shown(shop: Account, admin_client: FlaskClient) -> None:
    other = db.session.scalars(select(Account.id).where(Account.title == "Other shop")).one()
    page = _page(admin_client, f"/products/?account={other}")
    assert _row(page, "LIVE-1")["Marketplace Status"] == "Not uploaded"
    nothing = _page(admin_client, f"/products/?account={other}&q=nothing-is-called-so")
    assert f"account={other}" in nothing.select_one(".empty-state a")["href"], "clearing the filters keeps the account"
    assert page.select_one(f"select[name=account] option[value='{other}'][selected]") is not None
    assert f"account={other}" in page.select_one("tbody tr a[data-open]")["href"]
    csv = admin_client.get(f"/products/export.csv?account={shop.id}&tab=rejected").text
    assert "BAD-1" in csv
    assert "LIVE-1" not in csv


def test_a158_the_confirm_page_says_what_is_done_and_why_the_rest_is_not_and_the_run_takes_the_rest_out(shop: Account, operator_client: FlaskClient) -> None:
    page = BeautifulSoup(_bulk(operator_client, action="upload", scope="all").text, "html.parser")
    assert page.h1.text == "Upload: 6 products"
    text = page.get_text(" ", strip=True)
    for words in (
        "It is in no listing template. Assign it to a template first.", "Its listing template Old range is disabled. Enable the template", "it is sent when the review has ended",
        "1 problem at the last validation",
    ):  # fmt: skip
        assert words in text, words
    done = _bulk(operator_client, action="upload", scope="all", confirm="1")
    assert done.status_code == 303
    run = db.session.scalars(select(JobRun)).one()
    assert (run.kind, run.account_id, run.started_by, run.total) == ("products.upload", shop.id, "operator@example.test", 6)
    labels = set(db.session.scalars(select(JobItem.label).where(JobItem.run_id == run.id)))
    assert "Tee (TEE)" in labels
    assert not any("OLD-1" in label or "FREE-1" in label for label in labels)
    again = _bulk(operator_client, action="upload", scope="all", confirm="1")
    assert again.headers["Location"].endswith(f"/queue/runs/{run.id}"), "the same work is not put into the queue twice"


@pytest.mark.parametrize(
    ("action", "kind", "args", "skus"),
    [
        ("validate", "products.validate", {}, {"NEW-1", "LIVE-1", "REVIEW-1", "HIDDEN-1", "BAD-1", "TEE"}),
        ("activate", "products.change_status", {"active": True}, {"HIDDEN-1"}),
        ("deactivate", "products.change_status", {"active": False}, {"LIVE-1", "TEE"}),
        ("sync", "products.sync", {}, {"LIVE-1", "REVIEW-1", "HIDDEN-1", "BAD-1", "TEE"}),
        ("sync_status", "products.sync_status", {}, {"LIVE-1", "REVIEW-1", "HIDDEN-1", "BAD-1", "TEE"}),
    ],
)
@pytest.mark.sqlite_only  # one query, which the test above asks of both databases
def test_a157_to_a161_each_action_takes_the_products_that_allow_it(
    shop: Account, operator_client: FlaskClient, action: str, kind: str, args: dict[str, Any], skus: set[str]
) -> None:
    answer = _bulk(operator_client, action=action, scope="all", confirm="1")
    assert answer.status_code == 303, answer.text[:2000]
    run = db.session.scalars(select(JobRun)).one()
    assert (run.kind, run.args) == (kind, args)
    ids = [int(ref) for ref in db.session.scalars(select(JobItem.ref).where(JobItem.run_id == run.id))]
    assert set(db.session.scalars(select(Product.sku).join(Listing, Listing.product_id == Product.id).where(Listing.id.in_(ids)))) == skus


def test_a148_a_disabled_template_refuses_every_action_and_a_lost_authorisation_every_call(shop: Account) -> None:
    old, live = _id("OLD-1"), _id("LIVE-1")
    for action in actions.KINDS:
        (verdict,) = actions.verdicts(action, shop.id, product_ids=[old])
        assert verdict.failing is not None
        assert verdict.failing.code == "listing.template_disabled", action
    listing = db.session.scalars(select(Listing.id).where(Listing.product_id == live)).one()
    assert actions.verdicts("sync", shop.id, listing_ids=[listing])[0].allowed
    with unit_of_work():
        db.session.get_one(Account, shop.id).auth_state = "expired"
    codes = {action: actions.verdicts(action, shop.id, product_ids=[live])[0].failing for action in actions.KINDS}
    assert {action for action, check in codes.items() if check is None} == {"validate"}, "validating asks nobody"
    assert {check.code for action, check in codes.items() if check is not None} == {"account.not_connected"}


def test_products_are_assigned_and_removed_by_hand_with_a_trace(shop: Account, operator_client: FlaskClient) -> None:
    shirts = db.session.scalars(select(Listing.template_id).where(Listing.product_id == _id("LIVE-1"))).one()
    ids = [_id("FREE-1"), _id("OLD-1")]
    ask = BeautifulSoup(_bulk(operator_client, action="assign", scope="ids", ids=ids).text, "html.parser")
    assert [option.text for option in ask.select("select[name=template] option")] == ["Shirts", "Old range (disabled)"]
    done = _bulk(operator_client, action="assign", scope="ids", ids=ids, confirm="1", template=shirts)
    assert done.status_code == 303, done.text[:2000]
    rows = db.session.scalars(select(Listing).where(Listing.product_id.in_(ids)).execution_options(populate_existing=True)).all()
    assert {(row.template_id, row.assigned_by, row.content_due, row.due_at is not None) for row in rows} == {(shirts, "hand", True, True)}
    assert len(db.session.scalars(select(Event).where(Event.kind == "listing.assigned")).all()) == 2
    _bulk(operator_client, row_action=f"remove:{ids[0]}", confirm="1")
    free = db.session.scalars(select(Listing).where(Listing.product_id == ids[0]).execution_options(populate_existing=True)).one()
    assert (free.template_id, free.assigned_by, free.marketplace_state) == (None, "hand", NOT_UPLOADED)


def test_a_viewer_sees_products_and_can_do_nothing_to_them(shop: Account, viewer_client: FlaskClient) -> None:
    page = _page(viewer_client, "/products/")
    assert "LIVE-1" in _skus(page)
    assert page.select_one("form[data-bulk]") is None
    assert not any("import" in str(link.get("href")) for link in page.select("main a"))
    assert _bulk(viewer_client, action="upload", scope="all").status_code == 403
    assert viewer_client.get("/products/import").status_code == 403


def test_a163_a_thumbnail_is_made_once_small_and_kept_by_the_browser(shop: Account, viewer_client: FlaskClient, media: tuple[str, list[str]]) -> None:
    base, asked = media
    with unit_of_work():
        store = db.session.get_one(Account, shop.id).magento
        assert store is not None
        from connector.models.account import StoreReference

        for view in db.session.scalars(select(StoreReference).where(StoreReference.kind == "store_view")):
            view.data = {**view.data, "config": {**view.data["config"], "secure_base_media_url": f"{base}/media/"}}
    image = _page(viewer_client, "/products/?tab=live").select_one("img.thumb")
    assert (image["loading"], image["width"], image["height"], bool(image["alt"])) == ("lazy", "40", "40", True)
    first = viewer_client.get(image["src"])
    assert (first.status_code, first.mimetype) == (200, "image/webp")
    assert "immutable" in first.headers["Cache-Control"]
    with Image.open(BytesIO(first.data)) as small:
        assert small.size == (96, 64)
    assert viewer_client.get(image["src"]).data == first.data
    assert len(asked) == 1, "the store is asked once"
    with unit_of_work():
        db.session.get_one(Product, _id("OLD-1")).image = "/n/o/none.jpg"
    for _ in range(2):
        missing = viewer_client.get(f"/products/{_id('OLD-1')}/thumbnail")
        assert (missing.status_code, missing.mimetype) == (200, "image/svg+xml")
        assert "max-age=300" in missing.headers["Cache-Control"]
    assert len(asked) == 2, "a missing picture is not asked for again at once"
    assert _page(viewer_client, "/products/?tab=unassigned").select_one(".thumb-none[aria-label='No picture']") is not None


def test_an_empty_catalogue_says_what_to_do_next_and_importing_starts_a_run(app: Any, admin_client: FlaskClient) -> None:
    assert "No account yet" in _page(admin_client, "/products/").main.text
    assert "No account yet" in _page(admin_client, "/products/import").main.text
    store = a_magento(environment=PRODUCTION)
    with unit_of_work() as session:
        account = Account(title="GB shop", country="GB", environment=PRODUCTION, magento_id=store.id)
        session.add(account)
    page = _page(admin_client, "/products/")
    assert page.select_one(".empty-state a")["href"] == "/products/import"
    form = _page(admin_client, "/products/import")
    assert [field["value"] for field in form.select("input[name=what]")] == ["changed", "full", "stock"]
    for what, kind, args in (("changed", "products.import", {"full": False}), ("stock", "products.import_stock", {})):
        answer = admin_client.post("/products/import", data={"csrf_token": csrf_of(admin_client), "account": account.id, "what": what})
        assert answer.status_code == 303, answer.text[:2000]
        run = db.session.scalars(select(JobRun).where(JobRun.kind == kind)).one()
        assert (run.account_id, run.args) == (account.id, args)
    a_product(store.id, "FIRST-1")
    assert "No listing template yet" in _page(admin_client, "/products/").main.text


def test_today_counts_what_the_catalogue_needs_and_each_number_leads_to_its_products(shop: Account, admin_client: FlaskClient) -> None:
    (line,) = figures.catalogue()
    assert (line.rejected, line.incomplete, line.failed, line.falling, line.oversell, line.unread, line.price_blocked) == (1, 1, 1, 1, 0, 0, 0)
    with unit_of_work():
        for listing in db.session.scalars(select(Listing).where(Listing.product_id.in_([_id("TEE"), _id("LIVE-1")]))):
            sku = listing.skus[-1]
            if sku.stock_falls:
                sku.stock_refused_code, sku.price_block = "12052097", "The price is below the floor."
            else:
                sku.wanted_quantity = None
    (line,) = figures.catalogue()
    assert (line.oversell, line.unread, line.price_blocked) == (1, 1, 1)
    page = _page(admin_client, "/")
    for heading, skus in (
        ("Oversell risk", {"TEE"}),
        ("Price blocked", {"TEE"}),
        ("Stock unread", {"LIVE-1"}),
        ("Rejected", {"BAD-1"}),
        ("Details missing", {"NEW-1"}),
    ):
        card = next(card for card in page.select("article.figure") if card.h3.text == heading)
        assert card.strong.text == "1", heading
        assert _skus(_page(admin_client, card.a["href"])) == skus, heading


def _query(**values: str) -> str:
    from urllib.parse import urlencode

    return urlencode(values)
