"""How a batch stands: what its state says at this moment, and a record for each row that it does not know yet."""

from __future__ import annotations

from dataclasses import replace

from batchgen.app.target import Target
from batchgen.core.lifecycle import apply
from batchgen.records import Record, Run, Status
from batchgen.store.emergency import doubts
from batchgen.store.ledger import is_locked, read_state, utc_now


def records_of(target: Target) -> dict[str, Record]:
    """The state's records. An intent without an outcome is in doubt, unless its process is still at work."""
    # Asked before the reading too: a process that ends just after it would leave intents that look like doubts.
    at_work = is_locked(target.paths)
    document = read_state(target.paths)
    records = document.records if document else {}
    under_way = [record for record in records.values() if record.status is Status.SUBMITTING]
    at_work = at_work or (bool(under_way) and is_locked(target.paths))
    if at_work:  # on their way at this moment: shown as waiting, because nothing about them is in doubt yet
        waiting = {record.id: replace(record, status=Status.PENDING) for record in under_way}
        return records | waiting
    return records | {event.id: apply(records[event.id], event) for event in doubts(target.paths, records, utc_now())}


def pending(run: Run) -> Record:
    """The record of a row that the state does not know yet."""
    return Record(run.id, run.model, run.input, run.input_sha256)
