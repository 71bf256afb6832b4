from __future__ import annotations

import json
import math
from typing import Any

import pytest

from batchgen.core.cost import Money, Prices, money_of
from batchgen.core.plan import Action, Plan, Selection, make_plan
from batchgen.models import registry
from batchgen.records import DEFAULT_MODEL, Failure, Place, Record, Run, Status
from batchgen.report.commands import Commands
from batchgen.report.forecast import Forecast, forecast
from batchgen.report.tables import (
    ACTION_WORDS,
    ALL_SHOWN,
    SHOWN_OF_A_KIND,
    plan_json,
    plan_text,
    status_json,
    status_text,
)
from batchgen.report.words import cells
from tests.report.samples import by_id, doubt, record, rejected

PRICED: dict[str, Any] = {"resolution": "480p", "aspect_ratio": "16:9", "duration": "4", "generate_audio": False}
COMMANDS = Commands("a.yaml")


def run(name: str, model: str = DEFAULT_MODEL, **given: Any) -> Run:
    return Run(name, model, {"prompt": f"a {name}", **given}, name.ljust(64, "0"), Place("a.yaml", 1))


def estimate(model: str, given: Any) -> int | None:
    known = registry.get(model)
    return known.estimate_micro_usd(given) if known else None


def priced(*records: Record) -> Prices:
    return Prices(records, estimate)


def plan_of(*runs: Run, records: dict[str, Record] | None = None) -> Plan:
    return make_plan(runs, records or {}, Selection())


def text_of(plan: Plan, prices: Prices | None = None, width: int = 100, rate: float = 2.0) -> str:
    return plan_text(plan, forecast(plan, prices or priced(), rate), Money(), width=width)


def test_every_action_has_words() -> None:
    assert set(ACTION_WORDS) == set(Action)


# ---------------------------------------------------------------------------------------------------- prices, times


def test_a_bundled_estimate_is_named_as_one() -> None:
    text = text_of(plan_of(run("a", **PRICED), run("b", **PRICED)))
    assert "Estimated price of 2 submissions: $0.096\n" in text
    assert "    $0.096 for 2 runs, by prices of other hosts of the same model\n" in text


def test_a_price_that_the_service_took_before_goes_first() -> None:
    known = Record("old", DEFAULT_MODEL, {"prompt": "x", **PRICED}, "0", Status.DOWNLOADED)
    known = Record(**{**_fields(known), "attempts": record("old", Status.DOWNLOADED, cost=50_000).attempts})
    text = text_of(plan_of(run("a", **PRICED)), priced(known))
    assert "    $0.05 for 1 run, at prices that the service took before" in text


def _fields(item: Record) -> dict[str, Any]:
    return {name: getattr(item, name) for name in ("id", "model", "input", "input_sha256", "status")}


def test_what_the_service_decides_makes_the_price_a_range() -> None:
    outlook = forecast(plan_of(run("a", resolution="480p", aspect_ratio="16:9", duration="4")), priced(), 2)
    assert 0 < outlook.least < outlook.most
    text = text_of(plan_of(run("a", resolution="480p", aspect_ratio="16:9", duration="4")))
    assert "$0.048 to $0.096 for 1 run" in text


def test_an_unknown_price_is_never_zero_dollars() -> None:
    plan = plan_of(run("a", "kling/kling-3.0"), run("b", "acme/none"))
    text = plan_text(plan, forecast(plan, priced(), 2), Money(spent=1_000_000), width=100)
    assert "Estimated price of 2 submissions: unknown\n    unknown for 2 runs" in text
    assert "$0" not in text
    data = plan_json(plan, forecast(plan, priced(), 2), Money())
    assert data["estimate"]["least_micro_usd"] is None


def test_an_estimate_is_made_once_for_each_kind_of_run() -> None:
    asked: list[str] = []

    def ask(model: str, given: Any) -> int:
        asked.append(given["prompt"])
        return 40_000

    plan = plan_of(*(run(f"r{n}", duration=("4", "8")[n % 2]) for n in range(1000)))
    outlook = forecast(plan, Prices((), ask), 2)
    assert asked == ["a r0", "a r1"]
    assert (outlook.estimated_runs, outlook.least, outlook.most) == (1000, 40_000_000, 40_000_000)


def test_a_sum_does_not_hide_what_is_unknown() -> None:
    assert "Estimated price of 2 submissions: $0.048, and an unknown part" in text_of(
        plan_of(run("a", **PRICED), run("b", "hailuo/pro"))
    )


def test_the_time_is_that_of_the_window_and_one_latency() -> None:
    outlook = forecast(plan_of(*(run(f"r{n}", **PRICED) for n in range(100))), priced(), 2.0)
    assert (outlook.requests, outlook.window_s, outlook.latency) == (200, 100.0, (40.0, 60.0))
    text = text_of(plan_of(*(run(f"r{n}", **PRICED) for n in range(100))))
    assert "Estimated time: 2 min 20 s to 2 min 40 s, without downloads" in text


def test_without_a_usual_latency_only_the_window_is_known() -> None:
    text = text_of(plan_of(run("a", "hailuo/pro")))
    assert "Estimated time: 1 s at least" in text
    assert "how long a run renders is unknown" in text


def test_no_rate_limit_takes_no_time() -> None:
    assert forecast(plan_of(run("a")), priced(), math.inf).window_s == 0


