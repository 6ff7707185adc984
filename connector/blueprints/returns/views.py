"""Returns: the grid, one return with what both sides said, its pictures and raw data (A213-A219)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import orjson
from flask import Blueprint, Response, abort, current_app, make_response, render_template, request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response as AnyResponse

from connector.blueprints.returns.cells import RETURN_CELLS, arbitration_words, countdown, status_words, type_words
from connector.clients.errors import ApiError, describe
from connector.core.clock import from_epoch, utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.domain import returns as domain
from connector.grids.returns import GOODS_LABELS, MEMO_LABELS, RETURNS, decision_label
from connector.models.aftersales import MEMO_FAILED, MEMO_IGNORED, MEMO_WAITING, CreditMemo, Return
from connector.models.order import OrderLine
from connector.models.trace import ApiCall, Event
from connector.services import accounts, connections, events, return_pictures, runs
from connector.services.recording import mask
from connector.services.returns import credit_memos
from connector.web.auth import can, requires
from connector.web.grids import grid_routes
from connector.web.htmx import go_to, toast

bp = Blueprint("returns", __name__, url_prefix="/returns")

#: What was read longer ago is asked of TikTok anew when somebody opens the return.
EARLIER = timedelta(minutes=1)

grid_routes(bp, RETURNS, "returns/index.html", cells=RETURN_CELLS)


def find(return_pk: int) -> Return:
    found = db.session.get(Return, return_pk)
    if found is None:
        abort(404)
    return found


@contextmanager
def spoken() -> Iterator[list[str]]:
    """What goes wrong inside is said in words instead of ending the request: the list has them afterwards."""
    said: list[str] = []
    try:
        yield said
    except DomainError as error:
        said.append(str(error))
    except ApiError as error:
        words = describe(error)
        said.append(f"{words.title}: {error} {words.advice}")


@bp.post("/import")
@requires("returns.write")
def import_now() -> AnyResponse:
    """Read returns from TikTok now (A216): of the account in view, or of every account that works."""
    wanted = request.form.get("account", "")
    working = [account for account in accounts.listed(working=True) if not wanted or str(account.id) == wanted]
    if not working:
        toast("Nothing was imported: no account is connected and enabled. Open TikTok Account to connect one.", "warning")
        return go_to(url_for("returns.index"))
    with unit_of_work():
        submitted = [
            runs.submit("returns.import", account_id=account.id, key=f"schedule:returns.import:{account.id}", started_by=events.actor_now.get())
            for account in working
        ]
    toast("This import is already running." if all(one.existing for one in submitted) else "Import started.")
    return go_to(url_for("queue.run", run_id=submitted[0].run_id) if len(submitted) == 1 else url_for("queue.index"))


@bp.get("/<int:return_pk>")
@requires("returns.read")
def view(return_pk: int) -> str:
    """One return: facts, items, what both sides said, what may be answered until when, goods, credit memo. ``again``: an open page looks at what is stored."""
    found = find(return_pk)
    known = request.args.get("again") and found.decisions_read_at is not None  # nothing has changed since TikTok was asked
    fresh, problems = (_stored(found), []) if known else _look(found)
    return render_template("returns/return.html", **_facts(found), actions=fresh if can("returns.write") else (), problems=problems)


def _look(found: Return) -> tuple[tuple[domain.Action, ...], list[str]]:
    """What may be answered, as TikTok says now; and the records are read where they are not here yet. TikTok away: what was read last."""
    from connector.services import returns

    pk, actions = found.id, _stored(found)
    waits = found.needs_answer or found.phase == "unknown"
    old = found.decisions_read_at is None or found.decisions_read_at < utcnow() - EARLIER
    with spoken() as problems:
        if waits and old and can("returns.write"):
            actions = returns.decisions(pk)
        returns.records(pk)
    db.session.expire_all()
    return actions, problems


def _stored(found: Return) -> tuple[domain.Action, ...]:
    """What TikTok said last may be answered; nothing where it does not wait."""
    if not (found.needs_answer or found.phase == "unknown"):
        return ()
    return domain.actions(found.decisions or (), offer_declined=bool((found.body or {}).get("buyer_rejected_partial_refund")))


@dataclass(frozen=True, slots=True)
class Said:
    """One entry of the talk between both sides; ``pictures`` are (address here, description), ``videos`` are (address, words)."""

    side: str
    who: str
    at: datetime | None
    text: str
    reason: str = ""
    note: str = ""
    pictures: tuple[tuple[str, str], ...] = ()
    videos: tuple[tuple[str, str], ...] = ()


_SIDES = {
    "BUYER": ("buyer", "Buyer"),
    "SELLER": ("seller", "Seller"),
    "OPERATOR": ("platform", "TikTok Shop"),
    "SYSTEM": ("platform", "TikTok Shop, by itself"),
}


def talk(found: Return) -> list[Said]:
    """What buyer, seller and TikTok said and did, as TikTok keeps it; oldest first."""
    said = []
    for line, record in enumerate(found.records or ()):
        role = str(record.get("role") or "")
        side, who = _SIDES.get(role, ("platform", role or "TikTok Shop"))
        pictures = tuple(
            (url_for("returns.picture", return_pk=found.id, record=line, place=number), f"Picture {number + 1} of {who}")
            for number, image in enumerate(record.get("images") or ())
            if isinstance(image, Mapping) and image.get("url")
        )
        videos = tuple((str(video["url"]), _length(video)) for video in record.get("videos") or () if isinstance(video, Mapping) and _safe(video.get("url")))
        words = [str(record.get(name) or "") for name in ("description", "reason_text", "note")]
        said.append(Said(side, who, _at(record), words[0] or str(record.get("event") or "Something happened"), words[1], words[2], pictures, videos))
    return sorted(said, key=lambda one: one.at.timestamp() if one.at else 0.0)


def _at(record: Mapping[str, Any]) -> datetime | None:
    try:
        return from_epoch(record.get("create_time"))
    except (ValueError, TypeError, OverflowError, OSError):
        return None


def _safe(address: Any) -> bool:
    return urlsplit(str(address or "")).scheme in ("https", "http")


def _length(video: Mapping[str, Any]) -> str:
    millis = str(video.get("duration_millis") or "")
    return f"Video, {int(millis) // 1000} s" if millis.isdigit() else "Video"


def _facts(found: Return) -> dict[str, Any]:
    with spoken() as unreadable:
        snapshot = domain.read_return(found.body, country=found.account.country)
    names = {line.line_id: line for line in db.session.scalars(select(OrderLine).where(OrderLine.order_id == found.order_id))}
    memos = db.session.scalars(select(CreditMemo).where(CreditMemo.order_id == found.order_id, CreditMemo.return_pk == found.id).order_by(CreditMemo.id)).all()
    return {
        "ret": found,
        "order": found.order,
        "account": found.account,
        "now": connections.shop_now(found.account),
        "snapshot": None if unreadable else snapshot,
        "lines": names,
        "said": talk(found),
        "memos": memos,
        "memo_stuck": any(memo.state in (MEMO_FAILED, MEMO_IGNORED) or (memo.state == MEMO_WAITING and memo.failure_message) for memo in memos),
        "neighbours": _neighbours(found),
        "timeline": db.session.scalars(
            select(Event).where(Event.subject_type == "return", Event.subject_id == str(found.id)).order_by(Event.id.desc()).limit(100)
        ).all(),
        "calls": db.session.execute(
            select(ApiCall.id, ApiCall.at, ApiCall.system, ApiCall.operation, ApiCall.status, ApiCall.failed, ApiCall.milliseconds, ApiCall.error)
            .where(ApiCall.order_id == found.order_id).order_by(ApiCall.id.desc()).limit(20)
        ).all(),
        "goods_label": GOODS_LABELS.get(found.goods),
        "memo_labels": MEMO_LABELS,
    }  # fmt: skip


def _neighbours(found: Return) -> list[tuple[str, str, int | None]]:
    """(words, return id, our id where we have it) of the request this one came from, and of the one that followed: an edited one gets a new id."""
    body = found.body or {}
    wanted = [("Came from", str(body.get("pre_return_id") or "")), ("Goes on as", str(body.get("next_return_id") or ""))]
    rows = db.session.execute(
        select(Return.return_id, Return.id).where(Return.account_id == found.account_id, Return.return_id.in_([each for _, each in wanted]))
    )
    known = {row.return_id: row.id for row in rows}
    return [(words, each, known.get(each)) for words, each in wanted if each]


@bp.get("/<int:return_pk>/pictures/<int:record>/<int:place>")
@requires("returns.read")
def picture(return_pk: int, record: int, place: int) -> Response:
    """A picture that one side sent, by way of this server."""
    found = return_pictures.of(return_pk, record, place)
    if found is None:
        answer = current_app.send_static_file("no-picture.svg")
        answer.headers["Cache-Control"] = "private, max-age=60"
        return answer
    answer = make_response(found)
    answer.mimetype = "image/webp"
    answer.headers["Cache-Control"] = "private, max-age=3600"
    return answer


@bp.get("/<int:return_pk>/data")
@requires("returns.read")
def data(return_pk: int) -> str:
    """The return and its records as TikTok sent them; addresses and names masked unless revealed."""
    found = find(return_pk)
    text = orjson.dumps({"return": found.body, "records": found.records or []}, option=orjson.OPT_INDENT_2).decode()
    revealed = request.args.get("reveal") == "1" and can("returns.write")
    if revealed:
        with unit_of_work():
            events.record("return.revealed", "return", found.id, "Buyer data shown", account_id=found.account_id)
    return render_template("returns/data.html", ret=found, revealed=revealed, text=text if revealed else mask(text, operation="order", system="tiktok"))


@bp.app_template_global("return_words")
def words_of(found: Return) -> Any:
    """The status in our words and TikTok's, with its arbitration."""
    return status_words(found.remote_status, found.arbitration_status)


@bp.app_template_global("memo_words")
def memo_words(memo: CreditMemo) -> tuple[str, str, str, bool]:
    """(what it refunds, its state, the state's colour, whether a person may have it tried again) of a refund that belongs to no return."""
    about = {"lines": "Units that TikTok cancelled", "memo": "Made in Magento, to be refunded on TikTok", "return": "A return", "restock": "Goods into stock"}
    kind = memo.key.partition(":")[0]
    label = MEMO_LABELS.get(memo.state)
    stuck = kind in credit_memos.KINDS and memo.state in credit_memos.RETRIED and bool(memo.failure_message)
    return about.get(kind, "A recalled parcel"), label.text if label else memo.state, label.tone if label else "warning", stuck


bp.add_app_template_global(type_words, "return_type")
bp.add_app_template_global(arbitration_words, "arbitration_words")
bp.add_app_template_global(countdown, "countdown")
bp.add_app_template_global(decision_label, "decision_label")
