"""An account that is authorised at the practice marketplace and needs no store: for the intake, which never talks to Magento."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from connector.core.db import db, end_reading
from connector.domain.order_policy import OrderPolicy
from connector.jobs import runtime
from connector.models.account import SANDBOX, Account
from connector.models.run import JobRun
from connector.services import policies, runs, settings
from connector.services.accounts.authorise import finish_authorisation, start_authorisation
from connector.services.accounts.editing import Choice, create
from connector.services.accounts.practice import connect_app
from tests.factories.waiting import until


def authorise(country: str = "GB") -> Account:
    """A Sandbox account of the practice shop of ``country``, authorised over real HTTP."""
    policies.seed(actor="tests")
    connect_app(actor="tests")
    account = create(Choice(title=f"Shop_{country}", country=country, environment=SANDBOX, store_view="all", magento_id=None), actor="tests")
    binding = secrets.token_hex(16)
    consent = start_authorisation(account.id, binding=binding, actor="tests")
    state = parse_qs(urlsplit(consent).query)["state"][0]
    end_reading()
    answer = requests.post(f"{settings.config().practice_tiktok_url}/practice/authorize", json={"state": state, "shops": [country]}, timeout=10)
    connected, _, _ = finish_authorisation(state=state, code=answer.json()["code"], error="", binding=binding, actor="tests")
    return connected


def change_policy(account: Account, **changes: Any) -> None:
    """Save the account's order policy with these fields changed."""
    row = policies.order_policy_row(account)
    body = OrderPolicy.model_validate({**row.body, **changes})
    policies.save(row.id, title=row.title, body=body, actor="tests")


def perform(kind: str, account_id: int, **rest: Any) -> JobRun:
    """Submit a run and execute it in this process, as a worker does; the run as it ended."""
    return carry_out(runs.submit(kind, account_id=account_id, **rest).run_id)


def carry_out(run_id: int) -> JobRun:
    db.session.commit()
    runtime.perform(run_id)
    db.session.expire_all()
    run = db.session.get(JobRun, run_id)
    assert run is not None
    db.session.commit()
    return run


class Controls:
    """The control interface of a practice server."""

    def __init__(self, url: str) -> None:
        self.url = url

    def post(self, path: str, /, **body: Any) -> Any:
        answer = requests.post(f"{self.url}/practice/{path}", json=body, timeout=120)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None

    def get(self, path: str, /, **query: Any) -> Any:
        answer = requests.get(f"{self.url}/practice/{path}", params=query, timeout=60)
        assert answer.ok, answer.text
        return answer.json()

    def delete(self, path: str) -> None:
        assert requests.delete(f"{self.url}/practice/{path}", timeout=60).ok

    @contextmanager
    def held(self, **fault: Any) -> Iterator[Callable[..., None]]:
        """Hold the next call that ``fault`` names (its ``times``, ``after`` and ``effect`` as the README of the practice servers has them). Gives a function
        that returns once it stands still, or so many of them; they go on when the block ends."""
        number = self.post("faults", kind="held", **{"times": 1, **fault})["id"]

        def there(calls: int = 1) -> None:
            until(lambda: self._standing(number) >= calls, f"{calls} calls that are held by {fault}")

        try:
            yield there
        finally:
            self.delete(f"faults/{number}")

    def _standing(self, number: int) -> int:
        """How many calls a ``held`` fault has brought to a stand."""
        listed = self.get("faults")
        (fault,) = (one for one in (listed["faults"] if isinstance(listed, dict) else listed) if one["id"] == number)
        return int(fault["standing"])


class Market(Controls):
    """The practice marketplace."""

    def order(self, order_id: str) -> dict[str, Any]:
        """The order object as the API gives it."""
        return self.get(f"orders/{order_id}")["order"]
