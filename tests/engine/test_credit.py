"""An account that runs dry in the middle of a batch, in each of the three ways in which a service can say so."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from batchgen.core.verdict import Closed, CloseKey, judge_post
from batchgen.engine.notices import Held
from batchgen.records import Status
from batchgen.service.exchange import Exchange
from batchgen.settings import Key, OnNoCredit
from tests.engine.rig import KEY, OTHER, PRICE, Options, Oracle, Session, rehearsal, runs

pytestmark = pytest.mark.anyio

SLOW = 0.05  # a run takes two or three seconds, so that many are under way when the money ends
ALL, PAID = 100, 37


@dataclass
class Dry:
    """What was under way when the first refusal for want of credit was seen."""

    posts: int = 0
    open_posts: int = 0
    submitted: int = 0


def watch_for_the_end(one: Session, monkeypatch: pytest.MonkeyPatch) -> Dry:
    """Notes the state of things in the very moment in which the first refusal is known."""
    dry, create, ended = Dry(), one.service.create, 0

    async def watched(key: str, model: str, given: Any, exchange: Exchange) -> None:
        nonlocal ended
        await create(key, model, given, exchange)
        ended += 1
        verdict = judge_post(exchange.outcome())
        if not dry.posts and isinstance(verdict, CloseKey) and verdict.why is Closed.NO_CREDIT:
            dry.posts = len(one.service.of("POST"))
            dry.open_posts = dry.posts - ended
            dry.submitted = one.count(Status.SUBMITTED)

    monkeypatch.setattr(one.service, "create", watched)
    return dry


async def top_up(service: Oracle, count: int, key: Key) -> None:
    """Credit for so many runs, for one key alone."""
    async with httpx.AsyncClient(trust_env=False, verify=httpx.create_ssl_context()) as client:
        given = {"micro_usd": count * PRICE, "key": key.fingerprint}
        (await client.post(f"{service.served.origin}/sandbox/topup", json=given)).raise_for_status()


async def accepted(service: Oracle) -> int:
    return len((await service.books())["runs"])


LIMITS = {
    "402": ((), PAID * PRICE, "insufficient_balance"),
    "403 spending limit": ((f"post-spend-limit={PAID * PRICE}",), None, "api_key_spend_limit_exceeded"),
    "429 USAGE_EXCEEDED": ((f"post-usage-exceeded={PAID * PRICE}",), None, "USAGE_EXCEEDED"),
}


@pytest.mark.parametrize("row", [pytest.param(row, marks=pytest.mark.row("POST", row)) for row in LIMITS])
async def test_the_account_runs_dry_after_37_of_100(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, row: str) -> None:
    """No POST starts once it is seen, what is under way comes down, exit 3; after a top-up only the rest is sent."""
    switched_on, balance, code = LIMITS[row]
    with anyio.fail_after(900):
        async with rehearsal(tmp_path, *switched_on, balance_micro_usd=balance, latency_scale=SLOW) as service:
            async with service.session(runs(ALL)) as one:
                dry = watch_for_the_end(one, monkeypatch)
                assert await one.run() == 3
                assert len(one.service.of("POST")) == dry.posts, "a POST began after the refusal was known"
                assert dry.open_posts > 0
                assert dry.submitted > 0
                assert await accepted(service) == one.count(Status.DOWNLOADED) == PAID
                assert one.count(Status.PENDING) == ALL - PAID
                assert one.ending is not None
                assert one.ending.stopped is not None
                assert one.ending.stopped.code == code
                await service.holds(one.records())
            await service.top_up((ALL - PAID) * PRICE)
            async with service.session(runs(ALL)) as one:
                assert await one.run() == 0
                assert sum(begun.exchange.begun for begun in one.service.of("POST")) == ALL - PAID
                assert await accepted(service) == one.count(Status.DOWNLOADED) == ALL
                await service.holds(one.records())


@pytest.mark.row("POST", "402")
async def test_a_batch_that_waits_sends_one_probe_at_a_time_and_goes_on_by_itself(tmp_path: Path) -> None:
    """While it waits each pause, of 30 s and then 60 s, ends in a single POST; a top-up is found by the next one."""
    options = Options(on_no_credit=OnNoCredit.WAIT)
    with anyio.fail_after(2000):
        async with (
            rehearsal(tmp_path, balance_micro_usd=5 * PRICE) as service,
            service.session(runs(40), options) as one,
            anyio.create_task_group() as tasks,
        ):
            posts_at: list[int] = []

            async def top_up_later() -> None:
                for told in (partial(pauses_are, one, 1), partial(pauses_are, one, 2)):
                    await one.until(told)
                    await one.until(lambda: one.count(Status.SUBMITTING) == 0)
                    posts_at.append(await service.posts())
                await service.top_up(40 * PRICE)

            tasks.start_soon(top_up_later)
            assert await one.run() == 0
            assert pauses(one) == pytest.approx([30.0, 60.0])
            assert posts_at[1] - posts_at[0] == 1
            assert await accepted(service) == one.count(Status.DOWNLOADED) == 40
            await service.holds(one.records())


def pauses_are(one: Session, count: int) -> bool:
    return len(pauses(one)) >= count


def pauses(one: Session) -> list[float]:
    """The pauses that were told, each once: refusals that were under way together tell the same one."""
    told: list[float] = []
    for notice in one.heard:
        if isinstance(notice, Held) and (not told or notice.seconds > told[-1]):
            told.append(notice.seconds)
    return told


async def test_ctrl_c_while_waiting_for_credit_leaves_the_rest_pending(tmp_path: Path) -> None:
    """Exit 130, nothing in doubt, and the same command goes on."""
    with anyio.fail_after(900):
        async with rehearsal(tmp_path, balance_micro_usd=2 * PRICE) as service:
            options = Options(on_no_credit=OnNoCredit.WAIT)
            async with service.session(runs(10), options) as one, anyio.create_task_group() as tasks:

                async def stop() -> None:
                    await one.until(lambda: one.count(Status.DOWNLOADED) == 2 and bool(pauses(one)))
                    one.batch.drain(130)

                tasks.start_soon(stop)
                assert await one.run() == 130
                assert (one.count(Status.DOWNLOADED), one.count(Status.PENDING)) == (2, 8)
            await service.top_up(8 * PRICE)
            async with service.session(runs(10), options) as one:
                assert await one.run() == 0
                assert len(one.service.of("POST")) == 8


# --------------------------------------------------------------------------------------------------------- two keys


def assert_polled_with_their_own(one: Session) -> None:
    """Each GET went with the key that created the run that it asks after."""
    owners = {record.run_id: record.key for record in one.records().values() if record.run_id}
    fingerprints = {key.secret: key.fingerprint for key in (KEY, OTHER)}
    gets = one.service.of("GET")
    assert gets
    assert all(owners[get.run_id] == fingerprints[get.key] for get in gets)


def owned(one: Session, key: Key) -> int:
    return sum(record.key == key.fingerprint for record in one.records().values() if record.run_id)


async def test_with_two_keys_the_one_with_credit_carries_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One key pays for five and is dry, while its runs are still rendered; the other pays for the rest; exit 0."""
    with anyio.fail_after(900):
        async with rehearsal(tmp_path, balance_micro_usd=5 * PRICE, latency_scale=SLOW) as service:
            await top_up(service, 60, OTHER)
            async with service.session(runs(50), Options(keys=(KEY, OTHER))) as one:
                dry = watch_for_the_end(one, monkeypatch)
                assert await one.run() == 0
                assert (owned(one, KEY), owned(one, OTHER)) == (5, 45)
                assert dry.submitted > 0
                later = [post.key for post in one.service.of("POST")[dry.posts :]]
                assert set(later) == {OTHER.secret}, "the dry key was tried again"
                assert_polled_with_their_own(one)
                accounts = {run["id"]: run["key"] for run in (await service.books())["runs"]}
                assert accounts == {record.run_id: record.key for record in one.records().values()}
                await service.holds(one.records())


