"""What a service's headers say of the request window, in every spelling that is in use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.allowance import Allowance, allowance_from


@pytest.mark.parametrize(
    ("headers", "wanted"),
    [
        ({"ratelimit": '"default";r=3;t=7'}, Allowance(3, 7.0)),
        ({"ratelimit": '"burst"; r=9; t=1, "hour"; r=2; t=1800'}, Allowance(2, 1800.0)),
        ({"ratelimit": "limit=20, remaining=3, reset=7"}, Allowance(3, 7.0)),
        ({"ratelimit-remaining": "3", "ratelimit-reset": "7"}, Allowance(3, 7.0)),
        ({"x-ratelimit-limit": "20", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "7"}, Allowance(0, 7.0)),
        ({"x-ratelimit-remaining": "3", "x-ratelimit-reset": "1790000000"}, None),  # a time of day
        ({"ratelimit-remaining": "3"}, None),
        ({"ratelimit-remaining": "-3", "ratelimit-reset": "7"}, None),
        ({"ratelimit-remaining": "three", "ratelimit-reset": "7"}, None),
        ({"ratelimit": '"default";q=20;w=10'}, None),  # a policy, without what is left of it
        ({}, None),
    ],
)
def test_each_spelling(headers: dict[str, str], wanted: Allowance | None) -> None:
    assert allowance_from(headers) == wanted


names = st.sampled_from(["ratelimit", "ratelimit-remaining", "ratelimit-reset", "x-ratelimit-remaining"])


@given(st.dictionaries(names, st.text(st.sampled_from('0123456789rt=;," remainingreset²'), max_size=60)))
def test_rubbish_is_no_allowance_and_no_error(headers: dict[str, str]) -> None:
    told = allowance_from(headers)
    assert told is None or (told.left >= 0 and 0 <= told.resets_s <= 3600)
