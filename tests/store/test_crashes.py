"""Stops and write errors at every single system call: nothing that was acknowledged is lost, nothing is damaged."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

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

pytestmark = pytest.mark.anyio
HEADER = Header("https://runbase.net/api/v1", "batch.yaml", "ab" * 32)
BEFORE = (planned("a"), planned("b"), intended("a"), created("a"))
EVENTS = (intended("b"), created("b"), succeeded("b"), succeeded("a"), downloaded("a"), downloaded("b"))
FOLD_AFTER = 3


@pytest.fixture(autouse=True)
def no_waiting_for_the_real_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was synced is modelled by `Disk`; a real fsync would only make this slow."""
    monkeypatch.setattr(os, "fsync", lambda _fd: None)


class Stop(Exception):
    """The process ends here."""


class Disk:
    """The system's calls on one folder: at a given one the process ends, or the call fails.

    It also knows how much of each file was synced, so that a power cut can take the rest away.
    """

    CALLS = ("open", "write", "fsync", "close", "ftruncate", "replace", "unlink")

    def __init__(self, folder: Path, fail: Callable[[str, int], Exception | None]) -> None:
        self.folder, self.fail = folder, fail
        self.log: list[str] = []
        self.dead = False
        self.fds: dict[int, Path] = {}
        self.synced = {path: path.stat().st_size for path in folder.iterdir()}
        self.real: dict[str, Any] = {name: getattr(os, name) for name in self.CALLS}

    def put_under(self, patch: pytest.MonkeyPatch) -> None:
        for name in self.CALLS:
            patch.setattr(os, name, lambda *args, _name=name, **more: self._call(_name, *args, **more))

    def _call(self, name: str, *args: Any, **more: Any) -> Any:
        path = self.fds.get(args[0]) if isinstance(args[0], int) else Path(args[0])
        if path is None or self.folder not in (path, path.parent) or path.name.endswith(".lock"):
            return self.real[name](*args, **more)
        problem = Stop() if self.dead else self.fail(name, len(self.log))
        self.log.append(name)
        if problem:
            self.dead = isinstance(problem, Stop)
            if name == "write":
                self.real["write"](args[0], bytes(args[1])[: len(args[1]) // 2])
            raise problem
        result = self.real[name](*args, **more)
        self._note(name, path, args, result)
        return result

    def _note(self, name: str, path: Path, args: Sequence[Any], result: Any) -> None:
        if name == "open":
            self.fds[result] = path
            if args[1] & os.O_TRUNC:
                self.synced[path] = 0
        elif name == "close":
            del self.fds[args[0]]
        elif name == "fsync" and path != self.folder:
            self.synced[path] = path.stat().st_size
        elif name == "replace":
            self.synced[Path(args[1])] = self.synced.pop(path, 0)

    def close_all(self) -> None:
        for fd in self.fds:
            self.real["close"](fd)
        self.fds.clear()

    def left_behind(self, to: Path, loss: str) -> StatePaths:
        """The folder as a new start finds it: as it was (kill), without what was not synced, or with zeros for it."""
        to.mkdir()
        for path in self.folder.iterdir():
            if path.name.endswith(".lock"):
                continue
            data, safe = path.read_bytes(), self.synced.get(path, 0)
            if loss != "kill" and len(data) > safe:
                data = data[:safe] + (b"\0" * (len(data) - safe) if loss == "zeros" else b"")
            (to / path.name).write_bytes(data)
        return StatePaths(to / "batch.state.json")


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


def timeline() -> list[dict[str, Record]]:
    """The records after none, one, two … of the events."""
    records: dict[str, Record] = {}
    out = []
    for number, event in enumerate((*BEFORE, *EVENTS)):
        if number >= len(BEFORE):
            out.append(dict(records))
        records[event.id] = apply(records.get(event.id), event)
    return [*out, records]


async def calls_of_a_session(folder: Path) -> list[str]:
    paths = await prepared(folder)
    disk = Disk(folder, lambda _name, _number: None)
    with pytest.MonkeyPatch.context() as patch:
        disk.put_under(patch)
        await session(paths, [])
    return disk.log


async def test_a_stop_at_any_system_call_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    total = len(await calls_of_a_session(tmp_path / "counted"))
    assert total > 40
    times = timeline()
    for at in range(total):
        folder = tmp_path / f"at-{at}"
        paths = await prepared(folder)
        acknowledged: list[ev.Event] = []
        disk = Disk(folder, lambda _name, number, at=at: Stop() if number == at else None)  # type: ignore[misc]
        with pytest.MonkeyPatch.context() as patch:
            disk.put_under(patch)
            with suppress(Stop, StateUnwritable):
                await session(paths, acknowledged)
            disk.close_all()
        for loss in ("kill", "cut", "zeros"):
            left = disk.left_behind(tmp_path / f"at-{at}-{loss}", loss)
            document = read_state(left)
            assert document is not None
            assert document.records in times[len(acknowledged) :], (at, loss, disk.log[-3:])
            async with open_ledger(left, HEADER) as ledger:
                assert Status.SUBMITTING not in {record.status for record in ledger.records.values()}
            assert not list(left.state.parent.glob(".*")), (at, loss)


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("write", errno.ENOSPC),
        ("write", errno.EIO),
        ("fsync", errno.EIO),
        ("fsync", errno.ENOSPC),
        ("open", errno.EMFILE),
        ("replace", errno.EROFS),
        ("unlink", errno.EACCES),
    ],
)
async def test_a_call_that_fails_is_said_and_loses_nothing_that_was_acknowledged(
    tmp_path: Path, call: str, code: int
) -> None:
    calls = await calls_of_a_session(tmp_path / "counted")
    times = timeline()
    hit = 0
    for at in (number for number, name in enumerate(calls) if name == call):
        folder = tmp_path / f"at-{at}"
        paths = await prepared(folder)
        acknowledged: list[ev.Event] = []

        def fail(_name: str, number: int, at: int = at) -> Exception | None:
            return OSError(code, os.strerror(code)) if number == at else None

        disk = Disk(folder, fail)
        with pytest.MonkeyPatch.context() as patch:
            disk.put_under(patch)
            said: StateUnwritable | None = None
            try:
                await session(paths, acknowledged)
            except StateUnwritable as problem:
                said = problem
            hit += said is not None
            assert said is None or os.strerror(code) in str(said)
            assert not disk.fds, (at, "a file was left open")
        document = read_state(paths)
        assert document is not None
        assert document.records in times[len(acknowledged) :], at
    assert hit


async def test_after_a_write_error_every_later_event_is_refused_and_the_first_ones_stand(tmp_path: Path) -> None:
    paths = await prepared(tmp_path / "state")
    full = False

    def fail(name: str, _number: int) -> Exception | None:
        return OSError(errno.ENOSPC, "No space left on device") if full and name == "fsync" else None

    disk = Disk(paths.state.parent, fail)
    with pytest.MonkeyPatch.context() as patch:
        disk.put_under(patch)
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

    def fail(name: str, _number: int) -> Exception | None:
        return OSError(errno.ENOSPC, "No space left on device") if full and name == "replace" else None

    disk = Disk(paths.state.parent, fail)
    with pytest.MonkeyPatch.context() as patch:
        disk.put_under(patch)
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
