"""Forms of the products desk."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from wtforms import RadioField, SelectField

from connector.blueprints.products.scope import view
from connector.core.db import db
from connector.models.account import Account
from connector.models.listing import ListingTemplate
from connector.web.forms import Form, Required


class AssignForm(Form):
    """Which template products are put into; the templates of the account in view."""

    template = SelectField("Listing template", coerce=str, validators=[Required("Choose a listing template")])

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        here = view()
        rows = db.session.execute(
            select(ListingTemplate.id, ListingTemplate.name, ListingTemplate.enabled)
            .where(ListingTemplate.account_id == (here.account_id if here else 0))
            .order_by(ListingTemplate.priority, ListingTemplate.id)
        )
        choices = {str(row.id): row.name if row.enabled else f"{row.name} (disabled)" for row in rows}
        self.template.choices = choices or {"": "No listing template yet: create one first"}


class ImportForm(Form):
    """Reading Magento's catalogue now."""

    account = SelectField("Account", coerce=int, validators=[Required()])
    what = RadioField(
        "What to read",
        choices={
            "changed": "What changed since the last import",
            "full": "Every product, and find out which ones Magento has no more",
            "stock": "Stock only",
        },
        default="changed",
        validators=[Required("Choose what to read")],
    )


def account_choices(accounts: list[Account]) -> dict[int, str]:
    """For those that have a store."""
    return {account.id: account.title for account in accounts if account.magento_id is not None}
