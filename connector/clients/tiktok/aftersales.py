"""Cancellations, returns and refunds (TTS §5.6). Request objects are the marketplace's own dicts, untouched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

from connector.clients.tiktok.caller import Caller, Data, Form, Page

COMMENT_LIMIT = 500


@dataclass(frozen=True, slots=True)
class RefundAmount:
    """What a request would refund, in `currency`."""

    currency: str
    total: Decimal
    subtotal: Decimal
    shipping_fee: Decimal
    tax: Decimal
    retail_delivery_fee: Decimal


@dataclass(frozen=True, slots=True)
class CreatedReturn:
    return_id: str
    return_status: str


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
            return whole | _lines(line_ids, version)

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
        return self._search("search_cancellations", "cancellations", filters, page_size, page_token, sort_field, sort_order)

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
        return self._search("search_returns", "return_orders", filters, page_size, page_token, sort_field, sort_order)

    def iter_returns(self, filters: Mapping[str, Any] | None = None) -> Iterator[Data]:
        return _every(self.search_returns, filters)

    def return_records(self, return_id: str, *, locale: str | None = None) -> list[Data]:
        """What both sides said: [{event, role, description, reason_text, note, images: [{url, width, height}], videos, create_time}]."""
        return self._rows("return_records", "records", path={"return_id": return_id}, query={"locale": locale})

    def create_return(
        self,
        order_id: str,
        *,
        return_type: Literal["REFUND", "RETURN_AND_REFUND"],
        return_reason: str,
        idempotency_key: str,
        line_ids: Sequence[str] | None = None,
        refund_total: Decimal | None = None,
        currency: str | None = None,
        shipment_type: str | None = None,
        handover_method: str | None = None,
    ) -> CreatedReturn:
        """The seller's own refund after shipping (TTS §5.6.7); before shipping use `cancel_order`. `return_reason` from `aftersale_eligibility`;
        no `line_ids` = all lines; `refund_total` (with `currency`) at most what `calculate_refund` says. The key makes a repeat harmless.

        Errors: `Rejected` tts.cancel_status, tts.cancel_reason, tts.parameter (the amount).
        """
        if (refund_total is None) != (currency is None):
            raise ValueError("refund_total and currency go together")
        rest: Data = {"return_type": return_type, "return_reason": return_reason}
        rest |= {"refund_total": _money(refund_total), "currency": currency} if refund_total is not None else {}
        rest |= {name: value for name, value in (("shipment_type", shipment_type), ("handover_method", handover_method)) if value}

        def read(data: Data) -> CreatedReturn:
            return CreatedReturn(str(data["return_id"]), str(data.get("return_status") or ""))

        query = {"idempotency_key": idempotency_key}
        return self._call("create_return", read, query=query, body=lambda version: {"order_id": order_id, **rest, **_lines(line_ids, version)})

    def calculate_refund(
        self,
        order_id: str,
        *,
        request_type: Literal["CANCEL", "REFUND", "RETURN_AND_REFUND"],
        reason_name: str,
        line_ids: Sequence[str] | None = None,
        shipment_type: str | None = None,
        handover_method: str | None = None,
    ) -> RefundAmount:
        """What TikTok would refund (TTS §5.6.7); changes nothing. Errors as `create_return`."""
        rest: Data = {"order_id": order_id, "request_type": request_type, "reason_name": reason_name}
        rest |= {name: value for name, value in (("shipment_type", shipment_type), ("handover_method", handover_method)) if value}
        return self._call("calculate_refund", _refund_amount, body=lambda version: {**rest, **_lines(line_ids, version)})

    def approve_return(
        self,
        return_id: str,
        *,
        decision: str,
        idempotency_key: str,
        buyer_keep_item: bool = False,
        partial_refund: tuple[Decimal, str] | None = None,
    ) -> None:
        """TTS §5.6.6; `decision` APPROVE_REFUND, APPROVE_RETURN (`buyer_keep_item`: refund without the goods coming back), APPROVE_RECEIVED_PACKAGE,
        APPROVE_REPLACEMENT, ISSUE_REPLACEMENT_REFUND, ISSUE_EXCHANGE_REFUND, DIRECT_REFUND, or OFFER_PARTIAL_REFUND with `partial_refund` (amount,
        currency). The key (at most 255 characters) makes a repeat after `Uncertain` harmless.

        Errors: `Rejected` tts.cancel_status (answered, withdrawn, past its deadline), tts.parameter (the amount).
        """
        if (decision == "OFFER_PARTIAL_REFUND") != (partial_refund is not None):
            raise ValueError("OFFER_PARTIAL_REFUND and partial_refund go together")
        body: Data = {"decision": decision}
        if buyer_keep_item:
            body["buyer_keep_item"] = True
        if partial_refund is not None:
            body["partial_refund"] = {"amount": _money(partial_refund[0]), "currency": partial_refund[1]}
        self._call("approve_return", lambda data: None, path={"return_id": return_id}, query={"idempotency_key": idempotency_key}, body=body)

    def reject_return(
        self,
        return_id: str,
        *,
        decision: str,
        reject_reason: str,
        idempotency_key: str,
        comment: str | None = None,
        images: Sequence[Mapping[str, Any]] = (),
        partial_refund: tuple[Decimal, str] | None = None,
    ) -> None:
        """TTS §5.6.6; `decision` REJECT_REFUND, REJECT_RETURN, REJECT_RECEIVED_PACKAGE, REJECT_REPLACEMENT, or
        OFFER_PARTIAL_REFUND_AFTER_RECEIVING_PKG with `partial_refund` (amount, currency); that one is in version 202606 only.
        `reject_reason` from `reject_reasons` or `decision_eligibility`; images are `{image_id, mime_type, width, height}` of uploaded pictures.

        Errors: `Rejected` tts.cancel_status, tts.cancel_reason, tts.parameter.
        """
        partial = decision == "OFFER_PARTIAL_REFUND_AFTER_RECEIVING_PKG"
        if partial != (partial_refund is not None):
            raise ValueError("OFFER_PARTIAL_REFUND_AFTER_RECEIVING_PKG and partial_refund go together")
        if partial and len(comment or "") > COMMENT_LIMIT:
            raise ValueError(f"the comment of a partial offer has at most {COMMENT_LIMIT} characters")
        body: Data = {"decision": decision, "reject_reason": reject_reason}
        if comment:
            body["comment"] = comment
        if images:
            body["images"] = list(images)
        if partial_refund is not None:
            body["partial_refund_amount"] = {"partial_refund_total": _money(partial_refund[0]), "currency": partial_refund[1]}
        self._call("reject_return", lambda data: None, path={"return_id": return_id}, query={"idempotency_key": idempotency_key}, body=body)

    def upload_return_label(
        self,
        return_ids: Sequence[str],
        *,
        name: str,
        content: bytes,
        media_type: str = "application/pdf",
        qr_code: bool = False,
        tracking_number: str | None = None,
        return_provider_id: str | None = None,
    ) -> None:
        """The seller's own label (or QR code) for the buyer to send the goods with (TTS §5.6.7)."""
        fields = {k: v for k, v in (("tracking_number", tracking_number), ("return_provider_id", return_provider_id)) if v}
        form = Form(fields, ("return_qr_code" if qr_code else "return_shipping_label", name, content, media_type))
        self._call("upload_return_label", lambda data: None, query={"return_ids": ",".join(return_ids)}, body=form)

    # -- the coming model (TTS §5.6.9): requests and what comes back are kept apart ------------------------------------------------------

    def search_aftersales(
        self,
        filters: Mapping[str, Any] | None = None,
        *,
        page_size: int = 100,
        page_token: str | None = None,
        fields: Sequence[str] = ("LINE_ITEMS", "SKU_RETURN_REQUESTS", "RETURN_MERCHANDISE_AUTHORIZATIONS"),
    ) -> Data:
        """One page of aftersales requests, oldest update first; page_size 1-100. The answer is handed over as it came."""
        body = _model_search(filters, page_size, page_token) | {"whitelisted_data_fields": list(fields)}
        return self._call("search_aftersales", lambda data: data, body=body)

    def search_rma(self, filters: Mapping[str, Any] | None = None, *, page_size: int = 100, page_token: str | None = None) -> Data:
        """One page of return merchandise authorizations, oldest update first; page_size 1-100. The answer is handed over as it came."""
        return self._call("search_rma", lambda data: data, body=_model_search(filters, page_size, page_token))

    def review_decision(
        self, return_or_cancel_id: str, *, seller_id: str | None = None, check_decisions: Sequence[str] = (), locale: str | None = None
    ) -> Data:
        """Per line what may be decided, with `partial_refund_amount_range {min_amount, max_amount, currency}`."""
        query = {"return_or_cancel_id": return_or_cancel_id, "seller_id": seller_id, "check_decisions": ",".join(check_decisions), "locale": locale}
        return self._call("review_decision", lambda data: data, query=query)

    def review_aftersales(self, request_id_type: Literal["AFTERSALES", "RMA"], decisions: Sequence[Mapping[str, Any]], *, idempotency_key: str) -> Data:
        """Answer requests line by line; `decisions` [{request_id, line_item_decisions: [{line_items, action, ...}]}]. The key stands in the body."""
        body = {"request_id_type": request_id_type, "aftersales_request_decisions": list(decisions), "idempotency_key": idempotency_key}
        return self._call("review_aftersales", lambda data: data, body=body)


