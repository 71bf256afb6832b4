"""Stops: signals, deadlines and a state that cannot be written. No id is lost, and nothing is paid twice."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from batchgen import events as ev
from batchgen.core.gate import Gate
from batchgen.core.outcome import CTRL_C, TERMINATED
from batchgen.core.polling import PollPolicy
from batchgen.core.window import Rate
from batchgen.engine.notices import Lost, Stopping
from batchgen.engine.signals import taking_signals
from batchgen.records import Failure, Record, Status
from tests.engine.rig import Options, Oracle, Session, rehearsal, runs

pytestmark = pytest.mark.anyio


async def ends(session: Session, when: Callable[[], bool], *acts: Callable[[], object]) -> int:
    """The batch's exit code, after the acts are done as soon as it holds."""
    codes: list[int] = []

    async def go() -> None:
        codes.append(await session.run())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(go)
        await session.until(when)
        for act in acts:
            act()
    return codes[0]


def _has_begun(session: Session, count: int) -> bool:
    """So many requests have left: their first byte, not only the wish."""
    return sum(begun.exchange.begun for begun in session.service.begun) >= count


def _has_begun_or_ended(session: Session, count: int) -> bool:
    return _has_begun(session, count) or session.ending is not None


async def resumes(service: Oracle, count: int, *, posts: int, prompt: str = "") -> None:
    """The same command once more: the rest is submitted, and everything ends downloaded."""
    async with service.session(runs(count, prompt)) as session:
        assert await session.run() == 0
        await service.holds(session.records())
        assert await service.posts() == posts


