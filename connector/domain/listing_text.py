"""Titles and descriptions: what TikTok refuses in them, and how a Magento description becomes one that it takes (TTS §5.3.8; MAG §4.2.3)."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from html.parser import HTMLParser

from connector.domain import listing_codes as codes
from connector.domain.listing_codes import Findings
from connector.domain.listing_limits import DESCRIPTION_CHARACTERS, DESCRIPTION_IMAGE_SIDE, DESCRIPTION_IMAGES, Limits

#: Tags a description may hold. Tables are rendered to images by TikTok.
TAGS = frozenset((
    "p", "br", "div", "span", "b", "strong", "i", "em", "u", "ul", "ol", "li", "h1", "h2", "h3", "h4", "h5", "h6", "img",
    "table", "thead", "tbody", "tfoot", "tr", "td", "th", "caption", "colgroup", "col",
))  # fmt: skip
_VOID = frozenset(("br", "img", "col"))
#: Their content is no text for people.
_SILENT = frozenset(("script", "style", "iframe", "object", "noscript", "template", "svg", "head", "title", "video", "audio", "form", "select", "textarea"))

_ESCAPE = re.compile(r"&(#\d+|#x[0-9a-f]+|[a-z][a-z0-9]+);", re.I)
_EMOJI = re.compile("[\U0001f000-\U0001faff\u2600-\u27bf\u2b50\u2b55\ufe0f\u20e3\u2300-\u23ff\u200d]")
_REPEATED = re.compile(r"(.)\1{9,}", re.S)
_MEDIA = re.compile(r"""\{\{\s*media\s+url\s*=\s*["']?(?P<path>[^"'}\s]+)["']?\s*\}\}""", re.I)
_DIRECTIVE = re.compile(r"\{\{.*?\}\}", re.S)


@dataclass(frozen=True, slots=True)
class HostedImage:
    """An image that TikTok holds: ``uri`` for API bodies, ``url`` for descriptions, what it was uploaded as, and its size in pixels."""

    uri: str
    url: str = ""
    use_case: str = "MAIN_IMAGE"
    width: int = 0
    height: int = 0


@dataclass(frozen=True, slots=True)
class CleanDescription:
    """``images``: sources that the original shows, in order, hosted or not; ``notes``: what was left out, for people."""

    html: str
    images: tuple[str, ...]
    notes: tuple[str, ...]


def check_title(found: Findings, title: str, market: Limits) -> None:
    """What TikTok would refuse of a title, added to ``found``; lengths in characters (TTS §5.3.8)."""
    if not title:
        found.wrong(codes.PARAMETER_MISSING, "title", "The title is empty.", "Give the product a name in Magento, or map another attribute as title.")
        return
    change = "Change the name in Magento, or map another attribute as title."
    least, most = market.title
    if not least <= len(title) <= most:
        text = f"The title has {len(title)} characters; {market.region} takes {least} to {most}."
        found.wrong(codes.TITLE_LENGTH, "title", text, change)
    if match := _ESCAPE.search(title):
        found.wrong(codes.TITLE_ESCAPES, "title", f"The title holds the HTML escape {match[0]}.", "Write the character itself.")
    if match := _EMOJI.search(title):
        found.wrong(codes.TITLE_EMOJI, "title", f"The title holds the emoji {match[0]}.", change)
    if any(unicodedata.category(each) == "Cc" for each in title):
        found.wrong(codes.TITLE_CONTROL, "title", "The title holds control characters, such as a line break or a tab.", change)
    if not any(unicodedata.category(each)[0] in "LN" for each in title):
        found.wrong(codes.TITLE_SYMBOLS, "title", "The title holds symbols only.", change)
    if match := _REPEATED.search(title):
        found.wrong(codes.TITLE_REPEATS, "title", f"The title repeats {match[1]!r} more than 9 times in a row.", change)


def check_description(found: Findings, description: str, hosted: Mapping[str, HostedImage] | None) -> None:
    """``hosted``: TikTok's images by URL; None when they are not known, then the address is not checked."""
    where = "description"
    if not description:
        found.absent(codes.PARAMETER_MISSING, where, "The description is empty.", "Give the product a description in Magento, or map another attribute.")
        return
    if len(description) > DESCRIPTION_CHARACTERS:
        text = f"The description has {len(description):,} characters with its HTML; {DESCRIPTION_CHARACTERS:,} are allowed."
        found.wrong(codes.DESCRIPTION_LENGTH, where, text, "Shorten the description in Magento.")
    parser = _Reader()
    parser.feed(description)
    parser.close()
    for tag in dict.fromkeys(tag for tag, _ in parser.tags if tag not in TAGS):
        found.wrong(codes.DESCRIPTION_TAG, where, f"The description holds the tag <{tag}>, which is not supported.", "Remove the tag; the text may stay.")
    images = [facts for tag, facts in parser.tags if tag == "img"]
    if len(images) > DESCRIPTION_IMAGES:
        text = f"The description shows {len(images)} images; {DESCRIPTION_IMAGES} are allowed."
        found.wrong(codes.DESCRIPTION_IMAGE_COUNT, where, text, "Remove images from the description.")
    for facts in images:
        _check_image(found, facts, hosted)


