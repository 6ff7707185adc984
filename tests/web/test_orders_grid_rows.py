"""The rows of the older plugin's order section on the orders grid, against the practice shop over real HTTP (A226-A228, A236, A238-A241)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from bs4 import BeautifulSoup
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, select

from connector.core import crypto
from connector.core.db import db, unit_of_work
from connector.grids.query import forget_counts
from connector.models.account import Account
from connector.models.order import CREATED, REVIEW, BuyerToken, Order, OrderLine, OrderPayload, Shipment
from connector.models.run import Schedule
from connector.services import runs
from connector.web.grids import mounted
from tests.web.calls_grid import START, soup

KINDS = {"platform_shipping": 0, "fulfilled_by_tiktok": 0, "cancel_request": 0, "sample": 0, "bundle": 0, "emoji": 0, "thirty_lines": 0}


@pytest.fixture
def stocked(connected_account: Account, practice_tiktok, work_off: Callable[..., int]) -> Account:
    """A connected account with 24 orders in every status, imported as the schedule does it."""
    requests.post(f"{practice_tiktok.url}/practice/seed", json={"region": "GB", "orders": 24, "seed": 5, "kinds": KINDS}, timeout=60).raise_for_status()
    runs.submit("orders.import", account_id=connected_account.id)
    work_off()
    forget_counts()
    return connected_account


def _grid(client: FlaskClient, address: str) -> BeautifulSoup:
    answer = client.get(address)
    assert answer.status_code == 200, answer.text[:2000]
    return BeautifulSoup(answer.text, "html.parser")


def _numbers(page: BeautifulSoup) -> set[str]:
    return {link.text.strip() for link in page.select("tbody tr a") if link.text.strip().isdigit() and len(link.text.strip()) > 15}


def test_a226_new_orders_are_fetched_at_most_five_minutes_apart_by_themselves(connected_account: Account) -> None:
    schedule = db.session.scalars(select(Schedule).where(Schedule.kind == "orders.import", Schedule.account_id == connected_account.id)).one()
    assert schedule.enabled
    assert schedule.interval_seconds <= 300


def test_a227_a228_a236_a239_a240_the_grid_is_read_in_every_way(stocked: Account, admin_client: FlaskClient, practice_magento) -> None:
    """Each status tab with its number, the guest's address, the details behind an order id, search, the day an order was placed."""
    _each_status_tab_shows_its_orders_and_their_number(admin_client)
    _an_order_gets_the_guest_address_of_its_buyer_by_default(practice_magento)
    _the_order_id_leads_to_the_orders_details(admin_client)
    _orders_are_found_by_number_by_the_buyers_name_by_sku_and_by_product(admin_client)
    _orders_are_filtered_by_the_day_they_were_placed(admin_client)


def _each_status_tab_shows_its_orders_and_their_number(admin_client: FlaskClient) -> None:
    for status in ("AWAITING_SHIPMENT", "IN_TRANSIT", "ON_HOLD", "CANCELLED", "COMPLETED", "DELIVERED", "AWAITING_COLLECTION"):
        wanted = set(db.session.scalars(select(Order.number).where(Order.remote_status == status)))
        page = _grid(admin_client, f"/orders/?tab={status.lower()}&per_page=50")
        assert _numbers(page) == wanted
        tab = next(link for link in page.select("a[href*='tab=']") if f"tab={status.lower()}" in link["href"])
        assert str(len(wanted)) in tab.text


def _an_order_gets_the_guest_address_of_its_buyer_by_default(practice_magento) -> None:
    created = db.session.scalars(select(Order).where(Order.state == CREATED)).all()
    assert created
    store = {row["ext_order_id"]: row for row in requests.get(f"{practice_magento.url}/practice/orders", timeout=30).json()}
    for order in created:
        assert store[order.number]["customer_email"] == f"{order.buyer_id}@tiktok.com"


def _the_order_id_leads_to_the_orders_details(admin_client: FlaskClient) -> None:
    page = _grid(admin_client, "/orders/?per_page=50")
    link = next(link for link in page.select("tbody tr a") if link.text.strip() in _numbers(page))
    details = _grid(admin_client, str(link["href"]))
    assert link.text.strip() in details.h1.text
    assert "Items ordered" in details.text


