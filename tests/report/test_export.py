"""The facts of a run as they are exported, and their spelling as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.cost import Prices, money_of
from batchgen.records import Attempt, Failure, Place, Record, SavedFile, Status
from batchgen.report.export import Entry, facts, json_array, json_lines, latency
from batchgen.report.money import usd, usd_number
from tests.core.samples import in_status
from tests.report.samples import KEY, SENT, doubt, record, rejected


def entry(of: Record, price: int | None = 50_000, **given_: Any) -> Entry:
    """An entry whose runs in doubt are estimated at `price`."""
    return Entry(of, money_of([of], Prices([], lambda _model, _given: price)), of.files, **given_)


def money(of: Record, price: int | None = 50_000) -> dict[str, Any]:
    known = facts(entry(of, price))
    return {name: known[name] for name in ("cost_usd", "refunded_usd", "in_doubt_usd", "attempts_unpriced")}


def words(*values: int | None) -> dict[str, int | None]:
    return dict(zip(("cost_usd", "refunded_usd", "in_doubt_usd", "attempts_unpriced"), values, strict=True))


def test_what_was_spent_given_back_and_is_in_doubt_are_told_apart() -> None:
    assert money(record("a", Status.DOWNLOADED)) == words(48_000, None, None, 0)
    assert money(record("a", Status.FAILED, refunded=True)) == words(0, 48_000, None, 0)
    assert money(doubt("a")) == words(None, None, 50_000, 0)
    assert money(rejected("a")) == words(0, None, None, 0)


def test_an_amount_that_nobody_knows_is_none_and_never_nothing() -> None:
    assert money(record("a")) == words(None, None, None, 0)
    assert money(record("a", Status.DOWNLOADED, cost=None)) == words(None, None, None, 1)
    assert money(doubt("a"), price=None) == words(None, None, None, 1)
    assert money(record("a", Status.FAILED, cost=None, refunded=True)) == words(0, None, None, 0)


def test_all_attempts_of_a_run_count() -> None:
    tries = (
        Attempt(KEY, SENT, "downloaded", "run_1", 40_000),
        Attempt(KEY, SENT, "failed", "run_2", 48_000, refunded=True),
        Attempt(KEY, SENT, "abandoned"),
        Attempt(KEY, SENT, "created", "run_4"),
    )
    of = replace(record("a", Status.SUBMITTED), attempts=tries)
    assert money(of) == words(40_000, 48_000, 50_000, 1)
    known = facts(entry(of))
    assert (known["run_id"], known["attempts"], known["attempts_in_doubt"]) == ("run_4", 4, 1)


@pytest.mark.parametrize("status", Status)
def test_every_status_has_the_same_names_in_the_same_order(status: Status) -> None:
    assert list(facts(entry(in_status(status)))) == list(facts(entry(record("other"))))


def test_the_place_is_a_file_and_a_line() -> None:
    known = facts(entry(record("a"), place=Place("a/shots.csv", 12, "prompt"), in_manifest=True, row_changed=False))
    assert (known["place"], known["in_manifest"], known["row_changed"]) == ("a/shots.csv:12", True, False)


T = {
    "intended_at": "2026-03-01T08:00:00.000Z",
    "submitted_at": "2026-03-01T08:00:01.500Z",
    "succeeded_at": "2026-03-01T08:01:02.750Z",
}


def test_the_latency_is_the_time_from_submission_to_the_rendered_video() -> None:
    assert latency(T) == 61.25


def test_the_latency_of_an_adopted_run_or_of_an_earlier_attempt_is_unknown() -> None:
    assert latency(T | {"in_doubt_at": "2026-03-01T08:00:01.000Z"}) is None, "submitted_at is when it was found"
    assert latency(T | {"in_doubt_at": "2026-02-01T08:00:00.000Z"}) == 61.25, "an earlier attempt's doubt"
    assert latency(T | {"submitted_at": "2026-03-02T08:00:00.000Z"}) is None
    assert latency({}) is None
    assert latency(T | {"succeeded_at": "yesterday"}) is None
    assert latency(T | {"succeeded_at": "2026-03-01T08:01:02"}) is None, "without a zone it says nothing"


MICRO = st.integers(-(10**15) + 1, 10**15 - 1)


@given(MICRO)
def test_amounts_are_exact(micro: int) -> None:
    amount = Decimal(micro) / 1_000_000
    assert Decimal(usd(micro)) == amount
    assert Decimal(json.dumps(usd_number(micro))) == amount
    assert len(usd(micro).partition(".")[2]) >= 2


def test_amounts_as_programs_read_them() -> None:
    assert [usd(micro) for micro in (0, 1, 40_000, 12_345_600, 1_250_000_000, -300_000)] == [
        "0.00",
        "0.000001",
        "0.04",
        "12.3456",
        "1250.00",
        "-0.30",
    ]
    assert json.dumps([usd_number(micro) for micro in (0, 300_000, 2_000_000)]) == "[0, 0.3, 2]"


def samples() -> list[Entry]:
    odd = replace(
        record("=1+1", Status.DOWNLOADED), input={"prompt": "-é\n\u202e", "duration": -8, "image_urls": ["a"]}
    )
    files = tuple(SavedFile(f"v/{n}.mp4", n, "ab" * 32) for n in (1, 2))
    return [replace(entry(odd), files=files), entry(doubt("b")), entry(record("c", error=Failure("x", "y")))]


def test_an_array_and_lines_hold_the_same_objects_with_every_value_untouched() -> None:
    array = json.loads("".join(json_array(samples())))
    assert array == [json.loads(line) for line in json_lines(samples())]
    first, second, third = array
    assert (first["id"], first["input"]) == ("=1+1", {"prompt": "-é\n\u202e", "duration": -8, "image_urls": ["a"]})
    assert first["files"][1] == {"path": "v/2.mp4", "bytes": 2, "sha256": "ab" * 32}
    assert (first["cost_usd"], second["cost_usd"], second["in_doubt_usd"]) == (0.048, None, 0.05)
    assert (first["error"], third["error"]) == (None, {"code": "x", "message": "y"})


def test_each_line_is_one_object_and_nothing_is_an_array_too() -> None:
    assert all(line.count("\n") == 1 and line.endswith("\n") for line in json_lines(samples()))
    assert json.loads("".join(json_array([]))) == []
    assert "".join(json_lines([])) == ""


@pytest.mark.parametrize("spell", [json_array, json_lines])
def test_rows_are_written_as_they_are_read(spell: Any) -> None:
    """A table of any length takes the memory of one row."""
    read = []

    def entries() -> Any:
        for number in range(10):
            read.append(number)
            yield entry(record(f"r{number}"))

    pieces = iter(spell(entries()))
    while len(read) < 2:
        assert next(pieces)
    assert read == [0, 1]
