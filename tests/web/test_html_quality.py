"""Every page of a desk full of data is well-formed HTML that a screen reader, a keyboard and a browser without JavaScript can use (product.md 11)."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from pprint import pformat
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from connector.config import Config
from connector.core.db import db
from connector.models.order import Order
from connector.models.policy import Policy
from tests.web.desk import Desk
from tests.web.markup import Element, Markup
from tests.web.walking import HTMX, csrf_of, doors

CONTROLS = {"input", "select", "textarea", "button", "summary", "progress"}
HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
#: Attributes that name other elements by their id.
REFERENCES = {"for", "aria-describedby", "aria-labelledby", "aria-controls", "list"}


@pytest.fixture
def config(desk: Desk) -> Config:
    return desk.config()


def name_of(page: Markup, control: Element) -> str:
    """The accessible name of a control, as far as HTML gives it."""
    if control.get("aria-label"):
        return str(control.get("aria-label"))
    if control.get("aria-labelledby"):
        return " ".join(page.ids[each].text for each in str(control.get("aria-labelledby")).split() if each in page.ids)
    label = next((each for each in page.tags["label"] if each.get("for") == control.get("id")), None) if control.get("id") else None
    label = label or control.label
    if label is not None:
        return label.text
    words = control.text or " ".join(each.get("aria-label") or each.get("alt") or "" for each in control.inside())
    return (words or control.get("title") or "").strip()


def complaints(text: str, *, whole: bool) -> list[str]:
    """What is wrong with a page, or with a fragment when not ``whole``."""
    page = Markup(text)
    tags, ids = page.tags, page.ids
    found = list(page.complaints)
    if whole:
        if len(tags["h1"]) != 1:
            found.append(f"{len(tags['h1'])} h1")
        elif not tags["h1"][0].text:
            found.append("an empty h1")
        if not tags["title"] or not tags["title"][0].text.removesuffix("· TikTok Shop connector").strip():
            found.append("no title")
        if not tags["html"] or not tags["html"][0].get("lang"):
            found.append("no language")
        if not tags["main"]:
            found.append("no main")
        levels = [int(each.tag[1]) for each in page.elements if each.tag in HEADINGS]
        found += [f"h{a} is followed by h{b}" for a, b in itertools.pairwise(levels) if b > a + 1]
    counts = Counter(each.attributes["id"] for each in page.elements if "id" in each.attributes)
    found += [f"id {each} occurs {count} times" for each, count in counts.items() if count > 1]
    found += _forms(page)
    for control in page.elements:
        if ((control.tag in CONTROLS and control.get("type") != "hidden") or (control.tag == "a" and "href" in control.attributes)) and not name_of(
            page, control
        ):
            found.append(f"no label: {control.start[:160]}")
    for link in tags["a"]:
        href = link.get("href")
        if not href or href == "#" or href.startswith("javascript:"):
            found.append(f"a link to nowhere: {link.start[:120]}")
        elif href.startswith("#") and href[1:] not in ids:
            found.append(f"a link to {href}, which is not there")
    for each in page.elements:
        for attribute in REFERENCES & each.attributes.keys():
            found += [f"{attribute} names {name}, which is not there" for name in each.attributes[attribute].split() if name not in ids]
        if any(name == "style" or re.match(r"on[a-z]", name) for name in each.attributes):
            found.append(f"inline style or handler: {each.start[:120]}")
    found += ["inline script or style" for each in (*tags["script"], *tags["style"]) if each.tag == "style" or "src" not in each.attributes]
    captioned = {id(caption.table) for caption in tags["caption"] if caption.text}
    found += ["a table without caption" for table in tags["table"] if id(table) not in captioned]
    found += [f"th without scope: {th.start[:100]}" for th in tags["th"] if "scope" not in th.attributes]
    found += [f"img without alt: {image.start[:100]}" for image in tags["img"] if "alt" not in image.attributes]
    found += [f"a template was not resolved: {mark}" for mark in ("{{", "{%", "Undefined", ">None</td", ">None</dd", ">None</p", ">None</code") if mark in text]
    return found


def _forms(page: Markup) -> Iterator[str]:
    """Forms that cannot be sent as they stand."""
    senders = [each for each in page.elements if each.tag == "button" or (each.tag == "input" and each.get("type") == "submit")]
    sending = {id(each.form) for each in senders} | {id(page.ids[name]) for each in senders if (name := each.get("form")) in page.ids}
    guarded = {id(each.form) for each in page.tags["input"] if each.get("name") == "csrf_token"}
    for form in page.tags["form"]:
        yield from (f"form without {name}: {form.start[:120]}" for name in ("action", "method") if not form.get(name))
        if id(form) not in sending:
            yield f"form {form.get('action')} has no button: it cannot be sent without JavaScript"
        if form.get("method") == "post" and id(form) not in guarded:
            yield f"form {form.get('action')} posts without a CSRF token"
        if form.form is not None:
            yield f"form {form.get('action')} inside a form"


def addresses(app: Flask) -> Iterator[str]:
    """Every page, and some of them in the states that matter: an open filter, an empty result, a failure, nothing but errors."""
    for door in doors(app):
        if door.reads and door.endpoint not in ("live.stream", "auth.sign_out", "accounts.callback"):
            yield door.path
    orders = db.session.scalars(select(Order.id).order_by(Order.id)).all()
    yield from (f"/orders/{each}" for each in orders)
    yield from (f"/orders/{each}?reveal=1" for each in orders[:3])
    yield from (
        "/orders/?tab=error",
        "/orders/?q=nothing-like-this",
        "/orders/?sort=-total&per_page=50&q=a",
        "/orders/?page=99",
        "/orders/?placed_from=yesterday",
    )
    yield f"/orders/ship?{'&'.join(f'order={each}' for each in orders)}"
    yield from (
        "/policies/new/inventory",
        "/policies/new/pricing",
        "/policies/new/image",
        "/policies/new/synchronization",
        "/queue/?tab=failed",
        "/nothing-here",
    )
    yield from (f"/policies/{each}" for each in db.session.scalars(select(Policy.id)))
    yield from ("/accounts/1/go-live", "/users/1")


def test_every_page_is_sound(app: Flask, admin_client: FlaskClient) -> None:
    wrong: dict[str, Any] = {}
    seen = 0
    for path in dict.fromkeys(addresses(app)):
        answer = admin_client.get(path)
        _ = answer.data  # a stream is read to its end: it holds its request open
        assert answer.status_code in (200, 303, 404), (path, answer.status_code)
        assert answer.status_code != 404 or path == "/nothing-here", path
        if answer.status_code != 303 and answer.mimetype == "text/html":
            seen += 1
            if found := complaints(answer.text, whole="<html" in answer.text):
                wrong[path] = sorted(set(found))[:12]
    assert seen > 60
    assert not wrong, pformat(wrong, width=150)


def test_every_fragment_is_sound(app: Flask, admin_client: FlaskClient) -> None:
    wrong: dict[str, Any] = {}
    for path in dict.fromkeys(addresses(app)):
        answer = admin_client.get(path, headers=HTMX)
        _ = answer.data
        if answer.status_code == 200 and answer.mimetype == "text/html" and (found := complaints(answer.text, whole="<html" in answer.text)):
            wrong[path] = sorted(set(found))[:12]
    assert not wrong, pformat(wrong, width=150)


def test_pages_for_strangers_are_sound(client: FlaskClient, app: Flask) -> None:
    for path in ("/sign-in", "/privacy", "/report-an-issue"):
        assert complaints(client.get(path).text, whole=True) == [], path


def test_pages_that_answer_a_form_are_sound(app: Flask, admin_client: FlaskClient) -> None:
    """Every form sent empty, and every confirm page: what comes back is a page of the same quality, with the problem on top."""
    wrong: dict[str, Any] = {}
    orders = db.session.scalars(select(Order.id)).all()
    csrf = csrf_of(admin_client)
    sent: list[tuple[str, dict[str, Any]]] = [(door.path, {}) for door in doors(app) if door.writes and not door.public and "/end" not in door.path]
    sent += [("/orders/bulk", {"scope": "ids", "ids": orders, "action": action}) for action in ("create", "reject", "ship", "sync", "note")]
    sent += [("/orders/ship", {"order": orders}), ("/orders/import", {"account": "1", "start": "2026-02-02", "end": "2026-01-01"})]
    seen = 0
    for path, form in sent:
        answer = admin_client.post(path, data={"csrf_token": csrf, **form})
        if answer.mimetype == "text/html" and answer.status_code not in (303, 204):
            seen += 1
            if found := complaints(answer.text, whole="<html" in answer.text):
                wrong[f"{path} {form.get('action', '')}"] = sorted(set(found))[:12]
    assert seen > 12
    assert not wrong, pformat(wrong, width=150)


def test_the_parts_of_this_check_find_what_they_should() -> None:
    """A page with every fault; a check that cannot fail checks nothing."""
    page = """<!doctype html><html><head></head><body><h1>a</h1><h1>b</h1><h3 id="x">c</h3><p id="x" style="color:red" onclick="y()">d</div>
    <form method="post"><input name="q"><a href="#">go</a><a href="#missing">gone</a></form><table><tr><th>e</th></tr></table><img src="f"><script>g()</script></body></html>"""
    found = " | ".join(complaints(page, whole=True))
    for part in (
        "2 h1", "no title", "no language", "no main", "h1 is followed by h3", "id x occurs 2 times", "</div> inside <p>", "form without action", "has no button",
        "without a CSRF token", "no label", "a link to nowhere", "a link to #missing", "inline style or handler", "inline script", "without caption",
        "th without scope", "img without alt",
    ):  # fmt: skip
        assert part in found, part
