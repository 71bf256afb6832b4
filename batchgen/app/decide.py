"""`batchgen resolve`: a person's decision on runs in doubt."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio

from batchgen import events as ev
from batchgen.app.standing import records_of
from batchgen.app.target import Reply, Target
from batchgen.errors import UsageProblem
from batchgen.records import Record, Status
from batchgen.report.words import counted
from batchgen.store.ledger import Ledger, open_ledger


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person has found out; exactly one of the three."""

    adopt: str | None = None
    not_created: bool = False
    abandon: bool = False


def resolve(target: Target, ids: Sequence[str], decision: Decision) -> Reply:
    """Decides the runs named, or lists those in doubt. Raises UsageProblem; then no run is decided."""
    records = records_of(target)
    if not target.paths.state.exists():
        raise UsageProblem(f"There is no state {target.paths.state}: nothing was ever submitted from it.")
    if not ids:
        return _listed([record for record in records.values() if record.status is Status.IN_DOUBT])
    make = _event_maker(ids, decision)
    return anyio.run(_decide, target, tuple(dict.fromkeys(ids)), make)


def _listed(doubtful: Sequence[Record]) -> Reply:
    rows = [
        {"id": r.id, "since": r.times.get("intended_at"), "why": r.error.message if r.error else ""} for r in doubtful
    ]
    lines = [f"{row['id']}  (sent {row['since'] or 'at an unknown time'})  {row['why']}" for row in rows]
    head = f"{counted(len(rows), 'run')} in doubt:" if rows else "No run is in doubt."
    tail = ["", "Look each up in your account, then say --adopt RUN_ID, --not-created or --abandon."] if rows else []
    return Reply("\n".join([head, *lines, *tail]), {"in_doubt": rows})


def _event_maker(ids: Sequence[str], decision: Decision) -> Callable[[str, str], ev.Event]:
    chosen = sum((decision.adopt is not None, decision.not_created, decision.abandon))
    if chosen != 1:
        raise UsageProblem("Say what is to happen: exactly one of --adopt RUN_ID, --not-created and --abandon.")
    if decision.adopt is not None:
        run_id = decision.adopt.strip()
        if len(set(ids)) != 1 or not run_id:
            raise UsageProblem("--adopt gives one RUN_ID to one ID.")
        return lambda name, at: ev.Adopted(id=name, at=at, run_id=run_id)
    kind = ev.Released if decision.not_created else ev.Abandoned
    return lambda name, at: kind(id=name, at=at)


async def _decide(target: Target, ids: Sequence[str], make: Callable[[str, str], ev.Event]) -> Reply:
    async with open_ledger(target.paths) as ledger:
        events = [make(name, ledger.now()) for name in ids]
        _check(ledger, events)
        await ledger.record_all(events)
        rows = [{"id": name, "status": str(ledger.records[name].status)} for name in ids]
    text = "\n".join(f"{row['id']} is now {row['status']}." for row in rows)
    return Reply(text, {"resolved": rows})


def _check(ledger: Ledger, events: Sequence[ev.Event]) -> None:
    for event in events:
        record = ledger.records.get(event.id)
        if record is None:
            near = difflib.get_close_matches(event.id, ledger.records, n=1)
            raise UsageProblem(
                f"There is no run {event.id!r} in {ledger.paths.state}.", f"Did you mean {near[0]!r}?" if near else None
            )
        if record.status is not Status.IN_DOUBT:
            raise UsageProblem(f"{event.id} is not in doubt: it is {record.status}.")
        if isinstance(event, ev.Adopted):
            _check_not_taken(ledger, event)


def _check_not_taken(ledger: Ledger, event: ev.Adopted) -> None:
    for other in ledger.records.values():
        if any(attempt.run_id == event.run_id for attempt in other.attempts):
            raise UsageProblem(f"{event.run_id} already belongs to {other.id}; it cannot be {event.id} as well.")
