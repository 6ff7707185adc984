"""The demo shop's photographs: simple things drawn by Pillow on a studio ground, always the same for the same name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFilter

SIZE = 900  #: pixels of a side
_SCALE = 2  #: drawn larger and reduced, which smooths the edges
_COARSE = 6  #: shadows are blurred that much smaller

Colour = tuple[int, int, int]
Points = list[tuple[float, float]]

COLOURS: dict[str, Colour] = {"black": (44, 44, 48), "white": (244, 243, 239), "red": (186, 44, 52), "grey": (138, 142, 150), "gray": (138, 142, 150)}


class Canvas:
    """Draws in hundredths of the picture's side."""

    def __init__(self, colour: Colour) -> None:
        side = SIZE * _SCALE
        self.image = Image.new("RGBA", (side, side), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self.image)
        self._unit = side / 100
        self.colour = colour

    def shade(self, factor: float) -> Colour:
        return tuple(max(0, min(255, round(part * factor + (255 * (factor - 1) * 0.2 if factor > 1 else 0)))) for part in self.colour)  # type: ignore[return-value]

    def shape(self, points: Points, factor: float = 1.0) -> None:
        self._draw.polygon([(x * self._unit, y * self._unit) for x, y in points], fill=self.shade(factor))

    def oval(self, left: float, top: float, right: float, bottom: float, factor: float = 1.0) -> None:
        self._draw.ellipse([edge * self._unit for edge in (left, top, right, bottom)], fill=self.shade(factor))

    def dome(self, left: float, top: float, right: float, bottom: float, factor: float = 1.0) -> None:
        """The upper half of an oval."""
        self._draw.pieslice([edge * self._unit for edge in (left, top, right, bottom)], 180, 360, fill=self.shade(factor))

    def box(self, left: float, top: float, right: float, bottom: float, factor: float = 1.0, radius: float = 2) -> None:
        self._draw.rounded_rectangle([edge * self._unit for edge in (left, top, right, bottom)], radius * self._unit, fill=self.shade(factor))

    def ring(self, left: float, top: float, right: float, bottom: float, width: float, factor: float = 1.0) -> None:
        box = [edge * self._unit for edge in (left, top, right, bottom)]
        self._draw.ellipse(box, outline=self.shade(factor), width=round(width * self._unit))

    def line(self, points: Points, width: float, factor: float = 1.0) -> None:
        self._draw.line([(x * self._unit, y * self._unit) for x, y in points], fill=self.shade(factor), width=round(width * self._unit), joint="curve")


def _tee(c: Canvas) -> None:
    c.shape([(34, 22), (44, 26), (56, 26), (66, 22), (86, 36), (78, 48), (69, 43), (69, 80), (31, 80), (31, 43), (22, 48), (14, 36)])
    c.oval(43, 18, 57, 29, 0.82)
    c.line([(31, 43), (33, 60)], 0.6, 0.86)
    c.line([(69, 43), (67, 60)], 0.6, 0.86)


def _hood(c: Canvas) -> None:
    _tee(c)
    c.shape([(38, 27), (35, 14), (50, 8), (65, 14), (62, 27)], 0.92)
    c.oval(42, 14, 58, 30, 0.6)
    c.box(37, 58, 63, 72, 0.86, 4)
    c.line([(46, 29), (45, 44)], 0.7, 1.25)
    c.line([(54, 29), (55, 44)], 0.7, 1.25)


def _mug(c: Canvas) -> None:
    c.ring(58, 36, 82, 66, 4, 0.9)
    c.box(26, 26, 68, 78, 1.0, 6)
    c.oval(26, 21, 68, 33, 1.12)
    c.oval(29, 23, 65, 31, 0.55)


def _lamp(c: Canvas) -> None:
    c.line([(50, 80), (50, 46)], 2, 0.6)
    c.oval(34, 76, 66, 84, 0.6)
    c.shape([(38, 20), (62, 20), (74, 50), (26, 50)], 1.15)


def _bag(c: Canvas) -> None:
    c.ring(34, 14, 66, 56, 3, 0.8)
    c.shape([(24, 38), (76, 38), (82, 82), (18, 82)])
    c.shape([(24, 38), (76, 38), (77, 44), (23, 44)], 0.85)


def _flat(c: Canvas) -> None:
    c.box(26, 20, 74, 80, 1.0, 2)
    c.box(32, 28, 68, 32, 0.7, 1)
    c.box(32, 37, 60, 40, 0.8, 1)
    c.box(32, 45, 64, 48, 0.8, 1)


def _scarf(c: Canvas) -> None:
    c.shape([(30, 18), (44, 16), (58, 56), (46, 84), (34, 80), (42, 56)])
    c.shape([(62, 18), (70, 24), (54, 60), (60, 84), (48, 86), (42, 54)], 0.85)


