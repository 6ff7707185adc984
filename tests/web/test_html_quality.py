"""Every page of a desk full of data is well-formed HTML that a screen reader, a keyboard and a browser without JavaScript can use (product.md 11)."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from pprint import pformat
from typing import Any

import pytest
from bs4 import BeautifulSoup, Tag
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from connector.config import Config
from connector.core.db import db
from connector.models.order import Order
from connector.models.policy import Policy
from tests.web.desk import Desk
from tests.web.walking import HTMX, csrf_of, doors

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
#: SVG shapes may close themselves.
SHAPES = {"path", "use", "rect", "circle", "line", "polyline", "polygon"}


@pytest.fixture
def config(desk: Desk) -> Config:
    return desk.config()


class Nesting(HTMLParser):
    """Complains about every element that is closed wrongly, or not at all."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.complaints: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        if len(names) != len(set(names)):
            self.complaints.append(f"<{tag}> names an attribute twice, line {self.getpos()[0]}")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID | SHAPES:
            self.complaints.append(f"<{tag}/> closes itself, line {self.getpos()[0]}")

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.complaints.append(f"</{tag}> inside <{self.open[-1] if self.open else 'nothing'}>, line {self.getpos()[0]}")
        if tag in self.open:
            while self.open.pop() != tag:
                pass


def nesting(text: str) -> list[str]:
    parser = Nesting()
    parser.feed(text)
    parser.close()
    return parser.complaints + [f"<{tag}> is never closed" for tag in parser.open]


def name_of(page: BeautifulSoup, control: Tag) -> str:
    """The accessible name of a control, as far as HTML gives it."""
    if control.get("aria-label"):
        return str(control["aria-label"])
    if control.get("aria-labelledby"):
        return " ".join(found.get_text(" ", strip=True) for each in str(control["aria-labelledby"]).split() if (found := page.find(id=each)))
    label = page.find("label", attrs={"for": control.get("id")}) if control.get("id") else None
    label = label or control.find_parent("label")
    if label is not None:
        return label.get_text(" ", strip=True)
    inside = control.get_text(" ", strip=True) or " ".join(
        str(each.get("aria-label") or each.get("alt") or "") for each in control.select("[aria-label], [alt]")
    )
    return (inside or str(control.get("title") or "")).strip()


def complaints(text: str, *, whole: bool) -> list[str]:
    """What is wrong with a page, or with a fragment when not ``whole``."""
    page = BeautifulSoup(text, "html.parser")
    found = nesting(text)
    if whole:
        if len(page.select("h1")) != 1:
            found.append(f"{len(page.select('h1'))} h1")
        elif not page.h1.get_text(strip=True):
            found.append("an empty h1")
        if page.title is None or not page.title.get_text(strip=True).removesuffix("· TikTok Shop connector").strip():
            found.append("no title")
        if page.html is None or not page.html.get("lang"):
            found.append("no language")
        if page.select_one("main") is None:
            found.append("no main")
        levels = [int(heading.name[1]) for heading in page.select("h1, h2, h3, h4, h5, h6")]
        found += [f"h{a} is followed by h{b}" for a, b in itertools.pairwise(levels) if b > a + 1]
    found += [f"id {each} occurs {count} times" for each, count in Counter(tag["id"] for tag in page.select("[id]")).items() if count > 1]
    found += [f"form without {name}: {str(form)[:120]}" for form in page.select("form") for name in ("action", "method") if not form.get(name)]
    for form in page.select("form"):
        inside = form.select("button, input[type=submit]")
        if not inside and not (form.get("id") and page.select(f"button[form='{form['id']}']")):
            found.append(f"form {form.get('action')} has no button: it cannot be sent without JavaScript")
        if form.get("method") == "post" and not form.select("input[name=csrf_token]"):
            found.append(f"form {form.get('action')} posts without a CSRF token")
        if form.find_parent("form"):
            found.append(f"form {form.get('action')} inside a form")
    for control in page.select("input:not([type=hidden]), select, textarea, button, summary, progress, a[href]"):
        if not name_of(page, control):
            found.append(f"no label: {str(control)[:160]}")
    for link in page.select("a"):
        if not link.get("href") or link["href"] == "#" or str(link["href"]).startswith("javascript:"):
            found.append(f"a link to nowhere: {str(link)[:120]}")
        elif str(link["href"]).startswith("#") and page.find(id=str(link["href"])[1:]) is None:
            found.append(f"a link to {link['href']}, which is not there")
    for attribute in ("for", "aria-describedby", "aria-labelledby", "aria-controls", "list"):
        for tag in page.select(f"[{attribute}]"):
            found += [f"{attribute} names {each}, which is not there" for each in str(tag[attribute]).split() if page.find(id=each) is None]
    found += [
        f"inline style or handler: {str(tag)[:120]}" for tag in page.find_all(True) if any(name == "style" or re.match(r"on[a-z]", name) for name in tag.attrs)
    ]
    found += ["inline script or style" for tag in page.select("script:not([src]), style")]
    for table in page.select("table"):
        if table.caption is None or not table.caption.get_text(strip=True):
            found.append("a table without caption")
        found += [f"th without scope: {str(th)[:100]}" for th in table.select("th:not([scope])")]
    found += [f"img without alt: {str(image)[:100]}" for image in page.select("img:not([alt])")]
    found += [f"a template was not resolved: {mark}" for mark in ("{{", "{%", "Undefined", ">None</td", ">None</dd", ">None</p", ">None</code") if mark in text]
    return found


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
