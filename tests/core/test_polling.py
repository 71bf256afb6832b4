"""When to ask after a run, and what each answer means for how long it is followed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core import polling as p
from batchgen.core import verdict as v
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
    assert after((5.0, v.Ready(("u",), 7))) == p.Finished(("u",), 7)


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
    due = p.next_poll(twice, 1.0, p.Usual(40.0, 50.0), POLICY, 0.0)
    once = p.next_poll(watched(after((1.0, EMPTY))), 1.0, p.Usual(40.0, 50.0), POLICY, 0.0)
    assert due.ready_at > once.ready_at > 1.0


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


USUAL = p.Usual(early=40.0, likely=65.0)


def test_backoff_doubles_up_to_a_minute_and_never_beyond() -> None:
    pauses = [p.next_poll(replace(WATCH, errors=n), 0.0, USUAL, POLICY, 1.0).ready_at for n in range(1, 9)]
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert p.next_poll(replace(WATCH, errors=5000), 0.0, USUAL, POLICY, 1.0).urgent_at == 60.0


def test_a_poll_is_urgent_from_when_the_run_is_likely_done() -> None:
    young = p.next_poll(replace(WATCH, since=10.0), 12.0, USUAL, POLICY, 0.5)
    assert young.urgent_at == 75.0
    assert young.ready_at < 20.0
    resumed = p.next_poll(p.Watch(since=10.0, age_s=100.0), 10.0, USUAL, POLICY, 0.5)
    assert resumed.urgent_at < 20.0


@given(
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.floats(0.0, 1e6),
    st.floats(0.0, 1e6),
    st.floats(0.0, 1.0),
    st.floats(0.0, 1e4),
)
def test_the_next_poll_is_always_later_and_never_more_than_a_fraction_of_the_age_away(
    polls: int, errors: int, age: float, now: float, roll: float, early: float
) -> None:
    watch = p.Watch(since=now, age_s=age, polls=polls, errors=errors)
    usual = p.Usual(early, early + 25.0)
    due = p.next_poll(watch, now, usual, POLICY, roll)
    assert now < due.ready_at <= due.urgent_at
    assert due.ready_at - now <= 60.0
    assert due.urgent_at - now <= 60.0 + age / 8 + usual.likely


def test_what_was_seen_replaces_the_prior_as_soon_as_there_is_enough_of_it() -> None:
    latencies, spec = p.Latencies(), p.spec_of("m", {"prompt": "x"})
    assert latencies.usual(spec, None) == p.Usual(40.0, 65.0)
    assert latencies.usual(spec, (10.0, 30.0)) == p.Usual(10.0, 20.0)
    for seconds in (100.0, 200.0, 300.0):
        latencies.observe(spec, seconds)
    assert latencies.usual(spec, (10.0, 30.0)) == p.Usual(90.0, 200.0)
    for _ in range(1000):
        latencies.observe(spec, -5.0)
    assert latencies.usual(spec, None).likely == 0.0
    assert len(latencies.seen[spec]) == 64
    assert latencies.usual(p.spec_of("m", {"duration": "8"}), None).likely == 65.0


def test_a_kind_of_run_is_its_model_and_parameters_but_not_its_words_and_pictures() -> None:
    first = p.spec_of("m", {"prompt": "a", "duration": "8", "image_urls": ["x"]})
    assert first == p.spec_of("m", {"duration": "8", "image_urls": ["y"], "prompt": "b"})
    assert first != p.spec_of("m", {"prompt": "a", "duration": "8"})
    assert first != p.spec_of("m", {"prompt": "a", "duration": "4", "image_urls": ["x"]})
    assert first != p.spec_of("n", {"prompt": "a", "duration": "8", "image_urls": ["x"]})
