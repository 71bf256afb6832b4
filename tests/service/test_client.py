"""The service's client over real sockets: for every way in which a request can end, what is known of it is true."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from batchgen.core.answers import Answer, Lost, NotSent, Outcome, Unusable
from batchgen.core.verdict import InDoubt, StopBatch, Submitted, judge_post
from batchgen.service.client import POOL_SIZE, Deadlines, Service
from batchgen.service.exchange import LARGEST_ANSWER, Exchange
from tests.service.certificates import self_signed

pytestmark = pytest.mark.anyio

KEY = "sk-very-secret"
BRIEF = Deadlines(post_s=0.5, get_s=0.5, connect_s=0.3)
BODY = b'{"id": "run_0123456789", "status": "pending", "costUsd": 40000}'
CREATED = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


@dataclass
class Heard:
    """Where a server listens, and the heads of the requests that it has read."""

    port: int = 0
    heads: list[str] = field(default_factory=list)
    connections: int = 0


@contextlib.asynccontextmanager
async def server(
    answer: Callable[[int], list[bytes]], *, pause: float = 0.0, keeps: bool = False, reset: bool = False
) -> AsyncIterator[Heard]:
    """Answers the n-th request with these pieces, with a pause between them, and closes; `keeps`: only some time later.

    `reset` ends the connection with RST.
    """
    heard = Heard()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        heard.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = next((int(h[16:]) for h in head.lower().split("\r\n") if h.startswith("content-length: ")), 0)
            await reader.readexactly(length)
            heard.heads.append(head)
            for piece in answer(len(heard.heads) - 1):
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(pause)
            if keeps:
                await asyncio.sleep(len(heard.heads) % 5 * 0.002)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            tasks.discard(task)
            if reset:
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                writer.transport.abort()
            writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    heard.port = listening.sockets[0].getsockname()[1]
    try:
        yield heard
    finally:
        listening.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def post(base_url: str, key: str = KEY, deadlines: Deadlines | None = None) -> Outcome:
    """What came of one POST."""
    exchange = Exchange()
    with anyio.fail_after(10):
        async with Service(base_url, deadlines) as service:
            await service.create(key, "some/model", {"prompt": "Lamp"}, exchange)
    outcome = exchange.outcome()
    if not isinstance(outcome, Answer):
        assert "secret" not in outcome.reason
    return outcome


@pytest.fixture
def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture
def full_port() -> Iterator[int]:
    """A port whose queue of connections is full, and where nobody ever accepts one."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield int(listener.getsockname()[1])


@pytest.fixture
def untrusted(tmp_path: Path) -> ssl.SSLContext:
    """What a server needs to present a certificate that nobody has signed but itself."""
    return self_signed(tmp_path)


# ------------------------------------------------------------------------------------------------- surely not sent


async def test_a_refused_port_is_surely_not_sent(free_port: int) -> None:
    """Nobody listens: the request never left."""
    assert isinstance(await post(f"http://127.0.0.1:{free_port}"), NotSent)


async def test_a_post_that_may_not_go_any_more_when_its_connection_stands_is_not_sent() -> None:
    """Connecting takes a while: what closed meanwhile (a drain, no credit, a state that broke) holds for it too."""
    exchange = Exchange(may_begin=lambda: False)
    async with server(lambda _: [CREATED]) as heard, Service(f"http://127.0.0.1:{heard.port}/api/v1") as service:
        await service.create(KEY, "m", {}, exchange)
    assert exchange.held_back
    assert isinstance(exchange.outcome(), NotSent)
    assert heard.heads == []


async def test_an_unknown_host_is_surely_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name leads nowhere: the request never left."""

    def unknown(*_args: object, **_given: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert isinstance(await post("http://service.invalid"), NotSent)


async def test_a_connection_that_is_never_accepted_is_surely_not_sent(full_port: int) -> None:
    """The connecting has a deadline of its own."""
    assert isinstance(await post(f"http://127.0.0.1:{full_port}", deadlines=BRIEF), NotSent)


async def test_tls_to_a_port_that_speaks_none_is_surely_not_sent() -> None:
    """The handshake fails: nothing of the request was in it."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        assert isinstance(await post(f"https://127.0.0.1:{port}"), NotSent)


async def test_a_handshake_that_never_ends_is_surely_not_sent() -> None:
    """A server that accepts and then says nothing to the handshake."""
    async with server(lambda _: [], pause=10) as heard:
        assert isinstance(await post(f"https://127.0.0.1:{heard.port}", deadlines=BRIEF), NotSent)


