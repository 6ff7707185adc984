"""Where an account's orders go: its external storefront, saved, tested, taken from the practice servers (A243-A250)."""

from __future__ import annotations

from typing import Any

from flask import request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response as AnyResponse
from wtforms import PasswordField, StringField
from wtforms.validators import Length

from connector.blueprints.accounts.forms import EditAccountForm, filled
from connector.blueprints.accounts.views import bp, page_of
from connector.core.errors import DomainError
from connector.models.oms import ExternalStore
from connector.services import accounts
from connector.services.accounts import storefront
from connector.web.auth import requires
from connector.web.forms import Form, Required
from connector.web.htmx import go_to, toast

KEEP = "Leave blank to keep the stored one."
SECRET = {"autocomplete": "new-password"}


class StorefrontForm(Form):
    takes_keys = True

    base_url = StringField(
        "Base URL", [Required("Enter the address of the storefront"), Length(max=500)], description="Such as https://store.example.com",
        render_kw={"autocomplete": "off"},
    )  # fmt: skip
    client_id = StringField("Client ID", [Required(), Length(max=120)], description="Of the store's API client.", render_kw={"autocomplete": "off"})
    client_secret = PasswordField("Client secret", [Length(max=300)], description=KEEP, render_kw=SECRET)
    storefront_password = PasswordField(
        "Storefront password", [Length(max=200)], description=f"Of a protected development or staging storefront. {KEEP}", render_kw=SECRET
    )


def form_of(store: ExternalStore | None) -> StorefrontForm:
    """Filled with what is stored; secrets are never shown again."""
    return StorefrontForm(formdata=None, data={"base_url": store.base_url, "client_id": store.client_id} if store else {})


@bp.post("/<int:account_id>/storefront")
@requires("accounts.write")
def save_storefront(account_id: int) -> Any:
    """Save, choose the external storefront for the account, and test it when asked ("Save and test")."""
    account = accounts.get(account_id)
    form = StorefrontForm()
    if form.validate_on_submit():
        with form.catching():
            storefront.save(account_id, **form.values(), actor=current_user.email)
        if not form.summary:
            return _tested(account_id) if request.form.get("test") else _saved(account_id)
    return page_of(account, EditAccountForm(formdata=None, data=filled(account)), store_form=form)


@bp.post("/<int:account_id>/storefront/test")
@requires("accounts.write")
def test_storefront(account_id: int) -> AnyResponse:
    """Test connection."""
    accounts.get(account_id)
    return _tested(account_id)


@bp.post("/<int:account_id>/storefront/practice")
@requires("accounts.write")
def practice_storefront(account_id: int) -> AnyResponse:
    """Use the practice storefront: one click for a Sandbox account."""
    try:
        facts = storefront.use_practice_storefront(account_id, actor=current_user.email)
    except DomainError as error:
        toast(str(error), "warning")
        return _to_page(account_id)
    return _said(account_id, facts)


def _tested(account_id: int) -> AnyResponse:
    try:
        return _said(account_id, storefront.test(account_id, actor=current_user.email))
    except DomainError as error:
        toast(str(error), "warning")
        return _to_page(account_id)


def _said(account_id: int, facts: dict[str, Any]) -> AnyResponse:
    if facts["ok"]:
        toast("The external storefront answers and is in order.")
    else:
        problem = facts["problems"][0]
        toast(f"{problem['message']} {problem['remedy']}", "warning")
    return _to_page(account_id)


def _saved(account_id: int) -> AnyResponse:
    toast("The external storefront is saved. Test the connection next.")
    return _to_page(account_id)


def _to_page(account_id: int) -> AnyResponse:
    return go_to(url_for("accounts.show", account_id=account_id, _anchor="external-storefront"))
