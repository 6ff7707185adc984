"""Product Linking (A178): what stands on TikTok, suggestions, Assign Products, by hand, from a file, unlinking; with and without htmx."""

from __future__ import annotations

import csv
import io
import os
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask.testing import FlaskClient
from sqlalchemy import select

from connector.core.db import db, unit_of_work
from connector.grids.query import forget_counts
from connector.models.account import Account
from connector.models.listing import Listing, TikTokProduct
from connector.models.product import Product
from connector.models.run import JobItem, JobRun
from connector.practice.serve import PracticeServer
from connector.services.products import kept_files, linking
from tests.factories import listings
from tests.factories.catalogue import a_configurable, a_listing, a_magento, a_product, a_template
from tests.factories.market import an_account
from tests.factories.shop import Market, carry_out
from tests.web.test_html_quality import complaints
from tests.web.walking import HTMX, csrf_of

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def shop(app: Any) -> Account:
    """TikTok products with a sure, a partial and no suggestion, one whose Magento product is taken, one that is linked."""
    store = a_magento()
    account = an_account(store)
    mug = a_product(store.id, "MUG-1")
    parent, _ = a_configurable(store.id, "TEE")
    taken, linked = a_product(store.id, "CAP-1"), a_product(store.id, "BAG-1", name=f"Bag {EVIL}")
    a_listing(account, taken, tiktok_id="17290099")
    listing = a_listing(account, linked, tiktok_id="17290005", marketplace_state="live", remote_status="ACTIVATE")
    rows = (
        ("17290001", f"Mug {EVIL}", ("mug-1",), {"suggested_product_id": mug.id, "suggestion": "case"}),
        (
            "17290002",
            "Tee",
            ("TEE-BLACK-S", "TEE-BLUE-S"),
            {"suggested_product_id": parent.id, "suggestion": "partial", "problem": "Magento has no product with the SKU TEE-BLUE-S; the other ones fit."},
        ),
        ("17290003", "Thing", ("THING",), {"problem": "Magento has no product with the SKU THING."}),
        (
            "17290004",
            "Cap again",
            ("CAP-1",),
            {"suggested_product_id": taken.id, "suggestion": "exact", "problem": "The Magento product is linked to the TikTok product 17290099 already."},
        ),
        ("17290005", "Bag", ("BAG-1",), {"listing_id": listing.id}),
    )
    with unit_of_work() as session:
        for tiktok_id, title, skus, more in rows:
            data = {"id": tiktok_id, "skus": [{"id": f"{tiktok_id}{place}", "seller_sku": sku} for place, sku in enumerate(skus)]}
            session.add(
                TikTokProduct(account_id=account.id, tiktok_id=tiktok_id, title=title, status="ACTIVATE", seller_skus="\n".join(skus), data=data, **more)
            )
    forget_counts()
    return account


def _page(client: FlaskClient, path: str, **headers: str) -> BeautifulSoup:
    answer = client.get(path, headers=headers)
    assert answer.status_code == 200, (path, answer.text[-2000:])
    whole = "HX-Request" not in headers
    assert not complaints(answer.text, whole=whole), complaints(answer.text, whole=whole)
    assert "<img src=x" not in answer.text
    return BeautifulSoup(answer.text, "html.parser")


def _words(tag: Any) -> str:
    assert tag is not None
    return tag.get_text(" ", strip=True)


def _titles(page: BeautifulSoup) -> list[str]:
    return [link.text for link in page.select("tbody tr a[data-open]")]


def _post(client: FlaskClient, path: str, **values: Any) -> Any:
    headers = values.pop("headers", {})
    return client.post(path, data={"csrf_token": csrf_of(client), **values}, headers=headers, content_type="multipart/form-data" if "file" in values else None)


def _row(tiktok_id: str) -> TikTokProduct:
    return db.session.scalars(select(TikTokProduct).where(TikTokProduct.tiktok_id == tiktok_id).execution_options(populate_existing=True)).one()


