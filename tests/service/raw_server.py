"""A server on loopback that answers byte for byte what a test says, one scripted answer after the other."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Request:
    """What a client asked: the path, and the headers with their names in lower case."""

    path: str
    headers: dict[str, str]
    reader: asyncio.StreamReader
    method: str = "GET"

    async def body(self) -> bytes:
        """What came with the request."""
        return await self.reader.readexactly(int(self.headers.get("content-length", "0")))

    async def client_closes(self) -> None:
        """Return when the client has closed its side."""
        await self.reader.read()


Answer = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawServer:
    """The requests so far, and the connections that clients have left open."""

    port: int = 0
    scheme: str = "http"
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    accepted: int = 0
    all_closed: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/lamp.mp4", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"


def reply(status: int, body: bytes = b"", *headers: str, length: int | None = -1) -> Answer:
    """An answer with a body, which is cut by closing where `length` announces more; `length=None` announces nothing."""

    async def answer(_request: Request, writer: asyncio.StreamWriter) -> None:
        announced = len(body) if length == -1 else length
        lines = [f"HTTP/1.1 {status} X", *headers, "Connection: close"]
        if announced is not None:
            lines.append(f"Content-Length: {announced}")
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        await writer.drain()

    return answer


def ranged(data: bytes, etag: str, *, cut: int | None = None) -> Answer:
    """A well-behaved file server that knows Range and If-Range; `cut`: it sends that many bytes and closes."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
        wanted = request.headers.get("range", "")
        tag = f"ETag: {etag}"
        if not wanted or request.headers.get("if-range") != etag:
            return await reply(200, data[:cut], tag, length=len(data))(request, writer)
        start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        rest = data[start:]
        content_range = f"Content-Range: bytes {start}-{len(data) - 1}/{len(data)}"
        return await reply(206, rest[:cut], tag, content_range, length=len(rest))(request, writer)

    return answer


@contextlib.asynccontextmanager
async def raw_server(
    answers: Sequence[Answer], *, ssl_context: ssl.SSLContext | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[RawServer]:
    """Serve, on a free port where none is given; the last answer is given again to whoever asks more often."""
    known = RawServer(scheme="https" if ssl_context else "http")
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        known.connections += 1
        known.accepted += 1
        known.all_closed.clear()
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = dict(line.lower().split(": ", 1)[0:1] + line.split(": ", 1)[1:] for line in head[1:] if line)
            method, path, _version = head[0].split(" ")
            request = Request(path, headers, reader, method)
            known.requests.append(request)
            await answers[min(len(known.requests), len(answers)) - 1](request, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
            known.connections -= 1
            if not known.connections:
                known.all_closed.set()

    server = await asyncio.start_server(serve, host, port, ssl=ssl_context)
    known.port = server.sockets[0].getsockname()[1]
    try:
        yield known
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
