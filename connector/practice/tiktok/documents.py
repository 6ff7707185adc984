"""Small real files: a PDF page of text, a PNG with bars, a ZPL label."""

from __future__ import annotations

import struct
import zlib


def pdf(lines: list[str]) -> bytes:
    """One A6 page in Helvetica. What Latin-1 cannot hold is shown as `?`."""
    escaped = [line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)") for line in lines]
    text = "BT /F1 9 Tf 20 390 Td 13 TL " + " ".join(f"({line}) Tj T*" for line in escaped) + " ET"
    content = text.encode("latin-1", "replace")
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 298 420] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)


def png(lines: list[str]) -> bytes:
    """Bars that differ with the text; 240 x 80 grey pixels."""
    bits = "".join(f"{byte:08b}" for byte in " ".join(lines).encode()[:30]).ljust(240, "0")
    row = b"\x00" + bytes(0 if bit == "1" else 255 for bit in bits)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 240, 80, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row * 80)) + chunk(b"IEND", b"")


def zpl(lines: list[str]) -> bytes:
    fields = "".join(f"^FO30,{30 + 30 * number}^A0N,24,24^FD{line.replace('^', ' ')}^FS" for number, line in enumerate(lines))
    return f"^XA{fields}^XZ\n".encode()
