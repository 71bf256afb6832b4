"""Answers that ask for patience, and answers that come byte by byte: over real sockets, on a fast clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path

import anyio
import pytest

from batchgen.records import Status
from batchgen.service.client import Deadlines
from tests.engine.rawservice import created, dripped, raw_service, sent
from tests.engine.rig import Options, runs, session
from tests.service.raw_server import Answer, Request, ranged, reply

pytestmark = pytest.mark.anyio

HOUR = 3600.0
OWN = (0.75, 1.0)  # the gate's own first pause, with its jitter
LEAST = (0.25, 0.25)


def exactly(seconds: float) -> tuple[float, float]:
    return seconds, seconds


def in_s(seconds: float, *, clock: float = 0.0, dated: bool) -> tuple[str, ...]:
    """The headers of a server whose clock is so many seconds ahead, and which asks to wait for so long."""
    now = time.time() + clock
    date = (f"Date: {formatdate(now, usegmt=True)}",) if dated else ()
    return (f"Retry-After: {formatdate(now + seconds, usegmt=True)}", *date)


# What the answer says, and between which bounds the pause is.
PAUSES: dict[str, tuple[Callable[[], tuple[str, ...]], tuple[float, float]]] = {
    "seconds": (lambda: ("Retry-After: 7",), exactly(7.0)),
    "a fraction": (lambda: ("retry-after:  2.5 ",), exactly(2.5)),
    "nothing": (lambda: (), OWN),
    "0": (lambda: ("Retry-After: 0",), LEAST),
    "below zero": (lambda: ("Retry-After: -30",), OWN),
    "1e9": (lambda: ("Retry-After: 1e9",), exactly(HOUR)),
    "a thousand million": (lambda: ("Retry-After: 1000000000",), exactly(HOUR)),
    "four hundred digits": (lambda: (f"Retry-After: {'9' * 400}",), exactly(HOUR)),
    "rubbish": (lambda: ("Retry-After: soon",), OWN),
    "an empty text": (lambda: ("Retry-After:",), OWN),
    "no number": (lambda: ("Retry-After: nan",), OWN),
    "two values": (lambda: ("Retry-After: 5", "Retry-After: 9"), OWN),
    "a date": (lambda: in_s(30, dated=True), exactly(30.0)),
    "a date, their clock an hour ahead": (lambda: in_s(30, clock=HOUR, dated=True), exactly(30.0)),
    "a date, their clock an hour behind": (lambda: in_s(30, clock=-HOUR, dated=True), exactly(30.0)),
    "a date in the past": (lambda: in_s(-30, dated=True), LEAST),
    "a date next year": (lambda: in_s(365 * 86400, dated=True), exactly(HOUR)),
    "a date without theirs, an hour ahead": (lambda: in_s(30, clock=HOUR, dated=False), exactly(HOUR)),
    "a date without theirs, an hour behind": (lambda: in_s(30, clock=-HOUR, dated=False), LEAST),
    "a date that is none": (lambda: ("Retry-After: Fri, 99 Foo 2026 25:61:61 GMT",), OWN),
}


@pytest.mark.row("POST", "429 RATE_LIMITED or no code")
@pytest.mark.parametrize("name", PAUSES)
async def test_the_pause_that_follows_from_retry_after(tmp_path: Path, name: str) -> None:
    """The first POST is told to wait: so long, and never longer than an hour, nobody sends anything at all."""
    headers, (least, most) = PAUSES[name]

    def answer(number: int, body: bytes) -> Answer:
        return reply(429, b"", *headers()) if number == 0 else sent(created(body))

    with anyio.fail_after(900):
        async with (
            raw_service(answer) as service,
            session(tmp_path, service.base_url, runs(2), Options(concurrency=1)) as one,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(one.run)
            await one.until(lambda: bool(one.heard_holds()))
            [hold] = one.heard_holds()
            told_at = anyio.current_time()
            assert least - 0.001 <= hold.seconds <= most + 0.001
            assert hold.what == "requests"
            if hold.seconds > 60:  # waited for long enough on the jumping clock of the dispatcher's own tests
                one.batch.drain(130)
                return
            await one.until(lambda: one.count(Status.DOWNLOADED) == 2)
            first, second = one.service.of("POST")[:2]
            assert second.at >= first.at + hold.seconds
            assert told_at >= first.at
            assert len(one.service.of("POST")) == 3


# ----------------------------------------------------------------------------------------------------------- drips


@pytest.mark.parametrize(
    "begins",
    [
        pytest.param(0, marks=pytest.mark.row("GET", "no answer"), id="from the first byte"),
        pytest.param(60, marks=pytest.mark.row("GET", "no run in the answer"), id="after the head"),
    ],
)
async def test_a_poll_that_drips_ends_at_the_deadline_and_is_asked_again(tmp_path: Path, begins: int) -> None:
    """A byte a second keeps every timeout between reads happy; the deadline on the whole ends it, and the run lives."""

    def poll(number: int, body: bytes) -> Answer:
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
        return dripped_after(whole[:begins], whole[begins:]) if number == 0 else reply(200, body)

    with anyio.fail_after(900):
        async with raw_service() as service:
            service.poll = poll
            options = Options(deadlines=Deadlines(get_s=10.0))
            async with session(tmp_path, service.base_url, runs(1), options) as one:
                assert await one.run() == 0
                assert service.posts == 1
                service.holds(one.records())


FILE_DRIPS = {
    "in its head": lambda film: dripped(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000),
    "of informational answers": lambda film: dripped(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000),
    "in its body": lambda film: dripped_after(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(film), film),
}


def dripped_after(head: bytes, body: bytes) -> Answer:
    """The head at once, and then a byte every second."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        await sent(head)(request, writer)
        await dripped(body)(request, writer)

    return answer