def test_a238_orders_are_fetched_on_demand_and_wait_for_the_button(connected_account: Account, admin_client: FlaskClient, practice_tiktok, work_off) -> None:
    placed = requests.post(f"{practice_tiktok.url}/practice/orders", json={"shop": "GB", "lines": [{"sku": "PEN-01"}], "kinds": KINDS}, timeout=30).json()
    requests.post(f"{practice_tiktok.url}/practice/orders/{placed['id']}/release", timeout=30).raise_for_status()
    form = _grid(admin_client, "/orders/import")
    token = form.select_one("form input[name=csrf_token]")["value"]
    answer = admin_client.post("/orders/import", data={"csrf_token": token, "account": connected_account.id, "status": "", "order_id": placed["id"]})
    assert answer.status_code == 303, answer.text[:2000]
    work_off()
    assert db.session.scalar(select(Order.state).where(Order.number == placed["id"])) == REVIEW


def test_a238_a_reversed_date_range_comes_back_filled_in_with_the_reason(connected_account: Account, admin_client: FlaskClient) -> None:
    token = _grid(admin_client, "/orders/import").select_one("form input[name=csrf_token]")["value"]
    answer = admin_client.post(
        "/orders/import", data={"csrf_token": token, "account": connected_account.id, "status": "", "start": "2026-11-20", "end": "2026-11-01"}
    )
    assert answer.status_code == 422
    page = BeautifulSoup(answer.text, "html.parser")
    assert page.select_one("input[name=start]")["value"] == "2026-11-20"
    assert page.select_one(".error-summary") is not None


def _orders_are_found_by_number_by_the_buyers_name_by_sku_and_by_product(admin_client: FlaskClient) -> None:
    order = db.session.scalars(select(Order).where(Order.has_address, Order.address_masked.is_(False)).order_by(Order.id)).first()
    assert order is not None
    name = db.session.get(OrderPayload, order.id).buyer_name
    assert _numbers(_grid(admin_client, f"/orders/?q={order.number}")) == {order.number}
    assert order.number in _numbers(_grid(admin_client, f"/orders/?q={name.replace(' ', '+')}&per_page=50"))
    line = order.lines[0]
    for words in (line.seller_sku, line.name):
        assert order.number in _numbers(_grid(admin_client, f"/orders/?q={requests.utils.quote(words)}&per_page=50"))
    assert _numbers(_grid(admin_client, "/orders/?q=nobody-has-ordered-this")) == set()


def _orders_are_filtered_by_the_day_they_were_placed(admin_client: FlaskClient) -> None:
    order = db.session.scalars(select(Order).order_by(Order.placed_at)).first()
    day = order.placed_at.date()
    found = _numbers(_grid(admin_client, f"/orders/?placed_from={day}&placed_to={day}&per_page=50"))
    wanted = {one.number for one in db.session.scalars(select(Order)) if one.placed_at.date() == day}
    assert found == wanted
    assert _numbers(_grid(admin_client, f"/orders/?placed_to={day - timedelta(days=9)}")) == set()


def test_a241_an_awaiting_order_can_be_rejected_from_the_grid_after_a_confirm_page(stocked: Account, admin_client: FlaskClient, work_off) -> None:
    order = db.session.scalars(select(Order).where(Order.remote_status == "AWAITING_SHIPMENT")).first()
    page = _grid(admin_client, f"/orders/?q={order.number}")
    token = page.select_one("input[name=csrf_token]")["value"]
    confirm = admin_client.post("/orders/bulk", data={"csrf_token": token, "row_action": f"reject:{order.id}"})
    assert confirm.status_code == 200
    form = BeautifulSoup(confirm.text, "html.parser").select_one("main form")
    assert order.number in form.text
    fields = {field["name"]: field.get("value", "") for field in form.select("input[type=hidden]")}
    answer = admin_client.post("/orders/bulk", data={**fields, "reason": "out_of_stock"})
    assert answer.status_code == 303, answer.text[:2000]
    work_off()
    assert db.session.get(Order, order.id, populate_existing=True).remote_status == "CANCELLED"


# --- searching, sorting and narrowing the grid ----------------------------------------------------------------------------------------------


@pytest.fixture
def orders(app: Flask) -> Flask:
    """Three orders: one with a line, one with a parcel, one with a buyer and an error."""
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
