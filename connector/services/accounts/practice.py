"""From zero to a connected practice shop in a few clicks (product.md 3 and 13)."""

from __future__ import annotations

from sqlalchemy import select

from connector.clients import errors as api
from connector.clients import practice
from connector.core.db import db, end_reading
from connector.core.errors import DomainError
from connector.models.account import SANDBOX, Account, MagentoConnection
from connector.services import magento, settings
from connector.services.accounts.editing import COUNTRIES, Choice, create

CALLBACK_PATH = "/accounts/oauth/callback"
#: The practice marketplace has a shop in each of these countries.
PRACTICE_COUNTRIES = ("GB", "US", "SG")


def next_practice_country() -> str:
    """The first country of a practice shop that has no account yet; when each has one, the first, whose account is then connected anew."""
    taken = set(db.session.scalars(select(Account.country).where(Account.environment == SANDBOX)))
    return next((country for country in PRACTICE_COUNTRIES if country not in taken), PRACTICE_COUNTRIES[0])


def connect_app(*, actor: str) -> None:
    """Take over the practice marketplace's app, and tell it where the browser comes back to (what Partner Center holds for a real app)."""
    end_reading()
    conf = settings.config()
    try:
        app = practice.marketplace_app(conf.practice_tiktok_url, redirect_url=f"{conf.public_url}{CALLBACK_PATH}")
    except api.ApiError as error:
        raise DomainError(
            "practice.away", f"The practice marketplace does not answer: {error}", "Start the product with make run, which starts the practice servers too."
        ) from error
    settings.put({f"practice.{name}": app[name] for name in ("app_key", "app_secret", "service_id")}, actor=actor)


def use_practice_store(*, actor: str) -> MagentoConnection:
    """The connection to the practice store, made or renewed with a new integration, and tested."""
    end_reading()
    url = settings.config().practice_magento_url
    try:
        keys = practice.store_integration(url)
        practice.order_mails_off(url)
    except api.ApiError as error:
        raise DomainError(
            "practice.away", f"The practice store does not answer: {error}", "Start the product with make run, which starts the practice servers too."
        ) from error
    row = magento.save(
        environment=SANDBOX,
        title="Practice store",
        base_url=url,
        auth_kind="oauth1",
        consumer_key=keys["consumer_key"],
        consumer_secret=keys["consumer_secret"],
        access_token=keys["access_token"],
        access_token_secret=keys["access_token_secret"],
        actor=actor,
    )
    magento.test(row.id)
    return row


def practice_is_there(*, actor: str) -> None:
    """Connect the practice store and the practice marketplace's app unless they are connected: without them a Sandbox account can do nothing."""
    if magento.connection(SANDBOX) is None:
        use_practice_store(actor=actor)
    if not settings.tiktok_app(SANDBOX).complete:
        connect_app(actor=actor)


def use_practice_shop(country: str = "GB", *, actor: str) -> Account:
    """A Sandbox account for the practice shop of a country, with the practice store; authorise it next. An existing one is given back."""
    store = use_practice_store(actor=actor)
    connect_app(actor=actor)
    found = db.session.scalar(select(Account).where(Account.environment == SANDBOX, Account.country == country).order_by(Account.id))
    if found is not None:
        return found
    views = db.session.scalars(magento.references(store.id, "store_view")).all()
    title = f"Practice_{country}"
    if country not in COUNTRIES:
        raise DomainError("account.country", f"{country} is not a TikTok Shop market.", "Choose GB, US or SG.", field="country")
    view = next((row.code for row in views if row.code == "default"), views[0].code if views else "all")
    return create(Choice(title=title, country=country, environment=SANDBOX, store_view=view, magento_id=store.id), actor=actor)