async def test_a_tunnel_that_the_proxy_refuses_is_surely_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy is asked for a tunnel by a request of its own; when it says no, ours has never left."""
    async with server(lambda _: [b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"]) as heard:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{heard.port}")
        assert isinstance(await post("https://service.invalid"), NotSent)
        assert [head.split()[0] for head in heard.heads] == ["CONNECT"]
        assert "secret" not in heard.heads[0]


async def test_cancelled_before_the_first_byte_is_surely_not_sent(full_port: int) -> None:
    """A hard stop while the connection is still being made."""
    exchange = Exchange()
    async with Service(f"http://127.0.0.1:{full_port}") as service:
        with anyio.move_on_after(0.05):
            await service.create(KEY, "some/model", {}, exchange)
    assert isinstance(exchange.outcome(), NotSent)


# -------------------------------------------------------------------------------------------------------- unusable


@pytest.mark.parametrize("key", ["sk-secret\nX-Other: 1", "sk-secret-é", "sk-secret\x00"])
async def test_a_key_that_cannot_stand_in_a_header_is_unusable(key: str) -> None:
    """Not a byte is written, nothing is in doubt, and the message does not show the key."""
    async with server(lambda _: [CREATED]) as heard:
        outcome = await post(f"http://127.0.0.1:{heard.port}", key)
        assert isinstance(outcome, Unusable)
        assert isinstance(judge_post(outcome), StopBatch)
        assert heard.heads == []


@pytest.mark.parametrize("url", ["ftp://127.0.0.1", "http://127.0.0.1:99999999"])
async def test_a_url_that_is_none_is_unusable(url: str) -> None:
    """No request can be made of it, today or tomorrow."""
    exchange = Exchange()
    async with Service("http://127.0.0.1") as service:
        service._base_url = url
        await service.create(KEY, "some/model", {}, exchange)
    assert isinstance(exchange.outcome(), Unusable)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the openssl program to make a certificate")
async def test_a_certificate_that_nobody_vouches_for_stops_the_batch(untrusted: ssl.SSLContext) -> None:
    """A self-signed server gets no request, and trying again would change nothing."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(1))
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=untrusted)
    outcome = await post(f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    listening.close()
    assert isinstance(outcome, Unusable)
    assert isinstance(judge_post(outcome), StopBatch)
    assert b"".join(asked) == b""


# --------------------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize("reset", [False, True])
async def test_an_answer_that_breaks_off_at_any_byte(reset: bool) -> None:
    """After each byte of a 201: the whole id, or a doubt; never a part of the id, and never “not sent”."""
    answers = server(lambda n: [CREATED[:n]], reset=reset)
    async with answers as heard, Service(f"http://127.0.0.1:{heard.port}") as service:
        verdicts = []
        for _ in range(len(CREATED) + 1):
            exchange = Exchange()
            await service.create(KEY, "some/model", {}, exchange)
            verdicts.append(judge_post(exchange.outcome()))
    assert all(
        isinstance(verdict, InDoubt) or (isinstance(verdict, Submitted) and verdict.run_id == "run_0123456789")
        for verdict in verdicts
    )
    assert isinstance(verdicts[0], InDoubt)
    if not reset:  # a reset may overtake what was sent before it
        last = verdicts[-1]
        assert isinstance(last, Submitted)
        assert not last.salvaged
        assert [isinstance(verdict, Submitted) for verdict in verdicts].index(True) == CREATED.index(b", ")


@pytest.mark.row("POST", "2xx with an id")
async def test_many_posts_to_a_server_that_closes_idle_connections() -> None:
    """A kept connection would meet its closing now and then: of 1,500 POSTs each has its own, and none is in doubt."""
    async with server(lambda _: [CREATED], keeps=True) as heard, Service(f"http://127.0.0.1:{heard.port}") as service:
        exchanges = [Exchange() for _ in range(1500)]
        limiter = anyio.CapacityLimiter(16)

        async def one(exchange: Exchange) -> None:
            async with limiter:
                await service.create(KEY, "some/model", {}, exchange)

        async with anyio.create_task_group() as tasks:
            for exchange in exchanges:
                tasks.start_soon(one, exchange)
    assert {type(judge_post(exchange.outcome())) for exchange in exchanges} == {Submitted}
    assert all(exchange.complete for exchange in exchanges)
    assert heard.connections == len(heard.heads) == 1500


@pytest.mark.parametrize("begins", [CREATED[:20], CREATED[:-20], b""])
async def test_an_answer_that_drips_ends_at_the_deadline(begins: bytes) -> None:
    """A byte now and then keeps every timeout between reads happy; the deadline on the whole ends it."""
    drips = [begins] + [bytes([byte]) for byte in CREATED[len(begins) :]]
    async with server(lambda _: drips, pause=0.1) as heard:
        outcome = await post(f"http://127.0.0.1:{heard.port}", deadlines=BRIEF)
    assert isinstance(outcome, Lost) or (isinstance(outcome, Answer) and not outcome.complete)
    verdict = judge_post(outcome)
    assert isinstance(verdict, InDoubt | Submitted)


async def test_a_redirect_is_never_followed() -> None:
    """One request, wherever it points."""
    moved = b"HTTP/1.1 307 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    async with server(lambda _: [moved]) as heard:
        outcome = await post(f"http://127.0.0.1:{heard.port}")
        assert isinstance(outcome, Answer)
        assert (outcome.status, len(heard.heads)) == (307, 1)


async def test_an_answer_without_end_is_cut() -> None:
    """No more than a mebibyte is read; a 201's id is salvaged from what came."""
    endless = CREATED.replace(b"Content-Length: %d\r\n" % len(BODY), b"")[:-1] + b', "x": "'
    async with server(lambda _: [endless, *[b"x" * 65536] * 64]) as heard:
        outcome = await post(f"http://127.0.0.1:{heard.port}")
    assert isinstance(outcome, Answer)
    assert LARGEST_ANSWER <= len(outcome.body) < LARGEST_ANSWER + 2**20
    assert isinstance(judge_post(outcome), Submitted)


async def test_what_a_request_carries() -> None:
    """The key as a bearer, no idempotency key, no compression; the id of a run is quoted, whatever it is."""
    async with server(lambda _: [CREATED]) as heard, Service(f"http://127.0.0.1:{heard.port}/api/v1/") as service:
        await service.create(KEY, "some/model", {"prompt": "Lampe – ☀"}, Exchange())
        await service.get(KEY, "../run?x#y", Exchange())
    created, got = (head.lower() for head in heard.heads)
    assert created.startswith("post /api/v1/runs http/1.1")
    assert got.startswith("get /api/v1/runs/..%2frun%3fx%23y http/1.1")
    assert f"authorization: bearer {KEY}" in created
    assert "idempotency" not in created
    assert "accept-encoding: identity" in created


async def test_retry_after_and_date_are_kept() -> None:
    """The gate needs both."""
    limited = b"HTTP/1.1 429 X\r\nRetry-After: 7\r\nDate: Sun, 01 Mar 2026 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n"
    async with server(lambda _: [limited]) as heard:
        outcome = await post(f"http://127.0.0.1:{heard.port}")
    assert isinstance(outcome, Answer)
    assert (outcome.retry_after, outcome.date) == ("7", "Sun, 01 Mar 2026 00:00:00 GMT")


# ------------------------------------------------------------------------------------------------------- stopping


async def test_cancelled_after_the_first_byte_is_lost() -> None:
    """A hard stop while the answer is awaited: nobody knows; and no connection or place in a pool is left over."""
    async with (
        server(lambda _: [], pause=10, keeps=True) as heard,
        Service(f"http://127.0.0.1:{heard.port}") as service,
    ):
        exchanges = [Exchange() for _ in range(3 * POOL_SIZE)]
        async with anyio.create_task_group() as tasks:
            for exchange in exchanges:
                tasks.start_soon(service.create, KEY, "some/model", {}, exchange)
            with anyio.fail_after(10):
                while len(heard.heads) < len(exchanges):  # noqa: ASYNC110 (a plain list has no event)
                    await anyio.sleep(0.001)
            tasks.cancel_scope.cancel()
        assert {type(exchange.outcome()) for exchange in exchanges} == {Lost}
        assert [pool.used for pool in service._posts._pools] == [0, 0, 0]


async def test_a_key_that_the_service_says_back_stands_in_no_outcome() -> None:
    """Errors are kept in the state and shown on the screen; some services quote the key in them."""
    exchange = Exchange(status=401, complete=True, secret="sk-canary")
    exchange.body += b'{"error": {"message": "Incorrect API key: sk-canary", "code": "invalid_api_key"}}'
    assert "canary" not in str(exchange.outcome())
    assert "canary" not in str(Exchange(begun=True, problem="refused sk-canary", secret="sk-canary").outcome())
