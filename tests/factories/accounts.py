"""Connected accounts, made through the product's own functions against the practice servers."""

from __future__ import annotations

from typing import Any

from flask import Flask
from sqlalchemy import func, select, text

from connector.clients import practice
from connector.clients.errors import ApiError
from connector.core.db import Base, db, end_reading, unit_of_work
from connector.models.account import Account, MagentoConnection
from connector.models.policy import Policy
from connector.services import connections
from connector.services.accounts import onboarding
from connector.services.accounts.unattended import connect_practice_shop

#: The rows that connecting once left behind, as the database holds them: (dialect, country, marketplace, store) -> table -> rows.
_kept: dict[tuple[str, str, str, str], dict[str, list[dict[str, Any]]]] = {}
_PEOPLE = ("user", "user_session", "api_token")


def connect(app: Flask, country: str = "GB") -> Account:
    """A Sandbox account of ``country``, authorised over real HTTP, onboarding data fetched, order policy valid."""
    from connector.jobs import sweeper, worker

    account_id = connect_practice_shop(country, actor="tests").id
    sweeper.sweep()
    worker.run_forever(app, burst=True)
    return _found(account_id)


def connect_again(app: Flask, country: str = "GB") -> Account:
    """The same, but what ``connect`` stored the first time is put back when both servers still take its credentials: connecting takes sixty calls."""
    config = app.config["CONNECTOR"]
    key = (db.engine.dialect.name, country, config.practice_tiktok_url, config.practice_magento_url)
    fresh = not any(db.session.scalar(select(func.count()).select_from(model)) for model in (Account, MagentoConnection, Policy))
    end_reading()
    if fresh and key in _kept:
        _put(_kept[key])
        account_id = db.session.scalar(select(Account.id).where(Account.country == country)) or 0
        end_reading()
        try:
            client = connections.tiktok(account_id)
            for call in (client.authorized_shops, client.prerequisites, client.warehouses, connections.magento_for(account_id).websites):  # a scope each
                call()
            onboarding.register_webhooks(account_id)
            practice.order_mails_off(config.practice_magento_url)
        except ApiError:  # a test before this one has taken the authorisation or a scope away
            del _kept[key]
            _empty()
        else:
            return _found(account_id)
    account = connect(app, country)
    if fresh:
        _kept[key] = _rows()
    return account


def _found(account_id: int) -> Account:
    db.session.expire_all()
    account = db.session.get(Account, account_id)
    db.session.commit()
    assert account is not None
    assert account.connected
    return account


def _rows() -> dict[str, list[dict[str, Any]]]:
    tables = [table.name for table in Base.metadata.sorted_tables if table.name not in _PEOPLE]
    found = {name: [dict(row) for row in db.session.execute(text(f'SELECT * FROM "{name}"')).mappings()] for name in tables}
    end_reading()
    return {name: rows for name, rows in found.items() if rows}


def _put(kept: dict[str, list[dict[str, Any]]]) -> None:
    with unit_of_work() as session:
        for name, rows in kept.items():
            columns = list(rows[0])
            names, places = ", ".join(f'"{column}"' for column in columns), ", ".join(f":{column}" for column in columns)
            session.execute(text(f'INSERT INTO "{name}" ({names}) VALUES ({places})'), rows)
            if session.get_bind().dialect.name == "postgresql" and isinstance(rows[0].get("id"), int):
                session.execute(text(f"""SELECT setval(pg_get_serial_sequence('"{name}"', 'id'), {max(row["id"] for row in rows)})"""))


def _empty() -> None:
    with unit_of_work() as session:
        for table in reversed(Base.metadata.sorted_tables):
            if table.name not in _PEOPLE:
                session.execute(text(f'DELETE FROM "{table.name}"'))
