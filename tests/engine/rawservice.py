"""A service that answers each POST byte for byte as a test says, and everything else as it should."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from batchgen.records import Record
from tests.engine.rig import PRICE, assert_known
from tests.service.films import film
from tests.service.raw_server import Answer, RawServer, Request, raw_server, reply

FILM = film()


@dataclass
class RawService:
    """Creates a run for each POST, and then answers it with what `answer` makes of the POST's number and the run.

    `poll` and `file` answer the polls and the downloads likewise: the number of the request, and what is right.
    """

    answer: Callable[[int, bytes], Answer]
    poll: Callable[[int, bytes], Answer] = lambda _number, body: reply(200, body)
    file: Callable[[int, bytes], Answer] = lambda _number, film: reply(200, film)
    server: RawServer = field(default_factory=RawServer)
    posts: int = 0
    created: dict[str, str] = field(default_factory=dict)
    polled: list[str] = field(default_factory=list)
    files: list[Request] = field(default_factory=list)

    @property
    def base_url(self) -> str:
        return self.server.url("")

    def holds(self, records: Mapping[str, Record]) -> None:
        """Each run that was created is known by its id, or is exactly one run in doubt; none is paid twice."""
        assert_known(self.created, records)

    async def __call__(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.method == "POST":
            number, self.posts = self.posts, self.posts + 1
            run_id = f"run_{number:012d}"
            self.created[run_id] = json.loads(await request.body())["input"]["prompt"]
            await self.answer(number, run_body(run_id))(request, writer)
        elif request.path.startswith("/runs/"):
            run_id = request.path.removeprefix("/runs/")
            self.polled.append(run_id)
            done = {"id": run_id, "status": "succeeded", "costUsd": PRICE, "output": {"urls": [self.server.url()]}}
            known = run_id in self.created
            answer = self.poll(len(self.polled) - 1, json.dumps(done).encode()) if known else reply(404)
            await answer(request, writer)
        else:
            self.files.append(request)
            await self.file(len(self.files) - 1, FILM)(request, writer)


def run_body(run_id: str) -> bytes:
    """A run that has just been created, as JSON."""
    return json.dumps({"id": run_id, "status": "pending", "costUsd": PRICE}).encode()


def created(body: bytes) -> bytes:
    """The whole answer of a well-behaved service."""
    return b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def chunked(body: bytes, size: int = 16) -> bytes:
    """The whole answer in chunks of so many bytes."""
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    coded = b"".join(b"%x\r\n" % len(piece) + piece + b"\r\n" for piece in (*pieces, b""))
    return b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n" + coded


def until_closed(body: bytes) -> bytes:
    """The whole answer, whose end only the closing tells."""
    return b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\n\r\n" + body


def dripped(data: bytes) -> Answer:
    """These bytes, one every second of the loop's clock."""

    async def answer(_request: Request, writer: asyncio.StreamWriter) -> None:
        for byte in data:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(1.0)

    return answer


def sent(data: bytes, *, reset: bool = False) -> Answer:
    """These bytes and then the end of the connection; `reset` ends it with RST."""

    async def answer(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if reset:
            linger = b"\1\0\0\0\0\0\0\0"
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()

    return answer


@contextlib.asynccontextmanager
async def raw_service(
    answer: Callable[[int, bytes], Answer] = lambda _number, body: sent(created(body)),
    *,
    ssl_context: ssl.SSLContext | None = None,
    port: int = 0,
) -> AsyncIterator[RawService]:
    """The service for as long as this lasts."""
    service = RawService(answer)
    async with raw_server([service], ssl_context=ssl_context, port=port) as service.server:
        yield service
