"""Splitting, combining and delivering packages: the client against the practice marketplace (TTS §5.5.10; A267-A269)."""

from __future__ import annotations

from typing import Any

import pytest

from connector.clients.errors import Conflict, NotFound, Rejected, Uncertain
from connector.clients.tiktok import TikTokClient
from connector.practice.tiktok.markets import MARKETS, stable_id
from tests.clients.test_practice_tiktok import Shop

SELLER = {"shipping_type": "SELLER", "fulfillment_type": "FULFILLMENT_BY_SELLER"}


@pytest.fixture
def sg(practice_tiktok: Any) -> Shop:
    return Shop(practice_tiktok.url, "SG")


def place(shop: Shop, *skus: str, buyer: int = 7) -> str:
    placed = shop.tell("orders", shop="SG", lines=[{"sku": sku} for sku in skus], buyer=buyer, **SELLER)
    shop.tell(f"orders/{placed['id']}/release")
    return str(placed["id"])


def two_of_one_warehouse(shop: Shop, *skus: str) -> tuple[str, str]:
    """Two orders of one buyer; a shop sends one order in ten from its other warehouse, and such orders do not go together."""
    by_warehouse: dict[str, list[str]] = {}
    while True:
        number = place(shop, *skus)
        alike = by_warehouse.setdefault(shop.truth(number)["order"]["warehouse_id"], [])
        alike.append(number)
        if len(alike) == 2:
            return alike[0], alike[1]


def lines(client: TikTokClient, number: str) -> dict[str, str]:
    """Line id -> package id."""
    (order,) = client.get_orders([number])
    return {line["id"]: line["package_id"] for line in order["line_items"]}


def carrier(client: TikTokClient, package_id: str, tracking: str) -> None:
    client.ship_package(package_id, tracking_number=tracking, shipping_provider_id=stable_id("6617", f"carrier:SG:{MARKETS['SG'].carriers[0]}"))


def test_a_split_names_the_package_of_each_group_and_refuses_what_has_left(sg: Shop) -> None:
    """A268"""
    client, number = sg.client(), place(sg, "MUG-01", "TEE-BLA-S")
    (attributes,) = client.split_attributes([number])
    assert (attributes["can_split"], attributes["must_split"]) == (True, False)
    first, second = lines(client, number)
    made = client.split_order(number, {"mine": [first], "rest": [second]})
    assert lines(client, number) == {first: made["mine"], second: made["rest"]}
    assert client.package(made["mine"])["split_and_combine_tag"] == "SPLIT"
    with pytest.raises(Rejected) as refused:
        client.split_order(number, {"one": [first, second]})
    assert refused.value.code == "tts.package_status"
    carrier(client, made["mine"], "NV000001")
    with pytest.raises(Conflict) as gone:
        client.split_order(number, {"mine": [first]})
    assert gone.value.code == "tts.already_shipped"
    sg.tell("faults", kind="lost_answer", operation="packages.deliver", times=1)
    with pytest.raises(Uncertain):
        client.report_delivery([{"id": made["mine"], "delivery_type": "DELIVERY_SUCCESS"}])
    said = client.report_delivery([{"id": one, "delivery_type": "DELIVERY_SUCCESS"} for one in (made["mine"], made["rest"], "404")])
    assert {key: error.code for key, error in said.errors.items()} == {made["mine"]: "21011029", made["rest"]: "21011029", "404": "21011001"}
    assert client.package(made["mine"])["package_status"] == "COMPLETED"


def test_what_is_offered_is_combined_and_taken_apart_until_it_leaves(sg: Shop) -> None:
    """A269"""
    client = sg.client()
    one, two = two_of_one_warehouse(sg, "MUG-01")
    stranger = place(sg, "MUG-01", buyer=8)
    page = client.combinable_packages(page_size=1)
    (group,) = page.items
    assert (set(group["order_ids"]), page.next_page_token, page.total_count) == ({one, two}, None, 1)
    said = client.combine_packages({group["id"]: [one, two], "no": [one, stranger]})
    (package,) = said.data["packages"]
    assert set(said.errors) == {"no"}
    assert {*lines(client, one).values(), *lines(client, two).values()} == {package["id"]}
    assert client.combinable_packages().items == []
    apart = client.uncombine_package(package["id"], [one, two])
    assert sorted(order for each in apart for order in each["order_ids"]) == sorted([one, two])
    with pytest.raises((Rejected, NotFound)):
        client.uncombine_package(package["id"], [one, two])
    carrier(client, client.combine_packages({"again": [one, two]}).data["packages"][0]["id"], "NV000002")
    assert {order["line_items"][0]["tracking_number"] for order in client.get_orders([one, two])} == {"NV000002"}
