"""What a seller needs to list: pictures made byte by byte, uploads, and a complete product body that a test can spoil."""

from __future__ import annotations

import copy
import struct
import time
import zlib
from typing import Any

from .seller import Seller

CREATE = "/product/202309/products"
SEARCH = "/product/202502/products/search"
INVENTORY = "/product/202309/inventory/search"


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int = 600, height: int = 600, *, animated: bool = False) -> bytes:
    rows = (b"\x00" + b"\x80" * width) * min(height, 4000)
    extra = chunk(b"acTL", struct.pack(">II", 2, 0)) if animated else b""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def jpeg(width: int = 600, height: int = 600, channels: int = 3) -> bytes:
    frame = struct.pack(">BHHB", 8, height, width, channels) + b"".join(bytes((n, 0x11, 0)) for n in range(1, channels + 1))
    scan = bytes((channels,)) + b"".join(bytes((n, 0)) for n in range(1, channels + 1)) + b"\x00\x3f\x00"
    segments = [(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"), (0xC0, frame), (0xDA, scan)]
    body = b"".join(b"\xff" + bytes((mark,)) + struct.pack(">H", len(data) + 2) + data for mark, data in segments)
    return b"\xff\xd8" + body + b"\x00" * 64 + b"\xff\xd9"


def webp(width: int = 600, height: int = 600, *, animated: bool = False) -> bytes:
    body = b"VP8X" + struct.pack("<I", 10) + bytes((2 if animated else 0, 0, 0, 0)) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def webp_lossless(width: int = 600, height: int = 600) -> bytes:
    body = b"VP8L" + struct.pack("<I", 5) + b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def bmp(width: int = 600, height: int = 600) -> bytes:
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, width, -height, 1, 24, 0, 0, 0, 0, 0, 0)


def heic(width: int = 600, height: int = 600) -> bytes:
    return struct.pack(">I", 24) + b"ftypheic" + b"\x00" * 4 + b"mif1heic" + struct.pack(">I", 20) + b"ispe" + b"\x00" * 4 + struct.pack(">II", width, height)


def gif(width: int = 600, height: int = 600) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\x00" * 3 + b";"


def send(seller: Seller, what: str, data: bytes | None, /, shop: str | None = None, **form: str) -> dict[str, Any]:
    """The envelope of an upload, `images` or `files`. None sends no file."""
    path = f"/product/202309/{what}/upload"
    query = {"app_key": seller.app["app_key"], "timestamp": str(int(time.time()))}
    if shop:
        query["shop_cipher"] = seller.ciphers[shop]
    query["sign"] = seller.sign(path, query, multipart=True)
    files = {name: (None, value) for name, value in form.items()}
    if data is not None:
        files["data"] = ("picture.bin", data)
    answer = seller.http.post(
        seller.url + path, params=query, files=files or {"x": (None, "y")}, headers={"x-tts-access-token": seller.tokens["access_token"]}, timeout=30
    )
    return answer.json()


def uploaded(seller: Seller, data: bytes | None = None, use_case: str = "MAIN_IMAGE") -> str:
    answer = send(seller, "images", data or png(), use_case=use_case)
    assert answer["code"] == 0, answer
    return answer["data"]["uri"]


def leaf(seller: Seller, name: str, shop: str = "US", version: str = "v2") -> str:
    found = seller.data("GET", "/product/202309/categories", shop, category_version=version, keyword=name, include_prohibited_categories="true")["categories"]
    return next(each["id"] for each in found if each["local_name"] == name)


def attribute(seller: Seller, category: str, name: str, shop: str = "US") -> dict[str, Any]:
    version = "v2" if category[0] == "8" else "v1"
    found = seller.data("GET", f"/product/202309/categories/{category}/attributes", shop, category_version=version)["attributes"]
    return next(each for each in found if each["name"] == name)


def warehouses(seller: Seller, shop: str = "US") -> list[str]:
    every = seller.data("GET", "/logistics/202309/warehouses", shop)["warehouses"]
    return [each["id"] for each in every if each["type"] == "SALES_WAREHOUSE" and each["effect_status"] == "ENABLED"]


def mug(seller: Seller, shop: str = "US", **changes: Any) -> dict[str, Any]:
    """A complete body: a mug with one SKU in one warehouse."""
    version = "v1" if shop == "GB" else "v2"
    currency = {"US": "USD", "GB": "GBP", "SG": "SGD"}[shop]
    body = {
        "title": "Stoneware mug with bamboo lid, 350 ml, green",
        "description": "<p>A <b>mug</b>.</p>",
        "category_id": leaf(seller, "Stoneware Mugs", shop, version),
        "category_version": version,
        "main_images": [{"uri": uploaded(seller)}],
        "package_weight": {"value": "0.450", "unit": "KILOGRAM"},
        "package_dimensions": {"length": "12", "width": "12", "height": "14", "unit": "CENTIMETER"},
        "skus": [
            {
                "seller_sku": "MUG-GREEN",
                "price": {"amount": "14.90", "currency": currency},
                "inventory": [{"warehouse_id": warehouses(seller, shop)[0], "quantity": 25}],
            }
        ],
    }
    return {**body, **changes}


def variants(body: dict[str, Any], *axes: list[tuple[str, str]]) -> dict[str, Any]:
    """The body with one SKU for each list of (name, value)."""
    base, skus = body["skus"][0], []
    for number, pairs in enumerate(axes):
        attributes = [{"name": name, "value_name": value} for name, value in pairs]
        skus.append({**copy.deepcopy(base), "seller_sku": f"V-{number}", "sales_attributes": attributes})
    return {**body, "skus": skus}


def listed(seller: Seller, shop: str = "US", body: dict[str, Any] | None = None, **changes: Any) -> str:
    """A live product; returns its id."""
    made = seller.data("POST", CREATE, shop, {**(body or mug(seller, shop)), **changes})
    seller.control("POST", f"listings/{made['product_id']}", {"audit": "APPROVED"})
    return made["product_id"]


def product(seller: Seller, product_id: str, shop: str = "US", **query: str) -> dict[str, Any]:
    return seller.data("GET", f"{CREATE}/{product_id}", shop, **query)


def stock(seller: Seller, sku: str, shop: str = "US") -> tuple[int, int]:
    """(available, committed) as the marketplace knows them."""
    rows = [each for each in seller.control("GET", f"listings?shop={shop}&seller_sku={sku}")["listings"][0]["skus"] if each["seller_sku"] == sku]
    return rows[0]["available"], rows[0]["committed"]
