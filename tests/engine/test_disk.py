"""Whole batches on disks that fill up, fail and lose power, against the service's own books."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from batchgen.core.outcome import CTRL_C
from batchgen.engine.notices import Lost
from batchgen.records import Status
from tests.engine.rig import Options, rehearsal, runs
from tests.soak.disk_batches import SLOW, batch
from tests.store.disk import Call, Disk, error

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("call", ["write", "link"])
async def test_a_disk_that_is_full_of_videos_ends_the_batch_with_1_and_the_next_one_sends_only_the_rest(
    tmp_path: Path, call: str
) -> None:
    """Each download finds it full in words of its own; the first stops the submissions, and no account is to blame."""
    full = True

    def fail(made: Call) -> OSError | None:
        return error("ENOSPC") if full and made.name == call and made.path.suffix == ".part" else None

    with anyio.fail_after(400):
        async with rehearsal(tmp_path / "world") as service:
            service.folder = tmp_path / "home"
            service.folder.mkdir()
            with Disk(service.folder, fail).under():
                async with service.session(runs(12), Options(concurrency=3)) as session:
                    assert await session.run() == 1
                    paid = session.count(Status.SUCCEEDED)
                    assert paid + session.count(Status.PENDING) == 12
                    assert {failure.code for failure in session.desk.left.values()} == {"disk_full"}
                assert 1 < paid < 12
                full = False
                async with service.session(runs(12)) as session:
                    assert await session.run() == 0
                    assert len(session.service.of("POST")) == 12 - paid


async def test_sixteen_ids_find_room_on_a_disk_that_became_full(tmp_path: Path) -> None:
    """No file can grow any more; what was kept free in the journal takes every id that is in the air."""
    full = False

    def fail(call: Call) -> OSError | None:
        if not full:
            return None
        grows = call.name == "write" and not call.path.name.endswith(".journal")
        return error("ENOSPC") if grows or (call.name == "open" and call.path not in disk.names) else None

    with anyio.fail_after(400):
        async with rehearsal(tmp_path / "world", "created-hang=3") as service:
            service.folder = tmp_path / "home"
            service.folder.mkdir()
            disk = Disk(service.folder, fail)
            with disk.under():
                async with service.session(runs(16)) as session, anyio.create_task_group() as tasks:
                    tasks.start_soon(session.run)
                    await session.until(lambda: sum(one.exchange.begun for one in session.service.begun) == 16)
                    full = True
                    await session.until(lambda: all(record.run_id for record in session.records().values()))
                    assert not [notice for notice in session.heard if isinstance(notice, Lost)]
                    await service.holds(session.records())
                    full = False
                    session.batch.drain(CTRL_C)


@pytest.mark.parametrize("seed", range(12))
async def test_a_spoiled_disk_loses_nothing(tmp_path: Path, seed: int) -> None:
    """A dozen of the soak's batches."""
    with anyio.fail_after(600):
        async with rehearsal(tmp_path / "world", *SLOW) as service:
            assert await batch(service, f"slice-{seed}", tmp_path / "batch")
