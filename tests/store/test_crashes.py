"""Stops and write errors at every single system call: nothing that was acknowledged is lost, nothing is damaged."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from random import Random

import anyio.to_thread
import pytest

from batchgen import events as ev
from batchgen.core.lifecycle import apply
from batchgen.errors import StateUnwritable
from batchgen.records import Record, Status
from batchgen.store.document import Header
from batchgen.store.ledger import open_ledger, read_state
from batchgen.store.paths import StatePaths
from tests.core.samples import created, downloaded, intended, planned, succeeded
from tests.store.disk import Call, Cut, Disk, Fail, Loss, Mixed, Names, Stop, Zeros, error

pytestmark = pytest.mark.anyio
HEADER = Header("https://runbase.net/api/v1", "batch.yaml", "ab" * 32)
BEFORE = (planned("a"), planned("b"), intended("a"), created("a"))
EVENTS = (intended("b"), created("b"), succeeded("b"), succeeded("a"), downloaded("a"), downloaded("b"))
FOLD_AFTER = 3


@pytest.fixture(autouse=True)
def no_waiting_for_the_real_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was synced is modelled by `Disk`; a real fsync would only make this slow."""
    monkeypatch.setattr(os, "fsync", lambda _fd: None)
    monkeypatch.setattr("batchgen.store.journal.KEPT_FREE_BYTES", 512)  # so that more room is made now and then


async def session(paths: StatePaths, acknowledged: list[ev.Event], events: Sequence[ev.Event] = EVENTS) -> None:
    """A session with a fold in its middle; notes every event that the ledger has taken."""
    async with open_ledger(paths, HEADER) as ledger:
        for number, event in enumerate(events):
            if number == FOLD_AFTER:
                await anyio.to_thread.run_sync(ledger.fold)
            await ledger.record(event)
            acknowledged.append(event)


async def prepared(folder: Path) -> StatePaths:
    """A state with runs in it, made before anything goes wrong."""
    folder.mkdir()
    paths = StatePaths(folder / "batch.state.json")
    async with open_ledger(paths, HEADER) as ledger:
        await ledger.record_all(BEFORE)
    return paths


@cache
def timeline() -> list[dict[str, Record]]:
    """The records after none, one, two … of the events."""
    records: dict[str, Record] = {}
    out = []
    for number, event in enumerate((*BEFORE, *EVENTS)):
        if number >= len(BEFORE):
            out.append(dict(records))
        records[event.id] = apply(records.get(event.id), event)
    return [*out, records]


async def stopped(folder: Path, fail: Fail) -> tuple[Disk, list[ev.Event], StateUnwritable | None]:
    """A session on a disk that fails so: the disk, what was acknowledged, and what was said."""
    paths = await prepared(folder)
    disk, acknowledged, said = Disk(folder, fail), list[ev.Event](), None
    with disk.under():
        try:
            await session(paths, acknowledged)
        except StateUnwritable as problem:
            said = problem
        except Stop:
            pass
    return disk, acknowledged, said


async def calls_of_a_session(folder: Path) -> list[Call]:
    disk, acknowledged, _ = await stopped(folder, lambda _call: None)
    assert acknowledged == list(EVENTS)
    return disk.log


async def holds(disk: Disk, loss: Loss, to: Path, acknowledged: int, why: object) -> None:
    """After the loss the state is one that was true, and none before what was acknowledged; and a session begins."""
    left = StatePaths(disk.after(loss, to) / "batch.state.json")
    document = read_state(left)
    assert document is not None, why
    assert document.records in timeline()[acknowledged:], why
    async with open_ledger(left, HEADER) as ledger:
        assert Status.SUBMITTING not in {record.status for record in ledger.records.values()}
    assert not list(to.glob(".*")), why


LOSSES = (Loss(), Cut(), Names(), Zeros(), Mixed(Random(1)), Mixed(Random(2)))


