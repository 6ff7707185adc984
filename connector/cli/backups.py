"""``flask connector backup|restore``: database and keys into a folder and back, also from SQLite to PostgreSQL."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import flask_migrate
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import current_app
from sqlalchemy import BigInteger, Connection, Text, column, create_engine, func, insert, inspect, make_url, select, table, text
from sqlalchemy.pool import NullPool

from connector.cli import group
from connector.cli.work import command
from connector.config import Config
from connector.core import crypto
from connector.core.db import Amount, Base, EncryptedJSON, EncryptedText, JSONText, db
from connector.core.errors import DomainError
from connector.services import encryption

SQLITE, DUMP = "connector.sqlite3", "connector.dump"
KEYS = ("encryption.key", "session.key")


@group.command("backup")
@click.argument("target", type=click.Path(path_type=Path))
@command
def backup(target: Path) -> None:
    """Write database and keys into the new folder TARGET, also while the product runs (PostgreSQL: pg_dump must be installed)."""
    config = current_app.config["CONNECTOR"]
    try:
        target.mkdir(parents=True, mode=0o700)
    except OSError as error:
        raise DomainError(
            "backup.folder", f"The folder {target} cannot be made: {error.strerror}.", "Name a new folder in a place you may write to."
        ) from error
    if config.uses_sqlite:
        with closing(sqlite3.connect(db.engine.url.database or "")) as source, closing(sqlite3.connect(target / SQLITE)) as copy:
            source.backup(copy)
    else:
        _postgres(config, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={target / DUMP}")
    kept = [name for name in KEYS if (config.instance / name).exists()]
    for name in kept:
        shutil.copy2(config.instance / name, target / name)
    holds = "It holds keys and buyer data: keep it as safe as the installation."
    if not config.own_keys:
        holds = "Without CONNECTOR_ENCRYPTION_KEYS, which are not in it, buyer data and secrets cannot be read: keep both, apart from each other."
    click.echo(f"Written to {target}. {holds}")


@group.command("restore")
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--yes", is_flag=True, help="Do not ask.")
@command
def restore(source: Path, yes: bool) -> None:
    """Put a backup back; stop the product first. A backup of SQLite can also be put into PostgreSQL, which moves an installation there."""
    config = current_app.config["CONNECTOR"]
    wanted = SQLITE if config.uses_sqlite or not (source / DUMP).exists() else DUMP
    if not (source / wanted).exists():
        if (source / DUMP).exists():
            raise DomainError("restore.other", f"{source} holds a backup of PostgreSQL, and this installation uses SQLite.", "Set DATABASE_URL to PostgreSQL.")
        raise DomainError("restore.none", f"{source} holds no backup.", "Choose a folder that flask connector backup wrote.")
    if not yes:
        click.confirm(f"This replaces the database {make_url(config.database_url).render_as_string()}. Go on?", abort=True)
    db.session.remove()
    db.engine.dispose()
    if config.uses_sqlite:
        _put_file(source / SQLITE)
    elif wanted == DUMP:
        _nobody_else()
        _put_dump(config, source / DUMP)
    else:
        _nobody_else()
        _move(source / SQLITE)
    for name in KEYS:
        if (source / name).exists():
            shutil.copy2(source / name, config.instance / name)
    if config.own_keys:
        crypto.configure([crypto.read_or_create_key(config.instance / "encryption.key")])
    flask_migrate.upgrade()
    encryption.check()
    click.echo("Restored. Start the product again.")


def _put_file(backup: Path) -> None:
    """SQLite: the file takes the place of the present one in one step."""
    place = Path(db.engine.url.database or "")
    if place.exists():
        with closing(sqlite3.connect(place, timeout=1)) as present:
            try:
                present.execute("PRAGMA journal_mode=DELETE")  # possible only for whoever is alone with the file
            except sqlite3.OperationalError as error:
                raise _running() from error
    beside = place.with_name(f".{place.name}.restored")
    shutil.copyfile(backup, beside)
    beside.chmod(0o600)
    beside.replace(place)


def _running() -> DomainError:
    return DomainError("restore.running", "The product is running on this database.", "Stop web servers, workers and schedulers on every host first.")


def _nobody_else() -> None:
    others = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'")
    for _ in range(6):  # a process that has just ended is listed for a moment longer
        with db.engine.connect() as connection:
            if not connection.scalar(others):
                return
        time.sleep(0.25)
    raise _running()


def _put_dump(config: Config, dump: Path) -> None:
    """PostgreSQL: everything in one transaction. What is there goes first, tables of a newer version too, which the dump does not know."""
    script = dump.with_name(f".{dump.name}.sql")
    try:
        script.touch(mode=0o600)
        _postgres(config, "pg_restore", "--no-owner", "--no-privileges", f"--file={script}", str(dump), database=False)
        drop = " ".join(_drops())
        _postgres(
            config,
            "psql",
            "--quiet",
            "--no-psqlrc",
            "--single-transaction",
            "--set=ON_ERROR_STOP=1",
            "--output=/dev/null",
            f"--command={drop}",
            f"--file={script}",
        )
    finally:
        script.unlink(missing_ok=True)
        db.engine.dispose()


def _drops() -> list[str]:
    return [f'DROP TABLE IF EXISTS public."{name}" CASCADE;' for name in inspect(db.engine).get_table_names()] or ["SELECT 1;"]


def _postgres(config: Config, program: str, *arguments: str, database: bool = True) -> None:
    """Run one of PostgreSQL's own programs; the password goes through the environment, where ``ps`` does not show it."""
    url = make_url(config.database_url)
    named = [f"--dbname={url.set(drivername='postgresql', password=None).render_as_string(hide_password=False)}"] if database else []
    environment = {**os.environ, **({"PGPASSWORD": str(url.password)} if url.password else {})}
    try:
        subprocess.run([program, *named, *arguments], check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    except FileNotFoundError as error:
        raise DomainError("backup.program", f"{program} is not installed on this host.", "Install the package postgresql-client.") from error
    except subprocess.CalledProcessError as error:
        said = " ".join(error.stderr.strip().splitlines()[-3:])
        raise DomainError(
            "backup.failed", f"{program} gave up: {said}", "The database is as it was. Its programs must not be older than the server."
        ) from error


def _move(backup: Path) -> None:
    """Copy a SQLite backup into PostgreSQL, as it is stored: nothing is decrypted on the way."""
    head = ScriptDirectory.from_config(current_app.extensions["migrate"].migrate.get_config()).get_current_head()
    with TemporaryDirectory() as folder, create_engine(f"sqlite:///{shutil.copy(backup, folder)}", poolclass=NullPool).connect() as reading:
        present = MigrationContext.configure(reading).get_current_revision()
        if present != head:
            raise DomainError(
                "restore.version",
                f"The backup is at schema {present}, this version at {head}.",
                "Restore it into SQLite (without DATABASE_URL), which brings it to this version, make a new backup and restore that one.",
            )
        with db.engine.begin() as writing:
            for drop in _drops():
                writing.execute(text(drop))
        flask_migrate.upgrade()
        with db.engine.begin() as writing:
            for mapped in reversed(Base.metadata.sorted_tables):
                writing.execute(mapped.delete())
            for mapped in Base.metadata.sorted_tables:
                _copy(mapped, reading, writing)


def _copy(mapped: Any, reading: Connection, writing: Connection) -> None:
    plain = {EncryptedText: Text(), EncryptedJSON: Text(), JSONText: Text(), Amount: BigInteger()}
    raw = table(mapped.name, *(column(one.name, plain.get(type(one.type), one.type)) for one in mapped.columns))
    keys = [raw.c[key.name] for key in mapped.primary_key]
    for rows in reading.execution_options(yield_per=1000).execute(select(raw).order_by(*keys)).mappings().partitions():
        writing.execute(insert(raw), [dict(row) for row in rows])
    if len(keys) == 1 and mapped.autoincrement_column is not None:
        sequence = func.pg_get_serial_sequence(f'"{mapped.name}"', keys[0].name)
        writing.execute(select(func.setval(sequence, func.max(keys[0]))).having(func.max(keys[0]).is_not(None)))
