"""Forms of the attributes pages."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from wtforms import BooleanField, IntegerField, RadioField, SelectField, SelectMultipleField, StringField
from wtforms.validators import NumberRange
from wtforms.widgets import CheckboxInput, ListWidget

from connector.core.db import db
from connector.domain.listing_category import CategoryAttribute as Attribute
from connector.domain.suggestions import LEAST, SURE, MagentoAttribute
from connector.models.account import Account
from connector.models.listing import CategoryAttribute, ListingTemplate
from connector.services.attributes.merge import Fetched
from connector.web.forms import Form, Required

SOURCES = {"magento": "Magento Attribute", "recommended": "Default Recommended Value", "custom": "Default Custom Value"}
#: A multiple choice drawn as check boxes.
BOXES: dict[str, Any] = {"widget": ListWidget(prefix_label=False), "option_widget": CheckboxInput()}
SCOPES = {"all": "All categories", "chosen": "Chosen categories"}


class Open(SelectMultipleField):
    """What was chosen is judged by the service, with the attribute's name in its words."""

    def pre_validate(self, form: Any) -> None:
        """Nothing to check here."""


class OpenSelect(SelectField):
    def pre_validate(self, form: Any) -> None:
        """See ``Open``."""


class MappingForm(Form):
    """How one attribute gets its value (A124, A135-A138). Several may be open on one page: the ids of the fields end with the row's."""

    source = RadioField("Where the value comes from", choices=SOURCES, default="magento", validate_choice=False)
    magento_attribute = OpenSelect("Magento attribute")
    recommended_values = Open("Recommended value")
    custom_value = StringField("Custom value")
    scope = RadioField("Map for", choices=SCOPES, default="all", validate_choice=False)
    categories = Open("Categories", **BOXES)
    attach = BooleanField("Attach to the listing templates of these categories", default=True)

    def __init__(self, row: CategoryAttribute, offered: Attribute | None, store: list[MagentoAttribute], fetched: Fetched, **given: Any) -> None:
        super().__init__(**given)
        self.magento_attribute.choices = [("", "")] + [(each.code, f"{each.label} ({each.code})" if each.label else each.code) for each in store]
        if self.magento_attribute.data and self.magento_attribute.data not in {each.code for each in store}:
            self.magento_attribute.choices.append((self.magento_attribute.data, f"{self.magento_attribute.data} (not in the store)"))
        values = dict(offered.values) if offered else {}
        lost = {each: f"{each} (no longer offered)" for each in self.recommended_values.data or () if each not in values}
        self.recommended_values.choices = [*values.items(), *lost.items()]
        self.categories.choices = {key: f"{fetched.label(key)} ({key})" for key in row.categories}
        for field in self:
            if field.name != "csrf_token":
                field.id = field.label.field_id = f"{field.name}-{row.id}"

    def body(self, values: dict[str, str]) -> dict[str, Any]:
        """For ``mapping.save``. ``values``: value by value, by Magento's option."""
        chosen = self.categories.data or []
        if self.scope.data == "chosen" and not chosen:
            self.categories.errors = ["Tick the categories that this mapping is for, or choose all categories."]
        return {
            "source": self.source.data,
            "magento_attribute": self.magento_attribute.data or "",
            "recommended_values": [each for each in self.recommended_values.data or [] if each],
            "custom_value": self.custom_value.data or "",
            "values": values,
            "categories": chosen if self.scope.data == "chosen" else [],
        }


def _templates() -> dict[str, str]:
    query = select(ListingTemplate.id, ListingTemplate.name, ListingTemplate.category_path, Account.title).join(
        Account, Account.id == ListingTemplate.account_id
    )
    rows = db.session.execute(query.order_by(Account.title, ListingTemplate.name)).all()
    several = len({row.title for row in rows}) > 1
    return {str(row.id): f"{row.name}, {row.category_path.rsplit(' > ', 1)[-1]}" + (f" ({row.title})" if several else "") for row in rows}


class AssignForm(Form):
    """Assign Attributes (A125)."""

    templates = SelectMultipleField("Listing templates", validators=[Required("Choose a listing template")], **BOXES)

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.templates.choices = _templates()


class SuggestionsForm(Form):
    """How sure a suggestion has to be."""

    least = IntegerField(
        "Apply suggestions of at least (%)",
        default=SURE,
        validators=[Required("Enter a percentage"), NumberRange(LEAST, 100, f"Enter a percentage from {LEAST} to 100")],
        description="Weaker ones are left as they are.",
    )


class RefetchForm(Form):
    """Refetch Attributes (A127)."""

    account = SelectField("Account", coerce=int, validators=[Required()])
    categories = SelectMultipleField(
        "Categories", validate_choice=False, description="Leave all unticked to fetch every category of the account's templates.", **BOXES
    )
