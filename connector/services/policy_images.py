"""Default images of image policies: uploaded by a person, or picked from Magento's gallery (A063, A066)."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from io import BytesIO
from typing import NamedTuple

from PIL import Image
from sqlalchemy import func, or_, select

from connector.core.clock import utcnow
from connector.core.db import db, unit_of_work
from connector.core.errors import DomainError, NotFoundError
from connector.domain.policies import IMAGE
from connector.models.policy import Policy, PolicyVersion
from connector.models.product import PolicyImage, Product
from connector.services.policy_checks import UPLOADED
from connector.services.products.thumbnails import version

MOST_BYTES = 2 * 1024 * 1024
MOST_PIXELS = 50_000_000
_TYPES = {"JPEG": "image/jpeg", "PNG": "image/png"}
_PICKED_AT_ONCE = 24
_REMEDY = "Choose a JPG or PNG file of at most 2 MB."


class GalleryPicture(NamedTuple):
    """A picture of Magento's gallery: its file, and a product that shows it."""

    file: str
    product_id: int
    sku: str
    name: str

    @property
    def version(self) -> str:
        """Names the picture in the address of its thumbnail."""
        return version(self.file)


def store(content: bytes, file_name: str, *, actor: str) -> PolicyImage:
    """Keep an uploaded picture; the same bytes are kept once. Raises ``DomainError`` for what is no JPG or PNG, or is too large."""
    name = file_name.replace("\\", "/").rpartition("/")[2].strip()[:200] or "picture"
    if len(content) > MOST_BYTES:
        raise _refused(f"{name} has {len(content) / 1_048_576:.1f} MB; 2 MB are allowed.")
    kind, width, height = _decoded(content, name)
    digest = hashlib.sha256(content).hexdigest()
    with unit_of_work() as session:
        _forget_unused()
        found = session.scalar(select(PolicyImage).where(PolicyImage.sha256 == digest))
        if found is None:
            found = PolicyImage(file_name=name, media_type=_TYPES[kind], content=content, sha256=digest, width=width, height=height, uploaded_by=actor)
            session.add(found)
            session.flush()
        return found


def _decoded(content: bytes, name: str) -> tuple[str, int, int]:
    """Format and size of a picture whose every byte could be read."""
    try:
        with Image.open(BytesIO(content), formats=tuple(_TYPES)) as picture:
            kind, (width, height) = str(picture.format), picture.size
            if width * height > MOST_PIXELS:
                raise _refused(f"{name} has {width:,} x {height:,} pixels, which is too large.")
            picture.load()
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise _refused(f"{name} is not a JPG or PNG picture, whatever its name says.") from error
    return kind, width, height


def _refused(message: str) -> DomainError:
    return DomainError("policy.image", message, _REMEDY, field="default_image")


def get(image_id: int) -> PolicyImage:
    found = db.session.get(PolicyImage, image_id)
    if found is None:
        raise NotFoundError("policy.no_image", f"There is no uploaded picture {image_id}.", "Upload it again.")
    return found


def reference(image: PolicyImage) -> str:
    """How ``ImagePolicy.default_image`` names it."""
    return f"{UPLOADED}{image.id}"


def described(default_image: str) -> PolicyImage | None:
    """The uploaded picture behind a policy's ``default_image``, without its bytes being needed; None for one of the gallery."""
    number = default_image.removeprefix(UPLOADED)
    return db.session.get(PolicyImage, int(number)) if default_image.startswith(UPLOADED) and number.isdigit() else None


def gallery(search: str = "") -> list[GalleryPicture]:
    """Main pictures of the imported products, each file once; by SKU, name or file name."""
    first = select(func.min(Product.id)).where(Product.image != "", Product.gone_at.is_(None)).group_by(Product.image)
    query = select(Product.image, Product.id, Product.sku, Product.name).where(Product.id.in_(first)).order_by(Product.id).limit(_PICKED_AT_ONCE)
    words = search.strip()
    if words:
        query = query.where(or_(*(column.icontains(words, autoescape=True) for column in (Product.sku, Product.name, Product.image))))
    return [GalleryPicture(*row) for row in db.session.execute(query)]


def shows(file: str) -> int | None:
    """A product whose main picture is this file of the gallery."""
    return db.session.scalar(select(Product.id).where(Product.image == file).order_by(Product.id).limit(1))


def _forget_unused() -> None:
    """Pictures that no version of a policy names and that nobody is about to save."""
    session = db.session
    old = session.scalars(select(PolicyImage.id).where(PolicyImage.created_at < utcnow() - timedelta(days=1))).all()
    if not old:
        return
    bodies = session.scalars(select(PolicyVersion.body).join(Policy, Policy.id == PolicyVersion.policy_id).where(Policy.kind == IMAGE))
    named = {str(body.get("default_image") or "") for body in bodies}
    for image_id in old:
        if f"{UPLOADED}{image_id}" not in named:
            session.delete(session.get_one(PolicyImage, image_id))