async def test_a_drain_holds_back_a_post_whose_connection_does_not_stand_yet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Connecting may take ten seconds, and the first Ctrl-C comes in the middle of that."""
    async with rehearsal(tmp_path) as service, service.session(runs(2)) as session:
        create = session.service.create

        async def interrupted(*given: Any) -> None:
            session.batch.drain(CTRL_C)
            await create(*given)

        monkeypatch.setattr(session.service, "create", interrupted)
        assert await session.run() == CTRL_C
        assert await service.posts() == 0
        assert session.count(Status.PENDING) == 2


async def test_a_drain_saves_the_id_of_every_open_post(tmp_path: Path) -> None:
    """Sixteen POSTs wait for answers that come 5 s later; Ctrl-C: no new POST, and all sixteen ids are saved."""
    with anyio.fail_after(400):
        async with rehearsal(tmp_path, "created-hang=5") as service, service.session(runs(40)) as session:
            code = await ends(session, lambda: _has_begun(session, 16), lambda: session.batch.drain(CTRL_C))
            assert code == 130
            assert session.count(Status.SUBMITTED) == await service.posts() == 16
            assert session.count(Status.PENDING) == 24
            assert not session.service.of("GET")
            await service.holds(session.records())


async def test_a_second_signal_leaves_what_is_open_in_doubt_on_disk(tmp_path: Path) -> None:
    """Cut short, an open POST is in doubt and says why; the next session sends no second one."""
    with anyio.fail_after(400):
        async with rehearsal(tmp_path, "created-hang=3600") as service:
            async with service.session(runs(20)) as session:
                code = await ends(
                    session,
                    lambda: sum(one.exchange.begun for one in session.service.begun) >= 8,
                    lambda: session.batch.drain(CTRL_C),
                    session.batch.leave_now,
                )
                assert code == 130
                begun = sum(one.exchange.begun for one in session.service.begun)
                assert session.count(Status.IN_DOUBT) == begun
                await service.holds(session.records())
                open_ids = {name for name, r in session.records().items() if r.status is Status.IN_DOUBT}
                assert all("stopped" in str(session.records()[name].error) for name in open_ids)
            before = await service.posts()
        async with (
            rehearsal(tmp_path) as service,
            service.session(runs(20)) as session,
        ):
            assert await session.run() == 4
            assert {name for name, r in session.records().items() if r.status is Status.IN_DOUBT} == open_ids
            assert await service.posts() == 20 - len(open_ids)
            assert before <= len(open_ids)  # of some the service saw the connection alone


async def test_a_drain_that_takes_too_long_ends_by_itself(tmp_path: Path) -> None:
    """25 s after the first signal what is still open is cut short, as by a second one."""
    with anyio.fail_after(400):
        async with (
            rehearsal(tmp_path, "created-hang=3600") as service,
            service.session(runs(3)) as session,
            anyio.create_task_group() as signals,
        ):
            drained = anyio.current_time()
            code = await ends(
                session,
                lambda: sum(one.exchange.begun for one in session.service.begun) == 3,
                lambda: session.batch.drain(TERMINATED),
                lambda: signals.start_soon(session.batch.leave_after_deadline),
            )
            assert code == 143
            assert anyio.current_time() - drained >= 25
            assert session.count(Status.IN_DOUBT) == 3


@pytest.mark.parametrize("fault", ["run-slow=50", "poll-hang=3600", "poll-500", "poll-429=600", "poll-403"])
async def test_a_drain_ends_every_wait_at_once(tmp_path: Path, fault: str) -> None:
    """Polls, their backoff and the waits at the gate and for a key hold up no stop; the runs go on next time."""
    with anyio.fail_after(400):
        async with rehearsal(tmp_path, fault) as service:
            async with service.session(runs(8)) as session:
                code = await ends(
                    session, lambda: len(session.service.of("GET")) > 0, lambda: session.batch.drain(CTRL_C)
                )
                assert code == 130 or (fault, code) == ("poll-403", 3)  # where the refusal has come before the signal
                assert not any(place for place in session.desk.dispatcher.lanes if place.window.in_flight)
                await service.holds(session.records())
            posted = await service.posts()
        async with rehearsal(tmp_path) as service:
            await resumes(service, 8, posts=8 - posted)


async def test_a_drain_at_the_gate_leaves_the_rest_pending(tmp_path: Path) -> None:
    """A Retry-After of an hour does not hold up a stop, and the batch ends by the signal, not by the account."""
    with anyio.fail_after(400):
        async with rehearsal(tmp_path, "post-429=3600") as service, service.session(runs(5)) as session:
            code = await ends(
                session, lambda: session.desk.dispatcher.gate.in_row > 0, lambda: session.batch.drain(CTRL_C)
            )
            assert code == 130
            assert session.count(Status.PENDING) == 5


async def test_a_drain_lets_a_download_that_has_begun_end(tmp_path: Path) -> None:
    """Videos that are coming in are kept whole; no new download begins."""
    with anyio.fail_after(400):
        async with rehearsal(tmp_path, "file-hang=3") as service, service.session(runs(5), Options(downloads=2)) as one:
            code = await ends(
                one,
                lambda: one.desk.downloads.borrowed_tokens == 2 and one.count(Status.SUCCEEDED) == 5,
                lambda: one.batch.drain(CTRL_C),
            )
            assert code == 130
            assert (one.count(Status.DOWNLOADED), one.count(Status.SUCCEEDED)) == (2, 3)
            assert len(list((tmp_path / "videos").iterdir())) == 2


async def test_a_second_signal_cuts_downloads_short(tmp_path: Path) -> None:
    """A download that will not end is left; its run stays succeeded."""
    with anyio.fail_after(400):
        async with rehearsal(tmp_path, "file-hang=3600") as service, service.session(runs(3)) as session:
            code = await ends(
                session,
                lambda: session.desk.downloads.borrowed_tokens == 3,
                lambda: session.batch.drain(CTRL_C),
                session.batch.leave_now,
            )
            assert code == 130
            assert session.count(Status.SUCCEEDED) == 3


async def test_a_signal_before_the_batch_begins_sends_nothing(tmp_path: Path) -> None:
    """Ctrl-C while the plan is made: not one request."""
    with anyio.fail_after(400):
        async with rehearsal(tmp_path) as service, service.session(runs(5)) as session:
            session.batch.drain(CTRL_C)
            assert await session.run() == 130
            assert session.service.begun == []


@pytest.mark.parametrize("posts", [1, 5, 16])
async def test_ids_survive_a_state_that_cannot_be_written_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, posts: int
) -> None:
    """The disk fills up while POSTs are open: no POST follows, and each id is told to the person who watches."""
    real = os.fsync

    def full(_fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with anyio.fail_after(400):
        async with (
            rehearsal(tmp_path, "created-hang=2") as service,
            service.session(runs(30), Options(concurrency=posts)) as session,
        ):
            code = await ends(
                session,
                lambda: len([one for one in session.service.begun if one.exchange.begun]) == posts,
                lambda: monkeypatch.setattr("batchgen.store.journal.os.fsync", full),
            )
            monkeypatch.setattr(os, "fsync", real)
            assert code == 5
            assert await service.posts() == posts
            paid = {run["id"] for run in (await service.books())["runs"]}
            told = {notice.run_id for notice in session.heard if isinstance(notice, Lost)}
            known = {record.run_id for record in session.records().values() if record.run_id}
            assert told
            assert told | known == paid  # an answer may have come just before the disk was full
            assert [notice.reason.code for notice in session.heard if isinstance(notice, Stopping)] == ["state"]


async def test_the_emergency_file_takes_an_id_that_the_journal_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal's disk call fails once, and nothing else does: the id is in the file beside the state."""
    real, calls = os.ftruncate, []

    def broken(fd: int, data: object) -> int:
        calls.append(fd)
        raise OSError(errno.EIO, "Input/output error")

    with anyio.fail_after(400):
        async with rehearsal(tmp_path, "created-hang=2") as service:
            async with service.session(runs(2), Options(concurrency=1)) as session:
                code = await ends(
                    session,
                    lambda: any(one.exchange.begun for one in session.service.begun),
                    lambda: monkeypatch.setattr("batchgen.store.journal.write_all", broken),
                )
                assert code == 5
                lines = (tmp_path / "lamps.state.json.emergency").read_text().splitlines()
                paid = [run["id"] for run in (await service.books())["runs"]]
                assert [json.loads(line)["run_id"] for line in lines] == paid
            monkeypatch.undo()
            assert os.ftruncate is real
            async with service.session(runs(2), Options(policy=PollPolicy(shortest_s=0.2))) as session:
                assert await session.run() == 4
                assert session.statuses() == {"r0": Status.IN_DOUBT, "r1": Status.DOWNLOADED}


