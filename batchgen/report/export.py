"""A batch as a table: what is known of each run under stable names, as JSON, JSON Lines and (in `exportcsv`) CSV."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from batchgen.core.cost import Money
from batchgen.records import Place, Record, SavedFile
from batchgen.report.money import usd_number
from batchgen.report.sections import failure_json

MONEY = ("cost_usd", "refunded_usd", "in_doubt_usd")
TIMES = (
    "planned_at",
    "intended_at",
    "submitted_at",
    "in_doubt_at",
    "succeeded_at",
    "downloaded_at",
    "failed_at",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One run to be exported. `money`: of its own attempts alone. `files`: with paths as the user sees them.

    `in_manifest` and `row_changed` are None where the manifest cannot be read any more.
    """

    record: Record
    money: Money
    files: tuple[SavedFile, ...] = ()
    place: Place | None = None
    in_manifest: bool | None = None
    row_changed: bool | None = None


def facts(entry: Entry) -> dict[str, Any]:
    """What is known of a run; always the same names in the same order. Money is in micro-dollars; None is unknown."""
    record, money = entry.record, entry.money
    refunds = [a.cost_micro_usd for a in record.attempts if a.refunded and a.cost_micro_usd is not None]
    return {
        "id": record.id,
        "status": str(record.status),
        "model": record.model,
        "input": record.input,
        "run_id": record.run_id,
        "key": record.key,
        "files": [{"path": file.path, "bytes": file.bytes, "sha256": file.sha256} for file in entry.files],
        "cost_usd": _known_cost(record, money),
        "refunded_usd": sum(refunds) if refunds else None,
        "in_doubt_usd": money.doubtful or None,
        "attempts": len(record.attempts),
        "attempts_in_doubt": money.doubtful_runs,
        "attempts_unpriced": money.unpriced,
        **{name: record.times.get(name) for name in TIMES},
        "latency_seconds": latency(record.times),
        "error": failure_json(record.error),
        "place": f"{entry.place.file}:{entry.place.line}" if entry.place else None,
        "in_manifest": entry.in_manifest,
        "row_changed": entry.row_changed,
    }


def _known_cost(record: Record, money: Money) -> int | None:
    """What was spent for sure. Where that is nothing, it is said only if every price is known."""
    unknown = money.unpriced or money.doubtful_runs == len(record.attempts)
    return None if unknown and not money.spent else money.spent


def latency(times: Mapping[str, str]) -> float | None:
    """Seconds from the submission until the run was seen rendered; None where the times do not tell.

    They do not for an adopted run, whose submission is known only from the day on which a person found it, nor where
    the rendering was that of an earlier attempt.
    """
    try:
        submitted, succeeded = (datetime.fromisoformat(times[name]) for name in ("submitted_at", "succeeded_at"))
        intended = times.get("intended_at", "")
        adopted = intended <= times.get("in_doubt_at", "") <= times["submitted_at"] if intended else False
        seconds = (succeeded - submitted).total_seconds()
    except (KeyError, ValueError, TypeError):  # not there, or written by somebody else in another way
        return None
    return None if adopted or seconds < 0 else seconds


def json_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """One JSON object a line."""
    return (f"{_object(entry)}\n" for entry in entries)


def json_array(entries: Iterable[Entry]) -> Iterator[str]:
    """One JSON array of the same objects, each on its line, made as it is read."""
    yield "["
    for number, entry in enumerate(entries):
        yield f"{',' if number else ''}\n{_object(entry)}"
    yield "\n]\n"


def _object(entry: Entry) -> str:
    known = facts(entry)
    for name in MONEY:
        if known[name] is not None:
            known[name] = usd_number(known[name])
    return _ENCODER.encode(known)


_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
