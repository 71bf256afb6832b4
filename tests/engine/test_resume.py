"""Taking a batch up again from every status that a stop can leave behind."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from batchgen import events as ev
from batchgen.core.window import Rate
from batchgen.records import Failure, Run, SavedFile, Status
from batchgen.store.document import Header
from batchgen.store.ledger import open_ledger
from batchgen.store.paths import StatePaths
from tests.engine.rig import KEY, PRICE, Options, Oracle, rehearsal, runs
from tests.sandbox.client import Client

pytestmark = pytest.mark.anyio

AT = "2026-01-01T00:00:00.000Z"
WHY = Failure("test", "for a test")


def life(run: Run, run_id: str, status: Status) -> list[ev.Event]:
    """What had happened to the run when the program was stopped in this status."""
    name = run.id
    planned = ev.Planned(id=name, at=AT, model=run.model, input=run.input, input_sha256=run.input_sha256)
    intended = ev.Intended(id=name, at=AT, key=KEY.fingerprint)
    created = ev.Created(id=name, at=AT, run_id=run_id, cost_micro_usd=PRICE)
    succeeded = ev.Succeeded(id=name, at=AT)
    lives: dict[Status, list[ev.Event]] = {
        Status.PENDING: [],
        Status.SUBMITTING: [intended],
        Status.IN_DOUBT: [intended, ev.Doubted(id=name, at=AT, failure=WHY)],
        Status.SUBMITTED: [intended, created],
        Status.SUCCEEDED: [intended, created, succeeded],
        Status.DOWNLOADED: [intended, created, succeeded, ev.Downloaded(id=name, at=AT, files=(FILE,))],
        Status.FAILED: [intended, created, ev.Failed(id=name, at=AT, failure=WHY, refunded=True)],
    }
    return [planned, *lives[status]]


FILE = SavedFile("videos/r5.mp4", 1, "0" * 64)


async def prepare(folder: Path, lives: list[list[ev.Event]]) -> None:
    """A state as such lives leave it."""
    async with open_ledger(StatePaths(folder / "lamps.state.json"), Header("rig", "lamps.yaml", "")) as ledger:
        for events in lives:
            for event in events:
                await ledger.record(event)


async def create(service: Oracle, run: Run) -> str:
    """The run as an earlier session has created it: its id."""
    answer = await Client(service.served, KEY.secret).post_json({"model": run.model, "input": dict(run.input)})
    return str(answer.json["id"])


async def test_every_status_is_taken_up_where_it_was_left(tmp_path: Path) -> None:
    """Pending is submitted, submitted polled, succeeded fetched; done, failed and doubtful runs are left in peace."""
    wanted = runs(7)
    with anyio.fail_after(400):
        async with rehearsal(tmp_path) as service:
            made = {Status.SUBMITTED, Status.SUCCEEDED}
            ids = [
                await create(service, run) if s in made else "run_old" for run, s in zip(wanted, Status, strict=True)
            ]
            await prepare(tmp_path, [life(r, i, s) for r, i, s in zip(wanted, ids, Status, strict=True)])
            async with service.session(wanted) as session:
                assert await session.run() == 4
                ends = [session.records()[run.id].status for run in wanted]
                assert dict(zip(Status, ends, strict=True)) == {
                    Status.PENDING: Status.DOWNLOADED,
                    Status.SUBMITTING: Status.IN_DOUBT,
                    Status.IN_DOUBT: Status.IN_DOUBT,
                    Status.SUBMITTED: Status.DOWNLOADED,
                    Status.SUCCEEDED: Status.DOWNLOADED,
                    Status.DOWNLOADED: Status.DOWNLOADED,
                    Status.FAILED: Status.FAILED,
                }
                assert len(session.service.of("POST")) == 1
                asked = {get.run_id for get in session.service.of("GET")}
                assert asked == {session.records()[name].run_id for name in ("r0", "r3", "r4")}


async def test_hundreds_of_submitted_runs_make_no_storm_of_polls(tmp_path: Path) -> None:
    """200 runs that were done long ago: one GET each, not one 429, and no POST."""
    wanted = runs(200)
    with anyio.fail_after(4000):
        async with rehearsal(tmp_path, latency_scale=0) as service:
            await prepare(tmp_path, [life(run, await create(service, run), Status.SUBMITTED) for run in wanted])
        async with (
            rehearsal(tmp_path, rate_limit=(100, 2.0), idle_timeout=1e6) as service,
            service.session(wanted, Options(rate=Rate(100, 2.0))) as session,
        ):
            assert await session.run() == 0
            assert (await service.books())["rate_limited"] == 0
            assert 200 <= len(session.service.begun) <= 220  # on a busy machine some do not connect in time
            assert session.service.of("POST") == []
