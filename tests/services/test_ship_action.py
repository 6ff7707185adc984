"""The Ship action: preview, form, CSV file, labels (A207), against the practice servers."""

from __future__ import annotations

import pytest
import requests
from sqlalchemy import select

from connector.core.db import db
from connector.core.errors import DomainError
from connector.models.order import Order, Shipment
from connector.models.run import JobItem
from connector.services.orders import parcels, ship, ship_file
from tests.factories import shop
from tests.factories.parcels import packages, parcel, place

pytestmark = pytest.mark.postgres

HEAD = "order number,carrier,tracking number"


def test_the_preview_says_for_each_order_what_will_be_done(account, market):
    ready, bare = place(market, account), place(market, account)
    platform, by_tiktok = place(market, account, shipping_type="TIKTOK"), place(market, account, fulfillment_type="FULFILLMENT_BY_TIKTOK")
    held = place(market, account, release=False)
    parcel(ready, "RM000000001GB")
    seen = {one.order_id: one for one in ship.preview([ready.id, bare.id, platform.id, by_tiktok.id, held.id])}
    assert [seen[one.id].kind for one in (ready, bare, platform, by_tiktok, held)] == ["ready", "form", "label", "cannot", "cannot"]
    assert seen[ready.id].parcels == (("Royal Mail", "RM000000001GB"),)
    assert seen[by_tiktok.id].why_not["check"] == "fulfilled_by_seller"
    assert seen[held.id].why_not["remedy"]
    assert ship.why_not(db.session.get(Order, bare.id)) is None
    assert ship.why_not(db.session.get(Order, held.id))["check"] == "not_on_hold"


def test_tracking_from_the_form_ships_the_order(account, market):
    order, other = place(market, account), place(market, account)
    (submitted,) = ship.submit([order.id, other.id], {order.id: ship.Tracking("Evri", "H0 1234 5678")}, started_by="operator@example.test")
    number, other_number = order.number, other.number
    run = shop.carry_out(submitted.run_id)
    assert (run.state, run.total, run.done) == ("succeeded", 1, 1), run.message
    (package,) = packages(market, number)
    assert package["tracking_number"] == "H012345678"
    assert packages(market, other_number) == []


def test_input_that_can_never_work_is_refused_with_its_field_and_nothing_is_stored(account, market):
    good, bad = place(market, account), place(market, account)
    entered = {good.id: ship.Tracking("Evri", "GOOD1234"), bad.id: ship.Tracking("Evri", "no!")}
    with pytest.raises(DomainError) as refused:
        ship.submit([good.id, bad.id], entered, started_by="operator@example.test")
    assert refused.value.field == f"number-{bad.id}"
    assert bad.number in refused.value.message
    with pytest.raises(DomainError) as refused:
        ship.submit([bad.id], {bad.id: ship.Tracking(" ", "GOOD1234")}, started_by="operator@example.test")
    assert refused.value.field == f"carrier-{bad.id}"
    assert db.session.scalar(select(Shipment.id)) is None


def test_nothing_to_ship_is_a_clear_refusal(account, market):
    order = place(market, account, release=False)
    with pytest.raises(DomainError, match="None of these orders"):
        ship.submit([order.id], {order.id: ship.Tracking("Evri", "GOOD1234")}, started_by="operator@example.test")


def test_an_order_without_any_tracking_fails_its_item_and_its_neighbour_is_shipped(connected_account, market):
    bare, good = place(market, connected_account), place(market, connected_account)
    parcel(good, "RM000000001GB")
    items = [(str(bare.id), bare.number), (str(good.id), good.number)]
    run = shop.perform("orders.ship", connected_account.id, items=items)
    assert (run.state, run.done, run.failed) == ("partial", 1, 1)
    failed = db.session.scalars(select(JobItem).where(JobItem.run_id == run.id, JobItem.state == "failed")).one()
    assert failed.code == "ship.no_tracking"
    assert "Enter carrier" in failed.remedy


def test_a_csv_file_ships_whole_orders_and_parts(account, market):
    whole, split = place(market, account), place(market, account, ("TEE-BLA-S", 2), ("MUG-01", 1))
    text = f"""{HEAD},sku,quantity
{whole.number},Royal Mail,RM000000001GB,,
{split.number},Evri,EV0001,TEE-BLA-S,2
{split.number},Evri,EV0002,MUG-01,
"""
    parsed = ship_file.read(text.encode())
    assert [line.problem for line in parsed.lines] == ["", "", ""]
    numbers = whole.number, split.number
    (submitted,) = ship_file.submit(parsed, started_by="operator@example.test")
    run = shop.carry_out(submitted.run_id)
    assert (run.state, run.done) == ("succeeded", 2), run.message
    assert len(packages(market, numbers[0])) == 1
    assert sorted(len(one["order_line_item_ids"]) for one in packages(market, numbers[1])) == [1, 2]


