"""Polls one run until the service has an answer that means something for it."""

from __future__ import annotations

from datetime import UTC, datetime

import anyio

from batchgen import events as ev
from batchgen.core import polling as p
from batchgen.core.verdict import StillRunning, judge_get
from batchgen.engine.desk import Desk
from batchgen.engine.dispatch import Lane
from batchgen.records import Failure, Record
from batchgen.service.client import Exchange

KEY_REFUSED = Failure("key_refused", "The service refuses to answer polls with the key of this run.")


async def follow(desk: Desk, name: str) -> tuple[str, ...] | None:
    """Polls a submitted run to its end. The URLs of its videos; or None, when it failed or is left for next time."""
    record = desk.ledger.records[name]
    course = await watch(desk, record)
    if not isinstance(course, p.Finished):
        await conclude(desk, record, course)
        return None
    with anyio.CancelScope(shield=True):
        after = await desk.record(ev.Succeeded(id=name, at=desk.now(), cost_micro_usd=course.cost_micro_usd))
    desk.prices.learn(record.model, record.input, course.cost_micro_usd)
    desk.latencies.observe(p.spec_of(record.model, record.input), _age_s(after))
    return course.urls


async def conclude(desk: Desk, record: Record, course: p.Course) -> None:
    """Writes down that a run came to nothing, or leaves it as it is for the next session."""
    if isinstance(course, p.Leave):
        desk.leave(record.id, course.failure)
        return
    if isinstance(course, p.ComeToNothing):
        with anyio.CancelScope(shield=True):
            await desk.record(ev.Failed(id=record.id, at=desk.now(), failure=course.failure, refunded=course.refunded))
        if course.refunded and record.current:
            desk.budget.give_back(record.current.cost_micro_usd or 0)


async def watch(desk: Desk, record: Record, *, at_once: bool = False) -> p.Course:
    """Polls until the course of the run is clear. `at_once`: it is known to be done, so the first poll is urgent."""
    lane, own_key = lane_of(desk, record)
    spec, prior = p.spec_of(record.model, record.input), desk.prior(record)
    seen = p.Watch(since=anyio.current_time(), age_s=_age_s(record))
    at_once = at_once or seen.age_s > desk.latencies.usual(spec, prior).likely
    while True:
        now = anyio.current_time()
        due = p.next_poll(seen, now, desk.latencies.usual(spec, prior), desk.policy, desk.rng.random())
        if at_once and not seen.polls and not seen.errors:
            due = p.Due(now, now)
        await anyio.sleep_until(due.ready_at)
        course = await _poll(desk, lane, record, seen, due.urgent_at, own_key)
        if not isinstance(course, p.Continue):
            return course
        seen = course.watch


async def _poll(desk: Desk, lane: Lane, record: Record, seen: p.Watch, urgent_at: float, own_key: bool) -> p.Course:
    if not await desk.dispatcher.poll(lane, urgent_at):
        return p.Leave(lane.account.refusal or KEY_REFUSED)
    exchange, begun_at = Exchange(), anyio.current_time()
    try:
        await desk.service.get(lane.key.secret, record.run_id or "", exchange)
    finally:
        outcome = exchange.outcome()
        verdict = judge_get(outcome, record.run_id or "")
        desk.dispatcher.polled(lane, outcome, verdict, begun_at)
    if isinstance(verdict, StillRunning) and verdict.cost_micro_usd is not None:
        desk.prices.learn(record.model, record.input, verdict.cost_micro_usd)
    return p.course_after(seen, verdict, anyio.current_time(), desk.policy, own_key=own_key)


def lane_of(desk: Desk, record: Record) -> tuple[Lane, bool]:
    """The key that a run was created with; or, where it was not given now, another one, which may not see the run."""
    lanes = desk.dispatcher.lanes
    own = next((lane for lane in lanes if lane.key.fingerprint == record.key), None)
    return (own, True) if own else (lanes[0], False)


def _age_s(record: Record) -> float:
    """Seconds between a run's submission and now, or its success; 0 where the clock makes no sense of it."""
    try:
        born = datetime.fromisoformat(record.times["submitted_at"])
        until = record.times.get("succeeded_at")
        end = datetime.fromisoformat(until) if until else datetime.now(UTC)
        return max(0.0, (end - born).total_seconds())
    except (KeyError, ValueError, TypeError):
        return 0.0
