"""Identifier codes: form and check digit per type (TTS §5.3.8)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.domain.identifiers import check_digit, kind_of, why_doubtful, why_wrong


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("4006381333931", "EAN"),
        ("73513537", "EAN"),
        ("04006381333931", "EAN"),
        ("00012345600012", "GTIN"),
        ("036000291452", "UPC"),
        ("9780306406157", "ISBN"),
        ("080442957X", "ISBN"),
        ("4901234567894", "JAN"),
        ("49968712", "JAN"),
    ],
)
def test_right_codes_are_right(code: str, kind: str) -> None:
    assert why_wrong(code, kind) is None
    assert why_doubtful(code, kind) is None


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("4006381333931", "GTIN"),
        ("036000291452", "EAN"),
        ("0306406152", "ISBN"),
        ("40063813339", "JAN"),
        ("400638133393A", "EAN"),
        ("", "EAN"),
        ("４００６３８１３", "EAN"),
        ("1", "SKU"),
    ],
)
def test_wrong_forms_are_told(code: str, kind: str) -> None:
    assert why_wrong(code, kind)


@pytest.mark.parametrize(("code", "kind"), [("4006381333932", "EAN"), ("036000291453", "UPC"), ("9780306406158", "ISBN"), ("080442958X", "ISBN")])
def test_a_mistyped_digit_is_doubtful(code: str, kind: str) -> None:
    assert why_wrong(code, kind) is None
    assert why_doubtful(code, kind)


@given(st.text("0123456789", min_size=13, max_size=13), st.integers(0, 12), st.integers(1, 9))
def test_the_check_digit_notices_every_single_wrong_digit(digits: str, place: int, off: int) -> None:
    wrong = digits[:place] + str((int(digits[place]) + off) % 10) + digits[place + 1 :]
    assert check_digit(wrong) != check_digit(digits)


def test_the_type_of_a_plain_code_is_guessed_by_its_form() -> None:
    assert [kind_of(code) for code in ("4006381333931", "9780306406157", "080442957X", "036000291452", "00012345600012", "73513537", "123", "abc")] == [
        "EAN", "ISBN", "ISBN", "UPC", "GTIN", "EAN", "", "",
    ]  # fmt: skip
