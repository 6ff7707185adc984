"""Feeds, updates, batches and connections; the work is in ``services.oms``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from flask import Blueprint, Response, render_template, request, stream_with_context, url_for
from flask_login import current_user
from sqlalchemy import func, select
from werkzeug.datastructures import FileStorage
from werkzeug.wrappers import Response as AnyResponse

from connector.blueprints.oms.forms import ConnectionForm, UploadForm
from connector.core.db import db
from connector.core.errors import DomainError
from connector.grids.export import csv_cell
from connector.grids.oms import ACTIONS, BATCH_LINES, BATCHES, FEEDS, UPDATE_LABELS, UPDATES
from connector.models.account import Account
from connector.models.oms import FEED_READY, UPDATE_FAILED, OmsBatch, OmsConnection, OmsUpdate
from connector.models.trace import Event
from connector.services import accounts, runs, settings, users
from connector.services.oms import announce, batches, connection, feed, folder, practice, updates
from connector.services.oms.connection import FORMATS, Choice
from connector.web.auth import requires
from connector.web.feed_file import feed_file
from connector.web.filters import user_zone
from connector.web.forms import Form, render_form
from connector.web.grids import grid_routes
from connector.web.htmx import go_to, toast

bp = Blueprint("oms", __name__, url_prefix="/oms")

RETRIED_AT_ONCE = 10_000


def _with_feeds() -> dict[str, Any]:
    """Accounts whose OMS wants feeds."""
    query = select(Account).join(OmsConnection, OmsConnection.account_id == Account.id).where(OmsConnection.active, OmsConnection.feed_formats != [])
    return {"connected": db.session.scalars(query.order_by(Account.title)).all()}


def _retriable() -> Any:
    return (OmsUpdate.state == UPDATE_FAILED, OmsUpdate.action != "", func.coalesce(OmsUpdate.code, "") != updates.UNREADABLE)


def _failed() -> dict[str, Any]:
    account = request.args.get("account", "")
    mine = (OmsUpdate.account_id == int(account),) if account.isdigit() else ()
    return {"failed": db.session.scalar(select(func.count()).select_from(OmsUpdate).where(*_retriable(), *mine))}


def _batch_failed() -> int:
    """Lines of the batch that can be tried again; what could not be read has to be sent again."""
    query = select(func.count()).select_from(OmsUpdate).where(*_retriable(), OmsUpdate.batch_id == _batch().id)
    return db.session.scalar(query) or 0


def _batch() -> OmsBatch:
    return batches.get((request.view_args or {})["batch_id"])


grid_routes(bp, FEEDS, "oms/index.html", context=_with_feeds)
grid_routes(bp, UPDATES, "oms/updates.html", rule="/updates", name="updates", context=_failed)
grid_routes(bp, BATCHES, "oms/batches.html", rule="/batches", name="batches")
grid_routes(
    bp,
    BATCH_LINES,
    "oms/batch.html",
    scope=lambda: _batch().id,
    context=lambda: {"batch": _batch(), "retriable": _batch_failed()},
    rule="/batches/<int:batch_id>",
    name="batch",
)


# --- feeds


@bp.post("/make")
@requires("oms.write")
def make() -> AnyResponse:
    """Make feed now."""
    chosen = request.form.get("account", "")
    row = connection.get(int(chosen)) if chosen.isdigit() else None
    if row is None or not row.active or not row.feed_formats:
        toast("That account has no OMS that wants feeds. Connect one first.", "danger")
        return go_to(url_for("oms.connections"))
    submitted = runs.submit("oms.feed", account_id=row.account_id, key=f"schedule:oms.feed:{row.account_id}", started_by=current_user.email)
    toast(
        "A feed is being written already."
        if submitted.existing
        else "The feed is being written. Orders that have not changed since the last one are not in it."
    )
    return go_to(url_for("queue.run", run_id=submitted.run_id))


@bp.get("/feeds/<int:feed_id>/file")
@requires("oms.write")
def download(feed_id: int) -> AnyResponse:
    """The file, or the rest of it. It holds buyers' addresses, so it is not for viewers."""
    found = feed.get(feed_id)
    if found.state != FEED_READY:
        toast(f"Feed {found.number} is still being written.", "warning")
        return go_to(url_for("oms.index"))
    return feed_file(found, by=current_user.email)


