"""Each row of the table of `POST /runs`, over real sockets: what becomes of the run, the others and the batch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest

from batchgen.core.cost import money_of
from batchgen.records import Status
from batchgen.service.client import Deadlines
from tests.engine.rig import PRICE, Options, rehearsal, runs

pytestmark = pytest.mark.anyio


QUICK = Deadlines(post_s=15.0)  # for answers that never come; a busy machine may be late by seconds of this clock


PAID = (Status.DOWNLOADED, Status.IN_DOUBT)


@dataclass(frozen=True)
class Row:
    """The first of three runs meets this fault, and `name` is the row of the table that decides.

    `posts` are all that the service sees, `paid` the runs it creates.
    """

    name: str
    fault: str
    status: Status
    posts: int
    paid: int
    code: int
    words: str = ""
    body: str = ""


def _clear(fault: str) -> Row:
    return Row("2xx with an id", fault, Status.DOWNLOADED, posts=3, paid=3, code=0)


def _again(fault: str) -> Row:
    return Row("429 RATE_LIMITED or no code", fault, Status.DOWNLOADED, posts=4, paid=3, code=0)


def _stops(name: str, fault: str, words: str) -> Row:
    return Row(name, fault, Status.PENDING, posts=1, paid=0, code=3, words=words)


def _refused(fault: str, words: str) -> Row:
    return Row("400, 413, 415, 422", fault, Status.FAILED, posts=3, paid=2, code=1, words=words)


def _doubt(name: str, fault: str, words: str, *, paid: bool, body: str = "") -> Row:
    return Row(name, fault, Status.IN_DOUBT, posts=3, paid=2 + paid, code=4, words=words, body=body)


OTHER = "408, 409, 5xx, anything else"
SILENT = "begun, and no answer"
ROWS = (
    _clear(""),
    _clear("created-no-cost"),
    _clear("created-truncated"),
    _clear("created-truncated=60"),
    _doubt("2xx without an id", "created-no-id", "no_id", paid=True, body="costUsd"),
    _doubt("2xx without an id", "created-not-json", "no_id", paid=True, body="html"),
    _doubt("2xx without an id", "created-truncated=0", "no_id", paid=True),
    _doubt("2xx without an id", "created-truncated=20", "no_id", paid=True, body="run_"),
    _refused("post-400", "invalid_input"),
    _refused("post-413", "payload_too_large"),
    _refused("post-415", "unsupported_media_type"),
    _refused("post-422", "unprocessable"),
    _stops("401, 403", "post-401", "invalid_api_key"),
    _stops("402", "post-402", "insufficient_balance"),
    _stops("401, 403", "post-403", "ip_not_allowed"),
    _stops("403 spending limit", "post-spend-limit", "api_key_spend_limit_exceeded"),
    _stops("404, 405", "post-404", "no_endpoint"),
    _stops("404, 405", "post-405", "no_endpoint"),
    _stops("429 USAGE_EXCEEDED", "post-usage-exceeded", "USAGE_EXCEEDED"),
    _stops("3xx", "post-302", "redirected"),
    *(_stops("3xx", f"post-status={status}", "redirected") for status in (300, 301, 303, 304, 307, 308)),
    _again("post-429@1x"),
    _again("post-429=2@1x"),
    _again("post-429-date=2@1x"),
    *(
        _doubt(OTHER, f"post-{status}", words, paid=False, body=words)
        for status, words in ((408, "request_timeout"), (409, "conflict"), (500, "internal_error"))
    ),
    _doubt(OTHER, "post-502", "bad_gateway", paid=False),
    _doubt(OTHER, "post-503", "unavailable", paid=False),
    *(_doubt(OTHER, f"post-status={status}", "rehearsed", paid=False) for status in (406, 410, 418, 425, 504, 599)),
    _doubt(SILENT, "post-reset", "no_answer", paid=False),
    _doubt(SILENT, "post-hang", "no_answer", paid=False),
    _doubt(OTHER, "created-408", "request_timeout", paid=True),
    _doubt(OTHER, "created-409", "conflict", paid=True),
    _doubt(OTHER, "created-500", "internal_error", paid=True),
    _doubt(OTHER, "created-502", "bad_gateway", paid=True),
    _doubt(OTHER, "created-503", "unavailable", paid=True),
    _doubt(SILENT, "created-reset", "no_answer", paid=True),
    _doubt(SILENT, "created-hang", "no_answer", paid=True),
)


def _named(row: Row) -> object:
    return pytest.param(row, marks=pytest.mark.row("POST", row.name), id=row.fault or row.name)


@pytest.mark.parametrize("row", [_named(row) for row in ROWS])
async def test_a_row_of_the_post_table(tmp_path: Path, row: Row) -> None:
    """Status, requests, money, the other two runs and the exit code are what the row says; and the books agree."""
    first, *rest = runs(1, f"[fault:{row.fault}]" if row.fault else "") + runs(3)[1:]
    with anyio.fail_after(200):
        async with rehearsal(tmp_path) as service:
            options = Options(concurrency=1, deadlines=QUICK if "hang" in row.fault else Deadlines())
            async with service.session((first, *rest), options) as session:
                code = await session.run()
                record = session.records()["r0"]
                assert (record.status, code) == (row.status, row.code)
                assert len(session.service.of("POST")) == await service.posts() == row.posts
                assert len((await service.books())["runs"]) == row.paid
                await service.holds(session.records())
                others = {session.records()[run.id].status for run in rest}
                assert others == {Status.PENDING if code == 3 else Status.DOWNLOADED}
                if row.words:
                    assert record.error is not None
                    assert row.words in f"{record.error.code} {record.error.message}"
                    assert row.body in record.error.message
                counted = money_of(session.records().values(), session.desk.prices).counted
                assert counted == PRICE * (others == {Status.DOWNLOADED}) * (2 + (row.status in PAID))
            if row.status is Status.IN_DOUBT:
                async with service.session((first, *rest), options) as session:
                    assert await session.run() == 4
                    assert session.service.begun == []


async def test_a_trusted_5xx_is_sent_again(tmp_path: Path) -> None:
    """With --assume-5xx-not-created the same run goes again after a pause, and nothing is in doubt."""
    with anyio.fail_after(200):
        async with (
            rehearsal(tmp_path, "post-500@1x") as service,
            service.session(runs(3), Options(trust_5xx=True)) as session,
        ):
            assert await session.run() == 0
            assert await service.posts() == 6
            await service.holds(session.records())


async def test_a_trusted_5xx_that_never_ends_fails_its_run_alone(tmp_path: Path) -> None:
    """An input that the service stumbles over each time is given up after five tries; the next run goes on."""
    with anyio.fail_after(300):
        async with rehearsal(tmp_path) as service:
            wanted = (*runs(1, "[fault:post-500]"), *runs(2)[1:])
            async with service.session(wanted, Options(trust_5xx=True, concurrency=1)) as session:
                assert await session.run() == 1
                assert session.statuses() == {"r0": Status.FAILED, "r1": Status.DOWNLOADED}
                assert await service.posts() == 6
