"""What the account does to a batch: no credit, refused keys, limits, and several keys."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from batchgen.core.gate import Breaker
from batchgen.core.plan import Selection
from batchgen.core.window import Rate
from batchgen.engine.notices import Held
from batchgen.records import Status
from batchgen.settings import OnNoCredit
from tests.engine.rig import PRICE, Options, faults, rehearsal, runs, session

pytestmark = pytest.mark.anyio


async def test_a_stop_while_waiting_for_credit_says_signal(tmp_path: Path) -> None:
    """Waiting for a top-up is no stop by the account: Ctrl-C is."""
    with anyio.fail_after(600):
        async with (
            rehearsal(tmp_path, balance_micro_usd=0) as service,
            service.session(runs(3), Options(on_no_credit=OnNoCredit.WAIT)) as one,
            anyio.create_task_group() as tasks,
        ):

            async def stop() -> None:
                await one.until(lambda: any(isinstance(notice, Held) for notice in one.heard))
                one.batch.drain(130)

            tasks.start_soon(stop)
            assert await one.run() == 130


async def test_ctrl_c_after_the_account_has_stopped_the_batch_still_says_account(tmp_path: Path) -> None:
    """Exit code 3 stands before 130: whoever resumes at once would meet the same refusal."""
    with anyio.fail_after(600):
        async with (
            rehearsal(tmp_path, "run-never", balance_micro_usd=2 * PRICE) as service,
            service.session(runs(5)) as one,
            anyio.create_task_group() as tasks,
        ):

            async def stop() -> None:
                await one.until(lambda: one.desk.dispatcher.closed_for_good is not None)
                one.batch.drain(130)

            tasks.start_soon(stop)
            assert await one.run() == 3


async def test_a_refused_key_with_failed_runs_to_retry_says_account(tmp_path: Path) -> None:
    """Runs of --retry-failed that were never sent count as not sent."""
    with anyio.fail_after(600):
        async with (
            rehearsal(tmp_path / "a", "post-400") as service,
            session(tmp_path, service.base_url, runs(4)) as one,
        ):
            assert await one.run() == 1
        options = Options(concurrency=1, selection=Selection(retry_failed=True))
        async with (
            rehearsal(tmp_path / "b", "post-401") as service,
            session(tmp_path, service.base_url, runs(4), options) as one,
        ):
            assert await one.run() == 3
            assert await service.posts() == 1
            assert one.count(Status.FAILED) == 3


async def test_doubts_in_a_row_end_with_exit_code_4_and_polls_go_on(tmp_path: Path) -> None:
    """An outage of POSTs alone: three doubts, five failed probes; what was accepted before is downloaded meanwhile."""
    wanted = (*runs(2, "[fault:run-slow=10]"), *(runs(30, "[fault:post-503]")[2:]))
    with anyio.fail_after(600):
        async with rehearsal(tmp_path) as service, service.session(wanted) as one:
            one.desk.dispatcher.breaker = Breaker(first_pause_s=0.5)
            assert await one.run() == 4
            assert one.count(Status.DOWNLOADED) == 2
            assert 8 <= one.count(Status.IN_DOUBT) <= 21
            assert one.count(Status.IN_DOUBT) + one.count(Status.PENDING) == 28
            await service.holds(one.records())


async def test_a_probe_that_is_accepted_closes_the_breaker(tmp_path: Path) -> None:
    """Three doubts, a pause, and the service is well again: the other runs are all submitted."""
    wanted = (*runs(3, "[fault:post-503]"), *runs(12)[3:])
    with anyio.fail_after(600):
        async with rehearsal(tmp_path) as service, service.session(wanted, Options(concurrency=1)) as one:
            one.desk.dispatcher.breaker = Breaker(first_pause_s=2.0)
            assert await one.run() == 4
            assert (one.count(Status.DOWNLOADED), one.count(Status.IN_DOUBT)) == (9, 3)
            assert [notice.what for notice in one.heard if isinstance(notice, Held)] == ["submissions"]


async def test_the_strict_window_is_never_overstepped(tmp_path: Path) -> None:
    """Sixty runs at 20 requests a second, against a service that counts each: not one 429."""
    with anyio.fail_after(600):
        options = Options(rate=Rate(20, 1.0))
        async with rehearsal(tmp_path, rate_limit=(20, 1.0)) as service, service.session(runs(60), options) as one:
            assert await one.run() == 0
            assert (await service.books())["rate_limited"] == 0


# ------------------------------------------------------------------------------------------------------------ budget


async def test_max_cost_is_never_overstepped(tmp_path: Path) -> None:
    """Money for eight and a half runs: eight, exit code 3; and the next session, with the same limit, none."""
    with anyio.fail_after(600):
        async with rehearsal(tmp_path) as service:
            options = Options(max_cost=8 * PRICE + PRICE // 2)
            async with service.session(runs(30), options) as one:
                assert await one.run() == 3
                assert one.count(Status.DOWNLOADED) == await service.posts() == 8
            async with service.session(runs(30), options) as one:
                assert await one.run() == 3
                assert one.service.begun == []
            async with service.session(runs(30), replace(options, max_cost=30 * PRICE)) as one:
                assert await one.run() == 0


async def test_max_cost_counts_doubts(tmp_path: Path) -> None:
    """A run in doubt has perhaps been paid: four in doubt and six paid use up money for ten."""
    wanted = (*runs(4, "[fault:created-500]"), *runs(30)[4:])
    with anyio.fail_after(600):
        async with rehearsal(tmp_path) as service, service.session(wanted, Options(max_cost=10 * PRICE)) as one:
            one.desk.dispatcher.breaker = Breaker(first_pause_s=0.5)
            assert await one.run() == 3
            assert len((await service.books())["runs"]) == 10


async def test_a_run_of_unknown_price_goes_alone_until_it_is_named(tmp_path: Path) -> None:
    """Without an estimate one POST goes first; once its price is named the others follow, as far as the money goes."""
    with anyio.fail_after(600):
        options = Options(max_cost=6 * PRICE, prices=lambda _model, _given: None)
        async with rehearsal(tmp_path) as service, service.session(runs(20), options) as one:
            assert await one.run() == 3
            assert await service.posts() == 6
            first, second = one.service.of("POST")[:2]
            assert first.exchange.complete
            assert second.at > first.at


async def test_a_price_that_comes_only_with_a_poll_is_waited_for(tmp_path: Path) -> None:
    """Where the POST does not say what was taken, the next run of unknown price waits for a poll that does."""
    with anyio.fail_after(600):
        options = Options(max_cost=3 * PRICE, prices=lambda _model, _given: None)
        async with rehearsal(tmp_path, "created-no-cost") as service, service.session(runs(9), options) as one:
            assert await one.run() == 3
            assert await service.posts() == 3
            requests = [begun.method for begun in one.service.begun]
            assert requests[:2] == ["POST", "GET"]


async def test_a_price_that_nobody_ever_names_stops_the_batch(tmp_path: Path) -> None:
    """A limit cannot be kept with runs that may cost anything: after the first one it is said, and no more are sent."""
    with anyio.fail_after(600):
        options = Options(max_cost=10**9, prices=lambda _model, _given: None)
        async with (
            rehearsal(tmp_path, "created-no-cost", "poll-no-cost") as service,
            service.session(runs(9), options) as one,
        ):
            assert await one.run() == 3
            assert await service.posts() == 1
            assert one.count(Status.DOWNLOADED) == 1


async def test_many_who_wait_for_money_are_all_woken(tmp_path: Path) -> None:
    """Refused runs give their reserve back, and each waiting run hears of it: nothing hangs, and the money is used."""
    wanted = (*runs(6, "[fault:post-400]"), *runs(12)[6:])
    with anyio.fail_after(600):
        async with rehearsal(tmp_path) as service, service.session(wanted, Options(max_cost=6 * PRICE)) as one:
            assert await one.run() == 1
            assert (one.count(Status.DOWNLOADED), one.count(Status.FAILED)) == (6, 6)


async def test_a_refund_makes_room_for_another_run(tmp_path: Path) -> None:
    """A failed run's money comes back to the budget."""
    wanted = (*runs(1, "[fault:run-failed]"), *runs(3)[1:])
    with anyio.fail_after(600):
        options = Options(max_cost=2 * PRICE, concurrency=1)
        async with rehearsal(tmp_path) as service, service.session(wanted, options) as one:
            assert await one.run() == 1
            assert one.count(Status.DOWNLOADED) == 2


def test_the_faults_of_this_file_exist() -> None:
    """A misspelt fault in a prompt would be refused with a 400, which some tests would take for theirs."""
    assert faults("run-failed", "created-500", "post-503", "post-400", "run-slow=10")
