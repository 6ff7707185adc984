"""Forms of the accounts area."""

from __future__ import annotations

from typing import Any

from wtforms import SelectField, StringField
from wtforms.validators import Length, ValidationError

from connector.domain.policies import ORDER, SYNCHRONIZATION
from connector.models.account import PRODUCTION, SANDBOX, Account
from connector.services import magento, policies
from connector.services.accounts import COUNTRIES, PRACTICE_COUNTRIES, Choice, practice_is_there
from connector.services.accounts.editing import store_views
from connector.services.storefronts import LABELS, MAGENTO
from connector.web.forms import Form, Required

#: A030: the language of category names, attributes and alerts.
LOCALES = {
    "": "That of the shop",
    "en-GB": "English (UK)",
    "en-US": "English (US)",
    "de-DE": "Deutsch",
    "es-ES": "Español",
    "fr-FR": "Français",
    "it-IT": "Italiano",
    "id-ID": "Bahasa Indonesia",
    "ja-JP": "日本語",
    "pt-BR": "Português (Brasil)",
    "th-TH": "ไทย",
    "vi-VN": "Tiếng Việt",
}


def _views() -> dict[str, str]:
    """Store views of the live and of the practice store, each once."""
    found: dict[str, str] = {}
    for environment in (PRODUCTION, SANDBOX):
        store = magento.connection(environment)
        found |= {code: label for code, label in store_views(store.id if store else None) if code not in found}
    return found


def _policy_choices(kind: str) -> Any:
    return lambda: {str(row.id): f"{row.title}{'' if row.valid else ' (not valid yet)'}" for row in policies.of_kind(kind)}


class EditAccountForm(Form):
    title = StringField("Title", [Required(), Length(max=120)], description="Your own name for it, such as Tiktok_US.")
    storefront = SelectField(
        "Storefront", choices=LABELS, default=MAGENTO, description="Where orders are created. An external storefront is connected after saving."
    )
    store_view = SelectField("Store View", choices=_views, description="Where orders are created, and which language is read.")
    locale = SelectField("Locale", choices=LOCALES, description="Language of category names, attributes and alerts.")
    sync_policy_id = SelectField("Synchronization Policy", choices=_policy_choices(SYNCHRONIZATION))
    order_policy_id = SelectField("Order Policy", choices=_policy_choices(ORDER))

    def choice(self, account: Account) -> Choice:
        return _choice(self, account.environment, account.country, account)


class NewAccountForm(EditAccountForm):
    environment = SelectField(
        "Environment",
        choices={PRODUCTION: "Production", SANDBOX: "Sandbox (practice shop)"},
        default=PRODUCTION,
        description="Sandbox works with the built-in practice shop and can reach nothing else.",
    )
    country = SelectField(
        "Country",
        [Required()],
        choices={"": "Choose a country", **COUNTRIES},
        description="Where the seller account is registered. It cannot be changed after saving.",
    )
    field_order = ("title", "environment", "country", "storefront", "store_view", "locale", "sync_policy_id", "order_policy_id")

    def validate_country(self, field: SelectField) -> None:
        if self.environment.data == SANDBOX and field.data and field.data not in PRACTICE_COUNTRIES:
            shops = ", ".join(COUNTRIES[country] for country in PRACTICE_COUNTRIES)
            raise ValidationError(f"The practice marketplace has no shop in {COUNTRIES[field.data]}. Choose one of {shops}.")

    def new_choice(self, *, actor: str) -> Choice:
        """What was chosen; for a Sandbox account the practice servers are connected first. Raises ``DomainError`` when they do not answer."""
        if self.environment.data == SANDBOX:
            practice_is_there(actor=actor)
        return _choice(self, self.environment.data, self.country.data)


def _choice(form: EditAccountForm, environment: str, country: str, account: Account | None = None) -> Choice:
    """What the form says; policies that it does not ask for stay as they are."""
    store = magento.connection(environment)

    def chosen(name: str) -> int | None:
        if name not in form:
            return getattr(account, name, None)
        return int(form[name].data) if form[name].data else None

    return Choice(
        title=form.title.data or "",
        country=country,
        environment=environment,
        store_view=form.store_view.data or "all",
        locale=form.locale.data or None,
        magento_id=store.id if store else None,
        order_policy_id=chosen("order_policy_id"),
        sync_policy_id=chosen("sync_policy_id"),
        storefront=form.storefront.data if "storefront" in form else account.storefront if account else MAGENTO,
    )


def filled(account: Account) -> dict[str, Any]:
    """An account's values as its form shows them."""
    return {
        "title": account.title,
        "storefront": account.storefront,
        "store_view": account.store_view,
        "locale": account.locale or "",
        "sync_policy_id": str(account.sync_policy_id or ""),
        "order_policy_id": str(account.order_policy_id or ""),
        "environment": account.environment,
        "country": account.country,
    }
