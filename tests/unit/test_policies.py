"""The five kinds of policy as pure models (A051, A100-A122)."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic import ValidationError

from connector.domain.email import looks_like_email
from connector.domain.order_policy import CarrierRow, OrderPolicy, StatusRow
from connector.domain.policies import KIND_TITLES, POLICY_MODELS, SEEDS, ImagePolicy, InventoryPolicy, PricingPolicy, difference, field_label


def fields(problems: list) -> list[str]:
    return [problem.field for problem in problems]


def test_the_seeded_defaults_are_valid_except_inventory_and_order() -> None:
    """A023"""
    assert {kind: fields(body.missing()) for kind, _, body in SEEDS} == {
        "image": [],
        "inventory": ["threshold_value"],
        "pricing": [],
        "order": ["carrier_mapping"],
        "synchronization": [],
    }


def test_every_kind_has_a_title_a_model_and_a_label_for_every_field() -> None:
    assert set(KIND_TITLES) == set(POLICY_MODELS) == {kind for kind, _, _ in SEEDS}
    for kind, model in POLICY_MODELS.items():
        assert all(info.title for info in model.model_fields.values()), kind


def test_an_order_policy_is_complete_once_a_carrier_is_mapped_or_shipments_stay_manual() -> None:
    """A113, A117"""
    assert OrderPolicy(carrier_mapping=(CarrierRow(magento_carrier="FedEx", tiktok_carrier="FedEx"),)).missing() == []
    assert OrderPolicy(push_shipments=False).missing() == []


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"notify": True}, "notification_email"),
        ({"customer_mode": "same"}, "same_customer_id"),
        ({"guest_email": "nobody"}, "guest_email"),
        ({"payment_method": ""}, "payment_method"),
        ({"shipping_method": "flatrate"}, "shipping_method"),
    ],
)
def test_an_order_policy_names_the_field_that_it_lacks(values: dict, field: str) -> None:
    assert fields(OrderPolicy(push_shipments=False, **values).missing()) == [field]


@pytest.mark.parametrize(
    "values",
    [
        {"notification_email": "not an address"},
        {"order_id_prefix": "TT #"},
        {"create_when": "SOON"},
        {"customer_mode": "vip"},
        {"unknown": 1},
        {"carrier_mapping": [{"magento_carrier": "ups", "tiktok_carrier": ""}]},
        {"carrier_mapping": [{"magento_carrier": "ups", "tiktok_carrier": "UPS"}, {"magento_carrier": "UPS", "tiktok_carrier": "DHL"}]},
        {"status_mapping": [{"tiktok_status": "A", "magento_status": "b"}, {"tiktok_status": "A", "magento_status": "c"}]},
    ],
)
def test_what_can_never_be_right_is_refused(values: dict) -> None:
    with pytest.raises(ValidationError):
        OrderPolicy.model_validate(values)


def test_a_carrier_is_found_by_code_or_title_whatever_its_case() -> None:
    policy = OrderPolicy(carrier_mapping=(CarrierRow(magento_carrier="Royal Mail", tiktok_carrier="Royal Mail UK"),))
    assert policy.tiktok_carrier("custom", "ROYAL mail") == "Royal Mail UK"
    assert policy.tiktok_carrier("dhl", "DHL") is None


def test_the_status_mapping_answers_only_for_the_very_status() -> None:
    policy = OrderPolicy(status_mapping=(StatusRow(tiktok_status="IN_TRANSIT", magento_status="shipped"),))
    assert policy.magento_status("IN_TRANSIT") == "shipped"
    assert policy.magento_status("in_transit") is None


def test_the_guest_email_carries_the_buyer_id() -> None:
    assert OrderPolicy().guest_email_for("7021") == "7021@tiktok.com"


def test_an_inventory_policy_asks_for_the_threshold_value_only_while_the_switch_is_on() -> None:
    assert fields(InventoryPolicy(use_threshold=True).missing()) == ["threshold_value"]
    assert InventoryPolicy(use_threshold=False).missing() == []
    assert InventoryPolicy(use_threshold=True, threshold_value=0).missing() == []
    assert fields(InventoryPolicy(use_msi=True).missing()) == ["sources"]
    with pytest.raises(ValidationError):
        InventoryPolicy(threshold_buffer=-1)


def test_pricing_and_image_policies_name_what_they_lack() -> None:
    assert fields(PricingPolicy(change="increase_percent").missing()) == ["change_amount"]
    assert fields(PricingPolicy(minimum_margin_percent=Decimal(10)).missing()) == ["cost_attribute"]
    assert fields(ImagePolicy(main_image_attribute="").missing()) == ["main_image_attribute"]
    with pytest.raises(ValidationError):
        ImagePolicy(gallery_images=9)


def test_a_difference_lists_only_what_changed_in_the_order_of_the_form() -> None:
    before, after = OrderPolicy().model_dump(mode="json"), OrderPolicy(notify=True, taxes="none").model_dump(mode="json")
    assert difference(before, after, "order") == [("Use Magento Taxes", "tiktok", "none"), ("Allow Order Notification", False, True)]
    assert field_label("order", "carrier_mapping") == "Carrier Mapping"


@pytest.mark.parametrize(("text", "right"), [("a@b.example", True), ("a@b", False), ("@b.example", False), ("a b@c.example", False), ("a@b@c.example", False)])
def test_an_email_address_is_recognised_by_its_shape(text: str, right: bool) -> None:
    assert looks_like_email(text) is right
