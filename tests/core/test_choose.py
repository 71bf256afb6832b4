"""Who gets the next slot, and how many runs live at once."""

from __future__ import annotations

import math

import pytest

from batchgen.core.choose import Pick, choose, live_runs
from batchgen.core.window import Rate

RATE = Rate(20, 10.0)


@pytest.mark.parametrize(
    ("urgent_at", "poll_waits", "may_submit", "free", "wanted"),
    [
        (9.0, True, True, 1, Pick.POLL),  # probably done: it ends a run
        (10.0, True, True, 1, Pick.POLL),
        (11.0, True, True, 20, Pick.SUBMISSION),
        (11.0, True, False, 20, Pick.POLL),
        (11.0, True, False, 6, Pick.POLL),
        (11.0, True, False, 5, Pick.NOBODY),  # a quarter of the window is kept for who needs it
        (9.0, True, False, 1, Pick.POLL),
        (9.0, False, True, 1, Pick.SUBMISSION),
        (9.0, False, False, 20, Pick.NOBODY),
        (math.inf, False, True, 1, Pick.SUBMISSION),
    ],
)
def test_who_goes_next(urgent_at: float, poll_waits: bool, may_submit: bool, free: int, wanted: Pick) -> None:
    assert choose(10.0, urgent_at, poll_waits=poll_waits, may_submit=may_submit, free=free, rate=RATE) is wanted


@pytest.mark.parametrize("rate", [Rate(1, 1.0), Rate(3, 10.0), Rate(None, 1.0)])
def test_a_small_window_or_none_keeps_nothing_back(rate: Rate) -> None:
    assert choose(0.0, 5.0, poll_waits=True, may_submit=False, free=1, rate=rate) is Pick.POLL


@pytest.mark.parametrize(
    ("rate", "keys", "likely_s", "wanted"),
    [
        (RATE, 1, 60.0, 90),
        (RATE, 2, 60.0, 180),
        (RATE, 1, 0.0, 4),
        (Rate(1, 1000.0), 1, 60.0, 4),
        (Rate(1000, 1.0), 4, 600.0, 1000),
        (Rate(None, 1.0), 1, 60.0, 200),
    ],
)
def test_as_many_runs_live_as_keep_the_window_busy(rate: Rate, keys: int, likely_s: float, wanted: int) -> None:
    assert live_runs(rate, keys, likely_s) == wanted
