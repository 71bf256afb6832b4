from __future__ import annotations

import json

import pytest

from batchgen.core.cost import Money, Prices, money_of
from batchgen.core.outcome import Ending
from batchgen.errors import StateUnwritable
from batchgen.records import Failure, Record, Status
from batchgen.report.commands import Commands
from batchgen.report.sections import MOST_IDS_IN_A_COMMAND
from batchgen.report.summary import batch_json, batch_summary
from tests.report.samples import SENT, doubt, record, rejected

COMMANDS = Commands("shots/a.yaml", ("--sandbox",))
NO_CREDIT = Failure("insufficient_balance", "Insufficient balance")


def money(records: list[Record]) -> Money:
    return money_of(records, Prices(records, lambda _model, _given: None))


def text_of(records: list[Record], ending: Ending | None = None, commands: Commands = COMMANDS) -> str:
    return batch_summary(records, ending or Ending(), money(records), 845.2, commands)


def done(number: int) -> list[Record]:
    return [record(f"r{n}", Status.DOWNLOADED) for n in range(number)]


def test_a_batch_that_is_done_is_told_in_two_lines() -> None:
    assert text_of(done(12)) == (
        "All 12 runs downloaded: 12 videos in shots/videos/. Took 14 min 5 s.\nMoney: $0.576 spent."
    )


def test_an_empty_batch_is_told_too() -> None:
    assert text_of([]).startswith("All 0 runs downloaded.")


def test_failures_are_grouped_with_examples_and_advice_and_the_most_frequent_first() -> None:
    other = record("x", Status.FAILED, error=Failure("failed", "content policy"), refunded=True)
    text = text_of([other, *(rejected(f"f{n}") for n in range(5))])
    assert (
        """
Failed (6):
  5 × invalid_input: prompt too long
      f0, f1, f2, … and 2 more
    Mend the row in the manifest; the next run takes it up by itself.
  1 × failed: content policy
      x (run_x)
    The money comes back. Another try or other words may do: --retry-failed renders it anew.
"""
        in text
    )
    assert "0 of 6 runs downloaded. Took 14 min 5 s.\n  6 failed\n" in text


def test_different_words_stand_beside_their_runs() -> None:
    text = text_of([rejected("a", "too long"), rejected("b", "too short")])
    assert "  2 × invalid_input\n      a: too long\n      b: too short\n" in text


def test_runs_in_doubt_come_with_the_commands_that_decide_them() -> None:
    text = text_of([doubt("old lamp"), doubt("b")])
    assert "In doubt (2): nobody knows" in text
    assert f"    old lamp: connection reset (sent {SENT} to bytedance/seedance-1.5-pro)\n" in text
    assert "batchgen resolve shots/a.yaml 'old lamp' --sandbox --adopt RUN_ID\n" in text
    assert "batchgen resolve shots/a.yaml 'old lamp' b --sandbox --not-created\n" in text
    assert "batchgen resolve shots/a.yaml 'old lamp' b --sandbox --abandon" in text
    assert "$0.00" not in text
    assert "an unknown amount in doubt or abandoned (2 runs), which counts as spent" in text


def test_very_many_doubts_make_no_endless_command() -> None:
    text = text_of([doubt(f"d{n:02}") for n in range(40)])
    assert f"… and {40 - MOST_IDS_IN_A_COMMAND} more, listed by: batchgen resolve shots/a.yaml --sandbox" in text
    assert "d10" not in text


def test_a_run_whose_program_was_killed_while_sending_is_in_doubt() -> None:
    text = text_of([record("k", Status.SUBMITTING, cost=None)])
    assert "In doubt (1)" in text
    assert "k: The program ended during its submission." in text


def test_a_stop_by_the_account_says_why_what_to_do_and_how_to_go_on() -> None:
    left = [record("p0"), record("p1")]
    text = text_of([*done(1), *left], Ending(stopped=NO_CREDIT, left=tuple((r.id, NO_CREDIT) for r in left)))
    assert text.startswith("Stopped: Insufficient balance [insufficient_balance]\n  Top up the balance")
    assert text.count("Top up") == 1
    assert "Left for the next time (2):\n  2 × insufficient_balance: Insufficient balance\n      p0, p1" in text
    assert text.endswith("Go on with 2 unfinished runs:\n    batchgen run shots/a.yaml --sandbox")


