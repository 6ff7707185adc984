"""Product identifier codes: their length, and the check digit at their end (TTS §5.3.8, skus[].identifier_code)."""

from __future__ import annotations

import re

#: Digits that each type may have; ISBN has a form of its own beside 13 digits.
LENGTHS: dict[str, tuple[int, ...]] = {"GTIN": (14,), "EAN": (8, 13, 14), "UPC": (12,), "ISBN": (13,), "JAN": (8, 13)}

_ISBN_10 = re.compile(r"\d{9}X")


def why_wrong(code: str, kind: str) -> str | None:
    """What is wrong with the form of a code of this type, as the end of a sentence; None when nothing is."""
    lengths = LENGTHS.get(kind)
    if lengths is None:
        return f"is of the unknown type {kind or '(none)'}"
    if kind == "ISBN" and _ISBN_10.fullmatch(code):
        return None
    if not (code.isascii() and code.isdigit() and len(code) in lengths):
        expected = " or ".join(map(str, lengths)) + " digits" + (", or 9 digits and X" if kind == "ISBN" else "")
        return f"is not a {kind}, which has {expected}"
    return None


def why_doubtful(code: str, kind: str) -> str | None:
    """A well-formed code whose check digit does not fit: a digit is mistyped. The end of a sentence; None when it fits."""
    if kind == "ISBN" and _ISBN_10.fullmatch(code):
        return None if _isbn_10_holds(code) else "has a check character that does not fit its digits"
    expected = check_digit(code[:-1])
    return None if expected == code[-1] else f"ends in {code[-1]} where its digits ask for {expected}"


def check_digit(digits: str) -> str:
    """GS1's check digit over the digits before it: weights 3 and 1 in turn, from the right."""
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return str(-total % 10)


def kind_of(code: str) -> str:
    """The type that a plain code most likely is, "" when it is none: 12 digits UPC, 14 GTIN, 978/979 ISBN, else EAN."""
    if _ISBN_10.fullmatch(code) or (len(code) == 13 and code.startswith(("978", "979"))):
        return "ISBN"
    return {8: "EAN", 12: "UPC", 13: "EAN", 14: "GTIN"}.get(len(code), "") if code.isascii() and code.isdigit() else ""


def _isbn_10_holds(code: str) -> bool:
    """The weighted sum, X counting ten, is a multiple of eleven."""
    return (sum(int(digit) * weight for digit, weight in zip(code[:9], range(10, 1, -1), strict=True)) + 10) % 11 == 0
