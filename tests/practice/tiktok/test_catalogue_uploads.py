"""Uploads are multipart, unsigned, without cipher, and checked by their own bytes (TTS §5.3.7, §5.9)."""

from __future__ import annotations

import time
from typing import Any

import pytest

from .lister import bmp, gif, heic, jpeg, png, send, webp, webp_lossless
from .seller import Seller


@pytest.mark.parametrize("make", [png, jpeg, webp, webp_lossless, bmp, heic])
def test_every_supported_format_is_measured_and_served_back_byte_for_byte(seller: Seller, make: Any) -> None:
    data = make(800, 640)
    answer = send(seller, "images", data, use_case="MAIN_IMAGE")
    assert answer["code"] == 0, answer
    found = answer["data"]
    assert set(found) == {"uri", "url", "width", "height", "use_case"}
    assert (found["width"], found["height"], found["use_case"]) == (800, 640, "MAIN_IMAGE")
    served = seller.http.get(found["url"], timeout=10)
    assert served.content == data
    assert served.headers["Content-Type"].startswith("image/")
    assert seller.http.get(found["url"] + "x", timeout=10).status_code == 404


BAD = {
    "text": (b"not a picture", "MAIN_IMAGE", 12019116),
    "gif": (gif(), "DESCRIPTION_IMAGE", 12019116),
    "animated png": (png(animated=True), "MAIN_IMAGE", 12019116),
    "animated webp": (webp(animated=True), "MAIN_IMAGE", 12019116),
    "cut png": (png()[:-20], "MAIN_IMAGE", 12038002),
    "png with a wrong byte": (png()[:60] + b"\x00\x01" + png()[62:], "MAIN_IMAGE", 12038002),
    "cut jpeg": (jpeg()[:-40], "MAIN_IMAGE", 12038002),
    "empty": (b"", "MAIN_IMAGE", 12038002),
    "cmyk jpeg": (jpeg(channels=4), "MAIN_IMAGE", 12038004),
    "a side below 100": (png(99, 600), "DESCRIPTION_IMAGE", 12038005),
    "a side above 20000": (jpeg(20_001, 600), "DESCRIPTION_IMAGE", 12038014),
    "a main image below 300": (png(299, 300), "MAIN_IMAGE", 12038015),
    "a main image above 4000": (png(4001, 4000), "MAIN_IMAGE", 12038015),
    "a size chart below 1024": (png(2000, 1023), "SIZE_CHART_IMAGE", 12038015),
    "more than 10 MB": (b"\xff\xd8\xff" + b"\x00" * (10 * 1024 * 1024), "MAIN_IMAGE", 36009021),
    "an unknown use": (png(), "POSTER", 36009004),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_pictures_are_refused_with_their_code(seller: Seller, name: str) -> None:
    data, use_case, code = BAD[name]
    answer = send(seller, "images", data, use_case=use_case)
    assert answer["code"] == code, answer
    assert "data" not in answer


def test_a_picture_far_from_square_is_noted_as_square_where_the_use_wants_it(seller: Seller) -> None:
    for use_case, size in (("MAIN_IMAGE", (400, 400)), ("ATTRIBUTE_IMAGE", (400, 400)), ("DESCRIPTION_IMAGE", (400, 900))):
        found = send(seller, "images", png(400, 900), use_case=use_case)["data"]
        assert (found["width"], found["height"]) == size


def test_the_gateway_rules_of_uploads(seller: Seller) -> None:
    assert send(seller, "images", png(), shop="US", use_case="MAIN_IMAGE")["code"] == 36009004, "no cipher here"
    assert send(seller, "images", None, use_case="MAIN_IMAGE")["code"] == 36009004
    assert seller.code("POST", "/product/202309/images/upload", None, {"data": "x"}) == 36009023
    seller.control("POST", "authorizations/scopes", {"revoke": ["seller.product.write"]})
    assert send(seller, "images", png(), use_case="MAIN_IMAGE")["code"] == 105005


def test_the_bytes_of_an_upload_take_no_part_in_the_signature(seller: Seller) -> None:
    path = "/product/202309/images/upload"
    query = {"app_key": seller.app["app_key"], "timestamp": str(int(time.time()))}
    query["sign"] = seller.sign(path, query, b"something signed although it is multipart")
    headers = {"x-tts-access-token": seller.tokens["access_token"]}
    answer = seller.http.post(seller.url + path, params=query, files={"data": ("a.png", png())}, headers=headers, timeout=10)
    assert answer.json()["code"] == 106001


def test_files_are_known_by_their_bytes_and_named_by_rule(seller: Seller) -> None:
    found = send(seller, "files", b"%PDF-1.4 practice", name="manual.pdf")["data"]
    assert (found["name"], found["format"]) == ("manual.pdf", "PDF")
    assert found["id"].isdecimal()
    assert seller.http.get(found["url"], timeout=10).headers["Content-Type"] == "application/pdf"
    assert send(seller, "files", b"\x00\x00\x00\x18ftypisom", name="clip.mp4")["data"]["format"] == "MP4"
    for name in ("a b.pdf", "a.b.pdf", ".pdf", "-a.pdf", "manual"):
        assert send(seller, "files", b"%PDF-1.4", name=name)["code"] == 36009004
    assert send(seller, "files", b"MZ\x90", name="a.exe")["code"] == 12019116
    assert send(seller, "files", b"%PDF-" + b"0" * (20 * 1024 * 1024), name="big.pdf")["code"] == 36009021
