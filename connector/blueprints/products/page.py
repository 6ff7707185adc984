"""One product as a listing of an account: its fields side by side, what is wrong, what happens by itself, and the preview before anything is sent."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from typing import Any

from flask import Response, abort, make_response, render_template, request, url_for
from flask_login import current_user
from markupsafe import Markup
from sqlalchemy import and_, or_, select
from werkzeug.wrappers import Response as AnyResponse

from connector.blueprints.products import places
from connector.blueprints.products.scope import view
from connector.blueprints.products.views import PRODUCTS, bp
from connector.core.db import db
from connector.core.errors import DomainError
from connector.domain.listing_text import clean_description
from connector.grids.products import STATE_LABELS, TYPES, VALIDATION_LABELS
from connector.models.account import Account
from connector.models.listing import Listing
from connector.models.product import Product
from connector.models.run import FINAL_STATES, JobItem, JobRun
from connector.models.trace import ApiCall, Decision, Event
from connector.services.products import actions, automation, by_hand, diff, drafts, side_by_side
from connector.services.products.thumbnails import version
from connector.web.auth import requires
from connector.web.htmx import go_to, toast

_WORK_SHOWN, _CALLS_SHOWN = 8, 30


@dataclass(frozen=True, slots=True)
class Here:
    """The product of the address in the account of the address. ``account`` None: none sells this store; ``listing`` None: none there yet."""

    product: Product
    account: Account | None
    listing: Listing | None

    def url(self, endpoint: str = "product", **values: Any) -> str:
        return url_for(f"products.{endpoint}", product_id=self.product.id, account=self.account.id if self.account else None, **values)

    @property
    def named(self) -> Listing:
        """The listing; 404 without one."""
        if self.listing is None:
            abort(404)
        return self.listing


def find(product_id: int) -> Here:
    product = db.session.get(Product, product_id)
    if product is None:
        abort(404)
    asked = request.args.get("account", "")
    chosen = db.session.get(Account, int(asked)) if asked.isdigit() else None
    if chosen is None and (here := view()) is not None:
        chosen = db.session.get(Account, here.account_id)
    if chosen is None or chosen.magento_id != product.magento_id:
        chosen = db.session.scalar(select(Account).where(Account.magento_id == product.magento_id).order_by(Account.active.desc(), Account.id).limit(1))
    listing = db.session.scalar(select(Listing).where(Listing.product_id == product.id, Listing.account_id == chosen.id)) if chosen else None
    return Here(product, chosen, listing)


# --- the page -------------------------------------------------------------------------------------------------------------------------------


@bp.get("/<int:product_id>")
@requires("products.read")
def product(product_id: int) -> str:
    """Everything that is known of the product in this account (A162-A177)."""
    here = find(product_id)
    return render_template("products/product.html", **head_of(here), **_content(here))


def head_of(here: Here) -> dict[str, Any]:
    """What the head of every page of a product shows."""
    listing = here.listing
    return {
        "here": here,
        "product": here.product,
        "account": here.account,
        "listing": listing,
        "state_label": STATE_LABELS.get(listing.marketplace_state) if listing else STATE_LABELS["not_uploaded"],
        "validation_label": VALIDATION_LABELS.get(listing.validation) if listing else None,
        "type_label": TYPES.get(here.product.type_id, here.product.type_id),
        "bulk_state": f"account={here.account.id}" if here.account else "",
        "picture_url": picture_url,
        "shown_html": shown_html,
    }


def _content(here: Here) -> dict[str, Any]:
    account, listing = here.account, here.listing
    verdicts = _verdicts(here)
    facts: dict[str, Any] = {
        "verdicts": verdicts,
        "refused": [(action.label, verdicts[action.key].reason) for action in PRODUCTS.actions if action.key in verdicts and not verdicts[action.key].allowed],
        "others": _other_accounts(here),
        "page": None,
        "fix": None,
        "may": {},
    }
    if account is None or listing is None:
        return facts
    one = drafts.prepare([listing.id])[listing.id]
    found = diff.of(one)
    return facts | {
        "fix": places.fix(listing),
        "may": {verb: by_hand.why_not(verb, listing) is None for verb in (by_hand.DELETE, by_hand.RECOVER, by_hand.UNLINK)},
        "page": side_by_side.of(one, found),
        "diff": found,
        "notes": one.notes,
        "problems": _problems(found.problems, listing),
        "by_itself": automation.decide(listing),
        "work": (work := _work(listing)),
        "under_way": next(((item, run) for item, run in work if run.state not in FINAL_STATES and item.state in ("open", "waiting")), None),
        "calls": _calls(listing, work),
        "base_currency": ((account.magento.facts or {}).get("currency") if account.magento else None) or "",
        "timeline": db.session.scalars(_about(Event, listing).order_by(Event.id.desc()).limit(60)).all(),
        "decisions": db.session.scalars(_about(Decision, listing).order_by(Decision.id.desc()).limit(5)).all(),
    }


def _verdicts(here: Here) -> dict[str, actions.Verdict]:
    """What may be done, and why not: the same answers as the grid's."""
    if here.account is None:
        return {}
    (subject,) = actions.subjects(here.account.id, product_ids=[here.product.id])
    return {action.key: actions.decide(action.key, subject, here.account) for action in PRODUCTS.actions}


