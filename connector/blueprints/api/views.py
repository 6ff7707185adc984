"""``/api/v1``: views parse, call one service and answer. Bearer tokens for what is asked, signatures for events; sessions count for nothing here."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any, TypeVar

import orjson
from flask import Blueprint, Response, current_app, render_template, request, url_for
from pydantic import BaseModel, ValidationError
from sqlalchemy import func, select

from connector.blueprints.api import models
from connector.blueprints.api.openapi import BATCH_BODY, FEED_BODY, describe, operation
from connector.core.db import db, end_reading
from connector.core.errors import DomainError, NotFoundError
from connector.domain import oms_events
from connector.models.oms import EVENT, FEED_BUILDING, FEED_READY, OmsBatch, OmsConnection, OrderFeed
from connector.services import api_tokens
from connector.services.oms import batches, connection, feed, lookup, signing, updates
from connector.web.auth import public
from connector.web.feed_file import feed_file as send_feed
from connector.web.problems import problem
from connector.web.security import csrf
from connector.web.tokens import check_account, current, throttled, token

bp = Blueprint("api", __name__, url_prefix="/api")
csrf.exempt(bp)

LARGEST_EVENTS = 1024 * 1024
Model = TypeVar("Model", bound=BaseModel)
ACCOUNT = "<int(max=2147483647):account_id>"


@bp.errorhandler(DomainError)
def _refusal(error: DomainError) -> Response:
    db.session.rollback()
    status = 404 if isinstance(error, NotFoundError) else 413 if error.code.endswith("too_large") else 422 if error.field else 409
    title = {404: "Not found", 413: "Too large", 422: "Not understood", 409: "Not possible"}[status]
    return problem(status, title, error.message, remedy=error.remedy, code=error.code, field=error.field or "")


@bp.get("/v1/feeds")
@token(api_tokens.FEEDS)
@operation("List order feeds", {200: models.Feeds}, query=models.FeedsQuery, problems=(422,))
def feeds() -> Response:
    """Feeds that are ready, oldest first, up to the first one that is still being written. Poll with after, or wait for the feed-ready call."""
    query = _query(models.FeedsQuery)
    limit = current().account_id
    if limit is not None and query.account not in (None, limit):
        return _json(models.Feeds(feeds=[], more=False))
    account = query.account or limit
    asked = [column == value for column, value in ((OrderFeed.account_id, account), (OrderFeed.format, query.format)) if value is not None]
    # Whoever remembers the last id would never hear of an earlier feed that is finished later, which another account's may be.
    writing = select(func.min(OrderFeed.id)).join(OmsConnection, OmsConnection.account_id == OrderFeed.account_id)
    unfinished = db.session.scalar(writing.where(OrderFeed.state == FEED_BUILDING, OmsConnection.active, *asked))
    wanted = select(OrderFeed).where(OrderFeed.state == FEED_READY, OrderFeed.id > query.after, *asked)
    if unfinished is not None:
        wanted = wanted.where(OrderFeed.id < unfinished)
    rows = db.session.scalars(wanted.order_by(OrderFeed.id).limit(query.limit + 1)).all()
    return _json(models.Feeds(feeds=[_feed(row) for row in rows[: query.limit]], more=len(rows) > query.limit))


@bp.get("/v1/feeds/<int(max=9007199254740991):feed_id>/file")
@token(api_tokens.FEEDS)
@operation(
    "Collect a feed's file",
    {200: FEED_BODY, 206: FEED_BODY, 304: None},
    headers={
        "Range": "bytes=<first>-<last>: a part, for a collection that broke off.",
        "If-None-Match": "The ETag that you have.",
        "If-Range": "The ETag of your part.",
    },
    problems=(409, 416),
)
def feed_file(feed_id: int) -> Response:
    """The file, the same bytes whenever it is asked for; its ETag is the SHA-256. A collection that broke off goes on with Range."""
    row = feed.get(feed_id)
    check_account(row.account_id)
    if row.state != FEED_READY:
        answer = problem(409, "Not ready", f"Feed {feed_id} is {row.state}.", remedy="Ask again in a minute.", code="oms.feed_not_ready")
        answer.headers["Retry-After"] = "60"
        return answer
    return send_feed(row, by=f"{current().user.email} (API token {current().name})")


@bp.get(f"/v1/accounts/{ACCOUNT}/orders/<string(maxlength=60):number>")
@token(api_tokens.ORDERS)
@operation("Look up an order", {200: models.Order})
def order(account_id: int, number: str) -> Response:
    """By TikTok's order id or by the store's number: the order as it is in a feed, and what became of your updates."""
    check_account(account_id)
    return _json(models.Order.model_validate(lookup.order(account_id, number)))


@bp.get(f"/v1/accounts/{ACCOUNT}/updates")
@token(api_tokens.UPDATES)
@operation("List updates", {200: models.Updates}, query=models.UpdatesQuery, problems=(422,))
def update_list(account_id: int) -> Response:
    """What became of events, pulled statuses and lines of files, in the order in which they came: those that failed, one of yours, those of an order."""
    check_account(account_id)
    updates.known_account(account_id)
    query = _query(models.UpdatesQuery)
    rows = updates.listed(account_id, after=query.after, state=query.state, event_id=query.id, order_id=query.order_id, limit=query.limit + 1)
    found = [models.Update.model_validate({**lookup.update(row), "number": row.id, "order_id": row.order_number, "source": row.source}) for row in rows]
    return _json(models.Updates(updates=found[: query.limit], more=len(rows) > query.limit))


@bp.get(f"/v1/accounts/{ACCOUNT}/carriers")
@token(api_tokens.UPDATES)
@operation("List carriers", {200: models.Carriers})
def carriers(account_id: int) -> Response:
    """The names that shipped may carry: TikTok's own of the account, and those that the account's order policy maps."""
    check_account(account_id)
    updates.known_account(account_id)
    return _json(models.Carriers(carriers=[models.Carrier(name=name, tiktok=tiktok) for name, tiktok in lookup.carriers(account_id).items()]))


@bp.post(f"/v1/accounts/{ACCOUNT}/events")
@public
@operation("Send events", {202: models.EventsAnswer}, body={"application/json": models.EventsBody}, problems=(413, 422), signed=True)
@throttled
def events(account_id: int) -> Response:
    """What has just happened. Signed with the connection's secret. Each event is taken or rejected by itself; sent again, it has no second effect."""
    raw = b"" if (request.content_length or 0) > LARGEST_EVENTS else request.get_data(cache=False)
    if (request.content_length or len(raw)) > LARGEST_EVENTS:  # a chunked body has no length of its own
        return problem(413, "Too large", "The body has more than 1 MB.", remedy="Send fewer events at once.", code="api.too_large")
    found = connection.get(account_id)
    age = signing.age(connection.all_secrets(found) if found and found.active else [secrets.token_urlsafe()], request.headers, raw)
    if age is None or abs(age) > signing.WINDOW:
        return _not_proved(age)
    end_reading()
    body = _body(raw)
    entries = body.get("events") if isinstance(body, dict) else None
    if not isinstance(entries, list) or not 1 <= len(entries) <= 1000:
        return problem(
            422, "Not understood", "The body is not {\"events\": [...]} with 1 to 1000 events.", field="events", code="api.body",
            remedy="Send the events as a list under events.",
        )  # fmt: skip
    taken = updates.receive(account_id, EVENT, [updates.Line(index, entry) for index, entry in enumerate(entries)])
    rejected = [models.EntryProblem(index=one.line, id=one.id, field=one.field, message=one.message, remedy=one.remedy) for one in taken.bad]
    return _json(models.EventsAnswer(accepted=taken.accepted, repeated=taken.repeated, rejected=rejected), 202)


