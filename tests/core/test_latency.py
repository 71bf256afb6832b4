"""What is expected of a run's latency: from the prior at first, from what was seen as soon as there is enough of it."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from batchgen.core.latency import FEW, Expected, Kind, Latencies, expected_from, latency_of, spec_of
from tests.core.samples import after, created, intended, planned, succeeded

PRIOR = (40.0, 60.0)
seconds = st.floats(0.0, 1e6)
distributions = st.builds(
    expected_from, st.lists(seconds, max_size=64), st.tuples(seconds, seconds).map(lambda pair: (min(pair), max(pair)))
)


@given(distributions, st.lists(st.floats(-10.0, 1e7), min_size=2, max_size=10))
def test_the_share_that_is_done_only_grows_with_the_age_and_stays_below_all(
    expected: Expected, ages: list[float]
) -> None:
    shares = [expected.share_by(age) for age in sorted(ages)]
    assert shares == sorted(shares)
    assert all(0.0 <= share < 1.0 for share in shares)


@given(distributions, st.floats(0.0, 0.999))
def test_the_age_by_which_a_share_is_done_is_the_inverse(expected: Expected, share: float) -> None:
    age = expected.age_by(share)
    assert math.isfinite(age)
    assert expected.share_by(age) == pytest.approx(share, abs=1e-6)


@given(distributions, seconds, st.floats(0.0, 0.99))
def test_a_run_that_was_not_done_yet_has_its_chances_still_before_it(
    expected: Expected, asked_age: float, chance: float
) -> None:
    assume(expected.share_by(asked_age) < 0.9999)
    age = expected.age_when(asked_age, chance)
    assert age >= asked_age * (1 - 1e-9)
    assert expected.done_since(asked_age, age) == pytest.approx(chance, abs=1e-5)


def test_a_run_that_is_far_beyond_all_others_may_still_be_done_now() -> None:
    expected = expected_from([0.001] * 64, PRIOR)
    assert 0.0 <= expected.done_since(1e9, 2e9) < 1.0


def test_the_end_of_time_is_when_all_are_done() -> None:
    assert expected_from([], PRIOR).age_by(1.0) == math.inf


def test_a_prior_is_taken_roughly_at_its_word_and_may_be_far_off() -> None:
    expected = expected_from([], PRIOR)
    assert 40.0 < expected.age_by(0.5) < 50.0
    assert expected.share_by(5.0) > 0.0
    assert 0.8 < expected.share_by(60.0) < 0.95


def test_a_few_runs_that_were_seen_outweigh_the_prior() -> None:
    """The prior says forty to sixty seconds, the service takes five."""
    expected = expected_from([5.0] * FEW, PRIOR)
    assert 4.0 < expected.age_by(0.8) < 6.0
    assert expected_from([5.0], PRIOR).share_by(6.0) > 0.4


def test_many_runs_tell_their_distribution() -> None:
    random = Random(1)
    expected = expected_from([random.uniform(40.0, 60.0) for _ in range(64)], (1.0, 2.0))
    for share in (0.1, 0.5, 0.9):
        assert expected.age_by(share) == pytest.approx(40.0 + 20.0 * share, abs=3.0)
    assert 59.0 < expected.age_by(0.99) < 75.0


def test_only_the_latest_runs_count() -> None:
    kind = Kind(PRIOR)
    for latency in (500.0,) * 100 + (50.0,) * 64:
        kind.observe(latency)
    assert kind.expected.age_by(0.9) == pytest.approx(50.0, rel=0.2)


def test_a_kind_is_known_after_a_few() -> None:
    kind = Kind(PRIOR)
    for _ in range(FEW):
        assert not kind.known
        kind.observe(50.0)
    assert kind.known


@pytest.mark.parametrize(
    ("exact", "not_done_at", "done_at", "wanted"),
    [
        (50.0, 0.0, 80.0, 50.0),  # the service's own word
        (50.0, 0.0, 49.0, 50.0),  # its clock may have begun a little earlier than ours
        (900.0, 40.0, 60.0, 50.0),  # makes no sense: it was seen done long before
        (None, 40.0, 60.0, 50.0),
        (None, 0.0, 60.0, 54.0),  # done at its first poll: somewhat earlier
        (None, 90.0, 60.0, 60.0),  # the clock was set back between
    ],
)
def test_what_a_finished_run_tells(exact: float | None, not_done_at: float, done_at: float, wanted: float) -> None:
    assert latency_of(exact, not_done_at, done_at) == wanted


def test_a_kind_of_run_is_its_model_and_parameters_but_not_its_words_and_pictures() -> None:
    first = spec_of("m", {"prompt": "a", "duration": "8", "image_urls": ["x"]})
    assert first == spec_of("m", {"duration": "8", "image_urls": ["y"], "prompt": "b"})
    assert first != spec_of("m", {"prompt": "a", "duration": "8"})
    assert first != spec_of("m", {"prompt": "a", "duration": "4", "image_urls": ["x"]})
    assert first != spec_of("n", {"prompt": "a", "duration": "8", "image_urls": ["x"]})


def test_a_state_teaches_what_its_runs_took() -> None:
    records = [after(planned(), intended(), created(), succeeded(latency_s=float(n))) for n in (7, 8, 9)]
    latencies = Latencies(records, lambda _model, _given: PRIOR)
    assert latencies.of(records[0].model, records[0].input).known
    assert not latencies.of("another", {}).known


def test_a_model_of_which_nothing_is_known_has_a_plain_guess() -> None:
    kind = Latencies([], lambda _model, _given: None).of("m", {})
    assert 40.0 < kind.expected.age_by(0.5) < 90.0
