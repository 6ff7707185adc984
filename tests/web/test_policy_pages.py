"""The policy pages (A051-A060, A099-A122), without JavaScript."""

from __future__ import annotations

import re
from html import unescape
from io import BytesIO

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import select
from werkzeug.datastructures import MultiDict

from connector.core.db import db
from connector.domain.order_policy import OrderPolicy
from connector.domain.policies import POLICY_MODELS
from connector.models.account import Account
from connector.models.policy import Policy
from connector.models.product import Product
from connector.services import accounts, policies
from connector.services.accounts import Choice
from tests.factories.catalogue import a_listing, a_magento, a_product, a_template
from tests.web.test_wizard import send, token


@pytest.fixture(autouse=True)
def seeded(app: Flask) -> None:
    policies.seed()


def default(kind: str) -> Policy:
    db.session.commit()
    return db.session.scalar(select(Policy).where(Policy.kind == kind, Policy.is_default).execution_options(populate_existing=True))


ORDER = {
    "title": "Orders",
    "is_default": "y",
    "create_in_magento": "y",
    "create_when": "AWAITING_SHIPMENT",
    "if_product_missing": "skip",
    "taxes": "tiktok",
    "revenue": "buyer_paid",
    "writer": "checkout",
    "payment_method": "checkmo",
    "shipping_method": "freeshipping_freeshipping",
    "customer_mode": "guest",
    "guest_email": "{buyer id}@tiktok.com",
    "push_shipments": "y",
    "carrier_mapping-0-magento_carrier": "FedEx",
    "carrier_mapping-0-tiktok_carrier": "FedEx",
    "carrier_mapping-1-magento_carrier": "",
    "carrier_mapping-1-tiktok_carrier": "",
    "status_mapping-0-tiktok_status": "IN_TRANSIT",
    "status_mapping-0-magento_status": "complete",
}


def save(client: FlaskClient, policy: Policy, **changes: str):
    page = f"/policies/{policy.id}"
    return send(client, page, page, **{**ORDER, "seen_version": str(policy.version), "then": "save", **changes})


def test_the_grid_has_its_columns_and_a_split_button_with_the_five_types(admin_client: FlaskClient) -> None:
    """A052, A055"""
    page = admin_client.get("/policies/").text
    for heading in ("ID", "Title", "Type", "Created At", "Updated At", "Is Default", "Valid", "Used By"):
        assert heading in page
    for kind in POLICY_MODELS:
        assert f'href="/policies/new/{kind}"' in page


def test_the_order_policy_is_completed_and_becomes_valid(admin_client: FlaskClient) -> None:
    """A100-A117"""
    answer = save(admin_client, default("order"))
    assert answer.location == f"/policies/{default('order').id}"
    row = default("order")
    assert (row.title, row.valid, row.version) == ("Orders", True, 2)
    body = OrderPolicy.model_validate(row.body)
    assert body.carrier_mapping[0].tiktok_carrier == "FedEx"
    assert body.magento_status("IN_TRANSIT") == "complete"
    assert (body.create_invoice, body.notify) == (False, False)
    page = admin_client.get(answer.location).text
    assert "Orders is saved and valid." in page
    assert 'value="FedEx"' in page


def test_every_field_of_the_order_policy_survives_a_round_trip(admin_client: FlaskClient) -> None:
    changes = {
        "create_when": "DELIVERED",
        "alternate_sku_attribute": "tiktok_sku",
        "if_product_missing": "create_product",
        "create_for_unavailable": "y",
        "taxes": "magento",
        "notify": "y",
        "notification_email": "ops@example.test",
        "order_id_prefix": "TT-",
        "writer": "direct",
        "create_invoice": "y",
        "customer_mode": "same",
        "same_customer_id": "17",
        "revenue": "seller_revenue",
        "apply_to_manual_import": "y",
    }
    save(admin_client, default("order"), **changes)
    body = default("order").body
    for name, value in changes.items():
        assert body[name] == (True if value == "y" else value), name
    page = admin_client.get(f"/policies/{default('order').id}").text
    again = dict(re.findall(r'<input[^>]*name="(alternate_sku_attribute|notification_email|same_customer_id)"[^>]*value="([^"]*)"', page))
    assert again == {name: changes[name] for name in again}
    assert len(again) == 3


