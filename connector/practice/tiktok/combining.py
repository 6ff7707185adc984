"""Packages that hold lines of several orders (TTS §5.5.10): every order keeps the same document of a combined package."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from .orderbook import Document, Order, load, save

if TYPE_CHECKING:
    from .marketplace import Marketplace

ROLES = {"BUYER": "ROLE_USER", "SELLER": "ROLE_SELLER", "OPERATOR": "ROLE_OPERATOR"}


def others(market: Marketplace, order: Order, package: Document) -> list[Order]:
    """The other orders in a combined package."""
    return [load(market, each["id"]) for each in package["orders"] if each["id"] != order.id]


def tell(order: Order, sc_type: str, role: str, packages: list[Document], at: int) -> None:
    """Webhook 4."""
    rows = [{"package_id": each["id"], "order_id_list": [one["id"] for one in each["orders"]]} for each in packages]
    order.announce(4, {"sc_type": sc_type, "role_type": ROLES.get(role, "ROLE_SYSTEM"), "package_list": rows, "update_time": at}, at)


def list_packages(order: Order) -> None:
    """What the order shows of its packages, after some have come and gone."""
    order.doc["packages"] = [{"id": each["id"]} for each in order.packages.values() if each["status"] != "CANCELLED"]
    alive = [each for each in order.packages.values() if each["status"] != "CANCELLED"]
    order.doc.pop("split_or_combine_tag", None)
    if any(len(each["orders"]) > 1 for each in alive):
        order.doc["split_or_combine_tag"] = "COMBINED"
    elif len(alive) > 1:
        order.doc["split_or_combine_tag"] = "SPLIT"


def combine(market: Marketplace, orders: list[Order], at: int) -> Document:
    """One package out of the unshipped packages of these orders. Saves nothing."""
    package_id = market.ids("package")[0]
    shared: Document = {
        "id": package_id,
        "status": "TO_FULFILL",
        "orders": [{"id": order.id, "skus": []} for order in orders],
        "order_line_item_ids": [line["id"] for order in orders for line in order.lines_in("AWAITING_SHIPMENT")],
        "create_time": at,
        "update_time": at,
    }
    for order in orders:
        for package in order.packages.values():
            if package["status"] == "TO_FULFILL":
                package |= {"status": "CANCELLED", "update_time": at}
        order.packages[package_id] = deepcopy(shared)
        for line in order.lines_in("AWAITING_SHIPMENT"):
            line |= {"package_id": package_id, "package_status": "TO_FULFILL"}
        list_packages(order)
        order.note(at, "packages combined", package_id)
        order.touch(at)
    tell(orders[0], "COMBINE", "SELLER", [shared], at)
    return shared


def leave_combined(market: Marketplace, order: Order, sc_type: str, role: str, at: int, line_ids: list[str] | None = None) -> Document | None:
    """Takes the order out of its unshipped combined package into one of its own, which is returned. `line_ids` leaves packages alone that hold none
    of them. The orders that stay are told by the next save."""
    for package in list(order.packages.values()):
        own = [line["id"] for line in order.lines if line["id"] in package["order_line_item_ids"]]
        if package["status"] != "TO_FULFILL" or len(package["orders"]) < 2 or (line_ids is not None and not set(own) & set(line_ids)):
            continue
        del order.packages[package["id"]]
        mine = {**package, "id": market.ids("package")[0], "orders": [{"id": order.id, "skus": []}], "order_line_item_ids": own, "update_time": at}
        order.packages[mine["id"]] = mine
        for line in order.lines:
            if line["id"] in own:
                line["package_id"] = mine["id"]
        rest = [each for each in package["orders"] if each["id"] != order.id]
        stays = {**package, "orders": rest, "order_line_item_ids": [each for each in package["order_line_item_ids"] if each not in own], "update_time": at}
        order.left.append(stays)
        list_packages(order)
        order.note(at, "left a combined package", f"{package['id']}: {sc_type}")
        tell(order, sc_type, role, [mine, stays], at)
        return mine
    return None


def take_out(market: Marketplace, order: Order, stays: Document) -> None:
    """Gives the orders that stay in a combined package its new document."""
    for entry in stays["orders"]:
        member = load(market, entry["id"])
        member.packages[stays["id"]] = deepcopy(stays)
        list_packages(member)
        member.note(stays["update_time"], "an order left the combined package", order.id)
        member.touch(stays["update_time"])
        save(market, member)