def test_after_the_spending_limit_the_command_asks_for_a_new_one() -> None:
    stop = Failure("max_cost", "$0.05 of --max-cost $0.05 is spent.")
    text = text_of([record("p0")], Ending(stopped=stop, left=(("p0", stop),)))
    assert text.endswith("batchgen run shots/a.yaml --sandbox --max-cost USD")


@pytest.mark.parametrize(
    ("ending", "words"),
    [
        (Ending(signal_code=130), "Stopped by Ctrl-C."),
        (Ending(signal_code=143), "Stopped by SIGTERM."),
        (Ending(signal_code=300), "Stopped by a signal."),
        (Ending(breaker_open=True), "Stopped: submissions kept ending in doubt"),
        (
            Ending(state_problem=StateUnwritable("The state cannot be written.", "Make room on the disk.")),
            "Stopped: The state cannot be written.\n  Make room on the disk.\n",
        ),
    ],
)
def test_every_stop_is_named_first(ending: Ending, words: str) -> None:
    assert text_of([record("p0")], ending).startswith(words)
    assert batch_json([record("p0")], ending, Money(), 1, COMMANDS)["stopped"]


def test_what_is_left_has_its_own_reason_where_the_batch_gave_none() -> None:
    full = record("q", Status.SUCCEEDED, error=Failure("disk_full", "No space left on device"))
    text = text_of([full, record("p")], Ending(signal_code=130))
    assert "1 × disk_full: No space left on device\n      q (run_q)\n    Make room" in text
    assert "1 × stopped: Not taken up before the end.\n      p" in text


def test_failed_runs_can_be_rendered_anew_and_that_this_costs_is_said() -> None:
    label, command = text_of([rejected("f")]).splitlines()[-2:]
    assert label == "Render 1 failed run anew, at the price of new ones:"
    assert command == "    batchgen run shots/a.yaml --sandbox --retry-failed"


def test_hostile_words_stay_on_their_lines() -> None:
    text = text_of([rejected("a\x1b[2J", "\x1b]0;owned\x07\n\nIn doubt")])
    assert "\x1b" not in text
    assert "\x07" not in text
    assert text.count("\nIn doubt") == 0


def test_rows_that_were_not_selected_are_named_and_can_be_gone_on_with() -> None:
    text = batch_summary(done(2), Ending(), money(done(2)), 1.0, COMMANDS, [record("p0"), record("p1")])
    assert "Not selected this time: 2 runs (2 waiting)" in text
    assert "Go on with 2 unfinished runs:" in text


def test_json_has_every_run_and_the_exit_code() -> None:
    records = [*done(1), *(rejected(f"f{n}") for n in range(9)), doubt("d"), record("p")]
    data = json.loads(json.dumps(batch_json(records, Ending(), money(records), 1.23456, COMMANDS)))
    assert list(data) == [
        "exit_code",
        "runs",
        "unselected",
        "counts",
        "seconds",
        "money",
        "videos",
        "stopped",
        "failed",
        "in_doubt",
        "left",
        "commands",
    ]
    assert (data["exit_code"], data["runs"], data["seconds"], data["videos"]) == (4, 12, 1.235, "shots/videos")
    assert data["counts"]["failed"] == 9
    assert len(data["failed"][0]["runs"]) == 9
    assert data["in_doubt"][0]["sent_at"] == SENT
    assert data["commands"]["resolve"] == "batchgen resolve shots/a.yaml d --sandbox"
    assert data["left"][0]["runs"] == [{"id": "p", "run_id": None, "message": "Not taken up before the end."}]


def test_json_of_a_batch_that_is_done_has_nothing_to_go_on_with() -> None:
    data = batch_json(done(2), Ending(), money(done(2)), 1, COMMANDS)
    assert data["exit_code"] == 0
    assert set(data["commands"].values()) == {None}
    assert data["stopped"] is None
