from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.cost import Money
from batchgen.report.money import dollars, dollars_between, money_json, money_words


@pytest.mark.parametrize(
    ("micro", "text"),
    [
        (40_000, "$0.04"),
        (12_345_000, "$12.345"),
        (0, "$0.00"),
        (200_000, "$0.20"),
        (1_250_000_000, "$1,250.00"),
        (999_999, "$1.00"),
        (48_499, "$0.048"),
        (48_500, "$0.049"),
        (40, "$0.000040"),
        (-40_000, "-$0.04"),
        (None, "unknown"),
    ],
)
def test_an_amount_in_dollars(micro: int | None, text: str) -> None:
    assert dollars(micro) == text


@given(st.integers(min_value=1, max_value=10**15))
def test_something_is_never_shown_as_nothing_and_within_half_a_tenth_of_a_cent(micro: int) -> None:
    shown = round(float(dollars(micro).replace("$", "").replace(",", "")) * 1_000_000)
    assert shown > 0
    assert abs(shown - micro) <= 500


def test_a_range_of_one_amount_is_that_amount() -> None:
    assert dollars_between(40_000, 40_000) == "$0.04"
    assert dollars_between(40_000, 80_000) == "$0.04 to $0.08"


def test_an_unknown_price_is_not_zero_dollars() -> None:
    words = money_words(Money(unpriced=3))
    assert "$0" not in words
    assert "the amount spent is unknown" in words
    assert "3 runs have a price that is not known" in words


def test_doubtful_money_counts_as_spent_and_stands_apart() -> None:
    words = money_words(Money(spent=400_000, refunded=40_000, doubtful=96_000, doubtful_runs=2))
    assert words == ("$0.40 spent; $0.04 refunded; about $0.096 in doubt or abandoned (2 runs), which counts as spent.")


def test_doubtful_money_without_a_price_is_unknown() -> None:
    words = money_words(Money(doubtful_runs=1, unpriced=1))
    assert "an unknown amount in doubt or abandoned (1 run)" in words
    assert "$0" not in words


def test_json_keeps_the_exact_sums() -> None:
    assert money_json(Money(123_456, 1, 2, 3, 4)) == {
        "spent_micro_usd": 123_456,
        "refunded_micro_usd": 1,
        "in_doubt_micro_usd": 2,
        "counted_as_spent_micro_usd": 123_458,
        "runs_in_doubt_or_abandoned": 3,
        "runs_of_unknown_price": 4,
    }