def _other_accounts(here: Here) -> list[Account]:
    mine = here.account.id if here.account else 0
    return list(db.session.scalars(select(Account).where(Account.magento_id == here.product.magento_id, Account.id != mine).order_by(Account.title)))


def _problems(problems: Any, listing: Listing) -> list[dict[str, Any]]:
    return [asdict(problem) | {"name": _field_name(problem.field), "place": places.of_field(problem.field, listing)} for problem in problems]


def _field_name(path: str) -> str:
    """``skus[2].price`` -> "SKU 3, price"; attributes are named by their problem's own words."""
    words = re.sub(r"^product_attributes\[\d+\].*", "attribute", path)
    words = re.sub(r"^skus\[(\d+)\]\.?", lambda found: f"SKU {int(found[1]) + 1}, ", words)
    words = re.sub(r"\[[^\]]*\]", "", words).replace("_", " ").replace(".", " ").strip(" ,")
    return words[:1].upper() + words[1:]


def _about(model: Any, listing: Listing) -> Any:
    return select(model).where(model.subject_type == "listing", model.subject_id == str(listing.id))


def _work(listing: Listing) -> list[Any]:
    """The last pieces of work on this listing, newest first: (item, run)."""
    query = (
        select(JobItem, JobRun)
        .join(JobRun, JobRun.id == JobItem.run_id)
        .where(JobItem.ref == str(listing.id), JobRun.kind.startswith("products."), JobRun.account_id == listing.account_id)
    )
    return list(db.session.execute(query.order_by(JobItem.id.desc()).limit(_WORK_SHOWN)).all())


def _calls(listing: Listing, work: list[Any]) -> list[Any]:
    """Calls of that work: all of a run with this product alone, else those that name the product. Looked up by time, which is indexed."""
    windows = []
    for item, run in work:
        if run.started_at is None:
            continue
        mine = [ApiCall.run_id == run.id, ApiCall.at >= (item.started_at if item.started_at and run.total > 1 else run.started_at)]
        end = (item.finished_at or run.finished_at) if run.total > 1 else run.finished_at
        if end is not None:
            mine.append(ApiCall.at <= end)
        if run.total > 1:
            if not listing.tiktok_id:
                continue
            mine.append(ApiCall.url.contains(f"/{listing.tiktok_id}", autoescape=True))
        windows.append(and_(*mine))
    if not windows:
        return []
    columns = (ApiCall.id, ApiCall.at, ApiCall.system, ApiCall.operation, ApiCall.status, ApiCall.failed, ApiCall.milliseconds, ApiCall.error)
    return list(db.session.execute(select(*columns).where(or_(*windows)).order_by(ApiCall.id.desc()).limit(_CALLS_SHOWN)).all())


