"""What the media folder serves: a photograph for each file name, and, for names that say so, the broken files that merchants really have."""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import PurePosixPath
from typing import NamedTuple

from PIL import Image

from .drawing import photograph


class Served(NamedTuple):
    content: bytes
    media_type: str
    status: int = 200


_TYPES = {
    ".png": ("PNG", "image/png"),
    ".jpg": ("JPEG", "image/jpeg"),
    ".jpeg": ("JPEG", "image/jpeg"),
    ".gif": ("GIF", "image/gif"),
    ".webp": ("WEBP", "image/webp"),
}


@lru_cache(maxsize=256)
def picture(path: str) -> Served:
    """The file of a path below ``catalog/product``. Names that begin with one of these words are served as such: ``gone-`` (404), ``cmyk-`` (a JPEG in
    print colours), ``animated-`` (several frames), ``broken-`` (cut in half), ``tiny-`` (80 x 80), ``wide-`` (2400 x 500), ``page-`` (an HTML page with
    the name of a picture), ``clear-`` (transparent ground)."""
    name = PurePosixPath(path)
    kind, media_type = _TYPES.get(name.suffix.casefold(), ("PNG", "image/png"))
    word, _, rest = name.stem.partition("-")
    if word == "gone":
        return Served(b"<html><body><h1>404 Not Found</h1></body></html>", "text/html", 404)
    if word == "page":
        return Served(b"<!doctype html><title>Sign in</title><p>Please sign in to see this page.</p>", "text/html; charset=UTF-8")
    image = photograph(rest if word in ("cmyk", "animated", "broken", "tiny", "wide", "clear") else name.stem)
    if word == "cmyk":
        return Served(_bytes(image.convert("CMYK"), "JPEG", quality=88), "image/jpeg")
    if word == "animated":
        frames = [image.resize((500, 500)), image.resize((500, 500)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
        return Served(_bytes(frames[0], kind, save_all=True, append_images=frames[1:], duration=300, loop=0), media_type)
    if word == "broken":
        content = _bytes(image, kind)
        return Served(content[: len(content) // 2], media_type)
    if word == "tiny":
        image = image.resize((80, 80))
    elif word == "wide":
        image = image.resize((2400, 2400)).crop((0, 950, 2400, 1450))
    elif word == "clear":
        clear = image.convert("RGBA")
        clear.putalpha(image.convert("L").point(lambda part: 0 if part > 220 else 255))
        return Served(_bytes(clear, "PNG"), "image/png")
    return Served(_bytes(image, kind), media_type)


def _bytes(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()
