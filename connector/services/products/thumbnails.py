"""Small pictures of Magento products for grids, kept on disk: a page shows many, and a store's own files are far too large for that (A163)."""

from __future__ import annotations

import hashlib
import time
import uuid
from pathlib import Path

from sqlalchemy import select

from connector.clients.errors import ApiError
from connector.clients.magento.media import media_url
from connector.core.db import db, end_reading
from connector.domain.picture import MOST_BYTES, thumbnail
from connector.models.account import Account, MagentoConnection, StoreReference
from connector.models.product import Product
from connector.services import connections, settings

SIDE = 96  #: pixels; twice the side that grids show, for sharp screens
#: A picture that could not be had is not asked for again by this process for so long.
PATIENCE_SECONDS = 60.0
_failed: dict[str, float] = {}


def version(image: str) -> str:
    """Names a picture in an address, so that browsers keep it until Magento names another one."""
    return hashlib.blake2b(image.encode(), digest_size=6).hexdigest()


def of(product_id: int, file: str = "") -> Path | None:
    """The file of a product's thumbnail, made now if it is not there yet; None when there is no picture or it cannot be had. May call Magento's media host.

    ``file``: another picture of its gallery, as Magento names it, in place of the main one.
    """
    product = db.session.execute(select(Product.image, Product.magento_id, Product.data).where(Product.id == product_id)).one_or_none()
    if product is None or not (product.image or file):
        return None
    if file and file != product.image and file not in {entry.get("file") for entry in product.data.get("images") or ()}:
        return None
    address = media_url(f"{_media_folder(product.magento_id)}/catalog/product", file or product.image)
    kept = settings.config().instance / "thumbnails" / f"{hashlib.blake2b(address.encode(), digest_size=16).hexdigest()}.webp"
    if kept.exists():
        return kept
    if _failed.get(address, 0.0) > time.monotonic():
        return None
    account_id = db.session.scalar(select(Account.id).where(Account.magento_id == product.magento_id).order_by(Account.environment.desc(), Account.id).limit(1))
    client = connections.magento_for(account_id) if account_id else connections.magento(product.magento_id)
    end_reading()
    try:
        found = client.media(address, most_bytes=MOST_BYTES)
    except (ApiError, OSError, ValueError):
        found = None
    small = thumbnail(found.content, SIDE) if found else None
    if small is None:
        if len(_failed) > 5000:
            _failed.clear()
        _failed[address] = time.monotonic() + PATIENCE_SECONDS
        return None
    kept.parent.mkdir(mode=0o700, exist_ok=True)
    part = kept.with_suffix(f".{uuid.uuid4().hex}")
    part.write_bytes(small)
    part.replace(kept)
    return kept


def _media_folder(magento_id: int) -> str:
    """Where the store says its pictures lie."""
    views = db.session.scalars(select(StoreReference.data).where(StoreReference.magento_id == magento_id, StoreReference.kind == "store_view"))
    told = (str((data.get("config") or {}).get("secure_base_media_url") or "") for data in views)
    return (next((url for url in told if url), "") or f"{db.session.get_one(MagentoConnection, magento_id).base_url}/media").rstrip("/")
