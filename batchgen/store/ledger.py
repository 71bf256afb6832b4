"""The open state of a batch: reads it, takes events, and keeps records and disk in step.

An event counts when it is on disk. Events that arrive while a write is under way share the next one and its fsync, so
that a transition costs the same in a batch of any size.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import anyio
import anyio.to_thread
from filelock import FileLock, Timeout

from batchgen import events as ev
from batchgen.core.lifecycle import apply
from batchgen.errors import StateForeign, StateLocked, StateProblem, StateUnwritable
from batchgen.records import Record
from batchgen.store.document import Header, encode_document
from batchgen.store.emergency import doubts
from batchgen.store.files import fsync_folder, make_folder, put_in_place, remove_leftovers, replace_file, write_beside
from batchgen.store.journal import Journal, event_line
from batchgen.store.paths import StatePaths
from batchgen.store.reading import read_state as read_state  # whoever reads a state finds all of it here

# Long enough for `status`, which tries the lock for a moment, to let go; short enough to refuse a second run at once.
LOCK_WAIT_S = 0.3
FOLD_AT_LEAST_BYTES = 8 * 1024 * 1024


def utc_now() -> str:
    """The time of day as the state spells it: ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@contextmanager
def locked(paths: StatePaths) -> Iterator[None]:
    """Holds the state's lock. Raises StateLocked where another process has it.

    The system drops the lock of a process that died; the file stays, and means nothing by itself.
    """
    lock = FileLock(str(paths.lock), poll_interval=0.02)
    try:
        lock.acquire(timeout=LOCK_WAIT_S)
    except Timeout:
        raise StateLocked(
            f"Another batchgen process is working on {paths.state}.",
            "Wait for it, or stop it; `batchgen status` shows how far it is.",
        ) from None
    except OSError as problem:
        raise StateUnwritable(f"{paths.lock} cannot be written: {problem.strerror or problem}.") from problem
    try:
        yield
    finally:
        lock.release()


def is_locked(paths: StatePaths) -> bool:
    """Whether a process is at work on the state now."""
    if not paths.lock.exists():
        return False
    try:
        with locked(paths):
            return False
    except StateLocked:
        return True
    except StateUnwritable:  # not ours to lock: then nobody of us works on it
        return False


@dataclass(slots=True)
class _Batch:
    """Events that share one write: their lines, and the records as they are after them."""

    lines: list[bytes] = field(default_factory=list)
    after: dict[str, Record] = field(default_factory=dict)
    done: anyio.Event = field(default_factory=anyio.Event)
    problem: StateProblem | None = None


