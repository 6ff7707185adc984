"""Three hundred broken products through the product's own path, from Magento's rows to the verdict, equal to the marketplace's (A157, A176; TTS §5.3.8).

``tests/clients/test_practice_products.py`` breaks bodies; here Magento's products, templates and policies are broken, so that what the mapping itself
repairs or hides is seen too. One database is enough: the service's reading is tested on both elsewhere, and the verdicts depend on no database.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask import Flask

from connector.core.db import end_reading, unit_of_work
from connector.domain import listing_codes as codes
from connector.domain.policies import INVENTORY, PRICING, InventoryPolicy, PricingPolicy
from connector.models.listing import Listing, ListingSku, TikTokProduct
from connector.practice.serve import PracticeServer
from connector.services import connections
from connector.services.products import drafts
from tests.factories.catalogue import a_policy
from tests.factories.validation import DESCRIPTION, TEXT_FILE, TINY_FILE, Shop, axis, forget_stock

SIZE = {"US": 190, "SG": 70, "GB": 60}
EAN, OTHER_EAN = "4006381333931", "4006381333948"
#: The marketplace reads axes by the attributes of an unusable category, of which there are none: a consequence, no second fault.
UNUSABLE_CATEGORY = {codes.CATEGORY_MISSING, codes.CATEGORY_NOT_LEAF, codes.CATEGORY_NOT_AVAILABLE, codes.CATEGORY_VERSION, codes.CATEGORY_OTHER_TREE}
CONSEQUENCES = {codes.AXIS_UNKNOWN, codes.AXIS_VALUE}
#: Rules that no Magento product can break on this way, and why; bodies break them in tests/clients/test_practice_products.py.
UNREACHABLE = {
    "the description is cleaned": {codes.DESCRIPTION_TAG, codes.DESCRIPTION_TAG_ATTRIBUTE, codes.DESCRIPTION_IMAGE_URL},
    "pictures are converted first": {codes.DESCRIPTION_IMAGE_SIZE, codes.MAIN_IMAGE_USE_CASE, codes.MAIN_IMAGE_URI, codes.AXIS_IMAGE_URI},
    "a policy sends nine pictures at most": {codes.MAIN_IMAGE_COUNT},
    "pictures go on one axis, and only when each value has one": {codes.AXIS_IMAGES, codes.AXIS_IMAGE_MISSING},
    "every variant gets every axis, known to the category": {codes.AXIS_MISMATCH, codes.AXIS_UNKNOWN},
    "units are made for the market": {codes.METRIC_WEIGHT_IMPERIAL_SIZE, codes.IMPERIAL_WEIGHT_METRIC_SIZE, codes.IMPERIAL_OUTSIDE_US},
    "only warehouses of the shop are used, by their ids, without backorders": {codes.WAREHOUSE_UNKNOWN, codes.WAREHOUSE_NOT_NAMED, codes.BACKORDER_INCOMPLETE},
    "the currency is the shop's": {codes.CURRENCY_WRONG},
    "the pricing policy blocks what is below the smallest coin": {codes.PRICE_TOO_LOW},
    "external ids are Magento's numbers": {codes.EXTERNAL_ID_INVALID, codes.EXTERNAL_ID_TAKEN},
    "there is no edit here": {codes.IDENTIFIER_FIXED, codes.SKU_MISSING},
    "the shop's brands are chosen from TikTok's own list": {codes.BRAND_INVALID},
    "the tree is read without prohibited categories": {codes.CATEGORY_PROHIBITED},
    "the practice tree has no such category until one is changed": {codes.CATEGORY_NOT_LEAF, codes.CATEGORY_NOT_AVAILABLE},
}

Case = Callable[["Bench", str], Listing]
CHANGES = dict[str, Any]


class Bench(Shop):
    """The shop with a template for each way in which a template can be wrong."""

    def __init__(self, app: Flask, country: str, magento_url: str) -> None:
        super().__init__(app, country, magento_url)
        names = ["Men's T-shirts", "Table Lamps", "Safety Workwear", "Casual Dresses", "Wedding Rings", "Reading Glasses"]
        names = [name for name in names if country != "GB" or name in ("Men's T-shirts", "Table Lamps", "Casual Dresses")]
        self.categories = self.fetch(*names)
        self.host()
        tee, lamp = self.categories["Men's T-shirts"], self.categories["Table Lamps"]
        with unit_of_work():
            self.template("tees", tee.id, self.good_mappings(tee))
            self.template("lamps", lamp.id, self.good_mappings(lamp))
            for name, category in self.categories.items():
                self.template(name, category.id, self.good_mappings(category))
            self.template("no category", "1", self.good_mappings(tee), category_version=tee.version)
            self.template("other tree", tee.id, self.good_mappings(tee), category_version="v2" if country == "GB" else "v1")
            self.template("unmapped", tee.id)
            self.template("material", tee.id, self.good_mappings(tee, material="material"))
            self.template("materials", tee.id, self.good_mappings(tee, material="materials"))
            self.template("battery", lamp.id, self.good_mappings(lamp, contains="battery"))
            self.template("battery type", lamp.id, self.good_mappings(lamp, contains="battery", battery_type="battery_type"))
            self.template("stale value", tee.id, [{**each, "recommended_values": ["999"]} for each in self.good_mappings(tee)])
            two = [{**each, "recommended_values": list(lamp.attributes[each["attribute_id"]].values)[:2]} for each in self.good_mappings(lamp)]
            self.template("two values", lamp.id, two)
            self.template("codes", tee.id, self.good_mappings(tee), options={"identifier_attribute": "barcode"})
            self.template("upc", tee.id, self.good_mappings(tee), options={"identifier_attribute": "barcode", "identifier_type": "UPC"})
            self.template("merchant sku", tee.id, self.good_mappings(tee), options={"seller_sku_attribute": "merchant_sku"})
            self.template("no sides", tee.id, self.good_mappings(tee), options=dict.fromkeys(("length_attribute", "width_attribute", "height_attribute"), ""))
            self.template("inches", tee.id, self.good_mappings(tee), options={"dimension_unit": "in"})
            dear = a_policy(PRICING, PricingPolicy(change="increase_fixed", change_amount=20_000)).id
            self.template("dear", tee.id, self.good_mappings(tee), pricing_policy_id=dear)
            least = a_policy(PRICING, PricingPolicy(minimum_price=500)).id
            self.template("minimum", tee.id, self.good_mappings(tee), pricing_policy_id=least)
            kept = a_policy(INVENTORY, InventoryPolicy(default_quantity=0, threshold_buffer=50)).id
            self.template("buffer", tee.id, self.good_mappings(tee), inventory_policy_id=kept)


def good(template: str = "tees", **changes: Any) -> Case:
    return lambda bench, sku: bench.simple(sku, bench.templates[template], **changes)


def family(variants: Any, template: str = "tees", axes: Any = None, **changes: Any) -> Case:
    return lambda bench, sku: bench.configurable(sku, bench.templates[template], variants(sku) if callable(variants) else variants, axes, **changes)


def without_stock(bench: Bench, sku: str) -> Listing:
    listing = bench.simple(sku, bench.templates["tees"])
    forget_stock(listing)
    return listing


def taken_sku(bench: Bench, sku: str) -> Listing:
    """Another product of the shop, linked to nothing, has the seller SKU: the marketplace holds it, and we have read it."""
    client = connections.tiktok(bench.account.id)
    first = bench.simple(sku, bench.templates["tees"])
    body = drafts.prepare([first.id])[first.id].body
    assert body is not None
    end_reading()
    saved = client.create_product(body.as_dict() | {"external_product_id": f"other:{sku}"}, idempotency_key=sku)
    with unit_of_work() as session:
        session.add(TikTokProduct(account_id=bench.account.id, tiktok_id=saved.product_id, title="Other", status="PENDING", seller_skus=f"{sku}\nELSE"))
    return first


def taken_code(bench: Bench, sku: str) -> Listing:
    """A code that a listing of ours was sent with."""
    number = f"{400_638_100_000 + bench.entity():012d}"
    code = number + str((10 - sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(number))) % 10)
    first = bench.simple(f"{sku}-FIRST", bench.templates["codes"], values={"barcode": code})
    body = drafts.prepare([first.id])[first.id].body
    assert body is not None
    end_reading()
    connections.tiktok(bench.account.id).create_product(body.as_dict(), idempotency_key=sku)
    with unit_of_work() as session:
        session.query(ListingSku).filter_by(listing_id=first.id).update({"identifier": code, "tiktok_sku_id": "1729"})
    return bench.simple(sku, bench.templates["codes"], values={"barcode": code})


def orphaned(bench: Bench, sku: str) -> Listing:
    """A configurable without children."""
    return bench.configurable(sku, bench.templates["tees"], ())


def variants(count: int) -> Callable[[str], list[CHANGES]]:
    return lambda sku: [{"sku": f"{sku}-{n}", "images": (), "values": {"merchant_sku": f"{sku}-{n}", "cut": "71"}} for n in range(count)]


PAIR: list[CHANGES] = [{"color": "Black", "size": "S"}, {"color": "Red", "size": "M"}]
THREE_AXES = [axis("color"), axis("size"), axis("cut"), axis("print")]
FULL = [{**each, "values": {"cut": cut, "print": "81"}} for each, cut in zip(PAIR, ("71", "72"), strict=True)]

#: One fault each, by the rule it breaks. Those of ``ONE_PRODUCT`` are combined with each other too.
FAULTS: list[Case] = [
    good("no category"), good("other tree"), good("other tree", quantity=0), good("Casual Dresses"), good("unmapped"), good("stale value"), good("two values"),
    good("material", values={"material": ...}), good("material", values={"material": "34"}), good("material", values={"material": "99"}),
    good("materials", values={"materials": "41,42"}), good("battery", values={"battery": "51"}), good("battery", values={"battery": "53"}), good("battery", values={"battery": ...}),
    good("battery type", values={"battery": "51", "battery_type": "61"}), good("battery type", values={"battery": "51"}),
    orphaned, orphaned,
    family([{**each, "status": 2} for each in PAIR]),
    family([PAIR[0], {**PAIR[1], "price": "0"}]),
    family([{**PAIR[0], "quantity": 0}, {**PAIR[1], "quantity": 0}]),
    family([PAIR[0], PAIR[0]]), family([PAIR[1], PAIR[0], PAIR[1]]),
    family(PAIR, axes=[]), family([*PAIR, PAIR[0]], axes=[]),
    family(FULL, axes=THREE_AXES), family([{**FULL[0], "price": "8000000"}, FULL[1]], axes=THREE_AXES),
    family(PAIR, axes=[axis("color"), axis("size", "Size and length of sleeves")]), family(FULL, axes=[axis("color"), axis("cut", "Cut and length of the sleeves")]),
    family([PAIR[0], {**PAIR[1], "values": {"size": ...}}]),
    family([FULL[0], {**FULL[1], "values": {"cut": "73"}}], axes=[axis("color"), axis("cut")]),
    family([FULL[0], {**FULL[1], "values": {"cut": "99"}}], axes=[axis("color"), axis("cut")]),
    family(lambda sku: [{**each, "sku": f"{sku} {place}"} for place, each in enumerate(PAIR)]),
    family(lambda sku: [{**each, "sku": f"{sku}-{place}-{'x' * 48}"} for place, each in enumerate(PAIR)]),
    family([{**each, "values": {"merchant_sku": "TWIN"}} for place, each in enumerate(PAIR)], "merchant sku"),
    family([{**each, "values": {"barcode": EAN}} for each in PAIR], "codes"), family([{**each, "values": {"barcode": OTHER_EAN}} for each in PAIR], "codes"),
    without_stock, without_stock, taken_sku, taken_sku, taken_code, taken_code,
    good("codes", values={"barcode": "12345"}), good("upc", values={"barcode": EAN}), good("codes", values={"barcode": "no code"}),
    good("merchant sku", values={"merchant_sku": "two words"}), good("merchant sku", values={"merchant_sku": "y" * 51}),
    good("dear"), good("minimum"), good("buffer"), good("dear", price="90000"),
]  # fmt: skip
IN_V2: list[Case] = [
    good("Safety Workwear"),
    good("Safety Workwear", name=""),
    good("Wedding Rings"),
    good("Reading Glasses"),
    good("Wedding Rings", quantity=0),
    good("Reading Glasses", price="0"),
]

#: Faults of one simple product, by family: each is a set of columns and values, so that several families can be wrong at once.
ONE_PRODUCT: dict[str, list[CHANGES]] = {
    "title": [
        {"name": ""}, {"name": "Tee " * 70}, {"name": "Plain &amp; simple example article"}, {"name": "Plain &#39;simple&#39; example article"},
        {"name": "Plain example article \U0001f455"}, {"name": "Plain example ❤ article"}, {"name": "Plain\texample article of all"}, {"name": "Plain example\u0007 article for all"},
        {"name": "*" * 5 + "-" * 5 + "+" * 9 + "~" * 9}, {"name": "Plain exaaaaaaaaaaample article"}, {"name": "Short one"},
    ],
    "description": [
        {"values": {"description": ""}}, {"values": {"description": ...}}, {"values": {"description": "<p>" + "a" * 10_000 + "</p>"}},
        {"values": {"description": DESCRIPTION + f'<img src="{TEXT_FILE}">' * 31}}, {"values": {"description": "<script>nothing else</script>"}},
    ],
    "pictures": [{"images": ()}, {"images": (TINY_FILE,)}],
    "weight": [{"weight": None}, {"weight": "0"}, {"weight": "-1"}, {"weight": "0.2505"}],
    "sides": [
        {"values": {"package_width": ...}}, {"values": {"package_length": "0"}}, {"values": {"package_height": "-3"}}, {"values": {"package_width": "wide"}},
        {"values": {"package_width": "20.5"}}, {"values": dict.fromkeys(("package_length", "package_width", "package_height"), ...)},
    ],
    "price": [{"price": "0"}, {"price": None}, {"price": "-5"}, {"price": "99999"}, {"price": "0.004"}, {"price": "19.999"}],
    "stock": [{"quantity": 0}, {"quantity": None}, {"quantity": 250_000}, {"status": 2}],
}  # fmt: skip
TEMPLATES = ("tees", "lamps", "inches", "no sides")


def cases(country: str) -> Iterator[Case]:
    """Every fault alone, then pairs and triples of different families, under different templates."""
    dice = random.Random(country)
    yield from FAULTS
    if country == "GB":
        yield from (family(variants(301), axes=[axis("cut")]),)
    else:
        yield from IN_V2
        yield family(variants(301 if country == "US" else 101), axes=[axis("cut")])
    yield from (good(**change) for changes in ONE_PRODUCT.values() for change in changes)
    while True:
        chosen = dice.sample(sorted(ONE_PRODUCT), dice.choice((2, 2, 3)))
        together: CHANGES = {"values": {}}
        for change in (dice.choice(ONE_PRODUCT[name]) for name in chosen):
            together = {**together, **change, "values": {**together["values"], **change.get("values", {})}}
        yield good(dice.choice(TEMPLATES), **together)


def built(bench: Bench, country: str) -> list[int]:
    ids, source = [], cases(country)
    for number in range(SIZE[country]):
        ids.append(next(source)(bench, f"{country}-{number:03d}").id)
    return ids


def verdicts(app: Flask, bench: Bench, ids: list[int]) -> list[tuple[drafts.Prepared, set[int], set[int]]]:
    """(what was prepared, our refusals, the marketplace's) for each listing. The marketplace judges exactly the body that would be sent."""
    prepared = drafts.prepare(ids)
    end_reading()
    account_id = bench.account.id

    def ask(listing_id: int) -> set[int]:
        with app.app_context():
            body = prepared[listing_id].body
            assert body is not None, prepared[listing_id].problems
            answer = connections.tiktok(account_id).check_listing(body.as_dict())
            found = {refusal.code for refusal in answer.refusals}
            return found - CONSEQUENCES if found & UNUSABLE_CATEGORY else found

    with ThreadPoolExecutor(6) as pool:
        return [(prepared[one], {problem.code for problem in prepared[one].refusals}, there) for one, there in zip(ids, pool.map(ask, ids), strict=True)]


@pytest.mark.sqlite_only  # the verdict is pure; reading rows is tested on both databases in test_product_validation.py
def test_the_verdict_on_three_hundred_broken_products_equals_the_marketplaces(
    app: Flask, practice_tiktok: PracticeServer, practice_magento: PracticeServer
) -> None:
    wrong, seen, passed = [], Counter[int](), 0
    for country in SIZE:
        bench = Bench(app, country, practice_magento.url)
        for one, here, there in verdicts(app, bench, built(bench, country)):
            problems = {problem.code for problem in one.draft.problems} if one.draft else set()
            if there - here or here - there - problems or bool(here) != bool(there):
                wrong.append((one.record.sku, f"only here: {sorted(here - there)}", f"only there: {sorted(there - here)}", one.record.name[:40]))
            assert all(problem.field and problem.message.endswith(".") and problem.remedy.endswith(".") for problem in one.problems), one.problems
            seen.update(there)
            passed += not there
    assert not wrong, "\n".join(map(str, wrong))
    assert sum(SIZE.values()) - passed >= 300
    unreachable = set().union(*UNREACHABLE.values())
    every = {value for name, value in vars(codes).items() if name.isupper() and isinstance(value, int)}
    assert {code for code in every - unreachable if seen[code] < 2} == set()
    assert unreachable & set(seen) == set(), "these can be reached after all"
