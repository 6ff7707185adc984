"""What may be done to which product of an account, and why not (product rule 9, A148, A157-A161).

One function, ``decide``, answers the grid's buttons, the bulk confirm page and the job bodies. Reading is bulk: two queries for any 500 products.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, insert, select, update

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.domain.checks import Check, Checked
from connector.models.account import Account
from connector.models.listing import (
    DELETED,
    FROZEN,
    IN_REVIEW,
    INACTIVE,
    INCOMPLETE,
    LIVE,
    NOT_UPLOADED,
    REJECTED,
    UNCHECKED,
    Listing,
    ListingTemplate,
)
from connector.models.product import Product
from connector.models.trace import Event
from connector.services import connections, events, runs
from connector.services.products import due

VALIDATE, UPLOAD, ACTIVATE, DEACTIVATE, SYNC, SYNC_STATUS, ASSIGN, REMOVE = (
    "validate", "upload", "activate", "deactivate", "sync", "sync_status", "assign", "remove",
)  # fmt: skip
#: The run that carries an action out, and its arguments; the other actions are done at once.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    VALIDATE: ("products.validate", {}),
    UPLOAD: ("products.upload", {}),
    ACTIVATE: ("products.change_status", {"active": True}),
    DEACTIVATE: ("products.change_status", {"active": False}),
    SYNC: ("products.sync", {}),
    SYNC_STATUS: ("products.sync_status", {}),
}
_CALLS_TIKTOK = frozenset({UPLOAD, ACTIVATE, DEACTIVATE, SYNC, SYNC_STATUS})
_ON_TIKTOK = frozenset({ACTIVATE, DEACTIVATE, SYNC, SYNC_STATUS})
_NEEDS_TEMPLATE = frozenset({VALIDATE, UPLOAD, SYNC})
_NEEDS_MAGENTO = frozenset({VALIDATE, UPLOAD, ASSIGN})
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known of a product in an account. ``listing_id`` None: it has no listing there; ``state``: Marketplace Status."""

    product_id: int
    sku: str
    name: str
    gone: bool
    listing_id: int | None = None
    template_id: int | None = None
    template: str = ""
    template_enabled: bool = True
    state: str = NOT_UPLOADED
    remote_status: str = ""
    tiktok_id: str | None = None
    validation: str = UNCHECKED
    problems: int = 0

    @property
    def label(self) -> str:
        return f"{self.name} ({self.sku})" if self.name else self.sku


@dataclass(frozen=True, slots=True)
class Verdict(Checked):
    """The ordered checks of one action for one product. ``warning``: what a person should know although it is allowed."""

    subject: Subject
    checks: tuple[Check, ...]
    warning: str = ""

    @property
    def reason(self) -> str:
        """Why not, with the remedy; else the warning; else nothing."""
        check = self.failing
        return f"{check.message} {check.remedy}".strip() if check else self.warning

    def require(self) -> None:
        """Raise the first failing check as ``DomainError``."""
        if check := self.failing:
            raise DomainError(check.code, f"{self.subject.sku}: {check.message}", check.remedy)


# --- deciding -------------------------------------------------------------------------------------------------------------------------------


def decide(action: str, subject: Subject, account: Account) -> Verdict:
    """May ``action`` be done to this product in this account? Every check in order; pure."""
    checks = tuple(check for question in _QUESTIONS if (check := question(action, subject, account)) is not None)
    return Verdict(subject, checks, _warning(action, subject))


def verdicts(action: str, account_id: int, *, product_ids: Sequence[int] | None = None, listing_ids: Sequence[int] | None = None) -> list[Verdict]:
    """``decide`` for many, named by our product ids or listing ids, in the order given. Unknown ids are left out."""
    account = connections.account_of(account_id)
    return [decide(action, subject, account) for subject in subjects(account_id, product_ids=product_ids, listing_ids=listing_ids)]


def subjects(account_id: int, *, product_ids: Sequence[int] | None = None, listing_ids: Sequence[int] | None = None) -> list[Subject]:
    """The facts of these products or listings, in the order given."""
    column: Any = Product.id if product_ids is not None else Listing.id
    wanted = list(product_ids if product_ids is not None else listing_ids or ())
    found: dict[int, Subject] = {}
    for first in range(0, len(wanted), _AT_ONCE):
        rows = db.session.connection().execute(_facts(account_id).where(column.in_(wanted[first : first + _AT_ONCE])))
        for row in rows:
            subject = Subject(
                row.product_id, row.sku, row.name, row.gone_at is not None, row.listing_id, row.template_id, row.template or "", row.enabled is not False,
                row.state or NOT_UPLOADED, row.remote_status or "", row.tiktok_id, row.validation or UNCHECKED, len(row.problems or ()),
            )  # fmt: skip
            found[subject.product_id if product_ids is not None else int(subject.listing_id or 0)] = subject
    return [found[each] for each in wanted if each in found]