async def test_two_keys_that_run_dry_one_after_the_other_stop_when_both_are(tmp_path: Path) -> None:
    """Three runs of one and nine of the other come down; exit 3; a top-up of one key is enough for the rest."""
    with anyio.fail_after(900):
        async with rehearsal(tmp_path, balance_micro_usd=3 * PRICE, latency_scale=SLOW) as service:
            await top_up(service, 6, OTHER)
            options = Options(keys=(KEY, OTHER))
            async with service.session(runs(30), options) as one:
                assert await one.run() == 3
                assert (owned(one, KEY), owned(one, OTHER)) == (3, 9)
                assert one.count(Status.DOWNLOADED) == 12
                assert_polled_with_their_own(one)
                await service.holds(one.records())
            await top_up(service, 18, KEY)
            async with service.session(runs(30), options) as one:
                assert await one.run() == 0
                assert (owned(one, KEY), owned(one, OTHER)) == (21, 9)
                assert_polled_with_their_own(one)
                await service.holds(one.records())


async def test_a_dry_key_that_waits_is_found_again_while_the_other_works(tmp_path: Path) -> None:
    """With two keys and --on-no-credit wait nothing waits as long as one key has credit; then both probe."""
    with anyio.fail_after(2000):
        async with (
            rehearsal(tmp_path, balance_micro_usd=3 * PRICE) as service,
            service.session(runs(12), Options(keys=(KEY, OTHER), on_no_credit=OnNoCredit.WAIT)) as one,
            anyio.create_task_group() as tasks,
        ):

            async def top_up_one() -> None:
                await one.until_status(Status.DOWNLOADED, 6)
                await top_up(service, 20, KEY)

            tasks.start_soon(top_up_one)
            assert await one.run() == 0
            assert (owned(one, KEY), owned(one, OTHER)) == (9, 3)
            assert_polled_with_their_own(one)
            await service.holds(one.records())


