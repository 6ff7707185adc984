"""Uploads of pictures and files, and the address where the marketplace serves them back (TTS §5.3.7)."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, abort, current_app, has_request_context, request, send_file
from werkzeug.exceptions import RequestEntityTooLarge

from . import refusals as codes
from .operations import Call, operation
from .pictures import MIME, Picture, Unreadable, file_format, read, swatch
from .refusals import Refusal

if TYPE_CHECKING:
    from .marketplace import Marketplace

blueprint = Blueprint("objects", __name__)
SCOPE = "seller.product.write"
USE_CASES = ("MAIN_IMAGE", "ATTRIBUTE_IMAGE", "DESCRIPTION_IMAGE", "CERTIFICATION_IMAGE", "SIZE_CHART_IMAGE")
SQUARED = ("MAIN_IMAGE", "ATTRIBUTE_IMAGE")
MEGABYTE = 1024 * 1024
IMAGE_BYTES, PDF_BYTES, VIDEO_BYTES = 10 * MEGABYTE, 20 * MEGABYTE, 100 * MEGABYTE
LEAST_SIDE, MOST_SIDE = 100, 20_000
MAIN_SIDES = (300, 4000)
CHART_SIDE = 1024


def _part() -> tuple[bytes, str]:
    """The bytes of the part `data` and its file name."""
    media_type = (request.content_type or "").partition(";")[0].strip().lower()
    if media_type != "multipart/form-data":
        raise Refusal(codes.MULTIPART_REQUIRED, "the content type must be multipart/form-data")
    try:
        part = request.files.get("data")
    except RequestEntityTooLarge:
        part = None
    if part is None:
        raise Refusal(codes.BAD_REQUEST, "param data is missing: a file part")
    return part.stream.read(), part.filename or ""


def check_picture(data: bytes, use_case: str) -> tuple[Picture, bool]:
    """The picture, and whether it is turned into 1:1. Raises Refusal."""
    if not data:
        raise Refusal(codes.IMAGE_UNREADABLE, "the image is empty")
    if len(data) > IMAGE_BYTES:
        raise Refusal(codes.FILE_TOO_LARGE, "the image is larger than 10 MB")
    try:
        picture = read(data)
    except Unreadable as error:
        raise Refusal(codes.IMAGE_UNREADABLE, f"the image cannot be read: {error}") from None
    if picture is None or picture.format == "GIF":
        raise Refusal(codes.IMAGE_FORMAT, "the image format is not supported: JPG, JPEG, PNG, WEBP, HEIC or BMP")
    if picture.animated:
        raise Refusal(codes.IMAGE_FORMAT, f"the image format is not supported: an animated {picture.format}")
    if picture.cmyk:
        raise Refusal(codes.IMAGE_COLOUR_MODE, "the colour mode of the image is not supported: CMYK, it must be RGB")
    sides = (picture.width, picture.height)
    size = f"{picture.width} x {picture.height} px"
    if min(sides) < LEAST_SIDE:
        raise Refusal(codes.IMAGE_TOO_SMALL, f"the image is {size}: each side must have at least {LEAST_SIDE} px")
    if max(sides) > MOST_SIDE:
        raise Refusal(codes.IMAGE_TOO_LARGE, f"the image is {size}: each side must have at most {MOST_SIDE} px")
    if use_case == "MAIN_IMAGE" and not (MAIN_SIDES[0] <= min(sides) and max(sides) <= MAIN_SIDES[1]):
        raise Refusal(codes.IMAGE_USE_CASE_SIZE, f"the image is {size}: a main image has {MAIN_SIDES[0]} to {MAIN_SIDES[1]} px on each side")
    if use_case == "SIZE_CHART_IMAGE" and min(sides) < CHART_SIDE:
        raise Refusal(codes.IMAGE_USE_CASE_SIZE, f"the image is {size}: the shorter side of a size chart has at least {CHART_SIDE} px")
    return picture, use_case in SQUARED and not 3 / 4 <= picture.width / picture.height <= 4 / 3


def keep(market: Marketplace, data: bytes) -> str:
    """Stores bytes under their SHA-256. The same bytes are stored once."""
    digest = hashlib.sha256(data).hexdigest()
    path = file_path(market, digest)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(data)
        os.replace(file.name, path)
    return digest


def file_path(market: Marketplace, digest: str) -> Path:
    return market.files / digest[:2] / digest


def _register(market: Marketplace, uri: str, kind: str, use_case: str, form: str, name: str, sides: tuple[int, int], data: bytes, now: int) -> None:
    digest = keep(market, data)
    with market.store.write() as db:
        db.execute("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (uri, kind, use_case, form, name, *sides, digest, len(data), now))


def picture_row(market: Marketplace, uri: Any) -> Any:
    """The row of an uploaded picture, or None."""
    return market.store.read.execute("SELECT * FROM objects WHERE uri = ? AND kind = 'image'", (uri,)).fetchone() if isinstance(uri, str) else None


def address(root: str, uri: str) -> str:
    return f"{root}/obj/{uri}"


def address_here(uri: str) -> str:
    """The address as the caller of this request reaches it; nothing outside a request."""
    return address(request.host_url.rstrip("/"), uri) if has_request_context() else ""


def uri_in(url: str) -> str | None:
    """The uri within an address of an uploaded picture; None for addresses of other hosts."""
    match = re.fullmatch(r"https?://[^/]+/obj/([^?#]+)(\?.*)?", url)
    return match[1] if match else None


@operation("images.upload", "POST /product/{version}/images/upload", "202309", SCOPE, cipher=False, writes=True)
def upload_image(call: Call) -> dict[str, Any]:
    data, name = _part()
    use_case = request.form.get("use_case") or "MAIN_IMAGE"
    if use_case not in USE_CASES:
        raise Refusal(codes.BAD_REQUEST, f"param use_case is invalid: {use_case} is not one of {', '.join(USE_CASES)}")
    picture, squared = check_picture(data, use_case)
    sides = (min(picture.width, picture.height),) * 2 if squared else (picture.width, picture.height)
    uri = f"tos-practice-i-{secrets.token_hex(5)}/{secrets.token_hex(16)}"
    _register(call.market, uri, "image", use_case, picture.format, name, sides, data, call.now)
    return {"uri": uri, "url": address(call.root, uri), "width": sides[0], "height": sides[1], "use_case": use_case}


@operation("files.upload", "POST /product/{version}/files/upload", "202309", SCOPE, cipher=False, writes=True)
def upload_file(call: Call) -> dict[str, Any]:
    data, _ = _part()
    name = request.form.get("name", "")
    if not name:
        raise Refusal(codes.BAD_REQUEST, "param name is missing")
    if name.count(".") != 1 or re.search(r"\s", name) or not name[0].isalnum():
        raise Refusal(codes.BAD_REQUEST, "param name is invalid: one dot, no spaces, not starting with a symbol")
    form = file_format(data)
    if form is None:
        raise Refusal(codes.IMAGE_FORMAT, "the file format is not supported: PDF, or a video MP4, MOV, MKV, WMV, WEBM, AVI, 3GP, FLV, MPEG")
    if len(data) > (PDF_BYTES if form == "PDF" else VIDEO_BYTES):
        raise Refusal(codes.FILE_TOO_LARGE, f"the file is too large: a PDF has at most {PDF_BYTES // MEGABYTE} MB, a video {VIDEO_BYTES // MEGABYTE} MB")
    uri = call.market.ids("file")[0]
    _register(call.market, uri, "file", "", form, name, (0, 0), data, call.now)
    return {"id": uri, "name": name, "url": address(call.root, uri), "format": form}


def seeded_picture(market: Marketplace, now: int) -> str:
    """The uri of a plain main image for listings the marketplace seeds itself; made once."""
    uri = "tos-practice-i-seeded/plain"
    if picture_row(market, uri) is None:
        _register(market, uri, "image", "MAIN_IMAGE", "PNG", "plain.png", (600, 600), swatch(600, 600, (11, 114, 133)), now)
    return uri


def drawn_picture(market: Marketplace, name: str, sides: tuple[int, int], colour: tuple[int, int, int], now: int) -> str:
    """The uri of a plain picture such as a buyer might send; made once for each name."""
    uri = f"tos-practice-i-drawn/{name}"
    if picture_row(market, uri) is None:
        _register(market, uri, "image", "MAIN_IMAGE", "PNG", f"{name}.png", sides, swatch(*sides, colour), now)
    return uri


@blueprint.get("/obj/<path:uri>")
def serve(uri: str) -> Response:
    """The bytes as they were uploaded."""
    market: Marketplace = current_app.extensions["marketplace"]
    row = market.store.read.execute("SELECT sha256, format FROM objects WHERE uri = ?", (uri,)).fetchone()
    if row is None:
        abort(404)
    return send_file(file_path(market, row["sha256"]).resolve(), mimetype=MIME[row["format"]])
