"""Behind a proxy the browser's own address counts, but only where the installation says that a proxy is there."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import select

from connector import create_app
from connector.config import Config
from connector.core.db import db, unit_of_work
from connector.models.user import User, UserSession
from connector.web.auth import hash_password
from tests.conftest import PASSWORD


@pytest.mark.parametrize(("proxies", "seen"), [(0, "127.0.0.1"), (1, "203.0.113.9")])
def test_the_address_of_a_session(config: Config, proxies: int, seen: str) -> None:
    app = create_app(replace(config, trusted_proxies=proxies))
    with app.app_context():
        with unit_of_work() as session:
            session.add(User(email="p@example.test", name="P", role="viewer", password_hash=hash_password(PASSWORD), active=True))
        headers = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "127.0.0.1:5000"}
        client = app.test_client()
        token = client.get("/sign-in", headers=headers).text.split('name="csrf_token"')[1].split('value="')[1].split('"')[0]
        answer = client.post("/sign-in", data={"email": "p@example.test", "password": PASSWORD, "csrf_token": token}, headers=headers)
        assert answer.status_code == 303
        assert db.session.scalar(select(UserSession.address)) == seen
        db.session.remove()
        db.engine.dispose()
