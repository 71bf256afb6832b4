"""Which request gets the next slot of a key's window."""

from __future__ import annotations

import math
from enum import Enum

from batchgen.core.window import Rate


class Pick(Enum):
    """Who goes next."""

    POLL = "poll"
    SUBMISSION = "submission"
    NOBODY = "nobody"


def choose(now: float, poll_urgent_at: float, *, poll_waits: bool, may_submit: bool, free: int, rate: Rate) -> Pick:
    """A poll that probably finds its run done goes first: it ends a run. Then submissions: they begin one.

    A poll that is likely to find nothing only gets a slot that nobody will miss: a quarter of the window stays free,
    so that a run which becomes due, or a new one, need not wait for the window to move on.
    """
    if poll_waits and poll_urgent_at <= now:
        return Pick.POLL
    if may_submit:
        return Pick.SUBMISSION
    if poll_waits and free > (rate.limit or 0) // 4:
        return Pick.POLL
    return Pick.NOBODY


FEWEST_LIVE, MOST_LIVE, UNLIMITED_LIVE = 4, 1000, 200


def live_runs(rate: Rate, keys: int, likely_s: float) -> int:
    """How many runs to keep live at once when the user does not say.

    A run costs two requests at least, so the window can begin rate/2 runs a second, and each is live for about
    `likely_s`; half as many again keeps the window busy when some take longer.
    """
    if math.isinf(rate.per_second):
        return UNLIMITED_LIVE
    return max(FEWEST_LIVE, min(MOST_LIVE, math.ceil(rate.per_second * keys / 2 * likely_s * 1.5)))
