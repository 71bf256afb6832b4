"""Downloads through the engine: whatever happens to a file, its run is neither lost nor paid again."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import Any

import anyio
import pytest

from batchgen.records import Status
from batchgen.service import part
from batchgen.service.exchange import Exchange
from tests.engine.rig import PRICE, Options, rehearsal, runs
from tests.service.films import film

pytestmark = pytest.mark.anyio


def videos(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "videos").iterdir())


async def test_a_dead_url_is_replaced_by_a_fresh_one(tmp_path: Path) -> None:
    """An expired address costs one more GET of the run, and no POST."""
    with anyio.fail_after(400):
        async with rehearsal(tmp_path, "done-expired-url@1x") as service, service.session(runs(3)) as session:
            assert await session.run() == 0
            assert videos(tmp_path) == ["r0.mp4", "r1.mp4", "r2.mp4"]
            assert await service.posts() == 3


@pytest.mark.parametrize("fault", ["file-404", "file-403", "file-html", "file-magic", "done-expired-url"])
async def test_a_video_that_stays_dead_leaves_its_run_succeeded(tmp_path: Path, fault: str) -> None:
    """Three fresh addresses, then the run is noted and left, exit 1; the next session takes it up, without a POST."""
    with anyio.fail_after(800):
        async with rehearsal(tmp_path, fault) as service, service.session(runs(2)) as session:
            assert await session.run() == 1
            assert session.count(Status.SUCCEEDED) == 2
            assert all(record.error for record in session.records().values())
            assert set(session.desk.left) == {"r0", "r1"}
            assert videos(tmp_path) == []
            asked = [get.run_id for get in session.service.of("GET")]
            assert min(map(asked.count, asked)) >= 4
        async with rehearsal(tmp_path) as service, service.session(runs(2)) as session:
            assert await session.run() == 0
            assert session.count(Status.DOWNLOADED) == 2
            assert not any(record.error for record in session.records().values())
            assert session.service.of("POST") == []


CUT = "file-truncated@1x"
SPOILT = (
    CUT,
    "file-reset@1x",
    "file-no-length",
    "file-no-length-cut@1x",
    "file-chunked",
    "file-html@1x",
    "file-magic@1x",
    f"file-etag-changes,{CUT}",
    f"file-length-changes,{CUT}",
    f"file-wrong-start@2x,{CUT}",
    f"file-ignores-range,{CUT}",
    f"file-weak-etag,{CUT}",
    "file-429=1@1x",
    "file-503@1x",
    "file-404@1x",
    "file-redirect",
)


@pytest.mark.parametrize("faults", SPOILT)
async def test_a_spoilt_download_ends_as_a_whole_video(tmp_path: Path, faults: str) -> None:
    """Under the final name is the film, byte for byte (and empty boxes where the file grew); there is one POST each."""
    with anyio.fail_after(800):
        async with rehearsal(tmp_path, *faults.split(",")) as service, service.session(runs(2)) as session:
            assert await session.run() == 0
            found = [(tmp_path / "videos" / name).read_bytes() for name in videos(tmp_path)]
            assert [data.replace(b"\0\0\0\x08free", b"") for data in found] == [film()] * 2
            assert await service.posts() == 2


FORBIDDEN = (
    "done-foreign-url=http://10.0.0.1/x.mp4",
    "done-foreign-url=file:///etc/passwd",
    "done-foreign-url=https://0x7f000001/x.mp4",
    "done-foreign-url=http://[::ffff:10.0.0.1]/x.mp4",
    "done-foreign-url=https://inner.test/x.mp4",
    "file-redirect-to=http://169.254.169.254/latest",
    "file-redirect-to=file:///etc/passwd",
    "file-redirect-to=https://inner.test/x.mp4",
)


@pytest.mark.row("download", "address not allowed")
@pytest.mark.parametrize("fault", FORBIDDEN)
async def test_an_address_that_must_not_be_asked_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """It is refused before connecting; the run stays succeeded, and the next session fetches it from a good URL."""
    really = socket.getaddrinfo

    def resolve(host: Any, *given: Any, **more: Any) -> Any:
        return really("10.1.2.3" if host in ("inner.test", b"inner.test") else host, *given, **more)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    await _noted_and_fetched_next_time(tmp_path, fault)


@pytest.mark.row("download", "one redirect too many")
async def test_a_redirect_in_circles_is_noted(tmp_path: Path) -> None:
    """The same for five redirects and one more."""
    await _noted_and_fetched_next_time(tmp_path, "file-redirect-loop")


async def _noted_and_fetched_next_time(folder: Path, fault: str) -> None:
    with anyio.fail_after(400):
        async with rehearsal(folder, fault) as service, service.session(runs(1)) as session:
            assert await session.run() == 1
            assert session.desk.left["r0"].code == "address_refused"
            assert session.count(Status.SUCCEEDED) == 1
            assert videos(folder) == []
            run_id = session.records()["r0"].run_id
        async with rehearsal(folder) as service, service.session(runs(1)) as session:
            assert await session.run() == 0
            assert session.records()["r0"].run_id == run_id
            assert session.service.of("POST") == []


async def test_several_videos_of_one_run(tmp_path: Path) -> None:
    """Each has its own numbered file, and the run is downloaded when all are there."""
    with anyio.fail_after(400):
        async with rehearsal(tmp_path, "run-videos=3") as service, service.session(runs(2)) as session:
            assert await session.run() == 0
            assert videos(tmp_path) == [f"r{run}-{video}.mp4" for run in range(2) for video in (1, 2, 3)]
            assert [len(record.files) for record in session.records().values()] == [3, 3]


async def test_a_file_that_is_gone_is_fetched_again_without_a_post(tmp_path: Path) -> None:
    """A deleted video comes back with one GET of its run and one of its file."""
    with anyio.fail_after(400):
        async with rehearsal(tmp_path) as service:
            async with service.session(runs(2)) as session:
                assert await session.run() == 0
            (tmp_path / "videos" / "r0.mp4").unlink()
            async with service.session(runs(2), Options(missing=("r0",))) as session:
                assert await session.run() == 0
                assert [begun.method for begun in session.service.begun] == ["GET"]
            assert videos(tmp_path) == ["r0.mp4", "r1.mp4"]


async def test_a_full_disk_fails_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing more can be written the runs stay succeeded, and come down once there is room."""

    async def full(_file: object) -> None:
        raise part.PartFailed(tmp_path, OSError(errno.ENOSPC, "No space left on device"))

    with anyio.fail_after(400):
        async with rehearsal(tmp_path) as service:
            with monkeypatch.context() as patched:
                patched.setattr(part.PartFile, "make_durable", full)
                async with service.session(runs(6)) as session:
                    assert await session.run() == 1
                    assert session.count(Status.SUCCEEDED) == 6
                    assert {failure.code for failure in session.desk.left.values()} == {"disk_full"}
            async with service.session(runs(6)) as session:
                assert await session.run() == 0
                assert session.service.of("POST") == []