# --- the preview ----------------------------------------------------------------------------------------------------------------------------


@bp.get("/<int:product_id>/preview")
@requires("products.read")
def preview(product_id: int) -> Response:
    """The dry run (product.md 14): field, on TikTok now, would send, why."""
    return _preview(find(product_id))


@bp.post("/<int:product_id>/preview")
@requires("products.write")
def send_previewed(product_id: int) -> AnyResponse:
    """What was confirmed is sent if it is still the same; else the preview is shown anew."""
    here = find(product_id)
    try:
        submitted = by_hand.send_seen(here.named, request.form.get("fingerprint", ""), started_by=current_user.email)
    except DomainError as error:
        return _preview(here, error)
    toast("The same changes are being sent already." if submitted.existing else f"Sending {here.product.sku}.")
    return go_to(url_for("queue.run", run_id=submitted.run_id))


def _preview(here: Here, refusal: DomainError | None = None) -> Response:
    listing = here.named
    one = drafts.prepare([listing.id])[listing.id]
    found = diff.of(one)
    page = render_template(
        "products/preview.html", **head_of(here), diff=found, refusal=refusal, verdict=_verdicts(here)[actions.UPLOAD], problems=_problems(found.problems, listing),
        changes=sorted(found.changes, key=lambda change: not change.destructive), words=side_by_side.Words(one),
    )  # fmt: skip
    return make_response(page, 409 if refusal else 200)


# --- deleting, recovering, unlinking --------------------------------------------------------------------------------------------------------


@bp.route("/<int:product_id>/delete", methods=["GET", "POST"])
@requires("products.write")
def delete(product_id: int) -> AnyResponse | str:
    return _confirmed(product_id, by_hand.DELETE)


@bp.route("/<int:product_id>/recover", methods=["GET", "POST"])
@requires("products.write")
def recover(product_id: int) -> AnyResponse | str:
    return _confirmed(product_id, by_hand.RECOVER)


@bp.route("/<int:product_id>/unlink", methods=["GET", "POST"])
@requires("products.write")
def unlink(product_id: int) -> AnyResponse | str:
    return _confirmed(product_id, by_hand.UNLINK)


def _confirmed(product_id: int, verb: str) -> Response | AnyResponse | str:
    here = find(product_id)
    listing = here.named
    refusal = by_hand.why_not(verb, listing)
    if request.method == "POST" and refusal is None:
        try:
            done = by_hand.carry_out(verb, listing, started_by=current_user.email)
        except DomainError as error:
            refusal = error
        else:
            if isinstance(done, str):
                toast(done)
                return go_to(here.url())
            return go_to(url_for("queue.run", run_id=done.run_id))
    page = render_template("products/confirm.html", **head_of(here), verb=verb, refusal=refusal)
    return make_response(page, 422) if request.method == "POST" else page


# --- drawing --------------------------------------------------------------------------------------------------------------------------------

_HEADINGS = re.compile(r"<(/?)h[1-6]>")
_BLOCKS = re.compile(r"<(/?)(?:table|thead|tbody|tfoot|tr|caption|colgroup)>")
_CELLS = re.compile(r"<(/?)(?:td|th)>")


def shown_html(text: str) -> Markup:
    """A description as buyers read it, made harmless: known tags without attributes, no pictures, nothing that disturbs the page's own headings and tables."""
    safe = clean_description(text or "", {}).html
    safe = _HEADINGS.sub(lambda found: "</p>" if found[1] else '<p class="strong">', safe)
    safe = _CELLS.sub(r"<\1span>", _BLOCKS.sub(r"<\1div>", safe.replace("<col>", "")))
    return Markup(safe)  # noqa: S704 - written anew by clean_description from a list of tags


def picture_url(product_id: int, file: str) -> str:
    return url_for("products.thumbnail", product_id=product_id, v=version(file), file=file)
