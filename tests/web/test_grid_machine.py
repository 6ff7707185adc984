"""The grid machine (product.md 11, A022): a grid over 300 events of the audit log and the real users grid, through real HTTP requests."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from bs4 import BeautifulSoup, Tag
from flask import Blueprint, Flask
from flask.testing import FlaskClient
from sqlalchemy import Select, event, insert, select
from sqlalchemy.orm import aliased
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
    run,
)
from connector.grids.export import csv_cell
from connector.grids.query import allowed_ids, forget_counts, matching_ids
from connector.models.account import Account
from connector.models.trace import ApiCall
from connector.models.user import User
from connector.web.forms import Form, Required
from connector.web.grids import grid_routes, mounted

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


def _fill() -> None:
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


@pytest.fixture
def grid_app(app: Flask) -> Iterator[Flask]:
    bp = Blueprint("testcalls", __name__, url_prefix="/calls")
    grid_routes(bp, CALLS, "layouts/grid.html")
    app.register_blueprint(bp)
    forget_counts()
    done.clear()
    yield app
    forget_counts()


@pytest.fixture
def calls(grid_app: Flask) -> Flask:
    _fill()
    return grid_app


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


# --- state ----------------------------------------------------------------------------------------------------------------------------------


def test_unknown_keys_sorts_choices_columns_and_sizes_are_dropped() -> None:
    parsed = state("nonsense=1&sort=password&system=oracle&cols=nothing&per_page=7777&page=-3&tab=none")
    assert parsed.url() == "/calls/"
    assert (parsed.sort, parsed.per_page, parsed.page, parsed.tab) == ("-at", 20, 1, "all")


def test_the_address_is_the_state_and_survives_a_round_trip() -> None:
    query = "tab=failed&q=call+1&system=tiktok&system=magento&at_from=2026-11-02&status_max=201&sort=status&per_page=50&cols=operation%2Cat&page=2"
    assert state(query).url() == f"/calls/?{query}"


def test_changing_anything_but_the_page_begins_at_the_first_page() -> None:
    assert "page" not in state("page=7&system=tiktok").url(sort="status")
    assert state("page=7&system=tiktok").url(page=8) == "/calls/?system=tiktok&page=8"


def test_a_reversed_date_range_is_explained_and_what_was_typed_stays() -> None:
    parsed = state("at_from=2026-11-20&at_to=2026-11-01")
    assert parsed.problems == ("At: from 2026-11-20 lies after to 2026-11-01. Swap them, or clear one.",)
    assert parsed.shown("at_from") == "2026-11-20"
    assert not parsed.values


@pytest.mark.parametrize("typed", ["abc", "1e99", "NaN", "1.23456"])
def test_a_number_that_is_none_is_explained(typed: str) -> None:
    assert "is not a number" in state(f"status_min={typed}").problems[0]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_a_cell_that_a_spreadsheet_would_run_is_escaped(text: str) -> None:
    assert csv_cell(text) == "'" + text


def test_numbers_and_instants_in_csv_are_plain() -> None:
    assert [csv_cell(value) for value in (Decimal("-12.50"), -3, START, None, True)] == ["-12.50", "-3", "2026-11-01T00:00:00+00:00", "", "yes"]


def test_a_grid_whose_filter_takes_a_name_of_the_machine_is_refused() -> None:
    with pytest.raises(ValueError, match="belong to the machine"):
        Grid(
            key="x", title="x", model=User, pk=User.id, permission="x.read", columns=(Column(key="a", label="A", expr=User.email),),
            filters=(Text("sort", "Sort", User.email),),
        )  # fmt: skip


# --- query ----------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.postgres
@pytest.mark.parametrize("sort", ["-at", "at", "status", "-status", "operation", "account", "-account"])
def test_next_links_pass_every_row_exactly_once_and_previous_links_lead_back(database_kind: str, calls: Flask, sort: str) -> None:
    """Ties and NULLs included; on SQLite and PostgreSQL, which put NULLs at different ends."""
    with calls.test_request_context():
        expected = matching_ids(CALLS, state(f"sort={sort}"))
        assert len(expected) == ROWS - ROWS // 50
        seen: list[int] = []
        pages = [run(CALLS, state(f"sort={sort}&per_page=50&cols=operation,account"))]
        while pages[-1].next_url:
            pages.append(run(CALLS, state(urlsplit(pages[-1].next_url).query)))
        for page in pages:
            seen += page.ids
        assert seen == expected
        back = run(CALLS, state(urlsplit(pages[-1].previous_url).query))
        assert back.ids == pages[-2].ids
        assert run(CALLS, state(urlsplit(back.previous_url).query)).ids == pages[-3].ids


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("query", "number"),
    [
        ("", 294),
        ("system=tiktok", 150),
        ("system=tiktok&system=magento", 294),
        ("failed=yes", 30),
        ("failed=no", 264),
        ("tab=failed&method=POST", 30),
        ("method=POST", 60),
        ("at_from=2026-11-01&at_to=2026-11-01", 71),
        ("at_from=2026-11-05", 11),
        ("status_min=202", 73),
        ("q=call+00", 10),
        ("q=100%25", 1),
        ("q=%25", 1),
        ("error=%3D1", 1),
        ("q=nothing+like+it", 0),
    ],
)
def test_filters_search_and_tabs_narrow_to_what_they_say(database_kind: str, calls: Flask, query: str, number: int) -> None:
    with calls.test_request_context():
        page = run(CALLS, state(query))
        assert page.total == number
        assert len(matching_ids(CALLS, state(query))) == number
        rows = db.session.query(ApiCall).filter(ApiCall.id.in_(page.ids)).all()
        assert len(rows) == min(number, 20)


def test_days_are_the_users_days() -> None:
    from zoneinfo import ZoneInfo

    clause = DateRange("at", "At", ApiCall.at).clause((datetime(2026, 11, 2).date(), None), ZoneInfo("Asia/Singapore"))
    assert clause.right.value == datetime(2026, 11, 1, 16, tzinfo=UTC)  # type: ignore[attr-defined]


def test_a_join_is_made_only_when_something_looks_at_it(calls: Flask) -> None:
    statements: list[str] = []
    event.listen(db.engine, "before_cursor_execute", lambda c, cur, sql, *rest: statements.append(sql))
    with calls.test_request_context():
        run(CALLS, state())
        assert not any("JOIN account" in sql for sql in statements)
        run(CALLS, state("cols=operation,account"))
        assert sum("LEFT OUTER JOIN account" in sql for sql in statements) == 1


def test_the_same_table_can_be_joined_twice_under_two_names(calls: Flask) -> None:
    from dataclasses import replace

    first, second = aliased(Account), aliased(Account)
    grid = replace(
        CALLS,
        joins=(Join(first, first.id == ApiCall.account_id, outer=True), Join(second, second.id == ApiCall.account_id, outer=True)),
        columns=(CALLS.columns[1], Column(key="one", label="One", expr=first.title), Column(key="two", label="Two", expr=second.title)),
    )
    assert run(grid, GridState.parse(grid, MultiDict())).total == 294


def test_only_the_visible_columns_are_read(calls: Flask) -> None:
    with calls.test_request_context():
        row = run(CALLS, state("cols=system")).rows[0]
    assert set(row.keys()) == {"pk", "_sort", "system", "operation"}  # operation names the row for screen readers


@pytest.mark.parametrize("cursor", ["garbage", "WyJhdCIsMSwxXQ", "WyJzdGF0dXMiLDEsMV0", "W10", "bnVsbA", "WyJhdCIseyJ0IjoieCJ9LDFd"])
def test_a_hand_made_cursor_leads_to_the_first_page(calls: Flask, cursor: str) -> None:
    with calls.test_request_context():
        assert run(CALLS, state(f"after={cursor}")).ids == run(CALLS, state()).ids


def test_counts_stop_at_ten_thousand(app: Flask) -> None:
    with unit_of_work() as session:
        row = {"system": "tiktok", "operation": "x", "method": "GET", "url": "/x", "at": START}
        session.execute(insert(ApiCall), [row] * 10_050)
    forget_counts()
    page = run(CALLS, state("per_page=200"))
    assert (page.count_words, page.capped, page.last_page) == ("10,000+ calls found", True, 50)
    assert len(matching_ids(CALLS, state())) == 10_000
    forget_counts()


def test_ids_outside_the_scope_are_not_taken(calls: Flask) -> None:
    hidden = db.session.scalar(select(ApiCall.id).where(ApiCall.system == "hidden"))
    shown = db.session.scalar(select(ApiCall.id).where(ApiCall.system == "tiktok"))
    assert allowed_ids(CALLS, [str(hidden), str(shown), "x", "999999", str(shown)]) == [shown]


def test_a_search_of_the_grids_own_narrows_rows_and_count_alike(calls: Flask) -> None:
    def own(stmt: Select[Any], q: str) -> Select[Any]:
        return stmt.where(ApiCall.operation == f"call {q}")

    from dataclasses import replace

    grid = replace(CALLS, search=own)
    page = run(grid, GridState.parse(grid, MultiDict({"q": "003"})))
    assert (page.total, page.rows[0]["operation"]) == (1, "call 003")


# --- pages ----------------------------------------------------------------------------------------------------------------------------------


def test_the_page_has_count_sorted_header_labelled_checkboxes_and_links_without_javascript(calls: Flask, operator_client: FlaskClient) -> None:
    page = soup(operator_client, "/calls/?system=tiktok")
    assert page.select_one("#testcalls-count").get_text() == "150 calls found"
    assert [th["aria-sort"] for th in page.select("th[aria-sort]")] == ["none", "descending", "none", "none"]
    assert page.select_one("caption") is not None
    assert all(box["aria-label"].startswith("Select call call ") for box in page.select("input[name=ids]"))
    for link in page.select("#testcalls-grid a"):
        assert link["href"].startswith("/")
    assert [chip.get_text(strip=True) for chip in page.select(".chip")] == ["System: TikTok"]
    assert page.select_one(".chip")["href"] == "/calls/"


def test_an_htmx_swap_gets_the_grid_alone_and_a_history_restore_the_page(calls: Flask, operator_client: FlaskClient) -> None:
    partial = operator_client.get(
        "/calls/?q=&system=tiktok", headers={"HX-Request": "true", "HX-Request-Type": "partial", "HX-Source": "form#testcalls-filters"}
    )
    assert partial.text.lstrip().startswith("<section")
    assert "<html" not in partial.text
    assert partial.headers["HX-Push-Url"] == "/calls/?system=tiktok"
    assert "HX-Request" in partial.headers["Vary"]
    full = operator_client.get("/calls/", headers={"HX-Request": "true", "HX-Request-Type": "full"})
    assert "<html" in full.text


@pytest.mark.parametrize("query", ["?q=zzz", "?at_from=2026-11-20&at_to=2026-11-01", "?page=400"])
def test_an_empty_page_says_what_to_do_next(calls: Flask, operator_client: FlaskClient, query: str) -> None:
    page = soup(operator_client, f"/calls/{query}")
    if "at_from" in query:
        assert "lies after" in page.select_one("[role=alert]").get_text()
        return
    empty = page.select_one(".empty-state")
    assert empty is not None
    assert empty.select_one("a.btn")["href"].startswith("/calls/")


def test_a_grid_without_rows_shows_its_own_empty_state(grid_app: Flask, admin_client: FlaskClient) -> None:
    empty = soup(admin_client, "/calls/").select_one(".empty-state")
    assert "No calls yet" in empty.get_text()
    assert empty.select_one("a")["href"] == "/users/new"


def test_a_viewer_sees_rows_but_no_actions(calls: Flask, viewer_client: FlaskClient) -> None:
    page = soup(viewer_client, "/calls/")
    assert names(page)
    assert not page.select("input[name=ids], select[name=action], button[name=row_action]")
    answer = viewer_client.post("/calls/bulk", data={"csrf_token": token(page), "action": "retry", "ids": "1"})
    assert answer.status_code == 403


def test_tabs_show_their_counts(calls: Flask, operator_client: FlaskClient) -> None:
    tabs = soup(operator_client, "/calls/?method=POST").select(".grid-tabs a")
    assert [" ".join(tab.get_text(" ", strip=True).split()) for tab in tabs] == ["All 60", "Failed 30"]


# --- bulk -----------------------------------------------------------------------------------------------------------------------------------


def test_the_first_post_shows_what_will_and_will_not_be_done_and_does_nothing(calls: Flask, operator_client: FlaskClient) -> None:
    ids = db.session.scalars(select(ApiCall.id).where(ApiCall.operation.in_(["call 010", "call 011", "call 020"]))).all()
    answer = bulk(operator_client, action="retry", scope="ids", ids=[str(each) for each in ids])
    page = BeautifulSoup(answer.text, "html.parser")
    assert page.h1.get_text() == "Retry: 2 calls"
    assert [" ".join(item.get_text().split()) for item in page.select(".check-list li")] == ["call 010", "call 020", "call 011: has not failed"]
    assert done == []


def test_the_second_post_does_only_what_is_possible_and_leads_back_to_the_same_view(calls: Flask, operator_client: FlaskClient) -> None:
    ids = [str(each) for each in db.session.scalars(select(ApiCall.id).where(ApiCall.operation.in_(["call 010", "call 011"])))]
    answer = bulk(operator_client, "?system=tiktok&page=2", action="retry", scope="ids", ids=ids, confirm="1")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/calls/?system=tiktok&page=2")
    failed = db.session.scalar(select(ApiCall.id).where(ApiCall.operation == "call 010"))
    assert done == [([failed], "")]
    assert "1 calls taken up." in operator_client.get("/calls/").text


def test_all_matching_sends_the_filters_not_the_ids(calls: Flask, operator_client: FlaskClient) -> None:
    first = bulk(operator_client, "?failed=yes", action="retry", scope="all")
    page = BeautifulSoup(first.text, "html.parser")
    assert page.h1.get_text() == "Retry: 30 calls"
    assert not page.select("input[name=ids]")
    form = {field["name"]: field["value"] for field in page.select("form.confirm input[type=hidden]")}
    assert (form["state"], form["scope"]) == ("failed=yes", "all")
    assert operator_client.post("/calls/bulk", data=form).status_code == 303
    assert len(done[0][0]) == 30


def test_all_on_this_page_takes_the_rows_that_were_shown(calls: Flask, operator_client: FlaskClient) -> None:
    page = soup(operator_client, "/calls/?failed=yes")
    shown = page.select_one("input[name=page_ids]")["value"]
    bulk(operator_client, "?failed=yes", action="retry", scope="page", page_ids=shown, confirm="1")
    assert [str(each) for each in sorted(done[0][0], reverse=True)] == sorted(shown.split(","), key=int, reverse=True)


def test_an_action_with_a_form_comes_back_filled_in_with_the_reason(calls: Flask, operator_client: FlaskClient) -> None:
    call = str(db.session.scalar(select(ApiCall.id).where(ApiCall.operation == "call 010")))
    first = bulk(operator_client, row_action=f"reject:{call}")
    assert first.status_code == 200
    assert "Enter a reason" not in first.text
    refused = bulk(operator_client, row_action=f"reject:{call}", confirm="1", reason=" ")
    assert refused.status_code == 422
    assert "Enter a reason" in refused.text
    assert done == []
    assert bulk(operator_client, row_action=f"reject:{call}", confirm="1", reason="late").status_code == 303
    assert done == [([int(call)], "late")]


@pytest.mark.parametrize(("form", "words"), [({"action": "retry", "scope": "ids"}, "no call is selected"), ({"scope": "all"}, "choose an action first")])
def test_nothing_chosen_is_said_in_words(calls: Flask, operator_client: FlaskClient, form: dict[str, str], words: str) -> None:
    assert bulk(operator_client, **form).status_code == 303
    assert words in operator_client.get("/calls/").text
    assert done == []


def test_a_bulk_post_without_a_csrf_token_is_refused(calls: Flask, operator_client: FlaskClient) -> None:
    answer = operator_client.post("/calls/bulk", data={"action": "retry", "scope": "all", "confirm": "1"})
    assert answer.status_code == 400
    assert "expired" in answer.text
    assert done == []


# --- views, columns, export -----------------------------------------------------------------------------------------------------------------


def test_chosen_columns_are_kept_for_the_user_until_reset(calls: Flask, operator_client: FlaskClient) -> None:
    page = soup(operator_client, "/calls/")
    form = {"csrf_token": token(page), "columns": ["account", "operation"], "back": "/calls/?system=tiktok"}
    answer = operator_client.post("/grids/testcalls/columns", data=form)
    assert answer.headers["Location"] == "/calls/?system=tiktok"
    heads = [th.get_text(strip=True) for th in soup(operator_client, "/calls/").select("thead th")]
    assert [head for head in heads if head in ("Operation", "At", "Account")] == ["Operation", "Account"]
    operator_client.post("/grids/testcalls/columns", data={"csrf_token": token(page), "reset": "1"})
    assert len(soup(operator_client, "/calls/").select("th[scope=col]")) == 7


def test_a_saved_view_keeps_the_query_and_can_be_shared_and_deleted_by_its_owner_only(
    calls: Flask, operator_client: FlaskClient, viewer_client: FlaskClient
) -> None:
    page = soup(operator_client, "/calls/?failed=yes&sort=status")
    field = page.select_one("input[name=query]")
    form = {"csrf_token": token(page), "query": field["value"], "name": "Failed ones", "shared": "1", "back": "/calls/"}
    answer = operator_client.post("/grids/testcalls/views", data=form)
    assert "failed=yes&sort=status" in answer.headers["Location"]
    theirs = soup(viewer_client, "/calls/")
    link = next(a for a in theirs.select("#testcalls-views a") if "Failed ones" in a.get_text())
    assert soup(viewer_client, link["href"]).select_one("#testcalls-count").get_text() == "30 calls found"
    assert viewer_client.post("/grids/testcalls/views/1/delete", data={"csrf_token": token(theirs)}).status_code == 404
    assert operator_client.post("/grids/testcalls/views/1/delete", data={"csrf_token": token(soup(operator_client, "/calls/"))}).status_code == 303
    assert "Failed ones" not in soup(viewer_client, "/calls/").select_one("#testcalls-views").get_text()


def test_a_way_back_to_another_site_is_not_taken(calls: Flask, operator_client: FlaskClient) -> None:
    for back in ("https://evil.example/", "//evil.example/", "/\\evil.example"):
        form = {"csrf_token": token(soup(operator_client, "/calls/")), "columns": "at", "back": back}
        assert operator_client.post("/grids/testcalls/columns", data=form).headers["Location"] == "/calls/"


def test_the_export_is_the_current_view_with_formulas_made_harmless(calls: Flask, operator_client: FlaskClient) -> None:
    link = next(a["href"] for a in soup(operator_client, "/calls/?q=call+01&sort=operation&cols=operation,system,error,status").select("a[download]"))
    answer = operator_client.get(link)
    assert answer.mimetype == "text/csv"
    rows = list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert rows[0] == ["Operation", "System", "Status", "Error"]
    assert [row[0] for row in rows[1:]] == [f"call {number:03d}" for number in range(10, 20)]
    assert rows[3] == ["call 012", "TikTok", "", "'=1+1"]
    assert re.match(r'attachment; filename="testcalls-\d{4}-\d\d-\d\d.csv"', answer.headers["Content-Disposition"])


def test_every_mounted_grid_answers_every_sort_filter_tab_and_export(app: Flask, admin_client: FlaskClient) -> None:
    with app.test_request_context():
        plain = [found for found in mounted().values() if not next(app.url_map.iter_rules(found.endpoint)).arguments]
        grids = {found.grid.key: (found.grid, app.url_for(found.endpoint)) for found in plain}
    assert "users" in grids
    for grid, path in grids.values():
        queries = ["", "?q=zz%25_'", "?per_page=200", "?cols=" + ",".join(column.key for column in grid.columns)]
        queries += [f"?sort={sign}{column.key}" for column in grid.columns if column.sort is not False for sign in ("", "-")]
        queries += [f"?tab={tab.key}" for tab in grid.tabs]
        for each in grid.filters:
            for value, _ in each.options()[:3]:
                queries.append(f"?{each.key}={value}")
            if each.kind == "date_range":
                queries.append(f"?{each.key}_from=2026-01-01&{each.key}_to=2026-12-31")
            if each.kind == "number_range":
                queries.append(f"?{each.key}_min=1&{each.key}_max=20.5")
            if each.kind == "text":
                queries.append(f"?{each.key}=a%25")
        for query in queries:
            assert admin_client.get(path + query).status_code == 200, path + query
        assert admin_client.get(path.rstrip("/") + "/export.csv").status_code == 200


# --- what a page costs ----------------------------------------------------------------------------------------------------------------------


def _statements(client: FlaskClient, url: str) -> list[str]:
    """What the database is asked, beside counts, while a page is drawn whose banners are known already."""
    soup(client, url)
    asked: list[str] = []

    def note(connection: Any, cursor: Any, sql: str, *rest: Any) -> None:
        asked.append(sql)

    event.listen(db.engine, "before_cursor_execute", note)
    soup(client, url)
    event.remove(db.engine, "before_cursor_execute", note)
    return [sql for sql in asked if not sql.startswith("BEGIN") and "count(*)" not in sql]


def test_a_page_of_200_rows_asks_the_database_no_more_than_a_page_of_20(calls: Flask, admin_client: FlaskClient) -> None:
    few, many = (_statements(admin_client, f"/calls/?per_page={size}&cols=operation,account") for size in (20, 200))
    assert len(few) == len(many) == 4, many  # session, columns, rows, views


def test_a_banner_goes_with_the_change_that_makes_it_wrong(calls: Flask, admin_client: FlaskClient) -> None:
    from connector.services import settings

    assert "The set-up is not finished" in admin_client.get("/calls/").text
    settings.put({"setup.finished": True}, actor="test")
    assert "The set-up is not finished" not in admin_client.get("/calls/").text


def test_what_one_person_types_into_filters_and_search_is_shown_to_nobody_else(calls: Flask, operator_client: FlaskClient, viewer_client: FlaskClient) -> None:
    typed = soup(operator_client, "/calls/?q=ann+example&error=secret&system=tiktok")
    assert typed.select_one("#testcalls-q")["value"] == "ann example"
    assert typed.select_one("[name=error]")["value"] == "secret"
    plain = soup(viewer_client, "/calls/")
    assert (plain.select_one("#testcalls-q")["value"], plain.select_one("[name=error]")["value"]) == ("", "")
    assert not plain.select("#testcalls-filters input[checked]")


def test_the_parts_that_are_kept_follow_the_state(calls: Flask, operator_client: FlaskClient) -> None:
    for sort, expected in (("status", "ascending"), ("-status", "descending"), ("status", "ascending")):
        page = soup(operator_client, f"/calls/?sort={sort}&per_page=50")
        assert [th["aria-sort"] for th in page.select("th[aria-sort]")] == ["none", "none", "none", expected]
        assert page.select_one(".page-sizes [aria-current]").get_text() == "50"
        assert page.select_one("#testcalls-filters [name=sort]")["value"] == sort


def test_a_cell_is_escaped_whatever_it_holds(calls: Flask, operator_client: FlaskClient) -> None:
    with unit_of_work() as session:
        nasty = "<b>\"'&"
        session.execute(
            insert(ApiCall), [{"system": nasty, "operation": nasty, "method": "GET", "url": "/x", "at": START + timedelta(days=300), "error": nasty}]
        )
    answer = operator_client.get("/calls/")
    assert "<b>" not in answer.text
    row = BeautifulSoup(answer.text, "html.parser").select_one("tbody tr")
    assert row.select_one("a[data-open]").get_text() == nasty
    assert row.select_one("input[name=ids]")["aria-label"] == f"Select call {nasty}"


# --- the orders grid ------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def orders(app: Flask) -> Flask:
    """Three orders: one with a line, one with a parcel, one with a buyer and an error."""
    from connector.core import crypto
    from connector.models.order import BuyerToken, Order, OrderLine, Shipment

    forget_counts()
    with unit_of_work() as session:
        session.add(Account(id=1, title="Shop North", country="GB", environment="sandbox"))
        session.flush()
        for number in (1, 2, 3):
            session.add(
                Order(
                    id=number, account_id=1, number=f"57646000000000000{number}", magento_number=f"00000000{number}", remote_status="AWAITING_SHIPMENT", digest="",
                    remote_updated_at=START, placed_at=START + timedelta(hours=number), currency="GBP", total=Decimal("9.99"),
                    failure_code="money.mismatch" if number == 3 else None, failure_message="The total <differs>." if number == 3 else None,
                )
            )  # fmt: skip
        session.flush()
        session.add(
            OrderLine(
                order_id=1,
                line_id="1",
                name="Cotton T-shirt 100%",
                seller_sku="TEE-RED-M",
                tracking_number="TRK1",
                sale_price=Decimal(1),
                original_price=Decimal(1),
            )
        )
        session.add(OrderLine(order_id=2, line_id="2", name="Mug", seller_sku="MUG/02 slash", sale_price=Decimal(1), original_price=Decimal(1)))
        session.add(Shipment(account_id=1, order_id=2, tracking_number="PARCEL9"))
        session.add_all(BuyerToken(order_id=3, token=crypto.vault().blind_index(word)) for word in ("buyer", "0042", "example"))
    yield app
    forget_counts()


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("576460000000000002", ["2"]), ("000000001", ["1"]), ("TRK1", ["1"]), ("PARCEL9", ["2"]), ("TEE-RED-M", ["1"]), ("tee-red", ["1"]), ("cotton t", ["1"]), ("100%", ["1"]),
        ("MUG/02 slash", ["2"]), ("Buyer Example", ["3"]), ("buyer nobody", []), ("north", ["3", "2", "1"]), ("999999999999999999", []), ("nothing like it", []), ("%", []),
    ],
)  # fmt: skip
def test_orders_are_found_by_number_tracking_sku_product_buyer_and_account(
    database_kind: str, orders: Flask, admin_client: FlaskClient, words: str, found: list[str]
) -> None:
    page = soup(admin_client, f"/orders/?{urlencode({'q': words})}")
    assert [box["value"] for box in page.select("input[name=ids]")] == found


@pytest.mark.sqlite_only
def test_no_tab_sort_filter_or_search_of_the_orders_walks_the_table_without_an_index(orders: Flask, admin_client: FlaskClient) -> None:
    """A plain ``SCAN order`` (no index named) is a walk through every wide row; the searches may not even walk an index."""
    grid = mounted()["orders"].grid
    asked: list[tuple[str, Any]] = []
    event.listen(db.engine, "before_cursor_execute", lambda c, cursor, sql, values, *rest: asked.append((sql, values)))
    queries = [f"sort={sign}{column.key}" for column in grid.columns if column.sort is not False for sign in ("", "-")]
    queries += [f"tab={tab.key}" for tab in grid.tabs]
    queries += [f"{each.key}={value}" for each in grid.filters if each.kind == "choices" and each.key != "errors" for value, _ in each.options()]
    queries += ["errors=yes", "cause=money", "package=1", "imported_from=2026-01-01", "ship_by_to=2026-01-01", "total_min=5", "placed_to=2026-01-01"]
    searches = ["q=576460000000000002", "q=PARCEL9", "q=buyer", "q=cotton", "q=nothing"]
    for query in queries + searches:
        asked.clear()
        assert admin_client.get(f"/orders/?{query}").status_code == 200
        statement, values = next((sql, values) for sql, values in asked if '"order".number AS number' in sql)
        with db.engine.connect() as connection:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
        walks = [step for step in plan if step.startswith("SCAN order") and not step.startswith("SCAN order_")]
        assert not walks if query in searches else all("USING" in step for step in walks), (query, plan)


def test_an_error_and_its_remedy_stand_in_the_row_escaped(orders: Flask, admin_client: FlaskClient) -> None:
    body = soup(admin_client, "/orders/").select_one("#orders-3 .error-pop-body")
    assert [part.get_text() for part in body.select("p")] == ["The total <differs>.", "money.mismatch"]