async def test_stopping_again_and_again_pays_nothing_twice(tmp_path: Path) -> None:
    """A batch that is interrupted every few seconds, softly and hard, still ends with each run known or in doubt."""
    with anyio.fail_after(2000):
        async with rehearsal(tmp_path, "created-hang=1") as service:
            for turn in range(8):
                async with service.session(runs(30), Options(rate=Rate(20, 5.0))) as session:
                    acts: list[Callable[[], object]] = [partial(session.batch.drain, CTRL_C), session.batch.leave_now]
                    # The last turns may find fewer runs to send than they wait for: then the batch has ended by itself.
                    await ends(session, partial(_has_begun_or_ended, session, 2 + turn), *acts[: 1 + turn % 2])
                    await service.holds(session.records())
            async with service.session(runs(30)) as session:
                assert await session.run() in (0, 4)
                await service.holds(session.records())
                assert session.count(Status.DOWNLOADED) + session.count(Status.IN_DOUBT) == 30


@pytest.mark.parametrize("by_signal", [True, False])
async def test_a_stop_while_an_intent_is_written_sends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_signal: bool
) -> None:
    """Between the intent and the POST lies a disk: what closes in that time keeps the POST from going."""
    with anyio.fail_after(400):
        async with rehearsal(tmp_path) as service, service.session(runs(3)) as session:
            write = session.desk.ledger.record

            async def stop_then(event: ev.Event) -> Record:
                record = await write(event)
                if isinstance(event, ev.Intended) and by_signal:
                    session.batch.drain(CTRL_C)
                elif isinstance(event, ev.Intended):
                    session.desk.dispatcher.stop_submissions(Failure("insufficient_balance", "no"))
                return record

            monkeypatch.setattr(session.desk.ledger, "record", stop_then)
            assert await session.run() == (130 if by_signal else 3)
            assert session.service.begun == []
            assert session.count(Status.PENDING) == 3


async def test_a_gate_that_closes_while_an_intent_is_written_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run waits until the gate opens, and is then sent once."""
    with anyio.fail_after(400):
        async with rehearsal(tmp_path) as service, service.session(runs(1)) as session:
            write, closed_at = session.desk.ledger.record, list[float]()

            async def close_then(event: ev.Event) -> Record:
                record = await write(event)
                if isinstance(event, ev.Intended) and not closed_at:
                    closed_at.append(anyio.current_time())
                    session.desk.dispatcher.gate = Gate(opens_at=closed_at[0] + 10)
                return record

            monkeypatch.setattr(session.desk.ledger, "record", close_then)
            assert await session.run() == 0
            assert [post.at >= closed_at[0] + 10 for post in session.service.of("POST")] == [True]


async def test_signals_drain_first_and_then_leave(tmp_path: Path) -> None:
    """The process's own SIGTERM drains; a second signal cuts short; the first one decides the exit code."""
    with anyio.fail_after(400):
        async with (
            rehearsal(tmp_path, "created-hang=3600") as service,
            service.session(runs(4)) as session,
            taking_signals() as signals,
        ):
            signals.hand_to(session.batch)
            code = await ends(
                session,
                lambda: sum(one.exchange.begun for one in session.service.begun) == 4,
                lambda: os.kill(os.getpid(), signal.SIGTERM),
                lambda: os.kill(os.getpid(), signal.SIGINT),
            )
            assert code == 143
            assert session.count(Status.IN_DOUBT) == 4
