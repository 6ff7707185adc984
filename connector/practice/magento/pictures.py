"""Product pictures drawn on the fly: one plain PNG per file name, always the same for the same name."""

from __future__ import annotations

import hashlib
import struct
import zlib
from functools import lru_cache

SIZE = 600  # pixels; marketplaces want at least 300 x 300


@lru_cache(maxsize=256)
def picture(name: str) -> bytes:
    """A square on a light ground with a darker shape, coloured by the digest of the name."""
    digest = hashlib.sha256(name.encode()).digest()
    ground = bytes(200 + part % 50 for part in digest[:3])
    shape = bytes(40 + part % 120 for part in digest[3:6])
    margin = SIZE // 5 + digest[6] % 40
    empty = b"\0" + ground * SIZE
    filled = b"\0" + ground * margin + shape * (SIZE - 2 * margin) + ground * margin
    rows = empty * margin + filled * (SIZE - 2 * margin) + empty * margin
    header = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 2, 0, 0, 0)
    parts = (_chunk(b"IHDR", header), _chunk(b"IDAT", zlib.compress(rows, 9)), _chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
