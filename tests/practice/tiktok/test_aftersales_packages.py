"""Packages that are split, combined and taken apart (TTS §5.5.10), and what cancelling and moving do to them."""

from __future__ import annotations

from typing import Any

import pytest

from .aftersale_shop import Desk
from .seller import Seller

F = "/fulfillment/202309"


@pytest.fixture
def gb(seller: Seller) -> Desk:
    return Desk(seller)


@pytest.fixture
def sg(seller: Seller) -> Desk:
    return Desk(seller, "SG")


def package(desk: Desk, package_id: str) -> dict[str, Any]:
    return desk.data("GET", f"{F}/packages/{package_id}")


def carrier(desk: Desk, tracking: str = "BOX-1") -> dict[str, str]:
    return {"tracking_number": tracking, "shipping_provider_id": desk.seller.provider(desk.shop)}


def groups(*lines: list[str]) -> dict[str, Any]:
    return {"splittable_groups": [{"id": f"box-{number}", "order_line_item_ids": each} for number, each in enumerate(lines)]}


def events(desk: Desk) -> list[str]:
    deliveries = desk.seller.control("GET", "webhooks")["deliveries"]
    return [each["body"]["data"]["sc_type"] for each in reversed(deliveries) if each["type"] == 4]


def pair(desk: Desk) -> tuple[str, str]:
    """Two orders of one buyer that wait to be shipped out of the same warehouse, which chance decides."""
    by_warehouse: dict[str, str] = {}
    while True:
        order_id = desk.seller.place(desk.shop, [("MUG-01", 1)])
        warehouse = desk.order(order_id)["warehouse_id"]
        if warehouse in by_warehouse:
            return by_warehouse[warehouse], order_id
        by_warehouse[warehouse] = order_id


def combined(desk: Desk) -> tuple[str, str, str]:
    first, second = pair(desk)
    (group,) = desk.data("GET", f"{F}/combinable_packages/search", page_size=20)["combinable_packages"]
    assert group["order_ids"] == [first, second]
    (made,) = desk.data("POST", f"{F}/packages/combine", {"combinable_packages": [group]})["packages"]
    return made["id"], first, second


def test_a_split_order_ships_package_by_package(gb: Desk) -> None:
    gb.seller.control("POST", "app", {"webhook_url": "http://127.0.0.1:9/nobody"})
    order_id = gb.seller.place("GB", [("MUG-01", 3)])
    ids = [line["id"] for line in gb.order(order_id)["line_items"]]
    answer = gb.data("POST", f"{F}/orders/{order_id}/split", groups(ids[:1], ids[1:]))["packages"]
    assert [each["splittable_group_id"] for each in answer] == ["box-0", "box-1"]
    order = gb.order(order_id)
    assert order["split_or_combine_tag"] == "SPLIT"
    assert [line["package_id"] for line in order["line_items"]] == [answer[0]["id"], answer[1]["id"], answer[1]["id"]]
    assert package(gb, answer[0]["id"])["split_and_combine_tag"] == "SPLIT"
    assert events(gb) == ["SPLIT"]
    shipped = gb.data("POST", f"{F}/orders/{order_id}/packages", {**carrier(gb), "order_line_item_ids": ids[1:]})
    assert shipped["package_id"] == answer[1]["id"]
    assert gb.order(order_id)["status"] == "PARTIALLY_SHIPPING"


def test_a_split_is_refused_where_it_makes_no_sense(gb: Desk, sg: Desk) -> None:
    order_id = gb.seller.place("GB", [("MUG-01", 2)])
    ids = [line["id"] for line in gb.order(order_id)["line_items"]]
    path = f"{F}/orders/{order_id}/split"
    assert gb.call("POST", path, {})["code"] == 36009004
    assert gb.call("POST", path, groups(ids))["code"] == 21011029
    assert gb.call("POST", path, groups(ids, ids))["code"] == 21001001
    assert gb.call("POST", path, groups(["1"], ids))["code"] == 21001001
    held = gb.seller.place("GB", [("MUG-01", 2)], release=False)
    assert gb.call("POST", f"{F}/orders/{held}/split", groups(["1"]))["code"] == 21011044
    whole = sg.seller.place("SG", [("MUG-01", 2), ("CAP-01", 1)])
    mugs = [line["id"] for line in sg.order(whole)["line_items"] if line["seller_sku"] == "MUG-01"]
    assert sg.call("POST", f"{F}/orders/{whole}/split", groups(mugs[:1]))["code"] == 21001001
    assert len(sg.data("POST", f"{F}/orders/{whole}/split", groups(mugs))["packages"]) == 1
    assert len(sg.order(whole)["packages"]) == 2


