"""TikTok's side of the catalogue: category attributes and their mapping, listing templates, listings and their stock ledger (A123-A178)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, Integer, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from connector.core.clock import utcnow
from connector.core.db import Amount, Base, BigId, JSONText, UTCDateTime


class ListingCategory(Base):
    """A TikTok leaf category whose attributes and rules were fetched for an account (TTS §5.3.4, §5.3.5)."""

    __tablename__ = "listing_category"
    __table_args__ = (UniqueConstraint("account_id", "category_id"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    category_id: Mapped[str] = mapped_column(String(40))
    version: Mapped[str] = mapped_column(String(8), default="")  #: of the tree: v1, v2
    name: Mapped[str] = mapped_column(String(300), default="")
    node: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)  #: the row of the tree; ``{}`` when the tree has it no more
    attributes: Mapped[list[dict[str, Any]]] = mapped_column(JSONText, default=list)  #: TikTok's rows, verbatim
    rules: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)
    changes: Mapped[list[dict[str, Any]]] = mapped_column(JSONText, default=list)  #: ``[{"what", "attribute_id", "words"}]`` of the last fetch that found any
    changed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    fetched_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)


class CategoryAttribute(Base):
    """One row of the Attributes grid: an attribute of the account's fetched categories (A128-A138)."""

    __tablename__ = "category_attribute"
    __table_args__ = (UniqueConstraint("account_id", "attribute_id"), Index("ix_category_attribute_name", "name", "id"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    attribute_id: Mapped[str] = mapped_column(String(40))  #: TikTok's id, shown as the code (A129)
    name: Mapped[str] = mapped_column(String(200))
    type: Mapped[str] = mapped_column(String(30))  #: SALES_PROPERTY or PRODUCT_PROPERTY, verbatim
    required: Mapped[bool] = mapped_column(Boolean, default=False)  #: in at least one of its categories
    category_dependent: Mapped[bool] = mapped_column(Boolean, default=False)  #: not every fetched category has it
    is_variant: Mapped[bool] = mapped_column(Boolean, default=False)
    categories: Mapped[list[str]] = mapped_column(JSONText, default=list)  #: ids of the fetched categories that have it
    values: Mapped[list[dict[str, str]]] = mapped_column(JSONText, default=list)  #: recommended values over all of them, ``[{"id", "name"}]``
    #: Best guesses, ``[{"magento_attribute", "confidence", "reasons", "values": [...]}]``; never applied unasked.
    suggestions: Mapped[list[dict[str, Any]]] = mapped_column(JSONText, default=list)
    #: The mapping for all categories, for the grid's columns; "" when there is none.
    source: Mapped[str] = mapped_column(String(20), default="")
    magento_attribute: Mapped[str] = mapped_column(String(60), default="")
    recommended_value: Mapped[str] = mapped_column(Text, default="")  #: in words
    custom_value: Mapped[str] = mapped_column(Text, default="")
    problem: Mapped[str] = mapped_column(Text, default="")  #: what the last fetch broke, in words
    removed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: no fetched category has it any more
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow, onupdate=utcnow)

    mappings: Mapped[list[MappingRow]] = relationship(back_populates="attribute", passive_deletes=True, order_by="MappingRow.id")


class MappingRow(Base):
    """How an attribute gets its value, for all categories or for chosen ones (A124, A138). ``body``: ``domain.attribute_mapping.AttributeMapping``."""

    __tablename__ = "attribute_mapping"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    attribute_row_id: Mapped[int] = mapped_column(ForeignKey("category_attribute.id", ondelete="CASCADE"), index=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"), index=True)
    body: Mapped[dict[str, Any]] = mapped_column(JSONText)
    updated_by: Mapped[str] = mapped_column(String(200), default="")
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow, onupdate=utcnow)

    attribute: Mapped[CategoryAttribute] = relationship(back_populates="mappings")


class ListingTemplate(Base):
    """TikTok category, policies and query for a set of products (A139-A156)."""

    __tablename__ = "listing_template"
    __table_args__ = (
        UniqueConstraint("account_id", "name_key"),
        Index("ix_listing_template_priority", "account_id", "priority", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(80))
    name_key: Mapped[str] = mapped_column(String(80))  #: ``name.casefold()``
    enabled: Mapped[bool] = mapped_column(Boolean, default=True)
    priority: Mapped[int] = mapped_column(Integer, default=100)  #: where queries overlap the lowest number wins, then the oldest template
    category_id: Mapped[str] = mapped_column(String(40))
    category_version: Mapped[str] = mapped_column(String(8), default="")
    category_path: Mapped[str] = mapped_column(Text, default="")  #: names from the root, joined by " > "
    image_policy_id: Mapped[int] = mapped_column(ForeignKey("policy.id"))
    pricing_policy_id: Mapped[int] = mapped_column(ForeignKey("policy.id"))
    inventory_policy_id: Mapped[int] = mapped_column(ForeignKey("policy.id"))
    query: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)  #: ``domain.query.Query``
    options: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)  #: the fields of ``domain.listing.ListingPlan`` that a person set
    version: Mapped[int] = mapped_column(Integer, default=1)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow, onupdate=utcnow)

    account = relationship("Account")
    image_policy = relationship("Policy", foreign_keys=[image_policy_id])
    pricing_policy = relationship("Policy", foreign_keys=[pricing_policy_id])
    inventory_policy = relationship("Policy", foreign_keys=[inventory_policy_id])


