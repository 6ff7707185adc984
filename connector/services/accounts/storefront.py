"""The external storefront of an account: saved, tested, taken from the practice servers (A243-A250)."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select

from connector.clients import errors as api
from connector.clients import practice, stranger
from connector.clients.magento import BadBaseUrl, normalise_base_url
from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain.external_order import unsafe_for_tests
from connector.models.account import PRODUCTION, SANDBOX
from connector.models.oms import ExternalStore
from connector.models.order import Order
from connector.services import connections, events, settings
from connector.services.accounts import editing
from connector.services.orders import causes
from connector.services.storefronts import EXTERNAL, environment

Facts = dict[str, Any]
UNSAFE = "storefront.unsafe"


def of(account_id: int) -> ExternalStore | None:
    return db.session.scalar(select(ExternalStore).where(ExternalStore.account_id == account_id).execution_options(populate_existing=True))


def save(account_id: int, *, base_url: str, client_id: str, client_secret: str = "", storefront_password: str = "", actor: str) -> ExternalStore:
    """Store how the account's storefront is reached, and choose it for the account. A blank secret keeps the stored one while the address stays."""
    with unit_of_work() as session:
        account = editing.get(account_id)
        url = _address(base_url, account.environment)
        row = of(account_id)
        if row is None:
            row = ExternalStore(account_id=account_id, environment=account.environment, base_url=url, client_id="")
            session.add(row)
        moved = row.base_url != url
        secret = client_secret or ("" if moved else row.client_secret)
        if not client_id.strip():
            raise DomainError("storefront.client_id", "Client ID is empty.", "Copy it from the store's API client.", field="client_id")
        if not secret:
            raise DomainError("storefront.client_secret", "Client secret is empty.", "Copy it from the store's API client.", field="client_secret")
        if moved:
            row.orders_cursor_at = None
        before = {"base_url": row.base_url, "client_id": row.client_id}
        row.base_url, row.client_id, row.client_secret = url, client_id.strip(), secret
        row.storefront_password = storefront_password or (None if moved else row.storefront_password)
        row.checked_at, row.facts = None, {}
        editing.choose_storefront(account, EXTERNAL)
        session.flush()
        after = {"base_url": url, "client_id": row.client_id}
        message = f"The external storefront {url} was saved for {account.title}."
        events.record("storefront.saved", "account", account_id, message, account_id=account_id, before=before, after=after, actor=actor)
        environment.forget(row)
        return row


def test(account_id: int, *, actor: str) -> Facts:
    """Test connection: sign in, ask the environment, read an order list, look at the storefront as a stranger; the facts are kept on the row.

    Returns the store's own ``environment``, ``storefrontProtection``, ``paymentCapture``, ``confirmationEmails`` beside ``ok`` and ``problems``
    (``[{"message", "remedy"}]``). Never raises for a store that refuses or is away. Orders that an unsafe storefront held back are tried again once it is
    safe.
    """
    row, account = of(account_id), editing.get(account_id)
    if row is None:
        raise DomainError("storefront.none", f"{account.title} has no external storefront.", "Enter its address and credentials first.")
    client, url, password, sandbox = (
        connections.storefront_client(row, environment=account.environment), row.base_url, row.storefront_password, account.environment == SANDBOX,
    )  # fmt: skip
    environment.forget(row)
    end_reading()
    facts: Facts = {}
    problems: list[dict[str, str]] = []
    try:
        facts = dict(client.environment())
        next(client.orders_modified_since(utcnow()), None)
    except api.ApiError as error:
        _, title, advice = api.describe(error)
        problems.append({"message": f"{title}: {error}", "remedy": advice})
    else:
        problems += _problems(facts, sandbox)
        problems += _protection(facts, url, password)
    facts |= {"ok": not problems, "problems": problems}
    with unit_of_work():
        row = of(account_id)
        assert row is not None
        row.facts, row.checked_at = facts, utcnow()
        verdict = "passed" if facts["ok"] else f"found: {problems[0]['message']}"
        events.record(
            "storefront.tested", "account", account_id, f"Test connection to {url} {verdict}", account_id=account_id, after={"ok": facts["ok"]}, actor=actor
        )
    if facts["ok"]:
        _retry(account_id, actor)
    return facts


def use_practice_storefront(account_id: int, *, actor: str) -> Facts:
    """Take over the practice storefront's client, choose it for a Sandbox account, test it."""
    account = editing.get(account_id)
    if account.environment != SANDBOX:
        raise DomainError("storefront.is_practice", f"{account.title} is a Production account.", "The practice storefront is for Sandbox accounts.")
    end_reading()
    url = settings.config().practice_storefront_url
    try:
        client = practice.storefront_client(url)
    except api.ApiError as error:
        raise DomainError(
            "practice.away", f"The practice storefront does not answer: {error}", "Start the product with make run, which starts the practice servers too."
        ) from error
    save(
        account_id, base_url=url, client_id=client["client_id"], client_secret=client["client_secret"],
        storefront_password=client.get("storefront_password", ""), actor=actor,
    )  # fmt: skip
    return test(account_id, actor=actor)


def _address(text: str, kind: str) -> str:
    try:
        url = normalise_base_url(text)
    except BadBaseUrl as error:
        raise DomainError("storefront.address", str(error), "", field="base_url") from error
    practice_host = urlsplit(settings.config().practice_storefront_url).netloc
    host = urlsplit(url).netloc
    if not connections.connections().allows(kind, host) or (kind == SANDBOX and host != practice_host):
        raise DomainError(
            "storefront.not_practice", f"Sandbox accounts may use the practice storefront only ({practice_host}).", "Choose Use the practice storefront.",
            field="base_url",
        )  # fmt: skip
    if kind == PRODUCTION and host == practice_host:
        raise DomainError("storefront.is_practice", "That is the practice storefront.", "Enter the address of your own store.", field="base_url")
    return url


def _problems(facts: Facts, sandbox: bool) -> list[dict[str, str]]:
    if sandbox:
        found = unsafe_for_tests(facts)
        return [{"message": found[0], "remedy": found[1]}] if found else []
    name = facts.get("environment")
    if name == PRODUCTION:
        return []
    return [
        {"message": f"The storefront says that its environment is {name or 'unknown'}.", "remedy": "Connect the store's production instance to this account."}
    ]


def _protection(facts: Facts, url: str, password: str | None) -> list[dict[str, str]]:
    """Look at the shop's own pages: a stranger must be refused where protection is said to be on, and the stored password must open them (A247)."""
    if facts.get("storefrontProtection") is not True:
        return []
    facts["stranger"] = stranger.status(f"{url}/")
    if facts["stranger"] not in (401, 403):
        told = f"{url} answers {facts['stranger']} to a stranger although storefront protection is said to be on."
        return [{"message": told, "remedy": "Check the protection in the store's administration."}]
    if password:
        facts["with_password"] = stranger.status(f"{url}/", password=password)
        if facts["with_password"] in (401, 403):
            return [{"message": "The storefront password does not open the storefront.", "remedy": "Enter the password that the store's protection asks for."}]
    return []


def _retry(account_id: int, actor: str) -> None:
    query = select(Order.id).where(Order.account_id == account_id, Order.failure_code == UNSAFE)
    held = list(db.session.scalars(query))
    end_reading()
    if held:
        causes.retry(held, actor=actor, why="the storefront is safe for tests now")
