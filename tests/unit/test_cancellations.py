"""What a cancellation's statuses and answers mean (TTS §5.6.3, §5.6.4, §6.2; A259-A263)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.domain import cancellations as requests
from connector.domain.cancellations import APPROVE, AUTOMATIC, COMPLETE, ELSEWHERE, PENDING, REJECT, SUCCESS, WITHDRAWN, Offer

DEADLINE = datetime(2026, 11, 22, 12, tzinfo=UTC)
#: Answer of decision eligibility.
DECISIONS: list[dict[str, Any]] = [
    {"decision": "APPROVE_REQUEST_CANCEL", "eligible": True},
    {
        "decision": "REJECT_REQUEST_CANCEL", "eligible": True,
        "available_reject_reasons": [{"name": "packed", "text": "Product packed"}, {"name": "agreed"}, {"text": "without a name"}],
    },
]  # fmt: skip


def test_what_tiktok_offers_is_what_can_be_answered_with_its_own_reasons() -> None:
    assert requests.read_offer(DECISIONS, APPROVE) == Offer(True)
    assert requests.read_offer(DECISIONS, REJECT) == Offer(True, reasons=(("packed", "Product packed"), ("agreed", "agreed")))


@pytest.mark.parametrize(
    ("decisions", "why"),
    [
        ([], "it does not offer REJECT_REQUEST_CANCEL"),
        (DECISIONS[:1], "it does not offer REJECT_REQUEST_CANCEL"),
        ([{"decision": "REJECT_REQUEST_CANCEL", "eligible": False, "ineligible_reason": "Too late", "ineligible_code": 7}], "Too late"),
        ([{"decision": "REJECT_REQUEST_CANCEL", "ineligible_code": 7}], "7"),
        ([{"decision": "REJECT_REQUEST_CANCEL"}], "it gives no reason"),
    ],
)
def test_what_tiktok_does_not_offer_has_its_reason(decisions: list[dict[str, Any]], why: str) -> None:
    assert requests.read_offer(decisions, REJECT) == Offer(False, why)


@pytest.mark.parametrize(
    ("was", "status", "facts", "end"),
    [
        (PENDING, SUCCESS, {"moved_at": DEADLINE}, AUTOMATIC),
        (PENDING, COMPLETE, {"moved_at": DEADLINE + timedelta(seconds=1)}, AUTOMATIC),
        (PENDING, SUCCESS, {"moved_at": DEADLINE - timedelta(seconds=1)}, ELSEWHERE),
        (PENDING, SUCCESS, {"deadline": None}, ELSEWHERE),
        (PENDING, "CANCELLATION_REQUEST_CANCEL", {}, WITHDRAWN),
        (PENDING, "CANCELLATION_REQUEST_CANCELLED", {"moved_at": DEADLINE}, WITHDRAWN),
        (PENDING, SUCCESS, {"ours": True}, ""),
        (PENDING, PENDING, {}, ""),
        (SUCCESS, COMPLETE, {"moved_at": DEADLINE}, ""),
        (PENDING, "SOMETHING_NEW_2027", {}, ""),
    ],
)
def test_a_request_that_ended_without_our_answer_says_how(was: str, status: str, facts: dict[str, Any], end: str) -> None:
    facts = {"ours": False, "deadline": DEADLINE, "moved_at": DEADLINE - timedelta(hours=1), **facts}
    assert requests.ending(was, status, **facts) == end
    assert bool(requests.ENDINGS.get(end)) == bool(end)


def test_the_lines_that_a_request_is_about() -> None:
    assert requests.line_ids({"cancel_line_items": [{"order_line_item_id": 71}, {"order_line_item_id": "72"}, {"sku_id": "1"}]}) == ("71", "72")
    assert requests.line_ids({"cancel_line_items": None}) == ()


def test_a_type_or_status_nobody_documented_is_not_known_and_shown_as_it_came() -> None:
    for kind in ("CANCEL", "BUYER_CANCEL"):
        assert requests.known(kind, PENDING) and requests.known(kind, "CANCELLATION_REQUEST_CANCELLED")
        assert not requests.known(kind, "SOMETHING_NEW_2027")
    assert not requests.known("TIKTOK_CANCEL", PENDING)
    assert requests.label(PENDING) == "Waits for answer"
    assert requests.label("SOMETHING_NEW_2027") == "SOMETHING_NEW_2027"


def test_an_answer_took_effect_when_tiktok_shows_its_status() -> None:
    assert requests.TAKEN == {APPROVE: (SUCCESS, COMPLETE), REJECT: ("CANCELLATION_REQUEST_CANCEL", "CANCELLATION_REQUEST_CANCELLED")}
    assert all(requests.label(status) for taken in requests.TAKEN.values() for status in taken)
