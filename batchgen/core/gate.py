"""What holds requests back beside the window: the gate that closes for all, and the breaker on submissions."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from batchgen.core.backoff import doubled_s, spread_s
from batchgen.records import Failure

LEAST_PAUSE_S = 0.25
LONGEST_OWN_PAUSE_S = 60.0


@dataclass(frozen=True, slots=True)
class Gate:
    """Closed after a 429, or while the service cannot be reached; open again at `opens_at` (seconds, steady clock)."""

    opens_at: float = -math.inf
    closed_at: float = -math.inf
    in_row: int = 0
    reason: Failure | None = None

    def close(self, now: float, begun_at: float, reason: Failure, asked_s: float | None, roll: float) -> Gate:
        """Closes for as long as the service asked, else for a doubling time with jitter (`roll` from 0 to 1).

        Of several refusals that were under way together only the first makes the next pause longer.
        """
        in_row = self.in_row + 1 if begun_at >= self.closed_at else max(1, self.in_row)
        own = spread_s(doubled_s(1.0, LONGEST_OWN_PAUSE_S, in_row - 1), roll)
        pause = own if asked_s is None else max(LEAST_PAUSE_S, asked_s)
        return Gate(max(self.opens_at, now + pause), now, in_row, reason)

    def answered(self, begun_at: float) -> Gate:
        """A request that was begun after the last closing went through: the next pause is a short one again."""
        return replace(self, in_row=0) if self.in_row and begun_at >= self.closed_at else self


DOUBTS_IN_ROW = 3
DOUBTS_AMONG_RECENT = 5
RECENT = 50
FIRST_PAUSE_S = 30.0
LONGEST_PAUSE_S = 600.0
PROBES = 5


@dataclass(frozen=True, slots=True)
class Breaker:
    """Pauses submissions when too many end in doubt, so that an outage costs neither the night nor a pile of doubts.

    While it is open, one submission at a time goes out as a probe when `paused_until` has come. A probe that ends
    clearly, however it ends, closes the breaker; five that end in doubt end the batch.
    """

    recent: tuple[bool, ...] = ()
    paused_until: float | None = None
    failed_probes: int = 0
    first_pause_s: float = FIRST_PAUSE_S

    @property
    def gave_up(self) -> bool:
        """Five probes in a row ended in doubt."""
        return self.failed_probes >= PROBES

    def may_submit(self, now: float, posts_in_flight: int) -> bool:
        """Whether one more submission may begin now."""
        if self.gave_up:
            return False
        return self.paused_until is None or (now >= self.paused_until and posts_in_flight == 0)

    def after(self, *, in_doubt: bool, begun_at: float, now: float) -> Breaker:
        """The breaker after a POST that reached the service, and ended in doubt or clearly."""
        if self.paused_until is not None:
            if begun_at < self.paused_until:
                return self  # was under way when the breaker opened: no probe
            if not in_doubt:
                return Breaker(first_pause_s=self.first_pause_s)
            failed = self.failed_probes + 1
            return replace(self, failed_probes=failed, paused_until=now + self._pause_s(failed))
        recent = (*self.recent, in_doubt)[-RECENT:]
        if in_doubt and (
            (all(recent[-DOUBTS_IN_ROW:]) and len(recent) >= DOUBTS_IN_ROW) or sum(recent) >= DOUBTS_AMONG_RECENT
        ):
            return replace(self, recent=recent, paused_until=now + self._pause_s(0))
        return replace(self, recent=recent)

    def _pause_s(self, failed_probes: int) -> float:
        return doubled_s(self.first_pause_s, LONGEST_PAUSE_S, failed_probes)


FIRST_OPEN_POSTS = 4
MOST_FIRST_OPEN_POSTS = 16
MOST_OPEN_POSTS = 512


@dataclass(frozen=True, slots=True)
class OpenPosts:
    """How many POSTs may be unanswered at once: few until the service has shown that it answers.

    Each unanswered POST is a doubt if the line goes dead, so an outage can cost no more doubts than this.
    """

    first: int = FIRST_OPEN_POSTS
    most: int = FIRST_OPEN_POSTS

    @classmethod
    def beginning_with(cls, concurrency: int | None) -> OpenPosts:
        """A user who asks for so many runs at once means POSTs too, within reason."""
        first = FIRST_OPEN_POSTS if concurrency is None else min(MOST_FIRST_OPEN_POSTS, concurrency)
        return cls(first, first)

    def answered(self) -> OpenPosts:
        """One more clear answer earns one more POST in the air."""
        return replace(self, most=min(MOST_OPEN_POSTS, self.most + 1))

    def doubted(self) -> OpenPosts:
        """A doubt takes the credit back."""
        return replace(self, most=self.first)
