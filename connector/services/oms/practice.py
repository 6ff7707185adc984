"""The practice OMS in one click: both sides are told of each other, and nobody types a secret (product.md 13)."""

from __future__ import annotations

import secrets

from connector.clients import errors as api
from connector.clients import practice
from connector.core.db import end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.models.account import SANDBOX
from connector.models.oms import OmsConnection
from connector.models.user import User
from connector.services import accounts, api_tokens, settings
from connector.services.accounts.unattended import CARRIERS
from connector.services.oms import connection
from connector.services.oms.connection import CSV, JSONL, Choice

#: The practice OMS is asked and told often, so that something is to be seen.
MINUTES = 1
#: The name of its API token; another click puts a new one in the old one's place.
NAME = "Practice OMS"


def use_practice_oms(account_id: int, user: User) -> OmsConnection:
    """Connect a Sandbox account to the practice OMS: feed-ready calls, collection with a new token of ``user``, events and pulls."""
    account = accounts.get(account_id)
    if account.environment != SANDBOX:
        raise DomainError("oms.not_sandbox", f"{account.title} is a Production account.", "Practise with a Sandbox account.")
    url, product = settings.config().practice_oms_url, settings.config().public_url
    if not url:
        raise DomainError("practice.away", "There is no practice OMS.", "Start the product with make run, which starts the practice servers too.")
    end_reading()
    try:
        carrier = CARRIERS.get(account.country, CARRIERS["GB"])  # it ships with one that the practice shop has
        practice.tell_oms(url, product_url=product, account_id=account_id, carrier=carrier)  # before anything is saved: is it there?
        pull_token = secrets.token_urlsafe(24)
        choice = Choice(
            feed_formats=(JSONL, CSV), feed_minutes=MINUTES, notify_url=f"{url}/feed-ready", pull_url=f"{url}/statuses", pull_token=pull_token, pull_minutes=MINUTES
        )  # fmt: skip
        with unit_of_work():
            row = connection.save(account_id, choice, actor=user.email).connection
            for old in api_tokens.of(user):
                if (old.name, old.account_id) == (NAME, account_id):
                    api_tokens.revoke(user, old.id, actor=user.email)
            _, token = api_tokens.create(user, NAME, ("feeds", "updates", "orders"), account_id=account_id, actor=user.email)
        practice.tell_oms(url, secret=row.secret, api_token=token, pull_token=pull_token)
    except api.ApiError as error:
        raise DomainError(
            "practice.away", f"The practice OMS does not answer: {error}", "Start the product with make run, which starts the practice servers too."
        ) from error
    return row
