"""How fast, and whether at all, an account may be called: a limiter and a circuit breaker shared by all processes.

State lives in Redis and is changed by scripts, so that web, worker and scheduler see one truth. Without Redis, or while it is away, the same
rules run on the process's own memory. All waits are seconds. Hand in a redis client that does not retry by
itself (`retry=Retry(NoBackoff(), 0)`): its own back-off would hold up the calls that are to be paced.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

log = logging.getLogger(__name__)
T = TypeVar("T")


class Redis(Protocol):
    """What we use of a redis client."""

    def register_script(self, script: str) -> Callable[..., Any]: ...


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_second` evenly paced calls, after at most `burst` at once."""

    per_second: float
    burst: int = 1


# TTS §3.5: safe starting points; never slower than one call in five seconds.
READ, WRITE, SLOWEST = Rate(10, 10), Rate(3, 3), 0.2


class _Shared:
    """Runs a rule in Redis, or in memory while Redis does not answer. A dead Redis is asked again after five seconds only."""

    def __init__(self, redis: Redis | None) -> None:
        self._redis = redis
        self._scripts: dict[str, Callable[..., Any]] = {}
        self._away_until = 0.0

    def ask(self, script: str, key: str, args: list[float], local: Callable[[], T], read: Callable[[Any], T]) -> T:
        if self._redis is None or time.monotonic() < self._away_until:
            return local()
        try:
            run = self._scripts.get(script) or self._scripts.setdefault(script, self._redis.register_script(script))
            return read(run(keys=[key], args=args))
        except Exception as error:  # any fault of a cache must not stop the work it paces
            self._away_until = time.monotonic() + 5
            log.warning("limits fall back to this process's memory: %s", error)
            return local()


# The bucket is kept as its "theoretical arrival time" (tat): the instant at which it is full again. A call moves tat on by one
# interval; it waits while tat is more than the burst ahead. `rate` is the adaptive rate, `seen` when it was last recovered.
_ACQUIRE = """
local t = redis.call('TIME') local now = t[1] + t[2] / 1e6
local full, burst, max_wait = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local h = redis.call('HMGET', KEYS[1], 'tat', 'rate', 'seen')
local rate = math.min(full, (tonumber(h[2]) or full) + full * 0.01 * (now - (tonumber(h[3]) or now)))
local tat = math.max(tonumber(h[1]) or now, now)
local wait = math.max(0, tat - (burst - 1) / rate - now)
if wait <= max_wait then tat = tat + 1 / rate end
redis.call('HSET', KEYS[1], 'tat', string.format('%.6f', tat), 'rate', rate, 'seen', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], 600)
return {string.format('%.6f', wait), wait <= max_wait and 1 or 0}
"""
_SLOW_DOWN = """
local t = redis.call('TIME') local now = t[1] + t[2] / 1e6
local full, burst, pause, slowest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local h = redis.call('HMGET', KEYS[1], 'tat', 'rate', 'cut')
local rate = tonumber(h[2]) or full
if now - (tonumber(h[3]) or 0) >= 1 then
  rate = math.min(full, math.max(slowest, rate / 2))
  redis.call('HSET', KEYS[1], 'cut', string.format('%.6f', now))
end
local tat = math.max(tonumber(h[1]) or now, now + pause + (burst - 1) / rate)
redis.call('HSET', KEYS[1], 'tat', string.format('%.6f', tat), 'rate', rate, 'seen', string.format('%.6f', now))
redis.call('EXPIRE', KEYS[1], 600)
return tostring(rate)
"""


@dataclass(slots=True)
class _Bucket:
    tat: float
    rate: float
    seen: float
    cut: float = 0.0


