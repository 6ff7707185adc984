"""Reading the CSV files that people have: Excel's semicolons and ``sep=`` line, tabs, a byte order mark, UTF-16, ids that Excel has turned into 5.76E+17."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from connector.core.errors import DomainError

MAX_BYTES = 2 * 1024 * 1024
_END = "\x00"  #: the line after the last one; a file that holds this character is no text


class CheckedLines:
    """A parsed file. ``accepted`` lines can be submitted although others have a ``problem``."""

    __slots__ = ()
    lines: list[Any]

    @property
    def accepted(self) -> list[Any]:
        return [line for line in self.lines if not line.problem]

    @property
    def refused(self) -> list[Any]:
        return [line for line in self.lines if line.problem]


def text_of(data: bytes) -> str:
    """The file as text. Raises ``DomainError`` (field ``file``) when it is too large or no text."""
    if len(data) > MAX_BYTES:
        size = len(data) / 1024 / 1024
        raise DomainError("csv.too_large", f"The file has {size:.1f} MB; at most 2 MB are read.", "Split it into several files.", field="file")
    if data[:4] == b"PK\x03\x04" or data[:8] == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
        raise bad_shape("This is an Excel workbook, not a CSV file.", "In Excel choose Save As, CSV UTF-8, and upload that file.")
    encodings = ("utf-16",) if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ("utf-8-sig", "cp1252")
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\x00" not in text:
            return text
    raise bad_shape("The file is not text.", "Save it as CSV UTF-8 and upload that file.")


def rows_of(text: str) -> Iterable[tuple[int, list[str]]]:
    """(line number, cells); the delimiter is the one that the heading holds most of, or what Excel's ``sep=`` line says.

    Raises ``DomainError`` (field ``file``) for a quotation mark that is never closed: it would take all lines after it into its cell.
    """
    lines = text.splitlines()
    skip = 0
    while skip < len(lines) and not lines[skip].strip():
        skip += 1
    delimiter = None
    if skip < len(lines) and (named := re.fullmatch(r'"?sep=(.)"?', lines[skip].strip(), re.IGNORECASE)):
        delimiter, skip = named[1], skip + 1
    heading = lines[skip] if skip < len(lines) else ""
    delimiter = delimiter or max(",;\t|", key=heading.count)
    try:
        reader = csv.reader([*(f"{line}\n" for line in lines[skip:]), _END], delimiter=delimiter)
        first = skip + 1
        for row in reader:
            if row and row[-1].endswith(_END):
                if row != [_END]:
                    raise bad_shape(f"A quotation mark that begins in line {first} is never closed.", "Close it, or remove it, and upload the file again.")
                return
            yield first, row
            first = skip + reader.line_num + 1
    except csv.Error as error:
        raise bad_shape(f"The file cannot be read as CSV: {error}.", "Save it as CSV UTF-8 and upload that file.") from error


def places_of(header: Sequence[str], names: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Where each column stands, -1 for one that is not there. ``names``: what a heading may be called, letters only, lower case."""
    plain = [re.sub(r"[^a-z]", "", cell.casefold()) for cell in header]
    return {column: next((index for index, name in enumerate(plain) if name in known), -1) for column, known in names.items()}


def cell_of(row: Sequence[str], place: int) -> str:
    """A cell without what Excel needs to leave it alone: ``="5764..."`` and a leading apostrophe."""
    text = row[place].strip() if 0 <= place < len(row) else ""
    quoted = re.fullmatch(r'="?(.*?)"?', text)
    return (quoted[1] if quoted else text).lstrip("'").strip()


def rounded_by_excel(text: str) -> bool:
    """5.76E+17: the digits are lost."""
    return re.fullmatch(r"\d([.,]\d+)?[eE]\+?\d+", text) is not None


def heading_words(header: Sequence[str]) -> str:
    """The first line for a message."""
    return ", ".join(cell.strip() for cell in header if cell.strip())[:200] or "nothing"


def bad_shape(message: str, remedy: str) -> DomainError:
    return DomainError("csv.shape", message, remedy, field="file")
