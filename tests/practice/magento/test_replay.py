"""The comparison itself: it must notice what it is there for."""

from __future__ import annotations

import pytest

from .replay import Comparison

RECORDED = {"message": "No such %1", "parameters": [7], "items": [{"sku": "A", "qty": 1, "created_at": "2026-01-01 00:00:00"}], "note": None}


@pytest.mark.parametrize(
    ("change", "noticed"),
    [
        ({"message": "No such thing"}, "recorded error"),
        ({"parameters": [8]}, "recorded error"),
        ({"extra": 1}, "extra keys"),
        ({"items": []}, "recorded 1 elements, got 0"),
        ({"items": [{"sku": "A", "qty": "1", "created_at": "2026-01-01 00:00:00"}]}, "recorded number"),
        ({"items": [{"sku": "A", "qty": 1, "created_at": "yesterday"}]}, "recorded a date"),
        ({"items": [{"sku": "A", "qty": 1}]}, "missing keys"),
        ({"note": ""}, "recorded null"),
    ],
)
def test_a_difference_is_noticed(change: dict, noticed: str) -> None:
    comparison = Comparison(truncated=False)
    comparison.compare(RECORDED, {**RECORDED, **change})
    assert any(noticed in text for text in comparison.differences), comparison.differences


def test_values_count_only_where_asked() -> None:
    other = {**RECORDED, "items": [{**RECORDED["items"][0], "qty": 2}]}
    loose, strict = Comparison(truncated=False), Comparison(truncated=False, values=True)
    loose.compare(RECORDED, other)
    strict.compare(RECORDED, other)
    assert (loose.differences, len(strict.differences)) == ([], 1)