def _bowl(c: Canvas) -> None:
    c.shape([(16, 44), (84, 44), (72, 70), (60, 78), (40, 78), (28, 70)])
    c.oval(16, 37, 84, 51, 1.15)
    c.oval(21, 39, 79, 49, 0.6)


def _socks(c: Canvas) -> None:
    for left, factor in ((26, 0.85), (40, 1.0)):
        c.shape([(left, 18), (left + 16, 18), (left + 16, 56), (left + 32, 70), (left + 28, 82), (left + 14, 80), (left, 62)], factor)
        c.box(left, 17, left + 16, 24, 0.7, 1)


def _cap(c: Canvas) -> None:
    c.dome(22, 26, 72, 88)
    c.shape([(20, 56), (72, 56), (92, 64), (88, 70), (60, 64), (22, 62)], 0.8)
    c.oval(45, 24, 50, 28, 0.8)


def _belt(c: Canvas) -> None:
    c.ring(16, 22, 84, 80, 6, 1.0)
    c.box(40, 68, 60, 86, 1.5, 2)
    c.box(45, 73, 55, 81, 0.8, 1)


def _stick(c: Canvas) -> None:
    c.shape([(70, 14), (78, 22), (40, 66), (28, 76), (34, 60)])
    c.shape([(40, 66), (28, 76), (34, 60)], 0.6)


def _jar(c: Canvas) -> None:
    c.box(30, 34, 70, 82, 1.0, 5)
    c.box(36, 48, 64, 66, 1.3, 2)
    c.oval(30, 29, 70, 40, 0.85)
    c.line([(50, 34), (50, 22)], 1, 0.4)


def _bar(c: Canvas) -> None:
    c.box(18, 40, 82, 70, 1.0, 10)
    c.box(26, 46, 74, 64, 1.12, 8)


def _plant(c: Canvas) -> None:
    c.shape([(36, 58), (64, 58), (60, 84), (40, 84)], 0.8)
    for tip, side in (((28, 24), 8), ((50, 12), 7), ((72, 24), -8)):
        c.shape([(50, 60), (tip[0] - side, tip[1] + 18), tip, (tip[0] + side, tip[1] + 16)], 1.1)


def _cable(c: Canvas) -> None:
    c.ring(24, 24, 76, 76, 3, 1.0)
    c.ring(30, 30, 70, 70, 3, 0.85)
    c.box(70, 64, 84, 74, 0.6, 1)


def _box(c: Canvas) -> None:
    c.shape([(50, 20), (82, 34), (50, 48), (18, 34)], 1.15)
    c.shape([(18, 34), (50, 48), (50, 84), (18, 68)])
    c.shape([(82, 34), (50, 48), (50, 84), (82, 68)], 0.82)


_DRAWINGS: tuple[tuple[str, Callable[[Canvas], None]], ...] = (
    ("tee", _tee), ("hood", _hood), ("mug", _mug), ("lamp", _lamp), ("sale", _bag), ("bag", _bag), ("oos", _scarf), ("one-left", _bowl), ("sock", _socks),
    ("cap", _cap), ("belt", _belt), ("pen", _stick), ("note", _flat), ("disabled", _flat), ("virt", _flat), ("candle", _jar), ("soap", _bar), ("plant", _plant),
    ("cable", _cable), ("charger", _bar), ("stand", _flat),
)  # fmt: skip


def photograph(name: str) -> Image.Image:
    """The picture of a file name such as ``tee-red-m`` or ``mug-01-back``: the thing in its colour, with a soft shadow; backs are mirrored and darker."""
    stem = name.casefold()
    digest = hashlib.sha256(stem.removesuffix("-back").encode()).digest()
    colour: Colour = next(
        (value for word, value in COLOURS.items() if word[:3] in stem.split("-")), (70 + digest[0] % 140, 60 + digest[1] % 140, 60 + digest[2] % 150)
    )
    canvas = Canvas(colour)
    next((draw for word, draw in _DRAWINGS if stem.startswith(word)), _box)(canvas)
    thing = canvas.image.reduce(_SCALE)
    if stem.endswith("-back"):
        thing = thing.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    ground = Image.new("RGB", (SIZE, SIZE), (238 - digest[3] % 14, 236 - digest[4] % 14, 233 - digest[5] % 12))
    floor = Image.new("L", (1, SIZE))
    floor.putdata([0 if y < SIZE * 0.62 else round(26 * (y / SIZE - 0.62) / 0.38) for y in range(SIZE)])
    ground.paste((0, 0, 0), mask=floor.resize((SIZE, SIZE)))
    small = thing.getchannel("A").reduce(_COARSE).filter(ImageFilter.GaussianBlur(SIZE / 45 / _COARSE))  # as soft, and much quicker
    shadow = small.resize((SIZE, SIZE), Image.Resampling.BILINEAR).point(lambda part: part // 3)
    ground.paste((30, 30, 36), (SIZE // 60, SIZE // 40), shadow)
    ground.paste(thing, mask=thing)
    return ground
