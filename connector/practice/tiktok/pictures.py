"""What a file really is, read from its own bytes: format, pixels, animation, colour mode. Pictures are not decoded, but walked from end to end."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass


class Unreadable(ValueError):
    """The bytes begin like a picture and are not a whole one."""


@dataclass(frozen=True)
class Picture:
    """`format` is JPEG, PNG, WEBP, BMP, HEIC or GIF; `channels` 4 with `cmyk` for a JPEG made for print."""

    format: str
    width: int
    height: int
    animated: bool = False
    cmyk: bool = False


def read(data: bytes) -> Picture | None:
    """None when the bytes are no picture of a known format. Raises Unreadable."""
    for begins, reader in READERS:
        if begins(data):
            try:
                picture = reader(data)
            except (struct.error, IndexError):
                raise Unreadable("the file ends in the middle of the picture") from None
            if picture.width < 1 or picture.height < 1:
                raise Unreadable("the picture has no pixels")
            return picture
    return None


def _jpeg(data: bytes) -> Picture:
    if b"\xff\xd9" not in data[-64:]:
        raise Unreadable("the JPEG has no end")
    at, found = 2, None
    while at < len(data):
        if data[at] != 0xFF:
            raise Unreadable("the JPEG has a broken segment")
        marker = data[at + 1]
        at += 2 if marker != 0xFF else 1
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD7:
            continue
        if marker in (0xD9, 0xDA):
            break
        length = struct.unpack_from(">H", data, at)[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width, channels = struct.unpack_from(">HHB", data, at + 3)
            found = Picture("JPEG", width, height, cmyk=channels == 4)
        at += length
    if found is None or at >= len(data):
        raise Unreadable("the JPEG has no picture in it")
    return found


def _png(data: bytes) -> Picture:
    at, found, animated = 8, None, False
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        if struct.unpack_from(">I", data, at + 8 + length)[0] != zlib.crc32(kind + body):
            raise Unreadable(f"the PNG has a broken {kind.decode('latin-1')} chunk")
        if kind == b"IHDR":
            found = Picture("PNG", *struct.unpack_from(">II", body))
        animated |= kind == b"acTL"
        if kind == b"IEND":
            break
        at += 12 + length
    if found is None:
        raise Unreadable("the PNG has no header")
    return Picture("PNG", found.width, found.height, animated=animated)


def _webp(data: bytes) -> Picture:
    if struct.unpack_from("<I", data, 4)[0] + 8 > len(data) + 1:
        raise Unreadable("the WEBP is shorter than it says")
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27))
        return Picture("WEBP", width, height, animated=bool(data[20] & 2))
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return Picture("WEBP", (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return Picture("WEBP", width & 0x3FFF, height & 0x3FFF)
    raise Unreadable("the WEBP holds no picture")


def _bmp(data: bytes) -> Picture:
    if struct.unpack_from("<I", data, 14)[0] == 12:
        return Picture("BMP", *struct.unpack_from("<HH", data, 18))
    width, height = struct.unpack_from("<ii", data, 18)
    return Picture("BMP", abs(width), abs(height))


def _gif(data: bytes) -> Picture:
    if data[-1:] != b";":
        raise Unreadable("the GIF has no end")
    width, height = struct.unpack_from("<HH", data, 6)
    return Picture("GIF", width, height, animated=data.count(b"\x21\xf9\x04") > 1)


def _heic(data: bytes) -> Picture:
    """The largest `ispe` box is the picture; the others are its thumbnails and tiles."""
    sizes, at = [], data.find(b"ispe")
    while at >= 0:
        sizes.append(struct.unpack_from(">II", data, at + 8))
        at = data.find(b"ispe", at + 4)
    if not sizes:
        raise Unreadable("the HEIC holds no picture")
    return Picture("HEIC", *max(sizes))


READERS = (
    (lambda data: data[:3] == b"\xff\xd8\xff", _jpeg),
    (lambda data: data[:8] == b"\x89PNG\r\n\x1a\n", _png),
    (lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", _webp),
    (lambda data: data[:2] == b"BM" and len(data) > 26, _bmp),
    (lambda data: data[:6] in (b"GIF87a", b"GIF89a"), _gif),
    (lambda data: data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"heim", b"heis"), _heic),
)
MIME = {
    "JPEG": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "BMP": "image/bmp", "HEIC": "image/heic", "PDF": "application/pdf", "MP4": "video/mp4",
    "MOV": "video/quicktime", "MKV": "video/x-matroska", "WEBM": "video/webm", "WMV": "video/x-ms-wmv", "AVI": "video/x-msvideo", "3GP": "video/3gpp",
    "FLV": "video/x-flv", "MPEG": "video/mpeg",
}  # fmt: skip


def file_format(data: bytes) -> str | None:
    """PDF or the container of a video; None for everything else."""
    if data[:5] == b"%PDF-":
        return "PDF"
    if data[4:8] == b"ftyp":
        brand = data[8:12]
        return "3GP" if brand.startswith(b"3g") else "MOV" if brand == b"qt  " else "MP4"
    if data[:4] == b"\x1a\x45\xdf\xa3":
        return "WEBM" if b"webm" in data[:64] else "MKV"
    if data[:4] == b"RIFF" and data[8:12] == b"AVI ":
        return "AVI"
    for begins, name in ((b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "WMV"), (b"FLV\x01", "FLV"), (b"\x00\x00\x01\xba", "MPEG"), (b"\x00\x00\x01\xb3", "MPEG")):
        if data.startswith(begins):
            return name
    return None


def swatch(width: int, height: int, colour: tuple[int, int, int]) -> bytes:
    """A plain PNG of one colour, for listings that the marketplace seeds itself."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = (b"\x00" + bytes(colour) * width) * height
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )
