"""Connecting the practice shop without a browser: for the command line, demonstrations, benchmarks and tests.

Every step goes through the same functions as the buttons; only the seller's click on "Accept" is made by the practice marketplace itself.
"""

from __future__ import annotations

import secrets
from urllib.parse import parse_qs, urlsplit

import requests

from connector.core.db import end_reading
from connector.core.errors import DomainError
from connector.domain.order_policy import CarrierRow, OrderPolicy
from connector.models.account import Account
from connector.services import policies, settings
from connector.services.accounts.authorise import finish_authorisation, start_authorisation
from connector.services.accounts.practice import use_practice_shop

#: A carrier of each practice shop; a row that names one of another market would make the policy invalid.
CARRIERS = {"GB": "Royal Mail", "US": "USPS", "SG": "Ninja Van"}


def connect_practice_shop(country: str = "GB", *, actor: str = "system") -> Account:
    """A connected Sandbox account with a valid order policy. Repeating it gives the same account, authorised anew."""
    policies.seed(actor=actor)
    account = use_practice_shop(country, actor=actor)
    complete_order_policy(account, actor=actor)
    binding = secrets.token_hex(16)
    consent = start_authorisation(account.id, binding=binding, actor=actor)
    state = parse_qs(urlsplit(consent).query)["state"][0]
    end_reading()
    answer = requests.post(f"{settings.config().practice_tiktok_url}/practice/authorize", json={"state": state}, timeout=10)
    if answer.status_code != 200:
        raise DomainError("practice.refused", f"The practice marketplace did not accept: {answer.text[:200]}", "Open its console and try there.")
    connected, _, _ = finish_authorisation(state=state, code=answer.json()["code"], error="", binding=binding, actor=actor)
    return connected


def complete_order_policy(account: Account, *, actor: str) -> None:
    """Give the account's order policy what it lacks to be valid, for the carriers of the practice shop."""
    row = policies.order_policy_row(account)
    body = OrderPolicy.model_validate(row.body)
    if row.valid:
        return
    carrier = CARRIERS[account.country]
    filled = body.model_copy(update={"carrier_mapping": (CarrierRow(magento_carrier=carrier, tiktok_carrier=carrier),)})
    policies.save(row.id, title=row.title, body=filled, actor=actor, note="Completed for the practice shop")
