"""From a Magento product to the body of its listing, with everything that was wrong on the way (A062-A066, A124, A135-A138, A158)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal as D
from typing import Any

import pytest

from connector.domain import listing_codes as codes
from connector.domain.attribute_mapping import AttributeMapping, mapping_for, resolve, stale_values
from connector.domain.listing import Draft, ListingPlan, Offer, build, files_needed
from connector.domain.listing_body import Choice, body_of
from connector.domain.listing_rules import check
from connector.domain.listing_text import HostedImage
from connector.domain.magento_product import MagentoProduct, magento_product
from connector.domain.policies import ImagePolicy, InventoryPolicy, PricingPolicy
from connector.domain.pricing import PriceFacts, price
from connector.domain.stock import StockFacts, quantity
from tests.clients.recorded import capture
from tests.unit.listings import WAREHOUSE, category, shop

OPTIONS = {
    "color": {"58": "Red", "59": "Blue", "60": ""},
    "size": {"91": "M", "92": "L"},
    "fabric": {"11": "Cotton", "12": "Merino wool"},
}
MAPPINGS = (
    AttributeMapping(attribute_id="100", magento_attribute="color", values={"58": "1001"}),
    AttributeMapping(attribute_id="200", magento_attribute="fabric", values={"12": "2002"}),
    AttributeMapping(attribute_id="201", source="recommended", recommended_values=("3002",)),
)
IMAGES = ImagePolicy(default_image="/default.jpg", gallery_images=2)
HOSTED = {
    file: HostedImage(f"tos{file}", f"https://p16.example/obj/tos{file}", "MAIN_IMAGE", 800, 800)
    for file in ("/t/tee.jpg", "/t/back.jpg", "/t/red.jpg", "/t/blue.jpg", "/default.jpg", "wysiwyg/size.png")
}


def rest_product(sku: str = "TEE", **more: Any) -> dict[str, Any]:
    """A product as Magento's REST gives it (MAG §4.2.2)."""
    attributes = {"image": "/t/tee.jpg", "description": "<p>A plain tee.</p>", "fabric": "11"} | more.pop("attributes", {})
    return {
        "id": 412, "sku": sku, "name": "Plain tee of organic cotton", "price": D("19.5"), "status": 1, "type_id": "simple", "weight": D("0.2345"),
        "custom_attributes": [{"attribute_code": code, "value": value} for code, value in attributes.items() if value is not None],
        "media_gallery_entries": [
            {"file": "/t/back.jpg", "position": 2, "types": [], "media_type": "image"},
            {"file": "/t/tee.jpg", "position": 1, "types": ["image"], "media_type": "image"},
            {"file": "/t/hidden.jpg", "position": 3, "types": [], "media_type": "image", "disabled": True},
            {"file": "/t/film.jpg", "position": 4, "types": [], "media_type": "external-video"},
        ],
    } | more  # fmt: skip


def offer(product: MagentoProduct, stock: int = 5, amount: str = "19.50") -> Offer:
    facts = PriceFacts(sku=product.sku, values={"price": D(amount)}, currency="USD", base_currency="USD", now=datetime(2026, 11, 21, tzinfo=UTC))
    return Offer(product=product, price=price(PricingPolicy(), facts), stock=quantity(InventoryPolicy(), StockFacts(quantity=stock, warehouses=(WAREHOUSE,))))


def simple(**more: Any) -> MagentoProduct:
    return magento_product(rest_product(**more), OPTIONS)


def plan(**more: Any) -> ListingPlan:
    return ListingPlan(**{"category": category(), "mappings": MAPPINGS, "usual_dimensions": (D(30), D(20), D(3)), **more})


def made(product: MagentoProduct, offers: list[Offer] | None = None, **more: Any) -> Draft:
    facts: dict[str, Any] = {"plan": plan(**more.pop("plan", {})), "images": IMAGES, "hosted": HOSTED, "region": "US"}
    return build(product, offers or [offer(product)], **facts | more)


def parent() -> MagentoProduct:
    axes = [{"attribute_id": "93", "label": "Color", "position": 0}, {"attribute_id": "94", "label": "Size", "position": 1}]
    return magento_product(
        rest_product(type_id="configurable", weight=None, extension_attributes={"configurable_product_options": axes}), OPTIONS, {"93": "color", "94": "size"}
    )


