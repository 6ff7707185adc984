"""Product Linking: products that stand on TikTok already become listings of Magento products (A178).

``read_listings`` fetches the shop's products and suggests what each of them is in Magento; ``link`` joins the two. Before that nothing is sent for them,
and linking itself sends nothing either: the listing takes TikTok's ids and what TikTok has.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from connector.core.clock import to_epoch, utcnow
from connector.core.db import db, dialect_of, end_reading, unit_of_work
from connector.core.errors import DomainError, NotFoundError
from connector.domain.listing_state import UNREADABLE
from connector.models.account import Account
from connector.models.listing import Listing, ListingSku, ListingTemplate, TikTokProduct
from connector.models.product import Product
from connector.services import connections, events, runs
from connector.services.products import state
from connector.services.products.matching import CASE, EXACT, Matcher
from connector.services.products.shop_reading import pages

#: TikTok Shop has no products from before (1 January 2020): reading begins there.
FIRST_DAY = 1_577_836_800
#: ... and ends that far ahead, because the shop's clock is known from its last answer only.
AHEAD = timedelta(days=1)
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Found:
    """Figures of a reading; ``suggested`` are those that Assign Products would link."""

    products: int
    linked: int
    suggested: int

    def sentence(self) -> str:
        rest = self.products - self.linked - self.suggested
        return f"{self.products} products read from TikTok Shop: {self.linked} are linked, {self.suggested} have a suggestion, {rest} need a decision."


# --- reading --------------------------------------------------------------------------------------------------------------------------------


def read_listings(run: runs.Run, account_id: int) -> Found:
    """Initiate Import: the shop's products, page by page, with a suggestion each. Goes on where it was interrupted; what is gone disappears."""
    account = state.working_account(account_id)
    client, matcher = connections.tiktok(account_id), Matcher(account_id, account.magento_id)
    end_reading()
    if "windows" not in run.checkpoint:
        last = db.session.scalar(select(func.max(TikTokProduct.sweep)).where(TikTokProduct.account_id == account_id)) or 0
        end_reading()
        window = [FIRST_DAY, to_epoch(client.now() + AHEAD)]
        with unit_of_work() as session:
            run.save_checkpoint(session, sweep=last + 1, windows=[window], token=None, read=0)
    sweep, read = int(run.checkpoint["sweep"]), int(run.checkpoint["read"])
    windows = [(int(start), int(end)) for start, end in run.checkpoint["windows"]]
    for page in pages(client, "create_time", windows, run.checkpoint["token"]):
        read += len(page.products)
        with unit_of_work() as session:
            _store(session, account_id, page.products, sweep, matcher)
            run.save_checkpoint(session, windows=[list(each) for each in page.left], token=page.token, read=read)
        run.progress(done=read, total=max(read, page.total or 0))
        if run.cancelled:
            return figures(account_id)
    with unit_of_work() as session:
        unseen = (TikTokProduct.account_id == account_id) & (TikTokProduct.sweep < sweep)
        session.execute(delete(TikTokProduct).where(unseen, TikTokProduct.listing_id.is_(None)))
        session.execute(update(TikTokProduct).where(unseen).values(status="DELETED"))
        run.save_checkpoint(session)
    return figures(account_id)


def suggest_again(account_id: int) -> Found:
    """Work the suggestions out anew from what was read before: Magento's catalogue may have changed."""
    account = db.session.get(Account, account_id)
    assert account is not None
    matcher, last = Matcher(account_id, account.magento_id), 0
    while True:
        query = select(TikTokProduct).where(TikTokProduct.account_id == account_id, TikTokProduct.id > last, TikTokProduct.listing_id.is_(None))
        with unit_of_work() as session:
            rows = session.scalars(query.order_by(TikTokProduct.id).limit(_AT_ONCE)).all()
            found = matcher.suggest({row.tiktok_id: row.seller_skus.split("\n") for row in rows})
            for row in rows:
                one = found[row.tiktok_id]
                row.suggested_product_id, row.suggestion, row.problem = one.product_id, one.kind, one.problem
        if not rows:
            return figures(account_id)
        last = rows[-1].id
        db.session.expunge_all()