def test_add_rows_gives_more_rows_keeps_what_was_typed_and_saves_nothing(admin_client: FlaskClient) -> None:
    """A113, product rule 11"""
    answer = save(admin_client, default("order"), title="Half typed", then="add:carrier_mapping")
    assert answer.status_code == 200
    assert 'value="Half typed"' in answer.text
    assert 'value="FedEx"' in answer.text
    assert answer.text.count('-magento_carrier" value=') == 6
    assert default("order").version == 1


def test_a_carrier_row_that_is_half_filled_comes_back_with_its_reason(admin_client: FlaskClient) -> None:
    answer = save(admin_client, default("order"), **{"carrier_mapping-1-magento_carrier": "DHL"})
    assert answer.status_code == 422
    assert "Carrier Mapping, row 2 is empty." in answer.text
    assert 'value="DHL"' in answer.text
    assert default("order").version == 1


def test_wrong_values_come_back_beside_their_fields(admin_client: FlaskClient) -> None:
    answer = save(admin_client, default("order"), title="", order_id_prefix="T #", notification_email="nobody")
    assert answer.status_code == 422
    assert "Enter a title" in answer.text
    answer = save(admin_client, default("order"), order_id_prefix="T #", notification_email="nobody")
    page = unescape(answer.text)
    assert "Order ID Prefix holds a character that is not allowed." in page
    assert "nobody is not an e-mail address" in page
    assert 'aria-invalid="true"' in page


def test_save_and_duplicate_and_save_and_close(admin_client: FlaskClient) -> None:
    """A056"""
    answer = save(admin_client, default("order"), then="duplicate")
    copy = policies.get(int(answer.location.rsplit("/", 1)[1]))
    assert copy.title == "Copy of Orders"
    assert save(admin_client, default("order"), then="close").location == "/policies/"


def test_a_stale_form_is_not_saved_over_a_newer_version(admin_client: FlaskClient) -> None:
    row = default("order")
    policies.save(row.id, title="Newer", body=OrderPolicy(), actor="somebody")
    answer = save(admin_client, row, seen_version="1")
    assert answer.status_code == 422
    assert "was saved by somebody else" in answer.text
    assert default("order").title == "Newer"


@pytest.mark.parametrize("kind", sorted(POLICY_MODELS))
def test_a_policy_of_every_type_is_made_with_its_own_form(admin_client: FlaskClient, kind: str) -> None:
    page = f"/policies/new/{kind}"
    fields = dict.fromkeys(re.findall(r'<(?:input|textarea)[^>]*name="(\w+)"', admin_client.get(page).text), "")
    assert set(fields) >= {"title", "is_default"}
    selects = re.findall(r'<select[^>]*name="(\w+)"[^>]*>\s*<option[^>]*value="(\w+)"', admin_client.get(page).text)
    values = {name: value for name, value in fields.items() if name not in ("csrf_token", "back") and not _is_checkbox(admin_client, page, name)}
    values |= dict(selects) | {"title": f"New {kind}", "then": "save"}
    if kind == "order":
        values |= {"payment_method": "checkmo", "shipping_method": "flatrate_flatrate", "guest_email": "a@b.example", "then": "save"}
    answer = send(admin_client, page, page, **values)
    assert answer.status_code == 303, answer.text
    made = policies.get(int(answer.location.rsplit("/", 1)[1].split("?")[0]))
    assert (made.kind, made.title, made.is_default) == (kind, f"New {kind}", False)


def _is_checkbox(client: FlaskClient, page: str, name: str) -> bool:
    return bool(re.search(rf'<input[^>]*name="{name}"[^>]*type="checkbox"|<input[^>]*type="checkbox"[^>]*name="{name}"', client.get(page).text))


