"""The template's form: its fields, the rows of its query as typed, and what they come to."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from werkzeug.datastructures import MultiDict
from wtforms import BooleanField, FileField, HiddenField, RadioField, SelectField, StringField

from connector.core.db import db
from connector.domain.query import Query
from connector.models.account import Account
from connector.models.listing import ListingTemplate
from connector.models.policy import Policy
from connector.services import policies
from connector.services.templates import filling, vocabulary
from connector.services.templates.filling import LABELS, POLICY_FIELDS, Draft, TemplateErrors
from connector.services.templates.plan import IDENTIFIERS, TemplateOptions, options_of
from connector.services.templates.vocabulary import Askable
from connector.web.forms import Form

_FIELDS = TemplateOptions.model_fields
Row = dict[str, Any]  #: attribute, operator, value (text) and values (what is ticked of a list)


def _text(name: str) -> StringField:
    return StringField(_FIELDS[name].title, description=_FIELDS[name].description or "")


class TemplateForm(Form):
    """``rows``: the query's conditions as typed; ``row_errors``: what is wrong with them, by place."""

    name = StringField("Template Name", description="Internal; up to 80 characters.")
    enabled = BooleanField("Enabled", description="A disabled template takes no new products, and its products are neither uploaded nor acted upon.")
    priority = StringField("Priority", description="Where the queries of two templates overlap, the lowest number wins; then the older template.")
    category_id = HiddenField()
    category_search = StringField("Search by words")
    image_policy_id = SelectField("Image Policy", validate_choice=False)
    pricing_policy_id = SelectField("Pricing Policy", validate_choice=False)
    inventory_policy_id = SelectField("Inventory Policy", validate_choice=False)
    match = RadioField("Products match when", choices={"all": "All Conditions hold", "any": "Any Condition holds"}, default="all", validate_choice=False)
    override_existing = BooleanField(_FIELDS["override_existing"].title, description=_FIELDS["override_existing"].description)
    title_attribute = _text("title_attribute")
    description_attribute = _text("description_attribute")
    seller_sku_attribute = _text("seller_sku_attribute")
    brand_id = HiddenField()
    brand_name = HiddenField()
    brand_search = StringField("Search TikTok's brands", description="The beginning of the brand's name.")
    identifier_attribute = _text("identifier_attribute")
    identifier_type = SelectField(_FIELDS["identifier_type"].title, choices=IDENTIFIERS, validate_choice=False)
    usual_weight = _text("usual_weight")
    length_attribute = _text("length_attribute")
    width_attribute = _text("width_attribute")
    height_attribute = _text("height_attribute")
    dimension_unit = SelectField(_FIELDS["dimension_unit"].title, choices={"cm": "centimetres", "in": "inches"}, validate_choice=False)
    usual_length = _text("usual_length")
    usual_width = _text("usual_width")
    usual_height = _text("usual_height")
    image_axis = _text("image_axis")
    size_chart = FileField("Size chart", description="A picture (JPG or PNG, 300 to 4000 pixels a side) for categories that show one.")
    size_chart_uri = HiddenField()
    size_chart_name = HiddenField()

    rows: list[Row]
    row_errors: dict[int, str]
    account: Account
    known: dict[str, Askable]

    def offer(self, account: Account) -> None:
        """Fill the choices from the account's store and policies."""
        self.account, self.row_errors = account, {}
        self.known = vocabulary.askable(account.magento_id or 0, account.store_view or "all")
        for name, kind in POLICY_FIELDS.items():
            self[name].choices = {"": ""} | {str(each.id): each.title + ("" if each.valid else " (not valid)") for each in policies.of_kind(kind)}

    def row(self, attribute: str = "", operator: str = "", value: str = "") -> Row:
        """One condition for the page; an operator that the attribute does not take gives way to the attribute's first."""
        asked = self.known.get(attribute)
        operators = asked.operators if asked else []
        if operators and operator not in dict(operators):
            operator = operators[0][0]
        return {
            "attribute": attribute,
            "operator": operator,
            "value": value,
            "values": [each.strip() for each in value.split(",") if each.strip()],
            "asked": asked,
        }

    def query(self) -> Query:
        """The query that was typed. Raises ``TemplateErrors``."""
        return filling.query_of(
            self.match.data or "all",
            [{**{name: row[name] for name in ("attribute", "operator", "value")}, "kind": row["asked"].kind if row["asked"] else "text"} for row in self.rows],
        )

    def draft(self, present: ListingTemplate | None) -> Draft:
        """What is to be saved. Raises ``TemplateErrors`` with everything that is wrong."""
        errors: dict[str, str] = {}
        query, options = Query(), TemplateOptions()
        try:
            query = self.query()
        except TemplateErrors as wrong:
            errors |= wrong.by_field
        try:
            options = filling.options_from({name: self[name].data for name in _FIELDS})
        except TemplateErrors as wrong:
            errors |= wrong.by_field
        priority = (self.priority.data or "100").strip()
        draft = Draft(
            account_id=self.account.id,
            name=self.name.data or "",
            category_id=self.category_id.data or "",
            query=query,
            options=options,
            priority=int(priority) if priority.isdecimal() and len(priority) < 9 else 0,
            enabled=bool(self.enabled.data),
            **{name: int(self[name].data) if (self[name].data or "").isdecimal() else 0 for name in POLICY_FIELDS},
        )
        errors = filling.faults(draft, present) | errors
        if errors:
            raise TemplateErrors(errors)
        return draft

    def refuse_fields(self, error: TemplateErrors) -> None:
        """Show each message beside its field."""
        for name, message in error.by_field.items():
            if name.startswith("conditions-"):
                self.row_errors[int(name.removeprefix("conditions-"))] = message
                self.form_errors.append(f"Condition {int(name.removeprefix('conditions-')) + 1}: {message}")
            elif name in self._fields and name not in ("brand_id", "size_chart_uri"):
                self._fields[name].errors = [*self._fields[name].errors, message]
            else:
                self.form_errors.append(f"{LABELS[name]}: {message}" if name in LABELS else message)