class Ledger:
    """Every run's record, in memory and on disk. `records` is to be read only; `record` changes it."""

    def __init__(self, paths: StatePaths, header: Header, records: dict[str, Record], now: Callable[[], str]) -> None:
        self.paths = paths
        self.records = records
        self.now = now
        self._header = header
        self._journal: Journal | None = None
        self._next = _Batch()
        self._writing = _Batch()
        self._wake = anyio.Event()
        self._closing = False
        self._broken: StateProblem | None = None  # nothing can be written any more
        self._full: StateProblem | None = None  # what has begun can be written to its end, and nothing begins
        self._fold_at = FOLD_AT_LEAST_BYTES

    async def record(self, event: ev.Event) -> Record:
        """Writes the event and returns the record after it. When this returns, the event survives a power cut.

        Raises StateUnwritable, then and at every later call, when it cannot be written, and for an intent as soon as
        there might be no room for its outcome; IllegalTransition where the event cannot happen. A caller that is
        cancelled while it waits has still written the event.
        """
        await self.record_all([event])
        return self.records[event.id]

    async def record_all(self, events: Iterable[ev.Event]) -> None:
        """Writes events that share one fsync, as `record` writes one. Where one cannot happen, none is written."""
        if self._broken:
            raise self._broken
        if self._closing:
            raise StateUnwritable(f"{self.paths.state} is closed.")
        # Everything that can be wrong with an event is found here, in its caller's task: another caller's event that
        # shares the write, perhaps with the only copy of a run's id, must not suffer from it.
        after, lines = dict[str, Record](), list[bytes]()
        for event in events:
            if self._full and isinstance(event, ev.Intended):
                raise self._full
            after[event.id] = apply(after.get(event.id) or self._latest(event.id), event)
            lines.append(event_line(event))
        if not lines:
            return
        batch = self._next
        batch.lines += lines
        batch.after.update(after)
        self._wake.set()
        with anyio.CancelScope(shield=True):
            await batch.done.wait()
        if batch.problem:
            raise batch.problem

    def _latest(self, name: str) -> Record | None:
        """The record after all events that were taken, on disk already or not."""
        return self._next.after.get(name) or self._writing.after.get(name) or self.records.get(name)

    async def _write_in_turn(self) -> None:
        """The one writer: takes what has come together since the last write, until the ledger closes."""
        with anyio.CancelScope(shield=True):
            while True:
                if not self._next.lines:
                    if self._closing:
                        return
                    self._wake = anyio.Event()
                    await self._wake.wait()
                    continue
                self._writing, self._next = self._next, _Batch()
                await self._commit(self._writing)
                self._writing.done.set()
                await self._fold_if_large()

    async def _commit(self, batch: _Batch) -> None:
        """Puts a batch on disk, or notes in it why not. Raises nothing: whoever waits for the batch would wait on."""
        if self._journal is not None and not self._broken:
            try:
                await anyio.to_thread.run_sync(self._journal.append, batch.lines)
            except Exception as problem:  # a full disk, but also a thread that cannot be started
                self._broken = _unwritable(self.paths, problem)
        if self._journal is not None and self._journal.full:
            self._full = _unwritable(self.paths, self._journal.full)
        if self._broken or self._journal is None:
            batch.problem = self._broken or StateUnwritable(f"{self.paths.journal} is closed.")
        else:
            self.records.update(batch.after)

    async def _fold_if_large(self) -> None:
        """Folds when the journal has outgrown the state. What is on disk already counts even where that fails."""
        if self._journal is None or self._broken or self._full or self._journal.size <= self._fold_at:
            return
        try:
            await anyio.to_thread.run_sync(self.fold)
        except Exception as problem:
            if not self._full:
                self._broken = self._broken or _unwritable(self.paths, problem)

    def fold(self) -> None:
        """Writes the whole state, then begins a new journal. A stop between the two leaves an old journal, passed over.

        Raises StateUnwritable; the old state and its journal still stand then.
        """
        header = replace(self._header, updated_at=self.now(), generation=self._header.generation + 1)
        try:
            written = write_beside(self.paths.state, encode_document(header, self.records))
        except OSError as problem:  # most likely a full disk; the journal goes on taking what has begun
            self._full = _unwritable(self.paths, problem)
            raise self._full from problem
        try:
            put_in_place(written, self.paths.state)
            self._header = header
            if self._journal:
                self._journal.close()
                self._journal = None
            self._journal = Journal(self.paths.journal, header.generation)
            self._fold_at = max(FOLD_AT_LEAST_BYTES, 2 * self.paths.state.stat().st_size)
        except OSError as problem:
            self._broken = _unwritable(self.paths, problem)
            raise self._broken from problem

    def _finish(self) -> None:
        """Folds everything into the state and takes the journal away. A broken ledger stays as it is on disk."""
        if self._journal is None:
            return
        self._journal.close()
        self._journal = None
        if self._broken:
            return
        header = replace(self._header, updated_at=self.now(), generation=self._header.generation + 1)
        try:
            replace_file(self.paths.state, encode_document(header, self.records))
            self.paths.journal.unlink(missing_ok=True)
            fsync_folder(self.paths.state.parent)
        except OSError as problem:
            if not self._full:  # else it has been said, and the state with its journal is whole as it is
                raise _unwritable(self.paths, problem) from problem


@asynccontextmanager
async def open_ledger(
    paths: StatePaths, header: Header | None = None, now: Callable[[], str] = utc_now
) -> AsyncIterator[Ledger]:
    """Opens the state for writing under its lock, folds what a stop has left behind, and folds again at the end.

    `header` is what the state shall say of itself from now on; without one, what it says already. Raises a
    StateProblem of the fitting kind; a state that was made with another service is refused.
    """
    _make_folder_of(paths)
    with locked(paths):
        remove_leftovers(paths.state, paths.journal)
        document = read_state(paths)
        header = header or (document.header if document else Header(None, "", ""))
        if document and document.header.base_url not in (None, header.base_url):
            raise foreign(paths, document.header.base_url, header.base_url)
        generation = document.header.generation if document else 0
        ledger = Ledger(paths, replace(header, generation=generation), document.records if document else {}, now)
        for event in doubts(paths, ledger.records, now()):
            ledger.records[event.id] = apply(ledger.records[event.id], event)
        try:
            ledger.fold()
            problem: Exception | None = None
            async with anyio.create_task_group() as writer:
                writer.start_soon(ledger._write_in_turn)
                try:
                    yield ledger
                except Exception as raised:  # raised again below: a task group would wrap it in a group
                    problem = raised
                finally:
                    ledger._closing = True
                    ledger._wake.set()
            if problem:
                raise problem
        finally:
            ledger._finish()


def _make_folder_of(paths: StatePaths) -> None:
    try:
        make_folder(paths.state.parent)
    except OSError as problem:
        raise _unwritable(paths, problem) from problem


def foreign(paths: StatePaths, theirs: str | None, ours: str | None) -> StateForeign:
    """The refusal of a state that belongs to another service."""
    return StateForeign(
        f"{paths.state} belongs to {(theirs or 'no service')[:200]}, not to {ours}.",
        "Use the same --base-url as before, or another --state for this service.",
    )


def _unwritable(paths: StatePaths, problem: Exception) -> StateUnwritable:
    why = getattr(problem, "strerror", None) or problem
    return StateUnwritable(
        f"The state {paths.state} cannot be written: {why}. Nothing more was submitted.",
        "Make room or mend the folder's permissions, then run the same command again.",
    )
