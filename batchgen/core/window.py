"""The request window of one key: at most so many requests in *any* stretch of so many seconds."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

from batchgen.core.allowance import Allowance
from batchgen.core.pace import Pace

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
        self.pace = None if rate.limit is None else Pace.full(rate.limit, rate.seconds)
        self._told: tuple[int, float] | None = None  # how many more the service allows, until when
        self._freed: deque[float] = deque()  # when each ended request gives its slot back, ascending

    @property
    def limit(self) -> int | None:
        """How many requests in its seconds are ours now: what was set, or less after refusals."""
        return None if self.pace is None else self.pace.limit

    def free(self, now: float) -> int:
        """How many requests may begin now."""
        if self.pace is None:
            return 1_000_000
        self.pace = self.pace.grown(now)
        free = self.pace.limit - self.in_flight - self._ended(now)
        if self._told and now < self._told[1]:
            free = min(free, self._told[0])
        return max(0, free)

    def _ended(self, now: float) -> int:
        while self._freed and self._freed[0] <= now:
            self._freed.popleft()
        return len(self._freed)

    def grows_at(self, now: float) -> float:
        """When one more slot becomes free by the passing of time alone; infinity where none will."""
        if self.pace is None:
            return math.inf
        told_until = self._told[1] if self._told else math.inf
        times = (next((at for at in self._freed if at > now), math.inf), self.pace.grows_at(), told_until)
        return min((at for at in times if at > now), default=math.inf)

    def told(self, allowance: Allowance, now: float) -> None:
        """The service has said how many requests it still takes: fewer than are free here where others use the key.

        What is under way may be counted in it or not, so it is taken off once more.
        """
        self._told = (max(0, allowance.left - self.in_flight), now + allowance.resets_s)

    def limited(self, begun_at: float, now: float) -> None:
        """The service has refused a request that was begun then, and has ended, for coming too soon."""
        if self.pace is not None:
            self.pace = self.pace.limited(self._ended(now) - 1, begun_at, now)

    def begin(self) -> None:
        """A request begins."""
        self.in_flight += 1
        if self._told:
            self._told = (max(0, self._told[0] - 1), self._told[1])

    def end(self, now: float) -> None:
        """A request has ended, whatever came of it."""
        self.in_flight -= 1
        if self.rate.limit is not None:
            self._freed.append(now + self.rate.seconds + MARGIN_S)

    def unused(self) -> None:
        """A request that had begun was surely never sent: its slot is free at once."""
        self.in_flight -= 1
