"""The books: statuses, refunds and balances follow from entries and the time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batchgen.sandbox.faults import Fault
from batchgen.sandbox.ledger import (
    Entry,
    Ledger,
    TopUp,
    from_json,
    iso,
    plan_run,
    refunded,
    run_document,
    status_at,
    to_json,
)

ENTRY = Entry(1, "run_a", "sha256:aa", "m", {"prompt": "é"}, 40_000, created_at=1000.0, ready_at=1100.0)
FAILED = replace(ENTRY, id="run_b", number=2, fate="failed", reason="Too dark")


@pytest.mark.parametrize(
    ("now", "status"), [(1000, "pending"), (1009.9, "pending"), (1010, "processing"), (1099.9, "processing")]
)
def test_a_run_is_pending_for_a_tenth_of_its_time_then_processing(now: float, status: str) -> None:
    assert status_at(ENTRY, now) == status


def test_a_run_ends_as_its_fate_says() -> None:
    assert (status_at(ENTRY, 1100), status_at(FAILED, 1100)) == ("succeeded", "failed")


def test_the_cost_is_taken_at_once_and_comes_back_in_full_when_the_run_fails() -> None:
    ledger = Ledger(100_000)
    for entry in (ENTRY, FAILED):
        ledger.add(entry)
    assert ledger.balance("sha256:aa", 1099) == 20_000
    assert ledger.balance("sha256:aa", 1100) == 60_000
    assert (refunded(ENTRY, 1100), refunded(FAILED, 1099), refunded(FAILED, 1100)) == (False, False, True)


def test_every_key_has_its_own_balance() -> None:
    ledger = Ledger(100_000)
    ledger.add(ENTRY)
    assert ledger.balance("sha256:bb", 0) == 100_000


def test_a_top_up_is_for_one_key_or_for_each() -> None:
    ledger = Ledger(0)
    ledger.add(TopUp(5, "sha256:aa"))
    ledger.add(TopUp(3))
    assert (ledger.balance("sha256:aa", 0), ledger.balance("sha256:bb", 0)) == (8, 3)


def test_a_balance_without_limit_stays_unknown() -> None:
    ledger = Ledger(None)
    ledger.add(ENTRY)
    assert ledger.balance("sha256:aa", 0) is None
    assert ledger.spent("sha256:aa", 0) == 40_000


def test_times_lie_in_the_usual_span_with_some_runs_several_times_slower() -> None:
    seconds = [plan_run(0, number, (40.0, 60.0), 1.0).seconds for number in range(4000)]
    slow = [s for s in seconds if s > 60]
    assert all(s >= 40 for s in seconds)
    assert all(100 <= s <= 300 for s in slow)
    assert 0.02 < len(slow) / len(seconds) < 0.04


def test_times_follow_from_seed_and_number_and_scale() -> None:
    assert plan_run(1, 2, (40.0, 60.0), 1.0) == plan_run(1, 2, (40.0, 60.0), 1.0)
    assert plan_run(1, 2, (40.0, 60.0), 1.0) != plan_run(2, 2, (40.0, 60.0), 1.0)
    assert plan_run(1, 2, (40.0, 60.0), 0.5).seconds == plan_run(1, 2, (40.0, 60.0), 1.0).seconds / 2
    assert 60 <= plan_run(1, 2, None, 1.0).seconds <= 90 * 5


def test_a_document_shows_output_or_error_only_at_the_end() -> None:
    assert set(run_document(ENTRY, "processing", ["u"])) == {"id", "model", "status", "costUsd", "createdAt"}
    assert run_document(ENTRY, "succeeded", ["u"])["output"] == {"urls": ["u"]}
    assert run_document(FAILED, "failed", [])["error"] == "Too dark"


def test_entries_and_top_ups_survive_json() -> None:
    entry = replace(FAILED, faults=(Fault("poll-404", first=2), Fault("file-truncated", "9", 0.5)), videos=3)
    for item in (entry, TopUp(7), TopUp(7, "sha256:aa")):
        assert from_json(to_json(item)) == item


def test_times_are_written_in_utc() -> None:
    assert iso(0.25) == "1970-01-01T00:00:00.250Z"