def test_a178_the_grid_shows_each_tiktok_product_with_its_suggestion_and_what_is_in_the_way(shop: Account, operator_client: FlaskClient) -> None:
    path = f"/products/linking?account={shop.id}"
    page = _page(operator_client, path)
    assert "5 products stand on TikTok Shop: 1 linked, 1 with a sure suggestion, 3 need a decision." in _words(page.main)
    for tab, titles in (
        ("", ["Cap again", f"Mug {EVIL}", "Tee", "Thing"]),
        ("&tab=suggested", [f"Mug {EVIL}"]),
        ("&tab=decision", ["Cap again", "Tee", "Thing"]),
        ("&tab=linked", ["Bag"]),
    ):
        assert _titles(_page(operator_client, path + tab)) == titles, tab
        assert _titles(_page(operator_client, path + tab, **HTMX)) == titles, tab
    text = _words(page.select_one("table"))
    for words in ("Same SKU, other case", "Some SKUs fit", "Magento has no product with the SKU THING.", "ACTIVATE", "TEE-BLACK-S, TEE-BLUE-S"):
        assert words in text, words
    assert page.find("a", href=lambda href: bool(href) and href.startswith(f"/products/{_row('17290001').suggested_product_id}?")) is not None
    assert [link.text.strip() for link in page.select(".page-actions .btn")] == ["From a CSV file", "Suggest again", "Initiate Import", "Assign Products (1)"]
    assert "17290002" in operator_client.get(f"/products/linking/export.csv?account={shop.id}").text
    grid = BeautifulSoup(operator_client.get(f"/products/?account={shop.id}").text, "html.parser")
    assert grid.find("a", href=path) is not None, "the products grid leads here"


def test_a178_an_account_without_anything_read_is_told_what_to_do_next(app: Any, operator_client: FlaskClient) -> None:
    assert "No account yet" in _words(_page(operator_client, "/products/linking").main)
    account = an_account(a_magento())
    page = _page(operator_client, f"/products/linking?account={account.id}")
    assert "Choose Initiate Import" in _words(page.select_one(".empty-state"))
    assert [button.text.strip() for button in page.select(".page-actions .btn-primary")] == ["Initiate Import"]
    refused = _post(operator_client, f"/products/linking/file?account={account.id}", file=(io.BytesIO(b"seller_sku,magento_sku\nA,B\n"), "links.csv"))
    assert refused.status_code == 422
    assert "No products were read from TikTok Shop yet. Choose Import from TikTok Shop first" in refused.text
    nothing = _post(operator_client, f"/products/linking/assign?account={account.id}")
    assert nothing.status_code == 422
    assert "No TikTok product has a sure suggestion." in nothing.text


def test_a178_linking_many_says_which_are_left_out_and_why(shop: Account, operator_client: FlaskClient) -> None:
    state = f"account={shop.id}"
    asked = BeautifulSoup(_post(operator_client, "/products/linking/bulk", action="link", scope="all", state=state).text, "html.parser")
    text = _words(asked.main)
    assert asked.h1.text == "Link as suggested: 2 TikTok products"
    for words in (
        "CAP-1 is linked to another TikTok product already. Unlink that one first.",
        "Magento has no product with the SKU THING.",
        "the other ones fit.",
    ):
        assert words in text, words
    done = _post(operator_client, "/products/linking/bulk", action="link", scope="all", state=state, confirm="1", template="")
    run = db.session.scalars(select(JobRun)).one()
    assert done.headers["Location"].endswith(f"/queue/runs/{run.id}")
    assert (run.kind, run.args, run.account_id) == ("products.link", {"template_id": None}, shop.id)
    refs = set(db.session.scalars(select(JobItem.ref).where(JobItem.run_id == run.id)))
    assert refs == {str(_row("17290001").id), str(_row("17290002").id)}
    unlinked = _post(operator_client, "/products/linking/bulk", row_action=f"unlink:{_row('17290005').id}", state=state, confirm="1")
    assert unlinked.status_code == 303
    assert _row("17290005").listing_id is None


