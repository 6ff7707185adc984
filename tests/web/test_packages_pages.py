"""Packages as people see them: the order's packages, orders that may leave in one parcel, taking them apart (A256, A269)."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from connector.core.db import db
from connector.models.order import Order, Shipment
from connector.practice.serve import PracticeServer
from connector.services.orders import push
from tests.factories import shop
from tests.factories.parcels import packages, parcel, place, stored, take_in
from tests.web.walking import csrf_of


@pytest.fixture
def market(practice_tiktok: PracticeServer) -> shop.Market:
    return shop.Market(practice_tiktok.url)


@pytest.fixture
def sg(app):
    return shop.authorise("SG")


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def test_orders_of_one_buyer_are_combined_on_the_ship_page_shipped_with_one_number_and_marked(sg, market, operator_client, viewer_client):
    """A269"""
    alike: dict[str, list[Order]] = {}
    while not any(len(found) == 2 for found in alike.values()):
        order = place(market, sg, buyer=7)
        alike.setdefault(order.warehouse_id, []).append(order)
    one, two = next(found for found in alike.values() if len(found) == 2)
    first, second, ids = one.number, two.number, [one.id, two.id]
    address = f"/orders/ship?order={one.id}&order={two.id}"
    page = operator_client.get(address)
    assert "Combine into one parcel" in page.text
    form = {"csrf_token": csrf_of(operator_client), "order": ids, "page": ids}
    answer = operator_client.post("/orders/combine", data=form, follow_redirects=True)
    assert f"Orders {first}, {second} leave in one package now" in text_of(answer.text)
    assert "Combine into one parcel" not in answer.text
    assert f"It is combined with {first} and leaves with the same tracking number" in text_of(answer.text)
    seen = text_of(viewer_client.get(f"/orders/{ids[1]}").text)
    assert f"Combined with {first}" in seen
    assert "Take apart" not in seen
    assert "Take apart" in operator_client.get(f"/orders/{ids[1]}").text
    apart = operator_client.post(f"/orders/{ids[1]}/take-apart", data={"csrf_token": csrf_of(operator_client)}, follow_redirects=True)
    assert "was taken apart" in text_of(apart.text)
    assert "Combined with" not in text_of(apart.text)
    again = operator_client.post(f"/orders/{ids[1]}/take-apart", data={"csrf_token": csrf_of(operator_client)}, follow_redirects=True)
    assert "is not in one package with other orders" in text_of(again.text)
    operator_client.post("/orders/combine", data=form)
    shipping = {"csrf_token": form["csrf_token"], "order": ids, f"carrier-{ids[0]}": "Ninja Van", f"number-{ids[0]}": "NV000001"}
    assert operator_client.post("/orders/ship", data=shipping).status_code == 303
    assert [one.state for one in push.push_order(ids[0])] == ["delivered"]
    assert {packages(market, number)[0]["tracking_number"] for number in (first, second)} == {"NV000001"}
    take_in(sg, second)
    page = text_of(operator_client.get(f"/orders/{ids[1]}").text)
    assert "Waits for collection" in page
    assert "Take apart" not in page
    assert db.session.scalar(select(Shipment.id).where(Shipment.order_id == ids[1])) is None


def test_the_order_page_lists_tiktoks_packages_and_links_to_the_account(sg, market, operator_client):
    """A256, A268"""
    order = place(market, sg, ("MUG-01", 2), ("TEE-BLA-S", 1))
    bulk = {"csrf_token": csrf_of(operator_client), "row_action": f"ship:{order.id}"}
    form = operator_client.post("/orders/bulk", data=bulk).location
    assert form == f"/orders/ship?order={order.id}", "what needs a tracking number is asked for it at once"
    several = f"TikTok takes order {order.number} in several parcels only: at most 2 units in one."
    for most, told in ((3, False), (2, True)):
        market.post("settings", most_units_in_a_package=most)
        for address, headers in ((form, {}), (f"/orders/{order.id}/split", {"HX-Request": "true"})):
            assert (several in text_of(operator_client.get(address, headers=headers).text)) is told, (address, most)
    number = parcel(order, "NV000001", carrier="Ninja Van", quantities={"MUG-01": 2})
    push.push(number)
    take_in(sg, order.number)
    html = operator_client.get(f"/orders/{order.id}").text
    assert f'href="/accounts/{sg.id}"' in html
    page = text_of(html[html.index('id="packages"') :])
    for one in market.get(f"orders/{order.number}")["packages"]:
        if one["status"] != "CANCELLED":
            assert one["id"] in page
    assert stored(number).package_id in page
    assert page.count("Split") == 2
    assert "2 of MUG-01" in page and "1 of TEE-BLA-S" in page and "To be shipped" in page and "TO_FULFILL" not in page


def test_another_number_at_tiktok_is_answered_on_the_order_and_on_today(sg, market, operator_client, viewer_client):
    """A234, TTS §5.5.4"""
    order = place(market, sg)
    push.push(parcel(order, "NV000001", carrier="Ninja Van"))
    second = parcel(order, "NV000002", carrier="Ninja Van")
    push.push(second)
    address = f"/orders/{order.id}"
    both = ("Give TikTok this number", "Keep TikTok")
    assert all(label in operator_client.get(address).text for label in both)
    assert not any(label in viewer_client.get(address).text for label in both)
    assert "Give TikTok our numbers" in operator_client.get("/").text
    form = {"csrf_token": csrf_of(operator_client)}
    unsaid = operator_client.post(f"{address}/tracking", data=form, follow_redirects=True)
    assert "Which number is right was not said" in text_of(unsaid.text)
    assert stored(second).state == "failed"
    done = operator_client.post(f"{address}/tracking", data={**form, "answer": "ours"}, follow_redirects=True)
    assert "TikTok has tracking number NV000002 instead of NV000001." in text_of(done.text)
    assert not any(label in done.text for label in both)
    assert "Give TikTok our numbers" not in operator_client.get("/").text
    assert [one["tracking_number"] for one in packages(market, order)] == ["NV000002"]
