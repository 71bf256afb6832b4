"""What follows from each outcome of a download attempt: one table, first match wins, the last row takes the rest.

Pure: the time, the chance and the limits are arguments. `service.download` performs what is decided here.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Generic, TypeVar

from batchgen.core.transfer_headers import announced_length, announced_range, retry_after, strong_etag
from batchgen.core.transfer_terms import (
    Answer,
    Backoff,
    Broke,
    Case,
    Container,
    Dead,
    Decision,
    DiskFull,
    Ended,
    Interrupted,
    Keep,
    NotVideo,
    Outcome,
    Receive,
    Redirect,
    Refused,
    ResumeAt,
    StartOver,
    Tries,
    Unreachable,
    Unwritable,
    Verdict,
    WriteFailed,
)

Result = TypeVar("Result", bound=Outcome)

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_DEAD = frozenset({401, 403, 404, 410})
_BUSY = frozenset({408, 425, 429})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def decide(outcome: Outcome, case: Case) -> Verdict:
    """The first row of the table that fits: its decision, its name, and the tries counted on."""
    row = next(row for row in TABLE if isinstance(outcome, row.outcome) and row.fits(outcome, case))
    tries = _counted(row.counts, case)
    return Verdict(row.name, row.then(outcome, replace(case, tries=tries)), tries)


# Predicates ---------------------------------------------------------------------------------------------------------


def _redirects(answer: Answer) -> bool:
    return answer.status in _REDIRECTS and bool(answer.headers.get("location"))


def _continues(answer: Answer, case: Case) -> bool:
    """Does this 206 go on at the byte that was asked for, in the very file of which we hold the beginning?"""
    announced = announced_range(answer.headers)
    if announced is None or announced[0] != answer.asked_at:
        return False
    if answer.asked_at == 0:
        return True
    known, total = case.held.total, announced[2]
    return strong_etag(answer.headers) == case.held.etag and (known is None or total is None or known == total)


# Decisions ----------------------------------------------------------------------------------------------------------


def _wait(tries: int, case: Case) -> float:
    """Seconds before the next try: doubling, capped, and of that between half and all by chance."""
    policy = case.policy
    longest = min(policy.longest_wait, policy.first_wait * 2.0 ** min(max(tries - 1, 0), 30))
    return longest * (0.5 + case.chance / 2)


def _again(reason: str, case: Case, *, keep: bool = True) -> Decision:
    """Fetch what is missing if the part can be trusted (`keep`) and its version named, else everything."""
    if case.tries.breaks > case.policy.breaks:
        return Interrupted(reason)
    held, wait = case.held, _wait(case.tries.breaks, case)
    missing = held.total is None or held.bytes < held.total
    if keep and missing and held.bytes and held.etag:
        return ResumeAt(held.bytes, held.etag, wait)
    return StartOver(wait)


def _later(answer: Answer, case: Case) -> Decision:
    if case.tries.waits > case.policy.waits:
        return Interrupted(f"the server keeps answering {answer.status}")
    asked = retry_after(answer.headers, case.now)
    if asked is None:
        return Backoff(_wait(case.tries.waits, case))
    return Backoff(min(asked, case.policy.longest_retry_after))


def _receive_rest(answer: Answer, case: Case) -> Decision:
    announced = announced_range(answer.headers)
    total = announced[2] if announced else None
    return Receive(answer.asked_at, strong_etag(answer.headers), case.held.total if total is None else total)


def _receive_all(answer: Answer, _case: Case) -> Decision:
    return Receive(0, strong_etag(answer.headers), announced_length(answer.headers))


def _short(_ended: Ended, case: Case) -> Decision:
    held = case.held
    announced = "an unknown number of" if held.total is None else held.total
    return _again(f"cut short at {held.bytes} of {announced} bytes: {held.film.words}", case)


def _ends_at_our_end(answer: Answer, case: Case) -> bool:
    """A 416 to If-Range says that the file is still the same, and here also that it has no byte more than the part."""
    return bool(answer.asked_at) and answer.headers.get("content-range", "").split() == [
        "bytes",
        f"*/{case.held.bytes}",
    ]


def _judge_as_it_is(_outcome: Outcome, case: Case) -> Decision:
    """All bytes that there are have come: the film is whole, or never will be under this URL."""
    film = case.held.film
    return Keep() if film.whole else NotVideo(film.words)


# The table ----------------------------------------------------------------------------------------------------------


class Counts(Enum):
    """Which of the tries a row counts."""

    NOTHING = "nothing"
    BREAK = "break"
    WAIT = "wait"
    CALM = "calm"  # the server answers as it should: its calls for patience are over


def _counted(counts: Counts, case: Case) -> Tries:
    """The tries after one more outcome. Breaks are forgiven whenever an attempt got further than all before it."""
    tries = case.tries
    if counts is Counts.WAIT:
        return replace(tries, waits=tries.waits + 1)
    if counts is Counts.CALM:
        return replace(tries, waits=0)
    if counts is Counts.NOTHING:
        return tries
    if case.held.bytes >= tries.furthest + case.policy.gain:
        return replace(tries, breaks=1, furthest=case.held.bytes)
    return replace(tries, breaks=tries.breaks + 1)


@dataclass(frozen=True, slots=True)
class Row(Generic[Result]):
    """One line of the table, for outcomes of one class."""

    name: str
    outcome: type[Result]
    fits: Callable[[Result, Case], bool]
    then: Callable[[Result, Case], Decision]
    counts: Counts = Counts.NOTHING


def _always(_outcome: Outcome, _case: Case) -> bool:
    return True


_BEFORE: tuple[Row[Unreachable], ...] = (
    Row("address not allowed", Unreachable, _always, lambda o, _: Refused(o.reason)),
)

_ANSWERS: tuple[Row[Answer], ...] = (
    Row(
        "redirect",
        Answer,
        lambda a, c: _redirects(a) and a.redirects < c.policy.redirects,
        lambda a, _: Redirect(a.headers["location"]),
    ),
    Row(
        "one redirect too many",
        Answer,
        lambda a, _: _redirects(a),
        lambda _, c: Refused(f"more than {c.policy.redirects} redirects"),
    ),
    Row("401, 403, 404, 410", Answer, lambda a, _: a.status in _DEAD, lambda a, _: Dead(f"HTTP {a.status}")),
    Row(
        "429, 5xx",
        Answer,
        lambda a, _: a.status in _BUSY or 500 <= a.status <= 599,
        _later,
        Counts.WAIT,
    ),
    Row("206 at our byte", Answer, lambda a, c: a.status == 206 and _continues(a, c), _receive_rest, Counts.CALM),
    Row(
        "206 elsewhere, or of a changed file",
        Answer,
        lambda a, _: a.status == 206,
        lambda _, c: _again("the server cannot resume", c, keep=False),
        Counts.BREAK,
    ),
    Row("200 (to a Range: start over)", Answer, lambda a, _: a.status == 200, _receive_all, Counts.CALM),
    Row("416 at the end", Answer, lambda a, c: a.status == 416 and _ends_at_our_end(a, c), _judge_as_it_is),
    Row(
        "416 elsewhere",
        Answer,
        lambda a, _: a.status == 416 and a.asked_at > 0,
        lambda _, c: _again("the file is shorter than before", c, keep=False),
        Counts.BREAK,
    ),
    Row(
        "other 2xx and 3xx",
        Answer,
        lambda a, _: 200 <= a.status <= 399,
        lambda a, _: NotVideo(f"HTTP {a.status} without a video"),
    ),
    # Signed links of some stores answer 400 once they have expired, so that a fresh URL may well mend what is left.
    Row("other 4xx", Answer, lambda a, _: 400 <= a.status <= 499, lambda a, _: Dead(f"HTTP {a.status}")),
    Row("any other status", Answer, _always, _later, Counts.WAIT),
)

_BODIES: tuple[Row[Ended], ...] = (
    Row(
        "HTML, JSON, XML, wrong magic",
        Ended,
        lambda _, c: c.held.film.container is Container.OTHER,
        lambda _, c: NotVideo(c.held.film.words),
    ),
    Row(
        "longer than announced",
        Ended,
        lambda _, c: c.held.total is not None and c.held.bytes > c.held.total,
        lambda _, c: _again(f"longer than the {c.held.total} bytes announced", c, keep=False),
        Counts.BREAK,
    ),
    Row("short", Ended, lambda _, c: c.held.total is not None and c.held.bytes < c.held.total, _short, Counts.BREAK),
    Row("length as announced", Ended, lambda _, c: c.held.total is not None, _judge_as_it_is),
    Row("no length, the boxes prove the end", Ended, lambda _, c: c.held.film.proves_end, lambda _o, _c: Keep()),
    Row("no length, the boxes prove nothing", Ended, _always, _short, Counts.BREAK),
)

_BREAKS: tuple[Row[Broke], ...] = (
    Row("reset, cut, slow, no connection", Broke, _always, lambda o, c: _again(o.reason, c), Counts.BREAK),
)

_WRITES: tuple[Row[WriteFailed], ...] = (
    Row("disk full", WriteFailed, lambda o, _: o.code in _FULL, lambda o, _: DiskFull(o.reason)),
    Row("not writable", WriteFailed, _always, lambda o, _: Unwritable(o.reason)),
)

TABLE: tuple[Row[Any], ...] = (*_BEFORE, *_ANSWERS, *_BODIES, *_BREAKS, *_WRITES)
