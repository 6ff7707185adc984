"""The doors, walked through ``url_map`` on a desk full of data: who may open what, what a write needs, and what never gets out (product.md 12).

Signing in, sessions and passwords themselves are in test_auth.py.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select, update
from werkzeug.test import TestResponse

from connector import create_app
from connector.config import Config
from connector.core.db import db, unit_of_work
from connector.models.order import Order
from connector.models.run import JobRun
from connector.models.trace import Event
from connector.models.user import ADMINISTRATOR, OPERATOR, ROLES, VIEWER, User
from connector.services import users
from connector.web.grids import mounted
from connector.web.permissions import allows
from tests.web.desk import PASSWORD, Desk
from tests.web.walking import HTMX, Door, csrf_of, doors, knock, local

#: Open to strangers: signing in, the footer's pages, the probes, and TikTok's signed messages.
PUBLIC = {
    "auth.sign_in", "auth.sign_out", "auth.first_administrator", "about.privacy", "about.report_issue", "about.theme",
    "health.healthz", "health.readyz", "health.metrics", "webhooks.tiktok", "api.openapi", "api.docs", "api.events",
}  # fmt: skip
#: For every signed-in person about themselves, whatever the role; the grids area asks for the permission of the grid in question.
OWN = {
    "auth.me", "auth.save_me", "auth.change_password", "auth.end_sessions", "auth.create_token", "auth.revoke_token", "auth.activity",
    "grids.choose_columns", "grids.save_view", "grids.delete_view",
}  # fmt: skip
#: Where a view belongs to another area than its blueprint says.
AREAS = {
    "audit": {"audit"},
    "auth": {"users"},
    "deadlines": {"orders"},
    "home": {"home", "orders"},
    "live": {"home"},
    "oms": {"oms", "accounts"},
    "setup": {"accounts", "policies"},
}
EVIL = ("https://evil.example/", "//evil.example/", "/\\evil.example/", "\\\\evil.example", "/\t/evil.example", "javascript:alert(1)", "https:evil.example")


@pytest.fixture
def config(desk: Desk) -> Config:
    return desk.config()


def client_of(role: str, request: pytest.FixtureRequest) -> FlaskClient:
    fixture = {VIEWER: "viewer_client", OPERATOR: "operator_client", ADMINISTRATOR: "admin_client"}[role]
    return request.getfixturevalue(fixture)


def counts() -> tuple[int, ...]:
    """What a write would leave behind."""
    db.session.commit()
    return tuple(db.session.scalar(select(func.count()).select_from(model)) or 0 for model in (Order, JobRun, Event, User))


#: Asked by POST because a form that is being filled goes along; they answer and change nothing.
QUESTIONS = {"policies.preview", "policies.what_if"}
#: Pictures of goods: a browser keeps them, a proxy does not.
PICTURES = {"policies.picture", "products.thumbnail", "returns.picture"}


INLINE = re.compile(r"<script(?![^>]*\ssrc=)|<style|\sstyle\s*=|\son[a-z]+\s*=\s*[\"']|javascript:|hx-on|hx-vals\s*=\s*[\"']js:", re.I)


def is_strict(door: Door, answer: TestResponse) -> None:
    """Headers that let nothing foreign in, and no script or style of a page's own."""
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'", door.endpoint
    assert policy["script-src"] == policy["style-src"] == "'self'", door.endpoint
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'", door.endpoint
    assert policy["form-action"] == "'self'", door.endpoint
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff", door.endpoint
    assert answer.headers["X-Frame-Options"] == "DENY", door.endpoint
    assert answer.headers["Referrer-Policy"] == "same-origin", door.endpoint
    if door.endpoint in PICTURES and answer.status_code == 200:
        assert answer.headers["Cache-Control"].startswith("private, "), door.endpoint
    else:
        assert answer.headers["Cache-Control"] == "no-store", door.endpoint
    if answer.mimetype == "text/html":
        assert {"HX-Request", "Cookie"} <= set(answer.vary), door.endpoint
        assert INLINE.search(answer.text) is None, (door.endpoint, INLINE.search(answer.text))


# --- what each door asks for ----------------------------------------------------------------------------------------------------------------


