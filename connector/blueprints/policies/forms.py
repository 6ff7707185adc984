"""Forms of the policies, made from the models: a field for each of the model's fields, rows of text inputs for its mappings.

Values travel as the browser sends them; the model alone judges them (``policies.parse``), so a form cannot accept what the model refuses.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from wtforms import BooleanField, Field, SelectField, StringField, TextAreaField

from connector.blueprints.policies.fields import KnownField, KnownListField, known_attributes
from connector.domain import tiktok_order
from connector.domain.policies import IMAGE, INVENTORY, KIND_TITLES, ORDER, POLICY_MODELS, PRICING, SYNCHRONIZATION
from connector.domain.policy_body import PolicyBody, warning
from connector.models.policy import Policy
from connector.services import magento, policies
from connector.services.accounts import onboarding
from connector.services.policies import PolicyErrors
from connector.web.forms import Form, Required

BLANK_ROWS = 2

#: What a stored choice is called on screen.
CHOICES = {
    "skip": "Do Not Create Order",
    "create_product": "Create Product and Order",
    "tiktok": "No: TikTok's tax values",
    "magento": "Yes: Magento tax rules",
    "none": "None",
    "checkout": "Through a cart, as Magento's checkout does (reserves stock)",
    "direct": "Directly (reserves nothing)",
    "guest": "Guest Customer",
    "real": "Real Customer (one for each TikTok buyer)",
    "same": "Same Customer (one for all)",
    "buyer_paid": "What the buyer paid",
    "seller_revenue": "What the seller earns (with TikTok's discounts added)",
    "off": "Off: by hand only",
    "enabled": "On for products that are Enabled",
    "disabled": "On for products that are Disabled",
    "any": "On for products of any status",
    "increase_fixed": "Increase by an amount",
    "decrease_fixed": "Decrease by an amount",
    "increase_percent": "Increase by percent",
    "decrease_percent": "Decrease by percent",
    "minor_unit": "To the currency's minor unit",
    "ending": "To the nearest ending",
    **tiktok_order.LABELS,
}

#: How the forms are divided; the order policy's as S0's steps.
SECTIONS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    INVENTORY: (
        ("Stock", ("default_quantity", "threshold_buffer")),
        ("Threshold", ("use_threshold", "threshold_value", "lesser_quantity", "greater_quantity")),
        ("Sources (MSI)", ("use_msi", "sources")),
        ("At your own risk", ("default_quantity_for_zero", "may_oversell")),
    ),
    PRICING: (
        ("Base price", ("price_attribute", "use_special_price")),
        ("Change and conversion", ("change", "change_amount", "conversion_rate")),
        ("Rounding", ("rounding", "rounding_ending")),
        ("Guards", ("minimum_price", "cost_attribute", "minimum_margin_percent")),
    ),
    IMAGE: (("Pictures", ("main_image_attribute", "gallery_images")), ("When a product has none", ("default_image",))),
    SYNCHRONIZATION: (
        ("What is done by itself", ("product_assign", "product_upload", "product_update", "inventory_price_sync")),
        ("How often", ("assign_every_minutes", "upload_every_minutes", "update_every_minutes", "inventory_price_every_minutes")),
        ("Which products", ("sync_not_visible", "sync_out_of_stock")),
        ("Which attributes", ("send_only", "react_only")),
    ),
    ORDER: (
        (
            "Orders",
            (
                "create_in_magento",
                "create_when",
                "apply_to_manual_import",
                "alternate_sku_attribute",
                "if_product_missing",
                "create_for_unavailable",
                "taxes",
                "revenue",
                "order_id_prefix",
                "writer",
                "payment_method",
                "shipping_method",
            ),
        ),
        ("Notification", ("notify", "notification_email")),
        ("Customer", ("customer_mode", "same_customer_id", "guest_email")),
        ("Invoice and shipment", ("create_invoice", "push_shipments", "carrier_mapping")),
        ("Refunds and returns", ("credit_memos", "restock_returns", "refund_from_magento")),
        ("Order status", ("status_mapping",)),
    ),
}


class PolicyForm(Form):
    """Base of the generated forms. ``rows`` holds the mapping rows as typed: field -> list of {column: text}."""

    title = StringField("Title", [Required()], description="Internal: for identification and selection only.")
    is_default = BooleanField("Is Default", description="Used where no other policy of this type is chosen.")
    note = StringField("Note on this version", description="Why it was changed; shown in the history.")
    kind: str
    row_models: dict[str, type[BaseModel]]
    rows: dict[str, list[dict[str, str]]]
    row_errors: dict[str, str]
    picture_refused = ""  #: why an uploaded file was not taken

    def show_refused_picture(self) -> None:
        """Beside its field; validating the form forgets what was said before."""
        if self.picture_refused and self.picture_refused not in self["default_image"].errors:
            self["default_image"].errors = [*self["default_image"].errors, self.picture_refused]

    @property
    def sections(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        return SECTIONS.get(self.kind) or ((f"{KIND_TITLES[self.kind]} policy", tuple(POLICY_MODELS[self.kind].model_fields)),)

    def info(self, name: str) -> Any:
        """The model's own words for a field: ``title`` and ``description``."""
        return POLICY_MODELS[self.kind].model_fields[name]

    def warning(self, name: str) -> str:
        """What a switch risks when it is on."""
        return warning(self.info(name))

    def body(self) -> PolicyBody:
        """The model that was typed. Raises ``PolicyErrors``; rows that were left blank are dropped."""
        model = POLICY_MODELS[self.kind]
        values: dict[str, Any] = {}
        for name, info in model.model_fields.items():
            if name in self.row_models:
                values[name] = [row for row in self.rows[name] if any(row.values())]
                continue
            raw = self._fields[name].data
            if raw is None and _takes_text(info.annotation):
                raw = ""
            if _is_text_list(info.annotation):
                values[name] = raw if isinstance(raw, list) else [word for word in (raw or "").replace(",", " ").split() if word]
            elif (raw is None or (isinstance(raw, str) and not raw.strip())) and not _takes_text(info.annotation):
                if not _is_optional(info.annotation) and info.default is not None:
                    continue  # a number that was left blank falls back to the default
                values[name] = None
            else:
                values[name] = raw
        return policies.parse(self.kind, values)

    def refuse_fields(self, error: PolicyErrors) -> None:
        """Show each message beside its field."""
        for name, message in error.by_field.items():
            if name in self.row_models:
                self.row_errors[name] = message
                self.form_errors.append(message)
            elif name in self._fields:
                self._fields[name].errors = [*self._fields[name].errors, message]
            else:
                self.form_errors.append(message)


