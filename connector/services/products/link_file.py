"""Linking from a CSV file: a TikTok product or SKU, and the Magento SKU that it is (A178). Thousands of lines at once; each is judged on its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import or_, select, update

from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError
from connector.models.account import Account
from connector.models.listing import Listing, TikTokProduct
from connector.models.product import Product
from connector.models.run import JobItem
from connector.services import csv_lines, runs
from connector.services.products import linking
from connector.services.products.matching import SELLABLE, Matcher

MAX_BYTES = csv_lines.MAX_BYTES
MAX_LINES = 20_000
COLUMNS = ("tiktok_product_id", "seller_sku", "magento_sku")
_NAMES: dict[str, tuple[str, ...]] = {
    "tiktok_product_id": ("tiktokproductid", "productid", "tiktokid", "itemid", "marketplaceitemid"),
    "seller_sku": ("sellersku", "tiktoksku", "tiktoksellersku"),
    "magento_sku": ("magentosku", "sku", "productsku"),
}
_AT_ONCE = 500


@dataclass(slots=True)
class Line:
    """One line and what became of it; ``problem`` is empty when it is accepted."""

    number: int
    tiktok_product_id: str
    seller_sku: str
    magento_sku: str
    row_id: int | None = None  #: of the ``TikTokProduct``
    product_id: int | None = None  #: the Magento product of the listing: the simple one, or the configurable
    variant_id: int | None = None
    tiktok_sku_id: str = ""
    problem: str = ""


@dataclass(slots=True)
class LinkFile(csv_lines.CheckedLines):
    account_id: int
    lines: list[Line] = field(default_factory=list)


def read(data: bytes, account_id: int) -> LinkFile:
    """Parse and check a file against what was read from TikTok and from Magento.

    Raises ``DomainError`` (field ``file``) when it is too large, no text, or of another shape; then no line is read.
    """
    rows = iter(csv_lines.rows_of(csv_lines.text_of(data)))
    header = next(rows, None)
    if header is None:
        raise _shape("The file is empty.")
    places = csv_lines.places_of(header[1], _NAMES)
    if places["magento_sku"] < 0 or (places["tiktok_product_id"] < 0 and places["seller_sku"] < 0):
        lacking = "magento_sku" if places["magento_sku"] < 0 else "tiktok_product_id or seller_sku"
        raise _shape(f"The file has no column for {lacking}. Its first line holds: {csv_lines.heading_words(header[1])}.")

    def cell(row: list[str], column: str) -> str:
        return csv_lines.cell_of(row, places[column])

    lines = [
        Line(number, cell(row, "tiktok_product_id"), cell(row, "seller_sku"), cell(row, "magento_sku")) for number, row in rows if any(cell.strip() for cell in row)
    ]  # fmt: skip
    if not lines:
        raise _shape("The file has a heading but no line below it.")
    if len(lines) > MAX_LINES:
        raise _shape(f"The file has {len(lines)} lines; {MAX_LINES} are read at once.", "Split it.")
    for line in lines:
        line.problem = _shape_of(line)
    _find_products(lines, account_id)
    _find_variants(lines, account_id)
    _one_product_each(lines)
    _without_taken(lines, account_id)
    return LinkFile(account_id, lines)


def submit(parsed: LinkFile, *, started_by: str, template_id: int | None = None) -> runs.Submitted:
    """One run with an item for each TikTok product of the accepted lines. Raises ``DomainError`` when there is none."""
    chosen: dict[tuple[int, int], dict[str, int]] = {}
    for line in parsed.accepted:
        assert line.row_id is not None
        assert line.product_id is not None
        pairs = chosen.setdefault((line.row_id, line.product_id), {})
        if line.tiktok_sku_id and line.variant_id is not None:
            pairs[line.tiktok_sku_id] = line.variant_id
    if not chosen:
        raise DomainError("csv.nothing", "No line of the file can be linked.", "Each line says why.", field="file")
    with unit_of_work() as session:
        submitted = linking.submit(parsed.account_id, list(chosen), started_by=started_by, template_id=template_id)
        for (row_id, product_id), pairs in chosen.items():
            mine = (JobItem.run_id == submitted.run_id) & (JobItem.ref == linking.ref_of(row_id, product_id))
            session.execute(update(JobItem).where(mine).values(data={"skus": pairs}))
        return submitted


def _shape_of(line: Line) -> str:
    if not line.magento_sku:
        return "The Magento SKU is empty."
    if not line.tiktok_product_id and not line.seller_sku:
        return "Neither a TikTok product id nor a seller SKU is given."
    if csv_lines.rounded_by_excel(line.tiktok_product_id):
        return f"Excel has rounded the product id to {line.tiktok_product_id}: format the column as text before you save."
    if line.tiktok_product_id and not line.tiktok_product_id.isdigit():
        return f"{line.tiktok_product_id} is not a TikTok product id: it has digits only."
    return ""


def _find_products(lines: list[Line], account_id: int) -> None:
    """The TikTok product and SKU of each line."""
    by_id, by_sku = dict[str, TikTokProduct](), dict[str, list[TikTokProduct]]()
    query = select(TikTokProduct).where(TikTokProduct.account_id == account_id)
    for row in db.session.scalars(query.execution_options(yield_per=_AT_ONCE)):
        by_id[row.tiktok_id] = row
        for sku in filter(None, row.seller_skus.split("\n")):
            by_sku.setdefault(sku.casefold(), []).append(row)
    if not by_id:
        raise DomainError(
            "link.not_read", "No products were read from TikTok Shop yet.", "Choose Import from TikTok Shop first, then upload the file again.", field="file"
        )
    for line in lines:
        if line.problem:
            continue
        found = (
            [by_id[line.tiktok_product_id]] if line.tiktok_product_id in by_id else [] if line.tiktok_product_id else by_sku.get(line.seller_sku.casefold(), [])
        )
        named = f"product {line.tiktok_product_id}" if line.tiktok_product_id else f"product with the seller SKU {line.seller_sku}"
        if len(found) != 1:
            several = ", ".join(row.tiktok_id for row in found[:3])
            line.problem = (
                f"Several TikTok products have the seller SKU {line.seller_sku}: {several}. Name the product id."
                if found else f"TikTok Shop had no {named} when its products were last read. Import them again if it is new."
            )  # fmt: skip
            continue
        line.row_id, line.tiktok_product_id = found[0].id, found[0].tiktok_id
        _find_sku(line, found[0])


def _find_sku(line: Line, row: TikTokProduct) -> None:
    skus: list[dict[str, Any]] = list(row.data.get("skus") or [])
    if line.seller_sku:
        match = next((sku for sku in skus if str(sku.get("seller_sku") or "").casefold() == line.seller_sku.casefold()), None)
        if match is None:
            line.problem = f"TikTok product {row.tiktok_id} has no seller SKU {line.seller_sku}."
            return
        line.tiktok_sku_id = str(match["id"])
    elif len(skus) == 1:
        line.tiktok_sku_id = str(skus[0]["id"])


def _find_variants(lines: list[Line], account_id: int) -> None:
    """The Magento product of each line, and the listing's product that it is or belongs to."""
    account = db.session.get(Account, account_id)
    assert account is not None
    matcher, known = Matcher(account_id, account.magento_id), dict[str, Any]()
    keys = sorted({line.magento_sku.casefold() for line in lines if not line.problem})
    for first in range(0, len(keys), _AT_ONCE):
        query = select(Product.id, Product.entity_id, Product.sku, Product.sku_key, Product.type_id, Product.is_child).where(
            Product.magento_id == account.magento_id, Product.sku_key.in_(keys[first : first + _AT_ONCE]), Product.gone_at.is_(None)
        )
        known |= {row.sku_key: row for row in db.session.execute(query)}
    for line in lines:
        if line.problem:
            continue
        row = known.get(line.magento_sku.casefold())
        if row is None:
            line.problem = f"Magento has no product with the SKU {line.magento_sku}. Import products if it is new."
        elif row.type_id == "configurable":
            line.product_id, line.tiktok_sku_id = row.id, ""
        elif row.type_id not in SELLABLE:
            line.problem = f"{row.sku} is a {row.type_id} product; TikTok Shop sells simple and configurable ones."
        else:
            parents = matcher.parents(row.entity_id) if row.is_child else []
            if len(parents) > 1:
                line.problem = f"{row.sku} belongs to several configurable products: {', '.join(sku for _, sku in parents)}. Name one of them instead."
            line.product_id, line.variant_id = (parents[0][0] if parents else row.id), row.id


