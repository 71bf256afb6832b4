"""Which request gets the next slot of a key's window."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from batchgen.core.window import Rate


class Pick(Enum):
    """Who goes next."""

    URGENT_POLL = "urgent poll"
    SUBMISSION = "submission"
    SPARE_POLL = "spare poll"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a key's slots: how many polls, when the most urgent one goes first (infinity where none waits),
    and whether a submission may go. `spare_from`: the next time at which a poll that is not urgent may go."""

    polls: int
    poll_urgent_at: float
    submission: bool
    spare_from: float = -math.inf


def choose(now: float, waiting: Waiting, free: int, limit: int | None) -> Pick:
    """A poll that probably finds its run done goes first: it ends a run. Then submissions: they begin one.

    Any other poll only gets a slot that nobody will miss: a tenth of the window (`limit`) stays free, so that a run
    which becomes due, or a new one, need not wait for the window to move on; and such polls go out evenly
    (`spare_interval_s`), because a burst of them would be followed by a window's length without any.
    """
    if waiting.poll_urgent_at <= now:
        return Pick.URGENT_POLL
    if waiting.submission:
        return Pick.SUBMISSION
    if waiting.polls and now >= waiting.spare_from and free > (limit or 0) // 10:
        return Pick.SPARE_POLL
    return Pick.NOBODY


SPARE_SHARE = 0.9


def spare_interval_s(rate: Rate) -> float:
    """Seconds between two polls that are not urgent: together they take nine tenths of the window."""
    return 1.0 / (SPARE_SHARE * rate.per_second)


LEAST_CHANCE, MOST_CHANCE, EXPLORING_CHANCE = 0.1, 0.95, 0.02
EAGER_WINDOWS = 1.5


def worth_a_spare_slot(live: int, limit: int, *, known: bool) -> float:
    """How likely a run must be done for a poll that is not urgent, from 0 to 1.

    With few live runs (`live`) beside the window's limit there are slots to spare, and each run is asked after often,
    so that its video is there a moment after it is ready. With many, a slot that finds nothing is missed by another.
    A kind of run whose latency is not `known` yet is explored: its first finished runs teach when to ask for the rest.
    """
    chance = min(MOST_CHANCE, max(LEAST_CHANCE, live / (EAGER_WINDOWS * limit)))
    return chance if known else EXPLORING_CHANCE


MOST_LIVE, UNLIMITED_LIVE = 1000, 200


def live_runs(rate: Rate) -> int:
    """How many runs are live at once at most when the user does not say.

    With a window it needs no number: polls of runs that are probably done go before submissions, so no more runs
    begin than can be asked after. The bound only keeps a wrong guess of the latencies from filling the memory.
    """
    return UNLIMITED_LIVE if math.isinf(rate.per_second) else MOST_LIVE
