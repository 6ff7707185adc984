"""Exactly once, in small: the same drill that `make drill` runs with 500 orders and 25 kills (product rules 1, 2, 4)."""

from __future__ import annotations

import random

import pytest

from bench.drill import run
from bench.house import House


@pytest.mark.timeout(1200)
def test_orders_are_created_once_though_workers_die_redis_is_flushed_and_answers_are_lost() -> None:
    with House(workers=2) as house:
        report = run(house, 60, 6, random.Random(5))
    assert (report["created"], report["missing"], report["duplicates"], report["failed"]) == (60, 0, 0, 0)
    assert report["stuck_runs"] == 0
    assert report["reservations_open"] == 0
    assert report["balanced"]
    assert (report["kills"], report["flushes"], report["restarts"]) == (6, 2, 1)
