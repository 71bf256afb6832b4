"""The end of a batch: what happened, what it cost, what failed and why, and how to go on."""

from __future__ import annotations

import signal
from collections.abc import Collection
from typing import Any

from batchgen.core.cost import Money
from batchgen.core.outcome import Ending, exit_code
from batchgen.records import Failure, Record, Status
from batchgen.report.commands import Commands
from batchgen.report.messages import advice
from batchgen.report.money import money_json, money_words
from batchgen.report.sections import (
    UNFINISHED,
    Group,
    commands_json,
    count_words,
    counts,
    doubt_lines,
    doubts_json,
    failure_json,
    failures,
    group_lines,
    grouped,
    groups_json,
    next_lines,
    videos_folder,
    with_status,
)
from batchgen.report.words import clean, counted, duration

__all__ = ["Commands", "batch_json", "batch_summary"]

_NOT_REACHED = Failure("stopped", "Not taken up before the end.")


def batch_summary(
    records: Collection[Record],
    ending: Ending,
    money: Money,
    seconds: float,
    commands: Commands,
    unselected: Collection[Record] = (),
) -> str:
    """The final text for people. `records`: those that the batch was about; `seconds`: how long it took.

    `unselected`: rows of the manifest that --only or --limit left out this time.
    """
    stop = _stop_lines(ending)
    told = {ending.stopped.code if ending.stopped else "stopped"}
    blocks = [
        stop,
        [*_headline(records, seconds, commands), *_left_out(unselected), f"Money: {money_words(money)}"],
        group_lines("Failed", failures(records)),
        doubt_lines(records, commands),
        group_lines("Left for the next time", _left(records, ending), silent=told),
        next_lines([*records, *unselected], commands, ending.stopped),
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def batch_json(
    records: Collection[Record],
    ending: Ending,
    money: Money,
    seconds: float,
    commands: Commands,
    unselected: Collection[Record] = (),
) -> dict[str, Any]:
    """The same facts for programs; the keys are stable. Money in micro-dollars, time in seconds."""
    return {
        "exit_code": exit_code(ending, records),
        "runs": len(records),
        "unselected": len(unselected),
        "counts": {str(status): number for status, number in counts(records).items()},
        "seconds": round(seconds, 3),
        "money": money_json(money),
        "videos": videos_folder(records, commands),
        "stopped": _stop_json(ending),
        "failed": groups_json(failures(records)),
        "in_doubt": doubts_json(records),
        "left": groups_json(_left(records, ending)),
        "commands": commands_json([*records, *unselected], commands),
    }


def _left_out(unselected: Collection[Record]) -> list[str]:
    if not unselected:
        return []
    return [f"  Not selected this time: {counted(len(unselected), 'run')} ({count_words(unselected)})"]


def _headline(records: Collection[Record], seconds: float, commands: Commands) -> list[str]:
    done = with_status(records, Status.DOWNLOADED)
    folder = videos_folder(done, commands)
    files = sum(len(record.files) for record in done)
    where = f": {counted(files, 'video')} in {clean(folder)}/" if folder else ""
    if len(done) == len(records):
        return [f"All {counted(len(done), 'run')} downloaded{where}. Took {duration(seconds)}."]
    head = f"{len(done):,} of {counted(len(records), 'run')} downloaded{where}. Took {duration(seconds)}."
    return [head, f"  {count_words(records)}"]


def _stop_lines(ending: Ending) -> list[str]:
    if problem := ending.state_problem:
        return [f"Stopped: {clean(str(problem))}", *([f"  {problem.hint}"] if problem.hint else [])]
    if reason := ending.stopped:
        code = f" [{clean(reason.code)}]" if reason.code else ""
        return [f"Stopped: {clean(reason.message)}{code}", f"  {advice(reason.code)}"]
    if ending.signal_code:
        return [f"Stopped by {_signal_name(ending.signal_code)}. The same command goes on from here."]
    if ending.breaker_open:
        words = "submissions kept ending in doubt, so no more were sent."
        return [f"Stopped: {words}", "  See below what is in doubt; the service may have trouble of its own."]
    return []


def _stop_json(ending: Ending) -> dict[str, Any] | None:
    if ending.state_problem:
        return {"by": "state", "reason": {"code": "state", "message": str(ending.state_problem)}}
    if ending.stopped:
        by = "limit" if ending.stopped.code == "max_cost" else "service"
        return {"by": by, "reason": failure_json(ending.stopped)}
    if ending.signal_code:
        return {"by": "signal", "reason": {"code": "stopped", "message": _signal_name(ending.signal_code)}}
    if ending.breaker_open:
        return {"by": "doubts", "reason": {"code": "in_doubt", "message": "submissions kept ending in doubt"}}
    return None


def _signal_name(code: int) -> str:
    """The name behind an exit code of 128 and a signal's number (README, “Exit codes”)."""
    number = code - 128
    if number == signal.SIGINT:
        return "Ctrl-C"
    try:
        return signal.Signals(number).name
    except ValueError:
        return "a signal"


def _left(records: Collection[Record], ending: Ending) -> tuple[Group, ...]:
    """What is unfinished, by the reason that the batch gave for leaving it, or else by the run's own last trouble."""
    reasons = dict(ending.left)
    unfinished = with_status(records, *UNFINISHED)
    return grouped((r, reasons.get(r.id) or r.error or _NOT_REACHED) for r in unfinished)