def test_the_inventory_policy_names_its_missing_threshold_and_becomes_valid(admin_client: FlaskClient) -> None:
    """A023"""
    row = default("inventory")
    page = f"/policies/{row.id}"
    assert "Threshold Value is empty." in admin_client.get(page).text
    answer = send(admin_client, page, page, title=row.title, is_default="y", use_threshold="y", threshold_value="10", threshold_buffer="5", then="save")
    assert answer.status_code == 303
    row = default("inventory")
    assert (row.valid, row.body["threshold_value"], row.body["threshold_buffer"]) == (True, 10, 5)
    answer = send(admin_client, page, page, title=row.title, is_default="y", use_threshold="y", threshold_value="ten", threshold_buffer="-5", then="save")
    assert answer.status_code == 422
    assert "Threshold Value must be a whole number." in answer.text
    assert "Threshold Buffer must be at least 0." in answer.text
    assert 'value="ten"' in answer.text


def test_versions_are_compared_and_restored(admin_client: FlaskClient) -> None:
    save(admin_client, default("order"), order_id_prefix="TT-")
    row = default("order")
    page = admin_client.get(f"/policies/{row.id}/versions").text
    assert "Order ID Prefix" in page
    assert "FedEx → FedEx" in page
    assert "administrator@example.test" in page
    answer = send(admin_client, f"/policies/{row.id}/versions", f"/policies/{row.id}/restore", number="1")
    assert answer.status_code == 303
    assert (default("order").version, default("order").title) == (3, "Default Order Policy")


def test_deleting_a_policy_in_use_asks_for_a_successor(admin_client: FlaskClient) -> None:
    """A054, contradiction 24"""
    copy = policies.duplicate(default("pricing").id, actor="tests")
    first = default("pricing")
    answer = send(admin_client, "/policies/", "/policies/bulk", action="delete", scope="ids", ids=str(first.id), state="")
    assert "Policy that takes their place" in answer.text
    answer = send(admin_client, "/policies/", "/policies/bulk", action="delete", scope="ids", ids=str(first.id), state="", confirm="1", successor="")
    assert answer.status_code == 422
    assert "is the default Pricing policy" in unescape(answer.text)
    answer = send(admin_client, "/policies/", "/policies/bulk", action="delete", scope="ids", ids=str(first.id), state="", confirm="1", successor=str(copy.id))
    assert answer.status_code == 303
    assert default("pricing").id == copy.id


def test_an_operator_reads_policies_but_changes_none(operator_client: FlaskClient) -> None:
    page = operator_client.get(f"/policies/{default('order').id}").text
    assert "Carrier Mapping" in page
    assert "Save &amp; Duplicate" not in page
    assert operator_client.get("/policies/new/order").status_code == 403


# --- inventory, pricing, image, synchronization: preview, choices, pictures


@pytest.fixture
def shop(app: Flask) -> Account:
    """An account whose store was read: attributes, a product in stock, a listing template."""
    made = accounts.create(Choice(title="Shop", country="GB", environment="sandbox", magento_id=a_magento().id), actor="tests")
    a_product(made.magento_id, "MUG", quantity=28, price="10.00")
    return made


INVENTORY = {"title": "Stock", "use_threshold": "y", "threshold_value": "10", "threshold_buffer": "5"}


def test_the_preview_follows_what_is_typed_and_waits_for_what_is_wrong(admin_client: FlaskClient, shop: Account) -> None:
    """product.md 14: live preview, as a partial for htmx and with a button without JavaScript"""
    row = default("inventory")
    page = f"/policies/{row.id}"
    partial = send(admin_client, page, f"/policies/preview/inventory?policy={row.id}", **INVENTORY)
    assert (partial.status_code, "<html" in partial.text) == (200, False)
    assert "23 units" in partial.text
    assert "Kept back by the policy: 5 units." in partial.text
    assert "20 units" in send(admin_client, page, "/policies/preview/inventory", **INVENTORY, greater_quantity="20").text
    wrong = send(admin_client, page, "/policies/preview/inventory", **{**INVENTORY, "threshold_buffer": "5x", "threshold_value": "-1"})
    assert wrong.status_code == 200
    assert "The preview waits for these:" in wrong.text
    assert "Threshold Buffer must be a whole number." in wrong.text
    assert "23 units" not in wrong.text
    unknown = send(admin_client, page, "/policies/preview/inventory", **INVENTORY, preview_q="nowhere")
    assert "No product matches nowhere." in unknown.text
    looking = send(admin_client, page, page, **INVENTORY, then="preview", seen_version="1")
    assert (looking.status_code, "23 units" in looking.text, 'value="Stock"' in looking.text) == (200, True, True)
    assert (default("inventory").version, send(admin_client, page, "/policies/preview/nothing").status_code) == (1, 404)