@bp.post(f"/v1/accounts/{ACCOUNT}/batches")
@token(api_tokens.UPDATES)
@operation("Send a file of updates", {200: models.Batch, 202: models.Batch}, body=BATCH_BODY, problems=(413, 422))
def batch(account_id: int) -> Response:
    """CSV or JSON, as the body or as the file of a form. 202 with the new batch; 200 when the same bytes were sent before."""
    check_account(account_id)
    updates.known_account(account_id)
    if (request.content_length or 0) > batches.MAX_BYTES + 64 * 1024:
        return problem(413, "Too large", "The file has more than 2 MB.", remedy="Split it into several files.", code="api.too_large")
    name = ""
    if request.mimetype == "multipart/form-data":
        sent = request.files.get("file")
        if sent is None:
            return problem(422, "Not understood", "The form has no file.", field="file", remedy="Send the file as the field file.", code="api.no_file")
        data, name = sent.read(), sent.filename or ""
    else:
        data = request.get_data(cache=False)
    taken = batches.take(account_id, data, file_name=name, actor=f"{current().user.email} (API token {current().name})")
    answer = _json(_batch(taken.batch, models.BatchQuery.model_construct(after=0, limit=1000), taken.repeated), 200 if taken.repeated else 202)
    answer.headers["Location"] = url_for("api.batch_result", batch_id=taken.batch.id)
    return answer


