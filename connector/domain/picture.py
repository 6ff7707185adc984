"""A picture as TikTok Shop takes it, from whatever a store holds (TTS §5.3.7, product.md 4 Image, A062-A066).

Pure: bytes in, bytes out. What comes out is always a plain JPEG in RGB without metadata, the same bytes for the same input and use. What cannot become
one is refused with a reason and a remedy; a picture is never enlarged. Memory is bounded by pixels, whatever a header claims.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Final

from PIL import Image, ImageCms, ImageFile, ImageOps, UnidentifiedImageError

MAIN, ATTRIBUTE, DESCRIPTION, CERTIFICATION, SIZE_CHART = "MAIN_IMAGE", "ATTRIBUTE_IMAGE", "DESCRIPTION_IMAGE", "CERTIFICATION_IMAGE", "SIZE_CHART_IMAGE"
MOST_BYTES: Final = 10 * 1024 * 1024  #: of an upload (TTS §5.3.7)
#: Pixels held in memory at once: 25 million are 100 MB. A JPEG may have more, because it can be decoded at half, a quarter or an eighth of its size.
MOST_PIXELS, MOST_PIXELS_JPEG = 25_000_000, 85_000_000
#: Use -> smallest and greatest side that is sent. A description's image stays below 4000 (TTS §5.3.8).
SIDES: Final = {MAIN: (300, 4000), ATTRIBUTE: (100, 4000), DESCRIPTION: (100, 3999), CERTIFICATION: (100, 4000), SIZE_CHART: (1024, 20_000)}
SQUARED: Final = (MAIN, ATTRIBUTE)  #: outside 3:4 to 4:3 these become 1:1 on white, or TikTok would cut them
QUALITIES: Final = (92, 85, 75, 60, 45)
#: What is opened at all; other formats have no decoder here or are no pictures.
FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
#: Everything a broken file makes Pillow raise.
_BROKEN: Final = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


@dataclass(frozen=True, slots=True)
class Converted:
    """``content`` is a JPEG of ``width`` x ``height`` pixels; ``notes`` say in words what was changed."""

    content: bytes
    media_type: str
    width: int
    height: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a picture cannot be sent, and what to do about it."""

    code: str
    message: str
    remedy: str


def convert(content: bytes, use_case: str) -> Converted | Refused:
    """The picture for one of TikTok's uses. ``use_case`` is TikTok's word; another one raises ``KeyError``."""
    least, most = SIDES[use_case]
    if foreign := _foreign(content):
        return foreign
    if (size := _webp_size(content)) and size[0] * size[1] > MOST_PIXELS:
        return _huge(*size, MOST_PIXELS)
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as picture:
            return _convert(picture, use_case, least, most)
    except UnidentifiedImageError:
        return _unknown(content)
    except Image.DecompressionBombError:
        return Refused("picture.too_many_pixels", "The picture has more pixels than can be opened.", _SMALLER)
    except _BROKEN as error:
        words = str(error).strip() or type(error).__name__
        return Refused("picture.broken", f"The picture is damaged or cut off: {words.rstrip('.')}.", "Upload the picture to Magento again.")


def thumbnail(content: bytes, side: int) -> bytes | None:
    """A WEBP for a page, at most ``side`` pixels each way, upright and without metadata; None for what cannot be opened."""
    if _foreign(content) or ((size := _webp_size(content)) and size[0] * size[1] > MOST_PIXELS):
        return None
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as picture:
            jpeg = picture.format in ("JPEG", "MPO")
            if picture.width * picture.height > (MOST_PIXELS_JPEG if jpeg else MOST_PIXELS):
                return None
            turned = _orientation(picture)
            if jpeg:
                picture.draft(None, (side * 2, side * 2))
            flat = _rgb(picture, [])
            flat.thumbnail((side, side), Image.Resampling.LANCZOS)
            out = BytesIO()
            (flat.transpose(_UPRIGHT[turned]) if turned in _UPRIGHT else flat).save(out, "WEBP", quality=80)
            return out.getvalue()
    except _BROKEN:
        return None


_SMALLER = "Save it with at most 5000 pixels a side and upload it to Magento again."


