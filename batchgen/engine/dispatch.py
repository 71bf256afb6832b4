"""Hands out the slots of every key's request window, to submissions and polls alike, and learns from what comes back.

What may be sent is decided in the core (window, gate, breaker, account, choose); here the waiting is done.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random

import anyio

from batchgen.core import verdict as v
from batchgen.core.answers import Answer, NotSent, Outcome, retry_after_s
from batchgen.core.choose import Pick, Waiting, choose
from batchgen.core.gate import Breaker, Gate, OpenPosts
from batchgen.core.polling import Due
from batchgen.core.window import Rate, Window
from batchgen.engine.lanes import Lane, Waiter
from batchgen.engine.notices import Held, Notify
from batchgen.records import Failure
from batchgen.settings import Key

USED_UP = Failure("rate_limited", "The service says that its request window is used up.")


class Dispatcher:
    """The one place through which every request to the service goes."""

    def __init__(
        self,
        keys: Sequence[Key],
        rate: Rate,
        notify: Notify,
        rng: Random,
        *,
        wait_for_credit: bool = False,
        open_posts: OpenPosts | None = None,
    ) -> None:
        self.lanes = tuple(Lane(key, Window(rate)) for key in keys)
        self.gate = Gate()
        self.breaker = Breaker()
        self.closed_for_good: Failure | None = None
        self._open_posts = open_posts or OpenPosts()
        self._rate = rate
        self._notify = notify
        self._rng = rng
        self._wait_for_credit = wait_for_credit
        self._submissions: deque[Waiter] = deque()
        self._changed = anyio.Event()

    async def submission(self) -> Lane | None:
        """Waits for a slot in which a POST may go, and for the key to send it with. None: no POST will go any more.

        The slot must be given back with `posted` or `unused`.
        """
        if self.closed_for_good:
            return None
        waiter = Waiter()
        self._submissions.append(waiter)
        return await self._wait(waiter)

    async def poll(self, lane: Lane, due: Due) -> bool:
        """Waits for a slot for a GET with this key. False: this key polls no more. To be given back with `polled`."""
        await anyio.sleep_until(due.not_before)
        while not lane.account.polls_given_up:
            waiter = Waiter(due)
            lane.add(waiter, due)
            if await self._wait(waiter) is None:
                return False
            if anyio.current_time() >= max(self.gate.opens_at, lane.account.polls_from):
                return True
            self._unused(lane, submission=False)  # something closed between the grant and now
        return False

    async def _wait(self, waiter: Waiter) -> Lane | None:
        self._changed.set()
        try:
            await waiter.granted.wait()
        except BaseException:
            waiter.gone = True
            if waiter.lane:  # granted and cancelled at once
                self._unused(waiter.lane, submission=waiter.due is None)
            raise
        return waiter.lane

    def may_begin(self, lane: Lane) -> bool:
        """Whether a POST whose slot was granted may still go, or something closed while its intent was written."""
        return anyio.current_time() >= self.gate.opens_at and self.still_open(lane)

    def still_open(self, lane: Lane) -> bool:
        """Whether nothing closed for submissions while a POST's connection was made. The gate only asks for patience:
        it is no reason to give a connection up that stands."""
        now = anyio.current_time()
        return self.closed_for_good is None and self.breaker.may_submit(now, 0) and lane.account.may_submit(now, 0)

    def unused(self, lane: Lane) -> None:
        """A submission's slot was not used after all."""
        self._unused(lane, submission=True)

    def _unused(self, lane: Lane, *, submission: bool) -> None:
        lane.posts -= submission
        lane.window.unused()
        self._changed.set()

    def posted(self, lane: Lane, outcome: Outcome, verdict: v.PostVerdict, begun_at: float) -> None:
        """A POST has come to its end; closes and opens what follows from it."""
        now = anyio.current_time()
        lane.posts -= 1
        self._end(lane, outcome, now)
        match verdict:
            case v.SendAgain(failure):
                self._close_gate(failure, outcome, begun_at, now)
                return
            case v.CloseGate(failure):
                lane.window.limited(begun_at, now)
                self._close_gate(failure, outcome, begun_at, now)
            case v.CloseKey():
                self._close_key(lane, verdict, begun_at, now)
            case v.StopBatch(failure):
                self.stop_submissions(failure)
                return
            case v.Submitted():
                lane.account = lane.account.submitted(begun_at)
                self.gate = self.gate.answered(begun_at)
            case _:
                self.gate = self.gate.answered(begun_at)
        self._feed_breaker(verdict, begun_at, now)

    def polled(
        self, lane: Lane, outcome: Outcome, verdict: v.GetVerdict, begun_at: float, *, own_key: bool = True
    ) -> None:
        """A GET has come to its end. With another key than the run's own, a refusal says nothing of the key."""
        now = anyio.current_time()
        self._end(lane, outcome, now)
        match verdict:
            case v.PollAgain(failure, limited=True):
                lane.window.limited(begun_at, now)
                self._close_gate(failure, outcome, begun_at, now)
            case v.PauseKey(failure):
                if own_key:
                    self._pause_polls(lane, failure, begun_at, now)
            case v.PollAgain():
                pass
            case _:
                lane.account = lane.account.polled()
                self.gate = self.gate.answered(begun_at)

    def _pause_polls(self, lane: Lane, failure: Failure, begun_at: float, now: float) -> None:
        before, lane.account = lane.account, lane.account.refuse_poll(failure, now)
        if lane.account is before:
            return
        self._notify(Held(f"polls of key {lane.key.fingerprint}", failure, lane.account.polls_from - now))
        if lane.account.polls_given_up:
            lane.dismiss()
            if not lane.account.hopeless:  # what cannot be asked after must not be paid for
                self._close_key(lane, v.CloseKey(failure, v.Closed.REFUSED), begun_at, now)

    def _end(self, lane: Lane, outcome: Outcome, now: float) -> None:
        if isinstance(outcome, NotSent):
            lane.window.unused()
        else:
            lane.window.end(now)
        if isinstance(outcome, Answer) and (allowance := outcome.allowance):
            lane.window.told(allowance, now)
            if not allowance.left and allowance.resets_s > lane.window.rate.seconds:
                self._notify(Held(f"requests with key {lane.key.fingerprint}", USED_UP, allowance.resets_s))
        self._changed.set()

    def _close_gate(self, failure: Failure, outcome: Outcome, begun_at: float, now: float) -> None:
        asked = retry_after_s(outcome, datetime.now(UTC)) if isinstance(outcome, Answer) else None
        self.gate = self.gate.close(now, begun_at, failure, asked, self._rng.random())
        self._notify(Held("requests", failure, self.gate.opens_at - now))

    def _close_key(self, lane: Lane, verdict: v.CloseKey, begun_at: float, now: float) -> None:
        lane.account = lane.account.close(verdict, begun_at=begun_at, now=now, wait=self._wait_for_credit)
        seconds = lane.account.probe_at - now
        self._notify(Held(f"submissions with key {lane.key.fingerprint}", verdict.failure, seconds))
        if all(lane.account.hopeless for lane in self.lanes):
            self.stop_submissions(verdict.failure)

    def _feed_breaker(self, verdict: v.PostVerdict, begun_at: float, now: float) -> None:
        in_doubt = isinstance(verdict, v.InDoubt)
        self._open_posts = self._open_posts.doubted() if in_doubt else self._open_posts.answered()
        before = self.breaker
        self.breaker = before.after(in_doubt=in_doubt, begun_at=begun_at, now=now)
        if self.closed_for_good:
            return
        if self.breaker.paused_until and self.breaker.paused_until != before.paused_until:
            reason = Failure("in_doubt", "too many submissions ended in doubt")
            if self.breaker.gave_up:
                self.stop_submissions(Failure("in_doubt", "submissions kept ending in doubt"))
            else:
                self._notify(Held("submissions", reason, self.breaker.paused_until - now))

    def stop_submissions(self, reason: Failure) -> None:
        """No POST goes out any more; whoever waits for one is told so. Polls go on."""
        self.closed_for_good = self.closed_for_good or reason
        for waiter in self._submissions:
            waiter.granted.set()
        self._submissions.clear()
        self._changed.set()

    def learned(self) -> None:
        """A run has ended, and more is known of its kind's latency."""
        if self._rate.limit is not None:
            for lane in self.lanes:
                lane.reconsider()
            self._changed.set()

    async def serve(self) -> None:
        """Hands out slots until cancelled."""
        while True:
            self._changed = anyio.Event()
            wake_at = self._hand_out(anyio.current_time())
            with anyio.move_on_after(max(0.0, wake_at - anyio.current_time())):
                await self._changed.wait()

    def _hand_out(self, now: float) -> float:
        """Grants every slot that can be granted now. Returns when to look again, unless something happens before."""
        if now < self.gate.opens_at:
            return self.gate.opens_at
        while self._grant_one(now):
            pass
        return min((self._look_again(lane, now) for lane in self.lanes), default=math.inf)

    def _grant_one(self, now: float) -> bool:
        while self._submissions and self._submissions[0].gone:
            self._submissions.popleft()
        # The key with the most room goes first, so that several keys share the work.
        for lane in sorted(self.lanes, key=lambda lane: -lane.window.free(now)):
            waiter = self._next_of(lane, now)
            if waiter is not None:
                lane.posts += waiter.due is None
                lane.window.begin()
                waiter.lane = lane
                waiter.granted.set()
                return True
        return False

    def _next_of(self, lane: Lane, now: float) -> Waiter | None:
        """Whose turn it is with this key; None where nobody's is."""
        free = lane.window.free(now)
        if not free:
            return None
        polls = lane.waiting if now >= lane.account.polls_from else 0
        submission = bool(self._submissions) and self._may_submit(lane, now)
        waiting = Waiting(polls, lane.urgent_at() if polls else math.inf, submission, lane.spare_from)
        match choose(now, waiting, free, lane.window.limit):
            case Pick.URGENT_POLL:
                return lane.take_urgent()
            case Pick.SUBMISSION:
                return self._submissions.popleft()
            case Pick.SPARE_POLL:
                return lane.take_spare(now)
        return None

    def _may_submit(self, lane: Lane, now: float) -> bool:
        in_air = sum(lane.posts for lane in self.lanes)
        return (
            in_air < self._open_posts.most
            and self.breaker.may_submit(now, in_air)
            and lane.account.may_submit(now, lane.posts)
        )

    def _look_again(self, lane: Lane, now: float) -> float:
        """When something about this key changes by the mere passing of time."""
        times = [
            lane.window.grows_at(now),
            lane.urgent_at(),
            lane.spare_from,
            lane.account.polls_from,
            lane.account.probe_at,
            self.breaker.paused_until or math.inf,
        ]
        return min((at for at in times if at > now), default=math.inf)
