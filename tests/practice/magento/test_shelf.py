"""Pictures and the trouble shelf of the practice store: what is served is what its name says (MAG §4.2.3)."""

from __future__ import annotations

import io

import pytest
import requests
from PIL import Image

from connector.practice.magento import shelf
from connector.practice.magento.pictures import picture
from connector.practice.serve import PracticeServer

FORMATS = {
    "tee-red-m.png": ("PNG", "RGB"),
    "good-01.jpg": ("JPEG", "RGB"),
    "cmyk-odd-01.jpg": ("JPEG", "CMYK"),
    "animated-odd-02.gif": ("GIF", "P"),
    "clear-mug.png": ("PNG", "RGBA"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_picture_is_what_its_name_says(name: str) -> None:
    with Image.open(io.BytesIO(picture(f"/x/y/{name}").content)) as image:
        image.load()
        assert (image.format, image.mode) == FORMATS[name]
        assert min(image.size) >= 300
        assert (getattr(image, "n_frames", 1) > 1) == name.startswith("animated-")


def test_broken_pictures_are_broken() -> None:
    assert picture("gone-a.jpg").status == 404
    assert picture("page-a.jpg").media_type.startswith("text/html")
    assert Image.open(io.BytesIO(picture("tiny-a.png").content)).size == (80, 80)
    with Image.open(io.BytesIO(picture("broken-a.jpg").content)) as image, pytest.raises(OSError):
        image.load()


def test_the_shelf_stands_beside_the_demo_world(store_server: PracticeServer) -> None:
    seeded = requests.post(f"{store_server.url}/practice/seed", json={"shelf": True}, timeout=30).json()
    assert seeded["products"] == 40 + len(shelf.FAULTS) + len(shelf.ODDITIES) + 300 + 1
    token = seeded["integrations"][0]["access_token"]
    found = requests.get(
        f"{store_server.url}/rest/all/V1/products",
        params={"searchCriteria[pageSize]": "500", "fields": "items[sku,type_id,status,media_gallery_entries[file]],total_count"},
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    ).json()
    by_sku = {product["sku"]: product for product in found["items"]}
    assert set(shelf.FAULTS) | set(shelf.ODDITIES) <= set(by_sku)
    assert by_sku["BAD-BUNDLE"]["type_id"] == "bundle" and not by_sku["BAD-NO-IMAGE"]["media_gallery_entries"]
    media = requests.get(f"{store_server.url}/media/catalog/product{by_sku['GOOD-01']['media_gallery_entries'][0]['file']}", timeout=30)
    again = requests.get(media.url, headers={"If-None-Match": media.headers["ETag"]}, timeout=30)
    assert (media.status_code, media.headers["Content-Type"], again.status_code) == (200, "image/jpeg", 304)
    requests.post(f"{store_server.url}/practice/reset", timeout=30)
