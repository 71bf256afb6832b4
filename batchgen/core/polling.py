"""When to ask after a run, and what an answer means for how long it is followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from batchgen.core.backoff import doubled_s, spread_s
from batchgen.core.verdict import Ended, GetVerdict, Missing, PauseKey, PollAgain, Ready, ReadyEmpty
from batchgen.records import Failure

Spec = tuple[str, ...]


def spec_of(model: str, given: Mapping[str, object]) -> Spec:
    """What a run's price and latency depend on: the model, and every parameter but the prompt and the images' names."""
    told = (f"{name}={value}" for name, value in sorted(given.items()) if name not in ("prompt", "image_urls"))
    return (model, *told, "image" if given.get("image_urls") else "")


@dataclass(frozen=True, slots=True)
class Usual:
    """How long runs of a kind usually take, in seconds: `early` is when the first may be done, `likely` the most."""

    early: float
    likely: float


KEPT_LATENCIES = 64
ENOUGH_LATENCIES = 3


@dataclass(slots=True)
class Latencies:
    """Latencies seen in this session by kind of run. They replace the bundled priors as soon as there are a few.

    Mutable for the same reason as the window: it is touched once for each run of a batch of any size.
    """

    seen: dict[Spec, tuple[float, ...]] = field(default_factory=dict)

    def observe(self, spec: Spec, seconds: float) -> None:
        """A run of this kind took so long from its submission until it was seen done."""
        self.seen[spec] = (*self.seen.get(spec, ()), max(0.0, seconds))[-KEPT_LATENCIES:]

    def usual(self, spec: Spec, prior: tuple[float, float] | None) -> Usual:
        """What to expect: from what was seen, else from the prior (low, high), else a plain guess."""
        seen = sorted(self.seen.get(spec, ()))
        if len(seen) >= ENOUGH_LATENCIES:
            return Usual(seen[len(seen) // 10] * 0.9, seen[len(seen) // 2])
        low, high = prior or (40.0, 90.0)
        return Usual(low, (low + high) / 2)


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
    """One run as it is followed: since when (steady clock), how old it was then, and what the polls said so far."""

    since: float
    age_s: float = 0.0
    polls: int = 0
    errors: int = 0
    empties: int = 0
    missing_since: float | None = None

    def age(self, now: float) -> float:
        """Seconds since the run was submitted."""
        return self.age_s + (now - self.since)


@dataclass(frozen=True, slots=True)
class Due:
    """When the next poll makes sense if there is room (`ready_at`), and when it should go before submissions."""

    ready_at: float
    urgent_at: float


def next_poll(watch: Watch, now: float, usual: Usual, policy: PollPolicy, roll: float) -> Due:
    """When to ask next. `roll` (0 to 1) spreads runs that would otherwise ask in step.

    Before a run is likely to be done a poll is only worth a slot that nobody else wants; from then on it is worth
    more than a new submission, at intervals that grow with the run's age.
    """
    if watch.errors:
        pause = spread_s(doubled_s(1.0, policy.longest_backoff_s, watch.errors - 1), roll)
        return Due(now + pause, now + pause)
    born = now - watch.age(now)
    grow = policy.shortest_s * 1.2 ** min(watch.polls, 12)
    ready = now + min(grow, max(policy.shortest_s, usual.early / 2)) * (0.75 + roll / 2)
    overdue = max(0.0, watch.age(now) - usual.likely)
    urgent = max(born + usual.likely, ready + overdue / 8)
    return Due(ready, urgent)


@dataclass(frozen=True, slots=True)
class Continue:
    """Poll again."""

    watch: Watch


@dataclass(frozen=True, slots=True)
class Finished:
    """The videos can be fetched."""

    urls: tuple[str, ...]
    cost_micro_usd: int | None


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
        return Finished(verdict.urls, verdict.cost_micro_usd)
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
    return replace(polled, errors=0, missing_since=None)