def _check_image(found: Findings, facts: Mapping[str, str | None], hosted: Mapping[str, HostedImage] | None) -> None:
    missing = [name for name in ("src", "width", "height") if not facts.get(name)]
    if missing:
        text = f"An image of the description has no {', '.join(missing)}."
        found.wrong(codes.DESCRIPTION_TAG_ATTRIBUTE, "description", text, "Give every image src, width and height.")
    source = facts.get("src")
    if not source or hosted is None:
        return
    image = hosted.get(source)
    if image is None:
        text = f"The image {source} of the description is not hosted by TikTok Shop."
        found.wrong(codes.DESCRIPTION_IMAGE_URL, "description", text, "Upload the image first; only TikTok's own addresses are accepted.")
    elif max(image.width, image.height) >= DESCRIPTION_IMAGE_SIDE:
        text = f"The image {source} of the description is {image.width} x {image.height} pixels; each side must be below {DESCRIPTION_IMAGE_SIDE}."
        found.wrong(codes.DESCRIPTION_IMAGE_SIZE, "description", text, "Use a smaller image.")


class _Reader(HTMLParser):
    """Keeps the tags with their attributes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def clean_description(source: str, hosted: Mapping[str, HostedImage]) -> CleanDescription:
    """A description that TikTok takes: known tags without attributes, no scripts, images only where TikTok holds them (``hosted`` by source).

    ``{{media url=...}}`` becomes its path, other directives of Magento go. Text without any tag becomes paragraphs.
    """
    text = _MEDIA.sub(lambda match: html.escape(match["path"]), source or "")
    text, directives = _DIRECTIVE.subn("", text)
    writer = _Writer(hosted)
    writer.feed(text)
    writer.close()
    cleaned = writer.result()
    if "<" not in cleaned:
        cleaned = "".join(f"<p>{line.strip()}</p>" for line in cleaned.splitlines() if line.strip())
    notes = [f"The tag <{tag}> was left out of the description." for tag in sorted(writer.dropped)]
    notes += [f"The image {image} was left out of the description: it is not uploaded." for image in writer.images if image not in hosted]
    if directives:
        notes.append("Magento's own directives ({{...}}) were left out of the description.")
    return CleanDescription(cleaned, tuple(dict.fromkeys(writer.images)), tuple(dict.fromkeys(notes)))


class _Writer(HTMLParser):
    """Writes the known tags again, balanced."""

    def __init__(self, hosted: Mapping[str, HostedImage]) -> None:
        super().__init__(convert_charrefs=True)
        self._hosted, self._out, self._open, self._silent = hosted, list[str](), list[str](), list[str]()
        self.images: list[str] = []
        self.dropped: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SILENT:
            self.dropped.add(tag)
            self._silent.append(tag)
        elif self._silent:
            return
        elif tag == "img":
            self._image(dict(attrs))
        elif tag in TAGS:
            self._out.append(f"<{tag}>")
            if tag not in _VOID:
                self._open.append(tag)
        elif tag not in ("html", "body", "a", "font", "section", "article", "small", "label"):  # these only wrap text: nothing is lost
            self.dropped.add(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if self._silent:
            if tag == self._silent[-1]:
                self._silent.pop()
        elif tag in self._open:
            while (last := self._open.pop()) != tag:
                self._out.append(f"</{last}>")
            self._out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._out.append(html.escape(data, quote=False))

    def result(self) -> str:
        return ("".join(self._out) + "".join(f"</{tag}>" for tag in reversed(self._open))).strip()

    def _image(self, facts: Mapping[str, str | None]) -> None:
        source = (facts.get("src") or "").strip()
        if not source:
            return
        self.images.append(source)
        if (image := self._hosted.get(source)) is not None:
            self._out.append(f'<img src="{html.escape(image.url)}" width="{image.width}" height="{image.height}">')