def test_what_saving_would_change_is_counted_before_it_is_saved(admin_client: FlaskClient, shop: Account) -> None:
    template = a_template(shop)
    a_listing(shop, db.session.scalars(select(Product)).one(), template)
    page = f"/policies/{template.inventory_policy_id}"
    shown = admin_client.get(page).text
    assert ">Shirts</a> (template)" in shown or "Shirts (template)" in shown
    partial = send(admin_client, page, f"/policies/what-if/inventory?policy={template.inventory_policy_id}", **INVENTORY)
    assert "This change would alter 1 quantity of 1; 0 would go to zero" in partial.text
    assert re.search(r"<td>28</td>\s*<td>23</td>", partial.text)
    full = send(admin_client, page, page, **INVENTORY, then="what_if", seen_version="1")
    assert (full.status_code, "This change would alter 1 quantity" in full.text) == (200, True)
    assert policies.get(template.inventory_policy_id).version == 1
    assert (
        "Threshold Buffer must be" in send(admin_client, page, f"/policies/what-if/inventory?policy={template.inventory_policy_id}", threshold_buffer="x").text
    )


@pytest.mark.parametrize(
    ("kind", "typed", "refusal"),
    [
        ("inventory", {"default_quantity": "many", "threshold_buffer": "3"}, "Default Quantity must be a whole number."),
        ("pricing", {"conversion_rate": "0", "minimum_price": "12.5"}, "Currency Conversion Rate must be more than 0."),
        ("image", {"gallery_images": "9", "main_image_attribute": "image"}, "Gallery Images must be at most 8."),
        (
            "synchronization",
            {"upload_every_minutes": "0", "update_every_minutes": "45", "react_only": "name"},
            "Product upload every (minutes) must be at least 1.",
        ),
    ],
)
def test_every_forms_refusal_keeps_what_was_typed(admin_client: FlaskClient, shop: Account, kind: str, typed: dict[str, str], refusal: str) -> None:
    """Product rule 11"""
    page = f"/policies/{default(kind).id}"
    answer = send(admin_client, page, page, title="Half typed", **typed, then="save", seen_version="1")
    assert answer.status_code == 422
    assert refusal in unescape(answer.text)
    assert 'value="Half typed"' in answer.text
    for name, value in typed.items():
        assert re.search(rf'<(input|option)[^>]*(checked|selected)?[^>]*value="{value}"', answer.text), name
    assert default(kind).version == 1


def test_what_is_known_of_the_store_is_offered_and_what_is_not_known_stays(admin_client: FlaskClient, shop: Account) -> None:
    """A062, A072, A079, A094: attributes as choices, free text before anything was imported"""
    page = admin_client.get("/policies/new/pricing").text
    assert re.search(r'<select[^>]*id="price_attribute"', page)
    assert '<option value="price">Price (price)</option>' in page
    assert "Product Name (name)" not in page  # holds no price
    assert re.search(r'<input[^>]*id="main_image_attribute"', admin_client.get("/policies/new/image").text)  # none of that type is known
    answer = send(
        admin_client, "/policies/new/pricing", "/policies/new/pricing", title="Old", price_attribute="gone_price", change="none", rounding="none", then="save"
    )
    assert answer.status_code == 303
    shown = admin_client.get(answer.location).text
    assert "the attribute gone_price does not exist" in shown
    assert "gone_price (not known in Magento)" in shown
    row = default("synchronization")
    page = f"/policies/{row.id}"
    typed = {"csrf_token": token(admin_client, page), "title": "Sync", "is_default": "y", "then": "save", "seen_version": "1"}
    for switch in ("product_assign", "product_upload", "product_update", "inventory_price_sync"):
        typed[switch] = "off"
    admin_client.post(page, data=MultiDict([*typed.items(), ("send_only", "name"), ("send_only", "quantity"), ("react_only", "description")]))
    row = default("synchronization")
    assert (row.valid, row.body["send_only"], row.body["react_only"]) == (True, ["name", "quantity"], ["description"])
    assert "2 chosen" in admin_client.get(page).text


