"""Every recorded exchange of a live Magento 2.4.6, replayed against the practice store."""

from __future__ import annotations

import pytest

from connector.practice.serve import PracticeServer

from .replay import CAPTURES, Replay, names
from .scenarios import SCENARIOS
from .shop import Shop

# Exchanges that the practice store does not answer like the live one, with the reason.
OUT_OF_SCOPE: dict[str, str] = {}


def test_the_recorded_exchanges_are_there() -> None:
    assert CAPTURES.is_dir(), f"the recorded exchanges are missing: {CAPTURES}"
    assert len(names()) == 198


@pytest.fixture(scope="module")
def replayed(store_server: PracticeServer) -> Replay:
    """All scenarios, each in a fresh recorded world."""
    shop = Shop(store_server.url)
    replay = Replay(shop)
    failures = []
    for scenario in SCENARIOS:
        shop.control("POST", "seed", {"world": "recorded"})
        shop.use_first_integration()
        try:
            scenario(replay)
        except (AssertionError, KeyError, TypeError, ValueError) as error:  # the captures not reached fail below
            failures.append(f"{scenario.__name__}: {error}")
    replay.broken = failures
    return replay


@pytest.mark.parametrize("name", names())
def test_the_practice_store_answers_as_recorded(replayed: Replay, name: str) -> None:
    if name in OUT_OF_SCOPE:
        assert name not in replayed.differences, f"{name} is replayed and must not be listed as out of scope"
        return
    assert name in replayed.differences, f"never replayed; scenarios that broke off: {replayed.broken}"
    assert not replayed.differences[name], "\n".join(replayed.differences[name])


def test_no_scenario_broke_off(replayed: Replay) -> None:
    assert not replayed.broken
