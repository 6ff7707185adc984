"""Pictures become what TikTok Shop takes, or are refused with a reason (TTS §5.3.7; A062-A066). Every expectation is about decoded pixels."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from io import BytesIO

import pytest
from PIL import Image, ImageCms, TiffImagePlugin

from connector.domain.picture import ATTRIBUTE, DESCRIPTION, MAIN, MOST_BYTES, SIZE_CHART, Converted, Refused, convert, thumbnail

RED, WHITE = (200, 30, 30), (255, 255, 255)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def plain(width: int = 800, height: int = 800, mode: str = "RGB", colour: object = RED) -> Image.Image:
    return Image.new(mode, (width, height), colour)  # type: ignore[arg-type]


def png_header(width: int, height: int) -> bytes:
    """A PNG that only says how large it is, with a little data."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"\0" * 999))
        + chunk(b"IEND", b"")
    )


def taken(content: bytes, use_case: str = MAIN) -> tuple[Image.Image, Converted]:
    """The decoded result, which is always a plain RGB JPEG without metadata and says its real size."""
    answer = convert(content, use_case)
    assert isinstance(answer, Converted), answer
    image = Image.open(BytesIO(answer.content))
    image.load()
    assert (image.format, image.mode, image.size, answer.media_type) == ("JPEG", "RGB", (answer.width, answer.height), "image/jpeg")
    assert not dict(image.getexif()) and "icc_profile" not in image.info and "comment" not in image.info
    assert len(answer.content) <= MOST_BYTES and convert(content, use_case) == answer
    return image, answer


def refused(content: bytes, use_case: str = MAIN) -> Refused:
    answer = convert(content, use_case)
    assert isinstance(answer, Refused), answer
    assert answer.message.endswith(".") and answer.remedy.endswith(".") and "!" not in answer.message + answer.remedy
    return answer


def near(found: object, wanted: tuple[int, int, int], by: int = 6) -> bool:
    return all(abs(one - other) <= by for one, other in zip(found, wanted, strict=True))  # type: ignore[call-overload]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_every_readable_format_becomes_an_rgb_jpeg_of_the_same_pixels(kind: str) -> None:
    image, answer = taken(saved(plain(640, 800), kind))
    assert image.size == (640, 800) and near(image.getpixel((320, 400)), RED) and answer.notes == ()


def sixteen_bits() -> Image.Image:
    return Image.new("I;16", (800, 800), 200 * 257)


def with_palette() -> Image.Image:
    image = plain().convert("P")
    image.info["transparency"] = image.getpixel((0, 0))
    return image


@pytest.mark.parametrize(
    ("content", "pixel", "note"),
    [
        (saved(plain(mode="CMYK", colour=(0, 255, 255, 0)), "JPEG", quality=95), (255, 0, 0), "CMYK"),
        (saved(plain(mode="L", colour=90), "PNG"), (90, 90, 90), ""),
        (saved(plain(mode="1", colour=1), "PNG"), WHITE, ""),
        (saved(plain(mode="LA", colour=(90, 255)), "PNG"), (90, 90, 90), ""),
        (saved(plain(mode="LA", colour=(90, 0)), "PNG"), WHITE, "transparent"),
        (saved(plain(mode="RGBA", colour=(200, 30, 30, 0)), "PNG"), WHITE, "transparent"),
        (saved(plain(mode="RGBA", colour=(0, 0, 0, 128)), "WEBP", lossless=True), (127, 127, 127), "transparent"),
        (saved(with_palette(), "PNG", transparency=with_palette().getpixel((0, 0))), WHITE, "transparent"),
        (saved(sixteen_bits(), "PNG"), (200, 200, 200), "16 bits"),
        (saved(sixteen_bits(), "TIFF"), (200, 200, 200), "16 bits"),
    ],
    ids=["CMYK", "grey", "black and white", "grey with alpha", "clear grey", "clear RGBA", "half clear", "clear palette", "16-bit PNG", "16-bit TIFF"],
)
def test_colours_of_every_kind_become_rgb_on_white(content: bytes, pixel: tuple[int, int, int], note: str) -> None:
    image, answer = taken(content)
    assert near(image.getpixel((400, 400)), pixel), image.getpixel((400, 400))
    assert (note in " ".join(answer.notes)) if note else answer.notes == ()


