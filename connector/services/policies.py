"""Policies: seeded, saved with a version each time, checked, copied, restored, deleted (A020-A023, A051-A060, A099-A122)."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import ValidationError
from sqlalchemy import func, select, update

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError, NotFoundError
from connector.domain.order_policy import OrderPolicy
from connector.domain.policies import IMAGE, INVENTORY, KIND_TITLES, ORDER, POLICY_MODELS, PRICING, SEEDS, SYNCHRONIZATION, difference, field_label
from connector.domain.policy_body import PolicyBody
from connector.models.account import Account
from connector.models.listing import ListingTemplate
from connector.models.policy import Policy, PolicyVersion
from connector.services import events, policy_checks, policy_users
from connector.services.products import due, switches

#: The fields by which an account or a listing template chooses a policy (A047, A145).
ASSIGNED_BY: dict[str, Any] = {
    ORDER: Account.order_policy_id,
    SYNCHRONIZATION: Account.sync_policy_id,
    IMAGE: ListingTemplate.image_policy_id,
    PRICING: ListingTemplate.pricing_policy_id,
    INVENTORY: ListingTemplate.inventory_policy_id,
}


class PolicyErrors(DomainError):
    """A body that cannot be saved; ``by_field`` has one message a field."""

    def __init__(self, by_field: dict[str, str]) -> None:
        field, message = next(iter(by_field.items()))
        super().__init__("policy.invalid_input", message, "Correct the marked fields.", field=field)
        self.by_field = by_field


class Change(NamedTuple):
    """One line of a comparison of two versions."""

    label: str
    before: Any
    after: Any


def seed(*, actor: str = "system") -> int:
    """Create the default policy of each kind that has none; the number created. Safe to repeat."""
    made = 0
    with unit_of_work() as session:
        for kind, title, body in SEEDS:
            if session.scalar(select(func.count()).select_from(Policy).where(Policy.kind == kind, Policy.deleted_at.is_(None))):
                continue
            _store(Policy(kind=kind, title=title), title=title, body=body, is_default=True, actor=actor, note="Seeded default")
            made += 1
    return made


def get(policy_id: int) -> Policy:
    policy = db.session.get(Policy, policy_id)
    if policy is None or policy.deleted_at is not None:
        raise NotFoundError("policy.unknown", f"There is no policy {policy_id}.", "It may have been deleted; open TikTok Policies for the present ones.")
    return policy


def of_kind(kind: str) -> list[Policy]:
    """The policies of a kind, default first."""
    query = select(Policy).where(Policy.kind == kind, Policy.deleted_at.is_(None)).order_by(Policy.is_default.desc(), Policy.title)
    return list(db.session.scalars(query))


def body_of(policy: Policy) -> PolicyBody:
    return POLICY_MODELS[policy.kind].model_validate(policy.body)


def parse(kind: str, data: dict[str, Any]) -> PolicyBody:
    """A body from form or file values. Raises ``PolicyErrors`` with every fault at once."""
    try:
        return POLICY_MODELS[kind].model_validate(data)
    except ValidationError as error:
        raise PolicyErrors(_by_field(kind, error)) from error


def create(kind: str, *, title: str, body: PolicyBody, actor: str, is_default: bool = False, note: str = "") -> Policy:
    with unit_of_work(), switches.following():
        first = not of_kind(kind)
        return _store(Policy(kind=kind), title=title, body=body, is_default=is_default or first, actor=actor, note=note or "Created")


def save(
    policy_id: int,
    *,
    title: str,
    body: PolicyBody,
    actor: str,
    is_default: bool | None = None,
    seen_version: int | None = None,
    note: str = "",
) -> Policy:
    """Store a new version. ``seen_version``: the one the form was opened with; if somebody saved in between, nothing is overwritten.

    The listings of the templates that use it become due and the accounts' schedules follow, in the same transaction.
    """
    with unit_of_work() as session, switches.following():
        policy = get(policy_id)
        session.refresh(policy)
        if seen_version is not None and policy.version != seen_version:
            raise DomainError(
                "policy.changed_meanwhile",
                f"Policy {policy.title} was saved by somebody else since you opened it (version {policy.version}; you had {seen_version}).",
                "Compare under Versions, then save again to put yours on top.",
            )
        if is_default is False and policy.is_default:
            raise DomainError(
                "policy.default_needed",
                f"{policy.title} is the default of its type.",
                "Make another policy of this type the default instead.",
                field="is_default",
            )
        return _store(policy, title=title, body=body, is_default=policy.is_default if is_default is None else is_default, actor=actor, note=note)


def make_default(policy_id: int, *, actor: str) -> Policy:
    with unit_of_work(), switches.following():
        policy = get(policy_id)
        _make_default(policy)
        events.record("policy.default", "policy", policy.id, f"{policy.title} became the default {KIND_TITLES[policy.kind]} policy.", actor=actor)
        return policy


def duplicate(policy_id: int, *, actor: str) -> Policy:
    """A copy named "Copy of ..." with a history of its own."""
    with unit_of_work():
        original = get(policy_id)
        titles = {policy.title for policy in of_kind(original.kind)}
        base = title = f"Copy of {original.title}"[:110]
        number = 2
        while title in titles:
            title, number = f"{base} ({number})", number + 1
        return _store(
            Policy(kind=original.kind),
            title=title,
            body=body_of(original),
            is_default=False,
            actor=actor,
            note=f"Copied from {original.title} version {original.version}",
        )


def restore(policy_id: int, number: int, *, actor: str) -> Policy:
    """Put an earlier version on top, as a new version."""
    with unit_of_work() as session, switches.following():
        policy = get(policy_id)
        old = session.scalar(select(PolicyVersion).where(PolicyVersion.policy_id == policy_id, PolicyVersion.number == number))
        if old is None:
            raise NotFoundError("policy.no_version", f"{policy.title} has no version {number}.", "Choose one of the listed versions.")
        body = parse(policy.kind, old.body)
        return _store(policy, title=old.title, body=body, is_default=policy.is_default, actor=actor, note=f"Restored from version {number}")


def delete(policy_id: int, *, actor: str, reassign_to: int | None = None) -> None:
    """Delete a policy that nothing uses; with ``reassign_to`` its users (and its being the default) move to that policy first."""
    with unit_of_work() as session, switches.following():
        policy = get(policy_id)
        users = policy_users.used_by(policy_id)
        if reassign_to is None and (users or policy.is_default):
            what = f"is used by {policy_users.in_words(users)}" if users else f"is the default {KIND_TITLES[policy.kind]} policy"
            raise DomainError("policy.in_use", f"{policy.title} {what}.", "Choose another policy that takes its place, then delete it.")
        if reassign_to is not None:
            successor = get(reassign_to)
            if successor.kind != policy.kind or successor.id == policy.id:
                raise DomainError("policy.wrong_successor", "The successor must be another policy of the same type.", "Choose another one.")
            column = ASSIGNED_BY[policy.kind]
            session.execute(update(column.class_).where(column == policy.id).values({column.key: successor.id}))
            _mark_due(successor, [user.id for user in users if user.kind == "template"])
            if policy.is_default:
                policy.is_default = False
                session.flush()
                successor.is_default = True
        policy.is_default = False
        policy.deleted_at = utcnow()
        session.flush()
        reason = f"Replaced by {get(reassign_to).title}" if reassign_to else ""
        events.record("policy.deleted", "policy", policy.id, f"{policy.title} was deleted.", actor=actor, reason=reason)


def versions(policy_id: int) -> list[PolicyVersion]:
    """All versions, newest first."""
    return list(db.session.scalars(select(PolicyVersion).where(PolicyVersion.policy_id == policy_id).order_by(PolicyVersion.number.desc())))


def compare(policy_id: int, number: int, other: int) -> list[Change]:
    """What changed from version ``number`` to version ``other``, in the order of the form."""
    kind = get(policy_id).kind
    found = {version.number: version for version in versions(policy_id) if version.number in (number, other)}
    if len(found) < len({number, other}):
        raise NotFoundError("policy.no_version", "One of these versions does not exist.", "Choose from the listed versions.")
    changes = [Change("Title", found[number].title, found[other].title)] if found[number].title != found[other].title else []
    return changes + [Change(*row) for row in difference(found[number].body, found[other].body, kind)]


# --- for the order desk


def order_policy_row(account: Account) -> Policy:
    """The order policy in force for an account: the assigned one, else the default (A045, A118)."""
    query = select(Policy).where(Policy.deleted_at.is_(None))
    query = query.where(Policy.id == account.order_policy_id) if account.order_policy_id else query.where(Policy.kind == ORDER, Policy.is_default)
    policy = db.session.scalar(query)
    if policy is None:
        raise DomainError("policy.none", f"Account {account.title} has no order policy.", "Choose one on the account's page.")
    return policy


def order_policy(account: Account) -> tuple[OrderPolicy, int]:
    """The order policy in force and the id of its present version."""
    policy = order_policy_row(account)
    version_id = db.session.scalar(select(PolicyVersion.id).where(PolicyVersion.policy_id == policy.id, PolicyVersion.number == policy.version))
    assert version_id is not None  # every save writes one
    return OrderPolicy.model_validate(policy.body), version_id


# --- storing


def recheck_all() -> int:
    """Compute validity again, because what policies refer to was imported anew; the number of policies that changed."""
    changed = 0
    with unit_of_work() as session:
        for policy in session.scalars(select(Policy).where(Policy.deleted_at.is_(None))):
            problems = [problem._asdict() for problem in policy_checks.check(policy.kind, body_of(policy), policy_id=policy.id)]
            if problems != policy.problems or policy.valid != (not problems):
                policy.problems, policy.valid = problems, not problems
                changed += 1
                outcome = "is valid" if policy.valid else f"is not valid: {problems[0]['message']}"
                events.record("policy.rechecked", "policy", policy.id, f"{policy.title} {outcome}")
        session.flush()
    return changed


def _store(policy: Policy, *, title: str, body: PolicyBody, is_default: bool, actor: str, note: str) -> Policy:
    session = db.session
    title = " ".join(title.split())
    if not title:
        raise PolicyErrors({"title": "Title is empty."})
    if len(title) > 120:
        raise PolicyErrors({"title": "Title is longer than 120 characters."})
    taken = select(Policy.id).where(Policy.kind == policy.kind, Policy.deleted_at.is_(None), func.lower(Policy.title) == title.lower())
    if session.scalar(taken.where(Policy.id != policy.id) if policy.id else taken):
        raise PolicyErrors({"title": f"Another {KIND_TITLES[policy.kind]} policy is called {title}."})
    before, stored = policy.body, body.model_dump(mode="json")
    problems = [problem._asdict() for problem in policy_checks.check(policy.kind, body, policy_id=policy.id)]
    policy.title, policy.body, policy.problems, policy.valid = title, stored, problems, not problems
    policy.version = (policy.version or 0) + 1
    policy.updated_at = utcnow()
    session.add(policy)
    session.flush()
    version = PolicyVersion(policy_id=policy.id, number=policy.version, title=title, body=stored, author=actor, note=note)
    session.add(version)
    session.flush()
    if is_default and not policy.is_default:
        _make_default(policy)
    if before and before != stored:
        _mark_due(policy, list(session.scalars(policy_users.templates_of(policy.id).with_only_columns(ListingTemplate.id))))
    events.record(
        "policy.saved",
        "policy",
        policy.id,
        f"{title} was saved as version {policy.version}" + ("" if policy.valid else "; it is not valid yet") + ".",
        before=before,
        after=stored,
        reason=note,
        actor=actor,
        policy_version_id=version.id,
    )
    session.flush()
    return policy


def _mark_due(policy: Policy, template_ids: list[int]) -> None:
    """What these templates list is looked at again: prices and stock, and the pictures when it is an image policy."""
    if template_ids:
        due.mark(reason=f"{KIND_TITLES[policy.kind]} policy {policy.title}", content=policy.kind == IMAGE, template_ids=template_ids)


def _make_default(policy: Policy) -> None:
    db.session.execute(update(Policy).where(Policy.kind == policy.kind, Policy.is_default, Policy.id != policy.id).values(is_default=False))
    for other in of_kind(policy.kind):
        other.is_default = other.id == policy.id
    db.session.flush()


_WORDS = {
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "decimal_parsing": "must be a number",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "string_too_long": "is longer than {max_length} characters",
    "string_too_short": "is empty",
    "decimal_max_places": "has more than {decimal_places} decimals",
    "literal_error": "is not one of the choices",
    "string_pattern_mismatch": "holds a character that is not allowed",
    "extra_forbidden": "is not a field of this policy",
    "missing": "is empty",
}


def _by_field(kind: str, error: ValidationError) -> dict[str, str]:
    """Pydantic's findings in the words of the form; one message a field."""
    found: dict[str, str] = {}
    for fault in error.errors():
        path = fault["loc"]
        field = str(path[0]) if path else str(fault.get("ctx", {}).get("field", ""))
        words = _WORDS.get(fault["type"])
        label = field_label(kind, field)
        if len(path) > 2:
            label = f"{label}, row {int(path[1]) + 1}"
        if words:
            text = f"{label} {words.format(**fault.get('ctx', {}))}."
        else:
            text = str(fault["msg"]).removeprefix("Value error, ")
        found.setdefault(field, text)
    return found
