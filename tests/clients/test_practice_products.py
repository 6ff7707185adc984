"""Listings against the practice marketplace: the whole life of a product over real HTTP, and the local verdict equal to the marketplace's (A157-A161)."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import requests

from connector.clients.errors import Conflict, NotFound, Rejected
from connector.clients.tiktok import TikTokClient, explain
from connector.domain import listing_codes as codes
from connector.domain.listing_body import body_of, live_body
from connector.domain.listing_category import CategoryFacts, category_of
from connector.domain.listing_diff import changes
from connector.domain.listing_rules import ShopFacts, check
from connector.domain.listing_text import HostedImage
from connector.practice.serve import PracticeServer
from tests.clients.test_practice_tiktok import Shop
from tests.unit import listings

UNUSABLE_CATEGORY = {
    codes.CATEGORY_MISSING,
    codes.CATEGORY_NOT_LEAF,
    codes.CATEGORY_NOT_AVAILABLE,
    codes.CATEGORY_VERSION,
    codes.CATEGORY_OTHER_TREE,
}
CURRENCIES = {"US": "USD", "GB": "GBP", "SG": "SGD"}


def png(side: int, colour: int) -> bytes:
    """A plain square picture."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = (b"\x00" + bytes((colour, 90, 120)) * side) * side
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class Bench:
    """One practice shop with pictures uploaded and a category chosen, and a listing that it takes."""

    def __init__(self, url: str, region: str, category_name: str) -> None:
        self.url, self.region = url, region
        self.shop = Shop(url, region)
        self.client: TikTokClient = self.shop.client()
        self.tree = "v2" if region in ("US", "SG") else "v1"
        node = next(row for row in self.client.categories(version=self.tree) if row["local_name"] == category_name and row["is_leaf"])
        attributes = self.client.category_attributes(node["id"], version=self.tree)
        self.category: CategoryFacts = category_of(node, attributes, self.client.category_rules(node["id"], version=self.tree), version=self.tree)
        sales = [row for row in self.client.warehouses() if row["type"] == "SALES_WAREHOUSE"]
        self.warehouses = [str(row["id"]) for row in sales]
        self.images: dict[str, HostedImage] = {}
        self.main = self.upload(600, 1, "MAIN_IMAGE")
        self.red, self.blue = self.upload(400, 2, "ATTRIBUTE_IMAGE"), self.upload(400, 3, "ATTRIBUTE_IMAGE")
        self.small, self.text = self.upload(200, 4, "ATTRIBUTE_IMAGE"), self.upload(500, 5, "DESCRIPTION_IMAGE")

    def upload(self, side: int, colour: int, use_case: Any) -> HostedImage:
        made = self.client.upload_image(png(side, colour), file_name=f"{colour}.png", media_type="image/png", use_case=use_case)
        image = HostedImage(made.uri, made.url, made.use_case, made.width, made.height)
        self.images[image.uri] = image
        return image

    def facts(self) -> ShopFacts:
        return ShopFacts(
            region=self.region, currency=CURRENCIES[self.region], warehouses=self.warehouses, images=self.images, now=self.client.now().astimezone(UTC)
        )  # fmt: skip

    def good(self) -> dict[str, Any]:
        """Complete for this category: every required attribute has its first value, the last one for yes/no questions."""
        chosen = [
            {"id": each.id, "values": [{"id": list(each.values)[-1]} if each.values else {"name": "12"}]}
            for each in self.category.product_attributes()
            if each.is_required
        ]
        axis = next(each for each in self.category.sales_attributes() if each.name == "Color")
        values = list(axis.values)[:2]
        return {
            "title": "Plain example article in two colours",
            "description": f'<p>An <b>example</b>.</p><img src="{self.text.url}" width="500" height="500">',
            "category_id": self.category.id,
            "category_version": self.tree,
            "main_images": [{"uri": self.main.uri}],
            "package_weight": {"value": "0.25", "unit": "KILOGRAM"},
            "package_dimensions": {"length": "30", "width": "20", "height": "3", "unit": "CENTIMETER"},
            "product_attributes": chosen,
            "external_product_id": "magento:412",
            "skus": [
                {
                    "seller_sku": f"EX-{number}",
                    "external_sku_id": str(number),
                    "price": {"amount": "19.50", "currency": CURRENCIES[self.region]},
                    "inventory": [{"warehouse_id": self.warehouses[0], "quantity": 5}],
                    "sales_attributes": [{"id": axis.id, "value_id": value, "sku_img": {"uri": image.uri}}],
                }
                for number, (value, image) in enumerate(zip(values, (self.red, self.blue), strict=True), 413)
            ],
        }

    def local(self, body: dict[str, Any]) -> set[int]:
        found = check(body_of(body), category=self.category, shop=self.facts())
        assert all(problem.field and problem.message and problem.remedy for problem in found)
        return {problem.code for problem in found if not problem.warning}

    def remote(self, body: dict[str, Any]) -> set[int]:
        answer = self.client.check_listing(body)
        assert answer.passed is (not answer.refusals)
        found = {refusal.code for refusal in answer.refusals}
        # the marketplace reads axes by an unusable category's attributes, of which there are none: a consequence, no second fault
        return found - {codes.AXIS_UNKNOWN, codes.AXIS_VALUE} if found & UNUSABLE_CATEGORY else found

    def tell(self, what: str, **body: Any) -> Any:
        answer = requests.post(f"{self.url}/practice/{what}", json=body, timeout=30)
        assert answer.ok, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PracticeServer]:
    directory: Path = tmp_path_factory.mktemp("marketplace")
    with PracticeServer("tiktok", directory) as running:
        yield running


