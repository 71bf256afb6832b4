"""Whole batches on a disk that fails or loses power in their middle, held against the service's own books."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import anyio
import httpx
import pytest

from batchgen.engine.notices import Lost, Notice
from batchgen.errors import BatchgenError
from batchgen.records import Record, Status
from batchgen.sandbox import studio
from batchgen.store.ledger import read_state
from batchgen.store.paths import StatePaths
from tests.engine import rig
from tests.engine.loops import FastLoop, backend
from tests.service.films import film
from tests.soak.figures import Order
from tests.store.disk import Call, Cut, Disk, Fail, Fault, Loss, Mixed, Names, Stop, Zeros, error

FULL = 500
RUNS = 5
SLOW = ("created-hang=1@0.6",)  # so that POSTs are in the air when the disk fails
STATE = "lamps.state.json"
DOUBTFUL = (Status.IN_DOUBT, Status.SUBMITTING)
SAID = (0, 1, 4, 5)


def batches(order: Order) -> Counter[str]:
    """So many batches, one after the other, against one service."""
    name, options = backend(FastLoop)
    seen: Counter[str] = anyio.run(_batches, order, backend=name, backend_options=options)
    return seen


async def _batches(order: Order) -> Counter[str]:
    seen = Counter[str]()
    with cheap_films():
        async with rig.rehearsal(order.folder / "world", *SLOW) as service:
            for number in range(order.count(FULL)):
                seed = f"{order.seed}-{number}"
                try:
                    with anyio.fail_after(600):
                        seen += await batch(service, seed, order.folder / f"batch-{seed}")
                except BaseException as problem:
                    raise AssertionError(f"batch {seed}: {type(problem).__name__}: {problem}") from problem
    return seen


@contextmanager
def cheap_films() -> Iterator[None]:
    """What becomes of a film does not depend on what it shows; and no real disk is waited for."""
    context = httpx.create_ssl_context()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(studio, "render", lambda _shot, _book, _image, path: Path(path).write_bytes(film()))
        patch.setattr(studio, "FontBook", lambda _fonts: None)
        patch.setattr(studio, "installed_fonts", lambda: None)
        patch.setattr(httpx, "create_ssl_context", lambda **_given: context)
        patch.setattr(os, "fsync", lambda _fd: None)
        yield


async def batch(service: rig.Oracle, seed: str, folder: Path) -> Counter[str]:
    """One session on a spoiled disk, a loss, and one on a good disk with what is left."""
    rng, seen = Random(seed), Counter(batches=1)
    wanted = rig.runs(RUNS, f"of {seed}")
    (folder / "0" / "tmp").mkdir(parents=True)
    disk = Disk(folder / "0", spoiled(rng, seen))
    lost = await first_session(disk, service, rig.session(folder / "0", service.base_url, wanted, _options(rng)))
    loss = rng.choice((Cut(), Names(), Zeros(), Mixed(rng), Mixed(rng))) if disk.dead or rng.random() < 0.5 else Loss()
    left = disk.after(loss, folder / "1")
    paid = {run["id"]: run["input"]["prompt"] for run in await _accepted(service, seed)}
    document = read_state(StatePaths(left / STATE))
    records = document.records if document else {}
    _nothing_is_lost(records, paid, left)
    kept = {run_id for run_id, where in lost.items() if where}
    assert kept <= _in_emergency_files(left), "what was said to be kept in an emergency file is not there"
    seen += Counter(saved=len(lost), kept=len(kept))
    if not disk.dead:
        open_ids = {run_id for run_id, prompt in paid.items() if _by_prompt(records, prompt).status in DOUBTFUL}
        assert open_ids <= lost.keys(), f"{open_ids - lost.keys()} came, were not saved and not told"
    pending = RUNS - sum(record.run_id is not None or record.status in DOUBTFUL for record in records.values())
    posts = await service.posts()
    async with rig.session(left, service.base_url, wanted, _options(rng)) as session:
        code = await session.run()
        assert code == (4 if session.count(Status.IN_DOUBT) else 0), f"afterwards {code}: {session.statuses()}"
        after = session.records()
    assert await service.posts() - posts == pending, "a POST too many or too few"
    paid = {run["id"]: run["input"]["prompt"] for run in await _accepted(service, seed)}
    _nothing_is_lost(after, paid, left)
    return seen + Counter(paid=len(paid), doubts=sum(record.status is Status.IN_DOUBT for record in after.values()))


def _options(rng: Random) -> rig.Options:
    return rig.Options(concurrency=rng.choice((1, 3, RUNS)))


async def first_session(disk: Disk, service: rig.Oracle, opened: Any) -> dict[str, str | None]:
    """The ids that were told because they could not be saved, and where they are. No POST begins after the first."""
    lost, begun_by_then = dict[str, str | None](), list[int]()
    with disk.under() as patch:
        patch.setattr(tempfile, "gettempdir", lambda: str(disk.root / "tmp"))
        try:
            async with opened as session:
                session = _listening(session, lost, begun_by_then)
                code = await session.run()
                assert code in SAID, code
                assert not lost or code == 5, (code, lost)
                assert len(session.service.of("POST")) == next(iter(begun_by_then), len(session.service.of("POST")))
        except (BatchgenError, Stop):
            pass  # said in words, or the end
        except BaseExceptionGroup as group:
            if not disk.dead or group.split(Stop)[1] is not None:
                raise
    return lost


def _listening(session: rig.Session, lost: dict[str, str | None], begun_by_then: list[int]) -> rig.Session:
    def notify(notice: Notice) -> None:
        if isinstance(notice, Lost):
            lost[notice.run_id] = notice.where
            begun_by_then.append(len(session.service.of("POST")))

    session.desk.notify = notify
    return session


def spoiled(rng: Random, seen: Counter[str]) -> Fail:
    """A disk that ends at some call, or fails there: once or from then on, for the state, the videos or both."""
    at, kind = rng.randrange(130), rng.choice(("end", "once", "lasting", "lasting", "error, then end"))
    problem, part = error(rng.choice(("EIO", "ENOSPC", "EROFS", "EMFILE"))), rng.choice(("state", "videos", ""))
    end = at if kind == "end" else at + rng.randrange(40) if kind == "error, then end" else 1_000_000
    only = rng.choice((None, ("write", "fsync")))
    seen["cuts" if end < 1_000_000 else "spoiled"] += 1

    def fail(call: Call) -> Fault:
        if call.number >= end:
            return Stop()
        here = part == "" or (part == "videos") == ("videos" in call.path.parts)
        if not here or call.number < at or (only and call.name not in only):
            return None
        if kind != "lasting" and call.number > at:
            return None
        return problem

    return fail


async def _accepted(service: rig.Oracle, seed: str) -> list[dict[str, Any]]:
    return [run for run in (await service.books())["runs"] if run["input"]["prompt"].endswith(f"of {seed}")]


def _by_prompt(records: dict[str, Record], prompt: str) -> Record:
    return next(record for record in records.values() if record.input["prompt"] == prompt)


def _nothing_is_lost(records: dict[str, Record], paid: dict[str, str], left: Path) -> None:
    """Each paid run is known by its id, or is exactly one run in doubt; and what is downloaded is there, whole."""
    assert len(set(paid.values())) == len(paid), "paid twice"
    for run_id, prompt in paid.items():
        record = _by_prompt(records, prompt)
        assert record.run_id == run_id or record.status in DOUBTFUL, f"{run_id} is lost: {record.status}"
    for record in records.values():
        assert record.run_id is None or record.run_id in paid, f"{record.run_id} is no run"
        assert record.files or record.status is not Status.DOWNLOADED
        for file in record.files:
            data = (left / file.path).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (file.bytes, file.sha256), (
                f"{file.path} is not whole"
            )


def _in_emergency_files(left: Path) -> set[str]:
    files = [left / f"{STATE}.emergency", left / "tmp" / f"{STATE}.emergency"]
    lines = [line for file in files if file.exists() for line in file.read_text().splitlines()]
    return {json.loads(line)["run_id"] for line in lines if line.endswith("}")}
