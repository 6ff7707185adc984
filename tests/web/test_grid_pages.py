"""The pages of the grid machine (product.md 11, A022), through real HTTP requests: rows, bulk actions, views, columns, export, and what they cost."""

from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from typing import Any

import pytest
from bs4 import BeautifulSoup
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, insert, select

from connector.core.db import db, unit_of_work
from connector.models.trace import ApiCall
from connector.web.grids import mounted
from tests.web.calls_grid import START, bulk, done, names, soup, token

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