@pytest.fixture(scope="module")
def benches(server: PracticeServer) -> list[Bench]:
    return [Bench(server.url, region, name) for region, name in (("US", "Table Lamps"), ("GB", "Men's T-shirts"), ("SG", "Men's T-shirts"))]


Break = Callable[[Bench, dict[str, Any]], object]


def put(path: str, value: Any) -> Break:
    act = listings.put(path, value)
    return lambda _, body: act(body)


def every_sku(path: str, value: Any) -> Break:
    def act(bench: Bench, body: dict[str, Any]) -> None:
        for place in range(len(body["skus"])):
            put(f"skus.{place}.{path}", value)(bench, body)

    return act


def add_axis(name: str, *values: str, image: bool = False) -> Break:
    def act(bench: Bench, body: dict[str, Any]) -> None:
        for sku, value in zip(body["skus"], values, strict=True):
            sku["sales_attributes"].append({"name": name, "value_name": value} | ({"sku_img": {"uri": bench.red.uri}} if image else {}))

    return act


def answer_yes(bench: Bench, body: dict[str, Any]) -> None:
    """The question that makes another attribute required; of no effect in a category without one."""
    for attribute in bench.category.product_attributes():
        for condition in attribute.conditions:
            for entry in body["product_attributes"]:
                if entry["id"] == condition.attribute_id:
                    entry["values"] = [{"id": condition.value_id}]


def battery(bench: Bench, body: dict[str, Any]) -> None:
    """A battery of the kind that needs a certificate."""
    answer_yes(bench, body)
    if kind := next((each for each in bench.category.product_attributes() if each.name == "Battery Type"), None):
        body["product_attributes"].append({"id": kind.id, "values": [{"name": "Lithium-ion"}]})


