"""Mail to the operators over real SMTP, and what never leaves (A108, A249)."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select, text

from connector.core.db import db
from connector.core.errors import DomainError
from connector.models.account import OutgoingMail
from connector.services import accounts, mail, settings
from connector.services.accounts import Choice


class Sink(socketserver.ThreadingTCPServer):
    """A mail server that takes everything and keeps it, but refuses recipients at ``refused.example``."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Talk)
        self.taken: list[str] = []


class Talk(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        self.wfile.write(b"220 sink\r\n")
        while line := self.rfile.readline():
            word = line.split(b" ")[0].strip().upper()
            if word == b"RCPT" and b"refused.example" in line:
                self.wfile.write(b"550 no such mailbox\r\n")
            elif word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                body = b""
                while (part := self.rfile.readline()) != b".\r\n":
                    body += part
                self.server.taken.append(body.decode())
                self.wfile.write(b"250 taken\r\n")
            elif word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 ok\r\n")


@pytest.fixture
def sink(app: Flask) -> Iterator[Sink]:
    server = Sink()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    mail.save_server(url=f"smtp://127.0.0.1:{server.server_address[1]}", sender="connector@example.test", actor="tests")
    yield server
    server.shutdown()
    server.server_close()


def states() -> list[tuple[str, str]]:
    db.session.commit()
    rows = db.session.scalars(select(OutgoingMail).order_by(OutgoingMail.id).execution_options(populate_existing=True))
    return [(row.state, row.error or "") for row in rows]


def test_a_mail_is_sent_once_by_its_job(app: Flask, sink: Sink, work_off) -> None:
    mail.queue("ops@example.test", subject="Authorisation\nended", body="Tiktok_GB: authorise again.")
    work_off()
    assert mail.send_queued() == (0, 0)
    assert states() == [("sent", "")]
    assert len(sink.taken) == 1
    assert "Subject: Authorisation ended" in sink.taken[0]
    assert "Tiktok_GB: authorise again." in sink.taken[0]


def test_a_refused_recipient_keeps_the_mail_with_the_servers_words_and_can_be_tried_again(app: Flask, sink: Sink) -> None:
    row = mail.queue("ops@refused.example", subject="A", body="B")
    mail.queue("ops@example.test", subject="C", body="D")
    assert mail.send_queued() == (1, 1)
    assert states()[0][0] == "failed"
    assert "no such mailbox" in states()[0][1]
    mail.requeue(row.id)
    assert states()[0] == ("queued", "")
    with pytest.raises(DomainError):
        mail.requeue(row.id)


def test_sandbox_mail_never_leaves(app: Flask, sink: Sink) -> None:
    """A249"""
    account = accounts.create(Choice(title="Practice", country="GB", environment="sandbox"), actor="tests")
    mail.queue("ops@example.test", subject="A", body="B", account=account)
    assert mail.send_queued() == (0, 0)
    assert states() == [("kept", "")]
    assert sink.taken == []


def test_a_topic_goes_to_every_recipient_while_it_is_switched_on(app: Flask, sink: Sink) -> None:
    settings.save_notifications(recipients=["a@example.test", "b@example.test"], authorisation=True, failures=False, actor="tests")
    assert mail.notify("authorisation", subject="A", body="B") == 2
    assert mail.notify("failures", subject="A", body="B") == 0
    assert mail.send_queued() == (2, 0)


def test_the_recipient_is_encrypted_at_rest(app: Flask) -> None:
    """Product rule 12"""
    mail.queue("ops@example.test", subject="A", body="B")
    assert "ops@example.test" not in db.session.execute(text("SELECT recipient FROM outgoing_mail")).scalar_one()


@pytest.mark.parametrize("url", ["http://mail.example", "mail.example:25", "smtp://", "smtp://[::1", "smtp://a..b:25"])
def test_a_mail_server_that_cannot_be_one_is_refused(app: Flask, url: str) -> None:
    with pytest.raises(DomainError) as caught:
        mail.save_server(url=url, sender="", actor="tests")
    assert caught.value.field == "smtp_url"
