"""The download table: every row is reached, first match wins, and nothing goes on for ever."""

from __future__ import annotations

import errno
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.core.transfer import TABLE, decide
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
    Film,
    Held,
    Interrupted,
    Keep,
    NotVideo,
    Outcome,
    Policy,
    Receive,
    Redirect,
    Refused,
    ResumeAt,
    StartOver,
    Tries,
    Unreachable,
    Unwritable,
    WriteFailed,
)

NOW = datetime(2030, 1, 1, tzinfo=UTC)
WHOLE = Film(Container.MP4, whole=True, proves_end=True, words="it is whole")
OPEN = Film(Container.MP4, whole=True, proves_end=False, words="it is whole")
CUT = Film(Container.MP4, whole=False, proves_end=False, words="a box is cut")
HTML = Film(Container.OTHER, whole=False, proves_end=False, words="it looks like HTML")
HALF = Held(50, '"v1"', 100, CUT)
CASE = Case(HALF, Tries(), Policy(gain=10), NOW, chance=1.0)
UNTAGGED = replace(HALF, etag=None)

ETAG, LENGTH = {"etag": '"v1"'}, {"content-length": "100"}
REST = {**ETAG, "content-range": "bytes 50-99/100", "content-length": "50"}


def answer(status: int, asked_at: int = 50, redirects: int = 0, **headers: str) -> Answer:
    return Answer(status, {name.replace("_", "-"): value for name, value in headers.items()}, asked_at, redirects)


def rest(**changes: str) -> Answer:
    return Answer(206, {**REST, **{name.replace("_", "-"): value for name, value in changes.items()}}, asked_at=50)