@pytest.mark.row("download", "reset, cut, slow, no connection", "length as announced")
@pytest.mark.parametrize("where", FILE_DRIPS)
async def test_a_download_that_drips_is_broken_off_and_fetched_again(tmp_path: Path, where: str) -> None:
    """Wherever it drips, it holds its place for a minute at most."""
    with anyio.fail_after(300):
        async with raw_service() as service:
            service.file = lambda number, film: FILE_DRIPS[where](film) if number == 0 else reply(200, film)
            began = anyio.current_time()
            async with session(tmp_path, service.base_url, runs(1)) as one, anyio.create_task_group() as tasks:

                async def give_up() -> None:  # else a download that nothing ends would hang this test
                    await anyio.sleep(200.0)
                    one.batch.leave_now()

                tasks.start_soon(give_up)
                assert await one.run() == 0
                tasks.cancel_scope.cancel()
                assert len(service.files) == 2
                assert service.posts == 1
            assert anyio.current_time() - began >= 30.0


# ------------------------------------------------------------------------------------- a file that dies at half


@pytest.mark.row("download", "401, 403, 404, 410", "206 at our byte")
async def test_a_url_that_dies_at_half_goes_on_with_a_fresh_one_where_it_was(tmp_path: Path) -> None:
    """Half, then 403: the run is asked for a fresh URL, and only the other half comes; one POST in all."""

    def file(number: int, film: bytes) -> Answer:
        whole = ranged(film, '"v1"')
        return (ranged(film, '"v1"', cut=len(film) // 2), reply(403), whole)[min(number, 2)]

    with anyio.fail_after(300):
        async with raw_service() as service:
            service.file = file
            async with session(tmp_path, service.base_url, runs(1)) as one:
                assert await one.run() == 0
                assert [request.headers.get("range") for request in service.files] == [None, *["bytes=2048-"] * 2]
                assert (len(service.polled), service.posts) == (2, 1)
                service.holds(one.records())
