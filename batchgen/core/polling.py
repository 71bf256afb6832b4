"""When to ask after a run, and what an answer means for how long it is followed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from batchgen.core.backoff import doubled_s, spread_s
from batchgen.core.latency import ENOUGH, FEW, Kind, latency_of
from batchgen.core.verdict import Ended, GetVerdict, Missing, PauseKey, PollAgain, Ready, ReadyEmpty
from batchgen.records import Failure


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """Limits of following a run, in seconds and polls (design, table of GET)."""

    run_timeout_s: float = 1800.0
    missing_s: float = 600.0
    empty_polls: int = 5
    shortest_s: float = 1.0
    longest_backoff_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Watch:
    """One run as it is followed: since when (steady clock), how old it was then, and what the polls said so far.

    `asked_age`: how old it was at the last poll that found it unfinished.
    """

    since: float
    age_s: float = 0.0
    polls: int = 0
    errors: int = 0
    empties: int = 0
    missing_since: float | None = None
    asked_age: float = 0.0

    def age(self, now: float) -> float:
        """Seconds since the run was submitted."""
        return self.age_s + (now - self.since)


@dataclass(frozen=True, slots=True)
class Hope:
    """That a run is done: born at a time of the steady clock, and not done yet at `asked_age` (0 if never asked)."""

    kind: Kind
    born: float
    asked_age: float = 0.0

    def chance(self, now: float) -> float:
        """How likely a poll finds it done now, from 0 to 1."""
        return self.kind.expected.done_since(self.asked_age, now - self.born)

    def urgent_at(self) -> float:
        """When it is so likely done that a poll is worth more than a new submission.

        A slot that is spent on a poll too early is lost, while a run that is done and not asked after only waits: so
        the first poll comes late, earlier while little is known of the kind and a poll teaches something. A run that
        was not done then is asked after at intervals that grow with its age.
        """
        expected = self.kind.expected
        first = expected.age_by(_first_share(expected.seen))
        if self.asked_age < first:
            return self.born + first
        again = min(expected.age_when(self.asked_age, LATER_CHANCE), self.asked_age * LONGEST_STRIDE)
        return self.born + again


FIRST_SHARES = ((FEW, 0.7), (ENOUGH, 0.9))
SURE_SHARE = 0.95
LATER_CHANCE = 0.8
LONGEST_STRIDE = 4 / 3


def _first_share(seen: int) -> float:
    return next((share for below, share in FIRST_SHARES if seen < below), SURE_SHARE)


@dataclass(frozen=True, slots=True)
class Due:
    """When the next poll makes sense (`not_before`), and where it competes for slots, what speaks for it then.

    Without a hope it goes before submissions as soon as its time has come.
    """

    not_before: float
    hope: Hope | None = None

    def urgent_at(self) -> float:
        """From when on the poll goes before submissions."""
        return max(self.not_before, self.hope.urgent_at()) if self.hope else self.not_before


def next_poll(watch: Watch, now: float, kind: Kind, policy: PollPolicy, roll: float, *, scarce: bool) -> Due:
    """When to ask next. `roll` (0 to 1) spreads runs that would otherwise ask in step; `scarce`: requests are counted.

    Without a window to share, a run is simply asked after at intervals that grow.
    """
    if watch.errors:
        pause = spread_s(doubled_s(1.0, policy.longest_backoff_s, watch.errors - 1), roll)
        return Due(now + pause)
    spread = 0.75 + roll / 2
    born = now - watch.age(now)
    if scarce:
        return Due(now + policy.shortest_s * spread, Hope(kind, born, watch.asked_age))
    grow = policy.shortest_s * 1.2 ** min(watch.polls, 12)
    early = kind.expected.age_by(EARLY_SHARE)
    return Due(now + min(grow, max(policy.shortest_s, early / 2)) * spread)


EARLY_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Continue:
    """Poll again."""

    watch: Watch


@dataclass(frozen=True, slots=True)
class Finished:
    """The videos can be fetched. `latency_s`: how long the run took; None where it ended before it was watched."""

    urls: tuple[str, ...]
    cost_micro_usd: int | None
    latency_s: float | None = None


@dataclass(frozen=True, slots=True)
class ComeToNothing:
    """The run is to be recorded as failed; `refunded` where the service says that the money comes back."""

    failure: Failure
    refunded: bool


@dataclass(frozen=True, slots=True)
class Leave:
    """Not followed any longer in this session; it stays as it is, and the next session polls on."""

    failure: Failure


Course = Continue | Finished | ComeToNothing | Leave

NO_OUTPUT = Failure("no_output", "The service calls the run succeeded but names no video. Its id is kept.")
NOT_FOUND = Failure("run_not_found", "For ten minutes the service did not know this run. Its id is kept.")
OTHER_KEY = Failure("key_missing", "Created with an API key that was not given now; the keys given do not see it.")
TIMED_OUT = Failure("run_timeout", "Still not done when --run-timeout was over; the next run of the command asks on.")


def course_after(watch: Watch, verdict: GetVerdict, now: float, policy: PollPolicy, *, own_key: bool = True) -> Course:
    """What an answer means for the run. With another key than its own, not being found says nothing of the run."""
    if isinstance(verdict, Ready):
        return Finished(verdict.urls, verdict.cost_micro_usd, _latency_s(watch, verdict, now))
    if isinstance(verdict, Ended):
        return ComeToNothing(verdict.failure, refunded=True)
    after = _counted(watch, verdict, now)
    if after.empties >= policy.empty_polls:
        return ComeToNothing(NO_OUTPUT, refunded=False)
    # Only an answer that does not know the run may end it: a broken connection or a 503 says nothing of it.
    if isinstance(verdict, Missing) and not own_key:
        return Leave(OTHER_KEY)
    missing_s = 0.0 if after.missing_since is None else now - after.missing_since
    if isinstance(verdict, Missing) and missing_s >= policy.missing_s:
        return ComeToNothing(NOT_FOUND, refunded=False)
    if now - watch.since >= policy.run_timeout_s:
        return Leave(TIMED_OUT)
    return Continue(after)


FRESH_S = 5.0


def _latency_s(watch: Watch, ready: Ready, now: float) -> float | None:
    if ready.seconds is None and not watch.asked_age and watch.age_s > FRESH_S:
        return None  # it was done before this program came to ask: that tells how long the program was away
    return latency_of(ready.seconds, watch.asked_age, watch.age(now))


def _counted(watch: Watch, verdict: GetVerdict, now: float) -> Watch:
    polled = replace(watch, polls=watch.polls + 1)
    if isinstance(verdict, PollAgain):
        # A rate limit closes the gate for all; it is no reason to wait longer for this run.
        return watch if verdict.limited else replace(polled, errors=watch.errors + 1)
    if isinstance(verdict, PauseKey):
        return watch
    if isinstance(verdict, Missing):
        since = now if watch.missing_since is None else watch.missing_since
        return replace(polled, errors=watch.errors + 1, missing_since=since)
    if isinstance(verdict, ReadyEmpty):
        # Backed off like an error: URLs that come a moment after the success get half a minute to do so.
        return replace(polled, errors=watch.errors + 1, missing_since=None, empties=watch.empties + 1)
    return replace(polled, errors=0, missing_since=None, asked_age=watch.age(now))
