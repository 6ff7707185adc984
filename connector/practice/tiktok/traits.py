"""What a category asks for, by its traits: attributes with their values, certificates, size chart, dimensions (TTS §5.3.4, §5.3.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

COLOURS = ("Black", "White", "Grey", "Red", "Green", "Blue", "Yellow", "Orange", "Pink", "Purple", "Brown", "Beige", "Multicolour", "Transparent")
SIZES = ("XS", "S", "M", "L", "XL", "XXL", "3XL", "One size")
SHOE_SIZES = tuple(str(size) for size in range(34, 49))
MATERIALS = ("Cotton", "Polyester", "Wool", "Silk", "Linen", "Leather", "Viscose", "Denim", "Elastane")
SOLIDS = ("Ceramic", "Stoneware", "Porcelain", "Glass", "Stainless steel", "Aluminium", "Wood", "Bamboo", "Plastic", "Paper", "Silicone")
YES_NO = ("Yes", "No")


@dataclass(frozen=True)
class Attribute:
    """`when`: (attribute name, value name) pairs; the attribute is required as soon as one of them holds."""

    name: str
    values: tuple[str, ...] = ()
    required: bool = False
    sales: bool = False
    multiple: bool = False
    custom: bool = False
    number: bool = False
    when: tuple[tuple[str, str], ...] = ()

    @property
    def id(self) -> str:
        return _numbers()[self.name, self.values]

    def value_id(self, value: str) -> str:
        return f"1{int(self.id) % 100_000:04d}{self.values.index(value) + 1:03d}"

    def value_of(self, value_id: str) -> str | None:
        """The name of a value by its id."""
        return next((value for value in self.values if self.value_id(value) == value_id), None)


COLOUR = Attribute("Color", COLOURS, sales=True)
SIZE = Attribute("Size", SIZES, sales=True)
SHOE_SIZE = Attribute("Shoe Size", SHOE_SIZES, sales=True)
SPECIFICATION = Attribute("Specification", sales=True)
MATERIAL = Attribute("Material", MATERIALS, required=True, multiple=True, custom=True)
SOLID = Attribute("Material", SOLIDS, custom=True)
CONTAINS_BATTERY = Attribute("Contains Batteries or Cells?", YES_NO, required=True)
BATTERY_TYPE = Attribute("Battery Type", ("Lithium-ion", "Alkaline", "Nickel-metal hydride", "Button cell"), when=((CONTAINS_BATTERY.name, "Yes"),))
ORIGIN = Attribute("Country of Origin", ("China", "Germany", "India", "Italy", "Portugal", "Türkiye", "United Kingdom", "United States", "Vietnam"))

_CLOTHES = (
    MATERIAL,
    Attribute("Pattern", ("Plain", "Striped", "Checked", "Floral", "Printed", "Dotted"), custom=True),
    Attribute("Season", ("Spring", "Summer", "Autumn", "Winter", "All seasons"), multiple=True),
    Attribute("Care Instructions", custom=True),
)
ATTRIBUTES: Mapping[str, tuple[Attribute, ...]] = {
    "apparel": (COLOUR, SIZE, *_CLOTHES, Attribute("Neckline", ("Crew neck", "V-neck", "Polo", "Hooded", "Turtleneck")), ORIGIN),
    "footwear": (
        *(COLOUR, SHOE_SIZE, Attribute("Upper Material", ("Leather", "Suede", "Canvas", "Mesh", "Synthetic"), required=True, custom=True)),
        *(Attribute("Heel Height", number=True), Attribute("Closure", ("Lace-up", "Slip-on", "Zip", "Buckle")), ORIGIN),
    ),
    "accessory": (COLOUR, SIZE, SPECIFICATION, Attribute("Material", MATERIALS, custom=True), Attribute("Style", ("Casual", "Classic", "Sporty", "Formal")), ORIGIN),
    "home": (COLOUR, SPECIFICATION, SOLID, Attribute("Capacity (ml)", number=True), Attribute("Dishwasher Safe", YES_NO), ORIGIN),
    "textile": (COLOUR, SIZE, MATERIAL, Attribute("Thread Count", number=True), ORIGIN),
    "electric": (
        *(COLOUR, SPECIFICATION, CONTAINS_BATTERY, BATTERY_TYPE, Attribute("Battery Capacity (mAh)", number=True, when=((BATTERY_TYPE.name, "Lithium-ion"),))),
        *(Attribute("Rated Power (W)", number=True), Attribute("Plug Type", ("Type A", "Type C", "Type G", "USB", "None")), ORIGIN),
        Attribute("Warranty Type", ("Manufacturer warranty", "Supplier warranty", "No warranty")),
    ),
    "beauty": (
        *(COLOUR, SPECIFICATION, Attribute("Net Content (ml or g)", required=True, number=True), Attribute("Ingredients", required=True, custom=True)),
        *(Attribute("Contains Alcohol or Aerosol", YES_NO), Attribute("Alcohol Content (%)", number=True, when=(("Contains Alcohol or Aerosol", "Yes"),))),
        *(Attribute("Skin Type", ("All", "Dry", "Oily", "Sensitive"), multiple=True), ORIGIN),
    ),
    "food": (
        *(SPECIFICATION, Attribute("Flavour", custom=True), Attribute("Ingredients", required=True, custom=True)),
        *(Attribute("Net Weight (g)", required=True, number=True), Attribute("Shelf Life (days)", required=True, number=True)),
        *(Attribute("Allergens", ("None", "Gluten", "Milk", "Nuts", "Soya", "Eggs"), required=True, multiple=True), ORIGIN),
    ),
    "toys": (
        *(COLOUR, SPECIFICATION, Attribute("Recommended Age", ("0-3 years", "3-6 years", "6-12 years", "12 years and over"), required=True)),
        *(SOLID, CONTAINS_BATTERY, BATTERY_TYPE, ORIGIN),
    ),
    "sport": (COLOUR, SIZE, SPECIFICATION, SOLID, Attribute("Sport", custom=True), ORIGIN),
    "pet": (COLOUR, SIZE, SPECIFICATION, Attribute("Animal", ("Dog", "Cat", "Small animal"), required=True, multiple=True), SOLID),
    "auto": (COLOUR, SPECIFICATION, Attribute("Vehicle", ("Car", "Motorcycle", "Universal"), required=True), SOLID),
    "book": (Attribute("Format", ("Hardback", "Paperback", "Spiral-bound"), sales=True), Attribute("Language", ("English", "German", "French", "Spanish"), required=True),
             Attribute("Author", required=True, custom=True), Attribute("Pages", number=True)),
    "paper": (COLOUR, SPECIFICATION, Attribute("Paper Size", ("A4", "A5", "A6", "B5")), Attribute("Material", SOLIDS, custom=True)),
    "plain": (COLOUR, SIZE, SPECIFICATION, Attribute("Material", SOLIDS, custom=True)),
    "battery": (CONTAINS_BATTERY, BATTERY_TYPE),
    "candle": (Attribute("Scent", custom=True), Attribute("Burning Time (h)", number=True)),
    "kids": (Attribute("Age Group", ("0-3 months", "3-12 months", "1-3 years", "3-8 years", "8-14 years"), required=True, multiple=True),),
    "adult": (Attribute("Blade Length (cm)", number=True),),
}  # fmt: skip


@cache
def _numbers() -> dict[tuple[str, tuple[str, ...]], str]:
    """Attribute ids: the same name with the same values is the same attribute in every category."""
    known = dict.fromkeys((each.name, each.values) for group in ATTRIBUTES.values() for each in group)
    return {key: str(100_101 + number) for number, key in enumerate(known)}


@cache
def attributes(traits: tuple[str, ...]) -> dict[str, Attribute]:
    """The attributes of a category by id."""
    found = {attribute.id: attribute for trait in traits for attribute in ATTRIBUTES.get(trait, ())}
    return found or {attribute.id: attribute for attribute in ATTRIBUTES["plain"]}


def conditions(attribute: Attribute, among: Mapping[str, Attribute]) -> list[dict[str, str]]:
    """`requirement_conditions` of an attribute within its category."""
    by_name = {each.name: each for each in among.values()}
    return [
        {"condition_type": "VALUE_ID_MATCH", "attribute_id": by_name[name].id, "attribute_value_id": by_name[name].value_id(value)}
        for name, value in attribute.when
        if name in by_name
    ]


def rules(traits: tuple[str, ...]) -> dict[str, Any]:
    """The answer of get category rules."""
    among = attributes(traits)
    certificates = []
    if "cert" in traits:
        certificates.append(_certificate("90101", "Declaration of Conformity", True))
    if "toys" in traits:
        certificates.append(_certificate("90102", "Toy Safety Test Report", False))
    if any(attribute.name == CONTAINS_BATTERY.name for attribute in among.values()):
        needs = [{"condition_type": "VALUE_ID_MATCH", "attribute_id": BATTERY_TYPE.id, "attribute_value_id": BATTERY_TYPE.value_id("Lithium-ion")}]
        certificates.append({**_certificate("90103", "UN 38.3 Test Summary", False), "requirement_conditions": needs})
    worn = "apparel" in traits or "footwear" in traits
    return {
        "product_certifications": certificates,
        "size_chart": {"is_required": "sizechart" in traits, "is_supported": worn},
        "package_dimension": {"is_required": "book" not in traits},
        "cod": {"is_supported": False},  # in none of the practice markets (TTS §5.3.8)
        "epr": {"is_required": False},
        "manufacturer": {"is_required": False},
        "responsible_person": {"is_required": False},
        "fees": [{"type": "PFAND", "is_required": False}] if "pfand" in traits else [],
        "allowed_special_product_types": ["PRE_ORDER", "MADE_TO_ORDER", "CUSTOM"] if worn or "home" in traits or "accessory" in traits else ["PRE_ORDER"],
    }


def _certificate(number: str, name: str, required: bool) -> dict[str, Any]:
    return {
        "id": number,
        "name": name,
        "is_required": required,
        "document_details": f"Upload the {name} of the product as pictures or as a PDF.",
        "sample_image_url": "",
        "expiration_date": {"is_required": number == "90102"},
        "requirement_conditions": [],
    }
