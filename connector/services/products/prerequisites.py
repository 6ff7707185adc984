"""Is the shop ready to list (A177, TTS §5.3.1)? Read before each bulk upload and shown on the account's page."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, insert

from connector.core.clock import utcnow
from connector.core.db import end_reading, unit_of_work
from connector.models.account import ShopReference
from connector.services import connections

KIND = "prerequisite"
#: A shop that may not list is asked again after that long, in seconds.
AGAIN = 900.0
#: Failed checks without which TikTok takes no new product; the other ones are shown and left to TikTok to decide.
STOPPING = {
    "SHOP_STATUS": "tts.product.shop_setup",
    "PICKUP_WAREHOUSE": "tts.product.warehouse",
    "RETURN_WAREHOUSE": "tts.product.return_warehouse",
    "PRODUCT_QUANTITY_LIMIT": "tts.product.listing_limit",
}
#: Refusals of create and edit that are about the shop: they pass by themselves or when somebody completes the shop.
SHOP_FAULTS = frozenset({"tts.product.listing_limit", "tts.product.shop_setup", "tts.product.seller_inactive", "tts.product.return_warehouse"})


@dataclass(frozen=True, slots=True)
class Failed:
    """One failed check: TikTok's word for it and its reasons, verbatim."""

    item: str
    reasons: tuple[str, ...]

    @property
    def stops(self) -> bool:
        return self.item in STOPPING

    def words(self) -> str:
        return f"{self.item}: {'; '.join(self.reasons) or 'failed'}"


def read(account_id: int) -> list[Failed]:
    """Ask TikTok, keep the answer as the account's onboarding data of kind ``prerequisite``, and give what has failed."""
    client = connections.tiktok(account_id)
    end_reading()
    found = client.prerequisites()
    rows = [
        {
            "account_id": account_id, "kind": KIND, "parent_id": "", "remote_id": check.check_item, "name": check.check_item,
            "data": {"is_failed": check.is_failed, "fail_reasons": list(check.fail_reasons)}, "fetched_at": utcnow(),
        }
        for check in {check.check_item: check for check in found}.values()
    ]  # fmt: skip
    with unit_of_work() as session:
        session.execute(delete(ShopReference).where(ShopReference.account_id == account_id, ShopReference.kind == KIND))
        if rows:
            session.execute(insert(ShopReference), rows)
    return [Failed(check.check_item, check.fail_reasons) for check in found if check.is_failed]


def blocking(failed: list[Failed]) -> tuple[str, str, str] | None:
    """(code, message, remedy) for new products while the shop may not list; None when it may."""
    stopping = [one for one in failed if one.stops]
    if not stopping:
        return None
    said = " | ".join(one.words() for one in stopping)
    return (
        STOPPING[stopping[0].item],
        f"The shop cannot list new products now. TikTok Shop says: {said}.",
        "Complete it in Seller Center; the upload goes on by itself.",
    )
