from __future__ import annotations

import math
import sys
from dataclasses import replace

from batchgen.engine.notices import Changed, Held, Lost, Received, Stopping
from batchgen.records import Failure, Record, Status
from batchgen.report.watching import SHOWN_DOWNLOADS, Tally
from tests.report.samples import by_id, doubt, downloaded, record, submitted

LIMITED = Failure("RATE_LIMITED", "Rate limit exceeded")


def test_counts_are_about_the_runs_meant_and_money_about_the_whole_state() -> None:
    records = by_id(record("a", Status.DOWNLOADED), record("b"), record("old", Status.DOWNLOADED, cost=10_000))
    view = Tally(records, {"a", "b", "not-yet-planned"}).view(0)
    assert view.total == 3
    assert (view.count(Status.DOWNLOADED), view.count(Status.PENDING)) == (1, 2)
    assert view.spent == 58_000


def test_a_change_moves_a_run_from_one_count_to_the_next() -> None:
    tally = Tally(by_id(record("a")), {"a"})
    tally.heed(submitted("a"), 1)
    view = tally.view(1)
    assert (view.count(Status.PENDING), view.count(Status.SUBMITTED), view.settled) == (0, 1, 0)
    tally.heed(downloaded("a"), 2)
    assert tally.view(2).settled == 1


def test_a_change_of_a_run_that_is_not_meant_changes_only_the_money() -> None:
    tally = Tally(by_id(record("a"), record("other")), {"a"})
    tally.heed(submitted("other"), 1)
    view = tally.view(1)
    assert dict(view.counts) == {Status.PENDING: 1}
    assert view.spent == 48_000


def test_the_ledger_changing_its_records_beforehand_does_not_matter() -> None:
    records = by_id(record("a"))
    tally = Tally(records, {"a"})
    records["a"] = record("a", Status.SUBMITTED)
    tally.heed(submitted("a"), 1)
    view = tally.view(1)
    assert dict(view.counts) == {Status.PENDING: 0, Status.SUBMITTED: 1}
    assert view.spent == 48_000


def test_money_is_counted_once_and_refunds_are_given_back() -> None:
    tally = Tally(by_id(record("a")), {"a"})
    tally.heed(submitted("a"), 1)
    tally.heed(submitted("a", Status.SUBMITTED), 2)
    assert tally.view(2).spent == 48_000
    tally.heed(Changed(record("a", Status.FAILED, refunded=True), Status.SUBMITTED), 3)
    assert tally.view(3).spent == 0


def test_a_price_that_nobody_named_is_counted_as_unknown_and_not_as_nothing() -> None:
    tally = Tally({}, {"a"})
    tally.heed(Changed(record("a", Status.SUBMITTED, cost=None), Status.SUBMITTING), 1)
    assert (tally.view(1).spent, tally.view(1).unpriced) == (0, 1)
    tally.heed(downloaded("a"), 2)
    assert (tally.view(2).spent, tally.view(2).unpriced) == (48_000, 0)


def test_money_in_doubt_stands_apart() -> None:
    view = Tally(by_id(doubt("a"), record("b", Status.SUBMITTED)), {"a", "b"}).view(0)
    assert (view.spent, view.unpriced, view.count(Status.IN_DOUBT)) == (48_000, 0, 1)


def test_downloads_are_shown_in_the_order_in_which_they_began_and_the_rest_counted() -> None:
    names = [f"r{number}" for number in range(SHOWN_DOWNLOADS + 2)]
    tally = Tally({}, names)
    for name in [*names, names[0]]:
        tally.heed(Received(name, 5, 10), 1)
    view = tally.view(1)
    assert [download.id for download in view.downloads] == names[:SHOWN_DOWNLOADS]
    assert view.more_downloads == 2
    tally.heed(downloaded(names[0]), 2)
    assert tally.view(2).downloads[0].id == names[1]


def test_a_download_that_was_given_up_is_no_longer_shown() -> None:
    tally = Tally({}, {"a"})
    tally.heed(Received("a", 5, None), 1)
    dead = replace(record("a", Status.SUCCEEDED), error=Failure("url_dead", "HTTP 404"))
    tally.heed(Changed(dead, Status.SUCCEEDED), 2)
    assert tally.view(2).downloads == ()


def test_a_pause_is_shown_until_its_end_and_the_longest_first() -> None:
    tally = Tally({}, ())
    tally.heed(Held("requests", LIMITED, 6), 10)
    tally.heed(Held("submissions with key k", Failure("insufficient_balance", "no"), math.inf), 11)
    assert [hold.what for hold in tally.view(12).holds] == ["submissions with key k", "requests"]
    assert [hold.what for hold in tally.view(16).holds] == ["submissions with key k"]


def _finishing(*, every_s: float, runs: int, of: int) -> Tally:
    tally = Tally({}, [f"r{number}" for number in range(of)])
    for number in range(runs):
        tally.heed(downloaded(f"r{number}"), number * every_s)
    return tally


def test_the_pace_is_told_only_when_a_few_have_finished_over_some_time() -> None:
    assert _finishing(every_s=4, runs=4, of=20).view(12).per_minute is None
    assert _finishing(every_s=0.1, runs=10, of=20).view(1).per_minute is None
    view = _finishing(every_s=3, runs=11, of=21).view(30)
    assert view.per_minute == 20
    assert view.left_s == 30


def test_a_stall_lowers_the_pace_until_nothing_is_known_any_more() -> None:
    tally = _finishing(every_s=3, runs=11, of=21)
    stalled = tally.view(60)
    assert stalled.per_minute == 10
    assert tally.view(100_000).per_minute is None


def test_no_time_left_is_told_while_a_pause_has_no_end() -> None:
    tally = _finishing(every_s=3, runs=11, of=21)
    tally.heed(Held("submissions", LIMITED, math.inf), 30)
    assert tally.view(30).left_s is None


def test_after_a_stop_only_what_is_under_way_is_left() -> None:
    tally = _finishing(every_s=3, runs=11, of=21)
    tally.heed(Changed(record("r20", Status.SUBMITTED), Status.SUBMITTING), 30)
    tally.heed(Stopping(Failure("stopped", "Stopped by a signal.")), 30)
    tally.heed(Stopping(Failure("state", "later")), 30)
    view = tally.view(30)
    assert view.left_s == 3
    assert view.stopping
    assert view.stopping.code == "stopped"


def test_a_lost_id_changes_no_count() -> None:
    tally = Tally(by_id(record("a")), {"a"})
    before = tally.view(1)
    tally.heed(Lost("a", "run_1", None), 1)
    assert tally.view(1) == before


def _steps_of_a_view(runs: int) -> int:
    """How many lines of Python a view executes: a measure that no busy machine can change."""
    tally = Tally({f"r{number}": _pending(number) for number in range(runs)}, [f"r{n}" for n in range(runs)])
    tally.heed(submitted("r0"), 1)
    steps = 0

    def trace(*_args: object) -> object:
        nonlocal steps
        steps += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)  # type: ignore[arg-type]
    try:
        tally.view(2)
        tally.heed(downloaded("r0"), 3)
    finally:
        sys.settrace(before)  # the coverage of all tests after this one hangs on it
    return steps


def _pending(number: int) -> Record:
    return record(f"r{number}")


def test_a_view_costs_the_same_for_any_number_of_runs() -> None:
    assert _steps_of_a_view(10) == _steps_of_a_view(5000)
