"""Odd answers to a POST and to a GET, byte for byte over a socket, each with the verdict that it must have.

After a POST the one question is whether the run's id is known for sure; whatever leaves that open is a doubt. An odd
answer to a GET says nothing of the run.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable
from random import Random

import anyio
import pytest

from batchgen.core.answers import LONGEST_ID
from batchgen.core.verdict import (
    GetVerdict,
    InDoubt,
    PollAgain,
    PostVerdict,
    Ready,
    Refuse,
    StillRunning,
    Submitted,
    judge_get,
    judge_post,
)
from batchgen.service.client import Deadlines, Service
from batchgen.service.exchange import LARGEST_ANSWER, Exchange
from tests.service.raw_server import Request, raw_server

pytestmark = pytest.mark.anyio

ID = "run_0123456789"
RUN = b'{"id": "run_0123456789", "status": "pending", "costUsd": 40000}'
DONE = b'{"id": "run_0123456789", "status": "succeeded", "output": {"urls": ["https://h/v.mp4"]}}'
KNOWN, SALVAGED = Submitted(ID, 40000), Submitted(ID, 40000, salvaged=True)


def said(body: bytes, *headers: str, status: int = 201) -> bytes:
    """An answer as HTTP spells it."""
    lines = [f"HTTP/1.1 {status} X", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def with_id(text: str) -> bytes:
    """A run with this as its id, in JSON."""
    return said(b'{"id": %s, "status": "pending", "costUsd": 40000}' % text.encode())


async def asked(method: str, *answers: bytes, key: str = "sk-very-secret", times: int = 1) -> list[Exchange]:
    """What so many requests, one after the other, met at a server that gives these answers in one go."""

    async def answer(_request: Request, writer: asyncio.StreamWriter) -> None:
        for data in answers:
            writer.write(data)
            await writer.drain()

    exchanges = [Exchange() for _ in range(times)]
    with anyio.fail_after(30):
        async with raw_server([answer]) as server, Service(server.url(""), Deadlines(2.0, 2.0, 2.0)) as service:
            for exchange in exchanges:
                if method == "POST":
                    await service.create(key, "some/model", {"prompt": "Lamp"}, exchange)
                else:
                    await service.get(key, ID, exchange)
    return exchanges


async def posted(*answers: bytes, key: str = "sk-very-secret") -> PostVerdict:
    """The verdict on a POST that is answered so."""
    [exchange] = await asked("POST", *answers, key=key)
    return judge_post(exchange.outcome())


async def polled(*answers: bytes) -> GetVerdict:
    """The verdict on a GET that is answered so."""
    [exchange] = await asked("GET", *answers)
    return judge_get(exchange.outcome(), ID)


# ------------------------------------------------------------------------------------------- the id is known for sure

PACKED = gzip.compress(RUN)
GZIP = "Content-Encoding: gzip"
CERTAIN = {
    "as it should be": (said(RUN), KNOWN),
    "another 2xx": (said(RUN, status=202), KNOWN),
    "with an error beside it": (said(RUN[:-1] + b', "error": {"code": "x", "message": "y"}}'), KNOWN),
    "with the same id twice": (said(b'{"id": "run_0123456789", ' + RUN[1:]), KNOWN),
    "with fields of the same name twice": (said(RUN[:-1] + b', "status": "failed"}'), KNOWN),
    "with a byte order mark": (said(b"\xef\xbb\xbf" + RUN), KNOWN),
    "in UTF-16": (said(RUN.decode().encode("utf-16")), KNOWN),
    "in UTF-16 without a mark": (said(RUN.decode().encode("utf-16-le")), KNOWN),
    "after 100 Continue": (b"HTTP/1.1 100 Continue\r\n\r\n" + said(RUN), KNOWN),
    "after 103 Early Hints": (b"HTTP/1.1 103 Hints\r\nLink: <x>\r\n\r\n" * 3 + said(RUN), KNOWN),
    "in HTTP/1.0": (b"HTTP/1.0 201 Created\r\n\r\n" + RUN, KNOWN),
    "called HTTP/2": (b"HTTP/2.0 201 Created\r\n\r\n" + RUN, KNOWN),
    "without a reason": (said(RUN).replace(b"201 X", b"201"), KNOWN),
    "with more behind it": (said(RUN + b" trailing"), SALVAGED),
    "in gzip": (said(PACKED, GZIP), KNOWN),
    "called gzip, and plain": (said(RUN, GZIP), KNOWN),
    "called deflate, and gzip": (said(PACKED, "Content-Encoding: deflate"), KNOWN),
    "with a slash in the id": (with_id('"a/../b?c#d"'), Submitted("a/../b?c#d", 40000)),
    "with an id of the greatest length": (with_id(json.dumps("r" * LONGEST_ID)), Submitted("r" * LONGEST_ID, 40000)),
    "with a letter of two bytes in the id": (with_id('"run_é"'), Submitted("run_é", 40000)),
}


@pytest.mark.parametrize("name", CERTAIN)
async def test_an_id_that_is_known_for_sure_is_kept(name: str) -> None:
    """However odd the rest of the answer is: an id that was paid for is not dropped because of it."""
    answer, wanted = CERTAIN[name]
    assert await posted(answer) == wanted


@pytest.mark.parametrize("spoil", [lambda packed: packed[:-200], lambda packed: packed[:-8] + b"checksum"])
async def test_an_id_in_a_compressed_answer_that_is_spoilt_later_is_salvaged(spoil: Callable[[bytes], bytes]) -> None:
    """Nobody asked for compression, but what was paid for has its id before the break."""
    long = RUN[:-1] + b', "more": "' + Random(1).randbytes(500).hex().encode() + b'"}'
    verdict = await posted(said(spoil(gzip.compress(long)), GZIP))
    assert isinstance(verdict, Submitted)
    assert verdict.run_id == ID


# --------------------------------------------------------------------------------------------- nobody knows: in doubt

BOMB = gzip.compress(b'{"x": "' + b"0" * 50_000_000)
DOUBTFUL = {
    "an id that is a number": with_id("12345"),
    "an id that is null": with_id("null"),
    "an id that is an object": with_id('{"id": "run_0123456789"}'),
    "an id that is a list": with_id('["run_0123456789"]'),
    "an empty id": with_id('""'),
    "an id of spaces": with_id('"  \t "'),
    "an id of control characters": with_id('"run\\u0000\\n1"'),
    "an id that moves the cursor": with_id('"run_\\u001b[2J"'),
    "an id of half a character": with_id('"run_\\ud800"'),
    "an id that is a step up": with_id('".."'),
    "an id that is a step on the spot": with_id('"."'),
    "an id one letter too long": with_id(json.dumps("r" * (LONGEST_ID + 1))),
    "an id of ten megabytes": with_id(json.dumps("r" * 10_000_000)),
    "two ids": said(b'{"id": "run_other", ' + RUN[1:]),
    "two ids, and then a break": said(b'{"id": "run_other", ' + RUN[1:-1]),
    "an id one level down": said(b'{"data": ' + RUN + b"}"),
    "a run in a list": said(b"[" + RUN + b"]"),
    "two runs, one per line": said(b"\n".join([b"[]", RUN])),
    "an error": said(b'{"error": {"code": "internal_error", "message": "x"}}'),
    "a string": said(b'"run_0123456789"'),
    "UTF-16, cut short": said(RUN.decode().encode("utf-16")[:-1]),
    "a web page": said(b"<html>run_0123456789</html>"),
    "nothing": said(b""),
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "205": b"HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n",
    "101 Switching Protocols": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + RUN,
    "100 Continue and no more": b"HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/0.9": RUN,
    "another protocol": b"220 mail.example ESMTP\r\n",
    "a status of two digits": said(RUN).replace(b"201", b"20"),
    "a header without end": b"HTTP/1.1 201 Created\r\nX: " + b"y" * 500_000,
    "headers without number": b"HTTP/1.1 201 Created\r\n" + b"X: y\r\n" * 100_000,
    "a length below zero": said(RUN).replace(b"Content-Length: ", b"Content-Length: -"),
    "two lengths": said(RUN, "Content-Length: 7"),
    "a bomb": said(BOMB, GZIP),
    "an unknown coding": said(PACKED, "Content-Encoding: br"),
}


@pytest.mark.parametrize("name", DOUBTFUL)
async def test_an_answer_that_does_not_name_the_run_for_sure_is_a_doubt(name: str) -> None:
    """A run may have been created and paid for: it is neither sent again nor given a name that it may not have."""
    assert isinstance(await posted(DOUBTFUL[name]), InDoubt)


async def test_informational_answers_without_end_are_a_doubt_at_the_deadline() -> None:
    """They keep every timeout between reads happy."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        for _ in range(10_000):
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    exchange = Exchange()
    with anyio.fail_after(30):
        async with raw_server([answer]) as server, Service(server.url(""), Deadlines(post_s=0.4)) as service:
            await service.create("sk-a", "some/model", {}, exchange)
    assert isinstance(judge_post(exchange.outcome()), InDoubt)


