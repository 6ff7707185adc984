"""Looking after an installation: backups, moving to PostgreSQL, other keys, a database that goes away, workers that are restarted (product.md 2, 12)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from flask import Flask
from gunicorn.config import Config as Settings
from sqlalchemy import create_engine, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from connector import create_app
from connector.config import PROJECT
from connector.core import crypto
from connector.core.crypto import vault
from connector.core.db import db, is_away, unit_of_work
from connector.core.errors import DomainError
from connector.core.server_log import ServerLog
from connector.jobs import context, runtime
from connector.jobs.runtime import Item, JobContext
from connector.models.account import SANDBOX, Account, MagentoConnection, Setting
from connector.models.order import BuyerToken
from connector.models.run import JobItem, JobRun
from connector.services import encryption, kinds, runs
from tests.conftest import KEY
from tests.factories.shop import Market, carry_out, perform


@pytest.fixture
def cli(app: Flask) -> Callable[..., str]:
    """Run a command of ``flask connector`` and return what it printed; its exit status is the last word."""

    def run(*words: str, on: Flask = app) -> str:
        db.session.remove()
        with on.app_context():
            result = on.test_cli_runner().invoke(args=["connector", *words])
        return f"{result.output}{result.exception if result.exit_code and result.exception else ''} {result.exit_code}"

    return run


def _store(title: str, secret: str) -> None:
    with unit_of_work() as session:
        session.add(MagentoConnection(title=title, base_url="http://store.test", access_token=secret, facts={"ok": True}))


def _secrets() -> list[str | None]:
    found = list(db.session.scalars(select(MagentoConnection.access_token).order_by(MagentoConnection.id)))
    db.session.remove()
    return found


def test_a_backup_is_put_back_when_nobody_works_on_the_database(app: Flask, cli: Callable[..., str], tmp_path: Path) -> None:
    _store("one", "tok-1")
    assert cli("backup", str(tmp_path / "b")).endswith(" 0")
    assert "cannot be made" in cli("backup", str(tmp_path / "b"))
    _store("two", "tok-2")
    another = create_engine(db.engine.url, poolclass=NullPool)  # as another process of the product has it
    with another.begin() as connection:
        connection.execute(text("SELECT 1"))
        assert "The product is running on this database." in cli("restore", str(tmp_path / "b"), "--yes")
    assert _secrets() == ["tok-1", "tok-2"]
    with db.engine.begin() as connection:
        connection.execute(text("CREATE TABLE of_a_newer_version (id INTEGER PRIMARY KEY)"))
    assert "Restored." in cli("restore", str(tmp_path / "b"), "--yes")
    assert _secrets() == ["tok-1"]
    with pytest.raises(Exception, match="of_a_newer_version"), db.engine.begin() as connection:
        connection.execute(text("SELECT * FROM of_a_newer_version"))


@pytest.fixture
def on_postgres(app: Flask, fresh_postgres: str) -> Iterator[Flask]:
    """The same installation with its ``DATABASE_URL`` set to PostgreSQL."""
    other = create_app(replace(app.config["CONNECTOR"], database_url=fresh_postgres))
    yield other
    with other.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.mark.sqlite_only
def test_a_backup_of_sqlite_moves_the_installation_to_postgresql(app: Flask, on_postgres: Flask, cli: Callable[..., str], tmp_path: Path) -> None:
    _store("one", "tok-1")
    with unit_of_work() as session:
        session.add(Account(title="GB", country="GB", environment=SANDBOX, access_token="shop-1"))
        session.add(Setting(key="time_zone", value="Europe/Berlin"))
    assert cli("backup", str(tmp_path / "b")).endswith(" 0")
    assert "Restored." in cli("restore", str(tmp_path / "b"), "--yes", on=on_postgres)
    with on_postgres.app_context():
        assert db.engine.dialect.name == "postgresql"
        _store("two", "tok-2")  # its id follows the copied one's
        assert _secrets() == ["tok-1", "tok-2"]
        account = db.session.scalars(select(Account)).one()
        assert (account.access_token, account.active, db.session.get(Setting, "time_zone").value) == ("shop-1", True, "Europe/Berlin")
        db.session.remove()
    assert cli("backup", str(tmp_path / "p"), on=on_postgres).endswith(" 0")
    assert "holds a backup of PostgreSQL" in cli("restore", str(tmp_path / "p"), "--yes")


@pytest.fixture
def other_keys() -> Iterator[Callable[..., None]]:
    yield lambda *keys: crypto.configure(list(keys))
    crypto.configure([KEY])


def test_a_new_key_takes_over_everything_that_is_stored(account: Account, market: Market, other_keys: Callable[..., None]) -> None:
    encryption.check()
    market.post("seed", region="GB", orders=1, status="AWAITING_SHIPMENT")
    perform("orders.import", account.id)
    run_id = runs.submit("housekeeping", items=[("1", "parked"), ("2", "plain")]).run_id
    with unit_of_work() as session:
        item = session.scalars(select(JobItem).where(JobItem.run_id == run_id, JobItem.ref == "1")).one()
        item_id = item.id
        item.data = {"payload": vault().encrypt("{}"), "digest": "d"}
    before = set(db.session.scalars(select(BuyerToken.token)))
    assert before
    new = Fernet.generate_key().decode()

    other_keys(new)
    with pytest.raises(DomainError, match="not those with which this database was written"):
        encryption.check()
    other_keys(new, KEY)
    assert any(set(vault().blind_indexes(word)) & before for word in _words()), "buyers are found before anything is rewritten"
    counts = encryption.renew()
    assert {"setting", "account", "order_payload", "buyer_token", "job_item"} <= set(counts)
    assert "buyer_token" in (again := encryption.renew())
    assert set(again) == {"buyer_token"}, "what has the first key stays as it is"
    other_keys(new)
    encryption.check()
    db.session.expire_all()
    assert db.session.get(Account, account.id, populate_existing=True).access_token
    assert {vault().blind_index(word) for word in _words()} == set(db.session.scalars(select(BuyerToken.token)))
    assert vault().decrypt(db.session.get(JobItem, item_id, populate_existing=True).data["payload"]) == "{}"


def _words() -> set[str]:
    from connector.models.order import OrderPayload

    db.session.expire_all()
    return {word for payload in db.session.scalars(select(OrderPayload)) for word in encryption._words(payload)}


@pytest.fixture
def body(app: Flask) -> Iterator[Callable[[runtime.Body], str]]:
    """Register a body under a kind of its own for one test."""

    def register(fn: runtime.Body) -> str:
        kinds.KINDS["test.body"] = kinds.Kind("test.body", "A test run", lease_seconds=4, remote=False)
        runtime.BODIES["test.body"] = fn
        return "test.body"

    yield register
    del kinds.KINDS["test.body"], runtime.BODIES["test.body"]
    context.leaving.clear()


@pytest.mark.sqlite_only
def test_a_worker_that_is_stopped_hands_the_rest_of_its_run_back(body: Callable[[runtime.Body], str]) -> None:
    seen: list[str] = []

    def work(ctx: JobContext) -> None:
        def one(item: Item) -> str:
            seen.append(item.ref)
            if item.ref == "2":
                context.leaving.set()  # what SIGTERM does
            return "done"

        ctx.map(one)
        ctx.finish("Done.")

    run = carry_out(runs.submit(body(work), items=[(str(n), f"item {n}") for n in (1, 2, 3)]).run_id)
    assert (run.state, run.done, run.failed, run.wait_reason) == ("waiting", 2, 0, "Its worker was stopped; another one goes on with it.")
    context.leaving.clear()
    run = carry_out(run.id)
    assert (run.state, run.done, seen) == ("succeeded", 3, ["1", "2", "3"])


@pytest.mark.sqlite_only
def test_a_run_outlives_a_restart_of_the_database(on_postgres: Flask, body: Callable[[runtime.Body], str]) -> None:
    restarts = iter([True, True])

    def work(ctx: JobContext) -> None:
        def one(item: Item) -> str:
            if next(restarts, False):
                db.session.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"))
            return "done"

        ctx.map(one)
        ctx.finish("Done.")

    with on_postgres.app_context():
        run_id = runs.submit(body(work), items=[(str(n), f"item {n}") for n in range(3)]).run_id
        for _ in range(2):
            run = carry_out(run_id)
            assert (run.state, run.failed, run.wait_reason) == ("waiting", 0, "The database did not answer for a while.")
        assert (carry_out(run_id).state, db.session.get(JobRun, run_id).done) == ("succeeded", 3)


@pytest.mark.sqlite_only
def test_probes_and_pages_say_that_the_database_is_away(app: Flask) -> None:
    away = create_app(replace(app.config["CONNECTOR"], database_url="postgresql+psycopg://nobody@127.0.0.1:1/none", testing=False))
    client = away.test_client()
    ready = client.get("/readyz")
    assert ready.status_code == 503
    assert ready.json["checks"]["database"].startswith("The database does not answer")
    assert ready.json["checks"]["redis"] == "ok"
    metrics = client.get("/metrics")
    assert metrics.status_code == 200
    assert 'connector_up{part="database"} 0.0' in metrics.text
    assert 'connector_up{part="redis"} 1.0' in metrics.text
    page = client.get("/sign-in")
    assert (page.status_code, page.headers["Retry-After"]) == (503, "5")
    assert "The database does not answer." in page.text


def test_a_fault_of_the_statement_itself_is_not_a_database_that_is_away(app: Flask) -> None:
    """It would come again and again, and hold up the neighbours of the record that caused it (rule 5)."""
    long = "SELECT string_agg(md5(i::text), '') FROM generate_series(1, 2000) AS i"
    if db.engine.dialect.name == "postgresql":
        db.session.execute(text("CREATE TEMP TABLE words (word text)"))
        db.session.execute(text("CREATE INDEX ON words (word)"))
    wrong = {"sqlite": "SELECT * FROM no_such_table", "postgresql": f"INSERT INTO words {long}"}
    with pytest.raises(OperationalError) as refused:
        db.session.execute(text(wrong[db.engine.dialect.name]))
    db.session.rollback()
    assert not is_away(refused.value)


def test_the_web_servers_own_lines_are_json_like_all_others(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """gunicorn's first process, which loads no application, says when it starts and stops (``LOG_JSON``)."""
    monkeypatch.setenv("LOG_JSON", "1")
    log = ServerLog(Settings())
    log.info("Listening at: %s?access_token=%s", "http://127.0.0.1:5000", "t0ken")
    log.error_log.handlers.clear()
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"], line["logger"]) == ("Listening at: http://127.0.0.1:5000?access_token=***", "info", "gunicorn.error")
    assert f"--logger-class {ServerLog.__module__}.{ServerLog.__name__}" in (PROJECT / "deploy" / "connector-web.service").read_text()


def test_the_self_check_says_what_is_broken_and_how_to_mend_it(cli: Callable[..., str]) -> None:
    """A005: migrating is `flask db upgrade`, seeding what the first page does."""
    _store("one", "tok-1")
    with unit_of_work() as session:
        session.add(MagentoConnection(title="two", base_url="http://never.test", facts={}))
    said = cli("doctor")
    assert "ok    schema: at " in said and "ok    encryption keys: they fit what is stored" in said and "ok    store http://store.test: tested" in said
    assert "FAULT store http://never.test: never tested Run: flask --app app connector magento test." in said
    assert said.endswith(" 1")