# Row, outcome, what the part holds, decision: the whole table. CASE's chance makes every first wait 1 second.
ROWS: list[tuple[str, Outcome, Held, Decision]] = [
    ("address not allowed", Unreachable("private"), HALF, Refused("private")),
    ("redirect", answer(302, location="/x"), HALF, Redirect("/x")),
    ("redirect", answer(308, location="/x", redirects=4), HALF, Redirect("/x")),
    ("one redirect too many", answer(302, location="/x", redirects=5), HALF, Refused("more than 5 redirects")),
    *(("401, 403, 404, 410", answer(code), HALF, Dead(f"HTTP {code}")) for code in (401, 403, 404, 410)),
    *(("429, 5xx", answer(code), HALF, Backoff(1.0)) for code in (408, 425, 429, 500, 502, 503, 504, 599)),
    ("429, 5xx", answer(429, retry_after="7"), HALF, Backoff(7.0)),
    ("429, 5xx", answer(503, retry_after="Tue, 01 Jan 2030 00:01:00 GMT"), HALF, Backoff(60.0)),
    ("429, 5xx", answer(503, retry_after="99999999"), HALF, Backoff(3600.0)),
    ("429, 5xx", answer(503, retry_after="soon"), HALF, Backoff(1.0)),
    ("206 at our byte", rest(), HALF, Receive(50, '"v1"', 100)),
    ("206 at our byte", rest(content_range="bytes 50-99/*"), HALF, Receive(50, '"v1"', 100)),
    ("206 elsewhere, or of a changed file", rest(content_range="bytes 49-98/100"), HALF, StartOver(1.0)),
    ("206 elsewhere, or of a changed file", rest(content_range=""), HALF, StartOver(1.0)),
    ("206 elsewhere, or of a changed file", rest(etag='"v2"'), HALF, StartOver(1.0)),
    ("206 elsewhere, or of a changed file", rest(etag='W/"v1"'), HALF, StartOver(1.0)),
    ("206 elsewhere, or of a changed file", rest(etag=""), HALF, StartOver(1.0)),
    ("206 elsewhere, or of a changed file", rest(content_range="bytes 50-99/101"), HALF, StartOver(1.0)),
    ("206 elsewhere, or of a changed file", rest(content_length="49"), HALF, StartOver(1.0)),
    ("200 (to a Range: start over)", Answer(200, {**ETAG, **LENGTH}, asked_at=50), HALF, Receive(0, '"v1"', 100)),
    ("200 (to a Range: start over)", answer(200, transfer_encoding="chunked"), HALF, Receive(0, None, None)),
    ("416 at the end", answer(416, content_range="bytes */50"), replace(HALF, total=None, film=OPEN), Keep()),
    ("416 at the end", answer(416, content_range="bytes */50"), replace(HALF, total=None), NotVideo("a box is cut")),
    ("416 elsewhere", answer(416, content_range="bytes */40"), HALF, StartOver(1.0)),
    ("416 elsewhere", answer(416), HALF, StartOver(1.0)),
    ("other 2xx and 3xx", answer(204), HALF, NotVideo("HTTP 204 without a video")),
    ("other 2xx and 3xx", answer(302), HALF, NotVideo("HTTP 302 without a video")),
    ("other 2xx and 3xx", answer(304, location="/x"), HALF, NotVideo("HTTP 304 without a video")),
    ("other 4xx", answer(400), HALF, Dead("HTTP 400")),
    ("other 4xx", answer(416, asked_at=0), Held(), Dead("HTTP 416")),
    ("any other status", answer(999), HALF, Backoff(1.0)),
    ("HTML, JSON, XML, wrong magic", Ended(), replace(HALF, film=HTML), NotVideo("it looks like HTML")),
    ("longer than announced", Ended(), replace(HALF, total=49, film=WHOLE), StartOver(1.0)),
    ("short", Ended(), HALF, ResumeAt(50, '"v1"', 1.0)),
    ("short", Ended(), replace(HALF, film=WHOLE), ResumeAt(50, '"v1"', 1.0)),
    ("short", Ended(), UNTAGGED, StartOver(1.0)),
    ("length as announced", Ended(), replace(HALF, total=50, film=WHOLE), Keep()),
    ("length as announced", Ended(), replace(HALF, total=50, film=OPEN), Keep()),
    ("length as announced", Ended(), replace(HALF, total=50), NotVideo("a box is cut")),
    ("length as announced", Ended(), Held(total=0), NotVideo("there is nothing")),
    ("no length, the boxes prove the end", Ended(), replace(UNTAGGED, total=None, film=WHOLE), Keep()),
    ("no length, the boxes prove nothing", Ended(), replace(UNTAGGED, total=None, film=OPEN), StartOver(1.0)),
    ("no length, the boxes prove nothing", Ended(), replace(UNTAGGED, total=None), StartOver(1.0)),
    ("no length, the boxes prove nothing", Ended(), replace(HALF, total=None), ResumeAt(50, '"v1"', 1.0)),
    ("reset, cut, slow, no connection", Broke("reset"), HALF, ResumeAt(50, '"v1"', 1.0)),
    ("reset, cut, slow, no connection", Broke("reset"), UNTAGGED, StartOver(1.0)),
    ("reset, cut, slow, no connection", Broke("reset"), Held(), StartOver(1.0)),
    ("disk full", WriteFailed(errno.ENOSPC, "full"), HALF, DiskFull("full")),
    ("disk full", WriteFailed(errno.EDQUOT, "quota"), HALF, DiskFull("quota")),
    ("not writable", WriteFailed(errno.EROFS, "read-only"), HALF, Unwritable("read-only")),
    ("not writable", WriteFailed(0, "?"), HALF, Unwritable("?")),
]


@pytest.mark.parametrize(("row", "outcome", "held", "decision"), ROWS, ids=[f"{n}-{r[0]}" for n, r in enumerate(ROWS)])
def test_the_table(row: str, outcome: Outcome, held: Held, decision: Decision) -> None:
    verdict = decide(outcome, replace(CASE, held=held))
    assert (verdict.row, verdict.decision) == (row, decision)


def test_every_row_is_in_the_test_above_and_has_a_name_of_its_own() -> None:
    names = [row.name for row in TABLE]
    assert len(set(names)) == len(names)
    assert {row for row, *_ in ROWS} == set(names)


# Tries ----------------------------------------------------------------------------------------------------------------


def test_breaks_in_a_row_wait_longer_and_longer_and_end_as_interrupted() -> None:
    case, waits = replace(CASE, policy=Policy(breaks=4, longest_wait=5.0)), []
    for _ in range(4):
        verdict = decide(Broke("reset"), case)
        assert isinstance(verdict.decision, ResumeAt)
        waits.append(verdict.decision.wait)
        case = replace(case, tries=verdict.tries)
    assert waits == [1.0, 2.0, 4.0, 5.0]
    assert decide(Broke("reset"), case).decision == Interrupted("reset")


def test_an_attempt_that_got_further_forgives_the_breaks_before_it() -> None:
    worn = replace(CASE, tries=Tries(breaks=8, furthest=40))
    assert isinstance(decide(Broke("reset"), worn).decision, ResumeAt)
    assert isinstance(decide(Broke("reset"), replace(worn, tries=Tries(8, furthest=41))).decision, Interrupted)