@pytest.mark.parametrize("kept", [b"run_0123456789", b"costUsd"])
async def test_what_a_doubtful_answer_said_is_kept_for_the_person_who_decides(kept: bytes) -> None:
    """The start of the body is in the verdict."""
    verdict = await posted(said(b'{"id": "run_other", ' + RUN[1:]))
    assert isinstance(verdict, InDoubt)
    assert kept.decode() in verdict.body


async def test_a_second_answer_on_the_same_connection_is_nobodys() -> None:
    """The first one counts; the second is not taken for the answer to the next POST."""
    other = said(RUN.replace(b"0123456789", b"9876543210"))
    first, second = await asked("POST", said(RUN), other, times=2)
    assert judge_post(first.outcome()) == judge_post(second.outcome()) == KNOWN


@pytest.mark.parametrize("key", ["run", "id", "pending", "0123", '"', "1", "costUsd"])
async def test_a_key_that_happens_to_stand_in_the_answer_spoils_no_id(key: str) -> None:
    """Keys are masked in what is kept; the run's id and cost stay what the service said."""
    assert await posted(said(RUN), key=key) == KNOWN


async def test_a_key_is_masked_where_it_is_no_part_of_the_run() -> None:
    """In words of errors, and in the body of a doubt."""
    refused = await posted(said(b'{"error": {"code": "x", "message": "Bad key sk-very-secret"}}', status=400))
    doubtful = await posted(said(b'{"you": "sk-very-secret"}'))
    assert isinstance(refused, Refuse)
    assert isinstance(doubtful, InDoubt)
    assert "very-secret" not in f"{refused} {doubtful}"
    assert "[key]" in doubtful.body


