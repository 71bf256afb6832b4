"""How a batch stands: what its state says at this moment, and a record for each row that it does not know yet."""

from __future__ import annotations

from dataclasses import replace

from batchgen.app.target import Target
from batchgen.core.lifecycle import apply
from batchgen.events import Doubted
from batchgen.records import Record, Run, Status
from batchgen.store.ledger import INTERRUPTED, is_locked, read_state, utc_now


def records_of(target: Target) -> dict[str, Record]:
    """The state's records. An intent without an outcome is in doubt, unless its process is still at work."""
    # Asked before the reading too: a process that ends just after it would leave intents that look like doubts.
    at_work = is_locked(target.paths)
    document = read_state(target.paths)
    records = document.records if document else {}
    under_way = [record for record in records.values() if record.status is Status.SUBMITTING]
    at_work = at_work or (bool(under_way) and is_locked(target.paths))
    for record in under_way:
        if at_work:  # on its way at this moment: shown as waiting, because nothing about it is in doubt yet
            records[record.id] = replace(record, status=Status.PENDING)
        else:
            records[record.id] = apply(record, Doubted(id=record.id, at=utc_now(), failure=INTERRUPTED))
    return records


def pending(run: Run) -> Record:
    """The record of a row that the state does not know yet."""
    return Record(run.id, run.model, run.input, run.input_sha256)