async def test_a_part_that_is_taken_away_spoils_only_its_own_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody clears the folder between the last byte and the publication: that run is noted, the batch goes on."""
    with anyio.fail_after(400):
        async with rehearsal(tmp_path) as service, service.session(runs(3)) as session:
            publish = session.desk.videos.publish

            def gone(file: Path, name: str) -> Path:
                if name == "r1.mp4":
                    file.unlink()
                return publish(file, name)

            monkeypatch.setattr(session.desk.videos, "publish", gone)
            assert await session.run() == 1
            assert session.statuses() == {"r0": Status.DOWNLOADED, "r1": Status.SUCCEEDED, "r2": Status.DOWNLOADED}


async def test_a_succeeded_run_that_expires_is_not_refunded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two sessions the run's word became “expired”: it is failed and shown, and its money stays spent."""
    with anyio.fail_after(400):
        async with rehearsal(tmp_path, "file-404") as service, service.session(runs(1)) as session:
            await session.run()
            assert session.count(Status.SUCCEEDED) == 1
        async with rehearsal(tmp_path) as service, service.session(runs(1)) as session:
            monkeypatch.setattr(session.service, "get", _expired)
            assert await session.run() == 1
            record = session.records()["r0"]
            assert (record.status, record.cost_micro_usd) == (Status.FAILED, PRICE)
            assert record.run_id
            assert await service.posts() == 0


async def _expired(_key: str, run_id: str, exchange: Exchange) -> None:
    """The service's client, as if each run had expired."""
    exchange.begun = exchange.complete = True
    exchange.status = 200
    exchange.body += b'{"id": "%s", "status": "expired"}' % run_id.encode()


async def test_slow_downloads_hold_submissions_back(tmp_path: Path) -> None:
    """A run keeps its place until its download may begin, so that what is paid for never runs far ahead of the disk."""
    with anyio.fail_after(400):
        async with (
            rehearsal(tmp_path, "file-hang=3600", latency_scale=0) as service,
            service.session(runs(30), Options(concurrency=4, downloads=2)) as session,
            anyio.create_task_group() as tasks,
        ):

            async def stop() -> None:
                await session.until_status(Status.SUCCEEDED, 6)
                session.batch.drain(130)
                session.batch.leave_now()

            tasks.start_soon(stop)
            assert await session.run() == 130
            assert await service.posts() == 6