def test_chance_spreads_a_wait_between_its_half_and_its_whole() -> None:
    spread = [decide(Broke("x"), replace(CASE, chance=chance)).decision for chance in (0.0, 0.5, 1.0)]
    assert spread == [ResumeAt(50, '"v1"', wait) for wait in (0.5, 0.75, 1.0)]


def test_calls_for_patience_end_as_interrupted_and_a_good_answer_forgives_them() -> None:
    worn = replace(CASE, tries=Tries(waits=12))
    assert decide(answer(503), worn).decision == Interrupted("the server keeps answering 503")
    assert decide(rest(), worn).tries.waits == 0


HEADERS = st.dictionaries(
    st.sampled_from(["etag", "content-range", "content-length", "retry-after", "location", "accept-ranges"]),
    st.text(max_size=30) | st.sampled_from(['"v1"', "bytes 50-99/100", "bytes */50", "100", "none"]),
)
ANSWERS = st.builds(Answer, st.integers(100, 999), HEADERS, st.sampled_from([0, 50]), st.integers(0, 5))
OUTCOMES = ANSWERS | st.just(Ended()) | st.just(Broke("x")) | st.builds(WriteFailed, st.integers(0, 200), st.just("x"))
HOLDINGS = st.sampled_from([HALF, UNTAGGED, Held(), replace(HALF, film=WHOLE), replace(HALF, total=None, film=OPEN)])


@given(OUTCOMES, HOLDINGS, st.floats(0, 1, exclude_max=True))
def test_every_outcome_has_a_decision_and_waits_are_sane(outcome: Outcome, held: Held, chance: float) -> None:
    decision = decide(outcome, replace(CASE, held=held, chance=chance)).decision
    if isinstance(decision, ResumeAt):
        assert held.etag == decision.etag
        assert decision.byte == held.bytes
    if isinstance(decision, Backoff):
        assert 0 <= decision.seconds <= 3600


@given(st.lists(OUTCOMES, max_size=20), HOLDINGS)
def test_without_progress_nothing_goes_on_for_ever(outcomes: list[Outcome], held: Held) -> None:
    """A row that asks again counts a break or a wait; only a body that comes (and is counted when it ends) forgives."""
    case, going = replace(CASE, held=held, policy=Policy(breaks=2, waits=2)), 0
    for outcome in outcomes:
        if isinstance(outcome, Answer) and outcome.status in (200, 206):
            continue
        verdict = decide(outcome, case)
        if isinstance(verdict.decision, ResumeAt | StartOver | Backoff):
            going += 1
        case = replace(case, tries=verdict.tries)
    assert going <= case.policy.breaks + case.policy.waits


# Headers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tag", ['W/"v1"', "v1", '""', '"a"b"', '"é"', '"a b"', "", '"v1'])
def test_tags_that_are_weak_odd_or_unsafe_are_not_strong(tag: str) -> None:
    assert strong_etag({"etag": tag}) is None
    assert strong_etag({"etag": ' "v1-gzip" '}) == '"v1-gzip"'


@pytest.mark.parametrize("length", ["-1", "1e3", "", "0x10", "１２", "1,1", "9" * 30, "+5"])
def test_a_length_that_is_no_number_is_none(length: str) -> None:
    assert announced_length({"content-length": length}) is None


@pytest.mark.parametrize("text", ["bytes 9-5/10", "bytes 0-10/10", "items 0-9/10", "bytes 0-9", "bytes */10", "0-9/10"])
def test_a_range_that_makes_no_sense_is_none(text: str) -> None:
    assert announced_range({"content-range": text}) is None
    assert announced_range({"content-range": "BYTES 0-9/10"}) == (0, 10, 10)


@given(st.text(max_size=60) | st.from_regex(r"\w{3}, \d+ \w{3} \d+ \d+:\d+:\d+ [+-]?\w+"))
def test_any_retry_after_is_read_without_an_error(text: str) -> None:
    asked = retry_after({"retry-after": text}, NOW)
    assert asked is None or asked >= 0


def test_a_date_to_retry_after_is_measured_against_the_answers_own_clock() -> None:
    """This machine's clock may be an hour off; the answer's `Date` and `Retry-After` come from one clock."""
    headers = {"retry-after": "Tue, 01 Jan 2030 05:00:30 GMT", "date": "Tue, 01 Jan 2030 05:00:00 GMT"}
    assert retry_after(headers, NOW) == 30.0
