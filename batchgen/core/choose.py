"""Which request gets the next slot of a key's window."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from batchgen.core.window import Rate


class Pick(Enum):
    """Who goes next."""

    POLL = "poll"
    SUBMISSION = "submission"
    NOBODY = "nobody"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a key's slots: when the most urgent poll goes first (infinity where none waits), and whether a
    submission may go. `spare_from`: the next time at which a poll that is likely to find nothing may go."""

    poll_urgent_at: float
    submission: bool
    spare_from: float = -math.inf


def choose(now: float, waiting: Waiting, free: int, rate: Rate) -> Pick:
    """A poll that probably finds its run done goes first: it ends a run. Then submissions: they begin one.

    A poll that is likely to find nothing only gets a slot that nobody will miss: a tenth of the window stays free,
    so that a run which becomes due, or a new one, need not wait for the window to move on; and such polls go out
    evenly (`spare_interval_s`), because a burst of them would be followed by a window's length without any.
    """
    if waiting.poll_urgent_at <= now:
        return Pick.POLL
    if waiting.submission:
        return Pick.SUBMISSION
    if waiting.poll_urgent_at < math.inf and now >= waiting.spare_from and free > (rate.limit or 0) // 10:
        return Pick.POLL
    return Pick.NOBODY


SPARE_SHARE = 0.75


def spare_interval_s(rate: Rate) -> float:
    """Seconds between two polls that are likely to find nothing: together they take three quarters of the window."""
    return 1.0 / (SPARE_SHARE * rate.per_second)


FEWEST_LIVE, MOST_LIVE, UNLIMITED_LIVE = 4, 1000, 200


def live_runs(rate: Rate, keys: int, likely_s: float) -> int:
    """How many runs to keep live at once when the user does not say.

    A run costs two requests at least, so the window can begin rate/2 runs a second, and each is live for about
    `likely_s`; half as many again keeps the window busy when some take longer.
    """
    if math.isinf(rate.per_second):
        return UNLIMITED_LIVE
    return max(FEWEST_LIVE, min(MOST_LIVE, math.ceil(rate.per_second * keys / 2 * likely_s * 1.5)))
