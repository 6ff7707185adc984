"""The listing template pages (A139-A156), without JavaScript and with htmx."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from connector.core.db import db, unit_of_work
from connector.models.account import SANDBOX, Account
from connector.models.listing import LIVE, Listing, ListingTemplate
from connector.models.product import Product
from connector.models.run import JobRun
from connector.services import policies
from connector.services.templates.assign import assign
from tests.factories.catalogue import a_product, an_account_with_categories
from tests.web.walking import HTMX


@pytest.fixture
def account(app: Flask) -> Account:
    account = an_account_with_categories()
    for sku, name in (("TEE-1", "Plain T-shirt"), ("TEE-2", "Striped T-shirt"), ("MUG-1", "Mug")):
        a_product(account.magento_id, sku, name=name, values={"color": "6"})
    return account


def typed(**changes: Any) -> dict[str, Any]:
    """What a person typed into a new template."""
    kinds = {"image_policy_id": "image", "pricing_policy_id": "pricing", "inventory_policy_id": "inventory"}
    values = {field: str(policies.of_kind(kind)[0].id) for field, kind in kinds.items()}
    values |= {"name": "Shirts", "enabled": "y", "priority": "100", "category_id": "602", "match": "all", "seller_sku_attribute": "sku", "then": "save"}
    values |= {"conditions-0-attribute": "sku", "conditions-0-operator": "starts_with", "conditions-0-value": "tee"}
    return {**values, **changes}


def post(client: FlaskClient, url: str, data: dict[str, Any], **rest: Any) -> Any:
    token = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', client.get("/me").text)
    return client.post(url, data={"csrf_token": token[1], **data}, **rest)


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", answer.text)))


def template() -> ListingTemplate:
    db.session.expire_all()
    return db.session.scalars(select(ListingTemplate).order_by(ListingTemplate.id.desc())).first()


def test_a_newcomer_is_told_what_a_template_is_for_and_what_it_needs_first(app: Flask, admin_client: FlaskClient) -> None:
    page = text_of(admin_client.get("/templates/"))
    assert "No listing templates yet" in page
    assert "which Magento products go to TikTok" in page
    assert "No Active/Valid Accounts Found" in text_of(admin_client.get("/templates/new"))
    assert "Products are assigned by the queries of templates." in text_of(admin_client.get("/templates/assign"))


def test_a_template_is_made_tried_saved_and_assigned(account: Account, operator_client: FlaskClient) -> None:
    """A139-A141, A145, A147, A150: category by browsing, Apply Query before saving, the message, then Assign now"""
    page = operator_client.get("/templates/new")
    assert page.status_code == 200
    assert "None chosen yet." in page.text
    answer = post(operator_client, "/templates/new", typed(then="browse:600", category_id="", name="Half typed"))
    assert answer.status_code == 200
    assert 'value="Half typed"' in answer.text  # nothing is lost
    assert 'value="browse:601"' in answer.text
    assert "is open by invitation only" in answer.text
    assert 'value="choose:603"' not in answer.text
    answer = post(operator_client, "/templates/new", typed(then="search", category_search="shirt", category_id=""))
    assert "Clothes > Shirts > T-shirts" in text_of(answer)
    answer = post(operator_client, "/templates/new", typed(then="recommend", category_id=""))
    assert "By the words of 2 matching products" in text_of(answer)
    answer = post(operator_client, "/templates/new", typed(then="apply", category_id=""))
    assert "2 products match" in text_of(answer)
    assert "TEE-1 Plain T-shirt simple" in text_of(answer)
    assert db.session.scalar(select(func.count()).select_from(ListingTemplate)) == 0

    answer = post(operator_client, "/templates/new", typed())
    made = template()
    assert answer.location == f"/templates/?created={made.id}"
    page = operator_client.get(answer.location)
    assert "Template successfully created" in page.text
    assert "2 products match its query." in text_of(page)
    assert made.query == {"match": "all", "conditions": [{"attribute": "sku", "operator": "starts_with", "value": "tee", "kind": "text"}]}

    answer = post(operator_client, f"/templates/{made.id}/assign", {})
    run = db.session.scalars(select(JobRun).where(JobRun.kind == "templates.assign")).one()
    assert answer.location == f"/queue/runs/{run.id}"
    assert (run.args, run.account_id) == ({"template_id": made.id}, account.id)
    assert post(operator_client, "/templates/assign", {"account": str(account.id)}).status_code == 303

    page = operator_client.get(f"/templates/{made.id}").text
    assert 'value="Shirts"' in page
    assert 'id="conditions-0-value" name="conditions-0-value" value="tee"' in page
    answer = post(operator_client, f"/templates/{made.id}", typed(name="Tees", seen_version="1", then="close", usual_weight="0.2"))
    assert answer.location == "/templates/"
    assert (template().name, template().version, template().options) == ("Tees", 2, {"usual_weight": "0.2"})
    answer = post(operator_client, f"/templates/{made.id}", typed(name="Mine", seen_version="1"))
    assert answer.status_code == 422
    assert "saved by somebody else" in answer.text


def test_conditions_are_added_and_removed_and_mistakes_come_back_at_their_place(account: Account, operator_client: FlaskClient) -> None:
    """A156: with a plain button and with htmx, which gets its part alone"""
    several = {"conditions-3-attribute": "color", "conditions-3-operator": "contains", "conditions-3-value": ["Red", "Grey"]}
    for headers in ({}, HTMX):
        answer = post(operator_client, "/templates/new", typed(then="add", **several), headers=headers)
        assert ("<html" in answer.text) == (not headers)
        assert [int(each) for each in re.findall(r'<li class="condition[^"]*" id="conditions-(\d+)"', answer.text)] == [0, 1, 2]
        assert 'id="conditions-2-attribute"' in answer.text
        chosen = re.search(r'<select[^>]*id="conditions-1-value".*?</select>', answer.text, re.DOTALL)[0]
        assert re.findall(r'value="(\w+)" selected', chosen) == ["Red", "Grey"]
        assert '<option value="in" selected>is one of</option>' in answer.text  # the attribute does not take "contains"
        answer = post(operator_client, "/templates/new", typed(then="remove:0", **several), headers=headers)
        assert re.findall(r'<li class="condition[^"]*" id="conditions-(\d+)"', answer.text) == ["0"]
    answer = post(operator_client, "/templates/new", typed(then="apply", **{**several, "conditions-3-operator": "in"}), headers=HTMX)
    assert "2 products match" in text_of(answer)

    wrong = {"conditions-0-attribute": "price", "conditions-0-operator": "gte", "conditions-0-value": "cheap"}
    answer = post(operator_client, "/templates/new", typed(name="x" * 81, category_id="603", usual_weight="heavy", priority="first", **wrong))
    assert answer.status_code == 422
    page = text_of(answer)
    for sentence in (
        "The name has 81 characters; 80 are allowed.", "Condition 1: cheap is not a number.", "The category Caps is open by invitation only.",
        "Usual weight must be a number.", "Priority must be 1 to 9999",
    ):  # fmt: skip
        assert sentence in page, sentence
    assert 'value="cheap"' in answer.text
    assert 'value="heavy"' in answer.text
    answer = post(operator_client, "/templates/new", typed(then="apply", **wrong), headers=HTMX)
    assert (answer.status_code, "cheap is not a number" in answer.text) == (200, True)


def test_the_grid_counts_products_and_its_mass_actions_say_first_what_they_will_do(account: Account, operator_client: FlaskClient) -> None:
    """A142-A144, A146-A154"""
    post(operator_client, "/templates/new", typed())
    post(operator_client, "/templates/new", typed(name="Everything", priority="200", **{"conditions-0-value": "m", "conditions-0-operator": "not_contains"}))
    assign(account.id)
    with unit_of_work() as session:
        listing = session.scalars(select(Listing).join(Product, Product.id == Listing.product_id).where(Product.sku == "TEE-1")).one()
        listing.marketplace_state, listing.tiktok_id = LIVE, "17"
    page = operator_client.get("/templates/")
    for heading in (
        "ID",
        "Template Name",
        "Status",
        "Image Policy",
        "Pricing Policy",
        "Inventory Policy",
        "Total Products",
        "Active Products",
        "Inactive Products",
        "Action",
        "Account",
    ):
        assert heading in page.text
    row = re.search(r'<tr id="templates-1".*?</tr>', page.text, re.DOTALL)[0]
    assert re.findall(r'class="text-end">(?:<a[^>]*>)?(\d+)', row) == ["2", "1", "1", "100"]
    assert f"/products/?account={account.id}&amp;template=1" in row
    overlap = text_of(operator_client.get("/templates/assign"))
    assert "2 products match several templates." in overlap
    assert "TEE-1 Plain T-shirt Shirts, Everything Shirts" in overlap

    ids = {"ids": ["1", "2"], "scope": "ids"}
    confirm = post(operator_client, "/templates/bulk", {**ids, "action": "policies"})
    assert "Shirts: 2 products, 1 active on TikTok; they are worked out anew" in text_of(confirm)
    with unit_of_work():
        other = policies.create("pricing", title="Dear", body=policies.parse("pricing", {"change": "increase_percent", "change_amount": "5"}), actor="tests")
    answer = post(operator_client, "/templates/bulk", {**ids, "action": "policies", "confirm": "1", "pricing_policy_id": str(other.id)})
    assert answer.status_code == 303
    db.session.expire_all()
    assert set(db.session.scalars(select(ListingTemplate.pricing_policy_id))) == {other.id}
    answer = post(operator_client, "/templates/bulk", {**ids, "action": "policies", "confirm": "1"})
    assert (answer.status_code, "No policy was chosen." in answer.text) == (422, True)

    confirm = post(operator_client, "/templates/bulk", {**ids, "action": "status"})
    assert "Falling stock still goes out" in confirm.text
    post(operator_client, "/templates/bulk", {**ids, "action": "status", "confirm": "1", "status": "disable"})
    db.session.expire_all()
    assert set(db.session.scalars(select(ListingTemplate.enabled))) == {False}

    confirm = post(operator_client, "/templates/bulk", {"row_action": "delete:1"})
    assert "Shirts: 2 products, 1 active on TikTok: they stay there, without a template" in text_of(confirm)
    answer = post(operator_client, "/templates/bulk", {"row_action": "delete:1", "confirm": "1"})
    page = text_of(operator_client.get(answer.location))
    assert "1 template was deleted. 2 products have no template now" in page
    assert db.session.scalar(select(func.count()).select_from(Listing)) == 2


def test_a_viewer_reads_templates_and_changes_nothing(account: Account, viewer_client: FlaskClient, operator_client: FlaskClient) -> None:
    post(operator_client, "/templates/new", typed())
    key = template().id
    page = viewer_client.get(f"/templates/{key}")
    assert page.status_code == 200
    assert '<fieldset class="plain-fieldset" disabled>' in page.text
    assert 'value="save"' not in page.text
    assert "Add Template" not in viewer_client.get("/templates/").text
    for url in ("/templates/new", "/templates/assign"):
        assert viewer_client.get(url).status_code == 403
    for url in (f"/templates/{key}", f"/templates/{key}/assign", "/templates/new", "/templates/assign"):
        assert post(viewer_client, url, typed(name="Mine")).status_code == 403
    assert template().name == "Shirts"


def test_with_several_accounts_the_template_first_asks_for_which(account: Account, operator_client: FlaskClient) -> None:
    with unit_of_work() as session:
        session.add(Account(title="Practice_US", environment=SANDBOX, country="US", store_view="all", magento_id=account.magento_id))
    page = operator_client.get("/templates/new").text
    assert "For which account?" in page
    other = db.session.scalar(select(Account.id).where(Account.title == "Practice_US"))
    assert f"/templates/new?account={other}" in page
    page = operator_client.get(f"/templates/new?account={other}").text
    assert "were not fetched yet" in page
    answer = post(operator_client, f"/templates/new?account={other}", typed())
    assert (answer.status_code, "The categories of Practice_US were not fetched yet." in unescape(answer.text)) == (422, True)