EAN = {"code": "4006381333931", "type": "EAN"}
#: Families of rules of TTS §5.3.8: breaks within one family are not combined, those of different families are.
BREAKS: dict[str, list[Break]] = {
    "title": [
        put("title", ""), put("title", "Tee " * 90), put("title", "Plain &amp; simple example article"), put("title", "Plain &#39;simple&#39; example article"),
        put("title", "Plain example article \U0001f455"), put("title", "Plain example article ❤"), put("title", "Plain\texample article of all"),
        put("title", "Plain example article\u0007 for all"), put("title", "*" * 5 + "-" * 5 + "+" * 9 + "!" * 9), put("title", "Plain exaaaaaaaaaaample article"),
        put("title", "Short"), put("title", "............................ article 1"),
    ],
    "description": [
        put("description", ""), put("description", "<p>" + "a" * 10_000 + "</p>"), put("description", "<p>A</p><script>x</script>"),
        put("description", "<iframe src='x'></iframe>"), put("description", "<video></video><p>A</p>"),
        put("description", '<img src="https://shop.example/a.jpg" width="9" height="9">'),
        lambda bench, body: body.update(description=f'<img src="{bench.text.url}">'),
        lambda bench, body: body.update(description=f'<img src="{bench.text.url}" width="9">'),
        lambda bench, body: body.update(description=f'<img src="{bench.text.url}" width="9" height="9">' * 31), put("description", "<img>"),
    ],
    "category": [put("category_id", ""), put("category_id", "1"), put("category_id", "810266000")],
    "images": [
        put("main_images", []), put("main_images", ...), lambda bench, body: body.update(main_images=body["main_images"] * 10), put("main_images.0.uri", "tos/gone"),
        lambda bench, body: body.update(main_images=[{"uri": bench.small.uri}]), lambda bench, body: body["main_images"].append({"uri": "tos/gone"}),
    ],
    "attributes": [
        put("product_attributes", []), put("product_attributes", ...), put("product_attributes.0.values", [{"id": "9"}]), put("product_attributes.0.values", []),
        lambda bench, body: body["product_attributes"].append(deepcopy(body["product_attributes"][0])),
        lambda bench, body: body["product_attributes"].append({"id": "1", "values": [{"name": "x"}]}), answer_yes, battery,
        lambda bench, body: body["product_attributes"][0]["values"].append(body["product_attributes"][0]["values"][0]),
        put("product_attributes.0.values", [{"name": "Neither of them"}]), put("product_attributes.0.values", [{"name": "x" * 2001}]),
    ],
    "weight": [
        put("package_weight", ...), put("package_weight.value", "heavy"), put("package_weight.value", "-1"), put("package_weight.value", "0"),
        put("package_weight.value", "0.000"), put("package_weight.value", "0.2505"), put("package_weight.unit", "STONE"), put("package_weight.unit", "GRAM"),
        put("package_weight.value", "1,5"), put("package_weight", {"value": "1.25", "unit": "POUND"}), put("package_weight.value", ""),
    ],
    "size": [
        put("package_dimensions", ...), put("package_dimensions.width", "20.5"), put("package_dimensions.height", "0"), put("package_dimensions.length", ""),
        put("package_dimensions.unit", "METER"), put("package_dimensions.unit", "INCH"), put("package_dimensions.length", "-3"), put("package_dimensions.length", "3.0"),
    ],
    "external": [put("external_product_id", "x" * 1000), put("skus.0.external_sku_id", "x" * 1000)],
    "skus": [put("skus", []), put("skus", ...)],
    "seller_sku": [
        put("skus.0.seller_sku", "EX 413"), put("skus.0.seller_sku", "E" * 51), put("skus.0.seller_sku", "EX-414"), put("skus.1.seller_sku", "EX\t1"), put("skus.0.seller_sku", ""),
    ],
    "axes": [
        every_sku("sales_attributes", []), put("skus.1.sales_attributes", []), add_axis("Size", "M", ""), add_axis("Cut and length of sleeves", "A", "A"),
        add_axis("Cut", "A", "x" * 51), lambda bench, body: body["skus"][0]["sales_attributes"].append({"name": "Cut", "value_name": "A"}),
        put("skus.0.sales_attributes.0.value_id", "1"), every_sku("sales_attributes.0.id", "299"), add_axis("", "A", "B"), add_axis("Cut", "A", "B", image=True),
        put("skus.1.sales_attributes.0.sku_img", ...), put("skus.1.sales_attributes.0.sku_img.uri", "tos/gone"),
        lambda bench, body: body["skus"][1]["sales_attributes"].__setitem__(0, body["skus"][0]["sales_attributes"][0]),
        lambda bench, body: [add_axis(name, "A", "A")(bench, body) for name in ("Cut", "Print", "Length")],
    ],
    "codes": [
        put("skus.0.identifier_code", {"code": "12345", "type": "EAN"}), put("skus.0.identifier_code", {"code": "4006381333931", "type": "UPC"}),
        put("skus.0.identifier_code", {"code": "4006381333931", "type": "ASIN"}), every_sku("identifier_code", EAN), put("skus.0.identifier_code", EAN),
        put("skus.0.identifier_code", {"code": "080442957X", "type": "ISBN"}), put("skus.0.identifier_code", {"code": "0804429579", "type": "ISBN"}),
    ],
    "price": [
        put("skus.0.price.amount", "cheap"), put("skus.0.price.amount", "19.505"), put("skus.0.price.amount", "0"), put("skus.0.price.amount", "7600.01"),
        put("skus.0.price.amount", "99999"), put("skus.0.price.currency", "CHF"), put("skus.0.price.amount", "-5"), put("skus.0.price.amount", ...),
        put("skus.0.price.amount", "0.01"), put("skus.0.price.sale_price", "18.00"),
    ],
    "inventory": [
        put("skus.0.inventory", []), put("skus.0.inventory", ...), put("skus.0.inventory.0.quantity", ...), put("skus.0.inventory.0.quantity", -1),
        put("skus.0.inventory.0.quantity", 0), put("skus.0.inventory.0.quantity", 100_000), put("skus.0.inventory.0.quantity", 99_999),
        put("skus.0.inventory.0.warehouse_id", ""), put("skus.0.inventory.0.warehouse_id", "7"), put("skus.0.inventory.0.backorder_quantity", 5),
        put("skus.0.inventory.0.handling_time", 5), lambda bench, body: body["skus"][0]["inventory"].append(body["skus"][0]["inventory"][0]),
    ],
    "special": [put("skus.0.pre_sale", {"type": "SOON"}), put("skus.0.pre_sale", {"type": "MADE_TO_ORDER"})],
    "certificates": [lambda bench, body: body.update(certifications=[{"id": str(n), "files": [{"id": "f", "name": "a.pdf", "format": "PDF"}]} for n in range(11)])],
}  # fmt: skip


