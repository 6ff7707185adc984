"""Warnings before deadlines pass: on screen and by mail, once for each subject, instant and level; one mail lists all (A108, A263, A270)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, String, cast, exists, func, select
from sqlalchemy.orm import Session

from connector.core.db import db, dialect_of, unit_of_work
from connector.core.errors import DomainError
from connector.domain import deadlines
from connector.domain.deadlines import ANSWER_CANCELLATION, ANSWER_RETURN, AUTO_CANCEL, HALF, PASSED, RECALL, SHIP_BY, SOON, Leads
from connector.models.account import Account
from connector.models.aftersales import DeadlineWarning
from connector.services import connections, events, mail, policies, settings
from connector.services.deadlines.finding import SOURCES, Deadline, Source, accounts, in_order, rows

#: A mail about what has time waits until this long after the last one, so that a busy shop gets a list an hour and not a mail for each order.
BETWEEN_MAILS = timedelta(hours=1)
#: Of one kind, in one go; the rest follows in the next one.
AT_ONCE = 1000
#: Warnings written in one transaction.
CHUNK = 500
#: Lines of one level in a mail.
LINES = 100

_WORDS = {
    SHIP_BY: "ship by",
    AUTO_CANCEL: "TikTok cancels at",
    ANSWER_CANCELLATION: "answer the cancellation by",
    ANSWER_RETURN: "answer the return by",
    RECALL: "see to the recalled parcel by",
}
_LEVELS = {PASSED: "Passed", SOON: "Due soon", HALF: "Half of the time to answer is over"}


def leads() -> Leads:
    """How early warnings come: the Configuration page's hours."""
    return Leads(timedelta(hours=settings.get("deadlines.ship_hours")), timedelta(hours=settings.get("deadlines.answer_hours")))


def warn(account_id: int) -> int:
    """Warn about what is near or has passed and was not warned about at that level; the number of warnings. Safe to call at any time."""
    for account in accounts(account_id):
        now, early = connections.shop_now(account), leads()
        fresh = [(one, level) for one, level in _near(account, now, early) if level]
        if not fresh or _can_wait(account, fresh, now):
            return 0
        return sum(_give(account, fresh, first, now) for first in range(0, len(fresh), CHUNK))
    return 0


def _give(account: Account, fresh: list[tuple[Deadline, str]], first: int, now: datetime) -> int:
    """Give one chunk of the warnings; the mail about all goes with the first, so that a killed job repeats a mail rather than leaves one out."""
    with unit_of_work() as session:
        new = _keep(session, fresh[first : first + CHUNK], now)
        for one, level in new:
            facts = {"kind": one.kind, "level": level}
            events.record(f"{one.subject_type}.deadline", "order", one.order_id, _sentence(one, level), account_id=account.id, after=facts)
        if new and first == 0:
            _mail(account, fresh)
        return len(new)


def _near(account: Account, now: datetime, early: Leads) -> Iterator[tuple[Deadline, str | None]]:
    """What has a level that no warning was given for. Each is judged once, at its sharpest level."""
    for source in SOURCES.values():
        answers = source.kind in (ANSWER_CANCELLATION, ANSWER_RETURN)
        soon = now + early.of(source.kind)
        windows = [(PASSED, None, now), (SOON, now, soon), *([(HALF, soon, None)] if answers else [])]
        for level, after, until in windows:
            found = rows(source, account, after=after, until=until, limit=AT_ONCE, given=[~_warned(source, level)])
            known = None
            for one in found:
                if one.estimated:
                    known = _known(source.kind, account.id) if known is None else known
                    if (str(one.subject_id), one.due_at, level) in known:
                        continue
                judged = deadlines.level(one.kind, due_at=one.due_at, start=one.start, now=now, leads=early)
                yield one, judged if judged == level else None


def _warned(source: Source, level: str) -> ColumnElement[bool]:
    return exists().where(
        DeadlineWarning.subject_type == source.subject_type, DeadlineWarning.subject_id == cast(source.pk, String), DeadlineWarning.kind == source.kind,
        DeadlineWarning.due_at == source.due, DeadlineWarning.level == level,
    )  # fmt: skip


def _known(kind: str, account_id: int) -> set[tuple[str, datetime, str]]:
    query = select(DeadlineWarning.subject_id, DeadlineWarning.due_at, DeadlineWarning.level)
    return {(row[0], row[1], row[2]) for row in db.session.execute(query.where(DeadlineWarning.kind == kind, DeadlineWarning.account_id == account_id))}


