"""The gate for all, the breaker on submissions, and how many POSTs may be in the air."""

from __future__ import annotations

import math

import pytest

from batchgen.core.gate import Breaker, Gate, OpenPosts
from batchgen.records import Failure

WHY = Failure("RATE_LIMITED", "Slow down.")


def refused(gate: Gate, now: float, *, begun_at: float | None = None, asked: float | None = None) -> Gate:
    return gate.close(now, now if begun_at is None else begun_at, WHY, asked, 1.0)


def test_without_a_word_from_the_service_each_refusal_doubles_the_pause_up_to_a_minute() -> None:
    gate, now, pauses = Gate(), 0.0, []
    for _ in range(9):
        gate = refused(gate, now)
        pauses.append(gate.opens_at - now)
        now = gate.opens_at
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


def test_refusals_without_end_never_overflow() -> None:
    gate, now = Gate(), 0.0
    for _ in range(5000):
        gate = refused(gate, now)
        now = gate.opens_at
    assert refused(gate, now, asked=3.0).opens_at == now + 3.0


def test_jitter_takes_up_to_a_quarter_off_and_adds_nothing() -> None:
    assert [Gate().close(0.0, 0.0, WHY, None, roll).opens_at for roll in (0.0, 1.0)] == [0.75, 1.0]


def test_what_the_service_asked_for_is_honoured_exactly_and_at_least_a_moment() -> None:
    assert refused(Gate(), 5.0, asked=17.0).opens_at == 22.0
    assert refused(Gate(), 5.0, asked=0.0).opens_at == 5.25


def test_of_refusals_under_way_together_only_the_first_makes_the_next_pause_longer() -> None:
    gate = refused(Gate(), 10.0, begun_at=9.0)
    for now in (10.1, 10.2, 10.3):
        gate = refused(gate, now, begun_at=9.5)
    assert gate.in_row == 1
    assert refused(gate, 20.0).in_row == 2


def test_a_later_shorter_pause_does_not_open_the_gate_earlier() -> None:
    assert refused(refused(Gate(), 0.0, asked=60.0), 1.0, begun_at=0.0).opens_at == 60.0


def test_an_answer_begun_after_the_closing_makes_the_next_pause_short_again_and_an_older_one_does_not() -> None:
    gate = refused(refused(Gate(), 0.0), 5.0)
    assert gate.answered(begun_at=4.0).in_row == 2
    assert gate.answered(begun_at=6.0).in_row == 0
    assert gate.answered(begun_at=6.0).opens_at == gate.opens_at


def fed(breaker: Breaker, pattern: str, now: float = 0.0) -> Breaker:
    """`d` is a doubt, `c` a clear end; all begun and ended at the same moment."""
    for letter in pattern:
        breaker = breaker.after(in_doubt=letter == "d", begun_at=now, now=now)
    return breaker


@pytest.mark.parametrize(
    "pattern", ["ddd", "cddd", "dcdcdcdcd", "d" + "c" * 12 + "dcccdccdccd", "dd" + "c" * 44 + "ddcd"]
)
def test_three_doubts_in_a_row_or_five_among_fifty_open_it(pattern: str) -> None:
    assert fed(Breaker(), pattern[:-1]).paused_until is None
    opened = fed(Breaker(), pattern)
    assert opened.paused_until == 30.0
    assert not opened.may_submit(29.9, 0)


@pytest.mark.parametrize("pattern", ["", "dd", "ddcdd", "dd" + "c" * 45 + "ddcd", "c" * 500])
def test_fewer_doubts_leave_it_closed(pattern: str) -> None:
    breaker = fed(Breaker(), pattern)
    assert breaker.paused_until is None
    assert breaker.may_submit(0.0, 500)
    assert len(breaker.recent) <= 50


def test_while_it_is_open_one_probe_goes_out_at_a_time_when_the_pause_is_over() -> None:
    breaker = fed(Breaker(), "ddd")
    assert not breaker.may_submit(30.0, 1)
    assert breaker.may_submit(30.0, 0)


@pytest.mark.parametrize("in_doubt", [True, False])
def test_requests_that_were_under_way_when_it_opened_are_no_probes(in_doubt: bool) -> None:
    breaker = fed(Breaker(), "ddd", now=10.0)
    for begun_at in (0.0, 9.9, 10.0, 39.9):
        assert breaker.after(in_doubt=in_doubt, begun_at=begun_at, now=45.0) == breaker


def test_failed_probes_double_the_pause_and_the_fifth_gives_up() -> None:
    breaker, pauses = fed(Breaker(), "ddd"), []
    for _ in range(4):
        now = breaker.paused_until or math.nan
        assert breaker.may_submit(now, 0)
        breaker = fed(breaker, "d", now)
        pauses.append((breaker.paused_until or math.nan) - now)
        assert not breaker.gave_up
    assert pauses == [60.0, 120.0, 240.0, 480.0]
    breaker = fed(breaker, "d", breaker.paused_until or math.nan)
    assert breaker.gave_up
    assert not breaker.may_submit(math.inf, 0)


def test_the_pause_never_grows_beyond_ten_minutes() -> None:
    breaker = fed(Breaker(first_pause_s=500.0), "ddd")
    assert (fed(breaker, "d", 500.0).paused_until or 0.0) - 500.0 == 600.0


def test_a_clear_probe_closes_it_and_the_past_is_forgotten() -> None:
    breaker = fed(fed(fed(Breaker(), "ddd"), "d", 30.0), "c", 95.0)
    assert breaker == Breaker()
    assert fed(breaker, "dd").paused_until is None


def test_few_posts_are_in_the_air_at_first_and_as_many_as_a_user_asks_for_within_reason() -> None:
    assert OpenPosts().most == OpenPosts.beginning_with(None).most == 4
    assert OpenPosts.beginning_with(1).most == 1
    assert OpenPosts.beginning_with(500).most == 16
    assert OpenPosts.beginning_with(9).answered().doubted() == OpenPosts.beginning_with(9)


def test_a_clear_answer_earns_one_more_post_in_the_air_and_a_doubt_takes_all_of_them_back() -> None:
    posts = OpenPosts()
    for _ in range(1000):
        posts = posts.answered()
    assert posts.most == 512
    assert posts.doubted() == OpenPosts()
    assert OpenPosts().answered().most == OpenPosts().most + 1
