"""The adjustable figures of the practice marketplace. What the contract calls unverified is a setting here, with the harder case as default."""

from __future__ import annotations

from typing import Any

from .store import Store

DAY = 86_400

DEFAULTS: dict[str, Any] = {
    # order life, seconds of the shop clock
    "hold_seconds": 3600,
    "unpaid_timeout_seconds": 2 * DAY,
    "collect_after_seconds": 12 * 3600,
    "transit_seconds": 2 * DAY,
    "complete_after_seconds": 14 * DAY,
    "refund_seconds": 3600,
    "platform_fulfillment_seconds": 6 * 3600,
    "carrier_moves": True,
    "auto_cancel": True,
    "new_order_delay_seconds": 0,
    "edit_tracking_window_seconds": 72 * 3600,
    "most_units_in_a_package": None,
    # cancellations and returns, seconds of the shop clock; null: the rule of the market
    "cancel_answer_hours": None,
    "no_shipment_days": None,
    "return_answer_seconds": 4 * DAY,
    "package_answer_seconds": 4 * DAY,
    "buyer_ship_seconds": 7 * DAY,
    "offer_answer_seconds": 3 * DAY,
    "appeal_seconds": 5 * DAY,
    "arbitration_seconds": 5 * DAY,
    "arbitration_outcome": "SUPPORT_BUYER",
    # catalogue
    "audit_delay_seconds": 120,
    "audit_reject_words": "counterfeit,replica",
    "daily_listing_limit": None,
    "daily_brand_limit": 50,
    "search_ceiling": 10_000,
    "search_refuses_wide_windows": False,
    "unique_seller_sku": True,
    "zero_stock_on_create": False,
    "refuse_unusable_brand": False,
    "wrap_product_errors": False,
    "auto_restock": True,
    "low_stock_threshold": 5,
    "inventory_webhooks": False,
    # authorization
    "access_token_life_seconds": 7 * DAY,
    "refresh_token_life_seconds": 84 * DAY,
    "code_life_seconds": 1800,
    "rotate_refresh_token": True,
    "old_access_token_dies": False,
    "refresh_moves_expiry": False,
    # wire
    "page_token_life_seconds": 600,
    "retry_after_seconds": None,
    "require_line_ids": False,
    "cancelled_spelling": "CANCELLATION_REQUEST_CANCEL",
    "latency_ms": 0,
}


class Settings:
    """Reads as attributes: `settings.hold_seconds`. Changes are stored at once."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._values = {**DEFAULTS, **store.meta("settings", {})}

    def __getattr__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            raise AttributeError(name) from None

    def as_dict(self) -> dict[str, Any]:
        return dict(self._values)

    def update(self, changes: dict[str, Any]) -> None:
        """Raises ValueError when a name is unknown or a value has another type than its default."""
        for name, value in changes.items():
            if name not in DEFAULTS:
                raise ValueError(f"there is no setting {name!r}; known: {', '.join(DEFAULTS)}")
            default = DEFAULTS[name]
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if isinstance(default, (bool, str)) and type(value) is not type(default):
                raise ValueError(f"setting {name!r} must be of type {type(default).__name__}")
            if isinstance(default, int) and not isinstance(default, bool) and not number:
                raise ValueError(f"setting {name!r} must be a number")
            if default is None and value is not None and not number:
                raise ValueError(f"setting {name!r} must be a number or null")
        self._values.update(changes)
        self._store.set_meta("settings", {k: v for k, v in self._values.items() if v != DEFAULTS[k]})

    def reset(self) -> None:
        self._values = dict(DEFAULTS)
        self._store.set_meta("settings", {})
