"""The ledger while everything goes well, and its readers, callers and lock."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from batchgen import events as ev
from batchgen.core.lifecycle import IllegalTransition
from batchgen.errors import StateDamaged, StateForeign, StateLocked, StateUnwritable
from batchgen.records import Status
from batchgen.store import journal as journal_module
from batchgen.store import ledger as ledger_module
from batchgen.store import reading
from batchgen.store.document import Header
from batchgen.store.journal import JournalRead, read_journal
from batchgen.store.ledger import Ledger, locked, open_ledger, read_state
from batchgen.store.paths import StatePaths
from tests.core.samples import AT, KEY, created, doubted, intended, planned, ways

pytestmark = pytest.mark.anyio
HEADER = Header("https://runbase.net/api/v1", "batch.yaml", "ab" * 32)


def now() -> str:
    return AT


@pytest.fixture
def paths(tmp_path: Path) -> StatePaths:
    return StatePaths(tmp_path / "batch.state.json")


class SlowDisk:
    """Counts fsyncs, and holds each one until it is let go."""

    def __init__(self) -> None:
        self.real, self.calls = os.fsync, 0
        self.begun, self.go_on = threading.Event(), threading.Event()

    def fsync(self, fd: int) -> None:
        self.calls += 1
        self.begun.set()
        if not self.go_on.wait(10):
            raise TimeoutError("nobody let the disk go on")
        self.real(fd)


@pytest.fixture
def slow_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowDisk]:
    disk = SlowDisk()
    disk.go_on.set()
    monkeypatch.setattr(os, "fsync", disk.fsync)
    yield disk
    disk.go_on.set()


async def test_what_was_recorded_is_there_for_a_reader_at_once_and_after_the_end(paths: StatePaths) -> None:
    async with open_ledger(paths, HEADER, now) as ledger:
        for event in ways()[Status.DOWNLOADED]:
            record = await ledger.record(event)
            document = read_state(paths)
            assert document is not None
            assert document.records == {"lamp": record} == ledger.records
    document = read_state(paths)
    assert document is not None
    assert document.records == ledger.records
    assert replace(document.header, generation=0) == replace(HEADER, updated_at=AT)


async def test_the_folder_holds_the_state_and_the_lock_afterwards_and_nothing_else(paths: StatePaths) -> None:
    async with open_ledger(paths, HEADER) as ledger:
        await ledger.record(planned())
        assert paths.journal.exists()
    assert sorted(file.name for file in paths.state.parent.iterdir()) == [paths.state.name, paths.lock.name]


async def test_the_temporary_files_of_a_killed_writer_are_taken_away_and_no_others(paths: StatePaths) -> None:
    for name in (".batch.state.json.123.tmp", ".batch.state.json.journal.9.tmp", ".batch.state.json.tmp", "x.tmp"):
        (paths.state.parent / name).touch()
    async with open_ledger(paths, HEADER):
        pass
    left = {file.name for file in paths.state.parent.glob("*.tmp")} | {f.name for f in paths.state.parent.glob(".*")}
    assert left == {".batch.state.json.tmp", "x.tmp"}


async def test_events_that_arrive_during_a_write_share_one_fsync(paths: StatePaths, slow_disk: SlowDisk) -> None:
    async with open_ledger(paths, HEADER) as ledger:
        slow_disk.go_on.clear()
        slow_disk.begun.clear()
        before = slow_disk.calls
        async with anyio.create_task_group() as callers:
            callers.start_soon(ledger.record, planned("first"))
            await anyio.to_thread.run_sync(slow_disk.begun.wait, 10)
            for number in range(50):
                callers.start_soon(ledger.record, planned(f"run-{number}"))
            await anyio.wait_all_tasks_blocked()
            assert not ledger.records  # nothing counts before it is on disk
            slow_disk.go_on.set()
        assert slow_disk.calls == before + 2
        assert len(ledger.records) == 51


async def test_an_event_that_builds_on_one_that_is_still_being_written_is_taken(
    paths: StatePaths, slow_disk: SlowDisk
) -> None:
    async with open_ledger(paths, HEADER) as ledger:
        slow_disk.go_on.clear()
        slow_disk.begun.clear()
        async with anyio.create_task_group() as callers:
            callers.start_soon(ledger.record, planned())
            await anyio.to_thread.run_sync(slow_disk.begun.wait, 10)
            callers.start_soon(ledger.record, intended())
            await anyio.wait_all_tasks_blocked()
            callers.start_soon(ledger.record, created())
            await anyio.wait_all_tasks_blocked()
            slow_disk.go_on.set()
        assert ledger.records["lamp"].status is Status.SUBMITTED


async def test_an_impossible_event_costs_no_other_event_that_shares_its_write(
    paths: StatePaths, slow_disk: SlowDisk
) -> None:
    async with open_ledger(paths, HEADER) as ledger:
        await ledger.record_all([planned(), intended()])
        slow_disk.go_on.clear()
        slow_disk.begun.clear()
        refused = []

        async def impossible() -> None:
            with pytest.raises(IllegalTransition):
                await ledger.record(doubted("unheard-of"))
            refused.append(True)

        async with anyio.create_task_group() as callers:
            callers.start_soon(ledger.record, planned("first"))
            await anyio.to_thread.run_sync(slow_disk.begun.wait, 10)
            callers.start_soon(ledger.record, created())
            callers.start_soon(impossible)
            await anyio.wait_all_tasks_blocked()
            slow_disk.go_on.set()
        assert refused
        assert ledger.records["lamp"].run_id == "run_lamp"


async def test_of_several_events_none_is_written_where_one_cannot_happen(paths: StatePaths) -> None:
    async with open_ledger(paths, HEADER) as ledger:
        with pytest.raises(IllegalTransition):
            await ledger.record_all([planned("a"), created("a")])
        assert ledger.records == {}
        journal = read_journal(paths.journal)
        assert journal is not None
        assert journal.events == ()


async def test_an_event_that_is_no_json_is_refused_and_the_ledger_goes_on(paths: StatePaths) -> None:
    async with open_ledger(paths, HEADER) as ledger:
        with anyio.fail_after(10):
            with pytest.raises(ValueError, match="JSON"):
                await ledger.record(planned(n=float("inf")))
            await ledger.record(planned())
        assert list(ledger.records) == ["lamp"]


async def test_no_events_need_no_write(paths: StatePaths) -> None:
    async with open_ledger(paths, HEADER) as ledger:
        with anyio.fail_after(10):
            await ledger.record_all([])


async def test_a_caller_that_is_cancelled_has_still_written_its_event(paths: StatePaths, slow_disk: SlowDisk) -> None:
    async with open_ledger(paths, HEADER) as ledger:
        slow_disk.go_on.clear()
        slow_disk.begun.clear()
        async with anyio.create_task_group() as callers:
            callers.start_soon(ledger.record, planned())
            await anyio.to_thread.run_sync(slow_disk.begun.wait, 10)
            callers.cancel_scope.cancel()
            slow_disk.go_on.set()
        assert ledger.records["lamp"].status is Status.PENDING
        document = read_state(paths)
        assert document is not None
        assert document.records == ledger.records


async def test_a_closed_ledger_refuses_instead_of_waiting_for_ever(paths: StatePaths) -> None:
    async with open_ledger(paths, HEADER) as ledger:
        pass
    with anyio.fail_after(10), pytest.raises(StateUnwritable):
        await ledger.record(planned())


async def test_an_error_of_the_body_comes_out_as_it_is_and_everything_is_saved(paths: StatePaths) -> None:
    async def body(ledger: Ledger) -> None:
        await ledger.record(planned())
        raise RuntimeError("of the body")

    with pytest.raises(RuntimeError, match="of the body"):
        async with open_ledger(paths, HEADER) as ledger:
            await body(ledger)
    document = read_state(paths)
    assert document is not None
    assert list(document.records) == ["lamp"]


async def test_an_intent_without_an_outcome_is_in_doubt_on_disk_before_anyone_gets_the_ledger(
    paths: StatePaths, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    async with open_ledger(paths, HEADER) as ledger:
        await ledger.record_all([planned(), intended(), *ways("other")[Status.SUBMITTED]])
        for file in (paths.state, paths.journal):
            (copy / file.name).write_bytes(file.read_bytes())  # as a kill would leave them
    stopped = StatePaths(copy / paths.state.name)
    async with open_ledger(stopped, HEADER, now) as ledger:
        document = read_state(stopped)
        assert document is not None
        for records in (ledger.records, document.records):
            record = records["lamp"]
            assert (record.status, record.key) == (Status.IN_DOUBT, KEY)
            assert record.error is not None
            assert record.error.code == "interrupted"
            assert records["other"].status is Status.SUBMITTED


async def test_a_second_opener_is_refused_at_once(paths: StatePaths) -> None:
    async with open_ledger(paths, HEADER):
        with anyio.fail_after(5), pytest.raises(StateLocked) as caught:
            async with open_ledger(paths, HEADER):
                pass
        assert caught.value.exit_code == 5
    async with open_ledger(paths, HEADER):
        pass


def test_a_process_that_was_killed_leaves_no_lock_behind(paths: StatePaths) -> None:
    code = (
        "import sys, time; from pathlib import Path\n"
        "from batchgen.store.ledger import locked; from batchgen.store.paths import StatePaths\n"
        "with locked(StatePaths(Path(sys.argv[1]))): print('held', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", code, str(paths.state)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            with pytest.raises(StateLocked), locked(paths):
                pass
        finally:
            other.kill()
    with locked(paths):
        pass


async def test_a_state_of_another_service_is_refused_and_left_alone(paths: StatePaths) -> None:
    async with open_ledger(paths, HEADER) as ledger:
        await ledger.record(planned())
    before = paths.state.read_bytes()
    with pytest.raises(StateForeign):
        async with open_ledger(paths, replace(HEADER, base_url="http://127.0.0.1:8080")):
            pass
    assert paths.state.read_bytes() == before
    assert not paths.journal.exists()


async def test_a_state_without_a_service_becomes_that_of_the_first_one(paths: StatePaths) -> None:
    paths.state.write_text('{"format":"batchgen-state","version":1,"runs":{}}')
    async with open_ledger(paths, HEADER):
        pass
    document = read_state(paths)
    assert document is not None
    assert document.header.base_url == HEADER.base_url


async def test_without_a_header_the_state_goes_on_saying_of_itself_what_it_said(paths: StatePaths) -> None:
    async with open_ledger(paths, HEADER):
        pass
    async with open_ledger(paths):
        pass
    document = read_state(paths)
    assert document is not None
    assert (document.header.base_url, document.header.manifest_path) == (HEADER.base_url, HEADER.manifest_path)


async def test_a_damaged_state_is_refused_and_left_alone(paths: StatePaths) -> None:
    paths.state.write_bytes(b'{"format":"batchgen-state"')
    with pytest.raises(StateDamaged):
        async with open_ledger(paths, HEADER):
            pass
    assert paths.state.read_bytes() == b'{"format":"batchgen-state"'


async def test_a_journal_without_its_state_is_refused(paths: StatePaths) -> None:
    async with open_ledger(paths, HEADER):
        kept = paths.journal.read_bytes()
    paths.state.unlink()
    paths.journal.write_bytes(kept)
    with pytest.raises(StateDamaged, match="is gone"):
        read_state(paths)


async def test_a_state_put_back_under_a_later_journal_is_refused(
    paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_ledger(paths, HEADER):
        pass
    old = paths.state.read_bytes()
    async with open_ledger(paths, HEADER) as ledger:
        await ledger.record(planned())
        kept = paths.journal.read_bytes()
    paths.state.write_bytes(old)
    paths.journal.write_bytes(kept)
    monkeypatch.setattr(reading, "READS", 2)
    with pytest.raises(StateDamaged, match="later state"):
        read_state(paths)


async def test_a_journal_that_does_not_follow_from_its_state_is_refused(paths: StatePaths) -> None:
    async with open_ledger(paths, HEADER) as ledger:
        await ledger.record_all([planned(), intended()])
        kept, state = paths.journal.read_bytes(), paths.state.read_bytes()
    paths.state.write_bytes(state)
    impossible = journal_module.event_line(ev.Retried(id="lamp", at=AT))
    paths.journal.write_bytes(kept.rstrip(b"\0") + impossible + bytes(len(kept)))
    with pytest.raises(StateDamaged, match="does not follow"):
        read_state(paths)


async def test_a_torn_last_write_is_dropped_and_its_run_is_sent_anew_only_if_its_intent_was_in_it(
    paths: StatePaths,
) -> None:
    async with open_ledger(paths, HEADER) as ledger:
        await ledger.record_all([planned("a"), planned("b"), intended("b")])
        state, kept = paths.state.read_bytes(), paths.journal.read_bytes()
    paths.state.write_bytes(state)
    torn = journal_module.event_line(intended("a"))[:-9]
    paths.journal.write_bytes(kept.rstrip(b"\0") + torn + bytes(len(kept)))
    async with open_ledger(paths, HEADER) as ledger:
        assert ledger.records["a"].status is Status.PENDING
        assert ledger.records["b"].status is Status.IN_DOUBT


async def test_a_long_journal_is_folded_while_events_go_on(paths: StatePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "FOLD_AT_LEAST_BYTES", 2000)
    folds = []
    real = Ledger.fold

    def fold(self: Ledger) -> None:
        folds.append(True)
        real(self)

    monkeypatch.setattr(Ledger, "fold", fold)
    async with open_ledger(paths, HEADER) as ledger:
        for number in range(60):
            await ledger.record(planned(f"run-{number}"))
        journal = paths.journal.read_bytes().rstrip(b"\0")
        assert len(journal) < 2 * paths.state.stat().st_size + 2000
        assert 2 < len(folds) < 15  # seldom enough that an event costs the same in any batch
    document = read_state(paths)
    assert document is not None
    assert len(document.records) == 60


async def test_a_reader_never_fails_nor_goes_back_while_the_writer_opens_folds_and_closes(paths: StatePaths) -> None:
    stop = threading.Event()
    seen: list[int] = []

    def read_on() -> None:
        while not stop.is_set():
            document = read_state(paths)
            seen.append(len(document.records) if document else 0)

    async with anyio.create_task_group() as readers:
        readers.start_soon(anyio.to_thread.run_sync, read_on)
        try:
            for session in range(15):
                async with open_ledger(paths, HEADER) as ledger:
                    for number in range(4):
                        await ledger.record(planned(f"run-{session}-{number}"))
                        await anyio.to_thread.run_sync(ledger.fold)
        finally:
            stop.set()
    assert seen == sorted(seen)
    assert len(seen) > 5


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Lets something happen once, after a reader has read the state and before it reads the journal."""
    todo = [act]

    def read_journal_later(path: Path) -> JournalRead | None:
        if todo:
            todo.pop()()
        return read_journal(path)

    monkeypatch.setattr(reading, "read_journal", read_journal_later)