def test_orders_of_one_buyer_are_combined_and_shipped_as_one(sg: Desk) -> None:
    package_id, first, second = combined(sg)
    detail = package(sg, package_id)
    assert (detail["split_and_combine_tag"], [each["id"] for each in detail["orders"]], len(detail["order_line_item_ids"])) == ("COMBINE", [first, second], 2)
    assert {sg.order(each)["split_or_combine_tag"] for each in (first, second)} == {"COMBINED"}
    assert [each["id"] for each in sg.order(second)["packages"]] == [package_id]
    assert sg.data("GET", f"{F}/combinable_packages/search", page_size=20)["total_count"] == 0
    sg.data("POST", f"{F}/packages/{package_id}/ship", {"self_shipment": carrier(sg)})
    assert {sg.order(each)["status"] for each in (first, second)} == {"AWAITING_COLLECTION"}
    assert sg.call("POST", f"{F}/packages/{package_id}/ship", {"self_shipment": carrier(sg)})["code"] == 21011006
    sg.seller.control("POST", f"orders/{first}/collect")
    assert sg.order(second)["status"] == "IN_TRANSIT"
    sg.data("POST", f"{F}/packages/deliver", {"packages": [{"id": package_id, "delivery_type": "DELIVERY_SUCCESS"}]})
    assert {sg.order(each)["status"] for each in (first, second)} == {"DELIVERED"}


def test_the_carriers_calendar_moves_a_combined_parcel_as_one(sg: Desk) -> None:
    package_id, first, second = combined(sg)
    sg.data("POST", f"{F}/packages/{package_id}/ship", {"self_shipment": carrier(sg)})
    sg.advance(3 * 86_400)
    assert {sg.order(each)["status"] for each in (first, second)} == {"DELIVERED"}


def test_a_combined_package_is_taken_apart(sg: Desk) -> None:
    sg.seller.control("POST", "app", {"webhook_url": "http://127.0.0.1:9/nobody"})
    package_id, first, second = combined(sg)
    answer = sg.data("POST", f"{F}/packages/{package_id}/uncombine", {"order_ids": [second]})["packages"]
    assert {tuple(each["order_ids"]): each["id"] == package_id for each in answer} == {(second,): False, (first,): True}
    assert package(sg, package_id)["split_and_combine_tag"] == "DEFAULT"
    assert "split_or_combine_tag" not in sg.order(first)
    assert sg.call("POST", f"{F}/packages/{package_id}/uncombine", {})["code"] == 10007014
    assert events(sg) == ["COMBINE", "CANCEL_COMBINE"]


@pytest.mark.parametrize(("act", "sc_type"), [("cancel", "CANCEL_FULFILL_SPLIT"), ("address", "ADDRESS_UPDATE_SPLIT")])
def test_an_order_that_is_cancelled_or_moved_leaves_the_combined_package(sg: Desk, act: str, sc_type: str) -> None:
    sg.seller.control("POST", "app", {"webhook_url": "http://127.0.0.1:9/nobody"})
    package_id, first, second = combined(sg)
    sg.seller.control("POST", f"orders/{first}/{act}", {"by": "OPERATOR"} if act == "cancel" else {})
    assert [each["id"] for each in package(sg, package_id)["orders"]] == [second]
    assert sg.order(first)["line_items"][0]["package_id"] != package_id
    assert sc_type in events(sg)
    sg.data("POST", f"{F}/packages/{package_id}/ship", {"self_shipment": carrier(sg)})
    assert sg.order(second)["status"] == "AWAITING_COLLECTION"
    assert sg.order(first)["status"] == ("CANCELLED" if act == "cancel" else "AWAITING_SHIPMENT")


def test_orders_that_do_not_belong_together_stay_apart(sg: Desk, gb: Desk) -> None:
    first, _ = pair(sg)
    stranger = sg.seller.place("SG", [("MUG-01", 1)], buyer=7)
    wanted = [{"id": "1", "order_ids": [first, stranger]}, {"id": "2", "order_ids": [first]}, {"id": "3", "order_ids": [first, "1"]}]
    answer = sg.data("POST", f"{F}/packages/combine", {"combinable_packages": wanted})
    assert answer["packages"] == [] and [(each["code"], each["detail"]["id"]) for each in answer["errors"]] == [
        (10007014, "1"), (10007014, "2"), (21008111, "3"),
    ]  # fmt: skip
    pair(gb)
    assert gb.data("GET", f"{F}/combinable_packages/search", page_size=20)["combinable_packages"] == []


def test_own_deliveries_are_reported_by_the_seller(sg: Desk, gb: Desk) -> None:
    order_id = sg.shipped(to="AWAITING_COLLECTION")
    package_id = sg.order(order_id)["packages"][0]["id"]

    def report(desk: Desk, package_id: str, **entry: str) -> list[int]:
        answer = desk.data("POST", f"{F}/packages/deliver", {"packages": [{"id": package_id, **entry}]})
        return [each["code"] for each in answer.get("errors", [])]

    assert report(sg, package_id, delivery_type="DELIVERY_FAILED") == [21001001]
    assert report(sg, package_id, delivery_type="DELIVERY_FAILED", fail_delivery_reason="BUYER_REFUSED") == []
    assert report(sg, package_id, delivery_type="UPDATE_POD", file_url="https://example.com/pod.jpg") == [21011029]
    assert report(sg, package_id, delivery_type="DELIVERY_SUCCESS") == []
    assert sg.order(order_id)["status"] == "DELIVERED"
    assert report(sg, package_id, delivery_type="UPDATE_POD", file_url="https://example.com/pod.jpg") == []
    assert report(sg, "1", delivery_type="DELIVERY_SUCCESS") == [21011001]
    scanned = gb.order(gb.shipped(to="AWAITING_COLLECTION"))["packages"][0]["id"]
    assert report(gb, scanned, delivery_type="DELIVERY_SUCCESS") == [21001001]