def child(colour: str, size: str, number: int = 413, **more: Any) -> MagentoProduct:
    picture = {"58": "/t/red.jpg", "59": "/t/blue.jpg"}.get(colour)
    attributes = {"color": colour, "size": size, "image": picture} | more.pop("attributes", {})
    return magento_product(rest_product(f"TEE-{colour}-{size}", id=number, attributes=attributes, media_gallery_entries=[], **more), OPTIONS)


def test_a_simple_product_becomes_a_listing_that_has_no_problem() -> None:
    draft = made(simple())
    assert draft.problems == ()
    assert draft.body.as_dict() == {
        "title": "Plain tee of organic cotton",
        "description": "<p>A plain tee.</p>",
        "category_id": "600",
        "category_version": "v2",
        "save_mode": "LISTING",
        "main_images": [{"uri": "tos/t/tee.jpg"}, {"uri": "tos/t/back.jpg"}],
        "product_attributes": [{"id": "200", "values": [{"id": "2001"}]}, {"id": "201", "values": [{"id": "3002"}]}],
        "external_product_id": "magento:412",
        "package_weight": {"value": "0.235", "unit": "KILOGRAM"},
        "package_dimensions": {"length": "30", "width": "20", "height": "3", "unit": "CENTIMETER"},
        "skus": [
            {
                "seller_sku": "TEE",
                "external_sku_id": "412",
                "price": {"amount": "19.50", "currency": "USD"},
                "inventory": [{"warehouse_id": WAREHOUSE, "quantity": 5}],
            }
        ],
    }
    assert draft.notes == ("The weight 0.2345 is sent as 0.235: TikTok Shop takes 3 decimals.",)
    assert draft.reasons["TEE.price"].startswith("price is 19.50 USD.")
    assert draft.reasons["TEE.inventory"].startswith("Magento's stock item holds 5 units.")
    assert check(draft.body, category=category(), shop=shop(images=None)) == []


def test_a_configurable_becomes_one_listing_with_its_children_as_variants() -> None:
    children = [child("58", "91", 413), child("58", "92", 414), child("59", "91", 415)]
    draft = made(parent(), [offer(each) for each in children])
    assert draft.problems == ()
    assert [[attribute.as_dict() for attribute in sku.sales_attributes] for sku in draft.body.skus] == [
        [{"id": "100", "value_id": "1001", "sku_img": {"uri": "tos/t/red.jpg"}}, {"id": "101", "value_name": "M"}],
        [{"id": "100", "value_id": "1001", "sku_img": {"uri": "tos/t/red.jpg"}}, {"id": "101", "value_name": "L"}],
        [{"id": "100", "value_id": "1002", "sku_img": {"uri": "tos/t/blue.jpg"}}, {"id": "101", "value_name": "M"}],
    ]
    assert check(draft.body, category=category(), shop=shop(images=None)) == []


def test_an_axis_that_the_category_does_not_know_is_sent_by_its_own_name() -> None:
    product = replace(parent(), axes=("color", "cut"), axis_labels={"color": "Color", "cut": "Cut"})
    draft = made(product, [offer(child("58", "91", attributes={"cut": "Slim"}))])
    assert draft.body.skus[0].sales_attributes[1].as_dict() == {"name": "Cut", "value_name": "Slim"}


def test_pictures_stay_away_when_one_value_has_none() -> None:
    draft = made(parent(), [offer(child("58", "91")), offer(child("59", "91", attributes={"image": "no_selection"}))])
    assert {attribute.image for sku in draft.body.skus for attribute in sku.sales_attributes} == {""}


def test_disabled_children_and_new_sold_out_ones_are_left_out_and_told() -> None:
    children = [offer(child("58", "91", 413)), offer(child("58", "92", 414, status=2)), offer(child("59", "91", 415), stock=0)]
    draft = made(parent(), children)
    assert [sku.seller_sku for sku in draft.body.skus] == ["TEE-58-91"]
    assert draft.notes[0] == "1 of 3 variants are disabled in Magento and are left out."
    assert draft.notes[1].startswith("TEE-59-91: out of stock")
    live = body_of({"skus": [{"id": "s9", "seller_sku": "TEE-59-91"}]})
    again = made(parent(), children, live=live)
    assert [(sku.seller_sku, sku.id) for sku in again.body.skus] == [("TEE-58-91", ""), ("TEE-59-91", "s9")], (
        "what is on TikTok is not deleted for being sold out"
    )


