"""Cancellations, and what can be asked about returns (TTS §5.6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from connector.clients.tiktok.caller import Caller, Data, Page


class AftersalesApi(Caller):
    def aftersale_eligibility(self, order_id: str, *, request_types: Sequence[str] = ("CANCEL",), user: str = "SELLER") -> list[Data]:
        """TTS §5.6.1: [{sku_id, line_item_eligibility: [{request_type, eligible, available_reason_names, ...}]}].

        Cancel reasons are data: take them from here, per order.
        """
        query = {"initiate_aftersale_user": user, "request_types": ",".join(request_types)}
        return self._rows("aftersale_eligibility", "sku_eligibility", path={"order_id": order_id}, query=query)

    def cancel_order(self, order_id: str, *, cancel_reason: str, line_ids: Sequence[str] | None = None) -> Data:
        """Seller's cancellation of the order or of some lines (TTS §5.6.2): {cancel_id, cancel_status}.

        Errors: `Rejected` tts.cancel_status, tts.cancel_reason.
        """

        def body(version: str) -> Data:
            whole: Data = {"order_id": order_id, "cancel_reason": cancel_reason}
            if not line_ids:
                return whole
            if version < "202602":
                return whole | {"order_line_item_ids": list(line_ids)}
            return whole | {"order_line_list": [{"order_line_item_id": line} for line in line_ids]}

        return self._call("cancel_order", lambda data: data, body=body)

    def search_cancellations(
        self,
        filters: Mapping[str, Any] | None = None,
        *,
        page_size: int = 50,
        page_token: str | None = None,
        sort_field: str = "update_time",
        sort_order: str = "ASC",
    ) -> Page:
        """TTS §5.6.3; page_size 1-50."""
        query = {
            "page_size": str(page_size),
            "page_token": page_token,
            "sort_field": sort_field,
            "sort_order": sort_order,
        }
        return self._page("search_cancellations", "cancellations", query=query, body=filters or {})

    def iter_cancellations(self, filters: Mapping[str, Any] | None = None) -> Iterator[Data]:
        return _every(self.search_cancellations, filters)

    def approve_cancellation(self, cancel_id: str, *, idempotency_key: str) -> None:
        """TTS §5.6.4. The key (at most 255 characters) makes a repeat after `Uncertain` harmless."""
        query = {"idempotency_key": idempotency_key}
        self._call("approve_cancellation", lambda data: None, path={"cancel_id": cancel_id}, query=query)

    def reject_cancellation(
        self,
        cancel_id: str,
        *,
        reject_reason: str,
        idempotency_key: str,
        comment: str | None = None,
        images: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """TTS §5.6.4; `reject_reason` from `reject_reasons` or `decision_eligibility`."""
        body: Data = {"reject_reason": reject_reason}
        if comment:
            body["comment"] = comment
        if images:
            body["images"] = list(images)
        query = {"idempotency_key": idempotency_key}
        self._call("reject_cancellation", lambda data: None, path={"cancel_id": cancel_id}, query=query, body=body)

    def reject_reasons(self, return_or_cancel_id: str, *, locale: str | None = None) -> list[Data]:
        """[{name, text}]"""
        return self._rows("reject_reasons", "reasons", query={"return_or_cancel_id": return_or_cancel_id, "locale": locale})

    def decision_eligibility(self, return_or_cancel_id: str, *, check_decisions: Sequence[str] = (), locale: str | None = None) -> list[Data]:
        """[{decision, eligible, ineligible_code, ineligible_reason, available_reject_reasons}]: what the seller may answer now."""
        query = {
            "return_or_cancel_id": return_or_cancel_id,
            "check_decisions": ",".join(check_decisions),
            "locale": locale,
        }
        return self._rows("decision_eligibility", "decisions", query=query)

    def search_returns(
        self,
        filters: Mapping[str, Any] | None = None,
        *,
        page_size: int = 50,
        page_token: str | None = None,
        sort_field: str = "update_time",
        sort_order: str = "ASC",
    ) -> Page:
        """TTS §5.6.5; page_size 10-50, rows under `return_orders`, which is missing when empty."""
        query = {
            "page_size": str(page_size),
            "page_token": page_token,
            "sort_field": sort_field,
            "sort_order": sort_order,
        }
        return self._page("search_returns", "return_orders", query=query, body=filters or {})

    def iter_returns(self, filters: Mapping[str, Any] | None = None) -> Iterator[Data]:
        return _every(self.search_returns, filters)


def _every(search: Callable[..., Page], filters: Mapping[str, Any] | None) -> Iterator[Data]:
    token: str | None = None
    while True:
        page = search(filters, page_token=token)
        yield from page.items
        token = page.next_page_token
        if token is None:
            return
