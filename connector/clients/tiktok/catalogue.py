"""What a listing is made of: categories, attributes, rules, brands, images (TTS §5.3.1-§5.3.7)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from connector.clients.errors import Rejected
from connector.clients.tiktok.caller import Caller, Data, Form, Page

ImageUse = Literal["MAIN_IMAGE", "ATTRIBUTE_IMAGE", "DESCRIPTION_IMAGE", "CERTIFICATION_IMAGE", "SIZE_CHART_IMAGE"]
BRAND_PAGE = 100


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """One check of the shop before listing. `check_item` is TikTok's word, its spelling included (`BANk_ACCOUNT`)."""

    check_item: str
    is_failed: bool
    fail_reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recommendation:
    """`leaf_category_id` with the chain of categories above it, root first: {id, name, level, is_leaf, permission_statuses}."""

    leaf_category_id: str
    categories: tuple[Data, ...]


@dataclass(frozen=True, slots=True)
class UploadedImage:
    """`uri` goes into API bodies, `url` into a description. `width` and `height` are what TikTok made of it (1:1 when the ratio did not fit)."""

    uri: str
    url: str
    width: int
    height: int
    use_case: str


class CatalogueApi(Caller):
    def prerequisites(self) -> list[Prerequisite]:
        """Is the shop ready to list (TTS §5.3.1)? Run before each bulk listing."""
        return self._call(
            "prerequisites",
            lambda data: [
                Prerequisite(str(row["check_item"]), bool(row.get("is_failed")), tuple(map(str, row.get("fail_reasons") or [])))
                for row in data.get("check_results") or []
            ],
        )

    def categories(
        self,
        *,
        version: str | None = None,
        locale: str | None = None,
        keyword: str | None = None,
        listing_platform: str | None = None,
        prohibited: bool = False,
    ) -> list[Data]:
        """The whole tree, flat (TTS §5.3.2): {id, parent_id ("0" for roots), local_name, is_leaf, permission_statuses}. `version` v1 or v2."""
        query = {
            "category_version": version,
            "locale": locale,
            "keyword": keyword,
            "listing_platform": listing_platform,
            "include_prohibited_categories": "true" if prohibited else None,
        }
        return self._rows("categories", "categories", query=query)

    def recommend_category(
        self, product_title: str, *, description: str | None = None, image_uris: Sequence[str] = (), version: str | None = None, **more: Any
    ) -> Recommendation | None:
        """TikTok's own suggestion (TTS §5.3.3). None when it has no match. `more`: further fields of the body, such as `origin_platform_category`."""
        body = {
            "product_title": product_title,
            "description": description,
            "images": [{"uri": uri} for uri in image_uris] or None,
            "category_version": version,
            **more,
        }

        def read(data: Data) -> Recommendation | None:
            leaf = str(data.get("leaf_category_id") or "")
            return Recommendation(leaf, tuple(data.get("categories") or ())) if leaf else None

        try:
            return self._call("recommend_category", read, body={k: v for k, v in body.items() if v is not None})
        except Rejected as error:
            if error.code == "tts.product.no_match":
                return None
            raise

    def category_attributes(self, category_id: str, *, version: str | None = None, locale: str | None = None) -> list[Data]:
        """Attributes of a leaf category (TTS §5.3.4), as TikTok gives them, with `is_required` beside its misspelt `is_requried`."""
        rows = self._rows("category_attributes", "attributes", path={"category_id": category_id}, query={"category_version": version, "locale": locale})
        return [row | {"is_required": bool(row.get("is_requried") or row.get("is_required"))} for row in rows]

    def category_rules(self, category_id: str, *, version: str | None = None, locale: str | None = None) -> Data:
        """TTS §5.3.5: {product_certifications, size_chart, package_dimension, cod, epr, manufacturer, responsible_person, fees, ...}."""
        return self._call("category_rules", lambda data: data, path={"category_id": category_id}, query={"category_version": version, "locale": locale})

    def brands(
        self,
        *,
        page_size: int = BRAND_PAGE,
        page_token: str | None = None,
        category_id: str | None = None,
        authorized_only: bool = False,
        name: str | None = None,
        version: str | None = None,
    ) -> Page:
        """One page of brands (TTS §5.3.6), with `is_usable` beside TikTok's fields; `name` is a prefix. `brand_status` needs `category_id`."""
        query = {
            "page_size": str(page_size),
            "page_token": page_token,
            "category_id": category_id,
            "is_authorized": "1" if authorized_only else "0",
            "brand_name": name,
            "category_version": version,
        }
        page = self._page("brands", "brands", query=query)
        return Page([brand | {"is_usable": is_usable(brand)} for brand in page.items], page.next_page_token, page.total_count)

    def iter_brands(self, **filters: Any) -> Iterator[Data]:
        """All brands of the same filters as `brands`."""
        token = None
        while True:
            page = self.brands(page_token=token, **filters)
            yield from page.items
            token = page.next_page_token
            if token is None:
                return

    def create_brand(self, name: str) -> str:
        """A custom brand; its id. 2-30 characters, not Chinese; 50 per day and 1,000 in all (TTS §5.3.6)."""
        return self._call("create_brand", lambda data: str(data["id"]), body={"name": name})

    def upload_image(self, content: bytes, *, file_name: str, media_type: str, use_case: ImageUse = "MAIN_IMAGE") -> UploadedImage:
        """The bytes of one image (TTS §5.3.7), 10 MB at most; never a URL. Sending the same bytes again is harmless.

        Errors: `Rejected` tts.product.image (format, size, dimensions), tts.file_too_large; `Uncertain` when the answer is lost.
        """
        return self._call(
            "upload_image",
            lambda data: UploadedImage(
                str(data["uri"]), str(data.get("url") or ""), int(data.get("width") or 0), int(data.get("height") or 0), str(data.get("use_case") or use_case)
            ),
            body=Form({"use_case": use_case}, ("data", file_name, content, media_type)),
        )


def is_usable(brand: Mapping[str, Any]) -> bool:
    """Authorized and available; or unauthorized and not T1, which is stored but not displayed (TTS §5.3.6; `UNAUTHORIEZD` is TikTok's spelling)."""
    available = brand.get("brand_status") in (None, "", "AVAILABLE")
    return available if brand.get("authorized_status") == "AUTHORIZED" else not brand.get("is_t1_brand")
