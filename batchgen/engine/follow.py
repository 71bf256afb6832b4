"""Polls one run until the service has an answer that means something for it."""

from __future__ import annotations

from datetime import datetime

import anyio

from batchgen import events as ev
from batchgen.core import polling as p
from batchgen.core.answers import Unusable
from batchgen.core.verdict import PauseKey, StillRunning, judge_get
from batchgen.engine.desk import Desk
from batchgen.engine.lanes import Lane
from batchgen.records import Failure, Record, Status
from batchgen.service.exchange import Exchange

KEY_REFUSED = Failure("key_refused", "The service refuses to answer polls with the key of this run.")


async def follow(desk: Desk, name: str) -> tuple[str, ...] | None:
    """Polls a submitted run to its end. The URLs of its videos; or None, when it failed or is left for next time."""
    record = desk.ledger.records[name]
    course = await watch(desk, record)
    if not isinstance(course, p.Finished):
        await conclude(desk, record, course)
        return None
    event = ev.Succeeded(id=name, at=desk.now(), cost_micro_usd=course.cost_micro_usd, latency_s=course.latency_s)
    with anyio.CancelScope(shield=True):
        await desk.record(event)
    _learn_price(desk, record, course.cost_micro_usd)
    if course.latency_s is not None:
        desk.latencies.of(record.model, record.input).observe(course.latency_s)
        desk.dispatcher.learned()
    return course.urls


def _learn_price(desk: Desk, record: Record, cost: int | None) -> None:
    if cost is not None:
        desk.prices.learn(record.model, record.input, cost)
        desk.budget.name_price(record.id, cost)


async def conclude(desk: Desk, record: Record, course: p.Course) -> None:
    """Writes down that a run came to nothing, or leaves it as it is for the next session."""
    if isinstance(course, p.Leave):
        desk.leave(record.id, course.failure)
        return
    if isinstance(course, p.ComeToNothing):
        # Once it has succeeded, a run that is called “expired” or the like has been paid for and stays so.
        refunded = course.refunded and record.status is Status.SUBMITTED
        with anyio.CancelScope(shield=True):
            await desk.record(ev.Failed(id=record.id, at=desk.now(), failure=course.failure, refunded=refunded))
        if refunded and record.current:
            desk.budget.give_back(record.id, record.current.cost_micro_usd)


async def watch(desk: Desk, record: Record, *, at_once: bool = False) -> p.Course:
    """Polls until the course of the run is clear. `at_once`: it is known to be done, so the first poll is urgent."""
    now = anyio.current_time()
    seen = p.Watch(since=now, age_s=_age_s(desk, record))
    with anyio.CancelScope(deadline=now + desk.policy.run_timeout_s):
        return await _watch(desk, record, seen, p.Due(now) if at_once else None)
    return p.Leave(p.TIMED_OUT)


async def _watch(desk: Desk, record: Record, seen: p.Watch, due: p.Due | None) -> p.Course:
    lane, own_key = lane_of(desk, record)
    kind, scarce = desk.latencies.of(record.model, record.input), desk.settings.rate.limit is not None
    while True:
        due = due or p.next_poll(seen, anyio.current_time(), kind, desk.policy, desk.rng.random(), scarce=scarce)
        course = await _poll(desk, lane, record, seen, due, own_key)
        if not isinstance(course, p.Continue):
            return course
        seen, due = course.watch, None


async def _poll(desk: Desk, lane: Lane, record: Record, seen: p.Watch, due: p.Due, own_key: bool) -> p.Course:
    if not await desk.dispatcher.poll(lane, due):
        return p.Leave(lane.account.refusal or KEY_REFUSED)
    exchange, begun_at = Exchange(), anyio.current_time()
    try:
        await desk.service.get(lane.key.secret, record.run_id or "", exchange)
    finally:
        outcome = exchange.outcome()
        verdict = judge_get(outcome, record.run_id or "")
        desk.dispatcher.polled(lane, outcome, verdict, begun_at, own_key=own_key)
    if isinstance(outcome, Unusable):  # a certificate that is refused, say: asking again changes nothing
        failure = Failure("unusable", outcome.reason)
        desk.dispatcher.stop_submissions(failure)
        return p.Leave(failure)
    if isinstance(verdict, StillRunning):
        _learn_price(desk, record, verdict.cost_micro_usd)
    if isinstance(verdict, PauseKey) and not own_key:
        return p.Leave(p.OTHER_KEY)
    return p.course_after(seen, verdict, anyio.current_time(), desk.policy, own_key=own_key)


def lane_of(desk: Desk, record: Record) -> tuple[Lane, bool]:
    """The key that a run was created with; or, where it was not given now, another one, which may not see the run."""
    lanes = desk.dispatcher.lanes
    own = next((lane for lane in lanes if lane.key.fingerprint == record.key), None)
    return (own, True) if own else (lanes[0], False)


def _age_s(desk: Desk, record: Record) -> float:
    """Seconds since a run's submission; 0 where the clock makes no sense of it."""
    try:
        born = datetime.fromisoformat(record.times["submitted_at"])
        return max(0.0, (datetime.fromisoformat(desk.now()) - born).total_seconds())
    except (KeyError, ValueError, TypeError):
        return 0.0
