"""What `plan` and `status` print, as text and as JSON."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from batchgen.core.cost import Money
from batchgen.core.plan import FOLLOWS, SENDS, Action, Plan, Step
from batchgen.records import Record, Status
from batchgen.report.commands import Commands
from batchgen.report.forecast import Forecast
from batchgen.report.money import dollars, dollars_between, money_json, money_words
from batchgen.report.sections import (
    UNFINISHED,
    Group,
    commands_json,
    count_words,
    counts,
    doubt_lines,
    doubts_json,
    failures,
    group_lines,
    grouped,
    groups_json,
    next_lines,
    videos_folder,
    with_status,
)
from batchgen.report.words import clean, columns, counted, duration, terminal_width

ALL_SHOWN = 40
SHOWN_OF_A_KIND = 5
LONGEST_CELL = 500

ACTION_WORDS: Mapping[Action, str] = {
    Action.RESUME: "to resume: paid for already, not submitted again",
    Action.FETCH: "to download again: paid for already",
    Action.NEW: "to submit",
    Action.CHANGED: "to submit, because their rows have changed",
    Action.RETRY: "to submit again after a failure",
    Action.DECIDE: "in doubt: left alone until you decide (batchgen resolve)",
    Action.FAILED: "failed: left alone (--retry-failed renders them anew)",
    Action.KEEP: "changed, but kept as they were rendered",
    Action.DONE: "done",
    Action.UNSELECTED: "not selected this time",
    Action.DROPPED: "no longer in the manifest: left alone",
}


# ------------------------------------------------------------------------------------------------------------ plan


def plan_text(plan: Plan, outlook: Forecast, money: Money, *, width: int | None = None) -> str:
    """What `run` would do, why, what it would cost, and how long it would take. `width` in columns."""
    columns_there = terminal_width() if width is None else width
    blocks = [
        _kinds(plan, columns_there),
        _undecided_lines(plan),
        [*_price_lines(outlook), *_time_lines(outlook)],
        [f"Money so far: {money_words(money)}"],
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _kinds(plan: Plan, width: int) -> list[str]:
    """Each kind of action with its number and its runs; of a long plan, the first ones of each kind."""
    if not plan.steps:
        return ["The manifest has no runs."]
    most = ALL_SHOWN if len(plan.steps) <= ALL_SHOWN else SHOWN_OF_A_KIND
    lines = []
    for action, number in plan.counts().items():
        lines.append(f"{number:,} {ACTION_WORDS[action]}")
        steps = plan.of(action)[:most]
        lines += columns([(clean(step.id), clean(_why(step))[:LONGEST_CELL]) for step in steps], width, indent="    ")
        if number > len(steps):
            lines.append(f"    … and {number - len(steps):,} more; --json lists all")
    return lines


def _why(step: Step) -> str:
    """Why; for a run that nothing has happened to yet, its prompt says more."""
    if step.action is Action.NEW and step.run and not (step.record and step.record.error):
        return str(step.run.input.get("prompt", "")) or step.why
    return step.why


def _undecided_lines(plan: Plan) -> list[str]:
    if not plan.undecided:
        return []
    number = counted(len(plan.undecided), "row has", "rows have")
    return [
        f"{number} changed since money was spent on them. run asks for one of:",
        "    --changed render    renders them anew, at the price of new ones",
        "    --changed keep      keeps the videos rendered before",
    ]


def _price_lines(outlook: Forecast) -> list[str]:
    """The price of what would be submitted, each part with its source. Never a sum that hides what is unknown."""
    runs = outlook.learned_runs + outlook.estimated_runs + outlook.unknown_runs
    if not runs:
        return ["Nothing would be submitted: no new cost."]
    parts = []
    if outlook.learned_runs:
        source = "at prices that the service took before"
        parts.append(f"    {dollars(outlook.learned)} for {counted(outlook.learned_runs, 'run')}, {source}")
    if outlook.estimated_runs:
        amount = dollars_between(outlook.least, outlook.most)
        source = "by prices of other hosts of the same model"
        parts.append(f"    {amount} for {counted(outlook.estimated_runs, 'run')}, {source}")
    if outlook.unknown_runs:
        parts.append(f"    unknown for {counted(outlook.unknown_runs, 'run')}")
    return [f"Estimated price of {counted(runs, 'submission')}: {_total(outlook)}", *parts]


def _total(outlook: Forecast) -> str:
    if not outlook.learned_runs + outlook.estimated_runs:
        return "unknown"
    amount = dollars_between(outlook.learned + outlook.least, outlook.learned + outlook.most)
    return f"{amount}, and an unknown part" if outlook.unknown_runs else amount


def _time_lines(outlook: Forecast) -> list[str]:
    if not outlook.requests:
        return []
    least = outlook.window_s
    requests = f"    {counted(outlook.requests, 'request')} at the rate limit: {duration(least)}"
    if outlook.latency is None:
        return [f"Estimated time: {duration(least)} at least", requests, "    how long a run renders is unknown"]
    low, high = (duration(least + latency) for latency in outlook.latency)
    between = low if low == high else f"{low} to {high}"
    return [f"Estimated time: {between}, without downloads", requests, "    and the last run has to be rendered"]


def plan_json(plan: Plan, outlook: Forecast, money: Money) -> dict[str, Any]:
    """The same facts for programs, with every step; the keys are stable. `null` is unknown."""
    return {
        "counts": {str(action): len(plan.of(action)) for action in Action},
        "undecided": [step.id for step in plan.undecided],
        "estimate": _estimate_json(outlook),
        "money": money_json(money),
        "steps": [_step_json(step) for step in plan.steps],
    }


def _estimate_json(outlook: Forecast) -> dict[str, Any]:
    known = outlook.learned_runs + outlook.estimated_runs
    low, high = outlook.latency or (None, None)
    return {
        "submissions": known + outlook.unknown_runs,
        "price_known_runs": known,
        "price_unknown_runs": outlook.unknown_runs,
        "price_learned_runs": outlook.learned_runs,
        "least_micro_usd": outlook.learned + outlook.least if known or not outlook.unknown_runs else None,
        "most_micro_usd": outlook.learned + outlook.most if known or not outlook.unknown_runs else None,
        "requests": outlook.requests,
        "window_seconds": round(outlook.window_s, 1),
        "latency_seconds_least": low,
        "latency_seconds_most": high,
    }


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "id": step.id,
        "action": str(step.action),
        "submits": step.action in SENDS,
        "follows": step.action in FOLLOWS,
        "why": step.why,
        "model": step.run.model if step.run else step.record.model if step.record else None,
        "status": str(step.record.status) if step.record else None,
        "run_id": step.record.run_id if step.record else None,
        "place": str(step.run.place) if step.run else None,
    }


# ---------------------------------------------------------------------------------------------------------- status


def status_text(records: Collection[Record], money: Money, commands: Commands) -> str:
    """How the batch stands. `records`: one for each run that is meant, pending ones included."""
    folder = videos_folder(with_status(records, Status.DOWNLOADED), commands)
    head = [f"{counted(len(records), 'run')}: {count_words(records) or 'nothing yet'}", f"Money: {money_words(money)}"]
    if folder:
        head.append(f"Videos: {clean(folder)}/")
    blocks = [
        head,
        group_lines("Failed", failures(records)),
        doubt_lines(records, commands),
        group_lines("Held up", _held_up(records)),
        next_lines(records, commands) or _all_done(records),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _held_up(records: Collection[Record]) -> tuple[Group, ...]:
    """Unfinished runs that have met with trouble."""
    return grouped((record, record.error) for record in with_status(records, *UNFINISHED) if record.error)


def _all_done(records: Collection[Record]) -> list[str]:
    done = records and all(record.status is Status.DOWNLOADED for record in records)
    return ["Nothing is left to do."] if done else []


def status_json(records: Collection[Record], money: Money, commands: Commands) -> dict[str, Any]:
    """The same facts for programs; the keys are stable and those of `run --json`."""
    return {
        "runs": len(records),
        "counts": {str(status): number for status, number in counts(records).items()},
        "money": money_json(money),
        "videos": videos_folder(records, commands),
        "failed": groups_json(failures(records)),
        "in_doubt": doubts_json(records),
        "held_up": groups_json(_held_up(records)),
        "commands": commands_json(records, commands),
    }