def test_runs_that_are_paid_for_cost_only_a_poll() -> None:
    records = by_id(_same(run("a"), Status.SUBMITTED))
    outlook = forecast(plan_of(run("a"), records=records), priced(), 2)
    assert (outlook.requests, outlook.unknown_runs, outlook.estimated_runs) == (1, 0, 0)
    assert "Nothing would be submitted: no new cost." in text_of(plan_of(run("a"), records=records))


def _same(wanted: Run, status: Status, error: Failure | None = None) -> Record:
    """The record of this very row."""
    attempts = record(wanted.id, status).attempts
    return Record(wanted.id, wanted.model, wanted.input, wanted.input_sha256, status, attempts, error)


# ------------------------------------------------------------------------------------------------------------- plan


def test_a_short_plan_is_listed_in_full_with_the_reasons() -> None:
    runs = [run("new"), run("done"), run("failed")]
    error = Failure("invalid_input", "too long")
    records = by_id(_same(runs[1], Status.DOWNLOADED), _same(runs[2], Status.FAILED, error), record("gone"))
    text = text_of(plan_of(*runs, records=records))
    assert "1 to submit\n    new  a new\n" in text
    assert "1 failed: left alone (--retry-failed renders them anew)\n    failed  too long\n" in text
    assert "1 done\n    done  videos/done.mp4\n" in text
    assert "1 no longer in the manifest: left alone\n    gone  no longer in the manifest (pending)\n" in text


def test_of_a_long_plan_the_first_ones_of_each_kind_are_listed() -> None:
    text = text_of(plan_of(*(run(f"r{n}") for n in range(ALL_SHOWN + 938))))
    assert f"    … and {ALL_SHOWN + 938 - SHOWN_OF_A_KIND} more; --json lists all" in text
    assert f"r{SHOWN_OF_A_KIND}  " not in text
    assert len(text.splitlines()) < 20


def test_changed_rows_that_were_paid_for_show_the_change_and_the_choice() -> None:
    before = _same(run("a", duration="4"), Status.DOWNLOADED)
    after = Run("a", DEFAULT_MODEL, {"prompt": "a a", "duration": "8"}, "1" * 64, Place("a.yaml", 1))
    text = text_of(plan_of(after, records=by_id(before)))
    assert "    a  duration: 4 → 8\n" in text
    assert "1 row has changed since money was spent on them" in text
    assert "--changed render" in text


def test_an_empty_manifest_has_an_empty_plan() -> None:
    assert text_of(plan_of()).startswith("The manifest has no runs.")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_rows_fit_into_the_terminal_with_any_script(width: int) -> None:
    runs = [run("朝の東京" * 20), run("long-" * 30), run("short")]
    rows = [line for line in text_of(plan_of(*runs), width=width).splitlines() if line.startswith("    ")]
    assert all(cells(line) <= width for line in rows[:3])


def test_the_plan_as_json_lists_every_step() -> None:
    plan = plan_of(*(run(f"r{n}", **PRICED) for n in range(100)), records=by_id(record("gone")))
    data = json.loads(json.dumps(plan_json(plan, forecast(plan, priced(), 2), Money())))
    assert list(data) == ["counts", "undecided", "estimate", "money", "steps"]
    assert {action: number for action, number in data["counts"].items() if number} == {"new": 100, "dropped": 1}
    assert len(data["steps"]) == 101
    assert data["steps"][0] == {
        "id": "r0",
        "action": "new",
        "submits": True,
        "follows": False,
        "why": "not submitted yet",
        "model": DEFAULT_MODEL,
        "status": None,
        "run_id": None,
        "place": "a.yaml:1:1",
    }


def test_a_plan_that_submits_nothing_costs_nothing_for_sure() -> None:
    data = plan_json(plan_of(), Forecast(), Money())
    assert data["estimate"]["least_micro_usd"] == 0


# ----------------------------------------------------------------------------------------------------------- status


def status_of(*records: Record) -> str:
    return status_text(records, money_of(records, priced()), COMMANDS)


def test_the_status_says_counts_money_and_the_next_command() -> None:
    text = status_of(record("a", Status.DOWNLOADED), rejected("f"), doubt("d"), record("p"))
    assert text.startswith("4 runs: 1 downloaded · 1 failed · 1 in doubt · 1 waiting\nMoney: $0.048 spent; ")
    assert "Videos: videos/" in text
    assert "batchgen resolve a.yaml d --not-created" in text
    assert "Go on with 1 unfinished run:\n    batchgen run a.yaml" in text
    assert "batchgen run a.yaml --retry-failed" in text


def test_the_status_of_a_finished_batch_says_that_nothing_is_left() -> None:
    assert status_of(record("a", Status.DOWNLOADED)).endswith("Nothing is left to do.")
    assert "Nothing is left" not in status_of()


def test_unfinished_runs_that_met_with_trouble_say_which() -> None:
    held = record("q", Status.SUCCEEDED, error=Failure("url_dead", "HTTP 404"))
    assert "Held up (1):\n  1 × url_dead: HTTP 404\n      q (run_q)\n" in status_of(held, record("p"))


def test_the_status_as_json_uses_the_keys_of_run() -> None:
    data = json.loads(json.dumps(status_json([doubt("d")], Money(), COMMANDS)))
    assert list(data) == ["runs", "counts", "money", "videos", "failed", "in_doubt", "held_up", "commands"]
    assert data["in_doubt"][0]["id"] == "d"
