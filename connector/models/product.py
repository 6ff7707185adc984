"""Magento's catalogue as last read: products, their values by store view, their stock, and where the reading stands (A162-A169, MAG §4.2, §4.3)."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Boolean, ForeignKey, Index, Integer, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from connector.core.clock import utcnow
from connector.core.db import Amount, Base, BigId, JSONText, UTCDateTime


class Product(Base):
    """One Magento product in scope ``all``. Unique by (connection, Magento's entity id); the SKU may be changed in Magento.

    ``data``: ``{"values": {attribute code: value verbatim}, "images": [media entries], "axes": [{"attribute_id", "code", "label"}]}``.
    """

    __tablename__ = "product"
    __table_args__ = (
        UniqueConstraint("magento_id", "entity_id"),
        Index("ix_product_sku_key", "magento_id", "sku_key"),
        Index("ix_product_listed", "magento_id", "entity_id", "is_child", "visibility", "id"),
        Index("ix_product_name", "name", "id"),
        Index("ix_product_sku", "sku", "id"),
        Index("ix_product_price", "price", "id"),
        Index("ix_product_quantity", "quantity", "id"),
        Index("ix_product_type", "type_id", "id"),
        Index("ix_product_remote_updated_at", "remote_updated_at", "id"),
        Index("ix_product_gone", "gone_at", sqlite_where=text("gone_at IS NOT NULL"), postgresql_where=text("gone_at IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    magento_id: Mapped[int] = mapped_column(ForeignKey("magento_connection.id", ondelete="CASCADE"))
    entity_id: Mapped[int] = mapped_column(Integer)  #: Magento's product id (A162)
    sku: Mapped[str] = mapped_column(String(128))  #: in the store's spelling
    sku_key: Mapped[str] = mapped_column(String(128))  #: ``sku.casefold()``: Magento compares without case (MAG §4.2.3)
    name: Mapped[str] = mapped_column(String(300), default="")
    type_id: Mapped[str] = mapped_column(String(30))
    status: Mapped[int] = mapped_column(Integer)  #: 1 enabled, 2 disabled
    visibility: Mapped[int] = mapped_column(Integer, default=4)  #: 1 not individually visible, 2 catalog, 3 search, 4 both
    attribute_set_id: Mapped[int] = mapped_column(Integer, default=4)
    price: Mapped[Decimal | None] = mapped_column(Amount)  #: base price in the base currency
    weight: Mapped[Decimal | None] = mapped_column(Amount)  #: in the store's ``weight_unit``
    image: Mapped[str] = mapped_column(String(255), default="")  #: main picture, as Magento names it; "" for none
    category_ids: Mapped[str] = mapped_column(Text, default="")  #: ``,11,12,``, so that one can be asked for with LIKE
    website_ids: Mapped[list[int]] = mapped_column(JSONText, default=list)
    child_ids: Mapped[list[int]] = mapped_column(JSONText, default=list)  #: a configurable's children, Magento's entity ids in order
    is_child: Mapped[bool] = mapped_column(Boolean, default=False)  #: a variant of some configurable
    data: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)
    #: What may be sold over all sources of the account's website, or None when Magento does not manage it; for grids, see ``ProductStock``.
    quantity: Mapped[int | None] = mapped_column(Integer)
    digest: Mapped[str] = mapped_column(String(32), default="")  #: of what was read: an unchanged product is not written again
    remote_created_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    remote_updated_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    changed_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)  #: when a difference was seen
    read_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    gone_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: no full import finds it any more

    magento = relationship("MagentoConnection")


class ProductView(Base):
    """What a product has otherwise in one store view: ``{"name"?, "status"?, "visibility"?, "price"?, "values": {code: value}}``, differences only."""

    __tablename__ = "product_view"
    __table_args__ = (UniqueConstraint("product_id", "store_view"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"))
    store_view: Mapped[str] = mapped_column(String(64))
    data: Mapped[dict[str, Any]] = mapped_column(JSONText, default=dict)


class ProductStock(Base):
    """Stock of a product for one website, as last read (MAG §4.3). Simple and virtual products only."""

    __tablename__ = "product_stock"
    __table_args__ = (UniqueConstraint("product_id", "website_code"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("product.id", ondelete="CASCADE"))
    website_code: Mapped[str] = mapped_column(String(64))
    manages_stock: Mapped[bool] = mapped_column(Boolean, default=True)
    in_stock: Mapped[bool] = mapped_column(Boolean, default=True)
    quantity: Mapped[int] = mapped_column(Integer, default=0)  #: stock item's quantity; with MSI the website's salable quantity
    salable: Mapped[int | None] = mapped_column(Integer)  #: None without MSI
    sources: Mapped[list[dict[str, Any]]] = mapped_column(JSONText, default=list)  #: ``[{"code", "quantity", "in_stock"}]``
    read_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)


class ProductCursor(Base):
    """Where reading Magento's catalogue stands, for one store view (``all`` is the scope without overrides)."""

    __tablename__ = "product_cursor"
    __table_args__ = (UniqueConstraint("magento_id", "store_view"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    magento_id: Mapped[int] = mapped_column(ForeignKey("magento_connection.id", ondelete="CASCADE"))
    store_view: Mapped[str] = mapped_column(String(64), default="all")
    updated_after: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: everything updated before it (Magento's clock) is stored
    full_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: end of the last full import
    stock_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  #: end of the last full stock reading


class HostedImage(Base):
    """A picture that TikTok hosts: uploaded once per content and use (TTS §5.3.7)."""

    __tablename__ = "hosted_image"
    __table_args__ = (UniqueConstraint("environment", "content_hash", "use_case"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    environment: Mapped[str] = mapped_column(String(20))  #: one app, one set of pictures
    content_hash: Mapped[str] = mapped_column(String(64))  #: SHA-256 of the bytes that were sent
    use_case: Mapped[str] = mapped_column(String(30))
    uri: Mapped[str] = mapped_column(String(300), index=True)
    url: Mapped[str] = mapped_column(Text, default="")
    width: Mapped[int] = mapped_column(Integer, default=0)
    height: Mapped[int] = mapped_column(Integer, default=0)
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)


class SourceImage(Base):
    """A picture of the store and what became of it. ``source``: Magento's file, an address, or ``upload:<id>`` of a ``PolicyImage``.

    ``state``: ready or refused; a refused one has code, message and remedy and is looked at again when the bytes change or after ``retry_at``.
    """

    __tablename__ = "source_image"
    __table_args__ = (UniqueConstraint("magento_id", "environment", "source", "use_case"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    magento_id: Mapped[int] = mapped_column(ForeignKey("magento_connection.id", ondelete="CASCADE"))
    environment: Mapped[str] = mapped_column(String(20))
    source: Mapped[str] = mapped_column(String(500))
    use_case: Mapped[str] = mapped_column(String(30))
    state: Mapped[str] = mapped_column(String(20), default="ready")
    hosted_id: Mapped[int | None] = mapped_column(ForeignKey("hosted_image.id"))
    source_hash: Mapped[str] = mapped_column(String(64), default="")  #: of the bytes before conversion
    validators: Mapped[dict[str, str]] = mapped_column(JSONText, default=dict)  #: ``etag`` and ``last_modified`` of the download
    notes: Mapped[list[str]] = mapped_column(JSONText, default=list)  #: what the conversion did, in words
    code: Mapped[str | None] = mapped_column(String(60))
    message: Mapped[str] = mapped_column(Text, default="")
    remedy: Mapped[str] = mapped_column(Text, default="")
    checked_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
    retry_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    hosted: Mapped[HostedImage | None] = relationship()


class PolicyImage(Base):
    """A default image that a person uploaded for an image policy (A063); kept as it was, converted when it is sent."""

    __tablename__ = "policy_image"

    id: Mapped[int] = mapped_column(primary_key=True)
    file_name: Mapped[str] = mapped_column(String(200))
    media_type: Mapped[str] = mapped_column(String(40))
    content: Mapped[bytes] = mapped_column(LargeBinary)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    width: Mapped[int] = mapped_column(Integer)
    height: Mapped[int] = mapped_column(Integer)
    uploaded_by: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[datetime] = mapped_column(UTCDateTime, default=utcnow)
