"""When to ask after a run, and what each answer means for how long it is followed."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core import polling as p
from batchgen.core import verdict as v
from batchgen.core.latency import Kind
from batchgen.records import Failure

POLICY = p.PollPolicy()
WATCH = p.Watch(since=0.0)
WHY = Failure("why", "Because.")
AGAIN, LIMITED, GONE, PAUSE = v.PollAgain(WHY), v.PollAgain(WHY, limited=True), v.Missing(WHY), v.PauseKey(WHY)
RUNNING, EMPTY = v.StillRunning("running"), v.ReadyEmpty(None)


def watched(course: p.Course) -> p.Watch:
    assert isinstance(course, p.Continue)
    return course.watch


def after(*steps: tuple[float, v.GetVerdict], own_key: bool = True, policy: p.PollPolicy = POLICY) -> p.Course:
    """The course after these answers, each at its time."""
    course: p.Course = p.Continue(WATCH)
    for now, verdict in steps:
        course = p.course_after(watched(course), verdict, now, policy, own_key=own_key)
    return course


def test_a_run_that_is_ready_is_finished_with_its_urls_and_price() -> None:
    assert after((5.0, v.Ready(("u",), 7, 4.0))) == p.Finished(("u",), 7, 4.0)


def test_a_run_that_the_service_ended_comes_to_nothing_and_its_money_comes_back() -> None:
    assert after((5.0, v.Ended(WHY))) == p.ComeToNothing(WHY, refunded=True)


@pytest.mark.parametrize("verdict", [RUNNING, EMPTY, AGAIN, LIMITED, PAUSE, GONE])
def test_any_other_answer_is_followed_by_another_poll(verdict: v.GetVerdict) -> None:
    assert isinstance(after((5.0, verdict)), p.Continue)


def test_the_fifth_answer_without_a_video_ends_the_run_whatever_comes_between() -> None:
    answers: list[v.GetVerdict] = [EMPTY, EMPTY, RUNNING, EMPTY, AGAIN, EMPTY]
    steps = [(float(n), verdict) for n, verdict in enumerate(answers)]
    assert watched(after(*steps)).empties == 4
    assert after(*steps, (9.0, EMPTY)) == p.ComeToNothing(p.NO_OUTPUT, refunded=False)


def test_answers_without_a_video_are_asked_for_again_later_and_later() -> None:
    twice = watched(after((0.0, EMPTY), (1.0, EMPTY)))
    once = watched(after((1.0, EMPTY)))
    assert due(twice, 1.0, 0.0).not_before > due(once, 1.0, 0.0).not_before > 1.0


def test_a_run_that_is_not_found_is_failed_only_after_ten_minutes_of_it() -> None:
    assert isinstance(after((100.0, GONE), (699.0, GONE)), p.Continue)
    assert after((100.0, GONE), (400.0, GONE), (700.0, GONE)) == p.ComeToNothing(p.NOT_FOUND, refunded=False)


def test_a_run_that_is_found_again_has_its_ten_minutes_anew() -> None:
    assert isinstance(after((0.0, GONE), (500.0, RUNNING), (700.0, GONE), (1200.0, GONE)), p.Continue)


@pytest.mark.parametrize("verdict", [AGAIN, LIMITED, PAUSE, RUNNING])
def test_an_outage_after_a_404_never_fails_the_run(verdict: v.GetVerdict) -> None:
    """Design: a transport error, 429 or 5xx never fails a run, however long ago it was not found."""
    assert isinstance(after((0.0, GONE), (700.0, verdict)), p.Continue)


def test_another_keys_404_says_nothing_of_the_run_and_leaves_it() -> None:
    assert after((5.0, GONE), own_key=False) == p.Leave(p.OTHER_KEY)
    assert isinstance(after((5.0, RUNNING), (6.0, AGAIN), own_key=False), p.Continue)


@pytest.mark.parametrize("verdict", [RUNNING, AGAIN, LIMITED, PAUSE, EMPTY])
def test_when_the_run_timeout_is_over_the_run_is_left_and_not_failed(verdict: v.GetVerdict) -> None:
    assert isinstance(after((1799.0, verdict)), p.Continue)
    assert after((1800.0, verdict)) == p.Leave(p.TIMED_OUT)


def test_a_run_that_is_ready_when_the_timeout_is_over_is_still_taken() -> None:
    assert isinstance(after((9999.0, v.Ready(("u",), None))), p.Finished)


def test_the_timeout_counts_from_this_sessions_first_poll_and_not_from_the_runs_birth() -> None:
    course = p.course_after(p.Watch(since=100.0, age_s=9e9), RUNNING, 200.0, POLICY)
    assert isinstance(course, p.Continue)


def test_errors_add_up_and_an_answer_forgets_them() -> None:
    assert watched(after((1.0, AGAIN), (2.0, GONE), (3.0, AGAIN))).errors == 3
    assert watched(after((1.0, AGAIN), (2.0, RUNNING))).errors == 0


@pytest.mark.parametrize("verdict", [LIMITED, PAUSE])
def test_a_rate_limit_or_a_pausing_key_does_not_slow_this_run_down(verdict: v.GetVerdict) -> None:
    assert watched(after((1.0, verdict))) == WATCH


def kind(*seen: float, prior: tuple[float, float] = (40.0, 60.0)) -> Kind:
    """A kind of run of which these latencies were seen."""
    known = Kind(prior)
    for seconds in seen:
        known.observe(seconds)
    return known


KNOWN = kind(*range(40, 60))


def due(watch: p.Watch, now: float, roll: float = 0.5, *, of: Kind = KNOWN, scarce: bool = True) -> p.Due:
    return p.next_poll(watch, now, of, POLICY, roll, scarce=scarce)


@pytest.mark.parametrize("scarce", [True, False])
def test_backoff_doubles_up_to_a_minute_and_never_beyond(scarce: bool) -> None:
    pauses = [due(replace(WATCH, errors=n), 0.0, 1.0, scarce=scarce).not_before for n in range(1, 9)]
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert due(replace(WATCH, errors=5000), 0.0, 1.0).urgent_at() == 60.0


def test_a_poll_is_urgent_only_when_the_run_is_almost_surely_done() -> None:
    young = due(replace(WATCH, since=10.0), 12.0)
    assert young.not_before < 14.0
    assert 67.0 < young.urgent_at() < 70.0


def test_a_poll_comes_earlier_while_little_is_known_of_the_kind() -> None:
    firsts = [due(WATCH, 0.0, of=kind(*[50.0 + n for n in range(many)])).urgent_at() for many in (0, 20)]
    assert firsts[0] < firsts[1]


def test_a_run_of_an_earlier_session_is_asked_after_at_once() -> None:
    assert due(p.Watch(since=10.0, age_s=100.0), 10.0).urgent_at() < 12.0


def test_what_is_learned_while_a_poll_waits_moves_it() -> None:
    learning = kind(50.0, 51.0, 52.0)
    waiting = due(WATCH, 0.0, of=learning)
    before = waiting.urgent_at()
    for _ in range(64):
        learning.observe(5.0)
    assert waiting.urgent_at() < before / 5


def test_a_run_that_was_not_done_when_it_should_have_been_is_asked_after_at_intervals_that_grow_with_its_age() -> None:
    late = [due(replace(WATCH, polls=3, asked_age=age), age).urgent_at() - age for age in (60.0, 120.0, 600.0)]
    assert late == sorted(late)
    assert late[0] >= 0.75
    assert late[-1] == pytest.approx(200.0)


def test_an_answer_that_finds_the_run_unfinished_is_remembered_with_its_age() -> None:
    assert watched(after((30.0, RUNNING))).asked_age == 30.0
    assert watched(after((30.0, RUNNING), (40.0, AGAIN))).asked_age == 30.0


@pytest.mark.parametrize(
    ("age_s", "exact", "wanted"),
    [
        (0.0, 48.0, 48.0),
        (0.0, None, 45.0),  # done at its first poll, or a little before
        (3600.0, None, None),  # done while nobody was there to see it: nothing is learned
        (3600.0, 48.0, 48.0),  # but the service knows
    ],
)
def test_what_a_finished_run_teaches(age_s: float, exact: float | None, wanted: float | None) -> None:
    course = p.course_after(p.Watch(since=0.0, age_s=age_s), v.Ready(("u",), 7, exact), 50.0, POLICY)
    assert course == p.Finished(("u",), 7, wanted)


def test_a_finished_run_that_was_seen_unfinished_lies_between() -> None:
    course = after((30.0, RUNNING), (50.0, v.Ready(("u",), None)))
    assert course == p.Finished(("u",), None, 40.0)


@given(
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.floats(0.0, 1e6),
    st.floats(0.0, 1e6),
    st.floats(0.0, 1.0),
    st.lists(st.floats(0.0, 1e4), max_size=20),
    st.booleans(),
)
def test_the_next_poll_is_always_later_and_never_out_of_reach(
    polls: int, errors: int, age: float, now: float, roll: float, seen: list[float], scarce: bool
) -> None:
    watch = p.Watch(since=now, age_s=age, polls=polls, errors=errors, asked_age=age)
    known = kind(*seen)
    waiting = due(watch, now, roll, of=known, scarce=scarce)
    assert now < waiting.not_before <= waiting.urgent_at() < math.inf
    assert waiting.not_before - now <= 60.0
    assert waiting.urgent_at() - now <= 60.0 + age + known.expected.age_by(0.95)