def blank_form(kind: str) -> PolicyForm:
    return filled_form(kind, "", POLICY_MODELS[kind]())


def filled_form(kind: str, title: str, body: PolicyBody, *, is_default: bool = False) -> PolicyForm:
    """The form that shows a policy."""
    values = {name: _shown(value) for name, value in body}
    form = _made(kind, formdata=None, data={**values, "title": title, "is_default": is_default})
    dumped = body.model_dump(mode="json")
    form.rows = {name: [{k: str(v) for k, v in row.items()} for row in dumped[name]] + _blank(form, name) for name in form.row_models}
    form.row_errors = {}
    return form


def posted_form(kind: str, sent: Mapping[str, str]) -> PolicyForm:
    """The form as it was sent, rows included."""
    form = _made(kind)
    form.row_errors = {}
    form.rows = {}
    for name, model in form.row_models.items():
        count = sum(1 for key in sent if key.startswith(f"{name}-") and key.endswith(f"-{next(iter(model.model_fields))}"))
        found = [{column: sent.get(f"{name}-{index}-{column}", "").strip() for column in model.model_fields} for index in range(count)]
        form.rows[name] = [row for row in found if any(row.values())] + _blank(form, name)
    return form


def show(policy: Policy) -> PolicyForm:
    return filled_form(policy.kind, policy.title, policies.body_of(policy), is_default=policy.is_default)


