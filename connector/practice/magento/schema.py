"""Columns of the order side with their types, and how a request entity is checked against them (MAG §0.2, §3.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .errors import Masked, wrong_type
from .numbers import num
from .search_criteria import snake


def _types(**groups: str) -> dict[str, str]:
    return {name: kind.rstrip("_") for kind, names in groups.items() for name in names.split()}


_DTC = "discount_tax_compensation"

ORDER = _types(
    float=f"""
    adjustment_negative adjustment_positive base_adjustment_negative base_adjustment_positive base_discount_amount
    base_discount_canceled base_discount_invoiced base_discount_refunded base_grand_total base_{_DTC}_amount base_{_DTC}_invoiced
    base_{_DTC}_refunded base_shipping_amount base_shipping_canceled base_shipping_discount_amount base_shipping_{_DTC}_amnt
    base_shipping_incl_tax base_shipping_invoiced base_shipping_refunded
    base_shipping_tax_amount base_shipping_tax_refunded base_subtotal base_subtotal_canceled base_subtotal_incl_tax
    base_subtotal_invoiced base_subtotal_refunded base_tax_amount base_tax_canceled base_tax_invoiced base_tax_refunded
    base_total_canceled base_total_due base_total_invoiced base_total_invoiced_cost base_total_offline_refunded
    base_total_online_refunded base_total_paid base_total_qty_ordered base_total_refunded base_to_global_rate base_to_order_rate
    discount_amount discount_canceled discount_invoiced discount_refunded grand_total {_DTC}_amount {_DTC}_invoiced {_DTC}_refunded
    payment_authorization_amount shipping_amount shipping_canceled shipping_discount_amount shipping_{_DTC}_amount
    shipping_incl_tax shipping_invoiced shipping_refunded shipping_tax_amount shipping_tax_refunded store_to_base_rate
    store_to_order_rate subtotal subtotal_canceled subtotal_incl_tax subtotal_invoiced subtotal_refunded tax_amount tax_canceled
    tax_invoiced tax_refunded total_canceled total_due total_invoiced total_offline_refunded total_online_refunded total_paid
    total_qty_ordered total_refunded weight""",
    int="""
    billing_address_id can_ship_partially can_ship_partially_item customer_gender customer_group_id customer_id customer_is_guest
    customer_note_notify edit_increment email_sent entity_id forced_shipment_with_invoice is_virtual payment_auth_expiration
    quote_address_id quote_id store_id total_item_count""",
    date="created_at updated_at",
    str="""
    applied_rule_ids base_currency_code coupon_code customer_dob customer_email customer_firstname customer_lastname
    customer_middlename customer_note customer_prefix customer_suffix customer_taxvat discount_description ext_customer_id
    ext_order_id global_currency_code hold_before_state hold_before_status increment_id order_currency_code original_increment_id
    protect_code relation_child_id relation_child_real_id relation_parent_id relation_parent_real_id remote_ip
    shipping_description state status store_currency_code store_name x_forwarded_for""",
)
ORDER_PARTS = ("items", "billing_address", "payment", "status_histories", "extension_attributes")

ITEM = _types(
    float=f"""
    amount_refunded base_amount_refunded base_cost base_discount_amount base_discount_invoiced base_discount_refunded
    base_{_DTC}_amount base_{_DTC}_invoiced base_{_DTC}_refunded base_original_price base_price base_price_incl_tax
    base_row_invoiced base_row_total base_row_total_incl_tax base_tax_amount base_tax_before_discount base_tax_invoiced
    base_tax_refunded base_weee_tax_applied_amount base_weee_tax_applied_row_amnt base_weee_tax_disposition
    base_weee_tax_row_disposition discount_amount discount_invoiced discount_percent discount_refunded {_DTC}_amount
    {_DTC}_canceled {_DTC}_invoiced {_DTC}_refunded original_price price price_incl_tax qty_backordered qty_canceled qty_invoiced
    qty_ordered qty_refunded qty_returned qty_shipped row_invoiced row_total row_total_incl_tax row_weight tax_amount
    tax_before_discount tax_canceled tax_invoiced tax_percent tax_refunded weee_tax_applied_amount weee_tax_applied_row_amount
    weee_tax_disposition weee_tax_row_disposition weight""",
    int="""
    event_id free_shipping is_qty_decimal is_virtual item_id locked_do_invoice locked_do_ship no_discount order_id parent_item_id
    product_id quote_item_id store_id""",
    date="created_at updated_at",
    str="additional_data applied_rule_ids description ext_order_item_id name product_type sku weee_tax_applied",
)
ITEM_PARTS = ("parent_item", "product_option", "extension_attributes")

ADDRESS = _types(
    int="customer_address_id customer_id entity_id parent_id region_id vat_is_valid vat_request_success",
    str="""
    address_type city company country_id email fax firstname lastname middlename postcode prefix region region_code suffix
    telephone vat_id vat_request_date vat_request_id""",
)
PAYMENT = _types(
    float="""
    amount_authorized amount_canceled amount_ordered amount_paid amount_refunded base_amount_authorized base_amount_canceled
    base_amount_ordered base_amount_paid base_amount_paid_online base_amount_refunded base_amount_refunded_online
    base_shipping_amount base_shipping_captured base_shipping_refunded shipping_amount shipping_captured shipping_refunded""",
    int="entity_id parent_id quote_payment_id",
    str="""
    account_status additional_data cc_approval cc_last4 cc_owner cc_status cc_trans_id cc_type last_trans_id method po_number
    protection_eligibility""",
)
DOCUMENT = _types(
    float="""
    base_discount_amount base_grand_total base_shipping_amount base_subtotal base_tax_amount discount_amount grand_total
    shipping_amount subtotal tax_amount total_qty adjustment adjustment_negative adjustment_positive""",
    int="entity_id order_id store_id state billing_address_id shipping_address_id customer_id email_sent shipment_status",
    date="created_at updated_at",
    str="increment_id order_currency_code base_currency_code transaction_id",
)

LENGTHS = {"increment_id": 50, "ext_order_id": 32, "ext_customer_id": 32, "ext_order_item_id": 255, "customer_email": 128}

_FOUR_BYTES = re.compile("[\U00010000-\U0010ffff]")


def mysql_text(text: str) -> str:
    """MySQL `utf8` has no four-byte characters: each becomes four question marks."""
    return _FOUR_BYTES.sub("????", text)


def clean(given: Any, types: Mapping[str, str], parts: tuple[str, ...] = (), name: str = "entity") -> dict[str, Any]:
    """A request entity with snake_case keys and converted scalars.

    Unknown property: masked 500. A value that is not of the property's type: 400 that names the property. `parts` are nested
    properties, returned untouched.
    """
    if not isinstance(given, Mapping):
        raise wrong_type(name, given, "object")
    cleaned: dict[str, Any] = {}
    for key, value in given.items():
        key = snake(key)
        if key in parts:
            cleaned[key] = value
            continue
        kind = types.get(key)
        if kind is None:
            raise Masked()
        cleaned[key] = None if value is None else scalar(key, value, kind)
    return cleaned


def scalar(name: str, value: Any, kind: str) -> Any:
    match kind:
        case "int":
            if isinstance(value, bool):
                return int(value)
            if isinstance(value, int):
                return value
            if (isinstance(value, str) and re.fullmatch(r"-?\d+", value)) or (isinstance(value, float) and value % 1 == 0):
                return int(value)
            raise wrong_type(name, value, "int")
        case "float":
            if isinstance(value, (bool, list, dict)):
                raise wrong_type(name, value, "float")
            if isinstance(value, str) and not re.fullmatch(r"-?\d+(\.\d+)?([eE]-?\d+)?", value):
                raise wrong_type(name, value, "float")
            return num(value)
        case _:
            if isinstance(value, (list, dict)):
                raise wrong_type(name, value, "string")
            text = mysql_text(str(int(value)) if isinstance(value, bool) else str(value))
            return text[: LENGTHS[name]] if name in LENGTHS else text


def address(given: Any) -> dict[str, Any]:
    """An order or cart address: `street` is a list of lines."""
    cleaned = clean(given, ADDRESS, ("street", "extension_attributes", "custom_attributes", "save_in_address_book", "same_as_billing"))
    cleaned.pop("extension_attributes", None)
    street = cleaned.get("street")
    if isinstance(street, str):
        cleaned["street"] = street.split("\n")
    elif street is not None:
        cleaned["street"] = [mysql_text(str(line)) for line in street]
    return cleaned