def _convert(picture: ImageFile.ImageFile, use_case: str, least: int, most: int) -> Converted | Refused:
    notes: list[str] = []
    jpeg = picture.format in ("JPEG", "MPO")
    if picture.width * picture.height > (MOST_PIXELS_JPEG if jpeg else MOST_PIXELS):
        return _huge(*picture.size, MOST_PIXELS_JPEG if jpeg else MOST_PIXELS)
    turned = _orientation(picture)
    if turned != 1:
        notes.append("Turned upright, as the camera noted.")
    width, height = picture.size[::-1] if turned >= 5 else picture.size
    if min(width, height) < least:
        return Refused(
            "picture.too_small",
            f"The picture is {width} x {height} pixels; {_NAMES[use_case]} has at least {least} on each side.",
            "Upload a larger one to Magento: enlarging it here would only blur it.",
        )
    scale = min(1.0, most / max(width, height))
    if use_case not in SQUARED and min(width, height) * scale < least:
        text = f"The picture is {width} x {height} pixels; made small enough for TikTok Shop, its shorter side would be below {least}."
        return Refused("picture.too_long", text, "Crop it, and upload it to Magento again.")
    if jpeg:
        _draft(picture, scale)
    if not jpeg and getattr(picture, "is_animated", False):
        notes.append(f"Only the first of its {getattr(picture, 'n_frames', 2)} frames is sent: TikTok Shop takes no moving pictures.")
        picture.seek(0)
    picture.load()
    flat = _rgb(picture, notes)
    target = (max(1, round(width * scale)), max(1, round(height * scale)))
    stored = target[::-1] if turned >= 5 else target
    if flat.width > stored[0] or flat.height > stored[1]:
        flat = flat.resize(stored, Image.Resampling.LANCZOS)
    if turned in _UPRIGHT:
        flat = flat.transpose(_UPRIGHT[turned])
    if flat.size != (width, height):
        notes.append(f"Made smaller, from {width} x {height} to {flat.width} x {flat.height} pixels.")
    if use_case in SQUARED and (3 * flat.height > 4 * flat.width or 3 * flat.width > 4 * flat.height):
        before, side = flat.size, max(flat.size)
        flat = ImageOps.pad(flat, (side, side), color=(255, 255, 255))
        notes.append(f"Put on a white square of {side} pixels: {before[0]} x {before[1]} is longer than TikTok Shop shows uncut.")
    return _written(flat, use_case, least, notes)


