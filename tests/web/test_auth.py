"""Who gets in, what each role may do, and how sessions, passwords and tokens behave (product.md 12); every door in turn: ``test_doors.py``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.trace import Event
from connector.models.user import ADMINISTRATOR, OPERATOR, ROLES, VIEWER, ApiToken, User, UserSession
from connector.services import api_tokens, users
from connector.web import auth
from connector.web.auth import safe_next
from connector.web.forms import Form, Required
from connector.web.permissions import allows

PASSWORD = "correct-horse-battery-staple"


def token(text: str) -> str:
    found = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', text)
    assert found is not None
    return found[1]


def post(client: FlaskClient, path: str, *, page: str | None = None, **form: Any) -> Any:
    return client.post(path, data={"csrf_token": token(client.get(page or path).text), **form})


def make_user(email: str = "olive@example.test", role: str = OPERATOR, **extra: Any) -> User:
    with unit_of_work():
        return users.create(email=email, password=PASSWORD, role=role, name="Olive", **extra)


def sign_in(client: FlaskClient, email: str = "olive@example.test", password: str = PASSWORD, **form: Any) -> Any:
    return post(client, "/sign-in", email=email, password=password, **form)


# --- roles ---------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "permission", "expected"),
    [
        (VIEWER, "orders.read", True), (VIEWER, "orders.write", False), (VIEWER, "orders.reveal", False), (VIEWER, "users.read", False),
        (VIEWER, "configuration.read", False), (OPERATOR, "orders.write", True), (OPERATOR, "orders.reveal", True),
        (OPERATOR, "policies.read", True), (OPERATOR, "policies.write", False), (OPERATOR, "accounts.write", False),
        (OPERATOR, "users.read", False), (ADMINISTRATOR, "users.write", True), ("stranger", "orders.read", False),
    ],
)  # fmt: skip
def test_roles_hold_what_the_product_says(role: str, permission: str, expected: bool) -> None:
    assert allows(role, permission) is expected


# --- first administrator --------------------------------------------------------------------------------------------------------------------


def test_without_a_user_every_page_leads_to_the_registration_of_the_first_administrator(client: FlaskClient) -> None:
    assert client.get("/users").headers["Location"] == "/welcome"
    assert client.get("/sign-in").headers["Location"] == "/welcome"


def test_the_first_administrator_registers_once_and_is_signed_in(app: Flask, client: FlaskClient) -> None:
    form = {"email": "Ada@Example.Test ", "password": PASSWORD, "name": "Ada", "time_zone": "Europe/London", "terms": "y"}
    assert post(client, "/welcome", **form).status_code == 303
    user = db.session.scalars(select(User)).one()
    assert (user.email, user.role, user.time_zone) == ("ada@example.test", ADMINISTRATOR, "Europe/London")
    assert user.terms_accepted_at is not None
    assert client.get("/users").status_code == 200
    other = app.test_client()
    assert other.get("/welcome").headers["Location"] == "/sign-in"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"email": ""}, "Enter your email address"),
        ({"email": "ada"}, "is not an email address"),
        ({"password": "short"}, "fewer than 10 characters"),
        ({"password": "aaaaaaaaaaaa"}, "easy to guess"),
        ({"terms": ""}, "Accept the terms and conditions"),
    ],
)
def test_an_invalid_registration_comes_back_filled_in_with_the_reason(client: FlaskClient, change: dict[str, str], words: str) -> None:
    """A009-A010: the email is required and the terms tick box must be ticked."""
    form = {"email": "ada@example.test", "password": PASSWORD, "name": "Ada Lark", "time_zone": "UTC", "terms": "y"} | change
    answer = post(client, "/welcome", **form)
    page = BeautifulSoup(answer.text, "html.parser")
    assert answer.status_code == 422
    assert words in page.select_one(".error-summary").get_text()
    assert page.select_one("#name")["value"] == "Ada Lark"
    assert db.session.scalar(select(User.id)) is None


# --- signing in -----------------------------------------------------------------------------------------------------------------------------


def test_signing_in_leads_to_the_page_that_was_asked_for(client: FlaskClient) -> None:
    make_user(role=ADMINISTRATOR)
    asked = client.get("/users?role=viewer")
    assert asked.headers["Location"] == "/sign-in?next=/users?role%3Dviewer"
    answer = post(client, asked.headers["Location"], email=" OLIVE@example.test ", password=PASSWORD)
    assert answer.headers["Location"] == "/users?role=viewer"


@pytest.mark.parametrize("target", ["https://evil.example", "//evil.example", "/\\evil.example", "javascript:alert(1)", "users", None, ""])
def test_a_next_address_of_another_site_is_ignored(target: str | None) -> None:
    assert safe_next(target, "/") == "/"


def test_a_wrong_password_an_unknown_address_and_a_switched_off_user_get_the_same_answer(client: FlaskClient) -> None:
    user = make_user()
    answers = [sign_in(client, password="wrong-password-1"), sign_in(client, email="nobody@example.test")]
    with unit_of_work():
        db.session.execute(update(User).where(User.id == user.id).values(active=False))
    answers.append(sign_in(client))
    texts = {BeautifulSoup(answer.text, "html.parser").select_one(".error-summary").get_text() for answer in answers}
    assert [answer.status_code for answer in answers] == [422, 422, 422]
    assert len(texts) == 1
    assert all(PASSWORD not in answer.text for answer in answers)


def test_the_session_that_was_there_before_signing_in_does_not_go_on(client: FlaskClient) -> None:
    make_user()
    with client.session_transaction() as session:
        session["planted"] = "x"
    sign_in(client)
    with client.session_transaction() as session:
        assert "planted" not in session


def test_after_ten_wrong_passwords_for_an_address_nobody_gets_in_until_the_time_has_passed(client: FlaskClient) -> None:
    make_user()
    page = client.get("/sign-in").text
    for _ in range(10):
        client.post("/sign-in", data={"csrf_token": token(page), "email": "olive@example.test", "password": "wrong-password-1"})
    refused = client.post("/sign-in", data={"csrf_token": token(page), "email": "Olive@example.test ", "password": PASSWORD})
    assert refused.status_code == 429
    assert "Too many attempts" in refused.text
    assert int(refused.headers["Retry-After"]) > 0


def test_throttling_goes_on_in_memory_while_redis_is_away(app: Flask, client: FlaskClient, valkey_server: Any) -> None:
    make_user()
    page = client.get("/sign-in").text
    valkey_server.stop()
    try:
        answers = [
            client.post("/sign-in", data={"csrf_token": token(page), "email": "olive@example.test", "password": f"wrong-password-{n}"}).status_code
            for n in range(12)
        ]
    finally:
        valkey_server.start()
        auth.limiter.reset()
    assert 429 in answers
    assert 500 not in answers


def test_right_passwords_are_not_counted(app: Flask) -> None:
    make_user()
    for _ in range(12):
        assert sign_in(app.test_client()).status_code == 303


def test_an_expired_session_under_htmx_leads_the_whole_page_to_the_sign_in(client: FlaskClient) -> None:
    make_user()
    answer = client.get("/users", headers={"HX-Request": "true", "HX-Current-URL": "http://localhost/users?q=a"})
    assert answer.status_code == 204
    assert answer.headers["HX-Redirect"] == "/sign-in?next=/users?q%3Da"


# --- sessions, passwords, tokens ------------------------------------------------------------------------------------------------------------


def test_a_form_that_came_too_late_is_handed_back_with_what_was_typed_and_only_to_the_page_it_came_from(app: Flask, admin_client: FlaskClient) -> None:
    """Rule 11; a password is not written into a page, and another site gets nothing to press."""
    typed = {"email": "zoe@example.test", "name": 'Zo\u00eb "Z"', "role": VIEWER, "time_zone": "UTC", "password": PASSWORD, "csrf_token": "of an older session"}
    ours = {"Origin": "http://localhost"}
    answer = admin_client.post("/users/new", data=typed, headers=ours)
    page = BeautifulSoup(answer.text, "html.parser")
    form = page.find("form", action="/users/new")
    kept = {field["name"]: field["value"] for field in form.find_all("input")}
    assert answer.status_code == 400
    assert {name: value for name, value in kept.items() if name != "csrf_token"} == {name: typed[name] for name in ("email", "name", "role", "time_zone")}
    assert PASSWORD not in answer.text
    assert "Passwords, keys and files are not kept" in answer.text
    again = admin_client.post("/users/new", data=kept, headers=ours)
    assert again.status_code == 422
    assert 'value="zoe@example.test"' in again.text
    for headers in ({}, {"Origin": "https://elsewhere.example"}, {**ours, "HX-Request": "true"}):
        assert "zoe@example.test" not in admin_client.post("/users/new", data=typed, headers=headers).text
    stranger = app.test_client()
    csrf = token(stranger.get("/sign-in").text)
    asked = stranger.post("/users/new", data={**typed, "csrf_token": csrf}, headers=ours)
    assert asked.status_code == 401, "the cookie is good, but the session behind it has ended"
    assert "sign in in another tab" in asked.text


def test_who_opens_localhost_goes_on_under_the_name_that_tiktok_leads_back_to(app: Flask, client: FlaskClient) -> None:
    make_user()
    port = app.config["CONNECTOR"].public_url.rsplit(":", 1)[1]
    assert client.get("/sign-in?next=/orders/", base_url=f"http://localhost:{port}").location == f"http://127.0.0.1:{port}/sign-in?next=/orders/"
    assert client.get("/sign-in", base_url=f"http://127.0.0.1:{port}").status_code == 200


def test_signing_out_ends_the_session_for_a_stolen_cookie_too(app: Flask, client: FlaskClient) -> None:
    make_user()
    sign_in(client)
    cookie = client.get_cookie("connector_session")
    assert cookie is not None
    post(client, "/sign-out", page="/me")
    thief = app.test_client()
    thief.set_cookie("connector_session", cookie.value)
    assert thief.get("/me").status_code == 303


def test_one_can_see_and_end_ones_other_sessions(app: Flask, client: FlaskClient) -> None:
    make_user()
    other = app.test_client()
    sign_in(client)
    sign_in(other)
    assert client.get("/me").text.count("This one") == 1
    post(client, "/me/sessions/end", page="/me")
    assert client.get("/me").status_code == 200
    assert other.get("/me").status_code == 303


def test_a_session_of_somebody_else_cannot_be_ended(app: Flask, client: FlaskClient, admin_client: FlaskClient) -> None:
    make_user()
    sign_in(client)
    mine = db.session.scalar(select(UserSession.id).join(User).where(User.email == "olive@example.test"))
    post(admin_client, "/me/sessions/end", page="/me", session=str(mine))
    assert client.get("/me").status_code == 200


def test_a_session_idle_for_two_weeks_is_over(client: FlaskClient) -> None:
    make_user()
    sign_in(client)
    with unit_of_work():
        db.session.execute(update(UserSession).values(last_seen_at=utcnow() - timedelta(days=15)))
    db.session.expire_all()
    assert client.get("/me").status_code == 303


def test_only_hashes_of_passwords_session_tokens_and_api_tokens_are_kept(client: FlaskClient) -> None:
    make_user()
    sign_in(client)
    with client.session_transaction() as session:
        cookie_token = session["_user_id"]
    made = post(client, "/me/tokens", page="/me", name="script", days="30", scopes="feeds")
    text = re.search(r"ctt_[\w-]{40,}", made.text)
    assert text is not None
    user, kept = db.session.scalars(select(User)).one(), db.session.scalars(select(UserSession)).one()
    stored = db.session.scalars(select(ApiToken)).one()
    assert user.password_hash.startswith("$argon2id$")
    assert kept.token_hash == users.digest(cookie_token) != cookie_token
    assert stored.token_hash == users.digest(text[0])
    assert text[0] not in client.get("/me").text


def test_a_token_is_good_until_revoked_expired_or_its_user_switched_off(app: Flask) -> None:
    user = make_user()
    with unit_of_work():
        token_row, text = api_tokens.create(user, "script", [api_tokens.FEEDS], days=1)
    assert api_tokens.find(text) is not None
    assert api_tokens.find(text + "x") is None
    token_row.expires_at = utcnow() - timedelta(seconds=1)
    db.session.flush()
    assert api_tokens.find(text) is None
    token_row.expires_at = None
    with unit_of_work():
        api_tokens.revoke(user, token_row.id)
    assert api_tokens.find(text) is None


def test_changing_the_password_needs_the_present_one_and_ends_the_other_sessions(app: Flask, client: FlaskClient) -> None:
    make_user()
    other = app.test_client()
    sign_in(client)
    sign_in(other)
    wrong = post(client, "/me/password", page="/me", current="not-my-password", password="another-good-one")
    assert wrong.status_code == 422
    assert "not your present password" in wrong.text
    assert post(client, "/me/password", page="/me", current=PASSWORD, password="another-good-one").status_code == 303
    assert client.get("/me").status_code == 200
    assert other.get("/me").status_code == 303
    assert sign_in(app.test_client(), password="another-good-one").status_code == 303


def test_a_first_password_must_be_changed_before_anything_else(client: FlaskClient) -> None:
    make_user(role=ADMINISTRATOR, temporary=True)
    sign_in(client)
    assert client.get("/users").headers["Location"] == "/me#password"
    post(client, "/me/password", page="/me", current=PASSWORD, password="another-good-one")
    assert client.get("/users").status_code == 200


# --- users page -----------------------------------------------------------------------------------------------------------------------------


def test_an_administrator_adds_edits_and_switches_off_a_user(app: Flask, admin_client: FlaskClient) -> None:
    form = {"email": "New@example.test", "name": "New", "role": VIEWER, "time_zone": "Asia/Singapore", "password": PASSWORD}
    assert post(admin_client, "/users/new", **form).status_code == 303
    user = db.session.scalars(select(User).where(User.email == "new@example.test")).one()
    assert user.must_change_password
    newcomer = app.test_client()
    assert sign_in(newcomer, "new@example.test").status_code == 303
    edit = {"name": "Newer", "role": OPERATOR, "time_zone": "UTC"}  # the box "May sign in" is not ticked
    assert post(admin_client, f"/users/{user.id}", **edit).status_code == 303
    db.session.expire_all()
    assert (user.name, user.role, user.active) == ("Newer", OPERATOR, False)
    assert newcomer.get("/me").status_code == 303
    kinds = list(db.session.scalars(select(Event.kind).where(Event.subject_id == str(user.id)).order_by(Event.id)))
    assert kinds == ["user.created", "user.signed_in", "user.changed"]
    change = db.session.scalars(select(Event).where(Event.kind == "user.changed")).one()
    assert (change.actor, change.before["role"], change.after["role"]) == ("administrator@example.test", VIEWER, OPERATOR)


def test_an_address_cannot_be_used_twice(admin_client: FlaskClient) -> None:
    form = {"email": "administrator@example.test", "role": VIEWER, "time_zone": "UTC", "password": PASSWORD}
    answer = post(admin_client, "/users/new", **form)
    assert answer.status_code == 422
    assert "already has a user" in answer.text


def test_the_last_administrator_keeps_role_and_access(admin_client: FlaskClient) -> None:
    user = db.session.scalars(select(User)).one()
    answer = post(admin_client, f"/users/{user.id}", name="A", role=VIEWER, time_zone="UTC", active="y")
    assert answer.status_code == 422
    assert "last active administrator" in answer.text
    assert user.role == ADMINISTRATOR
    with pytest.raises(DomainError), unit_of_work():
        users.change(user, name="", role=ADMINISTRATOR, active=False, time_zone="UTC")
    page = admin_client.get("/users").text
    shown = admin_client.post("/users/bulk", data={"csrf_token": token(page), "action": "switch_off", "scope": "ids", "ids": str(user.id)})
    assert "somebody must remain who can administer" in shown.text


def test_switching_users_off_in_bulk_ends_their_sessions(app: Flask, admin_client: FlaskClient) -> None:
    user = make_user()
    theirs = app.test_client()
    sign_in(theirs)
    form = {"csrf_token": token(admin_client.get("/users").text), "action": "switch_off", "scope": "ids", "ids": str(user.id), "confirm": "1"}
    assert admin_client.post("/users/bulk", data=form).status_code == 303
    assert theirs.get("/me").status_code == 303


# --- headers and errors ---------------------------------------------------------------------------------------------------------------------


def test_pages_carry_a_strict_policy_and_nothing_inline(app: Flask, client: FlaskClient, admin_client: FlaskClient) -> None:
    for browser, path in ((client, "/sign-in"), (admin_client, "/users"), (admin_client, "/me"), (admin_client, "/nope")):
        answer = browser.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "script-src 'self'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        page = BeautifulSoup(answer.text, "html.parser")
        assert not [script for script in page.select("script") if not script.get("src")]
        assert not page.select("style, [style], [onclick], [onsubmit], [onchange], a[href='#'], [href^='javascript:']")


def test_static_files_are_kept_for_good_under_an_address_of_their_content(client: FlaskClient) -> None:
    links = re.findall(r'(?:href|src)="(/static/[^"]+)"', client.get("/privacy").text)
    assert len(links) >= 5
    for link in links:
        answer = client.get(link)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]


def test_every_icon_that_a_template_names_is_in_the_sprite(app: Flask, client: FlaskClient) -> None:
    from pathlib import Path

    from connector.web.navigation import ENTRIES

    sprite = set(re.findall(r'<symbol id="([^"]+)"', client.get("/static/icons.svg").text))
    sources = [*Path(app.root_path).glob("templates/**/*.html"), *Path(app.root_path).glob("grids/*.py")]
    named = {entry.icon for entry in ENTRIES}
    for source in sources:
        text = source.read_text()
        named |= set(re.findall(r'icon\("([a-z0-9-]+)"', text)) | set(re.findall(r'icon(?:_name)?="([a-z0-9-]+)"', text))
    assert named - sprite == set()


def test_the_footer_is_on_every_page(admin_client: FlaskClient) -> None:
    """A027."""
    for path in ("/users", "/me", "/privacy", "/nope"):
        footer = BeautifulSoup(admin_client.get(path).text, "html.parser").select_one("footer").get_text(" ", strip=True)
        for words in ("version", "Privacy Policy", "Account Activity", "Report an Issue"):
            assert words in footer


def test_an_unknown_failure_shows_a_reference_and_no_detail(app: Flask, admin_client: FlaskClient) -> None:
    app.view_functions["about.privacy"] = lambda: (_ for _ in ()).throw(RuntimeError("buyer@example.test secret"))
    app.view_functions["about.privacy"].is_public = True  # type: ignore[attr-defined]
    app.config["PROPAGATE_EXCEPTIONS"] = None
    answer = admin_client.get("/privacy")
    assert answer.status_code == 500
    assert re.search(r"Reference: <code>[0-9a-f]{10}</code>", answer.text)
    assert "secret" not in answer.text
    as_toast = admin_client.get("/privacy", headers={"HX-Request": "true"})
    assert (as_toast.headers["HX-Retarget"], as_toast.headers["HX-Reswap"]) == ("#toasts", "beforeend")
    as_json = admin_client.get("/privacy", headers={"Accept": "application/json"})
    assert set(as_json.json) == {"code", "message", "remedy", "reference"}


def test_forms_ask_in_words(app: Flask) -> None:
    from wtforms import SelectField, StringField

    class Any_(Form):
        price = StringField("Price", [Required()])
        amount = StringField("Amount", [Required()])
        warehouse = SelectField("Warehouse", [Required()], choices={"": "", "1": "One"})

    with app.test_request_context("/", method="POST", data={"price": " ", "warehouse": ""}):
        form = Any_(meta={"csrf": False})
        assert not form.validate()
        assert [text for _, text in form.summary] == ["Enter a price", "Enter an amount", "Choose a warehouse"]


def test_the_menu_shows_only_what_the_role_may_open(admin_client: FlaskClient, viewer_client: FlaskClient) -> None:
    """A002, A003, A006: after the installation the entry is there, and every work area has its place; the wizard is the installation's own page."""
    page = admin_client.get("/me").text
    assert "TIKTOK MARKETPLACE" in page
    for area in ("accounts", "policies", "attributes", "templates", "products", "orders", "returns", "queue"):
        assert f'href="/{area}/"' in page, area
    assert admin_client.get("/setup/").location == "/setup/account"
    assert '/users"' in page
    assert '/users"' not in viewer_client.get("/me").text
    assert set(ROLES) == {VIEWER, OPERATOR, ADMINISTRATOR}
