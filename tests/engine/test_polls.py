"""Each row of the table of `GET /runs/ID`, over real sockets: no answer to a poll loses a run, or pays for one anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import pytest

from batchgen.core.cost import money_of
from batchgen.core.polling import PollPolicy
from batchgen.core.window import Rate
from batchgen.engine.notices import Held
from batchgen.records import Status
from batchgen.service.client import Deadlines
from batchgen.service.exchange import Exchange
from tests.engine.rig import KEY, OTHER, PRICE, Options, rehearsal, runs

pytestmark = pytest.mark.anyio

OPTIONS = Options(
    policy=PollPolicy(shortest_s=0.2, missing_s=6.0, run_timeout_s=120.0), deadlines=Deadlines(get_s=15.0)
)
BRIEF = replace(OPTIONS, policy=PollPolicy(shortest_s=0.2, run_timeout_s=4.0))


@dataclass(frozen=True)
class Row:
    """The first of two runs meets these faults, and `name` is the row of the table that decides."""

    name: str
    faults: str
    status: Status = Status.DOWNLOADED
    code: int = 0
    words: str = ""
    refunded: bool = False
    options: Options = OPTIONS


def _failed(name: str, faults: str, words: str, *, refunded: bool) -> Row:
    return Row(name, faults, Status.FAILED, 1, words, refunded)


ENDED, WAITING = "a word that plainly ends it", "not final, or an unknown word"
NO_URLS, NO_RUN = "succeeded without URLs", "no run in the answer"
ROWS = (
    Row("succeeded with URLs", "poll-no-cost"),
    Row(WAITING, "run-slow=200,poll-word=queued@3x"),
    Row(WAITING, "run-slow=200,poll-word=fluxing@3x"),
    Row("succeeded with URLs", "done-one-url"),
    Row(NO_URLS, "done-no-urls@3x"),
    _failed(NO_URLS, "done-no-urls", "no_output", refunded=False),
    _failed(ENDED, "run-failed=Too dark", "Too dark", refunded=True),
    _failed(ENDED, "run-failed=Too dark,done-error-object", "Too dark", refunded=True),
    _failed(ENDED, "run-ends=canceled", "canceled", refunded=True),
    _failed(ENDED, "run-ends=cancelled", "cancelled", refunded=True),
    _failed(ENDED, "run-ends=expired", "expired", refunded=True),
    Row(NO_RUN, "poll-not-json@2x"),
    Row(NO_RUN, "poll-other-id@2x"),
    Row(NO_RUN, "poll-truncated@2x"),
    Row(NO_RUN, "poll-truncated=0@2x"),
    Row("no answer", "poll-reset@2x"),
    Row("no answer", "poll-hang@1x"),
    *(Row(NO_RUN, f"poll-{status}@2x") for status in (408, 425, 500, 502, 503)),
    *(Row(NO_RUN, f"poll-status={status}@2x") for status in (302, 400, 405, 418, 504)),
    Row("429", "poll-429@2x"),
    Row("429", "poll-429=2@1x"),
    *(Row("401, 402, 403", f"poll-{status}@2x") for status in (401, 402, 403)),
    *(Row("404, 410", f"poll-{status}@2x") for status in (404, 410)),
    _failed("404, 410", "poll-404", "run_not_found", refunded=False),
    _failed("404, 410", "poll-410", "run_not_found", refunded=False),
    Row(WAITING, "run-never", Status.SUBMITTED, 1, options=BRIEF),
    Row(NO_RUN, "poll-500", Status.SUBMITTED, 1, options=BRIEF),
    Row(NO_RUN, "poll-not-json", Status.SUBMITTED, 1, options=BRIEF),
    Row("429", "poll-429@5x", Status.DOWNLOADED, 0),
)


def _named(row: Row) -> object:
    return pytest.param(row, marks=pytest.mark.row("GET", row.name), id=row.faults)


@pytest.mark.parametrize("row", [_named(row) for row in ROWS])
async def test_a_row_of_the_get_table(tmp_path: Path, row: Row) -> None:
    """Status, words, refund and exit code are what the row says; both runs have their ids, and are posted once."""
    prompt = "".join(f"[fault:{fault}]" for fault in row.faults.split(","))
    wanted = (*runs(1, prompt), *runs(2)[1:])
    with anyio.fail_after(400):
        async with rehearsal(tmp_path) as service:
            async with service.session(wanted, row.options) as session:
                code = await session.run()
                record = session.records()["r0"]
                assert (record.status, code) == (row.status, row.code)
                assert session.records()["r1"].status is Status.DOWNLOADED
                assert all(r.run_id for r in session.records().values())
                assert await service.posts() == 2
                await service.holds(session.records())
                if row.words:
                    assert record.error is not None
                    assert row.words in f"{record.error.code} {record.error.message}"
                money = money_of(session.records().values(), session.desk.prices)
                assert (money.spent, money.refunded) == (PRICE * (2 - row.refunded), PRICE * row.refunded)
            if row.status is Status.FAILED:
                async with service.session(wanted, row.options) as session:
                    assert await session.run() == 1
                    assert session.service.begun == []


async def test_a_run_left_at_the_timeout_is_polled_on_next_time(tmp_path: Path) -> None:
    """--run-timeout fails nothing: the same command asks on under the same id, and posts nothing."""
    wanted = runs(1, "[fault:run-slow=100]")
    with anyio.fail_after(400):
        async with rehearsal(tmp_path) as service:
            async with service.session(wanted, BRIEF) as session:
                assert await session.run() == 1
                run_id = session.records()["r0"].run_id
                assert "r0" in session.desk.left
            async with service.session(wanted, OPTIONS) as session:
                assert await session.run() == 0
                assert session.records()["r0"].run_id == run_id
            assert await service.posts() == 1


async def test_a_run_is_polled_with_its_own_key(tmp_path: Path) -> None:
    """The service shows a run only to the key that made it: with two keys, each poll goes with the right one."""
    with anyio.fail_after(400):
        async with (
            rehearsal(tmp_path, rate_limit=(20, 1.0)) as service,
            service.session(runs(20), replace(OPTIONS, keys=(KEY, OTHER), rate=Rate(20, 1.0))) as session,
        ):
            assert await session.run() == 0
            owners = {record.run_id: record.key for record in session.records().values()}
            fingerprints = {key.secret: key.fingerprint for key in (KEY, OTHER)}
            assert set(owners.values()) == set(fingerprints.values())
            assert all(owners[get.run_id] == fingerprints[get.key] for get in session.service.of("GET"))
            await service.holds(session.records())


@pytest.mark.parametrize("status", [404, 401, 403])
async def test_a_run_whose_key_is_not_given_now_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Not being found, or being refused, with another key ends nothing: the run stays, and the other key works on."""
    with anyio.fail_after(400):
        async with rehearsal(tmp_path) as service:
            first = runs(1, "[fault:run-slow=100]")
            async with service.session(first, BRIEF) as session:
                await session.run()
                assert session.records()["r0"].status is Status.SUBMITTED
                foreign = session.records()["r0"].run_id
            async with service.session((*first, *runs(3)[1:]), replace(OPTIONS, keys=(OTHER,))) as session:
                get = session.service.get

                async def refuse(key: str, run_id: str, exchange: Exchange) -> None:
                    await get(key, run_id, exchange)
                    exchange.status = status if run_id == foreign else exchange.status

                monkeypatch.setattr(session.service, "get", refuse)
                assert await session.run() == 1
                assert [session.records()[f"r{n}"].status for n in range(3)] == [
                    Status.SUBMITTED,
                    Status.DOWNLOADED,
                    Status.DOWNLOADED,
                ]
                assert session.desk.left["r0"].code == "key_missing"
                assert not [notice for notice in session.heard if isinstance(notice, Held)]


async def test_how_long_nobody_was_there_to_poll_teaches_no_latency(tmp_path: Path) -> None:
    """A run that waited for the next session was done long before it was seen: only the service's own times count."""
    with anyio.fail_after(4000):
        async with rehearsal(tmp_path) as service:
            async with service.session(runs(3, "[fault:run-slow=40]"), BRIEF) as session:
                await session.run()
            async with service.session(runs(3, "[fault:run-slow=40]"), replace(OPTIONS, late_s=3600)) as session:
                assert await session.run() == 0
                learned = [record.current.latency_s for record in session.records().values() if record.current]
                assert all(seconds is not None and 5 < seconds < 60 for seconds in learned), learned