def test_a_picture_is_uploaded_served_and_kept_while_the_rest_is_corrected_and_a_fake_one_refused(admin_client: FlaskClient, shop: Account) -> None:
    """A063"""
    out = BytesIO()
    Image.new("RGB", (640, 480), "teal").save(out, "PNG")
    row = default("image")
    page = f"/policies/{row.id}"

    def post(content: bytes, name: str, **more: str):
        data = {"csrf_token": token(admin_client, page), "title": "Pictures", "is_default": "y", "main_image_attribute": "image", "gallery_images": "4"}
        return admin_client.post(page, data={**data, "then": "save", "seen_version": "1", "image_file": (BytesIO(content), name), **more})

    fake = post(b"\x89PNG\r\n\x1a\n" + b"not a picture" * 10, "fake.png")
    assert fake.status_code == 422
    assert "fake.png is not a JPG or PNG picture, whatever its name says." in fake.text
    assert 'value="Pictures"' in fake.text
    large = post(out.getvalue() + b"\0" * 5 * 1024 * 1024, "large.png")
    assert (large.status_code, "large.png has 5.0 MB; 2 MB are allowed." in large.text, default("image").version) == (422, True, 1)
    kept = post(out.getvalue(), "logo.png", gallery_images="9")
    assert (kept.status_code, 'name="default_image" value="upload:1"' in kept.text) == (422, True)
    answer = post(b"", "", default_image="upload:1")
    assert answer.status_code == 303
    assert default("image").body["default_image"] == "upload:1"
    served = admin_client.get("/policies/pictures/1")
    assert (served.mimetype, served.data[:4], served.headers["X-Content-Type-Options"]) == ("image/png", b"\x89PNG", "nosniff")
    assert "private" in served.headers["Cache-Control"]
    assert admin_client.get("/policies/pictures/1", headers={"If-None-Match": served.headers["ETag"]}).status_code == 304
    assert admin_client.get("/policies/pictures/99").status_code == 404
    gallery = admin_client.get("/policies/gallery?gallery_q=mug").text
    assert 'value="pick:/t/e/tee.jpg"' in gallery
    picked = post(b"", "", then="pick:/t/e/tee.jpg", title="Half typed")
    assert (picked.status_code, 'name="default_image" value="/t/e/tee.jpg"' in picked.text, 'value="Half typed"' in picked.text) == (200, True, True)


def test_a_policy_of_a_template_is_deleted_with_one_that_takes_its_place(admin_client: FlaskClient, shop: Account) -> None:
    """A054"""
    template = a_template(shop)
    row = policies.get(template.pricing_policy_id)
    grid = admin_client.get("/policies/").text
    assert re.search(r"Templates:</span> Shirts", grid)
    bulk = {"action": "delete", "scope": "ids", "ids": str(row.id), "state": ""}
    asked = send(admin_client, "/policies/", "/policies/bulk", **bulk)
    assert f"{row.title}, used by the listing template Shirts" in asked.text
    refused = send(admin_client, "/policies/", "/policies/bulk", **bulk, confirm="1", successor="")
    assert (refused.status_code, "is used by the listing template Shirts." in refused.text) == (422, True)
    done = send(admin_client, "/policies/", "/policies/bulk", **bulk, confirm="1", successor=str(default("pricing").id))
    assert done.status_code == 303
    db.session.refresh(template)
    assert template.pricing_policy_id == default("pricing").id
