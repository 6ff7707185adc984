"""A grid over the calls of the API, for the tests of the machine: 300 rows, every kind of column, filter and action."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from bs4 import BeautifulSoup, Tag
from flask.testing import FlaskClient
from sqlalchemy import insert, select
from werkzeug.datastructures import MultiDict
from wtforms import StringField

from connector.core.db import db, unit_of_work
from connector.grids import (
    Action,
    Choices,
    Column,
    DateRange,
    Empty,
    Flag,
    Grid,
    GridState,
    Join,
    Label,
    NumberRange,
    Preview,
    Result,
    Tab,
    Text,
)
from connector.models.account import Account
from connector.models.trace import ApiCall
from connector.web.forms import Form, Required

START = datetime(2026, 11, 1, tzinfo=UTC)
ROWS = 300
done: list[tuple[list[int], str]] = []


class ReasonForm(Form):
    reason = StringField("Reason", [Required()])


def preview(ids: list[int]) -> list[Preview]:
    rows = db.session.execute(select(ApiCall.id, ApiCall.operation, ApiCall.failed).where(ApiCall.id.in_(ids)).order_by(ApiCall.id))
    return [Preview(row.id, row.operation, row.failed, "" if row.failed else "has not failed") for row in rows]


def submit(ids: list[int], form: Any) -> Result:
    done.append((list(ids), form.reason.data if form is not None else ""))
    return Result(f"{len(ids)} calls taken up.")


CALLS = Grid(
    key="testcalls",
    title="Calls",
    noun="call",
    permission="orders.read",
    model=ApiCall,
    pk=ApiCall.id,
    where=lambda scope: [ApiCall.system != "hidden"],
    joins=(Join(Account, Account.id == ApiCall.account_id, outer=True),),
    columns=(
        Column(key="operation", label="Operation", expr=ApiCall.operation, cell="link"),
        Column(key="at", label="At", expr=ApiCall.at, cell="when"),
        Column(key="system", label="System", expr=ApiCall.system, cell="state", labels={"tiktok": Label("TikTok", "info")}),
        Column(key="status", label="Status", expr=ApiCall.status, cell="number", align="end"),
        Column(key="error", label="Error", expr=ApiCall.error, sort=False),
        Column(key="account", label="Account", expr=Account.title, default=False),
    ),
    filters=(
        Choices("system", "System", ApiCall.system, {"tiktok": "TikTok", "magento": "Magento"}),
        Choices("method", "Method", ApiCall.method, {"GET": "GET", "POST": "POST"}, pinned=True),
        DateRange("at", "At", ApiCall.at),
        NumberRange("status", "Status", ApiCall.status),
        Flag("failed", "Failed", ApiCall.failed),
        Text("error", "Error", ApiCall.error),
    ),
    tabs=(Tab("all", "All"), Tab("failed", "Failed", ApiCall.failed, "danger")),
    search=(ApiCall.operation,),
    default_sort="-at",
    actions=(
        Action(key="retry", label="Retry", permission="orders.write", preview=preview, submit=submit),
        Action(key="reject", label="Reject", permission="orders.write", preview=preview, submit=submit, form_class=ReasonForm),
    ),
    row_url=lambda row: f"/calls/{row['pk']}",
    empty=Empty("No calls yet", "They appear with the first import.", "Add a user", "auth.new_user"),
)


def fill() -> None:
    rows = [
        {
            "at": START + timedelta(hours=number // 3),  # three of each, so that only the key tells them apart
            "system": "hidden" if number % 50 == 49 else ("tiktok", "magento")[number % 2],
            "operation": f"call {number:03d}" + (" 100% sure" if number == 7 else ""),
            "method": "POST" if number % 5 == 0 else "GET",
            "url": "/x",
            "status": None if number % 4 == 0 else 200 + number % 3,
            "failed": number % 10 == 0,
            "error": "=1+1" if number == 12 else "",
        }
        for number in range(ROWS)
    ]
    with unit_of_work() as session:
        session.execute(insert(ApiCall), rows)


def state(query: str = "") -> GridState:
    return GridState.parse(CALLS, MultiDict([(k, v) for k, vs in parse_qs(query).items() for v in vs]), path="/calls/")


def soup(client: FlaskClient, url: str, **headers: str) -> BeautifulSoup:
    answer = client.get(url, headers=headers)
    assert answer.status_code == 200, answer.text[:800]
    return BeautifulSoup(answer.text, "html.parser")


def names(page: BeautifulSoup) -> list[str]:
    return [str(link.get_text()) for link in page.select("a[data-open]")]


def token(page: BeautifulSoup) -> str:
    field = page.select_one("input[name=csrf_token]")
    assert isinstance(field, Tag)
    return str(field["value"])


def bulk(client: FlaskClient, query: str = "", **form: Any) -> Any:
    page = soup(client, f"/calls/{query}")
    return client.post("/calls/bulk", data={"csrf_token": token(page), "state": query.lstrip("?"), **form})