# ------------------------------------------------------------------------------------------- both limits at once


@pytest.mark.parametrize(("limit", "code"), [(8, "insufficient_balance"), (3, "max_cost")])
async def test_max_cost_and_the_balance_together_stop_at_the_lower_one(tmp_path: Path, limit: int, code: str) -> None:
    """Money set aside for refused POSTs is given back, nobody hangs, and the reason is the true one."""
    with anyio.fail_after(900):
        async with rehearsal(tmp_path, balance_micro_usd=5 * PRICE, latency_scale=SLOW) as service:
            options = Options(max_cost=limit * PRICE)
            async with service.session(runs(30), options) as one:
                assert await one.run() == 3
                assert await accepted(service) == one.count(Status.DOWNLOADED) == min(limit, 5)
                assert one.ending is not None
                assert one.ending.stopped is not None
                assert one.ending.stopped.code == code
            await service.top_up(100 * PRICE)
            async with service.session(runs(30), options) as one:
                assert await one.run() == 3
                assert await accepted(service) == limit
                assert one.ending is not None
                assert one.ending.stopped is not None
                assert one.ending.stopped.code == "max_cost"
                await service.holds(one.records())


async def test_a_batch_that_waits_for_credit_keeps_max_cost(tmp_path: Path) -> None:
    """After the top-up it goes on as far as the limit allows, and ends."""
    with anyio.fail_after(2000):
        options = Options(max_cost=6 * PRICE, on_no_credit=OnNoCredit.WAIT)
        async with (
            rehearsal(tmp_path, balance_micro_usd=2 * PRICE) as service,
            service.session(runs(20), options) as one,
            anyio.create_task_group() as tasks,
        ):

            async def top_up_later() -> None:
                await one.until(lambda: bool(pauses(one)))
                await service.top_up(100 * PRICE)

            tasks.start_soon(top_up_later)
            assert await one.run() == 3
            assert await accepted(service) == one.count(Status.DOWNLOADED) == 6


@pytest.mark.row("POST", "402")
async def test_a_dry_key_still_fetches_what_is_paid_for(tmp_path: Path) -> None:
    """A run of an earlier session is polled and downloaded again with a key that can create nothing."""
    with anyio.fail_after(900):
        async with rehearsal(tmp_path, balance_micro_usd=3 * PRICE) as service:
            async with service.session(runs(4)) as one:
                assert await one.run() == 3
            (tmp_path / "videos" / "r0.mp4").unlink()
            async with service.session(runs(4), Options(missing=("r0",))) as one:
                assert await one.run() == 3
                assert one.count(Status.DOWNLOADED) == 3
                assert [begun.method for begun in one.service.begun].count("POST") == 1
            assert (tmp_path / "videos" / "r0.mp4").is_file()
