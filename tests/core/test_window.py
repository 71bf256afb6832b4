"""The request window as the service sees it, whatever the network does between the two."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.core.window import MARGIN_S, Rate, Window


@settings(max_examples=300, deadline=None)
@given(
    limit=st.integers(1, 5),
    seconds=st.floats(0.5, 10.0),
    plan=st.lists(
        st.tuples(st.floats(0.0, 4.0), st.floats(0.0, 15.0), st.floats(0.0, 1.0), st.sampled_from("eeeu")),
        min_size=1,
        max_size=40,
    ),
)
def test_no_stretch_of_the_services_clock_sees_more_than_the_limit(
    limit: int, seconds: float, plan: list[tuple[float, float, float, str]]
) -> None:
    """Each request begins as soon as the window lets it, lasts as long as it likes, and is counted any time between."""
    window, now = Window(Rate(limit, seconds)), 0.0
    open_until: list[tuple[float, str]] = []
    counted: list[float] = []

    def close_until(moment: float) -> None:
        for ends, kind in sorted(open_until):
            if ends <= moment:
                open_until.remove((ends, kind))
                if kind == "u":
                    window.unused()
                else:
                    window.end(ends)

    for pause, lasts, share, kind in plan:
        now += pause
        close_until(now)
        while not window.free(now):
            now = min([window.grows_at(now), *(ends for ends, _ in open_until)])
            assert now < math.inf
            close_until(now)
        window.begin()
        open_until.append((now + lasts, kind))
        if kind == "e":
            counted.append(now + share * lasts)
    for first in counted:
        assert sum(first <= at <= first + seconds for at in counted) <= limit


@pytest.fixture
def window() -> Window:
    return Window(Rate(2, 10.0))


def test_a_slot_comes_back_one_window_after_the_end_of_its_request(window: Window) -> None:
    window.begin()
    window.begin()
    window.end(3.0)
    assert (window.free(12.9), window.grows_at(12.9)) == (0, 13.0 + MARGIN_S)
    assert window.free(13.0 + MARGIN_S) == 1


def test_while_requests_are_under_way_time_alone_gives_nothing_back(window: Window) -> None:
    window.begin()
    window.begin()
    assert (window.free(1e9), window.grows_at(1e9)) == (0, math.inf)


def test_a_request_that_was_never_sent_gives_its_slot_back_at_once(window: Window) -> None:
    window.begin()
    window.unused()
    assert window.free(0.0) == 2


def test_without_a_limit_there_is_always_room_and_nothing_is_kept() -> None:
    window = Window(Rate(None, 1.0))
    for _ in range(1000):
        window.begin()
        window.end(0.0)
    assert window.free(0.0) > 1000
    assert window.grows_at(0.0) == math.inf
    assert Rate(None, 1.0).per_second == math.inf


def test_the_mean_rate() -> None:
    assert Rate(20, 10.0).per_second == 2.0