def _can_wait(account: Account, fresh: Iterable[tuple[Deadline, str]], now: datetime) -> bool:
    """Whether the last mail is young and nothing here passes before the next one may go, or has passed unannounced."""
    last = db.session.scalar(select(func.max(DeadlineWarning.warned_at)).where(DeadlineWarning.account_id == account.id))
    if last is None or abs(now - last) >= BETWEEN_MAILS:
        return False
    passed = [one for one, level in fresh if level == PASSED]
    return not any(level != PASSED and one.due_at < now + BETWEEN_MAILS for one, level in fresh) and _announced(passed)


def _announced(passed: list[Deadline]) -> bool:
    """Whether every one of these was warned about before it passed."""
    if not passed:
        return True
    ids = {str(one.subject_id) for one in passed}
    query = select(DeadlineWarning.subject_type, DeadlineWarning.subject_id, DeadlineWarning.kind, DeadlineWarning.due_at)
    told = {tuple(row) for row in db.session.execute(query.where(DeadlineWarning.subject_id.in_(ids), DeadlineWarning.level != PASSED))}
    return all((one.subject_type, str(one.subject_id), one.kind, one.due_at) in told for one in passed)


def _keep(session: Session, fresh: list[tuple[Deadline, str]], now: datetime) -> list[tuple[Deadline, str]]:
    """Store the warnings; those that nobody else has stored meanwhile."""
    dialect = dialect_of(session)
    statement = dialect.insert(DeadlineWarning.__table__).on_conflict_do_nothing()
    new = []
    for one, level in fresh:
        facts = {"account_id": one.account_id, "subject_type": one.subject_type, "subject_id": str(one.subject_id), "kind": one.kind, "due_at": one.due_at}
        if session.execute(statement.values(**facts, level=level, warned_at=now)).rowcount:  # type: ignore[attr-defined]
            new.append((one, level))
    return new


def _line(one: Deadline) -> str:
    """A line of the mail, in the time zone of the Configuration page."""
    about = f" (estimated; TikTok names no time){'.' if one.trouble else ''}" if one.estimated else ""
    when = one.due_at.astimezone(settings.time_zone())
    return f"{one.number}  {_WORDS[one.kind]} {when:%Y-%m-%d %H:%M %Z}{about}  {one.trouble}".rstrip()


def _sentence(one: Deadline, level: str) -> str:
    when = f"{one.due_at:%Y-%m-%d %H:%M} UTC{', by estimate' if one.estimated else ''}"
    what = {
        SHIP_BY: f"TikTok expects order {one.number} to be shipped by {when}.",
        AUTO_CANCEL: f"Order {one.number} is cancelled by TikTok at {when}.",
        ANSWER_CANCELLATION: f"The buyer's request {one.reference} to cancel order {one.number} is to be answered by {when}.",
        ANSWER_RETURN: f"Return {one.reference} of order {one.number} is to be answered by {when}.",
        RECALL: f"Somebody should say what became of the recalled parcel of order {one.number} by {when}.",
    }[one.kind]
    return f"{what} That time has passed." if level == PASSED else f"{what} {one.what_then} {one.trouble}".rstrip()


def _mail(account: Account, new: list[tuple[Deadline, str]]) -> None:
    """One mail about all: to the operators who asked for it, and to the order policy's own address when it allows notifications (A108, A109)."""
    parts = []
    for level, title in _LEVELS.items():
        lines = [_line(one) for one in in_order(one for one, its in new if its == level)]
        if lines:
            more = f"\n... and {len(lines) - LINES} more" if len(lines) > LINES else ""
            parts.append(f"{title}:\n" + "\n".join(lines[:LINES]) + more)
    late = sum(level == PASSED for _, level in new)
    counts = [f"{count} deadline{'' if count == 1 else 's'} {word}" for count, word in ((len(new) - late, "close"), (late, "passed")) if count]
    subject = f"{account.title}: {', '.join(counts)}"
    body = "\n\n".join(parts) + f"\n\nThe list is at {settings.config().public_url}/deadlines/; each order says what to do."
    mail.notify("deadlines", subject=subject, body=body, account=account)
    try:
        policy, _ = policies.order_policy(account)
    except DomainError:  # without a policy nobody else asked for mail; the warnings on screen stand
        return
    if policy.notify and policy.notification_email and policy.notification_email not in settings.get("notify.recipients"):
        mail.queue(policy.notification_email, subject=subject, body=body, account=account)
