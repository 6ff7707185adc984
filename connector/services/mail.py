"""Mail to the operators (A050, A108, A109, A249): rows first, sent by a job; a Sandbox account's mail stays on screen."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit

from sqlalchemy import select

from connector.core.clock import utcnow
from connector.core.db import db, end_reading, unit_of_work
from connector.core.errors import DomainError
from connector.domain.email import looks_like_email
from connector.models.account import SANDBOX, Account, OutgoingMail
from connector.services import runs, settings

QUEUED, SENT, KEPT, FAILED = "queued", "sent", "kept", "failed"
TIMEOUT = 20.0


def queue(recipient: str, *, subject: str, body: str, account: Account | None = None) -> OutgoingMail:
    """Put one mail into the outbox, in the caller's transaction if there is one. Sandbox mail is kept and never sent (A249)."""
    if not looks_like_email(recipient):
        raise DomainError("mail.recipient", f"{recipient} is not an e-mail address.", "Correct it where it was entered.")
    kept = account is not None and account.environment == SANDBOX
    with unit_of_work() as session:
        row = OutgoingMail(
            account_id=account.id if account else None,
            recipient=recipient,
            subject=" ".join(subject.split())[:300],
            body=body,
            state=KEPT if kept else QUEUED,
        )
        session.add(row)
        session.flush()
        if not kept:
            runs.submit("mail.send", key="mail.send")
        return row


def notify(topic: str, *, subject: str, body: str, account: Account | None = None) -> int:
    """Mail to the configured recipients, if the topic (``authorisation``, ``failures``, ``deadlines``) is switched on; the number of mails."""
    if not settings.get(f"notify.{topic}"):
        return 0
    recipients = settings.get("notify.recipients")
    for recipient in recipients:
        queue(recipient, subject=subject, body=body, account=account)
    return len(recipients)


def send_queued() -> tuple[int, int]:
    """Send what waits: (sent, failed). A failure keeps the mail with its reason; ``requeue`` tries again."""
    url = smtp_url()
    waiting = list(db.session.scalars(select(OutgoingMail).where(OutgoingMail.state == QUEUED).order_by(OutgoingMail.id).limit(200)))
    sender = settings.get("mail.sender") or (f"connector@{urlsplit(settings.config().public_url).hostname}")
    end_reading()
    sent = 0
    for mail in waiting:
        error = "No mail server is configured. Enter one under Configuration > Mail." if not url else deliver(url, sender, mail)
        with unit_of_work() as session:
            row = session.get(OutgoingMail, mail.id)
            assert row is not None
            row.state, row.error = (FAILED, error) if error else (SENT, None)
            row.sent_at = None if error else utcnow()
        sent += 0 if error else 1
    return sent, len(waiting) - sent


def requeue(mail_id: int) -> None:
    with unit_of_work() as session:
        row = session.get(OutgoingMail, mail_id)
        if row is None or row.state != FAILED:
            raise DomainError("mail.not_failed", "Only a mail that failed can be sent again.", "Reload the outbox.")
        row.state, row.error = QUEUED, None
        runs.submit("mail.send", key="mail.send")


def deliver(url: str, sender: str, mail: OutgoingMail) -> str | None:
    """Hand one mail to the server; the reason when it was not taken. ``url``: smtp(s)://user:password@host:port."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, mail.recipient, mail.subject
    message.set_content(mail.body)
    parts = urlsplit(url)
    host, secure = parts.hostname or "", parts.scheme == "smtps"
    try:
        if secure:
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or 465, timeout=TIMEOUT, context=ssl.create_default_context())
        else:
            server = smtplib.SMTP(host, parts.port or 25, timeout=TIMEOUT)
        with server:
            if not secure and server.has_extn("starttls"):
                server.starttls(context=ssl.create_default_context())
            if parts.username:
                server.login(unquote(parts.username), unquote(parts.password or ""))
            server.send_message(message)
    except (OSError, smtplib.SMTPException) as error:
        return f"The mail server {host} did not take it: {error}"
    return None


def smtp_url() -> str:
    """The environment's SMTP_URL first, then the Configuration page's."""
    return settings.config().smtp_url or settings.get("mail.smtp_url")


def _is_server(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("smtp", "smtps") and bool((parts.hostname or "").encode("idna")) and (parts.port is None or parts.port > 0)
    except ValueError:  # a bracket, a port or a name that can be none
        return False


def save_server(*, url: str, sender: str, actor: str) -> None:
    """A blank address keeps the stored one."""
    url = url.strip()
    if url and not _is_server(url):
        raise DomainError("mail.server", "The mail server must be written as smtp://host:port or smtps://user:password@host:port.", "", field="smtp_url")
    if sender.strip() and not looks_like_email(sender.strip()):
        raise DomainError("mail.sender", f"{sender} is not an e-mail address.", "Write one such as connector@your-shop.com.", field="sender")
    values = {"mail.sender": sender.strip()}
    if url:
        values["mail.smtp_url"] = url
    settings.put(values, actor=actor)