def corpus(seed: int, size: int) -> list[list[Break]]:
    """Every break alone, then pairs and triples over different families."""
    dice = random.Random(seed)
    cases = [[act] for acts in BREAKS.values() for act in acts]
    while len(cases) < size:
        chosen = dice.sample([name for name in BREAKS if name not in ("skus", "axes")], dice.choice([2, 2, 3]))
        cases.append([dice.choice(BREAKS[name]) for name in chosen])
    return cases


def test_a_good_listing_passes_here_and_there(benches: list[Bench]) -> None:
    for bench in benches:
        assert (bench.local(bench.good()), bench.remote(bench.good())) == (set(), set())


@pytest.mark.parametrize("place", range(3), ids=["US", "GB", "SG"])
def test_the_local_verdict_equals_the_marketplaces_for_every_broken_product(place: int, benches: list[Bench]) -> None:
    bench, wrong = benches[place], []
    for number, acts in enumerate(corpus(place, 320)):
        body = bench.good()
        for act in acts:
            act(bench, body)
        here, there = bench.local(body), bench.remote(body)
        if here != there:
            wrong.append((number, f"only here: {sorted(here - there)}", f"only there: {sorted(there - here)}"))
    assert wrong == []


def test_a_category_that_changed_is_noticed_once_it_is_fetched_again(server: PracticeServer) -> None:
    bench = Bench(server.url, "US", "Floor Lamps")
    plain = next(each for each in bench.category.product_attributes() if not each.is_required and not each.conditions)
    body = bench.good()
    for wish in (
        {"leaf": False},
        {"leaf": True, "status": "INVITE_ONLY"},
        {"status": "PROHIBITED"},
        {"status": "NON_MAIN_CATEGORY"},
        {"status": "AVAILABLE", "required": [plain.id]},
    ):
        bench.tell(f"categories/{bench.category.id}", **wish)
        rows = bench.client.categories(version="v2", prohibited=True)
        node = next(row for row in rows if row["id"] == bench.category.id)
        attributes, rules = [], {}
        if node["is_leaf"]:
            attributes = bench.client.category_attributes(node["id"], version="v2")
            rules = bench.client.category_rules(node["id"], version="v2")
        bench.category = category_of(node, attributes, rules, version="v2")
        body = bench.good() if node["is_leaf"] else body
        body["product_attributes"] = [each for each in body["product_attributes"] if each["id"] != plain.id]
        assert bench.local(body) == bench.remote(body) != set(), wish