class Limiter:
    """A token bucket per account and endpoint family that halves its rate on 429 and recovers by one percent a second (TTS §3.5)."""

    def __init__(
        self,
        redis: Redis | None = None,
        *,
        rates: Mapping[str, Rate] | None = None,
        read: Rate = READ,
        write: Rate = WRITE,
        prefix: str = "limit",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._shared = _Shared(redis)
        self._rates = dict(rates or {})
        self._read, self._write = read, write
        self._prefix = prefix
        self._now = now
        self._lock = threading.Lock()
        self._buckets: dict[str, _Bucket] = {}

    def rate(self, family: str, *, write: bool) -> Rate:
        return self._rates.get(family) or (self._write if write else self._read)

    def acquire(self, account: str, family: str, *, write: bool = False, max_wait: float = 5.0) -> tuple[float, bool]:
        """Reserve one call: (seconds to wait before sending, whether it was reserved). Not reserved when the wait is above `max_wait`."""
        rate, key = self.rate(family, write=write), f"{self._prefix}:{account}:{family}"
        return self._shared.ask(
            _ACQUIRE,
            key,
            [rate.per_second, rate.burst, max_wait],
            lambda: self._acquire_local(key, rate, max_wait),
            lambda answer: (float(answer[0]), bool(int(answer[1]))),
        )

    def slow_down(self, account: str, family: str, *, write: bool = False, retry_after: float | None = None) -> float:
        """After a 429: halve the rate (once a second at most), pause for `retry_after` seconds. Returns the new rate."""
        rate, key = self.rate(family, write=write), f"{self._prefix}:{account}:{family}"
        pause = retry_after or 0.0
        return self._shared.ask(
            _SLOW_DOWN,
            key,
            [rate.per_second, rate.burst, pause, SLOWEST],
            lambda: self._slow_down_local(key, rate, pause),
            float,
        )

    def _acquire_local(self, key: str, rate: Rate, max_wait: float) -> tuple[float, bool]:
        with self._lock:
            now = self._now()
            bucket = self._buckets.setdefault(key, _Bucket(now, rate.per_second, now))
            bucket.rate = min(rate.per_second, bucket.rate + rate.per_second * 0.01 * (now - bucket.seen))
            bucket.tat = max(bucket.tat, now)
            bucket.seen = now
            wait = max(0.0, bucket.tat - (rate.burst - 1) / bucket.rate - now)
            if wait <= max_wait:
                bucket.tat += 1 / bucket.rate
            return wait, wait <= max_wait

    def _slow_down_local(self, key: str, rate: Rate, pause: float) -> float:
        with self._lock:
            now = self._now()
            bucket = self._buckets.setdefault(key, _Bucket(now, rate.per_second, now))
            if now - bucket.cut >= 1:
                bucket.rate, bucket.cut = min(rate.per_second, max(SLOWEST, bucket.rate / 2)), now
            bucket.tat = max(bucket.tat, now + pause + (rate.burst - 1) / bucket.rate)
            bucket.seen = now
            return bucket.rate


# Hash: ok, bad, start of the counting window, until (0 closed), probe (when the running trial call is given up).
_CHECK = """
local t = redis.call('TIME') local now = t[1] + t[2] / 1e6
local h = redis.call('HMGET', KEYS[1], 'until', 'probe')
local open, probe = tonumber(h[1]) or 0, tonumber(h[2]) or 0
if open == 0 then return '0' end
if now < open then return tostring(open - now) end
if now < probe then return '1' end
redis.call('HSET', KEYS[1], 'probe', string.format('%.6f', now + tonumber(ARGV[1])))
return '0'
"""
_REPORT = """
local t = redis.call('TIME') local now = t[1] + t[2] / 1e6
local ok, minimum, ratio, cool, window = ARGV[1] == '1', tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local h = redis.call('HMGET', KEYS[1], 'until', 'start', 'ok', 'bad')
local open, start = tonumber(h[1]) or 0, tonumber(h[2]) or now
if open > 0 then
  if now >= open then
    if ok then redis.call('DEL', KEYS[1]) else redis.call('HSET', KEYS[1], 'until', string.format('%.6f', now + cool), 'probe', 0) end
  end
  return '0'
end
local good, bad = tonumber(h[3]) or 0, tonumber(h[4]) or 0
if now - start > window then start, good, bad = now, 0, 0 end
if ok then good = good + 1 else bad = bad + 1 end
local open_until = 0
if good + bad >= minimum and bad / (good + bad) >= ratio and not ok then open_until = now + cool end
redis.call('HSET', KEYS[1], 'start', string.format('%.6f', start), 'ok', good, 'bad', bad, 'until', string.format('%.6f', open_until))
redis.call('EXPIRE', KEYS[1], 3600)
return '0'
"""
_STATE = """
local t = redis.call('TIME') local now = t[1] + t[2] / 1e6
local open = tonumber(redis.call('HGET', KEYS[1], 'until') or 0) or 0
if open == 0 then return '-1' end
return tostring(math.max(0, open - now))
"""


@dataclass(frozen=True, slots=True)
class CircuitState:
    state: str  # closed, open, half_open
    retry_after: float = 0.0


@dataclass(slots=True)
class _Circuit:
    start: float
    ok: int = 0
    bad: int = 0
    until: float = 0.0
    probe: float = 0.0


class Breaker:
    """Stops calling an account that keeps failing: opens at `minimum` calls in `window` seconds of which `ratio` failed,
    lets one trial call through after `cool_down` seconds, and closes when that one succeeds."""

    def __init__(
        self,
        redis: Redis | None = None,
        *,
        minimum: int = 10,
        ratio: float = 0.5,
        cool_down: float = 20.0,
        window: float = 60.0,
        trial: float = 30.0,
        prefix: str = "circuit",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._shared = _Shared(redis)
        self._minimum, self._ratio, self._cool_down = minimum, ratio, cool_down
        self._window, self._trial, self._prefix = window, trial, prefix
        self._now = now
        self._lock = threading.Lock()
        self._circuits: dict[str, _Circuit] = {}

    def check(self, account: str) -> float:
        """0 when the call may be sent (it may be the trial call), else seconds to wait."""
        key = f"{self._prefix}:{account}"
        return self._shared.ask(_CHECK, key, [self._trial], lambda: self._check_local(key), float)

    def report(self, account: str, ok: bool) -> None:
        key = f"{self._prefix}:{account}"
        args = [int(ok), self._minimum, self._ratio, self._cool_down, self._window]
        self._shared.ask(_REPORT, key, args, lambda: self._report_local(key, ok), float)

    def state(self, account: str) -> CircuitState:
        """For the account page."""
        key = f"{self._prefix}:{account}"
        left = self._shared.ask(_STATE, key, [], lambda: self._left_local(key), float)
        if left < 0:
            return CircuitState("closed")
        return CircuitState("open", left) if left > 0 else CircuitState("half_open")

    def _check_local(self, key: str) -> float:
        with self._lock:
            now, circuit = self._now(), self._circuits.get(key)
            if circuit is None or circuit.until == 0:
                return 0.0
            if now < circuit.until:
                return circuit.until - now
            if now < circuit.probe:
                return 1.0
            circuit.probe = now + self._trial
            return 0.0

    def _report_local(self, key: str, ok: bool) -> float:
        with self._lock:
            now = self._now()
            circuit = self._circuits.setdefault(key, _Circuit(now))
            if circuit.until > 0:
                if now >= circuit.until:
                    self._circuits[key] = _Circuit(now, until=0.0 if ok else now + self._cool_down)
                return 0.0
            if now - circuit.start > self._window:
                circuit = self._circuits[key] = _Circuit(now)
            circuit.ok, circuit.bad = circuit.ok + ok, circuit.bad + (not ok)
            total = circuit.ok + circuit.bad
            if not ok and total >= self._minimum and circuit.bad / total >= self._ratio:
                circuit.until = now + self._cool_down
            return 0.0

    def _left_local(self, key: str) -> float:
        with self._lock:
            circuit = self._circuits.get(key)
            if circuit is None or circuit.until == 0:
                return -1.0
            return max(0.0, circuit.until - self._now())
