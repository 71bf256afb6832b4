"""One submission: an intent on disk, a POST, and its outcome on disk before anything else happens."""

from __future__ import annotations

import anyio

from batchgen import events as ev
from batchgen.core import verdict as v
from batchgen.core.answers import Answer
from batchgen.engine.desk import Desk
from batchgen.engine.lanes import Lane
from batchgen.engine.notices import Lost
from batchgen.errors import StateProblem
from batchgen.records import Failure, Record, Status
from batchgen.service.exchange import Exchange
from batchgen.store.emergency import save_id

NOT_NOW = Failure("held_back", "Submissions were closed before this one was sent.")
TRIES_OF_5XX = 5


async def submit(desk: Desk, name: str) -> bool:
    """Submits a pending run. True: its status says what comes next; False: it stays pending in this session.

    A stop while it waits leaves the run pending. Once the intent is written, only a second Ctrl-C cuts the POST short,
    and then its outcome, whatever is known of it, is written all the same.
    """
    record = desk.ledger.records[name]

    def price() -> int | None:
        return desk.prices.of(record.model, record.input)

    if reason := await desk.budget.reserve(name, price):
        desk.dispatcher.stop_submissions(reason)
        return desk.leave(name, reason)
    try:
        lane = await desk.dispatcher.submission()
        if lane is None:
            return desk.leave(name, desk.dispatcher.closed_for_good or NOT_NOW)
        with anyio.CancelScope(shield=True):
            record = await _send(desk, record, lane)
    finally:
        if record.current and record.status in (Status.SUBMITTED, Status.IN_DOUBT):
            desk.budget.charge(name, record.current.cost_micro_usd, price())
        else:
            desk.budget.release(name)
    return True


async def _send(desk: Desk, record: Record, lane: Lane) -> Record:
    """From the intent to the outcome. Runs shielded: only the POST itself can be cut short."""
    try:
        await desk.record(ev.Intended(id=record.id, at=desk.now(), key=lane.key.fingerprint))
    except StateProblem:
        desk.dispatcher.unused(lane)
        raise
    if desk.draining or not desk.dispatcher.may_begin(lane):
        return await _hold_back(desk, record, lane)

    def still_open() -> bool:
        return not desk.draining and desk.dispatcher.still_open(lane)

    exchange, begun_at = Exchange(still_open), anyio.current_time()
    with desk.until_hard_stop() as scope:
        await desk.service.create(lane.key.secret, record.model, record.input, exchange)
    if scope.cancelled_caught:
        exchange.problem = "The program was stopped before the answer came."
    if exchange.held_back:
        return await _hold_back(desk, record, lane)
    outcome = exchange.outcome()
    verdict = v.judge_post(outcome, trust_5xx=desk.settings.assume_5xx_not_created)
    if isinstance(verdict, v.SendAgain) and isinstance(outcome, Answer):
        verdict = _tried_again(desk, record.id, verdict)
    if isinstance(verdict, v.Submitted) and not desk.takes(verdict.run_id, record.id):
        verdict = v.InDoubt(Failure("id_taken", f"The service named {verdict.run_id}, which is another run's already."))
    desk.dispatcher.posted(lane, outcome, verdict, begun_at)
    return await _write_down(desk, record, verdict)


async def _hold_back(desk: Desk, record: Record, lane: Lane) -> Record:
    """Something closed while the intent was written or the connection was made: nothing was sent."""
    desk.dispatcher.unused(lane)
    return await desk.record(ev.NotCreated(id=record.id, at=desk.now(), failure=NOT_NOW))


def _tried_again(desk: Desk, name: str, verdict: v.SendAgain) -> v.PostVerdict:
    """With --assume-5xx-not-created an input that the service stumbles over each time must not hold up the rest."""
    desk.tries_of_5xx[name] = desk.tries_of_5xx.get(name, 0) + 1
    return verdict if desk.tries_of_5xx[name] < TRIES_OF_5XX else v.Refuse(verdict.failure)


async def _write_down(desk: Desk, record: Record, verdict: v.PostVerdict) -> Record:
    """The verdict as an event. An id that the journal does not take goes to the emergency file and to the screen.

    Whatever kept it out: an id that was paid for is not dropped because of an error of another kind.
    """
    event = event_of(verdict, record.id, desk.now())
    try:
        after = await desk.record(event)
    except Exception:
        if isinstance(event, ev.Created) and desk.ledger.records[event.id].run_id != event.run_id:
            where = save_id(desk.ledger.paths, event.id, event.run_id, event.at)
            desk.notify(Lost(event.id, event.run_id, str(where) if where else None))
        raise
    if isinstance(event, ev.Created):
        desk.prices.learn(record.model, record.input, event.cost_micro_usd)
    return after


def event_of(verdict: v.PostVerdict, name: str, at: str) -> ev.Event:
    """What a verdict on a POST means for the run."""
    match verdict:
        case v.Submitted(run_id, cost, _):
            return ev.Created(id=name, at=at, run_id=run_id, cost_micro_usd=cost)
        case v.InDoubt(failure, body):
            return ev.Doubted(id=name, at=at, failure=failure, body=body)
        case v.Refuse(failure):
            return ev.Rejected(id=name, at=at, failure=failure)
        case _:
            return ev.NotCreated(id=name, at=at, failure=verdict.failure)