def test_a_configurable_without_children_is_parked_with_reason_and_remedy() -> None:
    draft = build(parent(), [], plan=plan(), images=IMAGES, hosted=HOSTED, region="US")
    assert codes.NO_SKU in {problem.code for problem in check(draft.body, category=category(), shop=shop(images=None))}


def test_an_option_without_label_is_told_for_axes_and_for_attributes() -> None:
    draft = made(parent(), [offer(child("60", "91"))])
    (problem,) = draft.problems
    assert (problem.code, problem.field) == (codes.AXIS_VALUE, "TEE-60-91.color")
    assert "60" in problem.message
    (problem,) = made(simple(attributes={"fabric": "13"})).problems
    assert (problem.code, problem.field) == (codes.ATTRIBUTE_VALUES_UNUSABLE, "product_attributes[200]")


def test_a_blocked_price_is_told_with_the_policys_reason_and_sends_none() -> None:
    product = simple()
    draft = made(product, [offer(product, amount="0")])
    (problem,) = draft.problems
    assert problem.field == "skus[0].price"
    assert "price of 0" in problem.message
    assert draft.body.as_dict()["skus"][0]["price"] == {"currency": "USD"}


def test_a_bundle_is_not_listed() -> None:
    (problem,) = made(simple(type_id="bundle")).problems
    assert problem.field == "type"


def test_the_default_image_is_used_only_when_there_is_none_and_the_gallery_is_limited() -> None:
    """A063, A064, A066"""
    none = simple(attributes={"image": "no_selection"}, media_gallery_entries=[])
    assert none.pictures(IMAGES) == ("/default.jpg",)
    assert none.pictures(ImagePolicy()) == ()
    many = simple(media_gallery_entries=[{"file": f"/t/{n}.jpg", "position": n, "media_type": "image"} for n in range(20)])
    assert many.pictures(IMAGES) == ("/t/tee.jpg", "/t/0.jpg", "/t/1.jpg")
    assert len(many.pictures(ImagePolicy())) == 9
    assert many.pictures(ImagePolicy(gallery_images=0)) == ("/t/tee.jpg",)
    assert simple(attributes={"image": None}).pictures(IMAGES)[0] == "/t/tee.jpg", "the gallery entry with the role"


def test_every_picture_that_is_needed_is_named_with_its_use() -> None:
    product = replace(parent(), values={**parent().values, "description": '<img src="{{media url=wysiwyg/size.png}}">'})
    needed = files_needed(product, [offer(child("58", "91")), offer(child("59", "91", status=2))], plan=plan(), images=IMAGES)
    assert needed == {"wysiwyg/size.png": "DESCRIPTION_IMAGE", "/t/red.jpg": "ATTRIBUTE_IMAGE", "/t/tee.jpg": "MAIN_IMAGE", "/t/back.jpg": "MAIN_IMAGE"}


@pytest.mark.parametrize(
    ("unit", "size_unit", "region", "weight", "size"),
    [
        ("kgs", "cm", "US", ("0.235", "KILOGRAM"), ("31", "20", "3", "CENTIMETER")),
        ("lbs", "in", "US", ("0.24", "POUND"), ("31", "20", "3", "INCH")),
        ("lbs", "cm", "US", ("0.107", "KILOGRAM"), ("31", "20", "3", "CENTIMETER")),  # one system of units
        ("lbs", "in", "GB", ("0.107", "KILOGRAM"), ("78", "51", "8", "CENTIMETER")),
    ],
)
def test_weights_and_measures_are_rounded_up_and_speak_one_system(
    unit: str, size_unit: str, region: str, weight: tuple[str, str], size: tuple[str, ...]
) -> None:
    body = made(
        simple(attributes={"len": "30.5"}), plan={"weight_unit": unit, "dimension_unit": size_unit, "dimension_attributes": ("len", "", "")}, region=region
    ).body
    assert body.package_weight is not None
    assert body.package_dimensions is not None
    assert (body.package_weight.value, body.package_weight.unit) == weight
    found = body.package_dimensions
    assert (found.length, found.width, found.height, found.unit) == size