def test_a_colour_profile_is_followed_and_taken_out() -> None:
    lab = ImageCms.createProfile("XYZ")
    unreadable = saved(plain(), "PNG", icc_profile=b"no profile at all")
    other_space = saved(plain(), "PNG", icc_profile=ImageCms.ImageCmsProfile(lab).tobytes())
    same = saved(plain(), "PNG", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for content in (unreadable, other_space, same):
        assert near(taken(content)[0].getpixel((400, 400)), RED)


@pytest.mark.parametrize(("number", "corner"), [(1, (0, 0)), (2, (1, 0)), (3, (1, 1)), (4, (0, 1)), (5, (0, 0)), (6, (1, 0)), (7, (1, 1)), (8, (0, 1))])
def test_a_photograph_stands_upright(number: int, corner: tuple[int, int]) -> None:
    """The stored top left corner is red; EXIF says where it belongs."""
    image = plain(900, 1000, colour=WHITE)
    image.paste(RED, (0, 0, 300, 300))
    exif = Image.Exif()
    exif[0x0112] = number
    exif.get_ifd(0x8825).update({1: "N", 2: (51.0, 30.0, 0.0)})  # GPS
    for kind in ("JPEG", "PNG", "TIFF"):
        upright, answer = taken(saved(image, kind, exif=exif))
        assert upright.size == ((1000, 900) if number >= 5 else (900, 1000))
        at = [(50, upright.width - 50)[corner[0]], (50, upright.height - 50)[corner[1]]]
        assert near(upright.getpixel(tuple(at)), RED), (number, kind)
        assert b"GPS" not in answer.content and b"Exif" not in answer.content
        assert ("upright" in " ".join(answer.notes)) is (number != 1 and kind != "TIFF")


@pytest.mark.parametrize(("size", "wanted"), [((9000, 7000), (3111, 4000)), ((7000, 5250), (2625, 3500))], ids=["63 million", "37 million"])
def test_a_large_photograph_is_decoded_smaller_and_then_turned(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    answer = convert(saved(plain(*size), "JPEG", exif=exif), MAIN)
    assert isinstance(answer, Converted) and (answer.width, answer.height) == Image.open(BytesIO(answer.content)).size == wanted
    assert f"from {size[1]} x {size[0]} to {wanted[0]} x {wanted[1]}" in answer.notes[1]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_a_moving_picture_the_first_frame_is_sent_and_said(kind: str) -> None:
    frames = [plain(colour=colour) for colour in (RED, (0, 0, 250), (0, 250, 0))]
    image, answer = taken(saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=50))
    assert near(image.getpixel((5, 5)), RED, 8) and "first of its 3 frames" in answer.notes[0]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_a_truncated_picture_is_refused(kind: str) -> None:
    noise = Image.effect_noise((500, 500), 90).convert("RGB")
    whole = saved(noise, kind)
    assert refused(whole[: len(whole) * 2 // 3]).code == "picture.broken"


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", "picture.empty", "empty"),
        (b"just some text, whatever the name says", "picture.format", "no picture"),
        (b"<!DOCTYPE html><title>Sign in</title>", "picture.format", "web page"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "picture.format", "SVG"),
        (b"%PDF-1.7 ...", "picture.format", "PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 60, "picture.format", "HEIC"),
        (b"\x89PNG\r\n\x1a\n" + b"rubbish" * 9, "picture.broken", "damaged"),
        (b"GIF89a", "picture.broken", "GIF"),
        (png_header(60_000, 60_000), "picture.too_many_pixels", "more pixels"),
        (png_header(5100, 5100), "picture.too_many_pixels", "25 million"),
        (b"RIFF\x64\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + (16_382).to_bytes(3, "little") * 2 + b"\0" * 40, "picture.too_many_pixels", "16,383"),
        (saved(plain(299, 800), "PNG"), "picture.too_small", "299 x 800"),
        (saved(plain(5000, 200), "PNG"), "picture.too_small", "5000 x 200"),
    ],
    ids=["empty", "text", "HTML", "SVG", "PDF", "HEIC", "broken PNG", "GIF header", "bomb", "huge", "WEBP bomb", "small", "strip"],
)
def test_what_is_no_usable_picture_is_refused_with_its_reason(content: bytes, code: str, words: str) -> None:
    answer = refused(content)
    assert answer.code == code and words in answer.message
    assert thumbnail(content, 96) is None or code == "picture.too_small"


@pytest.mark.parametrize(
    ("size", "use_case", "wanted"),
    [
        ((300, 300), MAIN, (300, 300)),
        ((600, 800), MAIN, (600, 800)),  # 3:4 exactly
        ((800, 600), MAIN, (800, 600)),
        ((599, 800), MAIN, (800, 800)),
        ((802, 600), MAIN, (802, 802)),
        ((4200, 4200), MAIN, (4000, 4000)),
        ((5000, 400), MAIN, (4000, 4000)),
        ((5000, 200), ATTRIBUTE, (4000, 4000)),
        ((100, 100), ATTRIBUTE, (100, 100)),
        ((4400, 1100), DESCRIPTION, (3999, 1000)),
        ((900, 100), DESCRIPTION, (900, 100)),
        ((1024, 3000), SIZE_CHART, (1024, 3000)),
    ],
)
def test_sides_become_what_the_use_allows(size: tuple[int, int], use_case: str, wanted: tuple[int, int]) -> None:
    image, answer = taken(saved(plain(*size), "BMP"), use_case)
    assert image.size == wanted and near(image.getpixel((wanted[0] // 2, wanted[1] // 2)), RED)
    padded = use_case in (MAIN, ATTRIBUTE) and wanted[0] == wanted[1] != min(size) and size[0] != size[1]
    if padded:
        corners = [image.getpixel(at) for at in ((0, 0), (wanted[0] - 1, wanted[1] - 1))]
        assert all(near(corner, WHITE) for corner in corners) and "white square" in answer.notes[-1]


@pytest.mark.parametrize(
    ("size", "use_case", "words"), [((8000, 150), DESCRIPTION, "below 100"), ((1023, 3000), SIZE_CHART, "at least 1024"), ((99, 99), ATTRIBUTE, "at least 100")]
)
def test_a_picture_is_never_enlarged(size: tuple[int, int], use_case: str, words: str) -> None:
    assert words in refused(saved(plain(*size), "PNG"), use_case).message


def test_a_picture_that_is_too_heavy_loses_quality_before_size() -> None:
    noise = Image.merge("RGB", [Image.effect_noise((2900, 2900), 120) for _ in range(3)])
    answer = convert(saved(noise, "BMP"), MAIN)
    assert isinstance(answer, Converted) and Image.open(BytesIO(answer.content)).size == (2900, 2900)
    assert len(answer.content) <= MOST_BYTES and "quality" in answer.notes[-1]


@pytest.mark.parametrize(
    "make",
    [
        lambda: saved(plain(), "JPEG", comment=b"shot at home"),
        lambda: saved(plain(), "PNG", pnginfo=_words()),
        lambda: saved(plain(), "TIFF", tiffinfo=_tags()),
    ],
)
def test_words_about_the_picture_are_not_sent(make: Callable[[], bytes]) -> None:
    assert b"at home" not in taken(make())[1].content


def _words() -> object:
    from PIL.PngImagePlugin import PngInfo

    words = PngInfo()
    words.add_text("Comment", "shot at home")
    return words


def _tags() -> TiffImagePlugin.ImageFileDirectory_v2:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270] = "shot at home"
    return tags


def test_a_thumbnail_is_a_small_webp() -> None:
    small = Image.open(BytesIO(thumbnail(saved(plain(3000, 1500), "JPEG"), 96) or b""))
    assert (small.format, small.size) == ("WEBP", (96, 48)) and near(small.convert("RGB").getpixel((48, 24)), RED, 10)
