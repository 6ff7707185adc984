"""Deadlines: TikTok's own field first, the country's table for what is missing (A263, A270; TTS §5.4.5, §6.3)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.domain import deadlines
from connector.domain.deadlines import ANSWER_CANCELLATION, ANSWER_RETURN, AUTO_CANCEL, HALF, PASSED, SHIP_BY, SOON, Leads, Span

FRIDAY = datetime(2026, 11, 20, 15, tzinfo=UTC)
KINDS = (SHIP_BY, AUTO_CANCEL, ANSWER_CANCELLATION, ANSWER_RETURN)
COUNTRIES = ("US", "GB", "UK", "DE", "SG", "TH", "MX", "", "??")
instants = st.integers(0, 3_000_000).map(lambda minutes: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes))
spans = st.builds(Span, st.integers(0, 15), st.integers(0, 480).map(lambda hours: timedelta(hours=hours)))


@pytest.mark.parametrize(
    ("kind", "country", "expected"),
    [
        (SHIP_BY, "US", timedelta(days=4)),  # two working days: Monday, Tuesday
        (SHIP_BY, "JP", timedelta(days=4)),
        (AUTO_CANCEL, "US", timedelta(days=7)),
        (AUTO_CANCEL, "GB", timedelta(days=11)),
        (AUTO_CANCEL, "UK", timedelta(days=11)),
        (AUTO_CANCEL, "SG", timedelta(days=7)),
        (AUTO_CANCEL, "DE", timedelta(days=15)),  # S4's default
        (ANSWER_CANCELLATION, "TH", timedelta(hours=24)),
        (ANSWER_CANCELLATION, "US", timedelta(hours=24)),
        (ANSWER_CANCELLATION, "GB", timedelta(hours=48)),
        (ANSWER_RETURN, "DE", timedelta(hours=48)),
        (ANSWER_RETURN, "US", timedelta(hours=24)),
    ],
)
def test_a270_the_countrys_table_serves_what_tiktok_does_not_name(kind: str, country: str, expected: timedelta) -> None:
    assert deadlines.due(kind, country, given=None, start=FRIDAY) == (FRIDAY + expected, True)


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (datetime(2026, 11, 19, 9, 30, tzinfo=UTC), datetime(2026, 11, 23, 9, 30, tzinfo=UTC)),  # Thursday: Friday, Monday
        (datetime(2026, 11, 21, 15, 30, 20, 5, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC)),  # Saturday counts as the first minute of Monday
        (datetime(2026, 11, 22, 23, 59, 59, 5, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC)),
        (datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC)),
    ],
)
def test_working_days_leave_out_the_weekend_and_hours_do_not(start: datetime, end: datetime) -> None:
    assert Span(2).after(start) == end
    assert Span(2, timedelta(days=3)).after(start) == end + timedelta(days=3)
    assert Span(rest=timedelta(hours=48)).after(start) == start + timedelta(hours=48)
    assert Span(2, timedelta(hours=3)).shortest == timedelta(days=2, hours=3)


@given(given=instants, start=instants, kind=st.sampled_from(KINDS), country=st.sampled_from(COUNTRIES))
def test_tiktoks_own_field_always_wins_and_is_never_called_an_estimate(given: datetime, start: datetime, kind: str, country: str) -> None:
    assert deadlines.due(kind, country, given=given, start=start) == (given, False)
    assert deadlines.due(kind, country, given=None, start=None) == (None, False)
    at, estimated = deadlines.due(kind, country, given=None, start=start)
    assert estimated
    assert at is not None
    assert at > start


@given(span=spans, first=instants, second=instants)
def test_a_later_start_never_ends_earlier_and_no_span_is_shorter_than_it_says(span: Span, first: datetime, second: datetime) -> None:
    first, second = sorted((first, second))
    assert span.after(first) <= span.after(second)
    assert span.after(first) >= first + span.shortest


@pytest.mark.parametrize(
    ("kind", "left", "expected"),
    [
        (SHIP_BY, timedelta(hours=24, minutes=1), None),  # half of the time is no warning for a parcel
        (SHIP_BY, timedelta(hours=24), SOON),
        (AUTO_CANCEL, timedelta(hours=24, minutes=1), None),
        (AUTO_CANCEL, timedelta(hours=24), SOON),
        (AUTO_CANCEL, timedelta(0), PASSED),
        (ANSWER_CANCELLATION, timedelta(hours=24, minutes=1), None),
        (ANSWER_CANCELLATION, timedelta(hours=24), HALF),
        (ANSWER_RETURN, timedelta(hours=6, minutes=1), HALF),
        (ANSWER_RETURN, timedelta(hours=6), SOON),
        (ANSWER_RETURN, timedelta(0), PASSED),
    ],
)
def test_a_day_before_parcels_six_hours_before_answers_and_half_of_the_time_to_answer(kind: str, left: timedelta, expected: str | None) -> None:
    due_at = FRIDAY + timedelta(hours=48)
    assert deadlines.level(kind, due_at=due_at, start=FRIDAY, now=due_at - left, leads=Leads()) == expected
    if expected == HALF:  # nobody knows half of what
        assert deadlines.level(kind, due_at=due_at, start=None, now=due_at - left, leads=Leads()) is None


def test_what_tiktok_does_then_depends_on_where_the_order_is() -> None:
    assert deadlines.what_then(AUTO_CANCEL) == "TikTok cancels the order by itself."
    assert deadlines.what_then(AUTO_CANCEL, "AWAITING_COLLECTION") == "TikTok cancels the order by itself unless the carrier has collected it."
    assert deadlines.what_then(AUTO_CANCEL, "IN_TRANSIT") == "TikTok cancels the order by itself unless it is delivered."
    assert deadlines.what_then(SHIP_BY, "IN_TRANSIT") == "TikTok counts the order as shipped late."
    assert deadlines.what_then(ANSWER_RETURN) == "TikTok accepts the request by itself."


@given(kind=st.sampled_from(KINDS), start=instants, length=st.integers(1, 28_800).map(lambda minutes: timedelta(minutes=minutes)), part=st.floats(0, 1.2))
def test_warnings_grow_sharper_as_time_goes_on_and_none_is_missing_at_the_end(kind: str, start: datetime, length: timedelta, part: float) -> None:
    ranks = {None: 0, HALF: 1, SOON: 2, PASSED: 3}
    due_at, now = start + length, start + length * part

    def rank(at: datetime) -> int:
        return ranks[deadlines.level(kind, due_at=due_at, start=start, now=at, leads=Leads())]

    assert rank(now) <= rank(now + timedelta(minutes=30)) <= rank(due_at) == 3
    if kind in (ANSWER_CANCELLATION, ANSWER_RETURN):
        assert rank(start + length / 2 + timedelta(seconds=1)) >= 1
    assert rank(due_at - timedelta(seconds=1)) == 2
    assert deadlines.what_then(kind).endswith(".")
