"""The TikTok Shop client against a scripted server: clock, token, versions, pages, bodies."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.clients.base import CallRecord, Transport
from connector.clients.errors import Conflict, PageTokenRefused, Rejected, Unauthorized, Uncertain
from connector.clients.tiktok import TikTokAuth, Window, authorization_url, external_order
from tests.clients.scripted import Reply, ScriptedServer, tts

CLOCK = tts(code=36009004, message="timestamp is out of the accepted window", status=400)


class Tokens:
    """A token store whose refresh must be given the refused token."""

    def __init__(self) -> None:
        self.current, self.refused = "old", list[str]()

    def token(self) -> str:
        return self.current

    def refresh(self, refused: str) -> None:
        self.refused.append(refused)
        self.current = "new"


@pytest.mark.parametrize("code", [105001, 105002])
def test_an_expired_token_is_refreshed_once_and_the_call_repeated_even_for_a_write(code: int, server: ScriptedServer, tiktok: Any) -> None:
    tokens = Tokens()
    server.then(tts(code=code, message="expired", status=401), tts({"package_id": "1"}))
    client = tiktok(token=tokens.token, refresh=tokens.refresh)
    client.mark_shipped("5", line_ids=["1"], tracking_number="TT1", shipping_provider_id="2")
    assert tokens.refused == ["old"]
    assert [r.headers["x-tts-access-token"] for r in server.received] == ["old", "new"]


def test_a_token_refused_twice_is_given_up(server: ScriptedServer, tiktok: Any) -> None:
    tokens = Tokens()
    server.default = tts(code=105002, message="expired", status=401)
    with pytest.raises(Unauthorized) as caught:
        tiktok(token=tokens.token, refresh=tokens.refresh).warehouses()
    assert (caught.value.reason, len(server.received), tokens.refused) == ("expired", 2, ["old"])


@pytest.mark.parametrize("code", [105003, 105004, 105005, 106001, 101000])
def test_other_refusals_of_the_gateway_are_not_repeated(code: int, server: ScriptedServer, tiktok: Any) -> None:
    tokens = Tokens()
    server.default = tts(code=code, message="no", status=401)
    with pytest.raises(Unauthorized):
        tiktok(token=tokens.token, refresh=tokens.refresh).warehouses()
    assert (len(server.received), tokens.refused) == (1, [])


def test_the_clock_is_learnt_from_every_answer_and_used_for_the_next_timestamp(server: ScriptedServer, tiktok: Any) -> None:
    ahead = time.time() + 3600
    learnt: list[float] = []
    server.default = tts({"warehouses": []}, date=ahead)
    client = tiktok(on_clock_offset=learnt.append)
    client.warehouses()
    client.warehouses()
    first, second = (int(r.query["timestamp"]) for r in server.received)
    assert abs(first - time.time()) < 60
    assert abs(second - ahead) < 60
    assert learnt == [pytest.approx(3600, abs=60)]
    assert client.clock_offset == learnt[0]
    assert abs((client.now() - datetime.now(UTC)).total_seconds() - 3600) < 60


def test_a_refused_timestamp_is_learnt_and_the_call_repeated_once(server: ScriptedServer, tiktok: Any) -> None:
    ahead = time.time() + 900
    CLOCK.date = ahead
    server.then(CLOCK, tts({"package_id": "1"}, date=ahead))
    tiktok().mark_shipped("5", line_ids=["1"], tracking_number="TT1", shipping_provider_id="2")
    first, second = server.received
    assert int(second.query["timestamp"]) - int(first.query["timestamp"]) == pytest.approx(900, abs=60)
    assert first.query["sign"] != second.query["sign"]
    server.default = CLOCK
    with pytest.raises(Unauthorized) as caught:
        tiktok().warehouses()
    assert caught.value.code == "tts.clock"
    assert len(server.received) == 4


@pytest.mark.parametrize("code", [36009009, 36009014])
def test_a_version_no_longer_offered_falls_back_with_the_older_body_and_stays_there(code: int, server: ScriptedServer, tiktok: Any) -> None:
    server.then(tts(code=code, message="no", status=404)).default = tts({"package_id": "1"})
    client = tiktok()
    for _ in range(2):
        client.mark_shipped("5", line_ids=["11", "12"], tracking_number="TT1", shipping_provider_id="2")
    assert [r.path.split("/")[2] for r in server.received] == ["202610", "202309", "202309"]
    assert server.received[0].json == {
        "order_line_list": [{"order_line_id": "11"}, {"order_line_id": "12"}],
        "shipping_info_list": [{"tracking_number": "TT1", "shipping_provider_id": "2"}],
    }
    assert server.received[1].json == {"order_line_item_ids": ["11", "12"], "tracking_number": "TT1", "shipping_provider_id": "2"}


def test_a_pinned_version_is_used_at_once(server: ScriptedServer, tiktok: Any) -> None:
    server.default = tts({"tracking": [{"description": "Picked up", "update_time_millis": 1767225600000}]})
    (event,) = tiktok(versions={"order_tracking": "202309"}).order_tracking("5")
    assert server.received[0].path == "/fulfillment/202309/orders/5/tracking"
    assert (event.at, event.description) == (datetime(2026, 1, 1, tzinfo=UTC), "Picked up")


def test_the_newer_tracking_comes_in_the_same_shape(server: ScriptedServer, tiktok: Any) -> None:
    track = {"description": "Delivered", "tracking_no": "TT1", "update_time_millis": 1767225600000, "action_code": 50}
    server.default = tts({"order_id": "5", "logistics_details": [{"carrier_name": "Evri", "track_list": [track]}]})
    (event,) = tiktok().order_tracking("5")
    assert (event.carrier, event.tracking_number, event.action_code) == ("Evri", "TT1", 50)
    assert server.received[0].path == "/logistics/202604/orders/5/tracking"


def test_operations_without_a_fallback_report_the_missing_path(server: ScriptedServer, tiktok: Any) -> None:
    server.default = tts(code=36009009, message="path does not exist", status=404)
    with pytest.raises(Rejected) as caught:
        tiktok().warehouses()
    assert caught.value.code == "tts.version_unavailable"


def test_the_cipher_goes_only_where_it_belongs(server: ScriptedServer, tiktok: Any) -> None:
    """TTS §1.6"""
    server.default = tts({})
    client = tiktok()
    client.authorized_shops()
    client.active_shops()
    client.permissions()
    client.deauthorize()
    client.warehouses()
    assert ["shop_cipher" in r.query for r in server.received] == [False, False, False, True, True]
    bare = tiktok(shop_cipher=None)
    assert bare.authorized_shops() == []
    with pytest.raises(ValueError, match="cipher"):
        bare.warehouses()


def test_orders_are_read_page_by_page_until_no_token_comes(server: ScriptedServer, tiktok: Any) -> None:
    """A short page is not the end; a missing or an empty token is (TTS §4)."""
    server.then(
        tts({"orders": [{"id": "1"}], "next_page_token": "a+/=", "total_count": 3}),
        tts({"orders": [], "next_page_token": "b"}),
        tts({"orders": [{"id": "2"}, {"id": "3"}], "next_page_token": ""}),
    )
    start = datetime(2026, 1, 1, tzinfo=UTC)
    window = Window(start, start + timedelta(hours=1))
    assert [o["id"] for o in tiktok().iter_orders(window, filters={"shipping_type": "SELLER"})] == ["1", "2", "3"]
    assert [r.query.get("page_token") for r in server.received] == [None, "a+/=", "b"]
    body = {"shipping_type": "SELLER", "update_time_ge": 1767225600, "update_time_lt": 1767229200}
    for request in server.received:
        assert request.json == body
        assert (request.query["sort_field"], request.query["sort_order"], request.query["page_size"]) == ("update_time", "ASC", "100")


def test_a_page_token_refused_in_mid_window_is_told_as_such(server: ScriptedServer, tiktok: Any) -> None:
    server.then(tts({"orders": [{"id": "1"}], "next_page_token": "x"}), tts(code=36009004, message="page_token invalid", status=400))
    pages = tiktok().iter_order_pages(Window(None, None))
    assert next(pages).items == [{"id": "1"}]
    with pytest.raises(PageTokenRefused):
        next(pages)


def test_orders_by_id_are_fetched_fifty_at_a_time(server: ScriptedServer, tiktok: Any) -> None:
    server.default = tts({"orders": [{"id": "1"}]})
    client = tiktok()
    assert len(list(client.get_all_orders(str(n) for n in range(101)))) == 3
    assert [len(r.query["ids"].split(",")) for r in server.received] == [50, 50, 1]
    with pytest.raises(ValueError, match="50"):
        client.get_orders([str(n) for n in range(51)])
    assert client.get_orders([]) == []
    assert len(server.received) == 3


def test_batch_answers_tell_who_failed_and_why(server: ScriptedServer, tiktok: Any) -> None:
    failed = {"code": "36020001", "message": "Order id not valid", "detail": {"order_id": "2", "external_order": {"id": "9", "platform": "MAGENTO"}}}
    server.default = tts({"errors": [failed]})
    entries = [external_order("1", "000000071", {"11": "78"}), external_order("2", "000000072", {"21": "79"})]
    result = tiktok().put_external_orders(entries)
    assert set(result.errors) == {"2"}
    assert (result.errors["2"].code, result.errors["2"].message) == ("36020001", "Order id not valid")
    assert server.received[0].json["orders"][0] == {
        "id": "1",
        "external_order": {"id": "000000071", "platform": "MAGENTO", "line_items": [{"id": "78", "origin_id": "11"}]},
    }
    extra = {"code": 10007014, "message": "m", "detail": {"package_id": "p", "extra_errors": [{"code": 1, "message": "frozen"}]}}
    server.default = tts({"errors": [extra, {"code": 5, "message": "nameless"}]})
    shipped = tiktok().batch_ship([{"id": "p"}])
    assert shipped.errors["p"].extra == (("1", "frozen"),)
    assert shipped.unnamed[0].message == "nameless"


def test_shipping_twice_is_a_conflict(server: ScriptedServer, tiktok: Any) -> None:
    server.default = tts(code=21011006, message="Already shipped")
    with pytest.raises(Conflict) as caught:
        tiktok().mark_shipped("5", line_ids=["1"], tracking_number="TT1", shipping_provider_id="2")
    assert caught.value.code == "tts.already_shipped"


def test_missing_lists_are_empty_lists(server: ScriptedServer, tiktok: Any) -> None:
    server.default = tts({})
    client = tiktok()
    assert client.search_returns().items == []
    assert list(client.iter_cancellations({"order_ids": ["1"]})) == []
    assert client.webhooks() == client.delivery_options("1") == client.shipping_providers("1") == client.split_attributes(["1"]) == []


GRANT = {
    "access_token": "at-never-shown",
    "access_token_expire_in": 1767830400,
    "refresh_token": "rt-never-shown",
    "refresh_token_expire_in": 1798761600,
    "open_id": "o",
    "seller_name": "Example Ltd",
    "seller_base_region": "GB",
    "user_type": 0,
    "granted_scopes": ["seller.order.info"],
}


def test_tokens_are_exchanged_and_refreshed_and_never_recorded(server: ScriptedServer, transport: Transport, records: list[CallRecord]) -> None:
    server.default = tts(GRANT)
    auth = TikTokAuth(transport, app_key="k", app_secret="s-never-shown", base_url=server.url)
    grant = auth.token("code-never-shown")
    assert grant.access_token_expires_at == datetime(2026, 1, 8, tzinfo=UTC)
    assert grant.granted_scopes == ("seller.order.info",)
    auth.refresh("rt-never-shown")
    first, second = server.received
    assert (first.path, first.query["grant_type"], first.query["auth_code"]) == ("/api/v2/token/get", "authorized_code", "code-never-shown")
    assert (second.path, second.query["grant_type"]) == ("/api/v2/token/refresh", "refresh_token")
    assert len(records) == 2
    assert "never-shown" not in repr(records) + repr(grant)
    assert b"Example Ltd" in (records[0].response_body or b"")


@pytest.mark.parametrize(
    ("code", "ours"), [(36004001, "tts.refresh_refused"), (36004004, "tts.auth_code_invalid"), (36004005, "tts.not_authorized"), (36009043, "tts.deactivated")]
)
def test_refused_tokens_ask_for_consent_again_whatever_the_http_status(code: int, ours: str, server: ScriptedServer, transport: Transport) -> None:
    server.default = tts(code=code, message="no", status=200)
    with pytest.raises(Unauthorized) as caught:
        TikTokAuth(transport, app_key="k", app_secret="s", base_url=server.url).refresh("r")
    assert caught.value.code == ours


def test_a_refresh_whose_answer_is_lost_is_uncertain_and_not_repeated(server: ScriptedServer, transport: Transport) -> None:
    server.default = Reply(close=True)
    with pytest.raises(Uncertain):
        TikTokAuth(transport, app_key="k", app_secret="s", base_url=server.url).refresh("r")
    assert len(server.received) == 1


def test_the_consent_link_depends_on_the_region() -> None:
    assert authorization_url("7", "a b", region="US") == "https://services.us.tiktokshop.com/open/authorize?service_id=7&state=a+b"
    assert authorization_url("7", "x", region="GB").startswith("https://services.tiktokshop.com/open/authorize?")
    assert authorization_url("7", "x", base_url="http://127.0.0.1:5001/") == "http://127.0.0.1:5001/open/authorize?service_id=7&state=x"
