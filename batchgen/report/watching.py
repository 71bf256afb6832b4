"""A batch as it stands, kept by what the engine tells: counts, money, downloads, pauses, pace. Reads no clock.

All times are seconds of one steady clock. Every notice costs the same, however many runs there are.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import islice

from batchgen.engine.notices import Changed, Held, Lost, Notice, Received, Stopping
from batchgen.records import Failure, Record, Status

SHOWN_DOWNLOADS = 5
PACE_WINDOW_S = 600.0
PACE_KEPT = 1000
PACE_LEAST_RUNS = 5
PACE_LEAST_S = 10.0

_UNDER_WAY = (Status.SUBMITTING, Status.SUBMITTED, Status.SUCCEEDED)
_FINISHED = (Status.DOWNLOADED, Status.FAILED)
_DOUBTFUL_OUTCOMES = ("open", "in_doubt", "abandoned")


@dataclass(frozen=True, slots=True)
class Download:
    """A video on its way. `total` is None where its length is not known. Sizes in bytes."""

    id: str
    received: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Hold:
    """A pause: what it concerns, why, and until when; infinity where nothing but a person ends it."""

    what: str
    reason: Failure
    until: float


@dataclass(frozen=True, slots=True)
class View:
    """A batch at one moment. Money in micro-dollars; None is what cannot be said honestly.

    `spent` sums what the service named and did not give back; `unpriced` counts the runs of which it named no price.
    """

    total: int
    counts: Mapping[Status, int]
    spent: int
    unpriced: int
    downloads: tuple[Download, ...]
    more_downloads: int
    holds: tuple[Hold, ...]
    per_minute: float | None
    left_s: float | None
    stopping: Failure | None

    def count(self, *statuses: Status) -> int:
        """How many runs have one of these statuses."""
        return sum(self.counts.get(status, 0) for status in statuses)

    @property
    def settled(self) -> int:
        """Runs for which nothing more is done in this session."""
        return self.count(*_FINISHED, Status.IN_DOUBT)


class Tally:
    """Counts along. `records`: the whole state as the batch begins; `meant`: the ids that this batch is about.

    Money is that of the whole state, as in the summary and under --max-cost; everything else is about `meant`.
    Mutable, because it is touched at every event of a batch of any size. Not safe for threads by itself.
    """

    def __init__(self, records: Mapping[str, Record], meant: Collection[str]) -> None:
        # A copy: the ledger changes its records before it tells.
        self._records = dict(records)
        self._meant = frozenset(meant)
        self._counts = Counter(
            self._records[name].status if name in self._records else Status.PENDING for name in self._meant
        )
        self._spent = self._unpriced = 0
        for record in self._records.values():
            self._add_money(record, 1)
        self._downloads: dict[str, Download] = {}
        self._holds: dict[str, Hold] = {}
        self._finishes: deque[float] = deque(maxlen=PACE_KEPT)
        self._stopping: Failure | None = None

    @property
    def total(self) -> int:
        """How many runs the batch is about."""
        return len(self._meant)

    def heed(self, notice: Notice, now: float) -> None:
        """Takes in what the engine tells."""
        match notice:
            case Changed(record, _):
                self._changed(record, now)
            case Received(name, received, total):
                self._downloads[name] = Download(name, received, total)
            case Held(what, reason, seconds):
                self._holds[what] = Hold(what, reason, now + seconds)
            case Stopping(reason):
                self._stopping = self._stopping or reason
            case Lost():
                pass  # its record says the same soon enough; the display shouts it

    def hold(self, what: str, now: float) -> Hold | None:
        """The pause of this kind that is still on, if any."""
        hold = self._holds.get(what)
        return hold if hold and hold.until > now else None

    def view(self, now: float) -> View:
        """The batch as it stands. Costs the same for ten runs and for a hundred thousand."""
        self._holds = {what: hold for what, hold in self._holds.items() if hold.until > now}
        per_minute = self._per_minute(now)
        return View(
            total=self.total,
            counts=dict(self._counts),
            spent=self._spent,
            unpriced=self._unpriced,
            downloads=tuple(islice(self._downloads.values(), SHOWN_DOWNLOADS)),
            more_downloads=max(0, len(self._downloads) - SHOWN_DOWNLOADS),
            holds=tuple(sorted(self._holds.values(), key=lambda hold: -hold.until)),
            per_minute=per_minute,
            left_s=self._left_s(per_minute),
            stopping=self._stopping,
        )

    def _changed(self, record: Record, now: float) -> None:
        before = self._records.get(record.id)
        self._records[record.id] = record
        if before:
            self._add_money(before, -1)
        self._add_money(record, 1)
        # Any change ends the download that was under way; the next one shows itself by its first bytes.
        self._downloads.pop(record.id, None)
        if record.id not in self._meant:
            return
        was = before.status if before else Status.PENDING
        self._counts[was] -= 1
        self._counts[record.status] += 1
        if record.status in _FINISHED and was is not record.status:
            self._finishes.append(now)

    def _add_money(self, record: Record, sign: int) -> None:
        for attempt in record.attempts:
            if attempt.refunded or attempt.outcome in _DOUBTFUL_OUTCOMES:
                continue
            self._spent += sign * (attempt.cost_micro_usd or 0)
            self._unpriced += sign * (attempt.cost_micro_usd is None)

    def _per_minute(self, now: float) -> float | None:
        """The pace of late, measured from the first finish on: before it, there is only the first run's latency."""
        while self._finishes and self._finishes[0] < now - PACE_WINDOW_S:
            self._finishes.popleft()
        if len(self._finishes) < PACE_LEAST_RUNS:
            return None
        since = now - self._finishes[0]
        return (len(self._finishes) - 1) / since * 60 if since >= PACE_LEAST_S else None

    def _left_s(self, per_minute: float | None) -> float | None:
        """What is left at this pace. None while nobody can know: too few finished, or no end to a pause."""
        if not per_minute or any(math.isinf(hold.until) for hold in self._holds.values()):
            return None
        waiting = 0 if self._stopping else self._counts[Status.PENDING]
        return (waiting + sum(self._counts[status] for status in _UNDER_WAY)) / per_minute * 60
