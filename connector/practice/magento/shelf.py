"""The trouble shelf: products with the faults that merchants' catalogues have, for whoever wants to see what a connector makes of them.

Each has a SKU that begins with ``BAD-`` and says what is wrong; ``FAULTS`` tells it in words. ``POST /practice/seed {"shelf": true}`` puts them beside
the demo world. A good product, ``GOOD-01``, stands among them: one bad record must not stop its neighbours.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from .products import put
from .storage import Doc, Tables
from .worlds import add_product

#: SKU -> what is wrong with it.
FAULTS: dict[str, str] = {
    "BAD-NO-IMAGE": "has no picture at all",
    "BAD-IMAGE-404": "its only picture is not on the server (404)",
    "BAD-IMAGE-PAGE": "the server answers its picture with an HTML page",
    "BAD-IMAGE-BROKEN": "its picture ends in the middle",
    "BAD-IMAGE-TINY": "its picture has 80 x 80 pixels",
    "BAD-WEIGHT": "has no weight",
    "BAD-PRICE-0": "costs 0",
    "BAD-OPTION": "its colour is an option id that has no label",
    "BAD-NO-CHILDREN": "is a configurable product without children",
    "BAD-300-VARIANTS": "is a configurable product with 300 variants",
    "BAD-CASE-01": "has the same SKU as bad-case-01, in capitals",
    "bad-case-01": "has the same SKU as BAD-CASE-01, in small letters",
    "BAD-BUNDLE": "is a bundle",
    "BAD-GROUPED": "is a grouped product",
    "BAD-TITLE": "has a name of 400 characters",
    "BAD-NO-TEXT": "has no description",
}

#: SKU -> what has to be put right on the way, without a person.
ODDITIES: dict[str, str] = {
    "ODD-IMAGE-CMYK": "its picture is a JPEG in print colours",
    "ODD-IMAGE-GIF": "its picture is an animated GIF",
    "ODD-IMAGE-CLEAR": "its picture has a transparent ground",
    "ODD-IMAGE-WIDE": "its picture is five times as wide as high",
    "ODD-ONE-404": "one of its three pictures is not on the server",
    "ODD-SCRIPT": "its description holds a script, a style and a link",
}

_TEXT = "<p>A sound product with an honest description of what it is made of and how it is looked after.</p>"


def seed(db: Tables) -> None:
    """Put the shelf's products into the world that is there."""

    def add(sku: str, *pictures: str, price: str = "12.00", weight: str | None = "0.3", text: str = _TEXT, name: str = "", **more: Any) -> Doc:
        attributes = {"description": text, **more.pop("attributes", {})} if text else dict(more.pop("attributes", {}))
        words = name or f"{(FAULTS | ODDITIES).get(sku, 'A good neighbour')}, {sku}"
        return add_product(
            db, sku, words[:1].upper() + words[1:], Decimal(price), None if weight is None else Decimal(weight), [4], [1],
            stock=more.pop("stock", {"wh_main": 25}), pictures=pictures, attributes=attributes, **more,
        )  # fmt: skip

    add("GOOD-01", "good-01.jpg")
    add("BAD-NO-IMAGE")
    add("BAD-IMAGE-404", "gone-bad-01.jpg")
    add("BAD-IMAGE-PAGE", "page-bad-01.jpg")
    add("BAD-IMAGE-BROKEN", "broken-bad-01.jpg")
    add("BAD-IMAGE-TINY", "tiny-bad-01.png")
    add("BAD-WEIGHT", "bad-weight.jpg", weight=None)
    add("BAD-PRICE-0", "bad-price.jpg", price="0")
    add("BAD-OPTION", "bad-option.jpg", attributes={"color": "4711"})
    add("BAD-BUNDLE", "bad-bundle.jpg", type_id="bundle", stock={}, weight=None)
    add("BAD-GROUPED", "bad-grouped.jpg", type_id="grouped", stock={}, weight=None)
    add("BAD-TITLE", "bad-title.jpg", name="A name that does not know when to stop " + "and goes on and on " * 19)
    add("BAD-NO-TEXT", "bad-no-text.jpg", text="")
    add("BAD-CASE-01", "bad-case.jpg")
    add("bad-case-01", "bad-case.jpg", name="Small letters twin of the other one", url_key="bad-case-01-small")
    add("ODD-IMAGE-CMYK", "cmyk-odd-01.jpg")
    add("ODD-IMAGE-GIF", "animated-odd-02.gif")
    add("ODD-IMAGE-CLEAR", "clear-mug-04.png")
    add("ODD-IMAGE-WIDE", "wide-odd-05.jpg")
    add("ODD-ONE-404", "odd-06.jpg", "gone-odd-06.jpg", "odd-06-back.jpg")
    add(
        "ODD-SCRIPT",
        "odd-script.jpg",
        text='<style>p{color:red}</style><script>alert("x")</script><p onclick="steal()">Washed linen, <a href="https://elsewhere.example">made by hand</a>.</p>',
    )
    _configurable(db, add("BAD-NO-CHILDREN", "bad-no-children.jpg", type_id="configurable", stock={}, weight=None, price="0"), [])
    many = add("BAD-300-VARIANTS", "bad-many.jpg", type_id="configurable", stock={}, weight=None, price="0")
    children = []
    for number in range(300):
        attributes = {"color": str(4 + number % 4), "size": str(8 + number // 4 % 4), "pattern": f"Pattern {number:03d}"}
        children.append(add(f"BAD-300-{number:03d}", "bad-many.jpg", name=f"One of three hundred, {number}", attributes=attributes, visibility=1)["id"])
    _configurable(db, many, children)


def _configurable(db: Tables, parent: Doc, links: list[int]) -> None:
    axes = ((137, "color", "Color", range(4, 8)), (138, "size", "Size", range(8, 12)))
    parent["links"] = links
    parent["configurable_options"] = [
        {"id": db.next("configurable_option"), "attribute_id": key, "code": code, "label": label, "position": position, "values": list(values) if links else []}
        for position, (key, code, label, values) in enumerate(axes)
    ]
    put(db, parent)
