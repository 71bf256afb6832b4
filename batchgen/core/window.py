"""The request window of one key: at most so many requests in *any* stretch of so many seconds."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

# The two clocks need not agree to the millisecond on how long ten seconds are.
MARGIN_S = 0.02


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests in so many seconds; `limit` None is no limit at all."""

    limit: int | None
    seconds: float

    @property
    def per_second(self) -> float:
        """The mean rate that the window allows."""
        return math.inf if self.limit is None else self.limit / self.seconds


class Window:
    """A strict sliding window. It reads no clock: every method takes `now`, in seconds of any steady clock.

    The service counts a request when it arrives, which is some time between its begin and its end here. So a slot is
    taken from the begin, and is given back one whole window after the *end*: whatever the network did between, no
    stretch of the service's clock sees more than the limit. A token bucket would allow a burst on top.
    Mutable, because a copy of all timestamps at each request would cost more than the request's own bookkeeping.
    """

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.in_flight = 0
        self._freed: deque[float] = deque()  # when each ended request gives its slot back, ascending

    def free(self, now: float) -> int:
        """How many requests may begin now."""
        if self.rate.limit is None:
            return 1_000_000
        while self._freed and self._freed[0] <= now:
            self._freed.popleft()
        return max(0, self.rate.limit - self.in_flight - len(self._freed))

    def grows_at(self, now: float) -> float:
        """When one more slot becomes free by the passing of time alone; infinity where none will."""
        return next((at for at in self._freed if at > now), math.inf)

    def begin(self) -> None:
        """A request begins."""
        self.in_flight += 1

    def end(self, now: float) -> None:
        """A request has ended, whatever came of it."""
        self.in_flight -= 1
        if self.rate.limit is not None:
            self._freed.append(now + self.rate.seconds + MARGIN_S)

    def unused(self) -> None:
        """A request that had begun was surely never sent: its slot is free at once."""
        self.in_flight -= 1
