"""TikTok Shop's product error codes (TTS §3.4): which field each is about, what happened, what to do.

The official list holds about 230; these are the ones the contract names. `codes.classify` reads the kind from here; screens read the words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from connector.clients.remedies import REMEDIES

Kind = Literal["rejected", "not_found", "conflict", "rate_limited"]

WRAPPER = 12052990  # "check failed": the cause is in extra_errors


@dataclass(frozen=True, slots=True)
class ProductCode:
    """`ours` is the family, stable; `field` the part of the listing it is about ("" when it is the shop or the call)."""

    ours: str
    field: str
    title: str
    remedy: str
    kind: Kind = "rejected"


@dataclass(frozen=True, slots=True)
class ProductProblem:
    """One refusal in words. `message` is TikTok's, verbatim; `title` and `remedy` are ours."""

    code: str
    family: str
    field: str
    title: str
    message: str
    remedy: str


def _span(first: int, last: int) -> tuple[int, ...]:
    return tuple(range(first, last + 1))


_FAMILIES: tuple[tuple[tuple[int, ...], ProductCode], ...] = (
    (
        (12052023, 12052024, 12052025),
        ProductCode(
            "tts.product.category",
            "category_id",
            "The category does not exist, is not a leaf or is not available",
            "Choose another category in the listing template; only the last level of the tree can be used.",
        ),
    ),
    (
        (12019064, 12052912),
        ProductCode("tts.product.no_match", "category_id", "TikTok Shop found no category that fits", "Choose the category by hand in the listing template."),
    ),
    (
        (12052217, 12052230),
        ProductCode(
            "tts.product.category_version",
            "category_version",
            "The category belongs to the other category tree",
            "Fetch the categories again and choose the category anew: the market uses the other version of the tree.",
        ),
    ),
    (
        _span(12052220, 12052227),
        ProductCode(
            "tts.product.category_restricted",
            "category_id",
            "The shop may not sell in this category",
            "Apply for the category in Seller Center, or choose another category in the listing template.",
        ),
    ),
    (
        (12052026, 12052201, 12052208),
        ProductCode(
            "tts.product.brand",
            "brand_id",
            "The brand cannot be used",
            "Request the brand's authorization in Seller Center, choose another brand, or list without a brand.",
        ),
    ),
    ((12052028,), ProductCode("tts.product.main_image", "main_images", "The main image is missing", "Give the product an image in Magento, or the image policy a default image.")),
    (
        _span(12052301, 12052306),
        ProductCode(
            "tts.product.main_image",
            "main_images",
            "The main images are not accepted",
            "Send 1 to 9 images of 300 to 4000 pixels a side; upload them again when TikTok Shop does not know them.",
        ),
    ),
    (
        (12019116, 12038002, 12038004, 12038005, 12038014, 12038015),
        ProductCode(
            "tts.product.image",
            "main_images",
            "The image was not accepted",
            "Use JPG, PNG or WEBP of at most 10 MB with sides of 300 to 4000 pixels.",
        ),
    ),
    (
        (12052051, *_span(12052931, 12052935)),
        ProductCode(
            "tts.product.title",
            "title",
            "The title is not accepted",
            "Change the name in Magento, or map another attribute as title: length, emoji, HTML escapes and symbols are checked.",
        ),
    ),
    (
        (12052013, *_span(12052340, 12052352)),
        ProductCode(
            "tts.product.description",
            "description",
            "The description is not accepted",
            "Shorten it or simplify its HTML: 10,000 characters, 30 images hosted by TikTok Shop with width and height, simple tags only.",
        ),
    ),
    (
        (12052104, 12052182, 12052183),
        ProductCode(
            "tts.product.attribute_missing",
            "product_attributes",
            "A required attribute is missing",
            "Map the named attribute on the Attributes page: to a Magento attribute, a recommended value or a custom value.",
        ),
    ),
    (
        (12052105,),
        ProductCode(
            "tts.product.certificate",
            "certifications",
            "A qualification or certificate is missing",
            "Add the certificate in Seller Center, or choose a category that needs none.",
        ),
    ),
    (
        _span(12052520, 12052529),
        ProductCode(
            "tts.product.sales_attributes",
            "skus.sales_attributes",
            "The variants are not described alike",
            "Give every variant the same one to three axes, each combination once, and pictures on one axis only.",
        ),
    ),
    (
        (12052050, 12052902),
        ProductCode("tts.product.sku_count", "skus", "There are too many variants, or none", "Split the product into several listings, or enable at least one variant in Magento."),
    ),
    (
        (12052054, 12019059),
        ProductCode(
            "tts.product.seller_sku",
            "skus.seller_sku",
            "The seller SKU is not valid or used twice",
            "Use 1 to 50 characters without spaces, each SKU once in the shop. Correct the SKU in Magento or map another attribute.",
        ),
    ),
    (
        _span(12052591, 12052600),
        ProductCode(
            "tts.product.identifier",
            "skus.identifier_code",
            "The identifier code is not accepted",
            "Check the digits and the type (GTIN, EAN, UPC, ISBN, JAN) in Magento; each code may be used once and only a draft may change it.",
        ),
    ),
    ((12052673,), ProductCode("tts.product.size_chart", "size_chart", "The category needs a size chart", "Add a size chart image to the listing template.")),
    (
        (12052116, 12052181, 12019011, 12019012, 12052915, 12052916, 12019061),
        ProductCode(
            "tts.product.package",
            "package_weight",
            "Weight or size of the package is not accepted",
            "Enter weight and measures above zero in Magento, in one system of units; pounds and inches only for US shops.",
        ),
    ),
    (
        (12052036, 12052037, 12052055),
        ProductCode("tts.product.inventory", "skus.inventory", "The quantity is missing or out of range", "Send 0 to 99,999 units; see the inventory policy."),
    ),
    (
        (12052094, 12052097, 12019022, 12019024, 12019027, 12019028),
        ProductCode(
            "tts.product.warehouse",
            "skus.inventory.warehouse_id",
            "The warehouses do not fit",
            "Fetch Onboarding Data for the account; every warehouse of a SKU must be in an update, and no other.",
        ),
    ),
    ((12052535,), ProductCode("tts.product.return_warehouse", "", "The shop has no return warehouse", "Add a return warehouse in Seller Center.")),
    (
        (12052570, 12052571, 12052550, 12052560),
        ProductCode("tts.product.price", "skus.price", "The price is out of range or in the wrong currency", "Correct the price in Magento or the pricing policy."),
    ),
    (
        (12052038, 12019045),
        ProductCode(
            "tts.product.price_locked",
            "skus.price",
            "A running promotion holds the price",
            "Nothing to do: the price is sent again when the promotion is over. End the promotion in Seller Center to change it now.",
            "conflict",
        ),
    ),
    (
        (12052369, 12052996),
        ProductCode(
            "tts.product.external_id",
            "external_product_id",
            "The external id is not valid or taken",
            "Another TikTok product carries this Magento id: link that product instead of uploading it again.",
        ),
    ),
    (
        (12052032, 12019150, 12052260),
        ProductCode(
            "tts.product.not_found",
            "",
            "TikTok Shop does not know the product or SKU",
            "It was deleted there. Run Marketplace Status Sync, then upload it again or link another one.",
            "not_found",
        ),
    ),
    ((12052048,), ProductCode("tts.product.foreign", "", "The product belongs to another seller", "Unlink the product and link one of this shop.", "not_found")),
    (
        (12052901, 12019113),
        ProductCode("tts.product.status", "", "The product's status does not allow this", "Run Marketplace Status Sync and look at the status; wait while it is in review."),
    ),
    (
        (12052093,),
        ProductCode("tts.product.listing_limit", "", "The shop's listing limit is reached", "TikTok Shop limits new listings per day. Upload the rest when the limit is renewed."),
    ),
    ((12052109,), ProductCode("tts.product.busy", "", "Too many requests for one product", "Nothing to do: it is sent again by itself.", "rate_limited")),
    ((12052180,), ProductCode("tts.product.too_many_results", "", "The search has more than 10,000 results", "Narrow the search to a shorter time.")),
    ((12019087, 12019120), ProductCode("tts.product.too_many_ids", "", "Too many ids in one request", "This is a fault of the connector: report the request id.")),
    ((12052419,), ProductCode("tts.product.shop_setup", "", "The shop is not set up completely", "Finish the shop's set-up in Seller Center; the account page lists what is missing.")),
    ((12052700,), ProductCode("tts.product.seller_inactive", "", "The seller is not active", "Settle the seller's status in Seller Center.")),
    ((12052910,), ProductCode("tts.product.input", "", "TikTok Shop did not accept a value", "Read its message: it names the value. Correct it at its source and try again.")),
    ((WRAPPER,), ProductCode("tts.product.check_failed", "", "TikTok Shop's check failed", "The causes are listed beside it; correct each and try again.")),
)  # fmt: skip

PRODUCT_CODES: Mapping[int, ProductCode] = MappingProxyType({code: family for codes, family in _FAMILIES for code in codes})

REMEDIES.update({family.ours: (family.title, family.remedy) for _, family in reversed(_FAMILIES)})


def explain(code: object, message: str = "") -> ProductProblem:
    """A code (number or text, as TikTok sends both) in words. An unknown one is shown as it came."""
    text = str(code)
    known = PRODUCT_CODES.get(int(text)) if text.isdigit() else None
    if known is None:
        return ProductProblem(text, "tts.rejected", "", "TikTok Shop refused it", message, "Read TikTok Shop's message, correct the product and try again.")
    return ProductProblem(text, known.ours, known.field, known.title, message, known.remedy)


def explain_all(code: object, message: str, extra: tuple[tuple[str, str], ...] = ()) -> list[ProductProblem]:
    """A refusal and the causes inside it; the wrapper itself is left out when it names its causes (TTS §3.1, 12052990)."""
    causes = [explain(*cause) for cause in extra]
    return causes if causes and str(code) == str(WRAPPER) else [explain(code, message), *causes]