def test_exactly_the_listed_views_are_open_to_strangers(app: Flask) -> None:
    assert {door.endpoint for door in doors(app) if door.public} == PUBLIC


def test_every_other_view_names_a_permission_of_its_own_area(app: Flask) -> None:
    for door in doors(app):
        if door.public or door.endpoint in OWN:
            assert door.permission is None, door.endpoint
            continue
        assert door.permission is not None, door.endpoint
        area, _, verb = door.permission.partition(".")
        blueprint = door.endpoint.split(".")[0]
        assert area in AREAS.get(blueprint, {blueprint}), (door.endpoint, door.permission)
        assert verb in ("read", "write"), door.endpoint
        if door.writes and not door.endpoint.endswith("bulk") and door.endpoint not in QUESTIONS:
            assert verb == "write", f"{door.endpoint} writes but asks only for {door.permission}"


@pytest.mark.parametrize("role", ROLES)
def test_every_page_opens_for_the_roles_that_hold_its_permission_and_for_no_other(app: Flask, request: pytest.FixtureRequest, role: str) -> None:
    client = client_of(role, request)
    opened = refused = 0
    for door in doors(app):
        if door.permission is None or not door.reads or door.endpoint == "live.stream":
            continue
        for htmx in (False, True):
            answer = knock(client, door, htmx=htmx)
            is_strict(door, answer)
            if allows(role, door.permission):
                assert answer.status_code < 400 or door.endpoint == "accounts.callback", (door.endpoint, htmx, answer.status_code, answer.text[:2000])
                opened += 1
            else:
                assert answer.status_code == 403, (door.endpoint, htmx, answer.status_code)
                refused += 1
    assert opened > 25
    assert (refused == 0) == (role == ADMINISTRATOR)


@pytest.mark.parametrize("role", [VIEWER, OPERATOR])
def test_a_write_beyond_the_role_is_refused_and_leaves_no_trace(app: Flask, request: pytest.FixtureRequest, role: str) -> None:
    client = client_of(role, request)
    csrf = csrf_of(client)
    before = counts()
    refused = []
    for door in doors(app):
        if door.writes and door.permission and not allows(role, door.permission):
            for headers in ({}, HTMX):
                answer = client.post(door.path, data={"csrf_token": csrf, "confirm": "1"}, headers=headers)
                assert answer.status_code == 403, (door.endpoint, answer.status_code)
            refused.append(door.endpoint)
    assert len(refused) > (40 if role == VIEWER else 20)
    assert counts() == before


@pytest.mark.parametrize("role", [OPERATOR, ADMINISTRATOR])
def test_an_empty_form_is_answered_in_words_at_every_write_that_the_role_may_use(app: Flask, request: pytest.FixtureRequest, role: str) -> None:
    """Allowed means allowed, and no write breaks on a form with nothing in it."""
    client = client_of(role, request)
    csrf = csrf_of(client)
    knocked = 0
    for door in list(doors(app)):
        if not door.writes or door.public or not (door.permission is None or allows(role, door.permission)):
            continue
        answer = client.post(door.path, data={"csrf_token": csrf})
        assert answer.status_code in (200, 303, 400, 404, 409, 422), (door.endpoint, answer.status_code, answer.text[:1500])
        assert "The form has expired" not in answer.text, door.endpoint
        if answer.status_code == 400:
            assert door.endpoint == "accounts.callback", (door.endpoint, answer.text[:500])
        knocked += 1
    assert knocked > 15


@pytest.mark.parametrize("role", ROLES)
def test_every_grid_action_is_judged_by_its_own_permission(app: Flask, request: pytest.FixtureRequest, role: str) -> None:
    """The bulk address of a grid opens for readers; each action behind it does not."""
    client = client_of(role, request)
    bulk = {door.endpoint: door.path for door in doors(app) if door.endpoint.endswith("bulk")}
    csrf = csrf_of(client)
    judged = 0
    for found in mounted().values():
        prefix = found.endpoint.removesuffix("index") if found.endpoint.endswith(".index") else f"{found.endpoint}_"
        if not allows(role, found.grid.permission):
            continue
        for action in found.grid.actions:
            answer = client.post(bulk[f"{prefix}bulk"], data={"csrf_token": csrf, "action": action.key, "scope": "page", "page_ids": ""})
            assert (answer.status_code == 403) == (not allows(role, action.permission)), (found.grid.key, action.key, answer.status_code)
            judged += 1
    assert judged > 5