def _one_product_each(lines: list[Line]) -> None:
    """Lines of one TikTok product must lead to one Magento product, and no SKU may be used twice."""
    first_of: dict[int, Line] = {}
    seen: dict[tuple[int | None, str, int | None], Line] = {}
    for line in _good(lines):
        assert line.row_id is not None
        before = first_of.setdefault(line.row_id, line)
        if before.product_id != line.product_id:
            line.problem = f"Line {before.number} links TikTok product {line.tiktok_product_id} to another Magento product ({before.magento_sku})."
            continue
        for key, what in (((line.row_id, line.tiktok_sku_id, None), line.seller_sku), ((line.row_id, "", line.variant_id), line.magento_sku)):
            if (key[1] or key[2]) and (twice := seen.setdefault(key, line)) is not line:
                line.problem = f"{what or line.magento_sku} stands in line {twice.number} already."
                break
    taken: dict[int, Line] = {}
    for line in _good(lines):
        assert line.product_id is not None
        other = taken.setdefault(line.product_id, line)
        if other.row_id != line.row_id:
            line.problem = f"Line {other.number} links {line.magento_sku} to the TikTok product {other.tiktok_product_id}; a Magento product has one listing."


def _without_taken(lines: list[Line], account_id: int) -> None:
    """Products that are linked otherwise already."""
    ids = sorted({line.product_id for line in _good(lines) if line.product_id is not None})
    of_product: dict[int, str] = {}
    of_tiktok: dict[str, int] = {}
    for first in range(0, len(ids), _AT_ONCE):
        part = ids[first : first + _AT_ONCE]
        numbers = sorted({line.tiktok_product_id for line in _good(lines) if line.product_id in part})
        query = select(Listing.product_id, Listing.tiktok_id).where(
            Listing.account_id == account_id, Listing.tiktok_id.is_not(None), or_(Listing.product_id.in_(part), Listing.tiktok_id.in_(numbers))
        )
        for product_id, tiktok_id in db.session.execute(query):
            of_product[product_id], of_tiktok[tiktok_id] = tiktok_id, product_id
    for line in _good(lines):
        assert line.product_id is not None
        other = of_product.get(line.product_id, line.tiktok_product_id)
        if other != line.tiktok_product_id:
            line.problem = f"{line.magento_sku} is linked to the TikTok product {other} already. Unlink that one first."
        elif of_tiktok.get(line.tiktok_product_id, line.product_id) != line.product_id:
            line.problem = f"TikTok product {line.tiktok_product_id} is linked to another Magento product already. Unlink it first."


def _good(lines: Iterable[Line]) -> list[Line]:
    return [line for line in lines if not line.problem]


def _shape(message: str, remedy: str = "") -> DomainError:
    return csv_lines.bad_shape(message, remedy or "The first line must name the columns: tiktok_product_id or seller_sku, and magento_sku.")
