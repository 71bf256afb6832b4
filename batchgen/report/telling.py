"""Which of the engine's notices become a line for a person, and its words."""

from __future__ import annotations

import math
from collections import Counter
from enum import Enum, auto
from posixpath import basename

from batchgen.engine.notices import Changed, Held, Lost, Notice, Stopping
from batchgen.records import Record, Status
from batchgen.report.messages import hold_words
from batchgen.report.money import dollars
from batchgen.report.watching import View
from batchgen.report.words import clean, counted, cut, duration, size

FEW_RUNS = 20
FIRST_ONES = 3
FAILURES_OF_A_KIND = 10
SAME_HOLD_S = 60.0
LONGEST_WORDS = 300


class Topic(Enum):
    """What a line is about."""

    SUBMITTED = auto()
    DOWNLOADED = auto()
    FAILED = auto()
    DELAYED = auto()
    DOUBT = auto()
    HOLD = auto()
    STOP = auto()


URGENT = frozenset({Topic.DOUBT, Topic.STOP})
BESIDE_A_BAR = URGENT | {Topic.FAILED, Topic.DELAYED}
EVERYTHING = frozenset(Topic)


class Teller:
    """Chooses lines. `topics`: what is told at all; `verbose`: every run, whatever their number.

    Without `verbose` a batch of any size makes few lines: the first of each kind, then only counts elsewhere.
    """

    def __init__(self, topics: frozenset[Topic], *, verbose: bool, total: int) -> None:
        self._topics = topics | {Topic.SUBMITTED, Topic.DOWNLOADED, Topic.HOLD} if verbose else topics
        self._verbose = verbose
        self._few = total <= FEW_RUNS
        self._told: Counter[tuple[Topic, str]] = Counter()
        self._holds: dict[tuple[str, str], tuple[float, float]] = {}

    def lines(self, notice: Notice, now: float) -> list[str]:
        """The lines that this notice is worth; `now` in seconds of a steady clock.

        A lost run id is none of them: whoever has the terminal shows it at once.
        """
        match notice:
            case Stopping(reason):
                return self._tell(Topic.STOP, f"stopping: {_words(reason.message)} What is under way comes to its end.")
            case Held() if self._new_hold(notice, now):
                return self._tell(Topic.HOLD, hold_words(notice.what, notice.reason, notice.seconds))
            case Changed(record, before):
                return self._changed(record, before)
        return []

    def _changed(self, record: Record, before: Status) -> list[str]:
        topic = _topic_of(record, before)
        if topic is None or topic not in self._topics:
            return []
        kind = record.error.code if record.error else ""
        self._told[topic, kind] += 1
        number, most = self._told[topic, kind], self._most(topic)
        if number <= most:
            return [_LINES[topic](record)]
        if number == most + 1 and topic in (Topic.FAILED, Topic.DELAYED):
            return [f"more like these ({kind}) are only counted from here on; -v shows every one"]
        return []

    def _most(self, topic: Topic) -> float:
        if self._verbose or topic is Topic.DOUBT or self._few:
            return math.inf
        return FAILURES_OF_A_KIND if topic in (Topic.FAILED, Topic.DELAYED) else FIRST_ONES

    def _new_hold(self, held: Held, now: float) -> bool:
        """Whether this pause is news: many requests are refused at once, and a service can refuse all night."""
        kind = (held.what, held.reason.code)
        told_at, seconds = self._holds.get(kind, (-math.inf, 0.0))
        if now - told_at < SAME_HOLD_S and held.seconds <= 2 * seconds:
            return False
        self._holds[kind] = (now, held.seconds)
        return True

    def _tell(self, topic: Topic, line: str) -> list[str]:
        return [line] if topic in self._topics else []


def _topic_of(record: Record, before: Status) -> Topic | None:
    match record.status:
        case Status.SUBMITTED if before is Status.SUBMITTING:
            return Topic.SUBMITTED
        case Status.DOWNLOADED:
            return Topic.DOWNLOADED
        case Status.FAILED:
            return Topic.FAILED
        case Status.IN_DOUBT:
            return Topic.DOUBT
        case Status.SUCCEEDED if before is Status.SUCCEEDED and record.error:
            return Topic.DELAYED
    return None


