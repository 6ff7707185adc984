"""Reading many of a shop's products by search, whatever their number: page tokens that end, and searches that are too wide, are dealt with (TTS §4, §5.3.11)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from connector.clients import errors as api
from connector.clients.tiktok import TikTokClient

PAGE_SIZE = 100
#: Refused page tokens in a row before the reading gives up.
REFUSALS = 5
_TOO_MANY = "tts.product.too_many_results"

Window = tuple[int, int]


@dataclass(frozen=True, slots=True)
class ProductPage:
    """Some products; ``left`` are the windows of time still to be read when these are stored, ``token`` the next page of the first of them."""

    products: list[dict[str, Any]]
    left: tuple[Window, ...]
    token: str | None
    total: int | None


def pages(client: TikTokClient, field: str, windows: list[Window], token: str | None = None) -> Iterator[ProductPage]:
    """Every product whose ``field`` (``update_time`` or ``create_time``) lies in one of the windows, both ends included, in Unix seconds.

    A product may come twice: when a page token has ended, its window is read again from its start, and a window with more than 10,000 products is
    halved. To go on after an interruption, hand in the ``left`` and ``token`` of the last page that was stored.
    """
    left, refused = list(windows), 0
    while left:
        start, end = left[0]
        try:
            page = client.search_products({f"{field}_ge": start, f"{field}_le": end}, page_size=PAGE_SIZE, page_token=token)
        except api.PageTokenRefused:
            refused += 1
            if token is None or refused > REFUSALS:
                raise
            token = None
            continue
        except api.Rejected as error:
            if error.code != _TOO_MANY or end <= start:
                raise
            middle = (start + end) // 2
            left[0:1] = [(start, middle), (middle + 1, end)]
            token = None
            continue
        token = page.next_page_token
        if token is None:
            left.pop(0)
            refused = 0
        yield ProductPage(list(page.items), tuple(left), token, page.total_count)