# --- without a session ----------------------------------------------------------------------------------------------------------------------


def _closed(app: Flask, client: FlaskClient, csrf: str) -> None:
    before = counts()
    for door in doors(app):
        if door.public:
            continue
        for htmx in (False, True):
            answer = knock(client, door, csrf=csrf, htmx=htmx)
            place = (door.endpoint, htmx, answer.status_code)
            if htmx:
                assert answer.status_code == 204, place
                assert answer.headers["HX-Redirect"].startswith("/sign-in"), place
            else:
                assert answer.status_code == 303, place
                assert answer.headers["Location"].startswith("/sign-in"), place
    assert counts() == before


def test_a_stranger_gets_no_page_and_no_fragment_and_changes_nothing(app: Flask, client: FlaskClient) -> None:
    _closed(app, client, csrf_of(client, "/sign-in"))


def test_a_session_ended_from_another_browser_closes_every_door_at_once(app: Flask, operator_client: FlaskClient) -> None:
    csrf = csrf_of(operator_client)
    with unit_of_work() as session:
        users.end_sessions(session.scalar(select(User).where(User.email == "operator@example.test")))
    _closed(app, operator_client, csrf)


def test_switching_a_user_off_closes_every_door_at_once(app: Flask, operator_client: FlaskClient) -> None:
    csrf = csrf_of(operator_client)
    with unit_of_work() as session:
        session.execute(update(User).where(User.email == "operator@example.test").values(active=False))
    _closed(app, operator_client, csrf)


def test_a_first_password_opens_nothing_but_the_page_that_changes_it(app: Flask, client: FlaskClient) -> None:
    client.post("/sign-in", data={"csrf_token": csrf_of(client, "/sign-in"), "email": "second@example.test", "password": PASSWORD + "-2"})
    csrf = csrf_of(client)
    for door in doors(app):
        if door.public or door.endpoint in ("auth.me", "auth.change_password"):
            continue
        answer = knock(client, door, csrf=csrf)
        assert answer.status_code == 303, (door.endpoint, answer.status_code)
        assert answer.headers["Location"] == "/me#password", door.endpoint


# --- what a write needs ---------------------------------------------------------------------------------------------------------------------


def _writing(app: Flask) -> list[Door]:
    return [door for door in doors(app) if door.writes and door.endpoint not in ("webhooks.tiktok", "api.events")]


def test_every_write_refuses_every_method_but_post(app: Flask, admin_client: FlaskClient) -> None:
    readable = {door.path for door in doors(app) if door.reads}
    before = counts()
    for door in _writing(app):
        assert door.methods <= {"GET", "POST"}, door.endpoint
        if door.path not in readable:
            assert admin_client.get(door.path).status_code == 405, door.endpoint
        for method in ("PUT", "PATCH", "DELETE"):
            answer = admin_client.open(door.path, method=method, data={"csrf_token": csrf_of(admin_client)} if door.path == "/me" else None)
            assert answer.status_code in (400, 405), (door.endpoint, method, answer.status_code)
    assert counts() == before


def test_every_write_refuses_a_missing_a_wrong_and_a_foreign_csrf_token(app: Flask, admin_client: FlaskClient, viewer_client: FlaskClient) -> None:
    foreign = csrf_of(viewer_client)
    before = counts()
    for door in _writing(app):
        for token in (None, "wrong", foreign):
            for headers in ({}, HTMX):
                answer = admin_client.post(door.path, data={"csrf_token": token} if token else {}, headers=headers)
                assert answer.status_code == 400, (door.endpoint, token, answer.status_code)
                assert "The form has expired" in answer.text, door.endpoint
                if headers:
                    assert answer.headers["HX-Retarget"] == "#toasts", door.endpoint
                    assert "<html" not in answer.text, door.endpoint
    assert counts() == before