def test_a178_assign_products_is_the_final_step_with_its_counts(shop: Account, operator_client: FlaskClient) -> None:
    template = a_template(shop, "Kitchen")
    page = _page(operator_client, f"/products/linking/assign?account={shop.id}")
    assert "1 product whose SKUs are the same" in _words(page.main)
    assert page.select_one("main button").text.strip() == "Assign 1 product"
    done = _post(operator_client, f"/products/linking/assign?account={shop.id}", template=template.id, headers=HTMX)
    run = db.session.scalars(select(JobRun)).one()
    assert done.headers["HX-Redirect"].endswith(f"/queue/runs/{run.id}")
    assert (run.kind, run.title, run.args, run.total) == ("products.link", "Assign products", {"template_id": template.id}, 1)


def test_a178_a_magento_product_is_chosen_by_hand_and_conflicts_are_explained(shop: Account, operator_client: FlaskClient) -> None:
    row = _row("17290003")
    path = f"/products/linking/{row.id}?account={shop.id}"
    assert "Search by name or SKU" in _words(_page(operator_client, path).main)
    found = {_words(line.select("td")[1]): line for line in _page(operator_client, f"{path}&q=1").select("tbody tr")}
    assert set(found) == {"MUG-1", "CAP-1", "BAG-1"}
    assert "CAP-1 is linked to the TikTok product 17290099 already. Unlink that one first." in _words(found["CAP-1"])
    assert found["CAP-1"].select_one("input").has_attr("disabled")
    taken, mug = (db.session.scalars(select(Product.id).where(Product.sku == sku)).one() for sku in ("CAP-1", "MUG-1"))
    refused = _post(operator_client, f"{path}&q=1", product=taken)
    assert refused.status_code == 422
    assert "is linked to the TikTok product 17290099 already" in refused.text
    assert _post(operator_client, f"{path}&q=1").status_code == 422
    done = _post(operator_client, f"{path}&q=mug", product=mug, template="")
    assert done.status_code == 303
    assert db.session.scalars(select(JobItem.ref)).all() == [f"{row.id}:{mug}"]
    tee = _page(operator_client, f"/products/linking/{_row('17290002').id}?account={shop.id}")
    assert _words(tee.select_one("tbody tr").select("td")[3]) == "1 of 2"
    linked = _page(operator_client, f"/products/linking/{_row('17290005').id}?account={shop.id}")
    assert "Unlink" in _words(linked.main)
    assert linked.select_one("main input[type=radio]") is None
    assert operator_client.get("/products/linking/999999").status_code == 404


def test_a178_every_line_of_a_file_is_judged_before_the_accepted_ones_are_linked(shop: Account, operator_client: FlaskClient) -> None:
    path = f"/products/linking/file?account={shop.id}"
    template = operator_client.get(f"/products/linking/example.csv?account={shop.id}")
    lines = list(csv.reader(io.StringIO(template.text.lstrip("\ufeff"))))
    assert lines[0] == ["tiktok_product_id", "seller_sku", "magento_sku", "title"]
    assert len(lines) == 6, "a line for each SKU that is not linked"
    data = f"tiktok_product_id,seller_sku,magento_sku\n17290001,mug-1,MUG-1\n17290003,THING,{EVIL}\n17299999,,MUG-1\n".encode()
    answer = _post(operator_client, path, file=(io.BytesIO(data), "links.csv"))
    assert not complaints(answer.text, whole=True)
    page = BeautifulSoup(answer.text, "html.parser")
    rows = {_words(row.td): _words(row) for row in page.select("tbody tr")}
    assert "Can be linked" in rows["2"]
    assert f"Magento has no product with the SKU {EVIL}" in rows["3"]
    assert "TikTok Shop had no product 17299999" in rows["4"]
    assert "<img src=x" not in answer.text
    assert db.session.scalar(select(JobRun.id)) is None, "nothing is linked before it is confirmed"
    kept = page.select_one("input[name=kept]")["value"]
    done = _post(operator_client, path, kept=kept, template="")
    run = db.session.scalars(select(JobRun)).one()
    assert done.headers["Location"].endswith(f"/queue/runs/{run.id}")
    (item,) = db.session.scalars(select(JobItem).where(JobItem.run_id == run.id)).all()
    assert item.data["skus"] == {"172900010": db.session.scalars(select(Product.id).where(Product.sku == "MUG-1")).one()}
    for token in (kept, "../../etc/passwd", "0" * 32):
        gone = _post(operator_client, path, kept=token)
        assert gone.status_code == 422
        assert "The file is not kept any more. Choose it again." in gone.text
    assert _post(operator_client, path).status_code == 422


