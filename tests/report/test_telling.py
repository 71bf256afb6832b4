from __future__ import annotations

import math
from dataclasses import replace

import pytest

from batchgen.engine.notices import Changed, Held, Lost, Notice, Received, Stopping
from batchgen.records import Failure, Record, Status
from batchgen.report.telling import (
    BESIDE_A_BAR,
    EVERYTHING,
    FAILURES_OF_A_KIND,
    FIRST_ONES,
    SAME_HOLD_S,
    URGENT,
    Teller,
    Topic,
    lost_words,
    summary_line,
)
from batchgen.report.watching import Tally
from tests.report.samples import doubt, downloaded, failed, rejected, submitted

LIMITED = Failure("RATE_LIMITED", "Rate limit exceeded")
DOUBTED = Changed(doubt("d"), Status.SUBMITTING)


def teller(topics: frozenset[Topic] = EVERYTHING, *, verbose: bool = False, total: int = 10_000) -> Teller:
    return Teller(topics, verbose=verbose, total=total)


@pytest.mark.parametrize(
    ("notice", "line"),
    [
        (submitted("a"), "a: submitted as run_a, $0.048"),
        (downloaded("a"), "a: downloaded a.mp4 (8.0 MB)"),
        (failed("a"), "a: failed: prompt too long [invalid_input]"),
        (DOUBTED, "d: IN DOUBT, to be decided with batchgen resolve: connection reset [no_answer]"),
        (Held("requests", LIMITED, 6), "rate limited, 6 s"),
        (
            Stopping(Failure("stopped", "Stopped by a signal.")),
            "stopping: Stopped by a signal. What is under way comes to its end.",
        ),
    ],
)
def test_what_happens_in_words(notice: Notice, line: str) -> None:
    assert teller().lines(notice, 0) == [line]


def test_a_download_that_was_given_up_says_that_nothing_is_lost() -> None:
    left = replace(downloaded("a").record, status=Status.SUCCEEDED, error=Failure("url_dead", "HTTP 404"))
    [line] = teller().lines(Changed(left, Status.SUCCEEDED), 0)
    assert line == "a: not downloaded yet: HTTP 404 [url_dead] (paid for; the next run fetches it)"


def test_steps_in_between_make_no_lines() -> None:
    rendered = replace(submitted("a").record, status=Status.SUCCEEDED)
    assert teller().lines(Changed(rendered, Status.SUBMITTED), 0) == []
    assert teller().lines(Received("a", 1, 2), 0) == []


def test_a_thousand_runs_make_few_lines_and_failures_say_that_they_go_uncounted() -> None:
    one = teller()
    happy = [line for n in range(1000) for line in one.lines(submitted(f"s{n}"), 0) + one.lines(downloaded(f"s{n}"), 0)]
    assert len(happy) == 2 * FIRST_ONES
    sad = [line for n in range(1000) for line in one.lines(failed(f"f{n}"), 0)]
    assert len(sad) == FAILURES_OF_A_KIND + 1
    assert "only counted from here on" in sad[-1]


def test_another_kind_of_failure_is_still_told() -> None:
    one = teller()
    for number in range(100):
        one.lines(failed(f"f{number}"), 0)
    other = replace(rejected("g"), error=Failure("model_not_found", "no such model"))
    assert one.lines(Changed(other, Status.SUBMITTING), 0) == ["g: failed: no such model [model_not_found]"]


def test_every_doubt_is_told_however_many() -> None:
    one = teller(URGENT)
    assert all(one.lines(Changed(doubt(f"d{n}"), Status.SUBMITTING), 0) for n in range(100))


@pytest.mark.parametrize("kind", [submitted, downloaded, failed])
def test_verbose_tells_of_every_run(kind: object) -> None:
    one = teller(BESIDE_A_BAR, verbose=True)
    assert callable(kind)
    assert sum(len(one.lines(kind(f"r{number}"), 0)) for number in range(100)) == 100


def test_a_small_batch_is_told_in_full() -> None:
    one = teller(total=15)
    assert sum(len(one.lines(downloaded(f"r{number}"), 0)) for number in range(15)) == 15


@pytest.mark.parametrize(
    ("topics", "told"), [(URGENT, {"d", "stopping"}), (BESIDE_A_BAR, {"d", "stopping", "f"})], ids=["quiet", "bar"]
)
def test_what_is_told_at_all(topics: frozenset[Topic], told: set[str]) -> None:
    one = teller(topics)
    notices = (
        submitted("s"),
        downloaded("v"),
        failed("f"),
        DOUBTED,
        Held("requests", LIMITED, 6),
        Stopping(Failure("stopped", "x")),
    )
    assert {line.split(":")[0] for notice in notices for line in one.lines(notice, 0)} == told


def test_the_same_pause_is_told_again_only_after_a_while_or_when_it_is_much_longer() -> None:
    one = teller()
    assert one.lines(Held("requests", LIMITED, 6), 0)
    assert not one.lines(Held("requests", LIMITED, 6), 1)
    assert one.lines(Held("requests", LIMITED, 60), 2)
    assert not one.lines(Held("requests", LIMITED, 60), SAME_HOLD_S)
    assert one.lines(Held("requests", LIMITED, 6), 2 + SAME_HOLD_S)


def test_a_lost_id_is_told_whole_with_where_it_is_kept() -> None:
    text = lost_words(Lost("lamp", "run_123", "s.emergency"))
    assert "lamp" in text
    assert "run_123" in text
    assert "It is kept in s.emergency." in text
    assert "Write it down" in lost_words(Lost("lamp", "run_123", None))


def test_hostile_words_stay_on_their_line() -> None:
    hostile = replace(rejected("a\nb"), error=Failure("odd", "\x1b[2J" + "x" * 5000))
    [line] = teller().lines(Changed(hostile, Status.SUBMITTING), 0)
    assert line.startswith("a b: failed: \\x1b[2Jxxx")
    assert len(line) < 400
    assert line.isprintable()


def _tally(*records: Record) -> Tally:
    return Tally({item.id: item for item in records}, [item.id for item in records])


def test_the_batch_in_a_line() -> None:
    tally = _tally(downloaded("a").record, rejected("f"), doubt("d"), submitted("s").record)
    tally.heed(Held("requests", LIMITED, 6), 10)
    line = summary_line(tally.view(11), 11)
    assert line == "3 of 4 · 1 downloaded · 1 failed · 1 in doubt · 1 rendering · $0.096 spent · rate limited, 5 s"


def test_an_unknown_price_is_said_to_be_unknown() -> None:
    unpriced = replace(
        submitted("s").record, attempts=(replace(submitted("s").record.attempts[0], cost_micro_usd=None),)
    )
    line = summary_line(_tally(unpriced).view(0), 0)
    assert "$0" not in line
    assert "1 run of unknown price" in line


@pytest.mark.parametrize(
    ("runs", "left"), [(12, "less than 1 min left"), (60, "about 5 min left"), (20_000, "about 33 h")], ids=str
)
def test_the_time_left_has_no_more_digits_than_it_deserves(runs: int, left: str) -> None:
    tally = Tally({}, [f"r{number}" for number in range(runs)])
    for number in range(11):
        tally.heed(downloaded(f"r{number}"), number * 6)
    line = summary_line(tally.view(60), 60)
    assert "10.0 finished/min" in line
    assert left in line


def test_a_pause_for_good_has_no_end() -> None:
    tally = _tally()
    tally.heed(Held("submissions with key k", Failure("insufficient_balance", "x"), math.inf), 0)
    assert summary_line(tally.view(1), 1).endswith("no more submissions with key k: no balance left")
