"""``flask connector accounts|magento|users|practice|doctor``: setting up and looking after an installation."""

from __future__ import annotations

import sys
from typing import Any

import click
from flask import current_app
from redis.exceptions import RedisError
from sqlalchemy import select, text

from connector.cli import group
from connector.cli.work import ACTOR, command, json_option, report, wait_for
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.account import Account, MagentoConnection
from connector.models.user import ROLES
from connector.services import accounts, encryption, magento, runs, schedules, users
from connector.services.accounts.unattended import connect_practice_shop


@group.group("accounts")
def accounts_() -> None:
    """TikTok Shop accounts."""


@accounts_.command("list")
@json_option
@command
def list_accounts(as_json: bool) -> None:
    """Every account with its state."""
    rows = [
        {
            "id": row.id,
            "title": row.title,
            "country": row.country,
            "environment": row.environment,
            "active": row.active,
            "connected": row.connected,
            "authorisation_ends": row.refresh_expires_at,
        }
        for row in accounts.listed()
    ]
    report({"accounts": rows} if as_json else {row["title"]: row for row in rows}, as_json)


@accounts_.command("onboard")
@click.argument("account")
@json_option
@command
def onboard(account: str, as_json: bool) -> None:
    """Fetch Onboarding Data of ACCOUNT."""
    from connector.cli.orders import account_named

    found = account_named(account)
    wait_for(runs.submit("accounts.onboard", account_id=found.id, key=f"accounts.onboard:{found.id}", started_by=ACTOR), as_json)


@group.group("magento")
def magento_() -> None:
    """The Magento connection."""


@magento_.command("test")
@json_option
@command
def test_magento(as_json: bool) -> None:
    """Test the connection: version, store views, permissions, MSI, clock."""
    rows = list(db.session.scalars(select(MagentoConnection)))
    if not rows:
        raise DomainError("magento.none", "No Magento store is connected.", "Connect it in the setup wizard, or under Configuration.")
    failed = False
    for row in rows:
        facts = magento.test(row.id)
        failed = failed or not facts.get("ok")
        report({"store": row.base_url, **facts}, as_json)
    sys.exit(1 if failed else 0)


@group.group("users")
def users_() -> None:
    """People who sign in."""


@users_.command("create")
@click.argument("email")
@click.option("--role", type=click.Choice(list(ROLES)), default="operator")
@click.option("--password", prompt=True, hide_input=True, confirmation_prompt=True)
@json_option
@command
def create_user(email: str, role: str, password: str, as_json: bool) -> None:
    """Create a user; the password is asked for, or taken from --password."""
    with unit_of_work():
        user = users.create(email=email, password=password, role=role)
    report({"id": user.id, "email": user.email, "role": user.role}, as_json)


@group.command("practice")
@click.option("--country", default="GB", type=click.Choice(["GB", "US", "SG"]))
@json_option
@command
def practice(country: str, as_json: bool) -> None:
    """Connect the practice shop of a country and the practice store, without a browser."""
    account = connect_practice_shop(country, actor=ACTOR)
    report({"id": account.id, "title": account.title, "connected": account.connected}, as_json)


@group.command("doctor")
@json_option
@command
def doctor(as_json: bool) -> None:
    """Check the whole installation and say how to mend what is broken."""
    checks = [_redis()]
    for look in (_database, _schema, _keys):  # nothing can be read before these are right
        checks.append(look())
        if not checks[-1]["ok"]:
            break
    else:
        rows = [*(_account(row) for row in accounts.listed()), *(_store(row) for row in db.session.scalars(select(MagentoConnection)))]
        checks += [_scheduler(), *rows]
    if as_json:
        report({"ok": all(check["ok"] for check in checks), "checks": checks}, True)
    else:
        for check in checks:
            click.echo(f"{'ok   ' if check['ok'] else 'FAULT'} {check['check']}: {check['message']}{'' if check['ok'] else ' ' + check['remedy']}")
    sys.exit(0 if all(check["ok"] for check in checks) else 1)


def _check(name: str, ok: bool, message: str, remedy: str = "") -> dict[str, Any]:
    return {"check": name, "ok": ok, "message": message, "remedy": remedy}


def _database() -> dict[str, Any]:
    try:
        db.session.execute(text("SELECT 1"))
    except Exception as error:
        return _check("database", False, f"{type(error).__name__}: {str(error).splitlines()[0]}", "Check DATABASE_URL and that the server runs.")
    return _check("database", True, db.engine.dialect.name)


def _schema() -> dict[str, Any]:
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    config = current_app.extensions["migrate"].migrate.get_config()
    wanted = ScriptDirectory.from_config(config).get_current_head()
    with db.engine.connect() as connection:
        present = MigrationContext.configure(connection).get_current_revision()
    return _check("schema", wanted == present, f"at {present}, newest is {wanted}", "Run: flask --app app db upgrade.")


def _redis() -> dict[str, Any]:
    try:
        current_app.extensions["connector_redis"].ping()
    except RedisError as error:
        return _check("redis", False, f"{type(error).__name__}", "Start the product, or check REDIS_URL. Nothing is lost meanwhile.")
    return _check("redis", True, "answers")


def _scheduler() -> dict[str, Any]:
    silent = schedules.scheduler_silent_for()
    late = schedules.missed()
    if silent is not None:
        return _check("scheduler", False, "it gives no sign of life", "Start the product, or the connector-scheduler service.")
    return _check("scheduler", not late, f"alive, {len(late)} tasks are late" if late else "alive, nothing is late", "Open Queue Process > Schedule.")


def _keys() -> dict[str, Any]:
    try:
        encryption.check()
    except DomainError as error:
        return _check("encryption keys", False, error.message, error.remedy)
    return _check("encryption keys", True, "they fit what is stored")


def _account(row: Account) -> dict[str, Any]:
    ok = row.connected or not row.active
    return _check(
        f"account {row.title}",
        ok,
        "connected" if row.connected else row.auth_message or f"authorisation: {row.auth_state}",
        "Authorise it on the Accounts page.",
    )


def _store(row: MagentoConnection) -> dict[str, Any]:
    facts = row.facts or {}
    problems = "; ".join(f"{one.get('message', '')} {one.get('remedy', '')}".strip() for one in facts.get("problems", []))
    return _check(
        f"store {row.base_url}", bool(facts.get("ok")), problems or ("tested" if facts else "never tested"), "Run: flask --app app connector magento test."
    )
