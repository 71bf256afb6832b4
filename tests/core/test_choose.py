"""Who gets the next slot, and how many runs live at once."""

from __future__ import annotations

import math

import pytest

from batchgen.core.choose import Pick, Waiting, choose, live_runs, spare_interval_s, worth_a_spare_slot
from batchgen.core.window import Rate

RATE = Rate(20, 10.0)


@pytest.mark.parametrize(
    ("urgent_at", "submission", "free", "wanted"),
    [
        (9.0, True, 1, Pick.URGENT_POLL),  # probably done: it ends a run
        (10.0, True, 1, Pick.URGENT_POLL),
        (11.0, True, 20, Pick.SUBMISSION),
        (11.0, False, 20, Pick.SPARE_POLL),
        (11.0, False, 3, Pick.SPARE_POLL),
        (11.0, False, 2, Pick.NOBODY),  # a tenth of the window is kept for who needs it
        (9.0, False, 1, Pick.URGENT_POLL),
    ],
)
def test_who_goes_next(urgent_at: float, submission: bool, free: int, wanted: Pick) -> None:
    assert choose(10.0, Waiting(1, urgent_at, submission), free, RATE.limit) is wanted


@pytest.mark.parametrize(("submission", "wanted"), [(True, Pick.SUBMISSION), (False, Pick.NOBODY)])
def test_without_a_poll_only_submissions_go(submission: bool, wanted: Pick) -> None:
    assert choose(10.0, Waiting(0, math.inf, submission), 20, RATE.limit) is wanted


def test_spare_polls_go_out_evenly_and_urgent_ones_and_submissions_at_once() -> None:
    assert choose(10.0, Waiting(1, 11.0, False, spare_from=10.1), 20, 20) is Pick.NOBODY
    assert choose(10.1, Waiting(1, 11.0, False, spare_from=10.1), 20, 20) is Pick.SPARE_POLL
    assert choose(10.0, Waiting(1, 10.0, False, spare_from=10.1), 20, 20) is Pick.URGENT_POLL
    assert choose(10.0, Waiting(1, 11.0, True, spare_from=10.1), 20, 20) is Pick.SUBMISSION


def test_spare_polls_never_fill_the_window_by_themselves() -> None:
    assert RATE.seconds / spare_interval_s(RATE) == pytest.approx(18)
    assert spare_interval_s(Rate(None, 1.0)) == 0.0


@pytest.mark.parametrize("limit", [1, 3, None])
def test_a_small_window_or_none_keeps_nothing_back(limit: int | None) -> None:
    assert choose(0.0, Waiting(1, 5.0, False), 1, limit) is Pick.SPARE_POLL


def test_the_more_runs_are_live_the_surer_a_spare_poll_must_be_to_find_one_done() -> None:
    chances = [worth_a_spare_slot(live, 20, known=True) for live in (1, 6, 15, 30, 1000)]
    assert chances == sorted(chances)
    assert 0 < chances[0] < 0.15
    assert chances[2] == pytest.approx(0.5)
    assert chances[-1] < 1.0


def test_a_kind_of_run_that_is_not_known_is_explored_however_many_are_live() -> None:
    assert worth_a_spare_slot(1000, 20, known=False) < worth_a_spare_slot(1, 20, known=True)


def test_a_window_bounds_the_live_runs_by_itself_and_without_one_a_number_does() -> None:
    assert live_runs(RATE) == 1000
    assert live_runs(Rate(None, 1.0)) == 200