def test_a_missing_weight_comes_from_the_heaviest_variant_or_the_template_and_is_told() -> None:
    heavy = made(parent(), [offer(child("58", "91")), offer(child("59", "91", weight=D("0.5")))])
    assert heavy.body.package_weight is not None
    assert heavy.body.package_weight.value == "0.5"
    usual = made(simple(weight=None), plan={"usual_weight": D("1.2")})
    assert usual.body.package_weight is not None
    assert usual.body.package_weight.value == "1.2"
    assert usual.notes[0] == "TEE has no weight in Magento; the listing template's is used."
    assert made(simple(weight=None)).body.package_weight is None
    assert made(simple(weight=D(0))).body.package_weight is not None, "zero is sent to the check, which refuses it"


def test_identifiers_come_from_the_named_attribute_with_their_likely_type() -> None:
    body = made(simple(attributes={"ean": "4006381333931"}), plan={"identifier_attribute": "ean"}).body
    assert body.as_dict()["skus"][0]["identifier_code"] == {"code": "4006381333931", "type": "EAN"}
    assert "identifier_code" not in made(simple(), plan={"identifier_attribute": "ean"}).body.as_dict()["skus"][0]


def test_a_recorded_configurable_of_a_real_magento_becomes_a_listing() -> None:
    """MAG §4.2: captures catalog-product-configurable and catalog-children."""
    recorded, children = (capture(name)["response"]["body"] for name in ("catalog-product-configurable", "catalog-children"))
    options = {"tshirt_color": {"4": "Black", "5": "White"}, "tshirt_size": {"7": "S", "8": "M", "9": "L"}, "materials": {"10": "Cotton", "11": "Hemp"}}
    product = magento_product(recorded, options, {"137": "tshirt_color", "138": "tshirt_size"})
    mapped = AttributeMapping(attribute_id="200", magento_attribute="materials")
    variants = [magento_product(each, options) for each in children]
    draft = made(product, [offer(each) for each in variants], plan={"mappings": (mapped,)})
    assert product.axes == ("tshirt_color", "tshirt_size")
    assert product.pictures(IMAGES) == ("/t/e/tee.png", "/t/e/tee-b.png")
    assert draft.body.title == "Acme Tee"
    assert draft.body.description == "<p>Tee long <b>description</b></p>"
    assert draft.body.product_attributes[0].values == (Choice("2001", "Cotton"), Choice("", "Hemp"))
    assert draft.body.skus[0].seller_sku == "TEE-BLA-S"
    assert [attribute.as_dict() for attribute in draft.body.skus[0].sales_attributes] == [
        {"name": "T-Shirt Color", "value_name": "Black"},
        {"id": "101", "value_name": "S"},
    ]
    assert len({sku.variant for sku in draft.body.skus}) == len(children)


def test_a_mapping_for_chosen_categories_comes_before_one_for_all() -> None:
    """A138"""
    everywhere = AttributeMapping(attribute_id="200", magento_attribute="fabric")
    here = AttributeMapping(attribute_id="200", source="custom", custom_value="Hemp", categories=("600",))
    assert mapping_for([everywhere, here], "200", "600") is here
    assert mapping_for([everywhere, here], "200", "700") is everywhere
    assert mapping_for([here], "200", "700") is None


def test_values_are_taken_by_mapping_then_by_name_then_as_free_text() -> None:
    """A135-A137"""
    material = category().attributes["200"]
    mapping = AttributeMapping(attribute_id="200", magento_attribute="fabric", values={"12": "2002"})
    assert resolve(mapping, material, simple(attributes={"fabric": "12"})).choices == (Choice("2002", "Wool"),)
    assert resolve(mapping, material, simple(attributes={"fabric": "11,12"})).choices == (Choice("2001", "Cotton"), Choice("2002", "Wool"))
    assert resolve(mapping, material, simple(attributes={"fabric": None})).choices == ()
    free = AttributeMapping(attribute_id="200", magento_attribute="cloth")
    assert resolve(free, material, simple(attributes={"cloth": "Hemp"})).choices == (Choice("", "Hemp"),)
    assert resolve(AttributeMapping(attribute_id="200", source="custom", custom_value="wool"), material, simple()).choices == (Choice("2002", "wool"),)


def test_values_that_tiktok_no_longer_offers_are_found_after_a_refetch() -> None:
    """A127"""
    material = category().attributes["200"]
    assert stale_values(AttributeMapping(attribute_id="200", values={"11": "2001", "12": "2999"}), material) == {"12": "2999"}
    assert stale_values(AttributeMapping(attribute_id="200", source="recommended", recommended_values=("2999",)), material) == {"2999": "2999"}