def test_the_csrf_token_of_the_sign_in_page_is_worthless_after_signing_in(app: Flask, client: FlaskClient) -> None:
    old = csrf_of(client, "/sign-in")
    client.post("/sign-in", data={"csrf_token": old, "email": "desk@example.test", "password": PASSWORD})
    assert client.post("/sign-out", data={"csrf_token": old}).status_code == 400


# --- throttling -----------------------------------------------------------------------------------------------------------------------------


def test_thirty_wrong_passwords_from_one_computer_close_its_door_for_every_address(client: FlaskClient) -> None:
    csrf = csrf_of(client, "/sign-in")
    for number in range(30):
        answer = client.post("/sign-in", data={"csrf_token": csrf, "email": f"guess{number}@example.test", "password": "guessed-wrong-1"})
        assert answer.status_code == 422
    refused = client.post("/sign-in", data={"csrf_token": csrf, "email": "desk@example.test", "password": PASSWORD})
    assert refused.status_code == 429
    assert PASSWORD not in refused.text


def test_a_stolen_session_cannot_guess_the_present_password_for_long(operator_client: FlaskClient) -> None:
    csrf = csrf_of(operator_client)
    form = {"csrf_token": csrf, "current": "guessed-wrong-1", "password": "another-password-9", "again": "another-password-9", "repeat": "another-password-9"}
    answers = [operator_client.post("/me/password", data=form).status_code for _ in range(12)]
    assert answers[:10] == [422] * 10
    assert answers[-1] == 429


# --- ways out -------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", EVIL)
def test_no_form_and_no_address_leads_to_another_site(app: Flask, client: FlaskClient, admin_client: FlaskClient, target: str) -> None:
    signing = client.post(
        "/sign-in", query_string={"next": target}, data={"csrf_token": csrf_of(client, "/sign-in"), "email": "desk@example.test", "password": PASSWORD}
    )
    csrf = csrf_of(admin_client)
    answers = [
        signing,
        admin_client.get("/sign-in", query_string={"next": target}),
        admin_client.post("/grids/orders/columns", data={"csrf_token": csrf, "back": target, "columns": "number"}),
        admin_client.post("/grids/orders/views", data={"csrf_token": csrf, "back": target, "name": "mine", "query": ""}),
        admin_client.post("/orders/bulk", data={"csrf_token": csrf, "state": f"q={target}", "back": target}),
        admin_client.post("/accounts/1/authorise", data={"csrf_token": csrf, "next": target}),
    ]
    if target.isprintable():
        answers.append(admin_client.post("/theme", data={"csrf_token": csrf, "theme": "dark"}, headers={"Referer": target}))
        answers.append(admin_client.post("/theme", data={"csrf_token": csrf, "theme": "dark"}, headers={"Referer": f"http://localhost{target}"}))
    for answer in answers:
        assert answer.status_code == 303
        assert local(answer.headers["Location"]), answer.headers["Location"]


def test_the_consent_page_leads_to_the_marketplace_and_nowhere_else(app: Flask, desk: Desk, admin_client: FlaskClient) -> None:
    """The one way out, and it is the address of the account's own environment."""
    admin_client.post("/accounts/1/authorise", data={"csrf_token": csrf_of(admin_client)})
    page = admin_client.get("/accounts/oauth/consent").text
    out = {urlsplit(link).netloc for link in re.findall(r'(?:href|url)="?(https?://[^"]+)"', page.replace('content="0;url=', 'url="'))}
    assert out == {urlsplit(desk.environment["PRACTICE_TIKTOK_URL"]).netloc}


# --- headers --------------------------------------------------------------------------------------------------------------------------------


def test_what_strangers_get_and_what_is_for_everybody_carries_the_strict_headers(app: Flask, client: FlaskClient, admin_client: FlaskClient) -> None:
    """The doors that ask for a permission are looked at where every role walks them."""
    seen = 0
    for door in doors(app):
        if not door.reads or door.endpoint == "live.stream":
            continue
        for browser in (client, admin_client) if door.permission is None else (client,):
            for htmx in (False, True):
                is_strict(door, knock(browser, door, htmx=htmx))
                seen += 1
    assert seen > 150


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(client: FlaskClient) -> None:
    answer = client.post("/sign-in", data={"csrf_token": csrf_of(client, "/sign-in"), "email": "desk@example.test", "password": PASSWORD})
    cookie = next(value for name, value in answer.headers if name == "Set-Cookie" and value.startswith("connector_session="))
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie


def test_behind_https_the_session_cookie_travels_only_encrypted(desk: Desk) -> None:
    secure = Desk(desk.folder, {**desk.environment, "PUBLIC_URL": "https://connector.example.test"})
    app = create_app(secure.config())
    answer = app.test_client().get("/sign-in", base_url="https://connector.example.test")
    cookie = next(value for name, value in answer.headers if name == "Set-Cookie")
    assert "; Secure" in cookie
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "user@evil.example"])
def test_a_page_asked_for_under_a_foreign_host_name_is_refused(client: FlaskClient, host: str) -> None:
    """A name that another site's DNS may point at this server (DNS rebinding)."""
    for path in ("/sign-in", "/welcome", "/", "/orders/"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code in (400, 421), (path, answer.status_code)
        assert "evil.example" not in answer.text


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:5000", "[::1]:5000", "192.168.0.10:5000"])
def test_localhost_and_plain_addresses_are_known_hosts(client: FlaskClient, host: str) -> None:
    assert client.get("/sign-in", headers={"Host": host}).status_code == 200


def test_probes_answer_under_any_name(client: FlaskClient) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        assert client.get(path, headers={"Host": "connector.internal"}).status_code == 200


# --- what an error shows --------------------------------------------------------------------------------------------------------------------


def test_error_pages_show_neither_secrets_nor_what_was_typed(app: Flask, desk: Desk, admin_client: FlaskClient) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = None
    secret, buyer = desk.secrets["access token"], next(iter(desk.buyers.values()))

    def broken() -> str:
        raise RuntimeError(f"access_token={secret} of {buyer}")

    broken.is_public = True  # type: ignore[attr-defined]
    app.view_functions["about.privacy"] = broken
    answers = [
        admin_client.get(f"/nothing/{secret}"),
        admin_client.get("/orders/999999"),
        admin_client.get("/privacy", query_string={"q": buyer}),
        admin_client.get("/privacy", headers=HTMX),
        admin_client.get("/privacy", headers={"Accept": "application/json"}),
        admin_client.post("/configuration/tiktok", data={"app_secret": secret}),
        admin_client.post("/orders/1/notes", data={"text": buyer}),
        admin_client.post("/sign-in", data={"password": PASSWORD}),
        admin_client.open("/orders/", method="DELETE", data={"csrf_token": csrf_of(admin_client), "q": buyer}),
        admin_client.post("/orders/ship-file", data={"csrf_token": csrf_of(admin_client), "file": "x" * 5_000_000}),
    ]
    assert {answer.status_code for answer in answers} >= {400, 404, 405, 413, 500}
    for answer in answers:
        for text in (secret, buyer, PASSWORD, "Traceback", "RuntimeError"):
            assert text not in answer.text, (answer.request.path, answer.status_code)


def test_markup_in_an_address_comes_back_as_text(admin_client: FlaskClient) -> None:
    for path in ("/orders/?q=<script>alert(1)</script>", "/nothing/<img src=x onerror=alert(1)>", '/orders/?sort="><script>'):
        assert "<script>alert" not in admin_client.get(path).text
        assert "<img src=x" not in admin_client.get(path).text


# --- the door without a session: TikTok's messages ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("authorization", [None, "", "wrong", "Bearer wrong", "0" * 64])
def test_an_unsigned_message_is_refused_and_leaves_no_trace(client: FlaskClient, authorization: str | None) -> None:
    before = counts()
    body = '{"type":1,"tts_notification_id":"7","shop_id":"7","timestamp":1700000000,"data":{"order_id":"576460000000000001"}}'
    answer = client.post(
        "/webhooks/tiktok", data=body, content_type="application/json", headers={"Authorization": authorization} if authorization is not None else {}
    )
    assert answer.status_code == 401
    assert counts() == before