def figures(account_id: int) -> Found:
    """How many were read, are linked, and would be linked by Assign Products."""
    mine = TikTokProduct.account_id == account_id
    count = select(func.count()).select_from(TikTokProduct).where(mine)
    linked = db.session.scalar(count.where(TikTokProduct.listing_id.is_not(None))) or 0
    return Found(db.session.scalar(count) or 0, linked, db.session.scalar(count.where(*ready())) or 0)


def ready() -> tuple[Any, ...]:
    """Rows that Assign Products links: a sure suggestion without a problem."""
    return (
        TikTokProduct.listing_id.is_(None), TikTokProduct.suggestion.in_((EXACT, CASE)), TikTokProduct.problem == "",
        TikTokProduct.suggested_product_id.is_not(None),
    )  # fmt: skip


def _store(session: Session, account_id: int, heads: Sequence[Mapping[str, Any]], sweep: int, matcher: Matcher) -> None:
    kept = {str(head["id"]): head for head in heads if head.get("id") and head.get("status") not in UNREADABLE}
    if not kept:
        return
    skus = {tiktok_id: [str(sku.get("seller_sku") or "") for sku in head.get("skus") or []] for tiktok_id, head in kept.items()}
    query = select(Listing.tiktok_id, Listing.id).where(Listing.account_id == account_id, Listing.tiktok_id.in_(kept))
    linked = dict(session.execute(query).all())
    suggested = matcher.suggest({tiktok_id: each for tiktok_id, each in skus.items() if tiktok_id not in linked})
    now = utcnow()
    rows = []
    for tiktok_id, head in kept.items():
        one = suggested.get(tiktok_id)
        rows.append(
            {
                "account_id": account_id, "tiktok_id": tiktok_id, "title": str(head.get("title") or "")[:500], "status": str(head.get("status") or "")[:40],
                "seller_skus": "\n".join(skus[tiktok_id]), "data": dict(head), "listing_id": linked.get(tiktok_id), "sweep": sweep, "read_at": now,
                "suggested_product_id": one.product_id if one else None, "suggestion": one.kind if one else "", "problem": one.problem if one else "",
            }
        )  # fmt: skip
    dialect = dialect_of(session)
    statement = dialect.insert(TikTokProduct)
    fresh = {name: statement.excluded[name] for name in rows[0] if name not in ("account_id", "tiktok_id")}
    session.execute(statement.on_conflict_do_update(index_elements=["account_id", "tiktok_id"], set_=fresh), rows)


# --- linking --------------------------------------------------------------------------------------------------------------------------------


def submit_suggested(account_id: int, *, started_by: str, template_id: int | None = None) -> runs.Submitted:
    """Assign Products: link everything whose suggestion is sure. Raises ``DomainError`` when there is nothing of the kind."""
    query = select(TikTokProduct.id, TikTokProduct.title).where(TikTokProduct.account_id == account_id, *ready()).order_by(TikTokProduct.id)
    items = [(str(row.id), row.title) for row in db.session.execute(query)]
    if not items:
        raise DomainError("link.nothing", "No TikTok product has a sure suggestion.", "Import products from TikTok Shop first, or link by hand.")
    return runs.submit(
        "products.link", account_id=account_id, args={"template_id": template_id}, items=items, key=f"products.link:{account_id}:suggested",
        title="Assign products", started_by=started_by,
    )  # fmt: skip


def submit(account_id: int, chosen: Iterable[tuple[int, int | None]], *, started_by: str, template_id: int | None = None) -> runs.Submitted:
    """Link chosen rows of the grid: (id of the ``TikTokProduct``, Magento product or None for the suggested one)."""
    wanted = dict(chosen)
    titles = dict(db.session.execute(select(TikTokProduct.id, TikTokProduct.title).where(TikTokProduct.id.in_(wanted))).all())
    items = [(ref_of(row_id, product_id), titles.get(row_id, "")) for row_id, product_id in wanted.items()]
    return runs.submit("products.link", account_id=account_id, args={"template_id": template_id}, items=items, started_by=started_by)


def ref_of(row_id: int, product_id: int | None) -> str:
    """How an item of a ``products.link`` run names what to link."""
    return f"{row_id}:{product_id}" if product_id else str(row_id)


def link_item(account_id: int, ref: str, data: Mapping[str, Any], *, template_id: int | None = None) -> str:
    """``link`` for one item of a run. ``data["skus"]``: {TikTok SKU id: Magento product id} from a file."""
    row_id, _, product_id = ref.partition(":")
    pairs = {str(sku): int(product) for sku, product in (data.get("skus") or {}).items()}
    return link(account_id, int(row_id), int(product_id) if product_id else None, pairs=pairs, template_id=template_id)


