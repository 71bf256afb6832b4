"""`Retry-After`, whatever stands in it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.core.answers import Answer, retry_after_s, whole_fields

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def wait(value: str | None, date: str | None = None) -> float | None:
    return retry_after_s(Answer(429, retry_after=value, date=date), NOW)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0.5", 0.5),
        ("0", 0.0),
        ("3600", 3600.0),
        ("3601", 3600.0),
        ("1e9", 3600.0),
        ("9" * 400, 3600.0),
        ("inf", 3600.0),
        ("-1", None),
        ("-inf", None),
        ("nan", None),
        ("soon", None),
        ("", None),
        ("  ", None),
        (None, None),
        ("Fri, 99 Jan 2026 03:04:05 GMT", None),
    ],
)
def test_seconds_are_honoured_up_to_an_hour_and_nonsense_is_none(value: str | None, seconds: float | None) -> None:
    assert wait(value) == seconds


def test_a_date_is_measured_against_the_answers_own_date_so_that_a_wrong_clock_here_does_not_matter() -> None:
    for theirs in ("Fri, 02 Jan 2026 04:04:05 GMT", "Fri, 02 Jan 2026 02:04:05 GMT"):
        target = theirs.replace("04:05", "04:35")
        assert wait(target, theirs) == 30.0


def test_a_date_without_the_answers_date_is_measured_against_the_clock_here() -> None:
    assert wait("Fri, 02 Jan 2026 03:04:35 GMT") == 30.0
    assert wait("Fri, 02 Jan 2026 03:04:35 GMT", "rubbish") == 30.0


def test_a_date_in_the_past_is_no_wait_and_a_far_one_an_hour() -> None:
    assert wait("Fri, 02 Jan 2026 03:04:00 GMT") == 0.0
    assert wait("Fri, 02 Jan 2099 03:04:00 GMT") == 3600.0


dates = st.datetimes().map(lambda at: at.strftime("%a, %d %b %Y %H:%M:%S ")) | st.just("")
headers = (
    st.none()
    | st.text(max_size=30)
    | st.tuples(dates, st.sampled_from(["GMT", "+2359", "-2359", "-0000"])).map("".join)
)


@settings(max_examples=300, deadline=None)
@given(headers, headers)
def test_any_header_is_none_or_a_wait_from_nothing_to_an_hour(value: str | None, date: str | None) -> None:
    seconds = wait(value, date)
    assert seconds is None or 0.0 <= seconds <= 3600.0


def test_a_number_at_the_end_that_might_go_on_is_not_whole() -> None:
    assert whole_fields(b'{"a":1,"costUsd":4000') == {"a": 1}
    assert whole_fields(b'{"a":1,"costUsd":4000,') == {"a": 1, "costUsd": 4000}
    assert whole_fields(b'{"a":tru') == {}
    assert whole_fields(b'{"a":"x"') == {"a": "x"}
    assert whole_fields(b"") == whole_fields(b"[1") == whole_fields(b'{"a"') == {}