def test_the_life_of_a_listing_over_the_api(server: PracticeServer) -> None:
    bench = Bench(server.url, "US", "Night Lights")
    client = bench.client
    bench.tell("audit", delay_seconds=0)
    body = bench.good() | {"external_product_id": "magento:9001"}
    for sku in body["skus"]:
        sku["seller_sku"] = "LIFE-" + sku["seller_sku"]
    saved = client.create_product(body, idempotency_key="life-1")
    assert client.create_product(body, idempotency_key="life-1").product_id == saved.product_id, "the same key makes one product"
    assert [sku.seller_sku for sku in saved.skus] == ["LIFE-EX-413", "LIFE-EX-414"]
    live = client.get_product(saved.product_id)
    assert live["status"] == "ACTIVATE"
    assert changes(live_body(live), body_of(body)) == [], "what is read back is what was sent"

    first, second = (sku.id for sku in saved.skus)
    warehouse = bench.warehouses[0]
    assert client.update_inventory(saved.product_id, {first: {warehouse: 3}, second: {warehouse: 0}}).errors == {}
    client.update_prices(saved.product_id, {first: {"amount": "21.00", "currency": "USD"}})
    (stock,) = client.search_inventory(product_ids=[saved.product_id])
    assert {sku["seller_sku"]: sku["total_available_quantity"] for sku in stock["skus"]} == {"LIFE-EX-413": 3, "LIFE-EX-414": 0}
    (found,) = {product["id"]: product for product in client.products_by_seller_sku(["LIFE-EX-413"])}.values()
    assert {sku["seller_sku"]: sku["price"]["amount"] for sku in found["skus"]} == {"LIFE-EX-413": "21.00", "LIFE-EX-414": "19.50"}
    assert {change.kind for change in changes(live_body(client.get_product(saved.product_id)), body_of(body))} == {"price", "stock"}

    wrong = client.update_inventory(saved.product_id, {first: {"7": 1}})
    assert explain(*(wrong.errors[first].extra or ((wrong.errors[first].code, ""),))[0]).family == "tts.product.warehouse"
    bench.tell(f"listings/{saved.product_id}", promotion_lock=True)
    with pytest.raises(Conflict) as locked:
        client.update_prices(saved.product_id, {first: {"amount": "22.00", "currency": "USD"}})
    assert locked.value.code == "tts.product.price_locked"

    edited = body_of(body | {"title": "Night light, edited title"}).with_sku_ids(live_body(live))
    client.edit_product(saved.product_id, edited.as_dict(edit=True))
    shown = client.get_product(saved.product_id)
    assert shown["title"] == "Night light, edited title"
    assert [sku["price"]["amount"] for sku in shown["skus"]] == ["21.00", "19.50"], "an edit leaves prices alone"
    assert client.deactivate_products([saved.product_id]).errors == {}
    assert client.get_product(saved.product_id)["status"] == "SELLER_DEACTIVATED"
    assert client.activate_products([saved.product_id, "1"]).errors.keys() == {"1"}
    assert client.delete_products([saved.product_id]).errors == {}
    assert client.recover_products([saved.product_id]).errors == {}
    with pytest.raises(NotFound):
        client.get_product("1")
    with pytest.raises(Rejected) as refused:
        client.create_product(bench.good() | {"title": ""}, idempotency_key="life-2")
    assert refused.value.remote_code == "36009004"


def test_catalogue_data_is_read_as_the_marketplace_keeps_it(server: PracticeServer) -> None:
    client = Shop(server.url, "US").client()
    assert not any(item.is_failed for item in client.prerequisites())
    assert client.recommend_category("Stoneware mug", version="v2") is not None
    assert client.recommend_category("zzzz qqqq", version="v2") is None
    brands = list(client.iter_brands(page_size=40))
    assert len(brands) > 100
    assert {brand["is_usable"] for brand in brands} == {True, False}
    made = client.create_brand(f"Example {datetime.now(UTC):%H%M%S%f}")
    assert made in {brand["id"] for brand in client.iter_brands()}
    with pytest.raises(Rejected) as refused:
        client.upload_image(b"GIF89a" + bytes(20) + b";", file_name="a.gif", media_type="image/gif")
    assert refused.value.code == "tts.product.image"
