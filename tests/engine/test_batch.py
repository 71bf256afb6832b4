"""A batch from its plan to its ending, where nothing or little goes wrong."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from batchgen.records import Status
from tests.engine.rig import rehearsal, runs

pytestmark = pytest.mark.anyio


async def test_every_run_is_downloaded_once_and_paid_once(tmp_path: Path) -> None:
    """Twenty runs, twenty POSTs, twenty whole files, exit code 0; and a second session does nothing at all."""
    with anyio.fail_after(300):
        async with rehearsal(tmp_path) as service:
            async with service.session(runs(20)) as session:
                assert await session.run() == 0
                assert session.count(Status.DOWNLOADED) == 20
                await service.holds(session.records())
            assert len(list((tmp_path / "videos").glob("*.mp4"))) == 20
            async with service.session(runs(20)) as session:
                assert await session.run() == 0
                assert session.service.begun == []
            assert await service.posts() == 20
