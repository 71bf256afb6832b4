"""Who gets the next slot, and how many runs live at once."""

from __future__ import annotations

import math

import pytest

from batchgen.core.choose import Pick, Waiting, choose, live_runs, spare_interval_s
from batchgen.core.window import Rate

RATE = Rate(20, 10.0)


@pytest.mark.parametrize(
    ("urgent_at", "submission", "free", "wanted"),
    [
        (9.0, True, 1, Pick.POLL),  # probably done: it ends a run
        (10.0, True, 1, Pick.POLL),
        (11.0, True, 20, Pick.SUBMISSION),
        (11.0, False, 20, Pick.POLL),
        (11.0, False, 3, Pick.POLL),
        (11.0, False, 2, Pick.NOBODY),  # a tenth of the window is kept for who needs it
        (9.0, False, 1, Pick.POLL),
        (math.inf, True, 1, Pick.SUBMISSION),
        (math.inf, False, 20, Pick.NOBODY),
    ],
)
def test_who_goes_next(urgent_at: float, submission: bool, free: int, wanted: Pick) -> None:
    assert choose(10.0, Waiting(urgent_at, submission), free, RATE) is wanted


def test_polls_that_will_find_nothing_go_out_evenly_and_urgent_ones_and_submissions_at_once() -> None:
    assert choose(10.0, Waiting(11.0, False, spare_from=10.1), 20, RATE) is Pick.NOBODY
    assert choose(10.1, Waiting(11.0, False, spare_from=10.1), 20, RATE) is Pick.POLL
    assert choose(10.0, Waiting(10.0, False, spare_from=10.1), 20, RATE) is Pick.POLL
    assert choose(10.0, Waiting(11.0, True, spare_from=10.1), 20, RATE) is Pick.SUBMISSION


def test_even_polls_never_fill_the_window_by_themselves() -> None:
    assert RATE.seconds / spare_interval_s(RATE) == pytest.approx(15)
    assert spare_interval_s(Rate(None, 1.0)) == 0.0


@pytest.mark.parametrize("rate", [Rate(1, 1.0), Rate(3, 10.0), Rate(None, 1.0)])
def test_a_small_window_or_none_keeps_nothing_back(rate: Rate) -> None:
    assert choose(0.0, Waiting(5.0, False), 1, rate) is Pick.POLL


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
