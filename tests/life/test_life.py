"""A shop lives through random sequences of what buyers, seller, marketplace, OMS and network do, and no order, unit or deadline is lost (product rules 1-4).

``make life STEPS=3000 SEED=1`` lets it live longer. A failure prints the steps that led to it; the same seed repeats them,
and with ``SHRINK=1`` hypothesis looks for fewer steps that fail as well (for some minutes).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from connector.supervisor.valkey import EmbeddedValkey
from tests.conftest import KEY
from tests.life.machine import Life
from tests.life.steps import done, failures
from tests.life.world import World, environment

#: Steps of one life; a longer one knows more orders, so that each check of it costs more.
LIFE = 60


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, valkey_server: EmbeddedValkey) -> Iterator[World]:
    found = World(tmp_path_factory.mktemp("life"), sqlite_template, valkey_server.url, KEY)
    yield found
    found.close()


@pytest.mark.timeout(0)
def test_nothing_is_lost_doubled_or_forgotten_whatever_buyers_seller_clock_oms_and_network_do(world: World) -> None:
    steps = environment("STEPS", 240)
    chosen = settings(
        max_examples=max(1, -(-steps // LIFE)),
        stateful_step_count=LIFE + 1,  # the beginning counts as one
        deadline=None,
        derandomize=not environment("SEED", 0),
        database=None,
        phases=(Phase.generate, Phase.shrink) if environment("SHRINK", 0) else (Phase.generate,),
        report_multiple_bugs=False,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )

    class Here(Life):
        pass

    Here.world = world
    if number := environment("SEED", 0):
        Here = seed(number)(Here)
    begun = time.perf_counter()
    done.clear()
    failures.clear()
    try:
        run_state_machine_as_test(Here, settings=chosen, _min_steps=LIFE + 1)
    except BaseException as error:  # seconds pass in a life, so that a repetition may end elsewhere: the first failure counts
        raise (failures[0] if failures else error) from None
    finally:
        _report(world, time.perf_counter() - begun)
    assert done["steps"] >= steps


def _report(world: World, seconds: float) -> None:
    print(f"\n{done['steps']} steps in {done['lives']} lives, {done['checks']} checks, {seconds:.0f} s")
    print("time: " + ", ".join(f"{what} {spent:.1f}" for what, spent in world.seconds.most_common()))
    print("\n".join(f"  {name}: {count}" for name, count in sorted(done.items()) if ":" in name))