def link(account_id: int, row_id: int, product_id: int | None = None, *, pairs: Mapping[str, int] | None = None, template_id: int | None = None) -> str:
    """Make a TikTok product the listing of a Magento product; the product is read anew before. Sends nothing.

    ``product_id`` None: the suggested one. ``pairs``: TikTok SKU id -> variant, where seller SKUs do not say it. Raises ``DomainError`` that names what
    is in the way, and ``ApiError``.
    """
    row = db.session.get(TikTokProduct, row_id, populate_existing=True)
    if row is None or row.account_id != account_id:
        raise NotFoundError("link.unknown", f"There is no TikTok product {row_id} in this account.", "Import products from TikTok Shop again.")
    tiktok_id, title, by_hand = row.tiktok_id, row.title, product_id is not None
    target = product_id or row.suggested_product_id
    if target is None:
        raise DomainError(
            "link.no_suggestion", f"TikTok product {tiktok_id} ({title}) has no suggestion. {row.problem}".strip(), "Choose its Magento product by hand."
        )
    client = connections.tiktok(account_id)
    found = state.fetch(client, tiktok_id, row.seller_skus.split("\n"))
    if not found.whole:
        raise DomainError(
            "link.gone", f"TikTok product {tiktok_id} ({title}) is {found.product.get('status')}.", "Only products that can be read and edited can be linked."
        )
    with unit_of_work() as session:
        row = session.get(TikTokProduct, row_id, populate_existing=True)
        product = session.get(Product, target, populate_existing=True)
        account = session.get(Account, account_id)
        assert account is not None
        if row is None or product is None or product.magento_id != account.magento_id:
            raise DomainError(
                "link.product", f"There is no Magento product {target} in the account's store.", "Import products from Magento, then choose again."
            )
        _refuse_taken(session, account_id, tiktok_id, product)
        chosen, left = _pair(session, product, found.product, pairs or {}, by_hand=by_hand)
        listing = _listing(session, account_id, product, template_id)
        listing.tiktok_id = tiktok_id
        _write_skus(session, listing, chosen)
        session.flush()
        state.read(listing, found.product)
        listing.due_at, listing.due_reason, listing.content_due = utcnow(), "Linked to TikTok Shop", True
        row.listing_id, row.problem, row.status = listing.id, "", listing.remote_status
        rest = f" {len(left)} of its variants are not in Magento: {', '.join(left[:5])}." if left else ""
        message = f"Linked to {product.sku}, {len(chosen)} {'variant' if len(chosen) == 1 else 'variants'}.{rest}"
        events.record("listing.linked", "listing", listing.id, f"TikTok product {tiktok_id} ({title}): {message}", account_id=account_id)
        return message


def unlink(listing_id: int, *, actor: str) -> str:
    """Separate a listing from its TikTok product, which stays as it is on TikTok and can be linked again."""
    with unit_of_work() as session:
        listing = session.get(Listing, listing_id, populate_existing=True, with_for_update=True)
        if listing is None:
            raise state.unknown(listing_id)
        if listing.tiktok_id is None:
            raise DomainError("link.not_linked", f"{state.name_of(listing)} is not linked to a TikTok product.", "There is nothing to unlink.")
        tiktok_id, name = listing.tiktok_id, state.name_of(listing)
        session.execute(
            update(TikTokProduct).where(TikTokProduct.account_id == listing.account_id, TikTokProduct.tiktok_id == tiktok_id).values(listing_id=None)
        )
        message = f"{name} is no longer linked to the TikTok product {tiktok_id}, which stays as it is on TikTok Shop."
        events.record("listing.unlinked", "listing", listing.id, message, account_id=listing.account_id, actor=actor)
        if listing.template_id is None:
            session.execute(delete(ListingSku).where(ListingSku.listing_id == listing.id))
            session.execute(delete(Listing).where(Listing.id == listing.id))
            session.expunge(listing)
        else:
            state.unread(listing)
        return message


