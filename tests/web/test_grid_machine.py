"""The grid machine (product.md 11, A022): what an address means, and what is asked of the database for it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import Select, event, insert, select
from sqlalchemy.orm import aliased
from werkzeug.datastructures import MultiDict

from connector.core.db import db, unit_of_work
from connector.grids import (
    Column,
    DateRange,
    Grid,
    GridState,
    Join,
    Text,
    run,
)
from connector.grids.export import csv_cell
from connector.grids.query import allowed_ids, forget_counts, matching_ids
from connector.models.account import Account
from connector.models.trace import ApiCall
from connector.models.user import User
from tests.web.calls_grid import CALLS, ROWS, START, state

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