def test_a178_a_viewer_looks_at_linking_and_changes_nothing(shop: Account, viewer_client: FlaskClient) -> None:
    page = _page(viewer_client, f"/products/linking?account={shop.id}")
    assert not page.select(".page-actions .btn")
    assert not page.select("form[data-bulk]")
    row = _row("17290001").id
    assert not _page(viewer_client, f"/products/linking/{row}?account={shop.id}").select("main form button.btn-primary")
    for path in (f"linking/{row}", "linking/read", "linking/suggest", "linking/assign", "linking/file"):
        assert _post(viewer_client, f"/products/{path}?account={shop.id}").status_code == 403, path
    assert _post(viewer_client, "/products/linking/bulk", action="link", scope="all", state=f"account={shop.id}").status_code == 403
    assert db.session.scalar(select(JobRun.id)) is None


@pytest.mark.sqlite_only  # the practice marketplace over HTTP; the database makes no difference
def test_a178_from_initiate_import_to_linked_products(connected_account: Account, practice_tiktok: PracticeServer, operator_client: FlaskClient) -> None:
    listings.imported(connected_account, ("MUG-01", "CAP-01"))
    Market(practice_tiktok.url).post("catalogue/seed", shop="GB", products=6)
    here = f"account={connected_account.id}"
    started = _post(operator_client, f"/products/linking/read?{here}")
    assert started.headers["Location"] == f"/products/linking?{here}"
    waiting = _page(operator_client, started.headers["Location"])
    assert "Read listings from TikTok" in _words(waiting.select_one(".run-card")), "its progress is on the page"
    run = db.session.scalars(select(JobRun).where(JobRun.kind == "products.read_listings")).one()
    _post(operator_client, f"/products/linking/read?{here}")
    assert len(db.session.scalars(select(JobRun).where(JobRun.kind == "products.read_listings")).all()) == 1, "one import at a time"
    assert "products read from TikTok Shop" in carry_out(run.id).message
    sure = linking.figures(connected_account.id).suggested
    assert sure
    a_product(connected_account.magento_id, "BELT-01", entity_id=77_001)
    assert _post(operator_client, f"/products/linking/suggest?{here}").status_code == 303
    done = _post(operator_client, f"/products/linking/assign?{here}", template="")
    run = carry_out(int(done.headers["Location"].rpartition("/")[2]))
    assert run.state == "succeeded", run.message
    assert db.session.scalar(select(Listing.tiktok_id).where(Listing.account_id == connected_account.id)) is not None
    assert linking.figures(connected_account.id).linked >= sure


def test_files_that_nobody_confirmed_are_cleared_away(app: Any) -> None:
    token = kept_files.keep(b"a")
    assert kept_files.read(token) == b"a"
    old = kept_files._path(token)
    assert old.stat().st_mode & 0o777 == 0o600
    os.utime(old, (0, 0))
    kept_files.keep(b"b")
    assert not old.exists()
