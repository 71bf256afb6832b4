"""One batch from its plan to its ending: feeds runs in, drives each through its steps, and stops in an orderly way."""

from __future__ import annotations

import anyio

from batchgen import events as ev
from batchgen.core.choose import live_runs
from batchgen.core.outcome import Ending
from batchgen.core.plan import FOLLOWS, SENDS, Action, Plan, Step
from batchgen.engine.desk import Desk
from batchgen.engine.fetch import fetch
from batchgen.engine.follow import follow
from batchgen.engine.notices import Stopping
from batchgen.engine.submit import submit
from batchgen.errors import StateProblem
from batchgen.records import Failure, Status

DRAIN_S = 25.0
BY_SIGNAL = Failure("stopped", "Stopped by a signal.")


class Batch:
    """Runs a plan. `drain` and `leave_now` may be called at any time, from a signal's task."""

    def __init__(self, desk: Desk, plan: Plan) -> None:
        self._desk = desk
        self._plan = plan
        self._scope = anyio.CancelScope()
        self._signal_code: int | None = None
        self._state_problem: StateProblem | None = None
        self._live: anyio.Semaphore | None = None

    async def run(self) -> Ending:
        """Does what the plan says. Raises nothing that a user can cause: the ending tells."""
        desk = self._desk
        with self._scope:
            async with anyio.create_task_group() as server:
                server.start_soon(desk.dispatcher.serve)
                await self._feed_and_finish()
                server.cancel_scope.cancel()
        return self._ending()

    async def _feed_and_finish(self) -> None:
        steps = self._plan.of(*FOLLOWS) + self._plan.of(*SENDS)  # what is paid for comes first
        self._live = anyio.Semaphore(self._desk.settings.concurrency or live_runs(self._desk.settings.rate))
        async with anyio.create_task_group() as tasks:
            for step in steps:
                await self._live.acquire()
                if step.action in SENDS and self._desk.dispatcher.closed_for_good:
                    self._live.release()
                    self._desk.leave(step.id, self._desk.dispatcher.closed_for_good)
                    continue
                tasks.start_soon(self._drive, step)

    async def _drive(self, step: Step) -> None:
        """Takes one run through its steps until nothing is left to do for it in this session."""
        place = _Place(self._live)
        try:
            await self._prepare(step)
            await self._steps(step.id, place)
        except StateProblem as problem:
            self._give_up_state(problem)
        finally:
            self._desk.budget.close(step.id)
            place.free()

    async def _steps(self, name: str, place: _Place) -> None:
        desk, urls = self._desk, None
        while True:
            match desk.ledger.records[name].status:
                case Status.PENDING:
                    if not await submit(desk, name):
                        return
                case Status.SUBMITTED:
                    urls = await follow(desk, name)
                    if urls is None:
                        return
                case Status.SUCCEEDED:
                    # The place is held until a download may begin: when downloads are slow, submissions slow down too.
                    await fetch(desk, name, urls, place.free)
                    return
                case _:
                    return

    async def _prepare(self, step: Step) -> None:
        """What the plan's action asks to be written down before the run's steps begin."""
        desk = self._desk
        if step.action is Action.RETRY:
            await desk.record(ev.Retried(id=step.id, at=desk.now()))
        elif step.action is Action.FETCH:
            await desk.record(ev.FilesMissing(id=step.id, at=desk.now()))
        record = desk.ledger.records[step.id]
        if record.status is Status.SUBMITTED and record.cost_micro_usd is None:
            desk.budget.take_up(step.id)

    # ----------------------------------------------------------------------------------------------- stopping

    def drain(self, signal_code: int) -> None:
        """No new POST; what is under way finishes and is saved, polls and waits end at once."""
        self._signal_code = self._signal_code or signal_code
        self._desk.draining = True
        self._desk.dispatcher.stop_submissions(BY_SIGNAL)
        self._desk.notify(Stopping(BY_SIGNAL))
        self._scope.cancel()

    def leave_now(self) -> None:
        """Cuts short what `drain` lets finish: an open POST is in doubt then."""
        self._desk.stop_hard()

    async def leave_after_deadline(self) -> None:
        """Ends a drain that takes too long."""
        await anyio.sleep(DRAIN_S)
        self.leave_now()

    def _give_up_state(self, problem: StateProblem) -> None:
        """The state cannot be written: nothing that costs money may happen any more."""
        if self._state_problem is None:
            self._state_problem = problem
            self._desk.draining = True
            failure = Failure("state", str(problem))
            self._desk.dispatcher.stop_submissions(failure)
            self._desk.notify(Stopping(failure))
            self._scope.cancel()

    def _ending(self) -> Ending:
        desk = self._desk
        reason = desk.dispatcher.closed_for_good
        refused = next((lane.account.refusal for lane in desk.dispatcher.lanes if lane.account.refusal), None)
        breaker_open = desk.dispatcher.breaker.gave_up
        by_account = None if reason in (BY_SIGNAL, desk.disk_full) or breaker_open or self._state_problem else reason
        sent = (desk.ledger.records[step.id].status for step in self._plan.of(*SENDS))
        if Status.PENDING not in sent:
            by_account = None  # it was closed, but there was nothing left to send
        return Ending(
            stopped=by_account or refused,
            signal_code=self._signal_code,
            state_problem=self._state_problem,
            breaker_open=breaker_open,
            left=tuple(desk.left.items()),
        )


class _Place:
    """One run's place among the live ones, freed once."""

    def __init__(self, places: anyio.Semaphore | None) -> None:
        self._places = places

    def free(self) -> None:
        """Lets the next run in."""
        if self._places is not None:
            self._places.release()
            self._places = None
