"""How much of the window is used when the service refuses: down by a factor, up by ones, and back to all of it."""

from __future__ import annotations

from batchgen.core.pace import Pace

FULL = Pace.full(20, 10.0)


def test_the_whole_window_is_used_until_the_service_refuses() -> None:
    assert FULL.grown(1e9) == FULL
    assert FULL.limit == 20


def test_a_refusal_leaves_less_than_what_went_through() -> None:
    assert FULL.limited(10, 5.0, 6.0).limit == 7
    assert FULL.limited(0, 5.0, 6.0).limit == 1
    assert FULL.limited(1000, 5.0, 6.0).limit == 14


def test_refusals_of_requests_that_were_under_way_together_count_once() -> None:
    once = FULL.limited(20, 5.0, 6.0)
    assert once.limited(19, 5.5, 6.5) is once
    assert once.limited(14, 6.1, 6.5).limit < once.limit


def test_one_more_is_tried_for_each_window_without_a_refusal_until_all_is_ours_again() -> None:
    pace, now = FULL.limited(10, 0.0, 0.0), 0.0
    seen = []
    while pace.limit < 20:
        now = pace.grows_at()
        assert pace.grown(now - 0.001) == pace
        pace = pace.grown(now)
        seen.append(pace.limit)
    assert seen == list(range(8, 21))
    assert now < 300.0  # five minutes
    assert pace.grown(1e9) == pace


def test_near_the_last_refusal_growth_is_slower() -> None:
    pace = FULL.limited(10, 0.0, 0.0)
    gaps = {}
    for _ in range(6):
        before, pace = pace, pace.grown(pace.grows_at())
        gaps[before.limit] = pace.grown_at - before.grown_at
    assert gaps[8] == 10.0
    assert gaps[9] == gaps[10] == 60.0
    assert gaps[11] == 10.0


def test_a_window_far_too_optimistic_settles_under_one_refusal_in_a_hundred() -> None:
    """Two hundred are set, the service allows twenty in any ten seconds: a model of both, request by request."""
    pace, now, sent, refused, recent = Pace.full(200, 10.0), 0.0, 0, 0, list[float]()
    counted_from = 30.0
    while now < 2000.0:
        pace = pace.grown(now)
        recent = [at for at in recent if at > now - 10.0]
        if len(recent) >= pace.limit:  # a slot comes back, or one more is tried
            now = max(now + 0.001, min(recent[0] + 10.0, pace.grows_at()))
            continue
        late = now > counted_from
        sent += late
        if len(recent) >= 20:
            refused += late
            pace = pace.limited(len(recent), now, now + 0.01)
            now += 1.0
        else:
            recent.append(now)
            now += 0.01
    assert refused / sent < 0.01
    assert sent > 0.6 * 2 * (2000.0 - counted_from)
