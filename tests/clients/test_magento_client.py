"""The Magento client against recorded answers of a real Magento 2.4.6: requests as recorded, answers read, lists walked."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from connector.clients.errors import NotFound, Rejected, Unavailable, Uncertain
from connector.clients.magento import BadBaseUrl, Salable, SearchCriteria, normalise_base_url
from connector.clients.magento.search import chunks, keyset, pages, sku_criteria
from tests.clients.recorded import capture
from tests.clients.scripted import Reply, ScriptedServer


def reply(name: str) -> Reply:
    response = capture(name)["response"]
    return Reply(response["status"], response["body"] if response["body"] != "" else "", content_type=response["content_type"])


ADDRESS = capture("virtual-01-billing-address")["request"]["body"]["address"]
SHIPPING = capture("aplus-05-shipping-information")["request"]["body"]["addressInformation"]
TRACK = {"track_number": "1Z999AA10123456784", "title": "UPS", "carrier_code": "ups"}

# A recorded exchange, our call for it, and what our call returns (None: not looked at).
CALLS: list[tuple[str, Callable[[Any], Any], Any]] = [
    ("aplus-02-cart-create", lambda c: c.create_cart(store=None), "10"),
    ("aplus-03-item-1", lambda c: c.add_item("10", "MUG-01", 3, store=None)["item_id"], 14),
    (
        "aplus-05-shipping-information",
        lambda c: c.shipping_information(
            "10",
            shipping_address=SHIPPING["shipping_address"],
            billing_address=SHIPPING["billing_address"],
            carrier_code=SHIPPING["shipping_carrier_code"],
            method_code=SHIPPING["shipping_method_code"],
            store=None,
        )["payment_methods"][0]["code"],
        "checkmo",
    ),
    ("aplus-06-place", lambda c: c.place_order("10", store=None), "81"),
    ("aplus-13-comment-with-status", lambda c: c.comment(81, "TikTok order 576461000000000001", status="pending"), None),
    ("aplus-14-invoice", lambda c: c.invoice("81", comment="Paid on TikTok Shop"), "13"),
    ("aplus-17-ship-partial", lambda c: c.ship(81, items={"78": 1}, tracks=[TRACK], source_code="wh_east"), "18"),
    ("aplus-18-shipment-get", lambda c: c.get_shipment(18)["entity_id"], 18),
    ("aplus-15-invoice-get", lambda c: c.get_invoice("13")["entity_id"], 13),
    ("aplus-25-creditmemo-get", lambda c: c.get_creditmemo(6)["entity_id"], 6),
    ("aplus-22-track-add", lambda c: c.add_track(order_id=81, shipment_id=19, track_number="TT0003", title="TikTok Shipping"), "13"),
    ("track-delete", lambda c: c.delete_track("7"), True),
    ("aplus-08-order-after-place", lambda c: c.order(81)["increment_id"], "000000071"),
    ("aplus-31-cart-after-place", lambda c: c.cart("10")["is_active"], False),
    ("cart-items", lambda c: len(c.cart_items("11")), len(capture("cart-items")["response"]["body"])),
    ("cancel-08-cancel", lambda c: c.cancel(82), True),
    ("cancel-11-cancel-again", lambda c: c.cancel(82), False),
    ("order-hold", lambda c: c.hold(4), None),
    ("order-unhold", lambda c: c.unhold("4"), None),
    ("order-comments", lambda c: c.comments(4)[0]["status"], "pending"),
    ("virtual-01-billing-address", lambda c: c.billing_address("16", ADDRESS, store=None), None),
    ("refuse-12-estimate-shipping", lambda c: c.estimate_shipping("17", ADDRESS, store=None)[0]["carrier_code"], "freeshipping"),
    ("stock-source-items-save", lambda c: c.save_source_items(capture("stock-source-items-save")["request"]["body"]["sourceItems"]), None),
    ("stock-source-selection", lambda c: c.source_selection(2, {"MUG-01": 30})["source_selection_items"][0]["source_code"], "wh_west"),
    ("stock-resolver", lambda c: c.stock_for_website("base")["stock_id"], 2),
    ("stock-item-get", lambda c: c.stock_item("MUG-01")["qty"], 50),
    ("aplus-09-salable-after-place", lambda c: c.salable_quantity("MUG-01", 2), Decimal(47)),
    ("store-views", lambda c: [v["code"] for v in c.store_views()], ["default", "fr", "eu_en"]),
    ("store-websites", lambda c: sorted(w["code"] for w in c.websites()), ["base", "eu"]),
    ("store-groups", lambda c: all(g["id"] for g in c.store_groups()), True),
    ("store-configs", lambda c: c.store_configs()[0]["weight_unit"], "lbs"),
    ("directory-currency", lambda c: c.currency()["base_currency_code"], "USD"),
    ("directory-country-us", lambda c: c.country("US")["id"], "US"),
    ("modules", lambda c: c.modules()[0], "Magento_Store"),
    ("catalog-media", lambda c: c.product_media("MUG-01")[0]["media_type"], "image"),
    ("catalog-children", lambda c: c.children("TEE")[0]["type_id"], "simple"),
    ("catalog-base-prices-information", lambda c: bool(c.base_prices(capture("catalog-base-prices-information")["request"]["body"]["skus"])), True),
    ("catalog-special-price-information", lambda c: c.special_prices(["SALE-01"])[0]["price_from"], "2024-01-01 00:00:00"),
    ("order-address-put", lambda c: c.update_address(58, capture("order-address-put")["request"]["body"]["entity"])["city"], "Austin"),
    ("aplus-10-correct", lambda c: c.correct_order(capture("aplus-10-correct")["request"]["body"]["entity"])["entity_id"], 81),
    ("b-01-direct-post", lambda c: bool(c.create_order_direct(capture("b-01-direct-post")["request"]["body"]["entity"])["entity_id"]), True),
    ("customer-create", lambda c: bool(c.create_customer(capture("customer-create")["request"]["body"]["customer"])["id"]), True),
]


@pytest.mark.parametrize(("name", "call", "expected"), CALLS, ids=lambda v: v if isinstance(v, str) else "")
def test_a_call_is_the_recorded_one_and_its_answer_is_read(name: str, call: Callable[[Any], Any], expected: Any, server: ScriptedServer, magento: Any) -> None:
    recorded = capture(name)["request"]
    server.default = reply(name)
    found = call(magento())
    assert expected is None or found == expected
    (request,) = server.received
    assert (request.method, request.path.rstrip("/")) == (recorded["method"], recorded["path"].rstrip("/"))
    assert (request.json if request.body else None) == recorded["body"]


SEARCHES: list[tuple[str, Callable[[Any], Any]]] = [
    ("aplus-01-lookup-ext-order-id", lambda c: c.find_orders(ext_order_id="576461000000000001", fields="items[entity_id,increment_id,quote_id],total_count")),
    ("aplus-07-lookup-quote-id", lambda c: c.find_orders(quote_id="10", fields="items[entity_id,increment_id,quote_id,ext_order_id],total_count")),
    ("shipments-by-order", lambda c: c.shipments_of("1")),
    ("invoices-by-order", lambda c: c.invoices_of(1)),
    ("creditmemos-by-order", lambda c: c.creditmemos_of(capture("creditmemos-by-order")["request"]["query"][1][1])),
    ("customer-search-email", lambda c: c.search_customers("alice@example.com")),
]


@pytest.mark.parametrize(("name", "call"), SEARCHES, ids=lambda v: v if isinstance(v, str) else "")
def test_a_look_up_asks_for_what_was_recorded_and_gives_the_rows(name: str, call: Callable[[Any], Any], server: ScriptedServer, magento: Any) -> None:
    exchange = capture(name)
    server.default = reply(name)
    assert call(magento()) == (exchange["response"]["body"]["items"] or [])
    (request,) = server.received
    assert request.path == exchange["request"]["path"]
    assert dict(exchange["request"]["query"]).items() <= request.query.items()


def test_numbers_with_a_fraction_come_as_decimals_and_go_out_as_exact_numbers(server: ScriptedServer, magento: Any) -> None:
    server.default = Reply(body=b'{"entity_id": 81, "grand_total": 83.55, "subtotal": 34, "weight": 0.1}')
    order = magento().correct_order({"entity_id": 81, "increment_id": "1", "grand_total": Decimal("83.550"), "tax": Decimal("1E+2"), "n": 3})
    assert (order["grand_total"], type(order["grand_total"]), order["subtotal"]) == (Decimal("83.55"), Decimal, 34)
    assert server.received[0].body == b'{"entity":{"entity_id":81,"increment_id":"1","grand_total":83.550,"tax":100,"n":3}}'


def test_an_unknown_sku_s_bare_500_is_a_sku_not_found(server: ScriptedServer, magento: Any) -> None:
    server.default = reply("stock-salable-unknown-sku")
    with pytest.raises(NotFound) as caught:
        magento().salable_quantity("NOPE", 2)
    assert caught.value.code == "mag.sku_unknown"


def test_a_masked_500_on_the_same_call_stays_a_failure(server: ScriptedServer, magento: Any) -> None:
    server.default = reply("body-unknown-field")
    with pytest.raises(Unavailable):
        magento().salable_quantity("MUG-01", 2)


def test_bulk_salable_quantities_leave_out_unknown_skus_and_know_unmanaged_stock(server: ScriptedServer, magento: Any) -> None:
    server.default = reply("stock-export-sku-in")
    found = magento().salable_quantities(["MUG-01", "DISABLED-01", "NOPE"], website_code="base")
    assert found == {"MUG-01": Salable("MUG-01", Decimal(50), True), "DISABLED-01": Salable("DISABLED-01", Decimal(20), True)}
    server.default = Reply(body={"items": [{"sku": "V", "qty": 0, "is_salable": True}, {"sku": "O", "qty": 0, "is_salable": False}], "total_count": 2})
    found = magento().salable_quantities(["V", "O"], website_code="base")
    assert (found["V"].quantity, found["O"].quantity) == (None, Decimal(0))


def test_dangerous_arguments_are_refused_before_sending(server: ScriptedServer, magento: Any) -> None:
    client = magento()
    for call in (
        lambda: client.comment(1, "text", status=""),
        lambda: client.correct_order({"entity_id": 1}),
        lambda: client.correct_order({"entity_id": 1, "increment_id": "1", "items": [{"price": 1}]}),
        lambda: client.create_order_direct({"entity_id": 1}),
        lambda: client.ship(1, items={}),
        lambda: client.product(".."),
        lambda: client.find_orders(),
        lambda: SearchCriteria().where("a", "moreq", 1),
    ):
        with pytest.raises(ValueError, match=r"."):
            call()
    assert server.received == []


def test_a_hold_answered_with_false_is_a_refusal(server: ScriptedServer, magento: Any) -> None:
    server.default = Reply(body=b"false")
    with pytest.raises(Rejected):
        magento().hold(1)


def test_html_with_status_200_is_unexpected_for_reads_and_uncertain_for_writes(server: ScriptedServer, magento: Any) -> None:
    from connector.clients.errors import Unexpected

    server.default = Reply(200, "<html>Welcome</html>", content_type="text/html")
    with pytest.raises(Unexpected):
        magento().modules()
    with pytest.raises(Uncertain):
        magento().create_cart(store="default")


def test_a_redirect_names_the_address_to_enter(server: ScriptedServer, magento: Any) -> None:
    server.default = Reply(302, headers={"Location": "https://www.shop.example/rest/V1/modules"})
    report = magento().probe()
    assert report.error is not None
    assert report.error.code == "net.redirected"
    assert "https://www.shop.example" in str(report.error)
    assert not report.ok


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" https://Shop.Example/ ", "https://shop.example"),
        ("http://127.0.0.1:5002", "http://127.0.0.1:5002"),
        ("https://shop.example/store/index.php/", "https://shop.example/store/index.php"),
    ],
)
def test_a_base_url_is_tidied(typed: str, kept: str) -> None:
    assert normalise_base_url(typed) == kept


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("shop.example", "https://shop.example"),
        ("ftp://shop.example", "https://shop.example"),
        ("https://shop.example/rest", "without /rest: https://shop.example"),
        ("https://shop.example/rest/V1/orders", "without /rest: https://shop.example"),
        ("https://", "host name"),
        ("https://u:p@shop.example", "password"),
        ("https://shop.example?x=1", "Leave"),
        ("https://shop.example:abc", "not a web address"),
        ("", "https://"),
    ],
)
def test_a_wrong_base_url_is_told_with_what_to_type(typed: str, told: str) -> None:
    with pytest.raises(BadBaseUrl, match=told.replace("?", r"\?")):
        normalise_base_url(typed)


class Shelf:
    """A list that answers criteria as Magento does, from numbered rows."""

    def __init__(self, count: int, *, repeats_last_page: bool = False, total: bool = True) -> None:
        self.rows = [{"entity_id": n} for n in range(1, count + 1)]
        self.repeats, self.total, self.calls = repeats_last_page, total, 0

    def fetch(self, criteria: SearchCriteria) -> Any:
        from connector.clients.magento import SearchResult

        self.calls += 1
        after = next((int(value) for group in criteria.groups for name, kind, value in group if kind == "gt"), 0)
        rows = [row for row in self.rows if row["entity_id"] > after]
        size, page = criteria.page_size or len(rows), criteria.current_page or 1
        last = max(1, -(-len(rows) // size))
        page = min(page, last) if self.repeats else page
        return SearchResult(rows[(page - 1) * size : page * size], len(rows) if self.total else None, size)


@pytest.mark.parametrize("repeats", [False, True])
@pytest.mark.parametrize("total", [False, True])
@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 30])
def test_pages_end_on_every_version(count: int, total: bool, repeats: bool) -> None:
    """Past the last page: empty from 2.4, the last page again before (MAG §2.2)."""
    shelf = Shelf(count, repeats_last_page=repeats, total=total)
    found = [row["entity_id"] for page in pages(shelf.fetch, SearchCriteria(), page_size=10) for row in page]
    assert found == list(range(1, count + 1))


@pytest.mark.parametrize("total", [False, True])
@pytest.mark.parametrize("count", [0, 1, 10, 25])
def test_keyset_reads_every_row_once_and_starts_after_the_mark(count: int, total: bool) -> None:
    shelf = Shelf(count, total=total)
    assert [row["entity_id"] for row in keyset(shelf.fetch, SearchCriteria(), after="5", page_size=10)] == list(range(6, count + 1))


def test_page_size_shrinks_to_the_store_s_limit_and_stays_there(server: ScriptedServer, magento: Any) -> None:
    """MAG §2.4"""
    refusal = {"message": "Maximum SearchCriteria pageSize is %max", "parameters": {"max": 2}}
    three = [{"entity_id": 1}, {"entity_id": 2}, {"entity_id": 3}]
    server.then(Reply(400, refusal), Reply(body={"items": three[:2], "total_count": 3}), Reply(body={"items": three[2:], "total_count": 1}))
    client = magento()
    assert [o["entity_id"] for o in client.iter_orders()] == [1, 2, 3]
    sizes = [r.query["searchCriteria[pageSize]"] for r in server.received]
    assert sizes == ["100", "2", "2"]
    assert server.received[2].query["searchCriteria[filter_groups][0][filters][0][value]"] == "2"


def test_skus_are_asked_for_in_groups_that_fit_a_url(server: ScriptedServer, magento: Any) -> None:
    server.default = Reply(body={"items": [], "total_count": 0})
    skus = [f"SKU-{n:05d}" for n in range(250)] + ["with,comma", "ünïcode " * 8]
    magento().products_by_sku(skus)
    assert len(server.received) >= 3
    assert all(len(r.target) < 6000 for r in server.received)
    asked = [v for r in server.received for k, v in r.query.items() if k.endswith("[value]")]
    assert sorted(s for value in asked for s in ([value] if value == "with,comma" else value.split(","))) == sorted(skus)


def test_a_group_never_holds_more_than_a_hundred_and_repeats_are_dropped() -> None:
    groups = list(chunks(["a"] * 500 + [str(n) for n in range(150)]))
    assert [len(g) for g in groups] == [100, 51]
    assert sku_criteria(["a", "b,c"]).groups == ((("sku", "eq", "b,c"), ("sku", "in", "a")),)


def test_null_items_and_a_malformed_fields_filter_are_empty_lists(server: ScriptedServer, magento: Any) -> None:
    server.then(Reply(body={"items": None, "total_count": 0}), Reply(body=[]))
    client = magento()
    assert client.orders(SearchCriteria().page(1)).items == []
    assert client.orders(SearchCriteria().page(1)).items == []


def test_a_list_without_criteria_still_sends_the_required_parameter(server: ScriptedServer, magento: Any) -> None:
    server.default = Reply(body={"items": [], "total_count": 0})
    magento().orders(SearchCriteria())
    assert server.received[0].query == {"searchCriteria": ""}