def _money(amount: Decimal | None) -> str:
    return "" if amount is None else f"{amount:f}"


def _lines(line_ids: Sequence[str] | None, version: str) -> Data:
    """Chosen lines in the words of the version; none = all (TTS §5.6.2)."""
    if not line_ids:
        return {}
    if version < "202602":
        return {"order_line_item_ids": list(line_ids)}
    return {"order_line_list": [{"order_line_item_id": line} for line in line_ids]}


def _refund_amount(data: Data) -> RefundAmount:
    amounts = data["order_refund_amount"]

    def part(name: str) -> Decimal:
        try:
            return Decimal(str(amounts.get(name) or "0"))
        except InvalidOperation:
            raise ValueError(f"{name} {amounts[name]!r} is not an amount") from None

    names = ("refund_total", "refund_subtotal", "refund_shipping_fee", "refund_tax", "retail_delivery_fee")
    return RefundAmount(str(amounts["currency"]), *map(part, names))


def _model_search(filters: Mapping[str, Any] | None, page_size: int, page_token: str | None) -> Data:
    pagination = {"page_size": page_size, **({"page_token": page_token} if page_token else {})}
    return {"filters": dict(filters or {}), "sort": {"sort_field": "UPDATE_TIME", "sort_order": "ASC"}, "pagination": pagination}


def _every(search: Callable[..., Page], filters: Mapping[str, Any] | None) -> Iterator[Data]:
    token: str | None = None
    while True:
        page = search(filters, page_token=token)
        yield from page.items
        token = page.next_page_token
        if token is None:
            return
