"""What may be asked, decided and calculated, the seller's own returns, the webhooks and the console (TTS §5.6.1, §5.6.4, §5.6.7, §5.8, §6.6)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
import requests

from .aftersale_shop import DAMAGED, DAY, HOUR, RETURN_DAMAGED, ROOT, Desk
from .receiver import Receiver, until
from .seller import Seller


@pytest.fixture
def desk(seller: Seller) -> Desk:
    return Desk(seller)


@pytest.fixture
def us(seller: Seller) -> Desk:
    return Desk(seller, "US")


def terms(desk: Desk, order_id: str, user: str = "SELLER", version: str = "202602") -> dict[str, dict[str, Any]]:
    path = f"{ROOT}/{version}/orders/{order_id}/aftersale_eligibility"
    rows = desk.data("GET", path, initiate_aftersale_user=user)["sku_eligibility"][0]["line_item_eligibility"]
    return {row["request_type"]: row for row in rows}


def create(desk: Desk, order_id: str, kind: str = "REFUND", reason: str = f"{DAMAGED}_seller", **more: Any) -> dict[str, Any]:
    query = {"idempotency_key": more.pop("key")} if "key" in more else {}
    body = {"order_id": order_id, "return_type": kind, "return_reason": reason, **more}
    return desk.call("POST", f"{ROOT}/202602/returns", body, **query)


def test_eligibility_follows_market_status_and_who_asks(desk: Desk, us: Desk) -> None:
    waiting = desk.seller.place("GB")
    assert {name: row["eligible"] for name, row in terms(desk, waiting).items()} == {"CANCEL": True, "REFUND": False, "RETURN_AND_REFUND": False}
    delivered = desk.shipped()
    by_seller, by_buyer = terms(desk, delivered), terms(desk, delivered, "BUYER")
    assert (by_seller["REFUND"]["eligible"], by_seller["RETURN_AND_REFUND"]["eligible"]) == (True, False)
    assert all(name.endswith("_seller") for name in by_seller["REFUND"]["available_reason_names"])
    assert by_buyer["RETURN_AND_REFUND"]["eligible"] and RETURN_DAMAGED in by_buyer["RETURN_AND_REFUND"]["available_reason_names"]
    assert len(by_buyer["REFUND"]["order_line_items_ids"]) == 2
    assert terms(us, us.shipped(to="IN_TRANSIT"))["RETURN_AND_REFUND"]["eligible"]
    desk.ask("REFUND", delivered)
    assert terms(desk, delivered)["REFUND"]["ineligible_code"] == 25001001


def test_the_decisions_of_each_situation_and_their_reject_reasons(desk: Desk) -> None:
    return_id = desk.ask("RETURN_AND_REFUND")
    assert desk.eligible(return_id) == {"APPROVE_RETURN", "REJECT_RETURN", "DIRECT_REFUND"}
    assert desk.eligible(return_id, check_decisions="REJECT_RETURN,APPROVE_REFUND") == {"REJECT_RETURN"}
    path = f"{ROOT}/202601/decision_eligibility"
    assert desk.call("GET", path, return_or_cancel_id=return_id, check_decisions="NONSENSE")["code"] == 36009004
    assert desk.call("GET", path, return_or_cancel_id="1")["code"] == 98001004
    rows = desk.data("GET", path, return_or_cancel_id=return_id)["decisions"]
    assert len(rows) == 11
    assert [row["decision"] for row in rows if row["available_reject_reasons"]] == ["REJECT_RETURN"]
    assert {row["ineligible_code"] for row in rows if not row["eligible"]} == {25001001}
    desk.approve(return_id, "APPROVE_RETURN")
    assert desk.eligible(return_id) == set()
    desk.act(return_id, "ship")
    assert desk.eligible(return_id) == {"APPROVE_RECEIVED_PACKAGE", "REJECT_RECEIVED_PACKAGE"}
    assert desk.eligible(desk.ask("REFUND")) == {"APPROVE_REFUND", "REJECT_REFUND"}
    assert desk.eligible(desk.ask("REPLACEMENT")) == {"APPROVE_REPLACEMENT", "REJECT_REPLACEMENT", "ISSUE_REPLACEMENT_REFUND"}


@pytest.mark.parametrize("version", ["202602", "202309"])
def test_a_refund_is_calculated_for_the_whole_and_for_lines(us: Desk, version: str) -> None:
    order_id = us.shipped()
    order = us.order(order_id)
    path, body = f"{ROOT}/{version}/refunds/calculate", {"order_id": order_id, "request_type": "REFUND", "reason_name": f"{DAMAGED}_seller"}
    whole = us.data("POST", path, body)["order_refund_amount"]
    assert Decimal(whole["refund_total"]) == Decimal(order["payment"]["total_amount"])
    assert Decimal(whole["refund_total"]) == sum(Decimal(whole[name]) for name in whole if name not in ("refund_total", "currency"))
    line = order["line_items"][0]
    part = us.data("POST", path, {**body, "order_line_item_ids": [line["id"]]})["order_refund_amount"]
    tax = sum(Decimal(each["tax_amount"]) for each in line["item_tax"])
    assert Decimal(part["refund_total"]) == Decimal(line["sale_price"]) + tax and Decimal(part["refund_tax"]) == tax > 0
    assert us.call("POST", path, {**body, "reason_name": DAMAGED})["code"] == 25001021
    assert us.call("POST", path, {**body, "request_type": "CANCEL"})["code"] == 25001001
    assert us.call("POST", path, {**body, "request_type": "NONSENSE"})["code"] == 36009004
    assert us.find() == []


def test_the_seller_refunds_on_his_own_at_once_and_once_per_key(us: Desk) -> None:
    order_id = us.shipped()
    line = us.order(order_id)["line_items"][0]
    chosen = {"order_line_list": [{"order_line_item_id": line["id"]}]}
    first = create(us, order_id, key="memo-1", **chosen)
    assert first["data"]["return_status"] == "RETURN_OR_REFUND_REQUEST_SUCCESS"
    assert create(us, order_id, key="memo-1", **chosen)["data"] == first["data"]
    assert create(us, order_id, key="memo-2", **chosen)["code"] == 25001001
    (found,) = us.find(order_ids=[order_id])
    assert (found["role"], [each["order_line_item_id"] for each in found["return_line_items"]]) == ("SELLER", [line["id"]])
    us.advance(2 * HOUR)
    assert us.status(found["return_id"]) == "RETURN_OR_REFUND_REQUEST_COMPLETE"
    assert us.order(order_id)["status"] == "DELIVERED"
    back = create(us, order_id, "RETURN_AND_REFUND", f"{RETURN_DAMAGED}_seller")["data"]
    assert back["return_status"] == "AWAITING_BUYER_SHIP"


def test_what_the_seller_may_not_refund(desk: Desk) -> None:
    order_id = desk.shipped()
    assert create(desk, order_id, refund_total="99999", currency="GBP")["code"] == 98001004
    assert create(desk, order_id, refund_total="0", currency="GBP")["code"] == 98001004
    assert create(desk, order_id, refund_total="1.005", currency="GBP")["code"] == 98001004
    assert create(desk, order_id, refund_total="1.00", currency="USD")["code"] == 98001004
    assert create(desk, order_id, reason=DAMAGED)["code"] == 25001021
    assert create(desk, order_id, "REPLACEMENT")["code"] == 36009004
    assert create(desk, order_id, "RETURN_AND_REFUND", f"{RETURN_DAMAGED}_seller")["code"] == 25001001  # not in the UK
    assert create(desk, desk.seller.place("GB"))["code"] == 25001001
    assert create(desk, "576460000000999999")["code"] == 21008111
    assert create(desk, order_id, refund_total="1.00", currency="GBP")["code"] == 0


def test_a_label_of_the_sellers_own_goes_with_the_return(desk: Desk) -> None:
    return_id = desk.ask("RETURN_AND_REFUND", shipment_type="BUYER_ARRANGE")
    desk.approve(return_id, "APPROVE_RETURN")
    path, seller = f"{ROOT}/202405/returns/shipping_documents", desk.seller
    query = {"app_key": seller.app["app_key"], "timestamp": str(desk.now()), "shop_cipher": seller.ciphers["GB"], "return_ids": return_id}
    query["sign"] = seller.sign(path, query, multipart=True)
    files = {"return_shipping_label": ("label.pdf", b"%PDF-1.4", "application/pdf")}
    headers = {"x-tts-access-token": seller.tokens["access_token"]}
    answer = requests.post(f"{seller.url}{path}", params=query, headers=headers, files=files, data={"tracking_number": "LABEL-1"}, timeout=20).json()
    assert answer["code"] == 0, answer
    found = desk.one(return_id)
    assert (found["return_method"], found["return_shipping_document_type"], found["return_tracking_number"]) == ("SELLER_SHIPPED", "SHIPPING_LABEL", "LABEL-1")


# -- webhooks -------------------------------------------------------------------------------------------------------------------------------


def told(receiver: Receiver) -> list[str]:
    return [each["data"]["return_status"] for each in receiver.of(12)]


def test_every_move_of_a_return_is_announced(desk: Desk, receiver: Receiver) -> None:
    return_id = desk.ask("RETURN_AND_REFUND")
    desk.approve(return_id, "APPROVE_RETURN")
    desk.act(return_id, "ship")
    desk.approve(return_id, "APPROVE_RECEIVED_PACKAGE")
    desk.advance(2 * HOUR)
    wanted = ["RETURN_OR_REFUND_REQUEST_PENDING", "AWAITING_BUYER_SHIP", "BUYER_SHIPPED_ITEM"]
    wanted += ["RETURN_OR_REFUND_REQUEST_SUCCESS", "RETURN_OR_REFUND_REQUEST_COMPLETE"]
    until(lambda: len(told(receiver)) == 5)
    assert sorted(told(receiver)) == sorted(wanted)
    data = receiver.of(12)[0]["data"]
    assert set(data) == {"order_id", "return_id", "return_role", "return_type", "return_status", "create_time", "update_time"}
    assert (data["return_id"], data["return_role"], data["return_type"]) == (return_id, "BUYER", "RETURN_AND_REFUND")


def sent(desk: Desk) -> bool:
    """Whether every webhook that is due has been delivered; what is held back or delayed by an hour is not due."""
    rows, now = desk.seller.control("GET", "webhooks")["deliveries"], desk.seller.now()
    return not any(row["state"] == "waiting" and row["due_time"] <= now + 60 for row in rows)


@pytest.mark.parametrize(("kind", "arrivals"), [("webhook_lost", 1), ("webhook_duplicate", 3), ("webhook_delay", 1), ("webhook_reorder", 2)])
def test_the_faults_of_webhooks_act_on_returns(desk: Desk, receiver: Receiver, kind: str, arrivals: int) -> None:
    desk.seller.control("POST", "faults", {"kind": kind, "operation": "RETURN_STATUS_CHANGE", "times": 1, "seconds": 3600})
    return_id = desk.ask("REFUND")
    until(lambda: sent(desk))
    desk.approve(return_id, "APPROVE_REFUND")
    until(lambda: sent(desk))
    assert len(told(receiver)) == arrivals
    if kind == "webhook_reorder":
        assert told(receiver) == ["RETURN_OR_REFUND_REQUEST_SUCCESS", "RETURN_OR_REFUND_REQUEST_PENDING"]
    if kind == "webhook_delay":
        desk.advance(3700)
        until(lambda: "RETURN_OR_REFUND_REQUEST_PENDING" in told(receiver))


# -- console and control --------------------------------------------------------------------------------------------------------------------


def test_a_person_places_cancels_and_returns_in_the_console(desk: Desk) -> None:
    url, http = f"{desk.seller.url}/console", desk.seller.http
    shop = desk.seller.app["shops"][0]["id"]
    page = http.post(f"{url}/orders", data={"sku": "MUG-01", "quantity": "1", "shop": shop, "pay": "on"}, timeout=20)
    assert "Cancel as the buyer" in page.text
    assert "CANCELLED" in http.post(page.url + "/cancel", timeout=20).text
    order_id = desk.shipped()
    page = http.get(f"{url}/orders/{order_id}", timeout=20)
    assert "Ask for a return" in page.text
    asked = http.post(f"{url}/orders/{order_id}/return", data={"type": "RETURN_AND_REFUND", "note": "Too <small>", "pictures": "1"}, timeout=20)
    assert "RETURN_OR_REFUND_REQUEST_PENDING" in asked.text and "Take the request back" in asked.text
    assert "Ask for a return" not in asked.text
    (found,) = desk.find(order_ids=[order_id])
    desk.approve(found["return_id"], "APPROVE_RETURN")
    listed = http.get(f"{url}/returns", timeout=20).text
    assert "Send the goods" in listed and order_id in listed
    assert "BUYER_SHIPPED_ITEM" in http.post(f"{url}/returns/{found['return_id']}/ship", timeout=20).text
    refused = http.post(f"{url}/returns/{found['return_id']}/ship", timeout=20)
    assert refused.status_code == 400 and "not AWAITING_BUYER_SHIP" in refused.text
    assert http.post(f"{url}/returns/1/ship", timeout=20).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("orders/{}/return", {"type": "NONSENSE"}, 400),
        ("orders/{}/return", {"type": "REFUND", "by": "SELLER"}, 400),
        ("orders/{}/return", {"type": "REFUND", "reason": "because"}, 400),
        ("orders/{}/return", {"type": "REFUND", "amount": "99999"}, 400),
        ("orders/{}/return", {"type": "REFUND", "pictures": 99}, 400),
        ("orders/{}/return", {"type": "REFUND", "line_ids": ["1"]}, 400),
        ("returns/1/withdraw", {}, 404),
        ("returns/1/fly", {}, 404),
    ],
)
def test_the_control_api_says_what_is_wrong(desk: Desk, path: str, body: dict[str, Any], status: int) -> None:
    order_id = desk.shipped()
    answer = desk.seller.http.post(f"{desk.seller.url}/practice/{path.format(order_id)}", json=body, timeout=20)
    assert answer.status_code == status and answer.json()["error"]


def test_a_return_is_told_in_full_by_the_control_api(desk: Desk) -> None:
    order_id = desk.shipped()
    return_id = desk.ask("REFUND", order_id, amount="2.50")
    truth = desk.seller.control("GET", f"returns/{return_id}")
    assert (truth["refund_amount"]["refund_total"], truth["region"]) == ("2.50", "GB")
    assert truth["decisions"] == ["APPROVE_REFUND", "OFFER_PARTIAL_REFUND", "REJECT_REFUND"]
    assert desk.seller.control("GET", "returns?status=RETURN_OR_REFUND_REQUEST_PENDING")["by_status"] == {"RETURN_OR_REFUND_REQUEST_PENDING": 1}
    assert desk.seller.control("GET", f"orders/{order_id}")["summary"]["returns"][0]["return_id"] == return_id
    desk.advance(DAY)