class TemplateMapping(Base):
    """A mapping that was attached to a template (Assign Attributes, A125)."""

    __tablename__ = "template_mapping"

    template_id: Mapped[int] = mapped_column(ForeignKey("listing_template.id", ondelete="CASCADE"), primary_key=True)
    mapping_id: Mapped[int] = mapped_column(ForeignKey("attribute_mapping.id", ondelete="CASCADE"), primary_key=True, index=True)


#: Marketplace Status (A175, A177): what TikTok's product status and audit status mean together. The remote words stand beside it, verbatim.
NOT_UPLOADED, IN_REVIEW, LIVE, REJECTED, INACTIVE, DRAFT, FROZEN, DELETED, UNKNOWN = (
    "not_uploaded", "in_review", "live", "rejected", "inactive", "draft", "frozen", "deleted", "unknown",
)  # fmt: skip

#: Validation Status (A176).
UNCHECKED, READY, INCOMPLETE = "unchecked", "ready", "incomplete"


class Listing(Base):
    """A Magento product in an account: its template, what is wrong with it, and what TikTok has. One per (account, product)."""

    __tablename__ = "listing"
    __table_args__ = (
        UniqueConstraint("account_id", "product_id"),
        UniqueConstraint("account_id", "tiktok_id"),
        Index("ix_listing_product", "product_id"),
        Index("ix_listing_template", "template_id", "id"),
        Index("ix_listing_template_state", "template_id", "marketplace_state"),
        Index("ix_listing_state", "marketplace_state", "id"),
        Index("ix_listing_account_state", "account_id", "marketplace_state", "id"),
        Index("ix_listing_validation", "account_id", "validation", "id"),
        Index(
            "ix_listing_failure",
            "account_id",
            "failure_code",
            "id",
            sqlite_where=text("failure_code IS NOT NULL"),
            postgresql_where=text("failure_code IS NOT NULL"),
        ),
        Index("ix_listing_due", "due_at", sqlite_where=text("due_at IS NOT NULL"), postgresql_where=text("due_at IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"))
    template_id: Mapped[int | None] = mapped_column(ForeignKey("listing_template.id", ondelete="SET NULL"))
    assigned_by: Mapped[str] = mapped_column(String(20), default="query")  #: query, hand (stays whatever the query says), link
    unmatched_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: it stands on TikTok, but its template's query no longer takes its product

    # --- content: what we would send
    validation: Mapped[str] = mapped_column(String(20), default=UNCHECKED)
    problems: Mapped[list[dict[str, Any]]] = mapped_column(JSONText, default=list)  #: ``[{"code", "field", "reason", "remedy", "warning"}]``
    validated_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    content_hash: Mapped[str] = mapped_column(String(64), default="")  #: of the body as it would be sent now, price and stock apart
    sent_hash: Mapped[str] = mapped_column(String(64), default="")  #: of the body that TikTok accepted last; differs from ``content_hash``: an update is due
    sent_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    upload_key: Mapped[str] = mapped_column(String(64), default="")  #: idempotency key of the create that is under way, stored before it is sent
    #: With a key: the body that goes with it, because a repeat must be the same. Without one: what TikTok accepted last, against which drift is found.
    upload_body: Mapped[dict[str, Any] | None] = mapped_column(JSONText)

    # --- TikTok's side, verbatim
    tiktok_id: Mapped[str | None] = mapped_column(String(40))  #: Marketplace Item Id (A174)
    remote_status: Mapped[str] = mapped_column(String(40), default="")
    product_status: Mapped[str] = mapped_column(String(40), default="")  #: sale state
    audit_status: Mapped[str] = mapped_column(String(40), default="")
    audit_reasons: Mapped[list[dict[str, Any]]] = mapped_column(JSONText, default=list)
    marketplace_state: Mapped[str] = mapped_column(String(20), default=NOT_UPLOADED)
    live: Mapped[dict[str, Any] | None] = mapped_column(JSONText)  #: get product, as last read
    drift: Mapped[list[dict[str, Any]]] = mapped_column(JSONText, default=list)  #: fields that TikTok has otherwise than we sent, found by the read-back
    remote_updated_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    read_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    status_due: Mapped[bool] = mapped_column(Boolean, default=False)  #: a webhook said: look at this product

    # --- ours
    due_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: something it depends on changed: evaluate from then on (debounced)
    due_reason: Mapped[str] = mapped_column(String(200), default="")
    content_due: Mapped[bool] = mapped_column(Boolean, default=False)  #: the change may concern more than price and stock
    failure_code: Mapped[str | None] = mapped_column(String(60))
    failure_message: Mapped[str] = mapped_column(Text, default="")
    failure_remedy: Mapped[str] = mapped_column(Text, default="")
    failed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    failed_hash: Mapped[str] = mapped_column(String(64), default="")  #: ``content_hash`` that was refused: the same one is not sent again by itself
    retry_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    busy_until: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: one writer at a time for a product on TikTok
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    updated_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow, onupdate=utcnow)

    account = relationship("Account")
    product = relationship("Product")
    template: Mapped[ListingTemplate | None] = relationship()
    skus: Mapped[list[ListingSku]] = relationship(back_populates="listing", order_by="ListingSku.position", passive_deletes=True)