async def test_a_reader_that_meets_the_end_of_a_session_sees_the_end_and_not_the_beginning(
    paths: StatePaths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_ledger(paths, HEADER) as ledger:
        await ledger.record(planned())
        begun = {file: file.read_bytes() for file in (paths.state, paths.journal)}
    ended = paths.state.read_bytes()
    for file, data in begun.items():
        file.write_bytes(data)

    def end() -> None:
        (tmp_path / "new").write_bytes(ended)
        (tmp_path / "new").replace(paths.state)
        paths.journal.unlink()

    meanwhile(monkeypatch, end)
    document = read_state(paths)
    assert document is not None
    assert list(document.records) == ["lamp"]


async def test_a_reader_that_meets_the_first_session_takes_it_for_no_damage(
    paths: StatePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_ledger(paths, HEADER) as ledger:
        await ledger.record(planned())
        begun = {file: file.read_bytes() for file in (paths.state, paths.journal)}
    paths.state.unlink()

    def begin() -> None:
        for file, data in begun.items():
            file.write_bytes(data)

    meanwhile(monkeypatch, begin)
    document = read_state(paths)
    assert document is not None
    assert list(document.records) == ["lamp"]


def test_a_state_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    folder = tmp_path / "batch.state.json"
    folder.mkdir()
    with pytest.raises(StateUnwritable, match="cannot be read"):
        read_state(StatePaths(folder))


def test_no_state_is_none(paths: StatePaths) -> None:
    assert read_state(paths) is None
