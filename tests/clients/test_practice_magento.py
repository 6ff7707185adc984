"""The Magento client against the practice store: real HTTP, OAuth verified there, its permissions, faults and switches."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
import requests

from connector.clients.base import Transport
from connector.clients.errors import Conflict, NotFound, RateLimited, Rejected, Unauthorized, Unavailable, Uncertain
from connector.clients.magento import Bearer, MagentoClient, OAuth1, SearchCriteria

ADDRESS = {
    "firstname": "Buyer",
    "lastname": "Example",
    "street": ["5 Elm St", "Apt 2"],
    "city": "Austin",
    "region": "Texas",
    "region_id": 57,
    "region_code": "TX",
    "postcode": "73301",
    "country_id": "US",
    "telephone": "5550100",
    "email": "tt-1@orders.example.com",
}


class Store:
    def __init__(self, url: str) -> None:
        self.url = url
        self.transport = Transport(timeouts=(10.0, 30.0))

    def tell(self, what: str, **body: Any) -> Any:
        answer = requests.post(f"{self.url}/practice/{what}", json=body, timeout=60)
        assert answer.ok, answer.text
        return answer.json()

    def client(self, acl: str | list[str] = "all", *, bearer: bool = False, **rest: Any) -> MagentoClient:
        keys = self.tell("integrations", acl=acl, bearer=True)
        four = (keys["consumer_key"], keys["consumer_secret"], keys["access_token"], keys["access_token_secret"])
        auth: Any = rest.pop("auth", None) or (Bearer(keys["access_token"]) if bearer else OAuth1(*four))
        return MagentoClient(self.transport, base_url=self.url, auth=auth, account_key="m", **rest)


@pytest.fixture
def store(practice_magento: Any) -> Store:
    return Store(practice_magento.url)


@pytest.fixture
def client(store: Store) -> MagentoClient:
    return store.client()


def cart_of(client: MagentoClient, sku: str = "MUG-01", qty: int = 3) -> str:
    cart = client.create_cart(store="default")
    client.add_item(cart, sku, qty, store="default")
    client.shipping_information(
        cart,
        shipping_address=ADDRESS,
        billing_address=ADDRESS,
        carrier_code="freeshipping",
        method_code="freeshipping",
        store="default",
    )
    return cart


def test_the_way_from_a_cart_to_a_closed_order(client: MagentoClient) -> None:
    """A+ of MAG §4.4.3: place, correct to the cent, invoice, ship in two parts, refund; the stock adds up at the end."""
    website = client.websites()[0]["code"]
    stock = client.stock_for_website(website)["stock_id"]
    before = client.salable_quantity("MUG-01", stock)
    cart = cart_of(client)
    order_id = client.place_order(cart, store="default")
    assert client.salable_quantity("MUG-01", stock) == before - 3
    (found,) = client.find_orders(quote_id=cart, fields="items[entity_id,increment_id],total_count")
    assert str(found["entity_id"]) == order_id
    line = client.order(order_id)["items"][0]["item_id"]
    money = {"subtotal": Decimal("35.70"), "subtotal_incl_tax": Decimal("35.70"), "shipping_amount": Decimal("4.99"), "shipping_incl_tax": Decimal("4.99")}
    money |= {"discount_amount": Decimal("-3.50"), "grand_total": Decimal("37.19"), "total_due": Decimal("37.19"), "tax_amount": 0}
    row = {
        "price": Decimal("11.90"),
        "row_total": Decimal("35.70"),
        "price_incl_tax": Decimal("11.90"),
        "row_total_incl_tax": Decimal("35.70"),
        "discount_amount": Decimal("3.50"),
    }
    entity = {"entity_id": int(order_id), "increment_id": found["increment_id"], "ext_order_id": "576460000000000001", **money}
    entity |= {f"base_{name}": value for name, value in money.items()}
    entity["items"] = [{"item_id": line, **row, **{f"base_{name}": value for name, value in row.items()}}]
    client.correct_order(entity)
    client.correct_order(entity)
    order = client.order(order_id)
    assert (order["grand_total"], order["ext_order_id"]) == (Decimal("37.19"), "576460000000000001")
    client.comment(order_id, "TikTok order 576460000000000001", status=order["status"])
    assert client.comments(order_id)[0]["status"] == order["status"]
    client.hold(order_id)
    client.unhold(order_id)
    client.invoice(order_id, comment="Paid on TikTok Shop")
    assert client.invoices_of(order_id)[0]["grand_total"] == Decimal("37.19")
    source = client.source_selection(stock, {"MUG-01": 3})["source_selection_items"][0]["source_code"]
    tracks = [{"track_number": "1Z1", "title": "UPS", "carrier_code": "ups"}]
    first = client.ship(order_id, items={line: 2}, tracks=tracks, source_code=source)
    client.ship(order_id, items={line: 1}, source_code=source)
    client.add_track(order_id=order_id, shipment_id=first, track_number="1Z2", title="UPS", carrier_code="ups")
    assert [t["track_number"] for t in client.get_shipment(first)["tracks"]] == ["1Z1", "1Z2"]
    assert len(client.shipments_of(order_id)) == 2
    assert client.order(order_id)["state"] == "complete"
    assert client.cancel(order_id) is False
    client.refund(order_id, items={line: 3}, shipping_amount=Decimal("4.99"), return_to_stock=[str(line)])
    assert client.order(order_id)["state"] == "closed"
    assert len(client.creditmemos_of(order_id)) == 1
    assert client.salable_quantity("MUG-01", stock) == before


def test_an_order_that_is_cancelled_gives_its_stock_back(client: MagentoClient) -> None:
    order_id = client.place_order(cart_of(client), store="default")
    assert client.cancel(order_id) is True
    assert client.order(order_id)["state"] == "canceled"


def test_a_sku_with_a_slash_and_a_unicode_name_arrive(client: MagentoClient) -> None:
    assert client.product("MUG/02 slash")["sku"] == "MUG/02 slash"
    found = {p["sku"]: p["name"] for p in client.products_by_sku(["mug/02 slash", "LAMP-01", "NOPE", "a,b"])}
    assert set(found) == {"MUG/02 slash", "LAMP-01"}
    assert "灯" in found["LAMP-01"]
    quantities = client.salable_quantities(["MUG/02 slash", "OOS-01", "NOPE"], website_code="base")
    assert quantities["MUG/02 slash"].quantity == 100000
    assert "NOPE" not in quantities


def test_every_product_is_walked_once_in_small_pages(client: MagentoClient) -> None:
    skus = [p["sku"] for p in client.iter_products(page_size=7)]
    assert len(skus) == len(set(skus)) == client.products(SearchCriteria().page(1, 1)).total_count


@pytest.mark.parametrize("settings", [{"legacy_last_page_repeat": True}, {"input_limit": {"maximum_page_size": 5}}])
def test_lists_end_on_old_and_on_limited_stores(settings: dict[str, Any], store: Store, client: MagentoClient) -> None:
    store.tell("settings", **settings)
    skus = [p["sku"] for p in client.iter_products()]
    assert len(skus) == len(set(skus)) == 40
    assert len(client.source_items(skus)) >= 30
    assert len(client.salable_quantities(skus, website_code="base")) > 30


def test_look_ups_find_nothing_as_an_empty_list(client: MagentoClient) -> None:
    assert client.find_orders(ext_order_id="nobody", fields="items[entity_id],total_count") == []
    assert client.find_orders(ext_order_id="nobody", quote_id="999999") == []
    assert client.search_customers("nobody@example.com", website_id=1) == []


@pytest.mark.parametrize(
    ("sku", "qty", "code"),
    [("OOS-01", 1, "mag.product_unavailable"), ("DISABLED-01", 1, "mag.product_unavailable"), ("ONE-LEFT", 2, "mag.qty_unavailable")],
)
def test_a_cart_refuses_what_cannot_be_sold(sku: str, qty: int, code: str, client: MagentoClient) -> None:
    with pytest.raises(Rejected) as caught:
        client.add_item(client.create_cart(store="default"), sku, qty, store="default")
    assert caught.value.code == code


def test_placing_refusals_are_named(client: MagentoClient) -> None:
    cart = cart_of(client)
    with pytest.raises(Rejected) as caught:
        client.place_order(cart, method="nope", store="default")
    assert caught.value.code == "mag.payment_method"
    client.place_order(cart, store="default")
    with pytest.raises(NotFound):
        client.place_order(cart, store="default")
    assert client.cart(cart)["is_active"] is False
    with pytest.raises(Rejected) as caught:
        client.create_cart(store="no_such_view")
    assert caught.value.code == "mag.store_code"


def test_a_lost_answer_of_placing_is_uncertain_and_the_order_is_found_by_its_cart(store: Store, client: MagentoClient) -> None:
    cart = cart_of(client)
    store.tell("faults", kind="lost_answer", path="/order$", times=1)
    with pytest.raises(Uncertain):
        client.place_order(cart, store="default")
    assert len(client.find_orders(quote_id=cart)) == 1


@pytest.mark.parametrize("kind", ["http_500", "http_500_after", "html_503", "deadlock_500"])
def test_a_failing_write_is_uncertain_and_sent_once(kind: str, store: Store, client: MagentoClient) -> None:
    cart = cart_of(client)
    fault = store.tell("faults", kind=kind, path="/order$", times=9)
    with pytest.raises(Uncertain):
        client.place_order(cart, store="default")
    (shown,) = [f for f in requests.get(f"{store.url}/practice/faults", timeout=10).json() if f["id"] == fault["id"]]
    assert shown["fired"] == 1


@pytest.mark.parametrize("kind", ["http_500", "html_503", "http_429", "lost_answer"])
def test_reads_survive_two_faults_in_a_row(kind: str, store: Store, client: MagentoClient) -> None:
    store.tell("faults", kind=kind, path="storeViews", times=2)
    assert client.store_views()


def test_lasting_faults_are_handed_to_the_caller(store: Store, client: MagentoClient) -> None:
    store.tell("settings", maintenance=True)
    with pytest.raises(Unavailable) as caught:
        client.store_views()
    assert caught.value.code == "mag.maintenance"
    store.tell("settings", maintenance=False)
    store.tell("faults", kind="http_429", path="storeViews", times=9)
    with pytest.raises(RateLimited):
        client.store_views()


def test_a_busy_store_s_refusals_are_transient_and_the_repeat_succeeds(store: Store, client: MagentoClient) -> None:
    cart = cart_of(client)
    store.tell("faults", kind="transient_400", path="/order$", times=1)
    with pytest.raises(Rejected) as caught:
        client.place_order(cart, store="default")
    assert (caught.value.transient, caught.value.code) == (True, "mag.stock_unassigned")
    assert client.place_order(cart, store="default")


def test_the_same_increment_id_twice_is_a_conflict(client: MagentoClient) -> None:
    """MAG §4.4.7, point 4."""
    shipping = {"shipping": {"address": {**ADDRESS, "address_type": "shipping"}, "method": "freeshipping_freeshipping"}, "items": []}
    line = {"sku": "X", "name": "Dummy", "product_type": "simple", "qty_ordered": 1}
    amounts = {"price": Decimal("12.50"), "base_price": Decimal("12.50"), "row_total": Decimal("12.50"), "base_row_total": Decimal("12.50")}
    entity = {
        "customer_email": ADDRESS["email"],
        "increment_id": "TT-576460000000000001",
        "store_id": 1,
        "state": "new",
        "status": "pending",
        "grand_total": Decimal("12.50"),
        "base_grand_total": Decimal("12.50"),
        "items": [line | amounts],
        "billing_address": {**ADDRESS, "address_type": "billing"},
        "payment": {"method": "checkmo"},
        "extension_attributes": {"shipping_assignments": [shipping]},
    }
    client.create_order_direct(entity)
    with pytest.raises(Conflict) as caught:
        client.create_order_direct(entity)
    assert caught.value.code == "mag.duplicate"
    assert len(client.find_orders(increment_id="TT-576460000000000001")) == 1


def test_the_probe_of_a_good_store_finds_nothing_wrong(client: MagentoClient) -> None:
    report = client.probe()
    assert report.ok, (report.error, report.missing, report.faults)
    assert report.msi
    assert "default" in [view["code"] for view in report.store_views]
    assert abs(report.clock_skew) < 5


def test_the_probe_names_the_missing_permissions_exactly(store: Store) -> None:
    granted = ["Magento_Backend::store", "Magento_Catalog::products", "Magento_Catalog::categories", "Magento_Sales::actions_view"]
    report = store.client(granted).probe()
    assert report.error is None
    assert {"Magento_Sales::shipment", "Magento_Sales::sales_invoice", "Magento_Sales::sales_creditmemo"} <= set(report.missing)
    assert not {"Magento_Backend::store", "Magento_Catalog::products", "Magento_Sales::actions_view"} & set(report.missing)


def test_the_probe_knows_a_store_without_msi(store: Store, client: MagentoClient) -> None:
    store.tell("settings", msi=False)
    report = client.probe()
    assert (report.msi, report.error) == (False, None)


def test_wrong_keys_are_told_apart(store: Store) -> None:
    keys = store.tell("integrations", acl="all", bearer=True)
    good = [keys["consumer_key"], keys["consumer_secret"], keys["access_token"], keys["access_token_secret"]]
    expected = ["mag.consumer_unknown", "mag.signature", "mag.token_unknown", "mag.signature"]
    for position, code in enumerate(expected):
        wrong = [*good]
        wrong[position] = "0" * 32
        with pytest.raises(Unauthorized) as caught:
            store.client(auth=OAuth1(*wrong)).websites()
        assert caught.value.code == code
        assert store.client(auth=OAuth1(*wrong)).probe().error is not None


def test_a_bearer_token_works_where_the_store_allows_it(store: Store) -> None:
    client = store.client(bearer=True)
    store.tell("settings", bearer=True)
    assert client.websites()
    store.tell("settings", bearer=False)
    with pytest.raises(Unauthorized) as caught:
        client.websites()
    assert caught.value.code == "mag.not_authorized"
    report = client.probe()
    assert report.error is not None
    assert report.error.code == "mag.not_authorized"


def test_a_token_revoked_in_mid_run_is_named(store: Store, client: MagentoClient) -> None:
    client.websites()
    store.tell("faults", kind="token_revoked", path="storeViews", times=1)
    with pytest.raises(Unauthorized):
        client.store_views()


def test_sixteen_threads_use_one_client_and_no_nonce_repeats(client: MagentoClient) -> None:
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: client.product("MUG-01")["sku"], range(64)))
    assert found == ["MUG-01"] * 64