def _facts(account_id: int) -> Any:
    return (
        select(
            Product.id.label("product_id"), Product.sku, Product.name, Product.gone_at,
            Listing.id.label("listing_id"), Listing.template_id, Listing.marketplace_state.label("state"), Listing.remote_status, Listing.tiktok_id,
            Listing.validation, Listing.problems, ListingTemplate.name.label("template"), ListingTemplate.enabled,
        )
        .select_from(Product)
        .outerjoin(Listing, and_(Listing.product_id == Product.id, Listing.account_id == account_id))
        .outerjoin(ListingTemplate, ListingTemplate.id == Listing.template_id)
    )  # fmt: skip


def _account_works(action: str, subject: Subject, account: Account) -> Check | None:
    if action not in _CALLS_TIKTOK:
        return None
    facts = {"account": account.title, "active": account.active, "authorisation": account.auth_state}
    if not account.active:
        return Check("The account works", False, f"The account {account.title} is disabled.", facts, "Enable it under TikTok Account.", "account.disabled")
    if not account.connected:
        return Check(
            "The account works",
            False,
            f"The account {account.title} is not authorised.",
            facts,
            "Re-authorise it under TikTok Account.",
            "account.not_connected",
        )
    return Check("The account works", True, "The account is enabled and authorised.", facts)


def _is_in_magento(action: str, subject: Subject, account: Account) -> Check | None:
    if action not in _NEEDS_MAGENTO:
        return None
    name = "The product is in Magento"
    if subject.gone:
        return Check(
            name, False, "Magento has this product no more.", {"sku": subject.sku}, "Change its status to Inactive, or create it in Magento again and import.",
            "product.gone",
        )  # fmt: skip
    return Check(name, True, "The last import found it.")


def _is_assigned(action: str, subject: Subject, account: Account) -> Check | None:
    name = "It is in a listing template"
    if action == REMOVE:
        if subject.template_id is None:
            return Check(name, False, "It is in no listing template.", {}, "Nothing needs to be done.", "listing.no_template")
    elif action == ASSIGN:
        return None
    elif subject.template_id is None and (action in _NEEDS_TEMPLATE or subject.listing_id is None):
        return Check(name, False, "It is in no listing template.", {}, "Assign it to a template first.", "listing.no_template")
    return Check(name, True, f"Its template is {subject.template}." if subject.template else "It was linked to a product on TikTok Shop.")


def _template_is_enabled(action: str, subject: Subject, account: Account) -> Check | None:
    """A148: the products of a disabled template can be neither uploaded nor acted upon. Taking them out of it remains possible."""
    if action in (ASSIGN, REMOVE) or subject.template_id is None:
        return None
    name = "Its template is enabled"
    if not subject.template_enabled:
        return Check(
            name, False, f"Its listing template {subject.template} is disabled.", {"template": subject.template},
            "Enable the template, or assign the product to another one.", "listing.template_disabled",
        )  # fmt: skip
    return Check(name, True, f"{subject.template} is enabled.")


def _is_on_tiktok(action: str, subject: Subject, account: Account) -> Check | None:
    if action not in _ON_TIKTOK:
        return None
    if not subject.tiktok_id:
        return Check("It is on TikTok Shop", False, "It is not on TikTok Shop yet.", {}, "Upload it first.", "listing.not_uploaded")
    return Check("It is on TikTok Shop", True, f"TikTok knows it as {subject.tiktok_id}.", {"tiktok_id": subject.tiktok_id})


#: (action, Marketplace Status) -> message, remedy, code. TTS §5.3.10: what each status allows.
_FROZEN = ("TikTok Shop has frozen it; nothing can be changed.", "Settle the violation in Seller Center, then run Marketplace Status Sync.", "listing.frozen")
_DELETED = ("It was deleted on TikTok Shop.", "Recover it, or unlink it; then Upload makes a new product of it.", "listing.deleted")
_REVIEWED = ("TikTok Shop is reviewing it.", "Wait for the end of the review; Marketplace Status Sync shows it.", "listing.in_review")
_REFUSED: dict[tuple[str, str], tuple[str, str, str]] = {
    **{(action, FROZEN): _FROZEN for action in (UPLOAD, ACTIVATE, DEACTIVATE, SYNC)},
    **{(action, DELETED): _DELETED for action in (UPLOAD, ACTIVATE, DEACTIVATE, SYNC)},
    **{(action, IN_REVIEW): _REVIEWED for action in (ACTIVATE, DEACTIVATE)},
    (ACTIVATE, LIVE): ("It is active already.", "Nothing needs to be done.", "listing.already_active"),
    (ACTIVATE, REJECTED): ("TikTok Shop has rejected it.", "Correct what TikTok names and upload it again.", "listing.rejected"),
    (DEACTIVATE, INACTIVE): ("It is inactive already.", "Nothing needs to be done.", "listing.already_inactive"),
    (DEACTIVATE, REJECTED): ("TikTok Shop has rejected it, so nobody can buy it.", "Nothing needs to be done.", "listing.rejected"),
}


