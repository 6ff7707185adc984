"""Waiting for runs on the command line: progress as text, one JSON line with ``--json``, exit status 1 if any item failed."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any, TypeVar

import click
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from connector.core.db import db, is_away
from connector.core.errors import DomainError
from connector.models.run import FINAL_STATES, SUCCEEDED, JobItem, JobRun
from connector.services import events
from connector.services.runs import Submitted

F = TypeVar("F", bound=Callable[..., Any])
ACTOR = "command line"


def command(function: F) -> F:
    """Refusals become one readable line and exit status 1; what is done is recorded as done from the command line."""

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        events.actor_now.set(ACTOR)
        try:
            return function(*args, **kwargs)
        except DomainError as error:
            click.echo(str(error), err=True)
            sys.exit(1)
        except SQLAlchemyError as error:
            if not is_away(error):
                raise
            click.echo(f"The database does not answer ({type(error).__name__}). Check DATABASE_URL and that the server runs.", err=True)
            sys.exit(1)

    return run  # type: ignore[return-value]


def json_option(function: F) -> F:
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line.")(function)


def report(facts: dict[str, Any], as_json: bool) -> None:
    """Print facts as a line of JSON, or as ``name: value`` lines."""
    if as_json:
        click.echo(json.dumps(facts, default=str))
        return
    for name, value in facts.items():
        click.echo(f"{name}: {value}")


def wait_for(submitted: Submitted | Iterable[Submitted], as_json: bool, *, patience: float = 3600.0) -> None:
    """Wait until the runs have ended, print what became of them and leave with 1 if anything failed."""
    ids = [one.run_id for one in ([submitted] if isinstance(submitted, Submitted) else submitted)]
    deadline = time.monotonic() + patience
    shown = ""
    while True:
        db.session.expire_all()
        runs = list(db.session.scalars(select(JobRun).where(JobRun.id.in_(ids))))
        line = "; ".join(_sentence(run) for run in runs)
        if line != shown and not as_json:
            click.echo(line, err=True)
            shown = line
        db.session.commit()
        if all(run.state in FINAL_STATES for run in runs) or time.monotonic() > deadline:
            break
        time.sleep(0.3)
    problems = db.session.execute(
        select(JobItem.label, JobItem.message, JobItem.remedy).where(JobItem.run_id.in_(ids), JobItem.state == "failed").limit(200)
    ).all()
    if not as_json:
        for problem in problems:
            click.echo(f"{problem.label}: {problem.message} {problem.remedy}".strip(), err=True)
    facts = {
        "runs": [{"id": run.id, "kind": run.kind, "state": run.state, "total": run.total, "done": run.done, "failed": run.failed, "skipped": run.skipped, "message": run.message, **run.result} for run in runs],
        "failed": [dict(problem._mapping) for problem in problems],
    }  # fmt: skip
    if as_json:
        click.echo(json.dumps(facts, default=str))
    sys.exit(0 if all(run.state == SUCCEEDED for run in runs) else 1)


def _sentence(run: JobRun) -> str:
    counted = f" {run.done + run.failed + run.skipped} of {run.total}" if run.total else ""
    failed = f", {run.failed} failed" if run.failed else ""
    return f"{run.title} (run {run.id}): {run.state}{counted}{failed}. {run.wait_reason or run.message}".strip()