# ----------------------------------------------------------------------------------------------------- polls

SAYS_NOTHING = {
    **{name: answer for name, answer in DOUBTFUL.items() if b"null" not in answer},
    "another run": said(DONE.replace(b"0123456789", b"9876543210"), status=200),
    "a number for an id": said(DONE.replace(b'"run_0123456789"', b"7"), status=200),
    "two ids, the right one last": said(b'{"id": "run_other", ' + DONE[1:], status=200),
    "two words": said(DONE[:-1] + b', "status": "failed"}', status=200),
    "a word that is no text": said(DONE.replace(b'"succeeded"', b'["succeeded"]'), status=200),
    "a run that broke off": said(DONE[:-1], status=200),
    "a run that broke off in gzip": said(gzip.compress(DONE)[:-12], GZIP, status=200),
    "a run under a redirect": said(DONE, "Location: /x", status=302),
    "a run under an error": said(DONE, status=500),
}


@pytest.mark.parametrize("name", SAYS_NOTHING)
async def test_an_odd_answer_to_a_poll_says_nothing_of_the_run(name: str) -> None:
    """It is asked again: neither failed nor taken for done."""
    assert isinstance(await polled(SAYS_NOTHING[name]), PollAgain)


async def test_a_second_answer_to_a_poll_is_not_taken_for_another_runs() -> None:
    """Polls keep their connections: what a server says unasked names another run, or comes to nothing."""
    other = said(DONE.replace(b"0123456789", b"9876543210"), status=200)
    first, second = await asked("GET", said(DONE, status=200), other, times=2)
    assert isinstance(judge_get(first.outcome(), ID), Ready)
    assert isinstance(judge_get(second.outcome(), ID), Ready | PollAgain)


@pytest.mark.parametrize("word", ["succeeded", "SUCCEEDED", " succeeded\\n"])
async def test_a_word_is_read_however_it_is_written(word: str) -> None:
    """Capitals and spaces around it change nothing."""
    verdict = await polled(said(DONE.replace(b"succeeded", word.encode()), status=200))
    assert verdict == Ready(("https://h/v.mp4",), None)


async def test_a_poll_without_an_id_is_about_the_run_that_was_asked_for() -> None:
    """As little as a status is enough."""
    assert await polled(said(b'{"status": "processing"}', status=200)) == StillRunning("processing")


def test_the_longest_answer_leaves_room_for_every_honest_one() -> None:
    """A bomb of fifty megabytes is no more than that in memory."""
    exchange = Exchange(status=200, coding="gzip", body=bytearray(BOMB))
    assert len(exchange.outcome().body) <= LARGEST_ANSWER + 2**17  # type: ignore[union-attr]
