"""How much of a key's window is ours: all of it, until the service says otherwise; then less, and slowly more again.

Others may use the same key, or the window that was set may be too optimistic. Nobody tells, but a 429 does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

SHARE_AFTER_LIMIT = 0.7
CAREFUL_WINDOWS = 6


@dataclass(frozen=True, slots=True)
class Pace:
    """The number of requests in a window that is used now. It shrinks by a factor and grows by ones.

    most: what the user has set. ceiling: where the last 429 came; near it, growth is slower still, so that a limit
    which stays where it is costs one refusal in hundreds of requests.
    """

    most: int
    seconds: float
    limit: int
    ceiling: float = math.inf
    cut_at: float = -math.inf
    grown_at: float = -math.inf

    @classmethod
    def full(cls, most: int, seconds: float) -> Pace:
        """The whole window."""
        return cls(most, seconds, most)

    def limited(self, accepted: int, begun_at: float, now: float) -> Pace:
        """After a 429 to a request begun at `begun_at`. `accepted`: how many requests went through in the last window.

        Requests that were under way together are refused together: only one of them counts.
        """
        if begun_at <= self.cut_at:
            return self
        ceiling = max(1, min(self.limit, accepted))
        return replace(self, limit=max(1, int(ceiling * SHARE_AFTER_LIMIT)), ceiling=ceiling, cut_at=now, grown_at=now)

    def grows_at(self) -> float:
        """When one more request may be tried; infinity where the whole window is ours."""
        if self.limit >= self.most:
            return math.inf
        windows = CAREFUL_WINDOWS if self.limit in (self.ceiling - 1, self.ceiling) else 1
        return self.grown_at + windows * self.seconds

    def grown(self, now: float) -> Pace:
        """One more for each window without a refusal; near the ceiling for several."""
        return replace(self, limit=self.limit + 1, grown_at=now) if now >= self.grows_at() else self
