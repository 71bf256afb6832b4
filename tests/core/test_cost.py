"""The money: unknown is never nothing."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import pytest

from batchgen import events as ev
from batchgen.core.cost import Admission, Money, Prices, admit, money_of, paid_for
from batchgen.records import Record, Status
from tests.core.samples import (
    AT,
    MODEL,
    WHY,
    after,
    created,
    doubted,
    downloaded,
    failed,
    in_status,
    intended,
    planned,
    succeeded,
)


def no_guess(_model: str, _given: Mapping[str, Any]) -> int | None:
    return None


def guess(_model: str, _given: Mapping[str, Any]) -> int | None:
    return 50_000


def money(*records: Record, bundled: Any = no_guess) -> Money:
    return money_of(records, Prices(records, bundled))


BEGUN = (planned(), intended())
UNPRICED = after(*BEGUN, created(cost=None))


def test_what_was_taken_is_spent_and_what_was_given_back_is_not() -> None:
    kept, back = in_status(Status.DOWNLOADED, "a"), in_status(Status.FAILED, "b")
    assert money(kept, back) == Money(spent=200_000, refunded=200_000)


def test_a_cost_that_nobody_named_counts_as_its_estimate_and_is_said_to_be_unknown() -> None:
    counted = money(UNPRICED, bundled=guess)
    assert counted == Money(estimated=50_000, unpriced=1)
    assert counted.counted == 50_000


def test_a_cost_without_even_an_estimate_is_said_to_be_unknown() -> None:
    assert money(UNPRICED) == Money(unpriced=1)


@pytest.mark.parametrize("last", [doubted(), None, "abandoned"])
def test_a_run_in_doubt_open_or_abandoned_counts_by_its_estimate(last: Any) -> None:
    events: tuple[ev.Event, ...] = BEGUN if last is None else (*BEGUN, doubted())
    if last == "abandoned":
        events = (*events, ev.Abandoned(id="lamp", at=AT))
    record = after(*events)
    assert money(record, bundled=guess) == Money(doubtful=50_000, doubtful_runs=1)
    assert money(record, bundled=guess).counted == 50_000
    assert money(record) == Money(doubtful_runs=1, unpriced=1)


def test_a_failure_without_a_refund_stays_spent() -> None:
    assert money(after(*BEGUN, created(), failed(refunded=False))).spent == 200_000


def test_what_surely_created_nothing_costs_nothing() -> None:
    released = after(*BEGUN, doubted(), ev.Released(id="lamp", at=AT))
    rejected = after(*BEGUN, ev.Rejected(id="lamp", at=AT, failure=WHY))
    assert money(released, rejected, in_status(Status.PENDING), bundled=guess) == Money()


def test_every_attempt_counts_and_not_only_the_newest() -> None:
    twice = after(*BEGUN, created(), succeeded(), downloaded(), planned(prompt="new"), intended(), created(cost=7))
    assert money(twice).spent == 200_007


def test_a_price_that_the_service_named_beats_the_estimate_and_holds_for_its_kind_only() -> None:
    prices = Prices([in_status(Status.SUBMITTED)], guess)
    assert prices.of(MODEL, {"prompt": "something else"}) == 200_000
    assert prices.of(MODEL, {"prompt": "x", "duration": "12"}) == 50_000
    assert prices.learned(MODEL, {"prompt": "y"})
    assert not prices.learned(MODEL, {"prompt": "y", "duration": "12"})


def test_no_price_is_learned_from_what_was_refused_in_doubt_or_unnamed() -> None:
    rejected = after(*BEGUN, ev.Rejected(id="lamp", at=AT, failure=WHY))
    prices = Prices([rejected, UNPRICED, in_status(Status.IN_DOUBT)], no_guess)
    prices.learn(MODEL, {"prompt": "x"}, None)
    assert prices.of(MODEL, {"prompt": "x"}) is None


def test_the_price_of_an_attempt_at_an_earlier_input_is_not_taken_for_that_of_the_new_one() -> None:
    events = (*BEGUN, created(cost=900_000), succeeded(), downloaded(), planned(prompt="x", duration="4"))
    for record in (after(*events), after(*events, intended()), after(*events, intended(), doubted())):
        assert Prices([record], guess).of(MODEL, {"prompt": "y", "duration": "4"}) == 50_000


@pytest.mark.parametrize(
    ("limit", "counted", "reserved", "price", "unknown", "wanted"),
    [
        (None, 10**12, 10**12, None, 5, Admission.YES),
        (100, 0, 0, 100, 0, Admission.YES),
        (100, 0, 0, 101, 0, Admission.NO),
        (100, 60, 20, 20, 0, Admission.YES),
        (100, 60, 21, 20, 0, Admission.NO),
        (100, 99, 0, None, 0, Admission.YES),
        (100, 100, 0, None, 0, Admission.NO),
        (100, 0, 100, None, 0, Admission.NO),
        (100, 0, 0, None, 1, Admission.WAIT),
        (100, 0, 0, 50, 1, Admission.YES),
        (0, 0, 0, None, 0, Admission.NO),
        (0, 0, 0, 0, 0, Admission.YES),
    ],
)
def test_who_is_let_in_under_a_limit(
    limit: int | None, counted: int, reserved: int, price: int | None, unknown: int, wanted: Admission
) -> None:
    assert admit(limit, counted, reserved, price, unknown) is wanted


def test_runs_of_known_price_never_go_over_the_limit() -> None:
    for limit, counted, reserved, price in product(range(0, 50, 7), repeat=4):
        if admit(limit, counted, reserved, price, 0) is Admission.YES:
            assert counted + reserved + price <= limit


def test_for_which_statuses_money_was_or_may_have_been_taken() -> None:
    unpaid = {status for status in Status if not paid_for(in_status(status))}
    assert unpaid == {Status.PENDING, Status.FAILED}