# --- updates and batches


@bp.post("/updates/retry")
@requires("oms.write")
def retry() -> AnyResponse:
    """Retry failed: all that can be, those of one account, or those of one batch."""
    batch_id, account = request.form.get("batch", ""), request.form.get("account", "")
    mine = (OmsUpdate.batch_id == int(batch_id),) if batch_id.isdigit() else (OmsUpdate.account_id == int(account),) if account.isdigit() else ()
    ids = list(db.session.scalars(select(OmsUpdate.id).where(*_retriable(), *mine).order_by(OmsUpdate.id).limit(RETRIED_AT_ONCE)))
    submitted = updates.retry(ids, actor=current_user.email) if ids else None
    if submitted is None:
        toast("Nothing that failed can be tried again: what could not be read has to be sent again.", "warning")
    else:
        toast(f"{len(ids):,} update{'' if len(ids) == 1 else 's'} will be carried out again.")
    return go_to(url_for("oms.batch", batch_id=int(batch_id)) if batch_id.isdigit() else url_for("oms.updates", account=account or None))


@bp.route("/batches/upload", methods=["GET", "POST"])
@requires("oms.write")
def upload() -> Any:
    """A file of shipments and cancellations; every line gets its own result."""
    form = UploadForm()
    form.account.choices = [(account.id, account.title) for account in accounts.listed()]
    if form.validate_on_submit():
        sent: FileStorage | None = form.file.data
        with form.catching():
            if not sent or not sent.filename:
                raise DomainError("oms.no_file", "No file was chosen.", "Choose a CSV or JSON file.", field="file")
            taken = batches.take(form.account.data, sent.stream.read(batches.MAX_BYTES + 1), file_name=sent.filename, actor=current_user.email)
            toast("This file was sent before; nothing is done twice." if taken.repeated else "The file was read. Its lines are being carried out.")
            return go_to(url_for("oms.batch", batch_id=taken.batch.id))
    return render_form("oms/upload.html", form=form)


@bp.get("/batches/<int:batch_id>/results.csv")
@requires("oms.read")
def batch_results(batch_id: int) -> Response:
    """What became of each line."""
    batches.get(batch_id)

    def rows() -> Iterator[str]:
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        buffer.write("\ufeff")
        writer.writerow(["line", "event_id", "order_id", "action", "state", "message", "remedy"])
        after = -1
        while found := batches.lines(batch_id, after=after):
            for row in found:
                says = ACTIONS[row.action].text if row.action in ACTIONS else row.action
                state = UPDATE_LABELS[row.state].text if row.state in UPDATE_LABELS else row.state
                writer.writerow([csv_cell(each) for each in (row.line, updates.own_id(row), row.order_number, says, state, row.message, row.remedy)])
            after = found[-1].line
            db.session.commit()
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
        yield buffer.getvalue()

    headers = {"Content-Disposition": f'attachment; filename="batch-{batch_id}-results.csv"', "Cache-Control": "no-store"}
    return Response(stream_with_context(rows()), content_type="text/csv; charset=utf-8", headers=headers)


# --- connections


@bp.get("/connections/")
@requires("oms.read")
def connections() -> str:
    """Every account and its OMS."""
    rows = {row.account_id: row for row in db.session.scalars(select(OmsConnection))}
    return render_template("oms/connections.html", accounts=accounts.listed(), rows=rows, formats=FORMATS)


@bp.get("/connections/<int:account_id>")
@requires("oms.read")
def edit(account_id: int) -> Response:
    """How an account's OMS is connected."""
    account = accounts.get(account_id)
    row = connection.get(account_id)
    shown = Choice() if row is None else row
    names = ("active", "feed_formats", "feed_minutes", "notify_url", "pull_url", "pull_minutes", "drop_folder")
    return _page(account, ConnectionForm(formdata=None, data={name: getattr(shown, name) for name in names}))


