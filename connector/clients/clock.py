"""The other system's clock: a signature has to carry its time, not ours."""

from __future__ import annotations

from collections.abc import Callable

from connector.clients.answer import Answer
from connector.clients.base import Transport

TOLERANCE = 2.0  # seconds; `Date` has whole seconds only


class KeepsTheirTime:
    """A caller that learns the clock from the `Date` of every answer. `clock_offset`: seconds that it is ahead of ours; `on_clock_offset` hears of a new one."""

    def __init__(self, transport: Transport, clock_offset: float, on_clock_offset: Callable[[float], None] | None) -> None:
        self._transport = transport
        self.clock_offset = clock_offset
        self._on_clock_offset = on_clock_offset

    def _their_time(self) -> float:
        """Seconds since 1970, by their clock."""
        return self._transport.now() + self.clock_offset

    def _learn_clock(self, answer: Answer) -> None:
        offset = answer.clock_offset
        if offset is not None and abs(offset - self.clock_offset) > TOLERANCE:
            self.clock_offset = offset
            if self._on_clock_offset is not None:
                self._on_clock_offset(offset)