def blank_form(account: Account) -> TemplateForm:
    """A new template: the default policies chosen, one empty condition."""
    defaults = {name: next((str(each.id) for each in policies.of_kind(kind) if each.is_default), "") for name, kind in POLICY_FIELDS.items()}
    values = {name: _shown(value) for name, value in TemplateOptions()}
    form = TemplateForm(formdata=None, data={**values, **defaults, "enabled": True, "priority": "100", "match": "all"})
    form.offer(account)
    form.rows = [form.row()]
    return form


def filled_form(template: ListingTemplate) -> TemplateForm:
    query = Query.model_validate(template.query or {})
    values: dict[str, Any] = {name: _shown(value) for name, value in options_of(template)}
    values |= {name: str(getattr(template, name)) for name in POLICY_FIELDS}
    values |= {
        "name": template.name,
        "enabled": template.enabled,
        "priority": str(template.priority),
        "category_id": template.category_id,
        "match": query.match,
    }
    form = TemplateForm(formdata=None, data=values)
    form.offer(template.account)
    form.rows = [form.row(each.attribute, each.operator, each.value) for each in query.conditions]
    return form


def posted_form(account: Account, sent: MultiDict[str, str]) -> TemplateForm:
    """The form as it was sent, rows included."""
    form = TemplateForm()
    form.offer(account)
    places = sorted({int(key.split("-")[1]) for key in sent if key.startswith("conditions-") and key.split("-")[1].isdecimal()})[:60]
    form.rows = []
    for place in places:
        values = [each.strip() for each in sent.getlist(f"conditions-{place}-value") if each.strip()]
        form.rows.append(form.row(sent.get(f"conditions-{place}-attribute", ""), sent.get(f"conditions-{place}-operator", ""), ", ".join(values)))
    return form


def _shown(value: Any) -> Any:
    return value if isinstance(value, bool) else "" if value is None else str(value)


def _policy_choices(kind: str) -> dict[str, str]:
    rows = db.session.scalars(select(Policy).where(Policy.kind == kind, Policy.deleted_at.is_(None)).order_by(Policy.is_default.desc(), Policy.title))
    return {"": "Leave as it is"} | {str(each.id): each.title for each in rows}


class PoliciesForm(Form):
    """Update Policy (A142)."""

    image_policy_id = SelectField("Image Policy", default="")
    pricing_policy_id = SelectField("Pricing Policy", default="")
    inventory_policy_id = SelectField("Inventory Policy", default="")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, kind in POLICY_FIELDS.items():
            self[name].choices = _policy_choices(kind)


class StatusForm(Form):
    """Change Status (A144)."""

    status = RadioField("Status", choices={"enable": "Enable", "disable": "Disable"}, default="enable")