async def test_a_stop_at_any_system_call_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """A kill, or a power cut that takes whatever was not synced: bytes, names, some of either."""
    total = len(await calls_of_a_session(tmp_path / "counted"))
    assert total > 40
    for at in range(total):
        disk, acknowledged, _ = await stopped(
            tmp_path / f"at-{at}",
            lambda call, at=at: Stop() if call.number == at else None,  # type: ignore[misc]
        )
        for number, loss in enumerate(LOSSES):
            await holds(disk, loss, tmp_path / f"at-{at}-{number}", len(acknowledged), (at, loss, disk.log[-3:]))


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("code", ["EIO", "ENOSPC"])
async def test_a_call_that_fails_is_said_and_loses_nothing_that_was_acknowledged(
    tmp_path: Path, code: str, lasting: bool
) -> None:
    """Every call of a session, and a power cut behind it: what was said to be there is there."""
    calls = await calls_of_a_session(tmp_path / "counted")
    silent = set[str]()
    for at, call in enumerate(calls):

        def fail(call: Call, at: int = at) -> OSError | None:
            return error(code) if call.number == at or (lasting and call.number > at) else None

        disk, acknowledged, said = await stopped(tmp_path / f"at-{at}", fail)
        assert said is None or os.strerror(error(code).errno or 0) in str(said)
        assert said or len(acknowledged) == len(EVENTS), (at, call)
        assert not disk.left_open, (at, call)
        if not said:
            silent.add(f"{call.name} {call.path.suffix}")
        for number, loss in enumerate((Cut(), Mixed(Random(at)))):
            await holds(disk, loss, tmp_path / f"at-{at}-{number}", len(acknowledged), (at, call, loss))
    # What a close says comes too late to matter; the folder is there; and room that was not made was not needed.
    assert silent <= {"close .journal", "mkdir ", "write .journal", "fsync .journal", "fsync "}, silent


async def test_short_writes_are_gone_on_with(tmp_path: Path) -> None:
    _, acknowledged, said = await stopped(tmp_path / "state", lambda call: 7 if call.name == "write" else None)
    assert (len(acknowledged), said) == (len(EVENTS), None)


async def test_after_a_write_error_every_later_event_is_refused_and_the_first_ones_stand(tmp_path: Path) -> None:
    paths = await prepared(tmp_path / "state")
    full = False

    def fail(call: Call) -> Exception | None:
        return error("ENOSPC") if full and call.name == "fsync" else None

    with Disk(paths.state.parent, fail).under():
        async with open_ledger(paths, HEADER) as ledger:
            await ledger.record(EVENTS[0])
            full = True
            for event in (EVENTS[1], EVENTS[3], EVENTS[1]):
                with pytest.raises(StateUnwritable, match="No space left"):
                    await ledger.record(event)
            full = False
            with pytest.raises(StateUnwritable):
                await ledger.record(EVENTS[1])
            assert ledger.records["b"].status is Status.SUBMITTING
    document = read_state(paths)
    assert document is not None
    assert document.records == timeline()[1]


async def test_a_fold_that_fails_takes_nothing_back_that_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchgen.store.ledger.FOLD_AT_LEAST_BYTES", 1)
    paths = await prepared(tmp_path / "state")
    full = False

    def fail(call: Call) -> Exception | None:
        return error("ENOSPC") if full and call.name == "replace" else None

    with Disk(paths.state.parent, fail).under():
        async with open_ledger(paths, HEADER) as ledger:
            ledger._fold_at = 1
            full = True
            record = await ledger.record(EVENTS[0])  # the event is on disk; only the fold behind it fails
            assert record.status is Status.SUBMITTING
            with pytest.raises(StateUnwritable, match="No space left"):
                await ledger.record(EVENTS[1])
    document = read_state(paths)
    assert document is not None
    assert document.records == timeline()[1]


async def test_a_fold_that_finds_no_room_lets_what_has_begun_be_written_and_nothing_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole state needs more room than an id: what is paid for is written down, and no POST follows."""
    monkeypatch.setattr("batchgen.store.ledger.FOLD_AT_LEAST_BYTES", 1)
    paths = await prepared(tmp_path / "state")
    full = False

    def fail(call: Call) -> Exception | None:
        return error("ENOSPC") if full and call.name == "write" and call.path.name.endswith(".tmp") else None

    with Disk(paths.state.parent, fail).under():
        async with open_ledger(paths, HEADER) as ledger:
            await ledger.record_all([planned("c"), EVENTS[0]])
            ledger._fold_at = 1
            full = True
            await ledger.record(EVENTS[1])
            await ledger.record(EVENTS[2])  # written after the fold was tried
            with pytest.raises(StateUnwritable, match="No space left"):
                await ledger.record(intended("c"))
            await ledger.record(succeeded("a"))
    document = read_state(paths)
    assert document is not None
    assert document.records["a"].status is Status.SUCCEEDED
    assert document.records["b"].status is Status.SUCCEEDED
    assert document.records["c"].status is Status.PENDING
