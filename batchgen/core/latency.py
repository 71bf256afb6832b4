"""How long runs of a kind take: a distribution from what was seen, and from the bundled prior while little was."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from batchgen.records import Record

Spec = tuple[str, ...]
Prior = tuple[float, float]  # from and to, in seconds

KEPT = 64
SHORTEST_S = 0.001
TENTH = 0.1
FEW, ENOUGH = 3, 10
SLACK_S = 60.0  # a service may begin to count before it answers
GUESS: Prior = (40.0, 90.0)  # where nothing at all is known of a model
# Where the prior's mass lies, as (from the low end or the high end, times what, share): now and then it is far off.
_PRIOR_POINTS = ((0, 0.1, 0.02), (0, 0.5, 0.05), (0, 1.0, 0.15), (1, 1.0, 0.25), (1, 3.0, 0.05))
_PRIOR_MIDDLE = 0.48
_NEVER_SURE = 1e-9  # rounding must not turn “almost surely done” into a division by nothing
_BEYOND = 0.5  # how many runs are taken to be later than every one that was seen


def spec_of(model: str, given: Mapping[str, object]) -> Spec:
    """What a run's price and latency depend on: the model, and every parameter but the prompt and the images' names."""
    told = (f"{name}={value}" for name, value in sorted(given.items()) if name not in ("prompt", "image_urls"))
    return (model, *told, "image" if given.get("image_urls") else "")


@dataclass(frozen=True, slots=True)
class Expected:
    """The distribution of latencies: the share of runs that is done by an age, straight lines between the points.

    Behind the last point the rest grows thin with the square of the age: now and then a run takes several times as
    long as all others, and a distribution that ends would call it impossible.
    """

    ages: tuple[float, ...]
    shares: tuple[float, ...]
    seen: int

    def share_by(self, age: float) -> float:
        """The share of runs, from 0 to 1, that is done by the age in seconds."""
        if age <= 0:
            return 0.0
        last = self.ages[-1]
        if age >= last:
            return 1.0 - max(_NEVER_SURE, (1.0 - self.shares[-1]) * (last / age) ** 2)
        right = bisect_right(self.ages, age)
        return self._between(self.ages, self.shares, right, age)

    def age_by(self, share: float) -> float:
        """The age in seconds by which that share of runs is done; infinity for all of them."""
        if share >= 1.0:
            return math.inf
        if share >= self.shares[-1]:
            return self.ages[-1] * math.sqrt((1.0 - self.shares[-1]) / (1.0 - share))
        return self._between(self.shares, self.ages, max(1, bisect_left(self.shares, share)), share)

    @staticmethod
    def _between(xs: tuple[float, ...], ys: tuple[float, ...], right: int, x: float) -> float:
        x0, x1, y0, y1 = xs[right - 1], xs[right], ys[right - 1], ys[right]
        return y0 + (y1 - y0) * (x - x0) / (x1 - x0)

    def done_since(self, asked_age: float, age: float) -> float:
        """How likely a run is done at `age` that was not done at `asked_age`, from 0 to 1."""
        before = self.share_by(asked_age)
        return (self.share_by(age) - before) / (1.0 - before)

    def age_when(self, asked_age: float, chance: float) -> float:
        """The age at which a run that was not done at `asked_age` is done with this chance."""
        before = self.share_by(asked_age)
        return self.age_by(before + chance * (1.0 - before))


def expected_from(seen: Iterable[float], prior: Prior) -> Expected:
    """The distribution from latencies that were seen, in seconds; from the prior as well while there are few."""
    points = [(seconds, 1.0) for seconds in seen]
    count = len(points)
    if count < FEW:
        trust = 2.0 / (1 + count) ** 2
        points += [(prior[end] * times, trust * share) for end, times, share in _PRIOR_POINTS]
        points.append((sum(prior) / 2, trust * _PRIOR_MIDDLE))
    points.sort()
    whole = sum(weight for _, weight in points) + (_BEYOND if count else 0.1)
    ages, shares, below = [0.0], [0.0], 0.0
    for seconds, weight in points:
        age = max(SHORTEST_S, seconds)
        below += weight
        share = below / whole
        if age > ages[-1]:
            ages.append(age)
            shares.append(share)
        else:
            shares[-1] = share
    return Expected(tuple(ages), tuple(shares), count)


@dataclass(slots=True)
class Kind:
    """What is known of the runs of one kind. Mutable, like the window: it is touched for each run of any batch."""

    prior: Prior
    _seen: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))
    _expected: Expected | None = None

    def observe(self, seconds: float) -> None:
        """A run took so long from its submission to its end."""
        self._seen.append(max(0.0, seconds))
        self._expected = None

    @property
    def known(self) -> bool:
        """Whether enough runs were seen to know when the others will be done."""
        return len(self._seen) >= FEW

    @property
    def expected(self) -> Expected:
        """The distribution by now."""
        if self._expected is None:
            self._expected = expected_from(self._seen, self.prior)
        return self._expected


class Latencies:
    """Latencies by kind of run: what this state and this session have seen, on top of the bundled priors."""

    def __init__(self, records: Iterable[Record], bundled: Callable[[str, Mapping[str, Any]], Prior | None]) -> None:
        self._bundled = bundled
        self._kinds: dict[Spec, Kind] = {}
        for record in records:
            # As with prices: earlier attempts may have been made with another input.
            if (attempt := record.current) and attempt.latency_s is not None:
                self.of(record.model, record.input).observe(attempt.latency_s)

    def of(self, model: str, given: Mapping[str, Any]) -> Kind:
        """What is known of runs like this one."""
        spec = spec_of(model, given)
        kind = self._kinds.get(spec)
        if kind is None:
            kind = self._kinds[spec] = Kind(self._bundled(model, given) or GUESS)
        return kind


def latency_of(exact: float | None, not_done_at: float, done_at: float) -> float:
    """What a finished run tells of its kind, in seconds.

    The service's own times are exact where they make sense. Without them it ended between the last poll that found it
    unfinished and the one that found it done. The middle is right on average, where the latter alone would creep up:
    polls that are late by plan would teach to be later still. A run that was done at its first poll was done a little
    earlier; taking off a tenth brings the polls down until some come too early and tell where they stand.
    """
    if exact is not None and 0 < exact <= done_at + SLACK_S:
        return exact
    earliest = not_done_at or (1 - 2 * TENTH) * done_at
    return (min(earliest, done_at) + done_at) / 2