@bp.get("/v1/batches/<int(max=9007199254740991):batch_id>")
@token(api_tokens.UPDATES)
@operation("Read a batch's results", {200: models.Batch}, query=models.BatchQuery, problems=(422,))
def batch_result(batch_id: int) -> Response:
    """What became of each line so far."""
    query = _query(models.BatchQuery)
    found = batches.get(batch_id)
    check_account(found.account_id)
    return _json(_batch(found, query, False))


@bp.get("/v1/openapi.json")
@public
def openapi() -> Response:
    """This API in OpenAPI 3.1."""
    return Response(orjson.dumps(_description()), mimetype="application/json")


@bp.get("/docs")
@public
def docs() -> str:
    """The same for people."""
    return render_template("api/docs.html", api=_description(), base=current_app.config["CONNECTOR"].public_url.rstrip("/"))


def _description() -> dict[str, Any]:
    if "connector.openapi" not in current_app.extensions:
        current_app.extensions["connector.openapi"] = describe(current_app, current_app.config["VERSION"])
    found: dict[str, Any] = current_app.extensions["connector.openapi"]
    return found


def _not_proved(age: timedelta | None) -> Response:
    """``age`` of a signature that fits, but is too old or too young; None when it does not fit."""
    if age is None:
        detail = signing.unreadable(request.headers) or "The signature does not fit the body, or the account has no active OMS connection."
        remedy = f"Sign the timestamp, a full stop and the raw body with the connection's secret, and send {signing.TIMESTAMP} and {signing.SIGNATURE}."
    else:
        side = "behind" if age > timedelta() else "ahead of"
        detail = f"The signature fits, but its time is {abs(age.total_seconds()):.0f} seconds {side} ours; {signing.WINDOW.seconds} are allowed."
        remedy = "Set the clock of the sender, and sign again whenever you send again."
    answer = problem(401, "Signature refused", detail, code="api.signature", remedy=remedy)
    answer.headers["WWW-Authenticate"] = f'{signing.SIGNATURE} version="v1"'
    return answer


def _json(model: BaseModel, status: int = 200) -> Response:
    return Response(model.model_dump_json(), status, mimetype="application/json")


def _body(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as fault:
        raise DomainError("api.json", f"The body is no JSON: {fault}.", "Send UTF-8 JSON.", field="body") from fault


def _query(model: type[Model]) -> Model:
    try:
        return model.model_validate(request.args.to_dict())
    except ValidationError as error:
        bad = oms_events.explain(error)
        raise DomainError("api.query", bad.message, "Correct the parameter.", field=bad.field) from None


def _feed(row: OrderFeed) -> models.Feed:
    return models.Feed(
        id=row.id, account_id=row.account_id, number=row.number, format=row.format, rows=row.rows, bytes=row.size, sha256=row.sha256,  # type: ignore[arg-type]
        url=url_for("api.feed_file", feed_id=row.id), created_at=row.created_at, collected_at=row.collected_at,
    )  # fmt: skip


def _batch(found: OmsBatch, query: models.BatchQuery, repeated: bool) -> models.Batch:
    rows = batches.lines(found.id, after=query.after, limit=query.limit + 1)
    lines = [
        models.BatchLine(
            line=row.line, id=updates.own_id(row), order_id=row.order_number, type=row.action, state=row.state, code=row.code, message=row.message, remedy=row.remedy  # type: ignore[arg-type]
        )
        for row in rows[: query.limit]
    ]  # fmt: skip
    return models.Batch(
        id=found.id, account_id=found.account_id, file_name=found.file_name, rows=found.rows, created_at=found.created_at, repeated=repeated,
        counts=batches.counts(found.id), lines=lines, more=len(rows) > query.limit,
    )  # fmt: skip