class ListingSku(Base):
    """One variant of a listing: its price and stock, wanted and on TikTok. Unique by (account, seller SKU), case aside.

    ``wanted_quantity`` None: not evaluated yet. ``stock_due`` and ``price_due``: what is wanted differs from what TikTok was told and confirmed.
    """

    __tablename__ = "listing_sku"
    __table_args__ = (
        UniqueConstraint("account_id", "seller_sku_key"),
        Index("ix_listing_sku_listing", "listing_id", "position"),
        Index("ix_listing_sku_product", "product_id"),
        Index("ix_listing_sku_tiktok", "account_id", "tiktok_sku_id"),
        Index("ix_listing_sku_identifier", "account_id", "identifier", sqlite_where=text("identifier <> ''"), postgresql_where=text("identifier <> ''")),
        Index("ix_listing_sku_stock_due", "account_id", "stock_due", sqlite_where=text("stock_due IS 1"), postgresql_where=text("stock_due IS true")),
        Index("ix_listing_sku_price_blocked", "account_id", "listing_id", sqlite_where=text("price_block != ''"), postgresql_where=text("price_block != ''")),
        Index(
            "ix_listing_sku_unread",
            "account_id",
            "listing_id",
            sqlite_where=text("wanted_quantity IS NULL AND tiktok_sku_id != ''"),
            postgresql_where=text("wanted_quantity IS NULL AND tiktok_sku_id != ''"),
        ),
        Index("ix_listing_sku_price_due", "account_id", "price_due", sqlite_where=text("price_due IS 1"), postgresql_where=text("price_due IS true")),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    listing_id: Mapped[int] = mapped_column(ForeignKey("listing.id", ondelete="CASCADE"))
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"))  #: the variant's own Magento product
    position: Mapped[int] = mapped_column(Integer, default=0)
    seller_sku: Mapped[str] = mapped_column(String(128))
    seller_sku_key: Mapped[str] = mapped_column(String(128))
    tiktok_sku_id: Mapped[str] = mapped_column(String(40), default="")
    identifier: Mapped[str] = mapped_column(String(40), default="")  #: EAN or the like, as it would be sent: TikTok takes each once in a shop

    wanted_price: Mapped[Decimal | None] = mapped_column(Amount)  #: None while it is blocked
    currency: Mapped[str] = mapped_column(String(3), default="")
    price_block: Mapped[str] = mapped_column(Text, default="")  #: why no price is sent
    price_block_remedy: Mapped[str] = mapped_column(Text, default="")
    price_steps: Mapped[list[dict[str, Any]]] = mapped_column(JSONText, default=list)  #: ``[{"key", "label", "value", "words"}]``
    price_changes_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: a special price begins or ends
    live_price: Mapped[Decimal | None] = mapped_column(Amount)  #: Marketplace Price (A172)
    price_due: Mapped[bool] = mapped_column(Boolean, default=False)
    price_retry_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: a promotion has locked it: tried again then

    wanted_quantity: Mapped[int | None] = mapped_column(Integer)
    wanted_warehouses: Mapped[dict[str, int]] = mapped_column(JSONText, default=dict)
    #: The terms of the evaluation, in order: ``[{"key", "label", "change", "words"}]``; their changes add up to ``wanted_quantity``.
    stock_terms: Mapped[list[dict[str, Any]]] = mapped_column(JSONText, default=list)
    live_quantity: Mapped[int | None] = mapped_column(Integer)  #: Marketplace Quantity (A173): available, committed units apart
    live_warehouses: Mapped[dict[str, int]] = mapped_column(JSONText, default=dict)
    live_committed: Mapped[int] = mapped_column(Integer, default=0)
    stock_due: Mapped[bool] = mapped_column(Boolean, default=False)
    stock_falls: Mapped[bool] = mapped_column(Boolean, default=False)  #: wanted is less than TikTok has: overtakes everything
    stock_refused_code: Mapped[str | None] = mapped_column(String(60))
    stock_refused: Mapped[str] = mapped_column(Text, default="")
    stock_sent_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    stock_verified_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    evaluated_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    policy_versions: Mapped[dict[str, int]] = mapped_column(JSONText, default=dict)  #: ``{"inventory": policy version id, "pricing": ...}`` of the evaluation

    listing: Mapped[Listing] = relationship(back_populates="skus")
    product = relationship("Product")


class StockEntry(Base):
    """One line of the stock ledger: ``change`` moved a term, and with it what TikTok is to offer; the sum of all changes of a SKU is ``wanted_quantity``."""

    __tablename__ = "stock_entry"
    __table_args__ = (Index("ix_stock_entry_sku", "listing_sku_id", "id"), Index("ix_stock_entry_at", "at"))

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    listing_sku_id: Mapped[int] = mapped_column(ForeignKey("listing_sku.id", ondelete="CASCADE"))
    at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    term: Mapped[str] = mapped_column(String(30))  #: the key of ``domain.stock.Term``; ``carried`` for entries that were summed up
    change: Mapped[int] = mapped_column(Integer)
    balance: Mapped[int] = mapped_column(Integer)  #: after it
    words: Mapped[str] = mapped_column(Text, default="")
    reason: Mapped[str] = mapped_column(String(200), default="")  #: what set the evaluation off
    run_id: Mapped[int | None] = mapped_column(BigId)


class TikTokProduct(Base):
    """A product that stands on TikTok and was read for linking (A178). Linked ones have a ``listing_id``."""

    __tablename__ = "tiktok_product"
    __table_args__ = (
        UniqueConstraint("account_id", "tiktok_id"),
        Index("ix_tiktok_product_listing", "listing_id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("account.id", ondelete="CASCADE"))
    tiktok_id: Mapped[str] = mapped_column(String(40))
    title: Mapped[str] = mapped_column(String(500), default="")
    status: Mapped[str] = mapped_column(String(40), default="")
    seller_skus: Mapped[str] = mapped_column(Text, default="")  #: separated by line feeds, for searching and showing
    data: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)  #: as the product search shows it
    listing_id: Mapped[int | None] = mapped_column(ForeignKey("listing.id", ondelete="SET NULL"))
    #: A Magento product that its seller SKUs point to, and how surely: ``exact``, ``case`` (differs in case only), ``partial`` (some SKUs).
    suggested_product_id: Mapped[int | None] = mapped_column(ForeignKey("product.id", ondelete="SET NULL"))
    suggestion: Mapped[str] = mapped_column(String(20), default="")
    problem: Mapped[str] = mapped_column(Text, default="")  #: why it cannot be linked by itself
    sweep: Mapped[int] = mapped_column(Integer, default=0)
    read_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)

    account = relationship("Account")
    listing: Mapped[Listing | None] = relationship()
