"""The policy pages (A051-A060, A099-A122), without JavaScript."""

from __future__ import annotations

import re
from html import unescape

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from connector.core.db import db
from connector.domain.policies import POLICY_MODELS, OrderPolicy
from connector.models.policy import Policy
from connector.services import policies
from tests.web.test_wizard import send


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
