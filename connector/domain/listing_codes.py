"""The codes under which TikTok refuses a listing (TTS §3.4), by name, and the shape of one finding.

The contract gives whole families a meaning; which code of a family is which was read from the order of its words. Compare by family where the
exact code does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass

PARAMETER_MISSING = 36009004

CATEGORY_MISSING, CATEGORY_NOT_LEAF, CATEGORY_NOT_AVAILABLE = 12052023, 12052024, 12052025
CATEGORY_VERSION, CATEGORY_OTHER_TREE = 12052217, 12052230
CATEGORY_PROHIBITED, CATEGORY_INVITE_ONLY, CATEGORY_NOT_IN_RANGE = 12052220, 12052221, 12052222
BRAND_INVALID = 12052026
MAIN_IMAGE_MISSING, MAIN_IMAGE_COUNT, MAIN_IMAGE_URI, MAIN_IMAGE_USE_CASE = 12052028, 12052301, 12052302, 12052303
TITLE_LENGTH, TITLE_ESCAPES, TITLE_EMOJI, TITLE_CONTROL, TITLE_SYMBOLS, TITLE_REPEATS = 12052051, 12052931, 12052932, 12052933, 12052934, 12052935
DESCRIPTION_LENGTH, DESCRIPTION_IMAGE_URL, DESCRIPTION_IMAGE_COUNT, DESCRIPTION_IMAGE_SIZE = 12052013, 12052340, 12052341, 12052342
DESCRIPTION_TAG, DESCRIPTION_TAG_ATTRIBUTE = 12052345, 12052348
ATTRIBUTE_MISSING, ATTRIBUTE_CONDITIONAL, ATTRIBUTE_VALUES_UNUSABLE = 12052104, 12052182, 12052183
CERTIFICATE_MISSING = 12052105
AXIS_COUNT, AXIS_NAME, AXIS_VALUE, AXIS_MISMATCH, AXIS_DUPLICATE = 12052520, 12052521, 12052522, 12052523, 12052524
AXIS_IMAGES, AXIS_IMAGE_MISSING, AXIS_IMAGE_URI, AXIS_UNKNOWN, AXIS_REQUIRED = 12052525, 12052526, 12052527, 12052528, 12052529
TOO_MANY_SKUS, NO_SKU = 12052050, 12052902
SELLER_SKU_INVALID, SELLER_SKU_DUPLICATE = 12052054, 12019059
IDENTIFIER_FORMAT, IDENTIFIER_DUPLICATE, IDENTIFIER_FIXED = 12052591, 12052592, 12052593
SIZE_CHART_REQUIRED = 12052673
WEIGHT_INVALID, WEIGHT_ZERO = 12052116, 12052181
DIMENSIONS_MISSING, DIMENSIONS_INVALID = 12019011, 12019012
METRIC_WEIGHT_IMPERIAL_SIZE, IMPERIAL_WEIGHT_METRIC_SIZE, IMPERIAL_OUTSIDE_US = 12052915, 12052916, 12019061
INVENTORY_MISSING, INVENTORY_RANGE, BACKORDER_INCOMPLETE = 12052036, 12052037, 12052055
WAREHOUSE_UNKNOWN, WAREHOUSE_NOT_NAMED = 12052097, 12019024
CURRENCY_WRONG, PRICE_INVALID, PRICE_TOO_LOW, PRICE_TOO_HIGH = 12052550, 12052560, 12052570, 12052571
EXTERNAL_ID_INVALID, EXTERNAL_ID_TAKEN = 12052369, 12052996
SKU_MISSING = 12052260
INPUT_INVALID = 12052910


@dataclass(frozen=True, slots=True)
class ListingProblem:
    """One thing TikTok would refuse; with ``warning`` it lists the product all the same, mostly with that field cleared. ``field`` is a path in the body, such as ``skus[2].price``."""

    code: int
    field: str
    message: str
    remedy: str
    warning: bool = False


class Findings:
    """Collects every problem; the same one is kept once. A draft may leave things out."""

    def __init__(self, *, draft: bool = False) -> None:
        self.draft = draft
        self.problems: list[ListingProblem] = []

    def wrong(self, code: int, field: str, message: str, remedy: str) -> None:
        self._add(ListingProblem(code, field, message, remedy))

    def absent(self, code: int, field: str, message: str, remedy: str) -> None:
        """Something left out."""
        if not self.draft:
            self.wrong(code, field, message, remedy)

    def warn(self, code: int, field: str, message: str, remedy: str) -> None:
        self._add(ListingProblem(code, field, message, remedy, True))

    def _add(self, problem: ListingProblem) -> None:
        if problem not in self.problems:
            self.problems.append(problem)