def suggestions() -> dict[str, list[tuple[str, str]]]:
    """What can be chosen in a mapping's columns: (value, label)."""
    return {
        "magento_carrier": [(row.code, f"{row.label} ({(row.data or {}).get('shipments', 0)} shipments)") for row in magento.known_carriers()],
        "tiktok_carrier": [(name, name) for name in onboarding.carrier_names()],
        "tiktok_status": list(tiktok_order.LABELS.items()),
        "magento_status": [(code, f"{label} ({code})") for code, label in magento.known_statuses().items()],
        "source_code": [(row.code, row.label) for row in magento.known("source")],
        "warehouse_id": [(row.remote_id, row.name) for row in onboarding.every("warehouse")],
    }


def _blank(form: PolicyForm, name: str) -> list[dict[str, str]]:
    return [dict.fromkeys(form.row_models[name].model_fields, "") for _ in range(BLANK_ROWS)]


def _made(kind: str, **values: Any) -> PolicyForm:
    known = {field: choices for field, choices in known_attributes().items() if field in POLICY_MODELS[kind].model_fields}
    form = _form_class(kind, frozenset(known))(**values)
    for field, choices in known.items():
        first = {} if isinstance(form[field], KnownListField) else {"": _BLANK.get(field, "None")}
        form[field].choices = first | choices
    return form


#: What a blank choice of an attribute means.
_BLANK = {"price_attribute": "price (Magento's price)", "main_image_attribute": ""}


@cache
def _form_class(kind: str, known: frozenset[str]) -> type[PolicyForm]:
    """``known``: the fields that are chosen from what is known; the others are typed."""
    model = POLICY_MODELS[kind]
    members: dict[str, Any] = {"kind": kind, "row_models": {}}
    for name, info in model.model_fields.items():
        row_model = _row_model(info.annotation)
        if row_model is not None:
            members["row_models"][name] = row_model
        elif name in known:
            members[name] = (KnownListField if _is_text_list(info.annotation) else KnownField)(
                info.title or name, description=info.description or "", choices={}
            )
        else:
            members[name] = _field(info.title or name, info.description or "", info.annotation)
    return type(f"{KIND_TITLES[kind]}PolicyForm", (PolicyForm,), members)


def _field(label: str, help_text: str, annotation: Any) -> Field:
    bare = _bare(annotation)
    if bare is bool:
        return BooleanField(label, description=help_text)
    if get_origin(bare) is Literal:
        return SelectField(label, choices={value: CHOICES.get(value, value) for value in get_args(bare)}, description=help_text)
    if _is_text_list(annotation):
        return TextAreaField(label, description=f"{help_text} One a line.".strip())
    if bare in (int, Decimal):
        return StringField(label, description=help_text, render_kw={"inputmode": "numeric" if bare is int else "decimal", "autocomplete": "off"})
    return StringField(label, description=help_text, render_kw={"autocomplete": "off"})


def _bare(annotation: Any) -> Any:
    """The type inside ``Annotated`` and ``| None``."""
    if hasattr(annotation, "__metadata__"):
        return _bare(annotation.__origin__)
    if get_origin(annotation) in (Union, types.UnionType):
        return _bare(next(part for part in get_args(annotation) if part is not type(None)))
    return annotation


def _is_optional(annotation: Any) -> bool:
    return type(None) in get_args(annotation)


def _takes_text(annotation: Any) -> bool:
    return _bare(annotation) is str


def _is_text_list(annotation: Any) -> bool:
    return get_origin(annotation) is tuple and _bare(get_args(annotation)[0]) is str


def _row_model(annotation: Any) -> type[BaseModel] | None:
    inner = get_args(annotation)[0] if get_origin(annotation) is tuple else None
    return inner if isinstance(inner, type) and issubclass(inner, BaseModel) else None


def _shown(value: Any) -> Any:
    """A model's value as a form field holds it."""
    if isinstance(value, tuple):
        return "\n".join(str(part) for part in value)
    if value is None:
        return ""
    return value if isinstance(value, bool | str) else str(value)


class DeleteForm(Form):
    """Deleting: who takes the place of what is in use."""

    successor = SelectField(
        "Policy that takes their place",
        choices=lambda: (
            {"": "None: delete only what is not in use"}
            | {str(row.id): f"{KIND_TITLES[kind]}: {row.title}" for kind in KIND_TITLES for row in policies.of_kind(kind)}
        ),
        description="Of the same type. It also becomes the default where a deleted one was.",
    )
