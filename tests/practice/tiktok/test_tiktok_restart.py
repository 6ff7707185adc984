"""State outlives the process, also one that is killed in the middle of writing (TTS §8, product.md 13)."""

from __future__ import annotations

import threading
from pathlib import Path

import requests

from connector.practice.serve import PracticeServer

from .receiver import until
from .seller import Seller


def test_a_killed_server_comes_back_with_everything_on_the_same_port(tmp_path: Path) -> None:
    with PracticeServer("tiktok", tmp_path) as server:
        seller = Seller(server.url)
        seller.control("POST", "seed", {"orders": 40, "seed": 4})
        order_id = seller.place()
        seller.control("POST", "settings", {"hold_seconds": 1800})
        seller.control("POST", "faults", {"kind": "slow", "operation": "returns.search"})
        seller.control("POST", "clock", {"advance_seconds": 600})
        before = seller.control("GET", "orders")
        url = server.url
        server.kill()
        server.start()
        assert server.url == url
        assert seller.control("GET", "app")["app_key"] == seller.app["app_key"]
        assert seller.control("GET", "orders") == before
        assert seller.control("GET", "settings")["hold_seconds"] == 1800
        assert seller.control("GET", "faults")["faults"][0]["kind"] == "slow"
        assert seller.control("GET", "clock")["offset_seconds"] >= 599
        assert seller.data("GET", "/order/202507/orders", ids=order_id, timestamp=seller.now())["orders"][0]["id"] == order_id
        assert seller.place() > order_id, "ids are never given twice"


def test_what_was_due_while_the_server_was_down_is_dated_when_it_was_due(tmp_path: Path) -> None:
    with PracticeServer("tiktok", tmp_path) as server:
        seller = Seller(server.url)
        seller.control("POST", "settings", {"hold_seconds": 2})
        order_id = seller.place(release=False)
        paid = seller.order(order_id)["paid_time"]
        seller.control("POST", "clock", {"rate": 30})
        server.stop()
        server.start()
        threading.Event().wait(0.3)
        order = seller.data("GET", "/order/202507/orders", ids=order_id, timestamp=seller.now())["orders"][0]
        assert (order["status"], order["update_time"]) == ("AWAITING_SHIPMENT", paid + 2)


def test_a_write_that_a_kill_interrupts_is_done_whole_or_not_at_all(tmp_path: Path) -> None:
    with PracticeServer("tiktok", tmp_path) as server:
        seller = Seller(server.url)
        ids = [seller.place(lines=[("MUG-01", 3)]) for _ in range(30)]
        provider, done = seller.provider(), []

        def ship_all() -> None:
            try:
                for number, order_id in enumerate(ids):
                    body = {"tracking_number": f"KILL-{number}", "shipping_provider_id": provider}
                    seller.data("POST", f"/fulfillment/202309/orders/{order_id}/packages", body=body)
                    done.append(order_id)
            except requests.RequestException:
                pass

        thread = threading.Thread(target=ship_all)
        thread.start()
        until(lambda: len(done) >= 5)
        server.kill()
        thread.join()
        server.start()
        truth = {each["id"]: each for each in Seller(server.url).control("GET", "orders")["orders"]}
        for order_id in ids:
            shipped = truth[order_id]["status"] == "AWAITING_COLLECTION"
            assert len(truth[order_id]["packages"]) == int(shipped)
            assert shipped or order_id not in done
            if shipped:
                assert len(truth[order_id]["packages"][0]["order_line_item_ids"]) == 3