def _draft(picture: ImageFile.ImageFile, scale: float) -> None:
    """Have a JPEG decoded at a fraction of its size: as small as ``scale`` allows, and smaller where memory asks for it."""
    part = next(part for part in (8, 4, 2, 1) if part * scale <= 1)
    while picture.width * picture.height // part**2 > MOST_PIXELS and part < 8:
        part *= 2
    if part > 1:
        picture.draft(None, (picture.width // part, picture.height // part))


def _written(flat: Image.Image, use_case: str, least: int, notes: list[str]) -> Converted | Refused:
    """As a JPEG that is small enough: first by quality, then by size."""
    flat.info = {}  # a comment would be written along
    while True:
        for quality in QUALITIES:
            out = BytesIO()
            flat.save(out, "JPEG", quality=quality, subsampling=0 if quality == QUALITIES[0] else 2)
            if out.tell() <= MOST_BYTES:
                if quality != QUALITIES[0]:
                    notes.append(f"Saved with JPEG quality {quality} to stay below 10 MB.")
                return Converted(out.getvalue(), "image/jpeg", flat.width, flat.height, tuple(notes))
        smaller = (flat.width * 3 // 4, flat.height * 3 // 4)
        if min(smaller) < least:
            return Refused("picture.too_heavy", "The picture stays above 10 MB, however it is saved.", _SMALLER)
        notes.append(f"Made smaller, from {flat.width} x {flat.height} to {smaller[0]} x {smaller[1]} pixels, to stay below 10 MB.")
        flat = flat.resize(smaller, Image.Resampling.LANCZOS)


def _rgb(picture: Image.Image, notes: list[str]) -> Image.Image:
    """Eight bits of red, green and blue, on white where it was transparent."""
    profile = picture.info.get("icc_profile")
    if picture.mode == "CMYK":
        notes.append("Made for print (CMYK); its colours were converted for screens and may differ slightly.")
    if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
        picture = _eight_bits(picture)
        notes.append("Its 16 bits a colour were reduced to 8.")
    if picture.has_transparency_data:
        layer = picture if picture.mode == "RGBA" else picture.convert("RGBA")  # no copy of something large
        if layer.getchannel("A").getextrema() != (255, 255):
            notes.append("Its transparent parts are white now.")
        ground = Image.new("RGB", layer.size, (255, 255, 255))
        ground.paste(layer, mask=layer.getchannel("A"))
        return _to_srgb(ground, profile, ("RGB",))
    if picture.mode == "CMYK":
        return _to_srgb(picture, profile, ("CMYK",)).convert("RGB")
    return _to_srgb(picture if picture.mode == "RGB" else picture.convert("RGB"), profile, ("RGB",))


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Grey of 16 bits; Pillow itself would cut everything above 255 off."""
    if picture.mode == "F":
        return picture.convert("L")
    return picture.convert("I").point(lambda value: value * (1 / 257)).convert("L")


def _to_srgb(picture: Image.Image, profile: bytes | None, modes: tuple[str, ...]) -> Image.Image:
    """Through its colour profile when it has one of its own kind that can be read; else as it is."""
    if not profile or picture.mode not in modes:
        return picture
    try:
        source = ImageCms.ImageCmsProfile(BytesIO(profile))
        if source.profile.xcolor_space.strip() != picture.mode:
            return picture
        return ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB") or picture
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return picture


_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_ORIENTATION: Final = 0x0112


def _orientation(picture: ImageFile.ImageFile) -> int:
    """EXIF's number of what is still to be turned, 1 when there is none or when it cannot be read. Pillow itself turns a TIFF as it decodes it."""
    if picture.format == "TIFF":
        return 1
    try:
        found = picture.getexif().get(_ORIENTATION, 1)
    except _BROKEN:
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


_NAMES: Final = {
    MAIN: "a main image",
    ATTRIBUTE: "a variant's image",
    DESCRIPTION: "an image of a description",
    CERTIFICATION: "an image of a certificate",
    SIZE_CHART: "a size chart",
}
_CONVERT = "Save it as JPG or PNG and upload it to Magento again."
_HEIC: Final = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1")


def _foreign(content: bytes) -> Refused | None:
    """Formats that are known and cannot be opened here, named as what they are."""
    head = content[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    tests: tuple[tuple[Callable[[], bool], str], ...] = (
        (lambda: content[4:8] == b"ftyp" and content[8:12] in _HEIC, "a HEIC picture"),
        (lambda: head.startswith((b"<svg", b"<?xml")), "a drawing (SVG or XML)"),
        (lambda: head.startswith((b"<!doctype html", b"<html")), "a web page"),
        (lambda: content.startswith(b"%PDF-"), "a PDF"),
    )
    if not content:
        return Refused("picture.empty", "The file is empty.", "Upload the picture to Magento again.")
    name = next((name for test, name in tests if test()), None)
    return Refused("picture.format", f"The file is {name}, not a picture that TikTok Shop can be sent.", _CONVERT) if name else None


def _unknown(content: bytes) -> Refused:
    begins = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"RIFF": "WEBP", b"GIF8": "GIF", b"BM": "BMP", b"II*\0": "TIFF", b"MM\0*": "TIFF"}
    kind = next((name for magic, name in begins.items() if content.startswith(magic)), "AVIF" if content[4:12] == b"ftypavif" else None)
    if kind:
        return Refused("picture.broken", f"The {kind} is damaged: it begins like one and cannot be read.", "Upload the picture to Magento again.")
    return Refused("picture.format", "The file is no picture, whatever its name says.", _CONVERT)


def _huge(width: int, height: int, most: int) -> Refused:
    text = f"The picture says it has {width:,} x {height:,} pixels; more than {most // 1_000_000} million are not opened."
    return Refused("picture.too_many_pixels", text, _SMALLER)


def _webp_size(content: bytes) -> tuple[int, int] | None:
    """Of a WEBP from its own header: its decoder takes the memory for all pixels as soon as the file is opened."""
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP" or len(content) < 30:
        return None
    kind = content[12:16]
    if kind == b"VP8X":
        return int.from_bytes(content[24:27], "little") + 1, int.from_bytes(content[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(content[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", content, 26)
    return width & 0x3FFF, height & 0x3FFF
