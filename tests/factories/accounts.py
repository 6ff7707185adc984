"""Connected accounts, made through the product's own functions against the practice servers."""

from __future__ import annotations

from flask import Flask

from connector.core.db import db
from connector.models.account import Account
from connector.services.accounts.unattended import connect_practice_shop


def connect(app: Flask, country: str = "GB") -> Account:
    """A Sandbox account of ``country``, authorised over real HTTP, onboarding data fetched, order policy valid."""
    from connector.jobs import sweeper, worker

    account_id = connect_practice_shop(country, actor="tests").id
    sweeper.sweep()
    worker.run_forever(app, burst=True)
    db.session.expire_all()
    account = db.session.get(Account, account_id)
    db.session.commit()
    assert account is not None
    assert account.connected
    return account
