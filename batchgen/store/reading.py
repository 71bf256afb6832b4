"""The state as anyone may read it at any time, while another process writes it or not."""

from __future__ import annotations

import time
from pathlib import Path

from batchgen.core.lifecycle import IllegalTransition, apply
from batchgen.errors import StateDamaged, StateUnwritable
from batchgen.store.document import Document, Header, decode_document
from batchgen.store.journal import read_journal
from batchgen.store.paths import StatePaths

READS = 50


def read_state(paths: StatePaths) -> Document | None:
    """The state with its journal applied; None where there is none yet. Takes no lock and changes nothing.

    Raises StateDamaged, StateNewer or StateUnwritable (not readable).
    """
    for _ in range(READS):
        document = _read_once(paths)
        if document is not _MOVING:
            return document
        time.sleep(0.02)  # another process is just folding
    raise StateDamaged(
        f"{paths.journal} continues a later state than {paths.state} holds.",
        "The state was put back to an earlier one: put its journal back as well.",
    )


_MOVING = Document(Header(None, "", ""), {})


def _read_once(paths: StatePaths) -> Document | None:
    try:
        before = _stamp(paths.state)
        data = paths.state.read_bytes() if before else None
        journal = read_journal(paths.journal)
        if _stamp(paths.state) != before:
            return _MOVING  # what was read of the two may not belong together
    except OSError as problem:
        raise StateUnwritable(f"{paths.state} cannot be read: {problem.strerror or problem}.") from problem
    if data is None:
        if journal is not None:
            raise StateDamaged(f"{paths.journal} is there, but {paths.state.name} is gone.", "Put the state file back.")
        return None
    document = decode_document(paths.state, data)
    if journal is None or journal.generation < document.header.generation:
        return document
    if journal.generation > document.header.generation:
        return _MOVING
    for event in journal.events:
        try:
            document.records[event.id] = apply(document.records.get(event.id), event)
        except IllegalTransition as problem:
            raise StateDamaged(f"{paths.journal} does not follow from {paths.state.name}: {problem}.") from problem
    return document


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes whenever the file is replaced; None where there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