@bp.post("/connections/<int:account_id>")
@requires("accounts.write")
def save(account_id: int) -> Any:
    """Connect an OMS or change how it is connected. A new connection's secret is shown this once."""
    account = accounts.get(account_id)
    form = ConnectionForm()
    if form.validate_on_submit():
        saved = None
        with form.catching():
            saved = connection.save(account_id, form.choice(), actor=current_user.email)
        if saved is not None and saved.secret is None:
            toast(f"The OMS of {account.title} is saved.")
            return go_to(url_for("oms.edit", account_id=account_id))
        if saved is not None:
            return _page(account, form, secret=saved.secret)
    return _page(account, form)


@bp.post("/connections/<int:account_id>/secret")
@requires("accounts.write")
def secret(account_id: int) -> AnyResponse:
    """A new secret, shown this once; the old one counts beside it for a day."""
    account = accounts.get(account_id)
    made = connection.new_secret(account_id, actor=current_user.email)
    row = connection.known(account_id)
    names = ("active", "feed_formats", "feed_minutes", "notify_url", "pull_url", "pull_minutes", "drop_folder")
    return _page(account, ConnectionForm(formdata=None, data={name: getattr(row, name) for name in names}), secret=made)


@bp.post("/connections/<int:account_id>/secret/end")
@requires("accounts.write")
def end_secret(account_id: int) -> AnyResponse:
    """End now: the old secret counts no longer."""
    if connection.end_old_secrets(account_id, actor=current_user.email):
        toast("The old secret is ended. Only the newest one counts.")
    else:
        toast("No old secret counted any more.", "warning")
    return go_to(url_for("oms.edit", account_id=account_id))


@bp.post("/connections/<int:account_id>/begin-again")
@requires("oms.write")
def begin_again(account_id: int) -> AnyResponse:
    """Feeds from a day on are wanted once more: the OMS is new, or has lost what it had."""
    day = request.form.get("since", "").strip()
    try:
        since = datetime.fromisoformat(day).replace(tzinfo=user_zone()) if day else None
        connection.begin_again(account_id, since, actor=current_user.email)
    except (ValueError, OverflowError):
        toast(f"{day!r} is no day. Write it as 2026-03-01, or leave it empty for every order.", "danger")
    except DomainError as error:
        toast(str(error), "danger")
    else:
        toast(f"The next feed holds every order{f' changed since {day}' if day else ''}. Choose Make feed now to have it at once.")
    return go_to(url_for("oms.edit", account_id=account_id))


@bp.post("/connections/<int:account_id>/practice")
@requires("accounts.write")
def use_practice(account_id: int) -> AnyResponse:
    """Use the practice OMS: a Sandbox account's, in one click."""
    try:
        practice.use_practice_oms(account_id, users.get(current_user.id))
    except DomainError as error:
        toast(str(error), "danger")
    else:
        toast("The practice OMS is connected. Send a test call, or make a feed.")
    return go_to(url_for("oms.edit", account_id=account_id))


@bp.post("/connections/<int:account_id>/test")
@requires("oms.write")
def test(account_id: int) -> AnyResponse:
    """Send test call: signed as the real one."""
    try:
        told = announce.test(account_id, actor=current_user.email)
    except DomainError as error:
        toast(str(error), "danger")
    else:
        toast(f"The OMS took the test call: {told.message}" if told.ok else f"The test call failed. {told.message}", "success" if told.ok else "danger")
    return go_to(url_for("oms.edit", account_id=account_id))


def _page(account: Account, form: Form, *, secret: str | None = None) -> Response:
    row = connection.get(account.id)
    about = (
        Event.account_id == account.id,
        Event.kind.in_(("oms.saved", "oms.secret_changed", "oms.secret_ended", "oms.begin_again", "oms.not_collected", "oms.tested", "oms.announce_failed")),
    )
    happened = db.session.scalars(select(Event).where(*about).order_by(Event.id.desc()).limit(8)).all()
    watched = folder.place(account.id) / "in" if row is not None and row.drop_folder else None
    response = render_form(
        "oms/edit.html", form=form, account=account, row=row, secret=secret, old_until=connection.old_until(row) if row else None, happened=happened,
        folder=watched, public_url=settings.config().public_url,
    )  # fmt: skip
    response.headers["Cache-Control"] = "no-store"
    return response