def _refuse_taken(session: Session, account_id: int, tiktok_id: str, product: Product) -> None:
    other = session.scalar(select(Listing).where(Listing.account_id == account_id, Listing.tiktok_id == tiktok_id))
    if other is not None and other.product_id != product.id:
        raise DomainError("link.taken", f"TikTok product {tiktok_id} is linked to {other.product.sku} already.", f"Unlink {other.product.sku} first.")
    own = session.scalar(select(Listing.tiktok_id).where(Listing.account_id == account_id, Listing.product_id == product.id))
    if own is not None and own != tiktok_id:
        raise DomainError(
            "link.product_taken",
            f"{product.sku} is linked to the TikTok product {own} already.",
            "Unlink that one first: a Magento product has one listing in an account.",
        )


def _pair(
    session: Session, product: Product, shown: Mapping[str, Any], pairs: Mapping[str, int], *, by_hand: bool
) -> tuple[list[tuple[Product, str]], list[str]]:
    """(variant, TikTok SKU id) for each TikTok SKU that has a variant, and the names of the others. Raises ``DomainError`` when none has."""
    variants = [product]
    if product.type_id == "configurable":
        variants = list(session.scalars(select(Product).where(Product.magento_id == product.magento_id, Product.entity_id.in_(product.child_ids))))
    by_id, by_key = {one.id: one for one in variants}, {one.sku_key: one for one in variants}
    theirs = list(shown.get("skus") or [])
    chosen: list[tuple[Product, str]] = []
    left: list[str] = []
    for sku in theirs:
        key, name = str(sku["id"]), str(sku.get("seller_sku") or "")
        if key in pairs and pairs[key] not in by_id:
            raise DomainError(
                "link.variant",
                f"The variant chosen for {name or key} does not belong to {product.sku}.",
                f"Choose one of: {', '.join(sorted(one.sku for one in variants)[:10])}.",
            )
        variant = by_id[pairs[key]] if key in pairs else by_key.get(name.casefold())
        if variant is None and by_hand and len(theirs) == len(variants) == 1:
            variant = variants[0]
        if variant is None or variant in [one for one, _ in chosen]:
            left.append(name or key)
        else:
            chosen.append((variant, key))
    if not chosen:
        names = ", ".join(left[:5]) or "no SKU"
        raise DomainError(
            "link.no_sku_fits", f"None of the TikTok product's SKUs ({names}) is {product.sku} or one of its variants.",
            "Choose another Magento product, or say by file which SKU is which.",
        )  # fmt: skip
    return chosen, left


def _listing(session: Session, account_id: int, product: Product, template_id: int | None) -> Listing:
    listing = session.scalar(select(Listing).where(Listing.account_id == account_id, Listing.product_id == product.id).with_for_update())
    if listing is None:
        listing = Listing(account_id=account_id, product_id=product.id, assigned_by="link")
        session.add(listing)
        session.flush()
    if template_id is not None:
        template = session.get(ListingTemplate, template_id)
        if template is None or template.account_id != account_id:
            raise DomainError("link.template", f"There is no listing template {template_id} in this account.", "Choose one from the list.", field="template")
        listing.template_id, listing.assigned_by = template.id, "link"
    return listing


def _write_skus(session: Session, listing: Listing, chosen: Sequence[tuple[Product, str]]) -> None:
    """Rows for the linked variants. A seller SKU that another listing of the account holds is named."""
    rows = {sku.product_id: sku for sku in state.skus_of(listing)}
    keys = {variant.sku_key: variant for variant, _ in chosen}
    held = session.execute(
        select(ListingSku.seller_sku, Product.sku)
        .join(Listing, Listing.id == ListingSku.listing_id)
        .join(Product, Product.id == Listing.product_id)
        .where(ListingSku.account_id == listing.account_id, ListingSku.seller_sku_key.in_(keys), ListingSku.listing_id != listing.id)
    ).first()
    if held is not None:
        raise DomainError(
            "link.sku_taken", f"The SKU {held[0]} belongs to the listing of {held[1]} already.", f"Unlink {held[1]} or take it out of its template first."
        )
    for place, (variant, tiktok_sku_id) in enumerate(chosen):
        sku = rows.get(variant.id)
        if sku is None:
            sku = ListingSku(
                listing_id=listing.id, account_id=listing.account_id, product_id=variant.id, position=len(rows) + place,
                seller_sku=variant.sku, seller_sku_key=variant.sku_key,
            )  # fmt: skip
            session.add(sku)
        sku.tiktok_sku_id = tiktok_sku_id