def _words(text: str) -> str:
    return cut(clean(text), LONGEST_WORDS)


def _submitted(record: Record) -> str:
    cost = record.current.cost_micro_usd if record.current else None
    price = "" if cost is None else f", {dollars(cost)}"
    return f"{clean(record.id)}: submitted as {clean(record.run_id or '')}{price}"


def _downloaded(record: Record) -> str:
    # Names only: the state's paths are seen from its own folder, which need not be where the user stands.
    files = ", ".join(f"{clean(basename(file.path))} ({size(file.bytes)})" for file in record.files)
    return f"{clean(record.id)}: downloaded {files}"


def _failed(record: Record) -> str:
    return f"{clean(record.id)}: failed: {_reason(record)}"


def _delayed(record: Record) -> str:
    return f"{clean(record.id)}: not downloaded yet: {_reason(record)} (paid for; the next run fetches it)"


def _doubt(record: Record) -> str:
    return f"{clean(record.id)}: IN DOUBT, to be decided with batchgen resolve: {_reason(record)}"


def _reason(record: Record) -> str:
    if record.error is None:
        return "no reason was given"
    code = clean(record.error.code)
    words = _words(record.error.message)
    return words if not code or code.startswith("http_") else f"{words} [{code}]"


_LINES = {
    Topic.SUBMITTED: _submitted,
    Topic.DOWNLOADED: _downloaded,
    Topic.FAILED: _failed,
    Topic.DELAYED: _delayed,
    Topic.DOUBT: _doubt,
}


def lost_words(lost: Lost) -> str:
    """What a person has to know of a run whose id could not be saved, in one line."""
    kept = f"It is kept in {clean(lost.where)}." if lost.where else "Write it down: it is kept nowhere."
    return (
        f"THE RUN ID OF {clean(lost.id)} COULD NOT BE SAVED IN THE STATE: {clean(lost.run_id)}  "
        f"{kept} The run is paid for; give it back with batchgen resolve … --adopt."
    )


COUNT_WORDS: tuple[tuple[tuple[Status, ...], str], ...] = (
    ((Status.DOWNLOADED,), "downloaded"),
    ((Status.FAILED,), "failed"),
    ((Status.IN_DOUBT,), "in doubt"),
    ((Status.SUCCEEDED,), "to download"),
    ((Status.SUBMITTED,), "rendering"),
    ((Status.PENDING, Status.SUBMITTING), "waiting"),
)


def count_parts(view: View) -> list[str]:
    """The counts that are not zero, in words."""
    return [f"{number:,} {word}" for statuses, word in COUNT_WORDS if (number := view.count(*statuses))]


def pace_parts(view: View) -> list[str]:
    """Pace, time left and money, as far as they are known."""
    parts = []
    if view.per_minute is not None:
        parts.append(f"{view.per_minute:.1f} finished/min" if view.per_minute < 100 else f"{view.per_minute:,.0f}/min")
    if view.left_s:
        parts.append(f"{_rounded(view.left_s)} left")
    if view.spent or not view.unpriced:
        parts.append(f"{dollars(view.spent)} spent")
    if view.unpriced:
        parts.append(f"{counted(view.unpriced, 'run')} of unknown price")
    return parts


def _rounded(seconds: float) -> str:
    """An estimate with no more digits than it deserves."""
    if seconds < 60:
        return "less than 1 min"
    step = 60 if seconds < 7200 else 600
    return f"about {duration(step * round(seconds / step))}"


def summary_line(view: View, now: float) -> str:
    """The batch in one line."""
    holds = [hold_words(hold.what, hold.reason, hold.until - now) for hold in view.holds[:1]]
    settled = f"{view.settled:,} of {view.total:,}"
    return " · ".join([settled, *count_parts(view), *pace_parts(view), *holds])
