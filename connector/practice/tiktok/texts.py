"""Rules of titles and descriptions (TTS §5.3.8, §3.4)."""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from . import refusals as codes
from .findings import Findings
from .orderbook import Document
from .uploads import picture_row, uri_in

if TYPE_CHECKING:
    from .marketplace import Marketplace

TITLE_LENGTHS = {"GB": (1, 255), "US": (1, 255), "SG": (25, 255)}
DESCRIPTION_CHARACTERS = 10_000
DESCRIPTION_IMAGES = 30
DESCRIPTION_IMAGE_SIDE = 4000
TAGS = frozenset(
    (*("p", "br", "div", "span", "b", "strong", "i", "em", "u", "ul", "ol", "li", "h1", "h2", "h3", "h4", "h5", "h6", "img"),
     *("table", "thead", "tbody", "tfoot", "tr", "td", "th", "caption", "colgroup", "col"))
)  # fmt: skip
ESCAPE = re.compile(r"&(#\d+|#x[0-9a-f]+|[a-z][a-z0-9]+);", re.IGNORECASE)
EMOJI = re.compile("[\U0001f000-\U0001faff\U00002600-\U000027bf\U00002b50\U00002b55\U0000fe0f\U000020e3\U00002300-\U000023ff\U0000200d]")
REPEATS = re.compile(r"(.)\1{9,}", re.DOTALL)


def check_title(found: Findings, shop: Document, title: str) -> None:
    least, most = TITLE_LENGTHS[shop["region"]]
    if not least <= len(title) <= most:
        found.wrong(codes.TITLE_LENGTH, f"the title has {len(title)} characters, it must have {least} to {most}")
    if ESCAPE.search(title):
        found.wrong(codes.TITLE_ESCAPES, f"the title holds the HTML escape {ESCAPE.search(title)[0]}")
    if EMOJI.search(title):
        found.wrong(codes.TITLE_EMOJI, f"the title holds the emoji {EMOJI.search(title)[0]}")
    if any(unicodedata.category(each) == "Cc" for each in title):
        found.wrong(codes.TITLE_CONTROL, "the title holds control characters")
    if not any(unicodedata.category(each)[0] in "LN" for each in title):
        found.wrong(codes.TITLE_SYMBOLS, "the title holds nothing but symbols")
    if repeated := REPEATS.search(title):
        found.wrong(codes.TITLE_REPEATS, f"the title repeats {repeated[1]!r} more than 9 times in a row")


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def check_description(found: Findings, market: Marketplace, description: str) -> None:
    if len(description) > DESCRIPTION_CHARACTERS:
        found.wrong(codes.DESCRIPTION_LENGTH, f"the description has {len(description)} characters, at most {DESCRIPTION_CHARACTERS} are allowed")
    parser = _Tags()
    parser.feed(description)
    parser.close()
    for tag in dict.fromkeys(tag for tag, _ in parser.seen if tag not in TAGS):
        found.wrong(codes.DESCRIPTION_TAG, f"the description holds the unsupported tag <{tag}>")
    images = [attributes for tag, attributes in parser.seen if tag == "img"]
    if len(images) > DESCRIPTION_IMAGES:
        found.wrong(codes.DESCRIPTION_IMAGE_COUNT, f"the description holds {len(images)} images, at most {DESCRIPTION_IMAGES} are allowed")
    for attributes in images:
        _check_image(found, market, attributes)


def _check_image(found: Findings, market: Marketplace, attributes: dict[str, str | None]) -> None:
    absent = [name for name in ("src", "width", "height") if not attributes.get(name)]
    if absent:
        found.wrong(codes.DESCRIPTION_TAG_ATTRIBUTE, f"an <img> of the description has no {', '.join(absent)}")
    source = attributes.get("src")
    if not source:
        return
    row = picture_row(market, uri_in(source))
    if row is None:
        found.wrong(codes.DESCRIPTION_IMAGE_URL, f"the image {source} of the description is not an uploaded image")
    elif max(row["width"], row["height"]) >= DESCRIPTION_IMAGE_SIDE:
        found.wrong(codes.DESCRIPTION_IMAGE_SIZE, f"the image {source} of the description must be smaller than {DESCRIPTION_IMAGE_SIDE} px")
