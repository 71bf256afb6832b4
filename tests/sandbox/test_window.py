"""The request window is a strict sliding one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from batchgen.sandbox.window import SlidingWindow


def test_the_next_request_is_let_in_when_the_first_is_a_whole_window_old() -> None:
    window = SlidingWindow(2, 10.0)
    assert [window.admit(t) for t in (0.0, 1.0, 9.99, 10.0, 10.5, 11.0)] == [True, True, False, True, False, True]


def test_refused_requests_do_not_count() -> None:
    window = SlidingWindow(1, 10.0)
    assert [window.admit(t) for t in (0.0, 9.0, 9.9, 10.0)] == [True, False, False, True]


@given(st.lists(st.floats(0, 5), max_size=200), st.integers(1, 5))
def test_no_stretch_of_a_window_ever_holds_more_than_the_limit(gaps: list[float], limit: int) -> None:
    window, now, admitted = SlidingWindow(limit, 10.0), 0.0, []
    for gap in gaps:
        now += gap
        if window.admit(now):
            admitted.append(now)
    for first in admitted:
        assert sum(first <= at < first + 10.0 for at in admitted) <= limit
