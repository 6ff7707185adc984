"""HTML read in one pass into a light tree: what the checks of whole pages ask, at a tenth of what a selector engine costs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from html.parser import HTMLParser

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
#: SVG shapes may close themselves.
SHAPES = {"path", "use", "rect", "circle", "line", "polyline", "polygon"}


class Element:
    """A tag with its attributes ("" for one without a value), what stands in it, and the nearest form, label and table around it."""

    __slots__ = ("attributes", "children", "form", "label", "start", "table", "tag")

    def __init__(self, tag: str, attributes: dict[str, str], start: str, parent: Element | None) -> None:
        self.tag, self.attributes, self.start = tag, attributes, start
        self.children: list[Element | str] = []
        self.form = self.label = self.table = None
        if parent is not None:
            parent.children.append(self)
            self.form = parent if parent.tag == "form" else parent.form
            self.label = parent if parent.tag == "label" else parent.label
            self.table = parent if parent.tag == "table" else parent.table

    form: Element | None
    label: Element | None
    table: Element | None

    def get(self, name: str) -> str | None:
        return self.attributes.get(name)

    def inside(self) -> Iterator[Element]:
        """Every element in this one, in the order of the page."""
        for child in self.children:
            if isinstance(child, Element):
                yield child
                yield from child.inside()

    @property
    def text(self) -> str:
        """Its words, with single spaces between the parts."""
        return " ".join(part for part in self._parts() if part)

    def _parts(self) -> Iterator[str]:
        for child in self.children:
            if isinstance(child, str):
                yield child.strip()
            else:
                yield from child._parts()


class Markup(HTMLParser):
    """A page or a fragment: ``elements`` in their order, ``tags`` and ``ids`` to find them by, and ``complaints`` about what is closed wrongly or not at all."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.complaints: list[str] = []
        self.elements: list[Element] = []
        self.tags: dict[str, list[Element]] = defaultdict(list)
        self.ids: dict[str, Element] = {}
        self._open: list[Element] = []
        self.feed(text)
        self.close()
        self.complaints += [f"<{element.tag}> is never closed" for element in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = self._add(tag, attrs)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._add(tag, attrs)
        if tag not in VOID | SHAPES:
            self.complaints.append(f"<{tag}/> closes itself, line {self.getpos()[0]}")

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1].tag != tag:
            self.complaints.append(f"</{tag}> inside <{self._open[-1].tag if self._open else 'nothing'}>, line {self.getpos()[0]}")
        if any(element.tag == tag for element in self._open):
            while self._open.pop().tag != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self._open:
            self._open[-1].children.append(data)

    def _add(self, tag: str, attrs: list[tuple[str, str | None]]) -> Element:
        attributes = {name: value or "" for name, value in attrs}
        if len(attributes) != len(attrs):
            self.complaints.append(f"<{tag}> names an attribute twice, line {self.getpos()[0]}")
        element = Element(tag, attributes, self.get_starttag_text() or "", self._open[-1] if self._open else None)
        self.elements.append(element)
        self.tags[tag].append(element)
        if attributes.get("id"):
            self.ids.setdefault(attributes["id"], element)
        return element