def _status_allows(action: str, subject: Subject, account: Account) -> Check | None:
    if action not in _CALLS_TIKTOK or not subject.tiktok_id:
        return None
    facts = {"marketplace_state": subject.state, "remote_status": subject.remote_status}
    if refused := _REFUSED.get((action, subject.state)):
        message, remedy, code = refused
        return Check("Its status allows it", False, message, facts, remedy, code)
    return Check("Its status allows it", True, f"TikTok says {subject.remote_status or subject.state}.", facts)


_QUESTIONS: tuple[Callable[[str, Subject, Account], Check | None], ...] = (
    _account_works, _is_in_magento, _is_assigned, _template_is_enabled, _is_on_tiktok, _status_allows,
)  # fmt: skip


def _warning(action: str, subject: Subject) -> str:
    if action == UPLOAD and subject.validation == INCOMPLETE:
        count = "1 problem" if subject.problems == 1 else f"{subject.problems} problems"
        return f"{count} at the last validation; it is checked again and stays here if they remain"
    if action == UPLOAD and subject.state == IN_REVIEW:
        return "TikTok Shop is reviewing it; it is sent when the review has ended"
    if action == SYNC and subject.state not in (LIVE, NOT_UPLOADED):
        return "TikTok takes prices of live products only; stock is sent now, the price when it is live"
    return ""


# --- doing ----------------------------------------------------------------------------------------------------------------------------------


def submit(action: str, account_id: int, product_ids: Sequence[int], *, started_by: str) -> runs.Submitted:
    """One run for those of these products that allow it. Raises ``DomainError`` when none does."""
    allowed = [verdict.subject for verdict in verdicts(action, account_id, product_ids=product_ids) if verdict.allowed]
    if not allowed:
        raise DomainError("products.none_allowed", "None of these products allows it any more.", "Open the action again for the reasons.")
    kind, args = KINDS[action]
    items = [(str(subject.listing_id), subject.label) for subject in allowed]
    same = hashlib.blake2b(",".join(sorted(ref for ref, _ in items)).encode(), digest_size=12).hexdigest()
    return runs.submit(kind, account_id=account_id, args=args, items=items, key=f"{kind}:{account_id}:{action}:{same}", started_by=started_by)


def assign_by_hand(account_id: int, product_ids: Collection[int], template_id: int | None, *, reason: str = "by hand") -> int:
    """Put products into a template, or (None) out of theirs; it stays so whatever the templates' queries say. The number that changed."""
    template = db.session.get(ListingTemplate, template_id) if template_id is not None else None
    if template_id is not None and (template is None or template.account_id != account_id):
        raise DomainError("listing.template_unknown", "There is no such listing template in this account.", "Choose another one.", field="template")
    with unit_of_work() as session:
        changed = 0
        wanted = sorted(set(product_ids))
        for first in range(0, len(wanted), _AT_ONCE):
            part = [subject for subject in subjects(account_id, product_ids=wanted[first : first + _AT_ONCE]) if subject.template_id != template_id]
            new = [subject.product_id for subject in part if subject.listing_id is None]
            known = [int(subject.listing_id) for subject in part if subject.listing_id is not None]
            if new and template is not None:
                now = utcnow()
                rows = [{"account_id": account_id, "product_id": product_id, "template_id": template_id, "assigned_by": "hand"} for product_id in new]
                session.execute(insert(Listing), [row | {"created_at": now, "updated_at": now} for row in rows])
                session.flush()
                ids = select(Listing.id).where(Listing.account_id == account_id, Listing.product_id.in_(new))
                known += list(session.scalars(ids))
            if known:
                values: dict[str, Any] = {"template_id": template_id, "assigned_by": "hand", "validation": UNCHECKED, "problems": [], "validated_at": None}
                session.execute(update(Listing).where(Listing.id.in_(known)).values(**values).execution_options(synchronize_session=False))
                _trace(account_id, known, template, reason)
                due.mark(reason="assigned to a template" if template else "removed from its template", content=True, listing_ids=known)
            changed += len(known)
        return changed


def _trace(account_id: int, listing_ids: Iterable[int], template: ListingTemplate | None, reason: str) -> None:
    message = f"Assigned to the listing template {template.name}" if template else "Removed from its listing template"
    common = {
        "kind": "listing.assigned",
        "subject_type": "listing",
        "message": message,
        "account_id": account_id,
        "reason": reason,
        "actor": events.actor_now.get(),
    }
    db.session.execute(insert(Event), [common | {"subject_id": str(listing_id), "run_id": events.run_now.get()} for listing_id in listing_ids])


# --- reading Magento ------------------------------------------------------------------------------------------------------------------------


def import_from_magento(account_id: int, *, full: bool, started_by: str) -> runs.Submitted:
    """Read Magento's catalogue for an account's store view: what changed since the last time, or all of it."""
    return runs.submit(
        "products.import", account_id=account_id, args={"full": full}, key=f"products.import:{account_id}:{full}", started_by=started_by,
        title="Import all products from Magento" if full else None,
    )  # fmt: skip


def read_stock(account_id: int, *, started_by: str) -> runs.Submitted:
    """Read the stock of every product of an account's website from Magento."""
    return runs.submit("products.import_stock", account_id=account_id, key=f"products.import_stock:{account_id}", started_by=started_by)