def test_every_line_of_a_csv_file_says_why_it_cannot_be_used(account, market):
    good, held = place(market, account), place(market, account, release=False)
    text = "\n".join(
        [
            HEAD + ",sku,quantity",
            f"{good.number},Evri,EV0001,,",
            "123,Evri,EV0002,,",
            f"{held.number},Evri,EV0003,,",
            f"{good.number},,EV0004,,",
            f"{good.number},Evri,!!,,",
            "5.76E+17,Evri,EV0005,,",
            f"{good.number},Evri,EV0006,MUG-01,two",
            f"{good.number},Evri,EV0007,,2",
            ",Evri,EV0008,,",
            "",
        ]
    )
    parsed = ship_file.read(text.encode())
    assert [line.number for line in parsed.lines] == list(range(2, 11))
    problems = [line.problem for line in parsed.lines]
    assert problems[0] == ""
    for problem, words in zip(
        problems[1:],
        ("not known", "still cancel", "carrier is empty", "4 to 50", "rounded", "whole number", "needs a SKU", "order number is empty"),
        strict=True,
    ):
        assert words in problem
    assert len(parsed.accepted) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda number: f"\ufeffOrder ID;Shipping Provider;Tracking No\r\n{number};Evri;EV0001\r\n".encode(),
        lambda number: f'sep=;\r\n"Order Number";"Carrier";"Tracking Number"\r\n="{number}";Evri;"EV0001"\r\n'.encode(),
        lambda number: f"order\tcarrier\ttracking\n'{number}\tEvri\tEV 0001\n".encode("utf-16"),
        lambda number: f"Tracking number,Note,Order number,Carrier\nEV0001,caf\u00e9,{number},Evri\n".encode("cp1252"),
        lambda number: f"\n\n{HEAD}\n{number},Evri,EV0001\n\n".encode(),
    ],
    ids=["byte order mark and semicolons", "Excel sep and text formulas", "UTF-16 with tabs", "Windows text and other columns", "blank lines"],
)
def test_csv_files_are_read_as_people_have_them(account, market, make):
    order = place(market, account)
    (line,) = ship_file.read(make(order.number)).lines
    assert (line.problem, line.order_id, line.carrier, line.tracking) == ("", order.id, "Evri", "EV0001")


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", "csv.shape", "empty"),
        (HEAD.encode(), "csv.shape", "no line below"),
        (b"name,price\nmug,3\n", "csv.shape", "Its first line holds: name, price"),
        (b"PK\x03\x04rest of a workbook", "csv.shape", "Excel workbook"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00", "csv.shape", "not text"),
        (b"x" * (3 * 1024 * 1024), "csv.too_large", "3.0 MB"),
    ],
)
def test_a_file_of_another_shape_is_refused_as_a_whole_with_what_to_do(app, data, code, words):
    with pytest.raises(DomainError) as refused:
        ship_file.read(data)
    assert (refused.value.code, refused.value.field) == (code, "file")
    assert words in refused.value.message
    assert refused.value.remedy


def test_the_magento_order_number_names_an_order_as_well(connected_account, market):
    from tests.factories.parcels import in_magento

    order = in_magento(market, connected_account)
    (line,) = ship_file.read(f"{HEAD}\n{order.magento_number},Evri,EV0001\n".encode()).lines
    assert (line.problem, line.order_id) == ("", order.id)


@pytest.mark.parametrize("country", ["GB", "US", "SG"])
def test_a_platform_shipped_order_gives_its_label(app, market, country):
    account = shop.authorise(country)
    order = place(market, account, shipping_type="TIKTOK")
    first = ship.label(order.id)
    assert requests.get(first.url, timeout=10).content.startswith(b"%PDF")
    assert ship.label(order.id).tracking_number == first.tracking_number
    assert len(packages(market, order)) == 1


def test_there_is_no_label_for_an_order_with_its_own_carrier_or_in_its_hold_hour(account, market):
    with pytest.raises(DomainError, match="not shipped by TikTok"):
        ship.label(place(market, account).id)
    with pytest.raises(DomainError, match="ON_HOLD"):
        ship.label(place(market, account, release=False, shipping_type="TIKTOK").id)
    assert db.session.scalar(select(Shipment.id).where(Shipment.state != parcels.IGNORED)) is None
