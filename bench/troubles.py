"""What goes wrong on purpose while a drill runs: processes are killed with SIGKILL at random moments, Redis is flushed and killed."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import text

from bench.house import House

FLUSH, RESTART, CUT = "flush", "restart", "cut"


def processes(house: House, name: str) -> list[int]:
    """The processes of this house's tree with this name (worker, web, scheduler): children of its supervisor."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            status = (entry / "status").read_text()
            comm = (entry / "comm").read_text().strip()
        except OSError:
            continue
        if f"PPid:\t{house.supervisor}\n" in status and comm == name:
            found.append(int(entry.name))
    return found


class Troubles:
    """``wanted``: how often each comes, processes by their name. The same ``dice`` give the same order and pauses of ``pause`` seconds."""

    def __init__(self, house: House, dice: random.Random, wanted: Mapping[str, int], *, pause: tuple[float, float] = (0.3, 2.5)) -> None:
        self.done: Counter[str] = Counter()
        self._house, self._dice, self._pause = house, dice, pause
        self._left = [name for name, count in wanted.items() for _ in range(count)]
        dice.shuffle(self._left)
        self._next = time.monotonic() + 2

    @property
    def over(self) -> bool:
        return not self._left

    def step(self, redis: object) -> None:
        """The next trouble, when its time has come. ``redis``: a client of the house's Redis."""
        if self.over or time.monotonic() < self._next:
            return
        name = self._left.pop()
        if name == FLUSH:
            redis.flushall()  # type: ignore[attr-defined]
        elif name == CUT:
            _cut(redis)
        elif alive := ([_valkey(self._house)] if name == RESTART else processes(self._house, name)):
            os.kill(self._dice.choice(alive), signal.SIGKILL)
        else:  # it is being started again just now
            self._left.append(name)
            return
        self.done[name] += 1
        self._next = time.monotonic() + self._dice.uniform(*self._pause)


def lose_answers(house: House, dice: random.Random, probability: float, systems: Sequence[str] = ("tiktok", "magento")) -> None:
    """The practice servers do what they are asked and keep this part of the answers to themselves."""
    for system in systems:
        house.post(system, "faults", {"kind": "lost_answer", "probability": probability, "seed": dice.randrange(10_000)})


def all_is_well(house: House, systems: Sequence[str] = ("tiktok", "magento")) -> None:
    for system in systems:
        house.delete(system, "faults")


def _cut(redis: object) -> None:
    """Every connection to servers that are not the house's own to kill ends at once, as when they are restarted."""
    from connector.core.db import db

    redis.client_kill_filter(_type="normal", skipme=True)  # type: ignore[attr-defined]
    db.session.execute(text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"))
    db.session.commit()


def _valkey(house: House) -> int:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if str(house.folder / "valkey") in (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode():
                    return int(entry.name)
            except OSError:
                continue
    raise RuntimeError("the embedded Valkey of this house was not found")
