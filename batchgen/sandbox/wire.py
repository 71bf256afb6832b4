"""Puts an `Answer` on the wire, misbehaviour included: resets and cut answers need the bare connection."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from http import HTTPStatus

import anyio
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from batchgen.sandbox.answer import NOT_EVEN_THE_HEAD, Answer, Framing

TICK_SECONDS = 0.1  # between the pieces of a slow body
# A reset discards what is queued: time for the bytes before it to reach the client, with an end for one that stalls.
SETTLE_SECONDS = 0.05
SETTLE_ROUNDS = 100


class OpenProtocol(H11Protocol):
    """uvicorn's protocol, with its transport in the scope's state for those answers that break HTTP on purpose."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Hand the transport on: uvicorn copies `app_state` into the scope of every request."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class WireResponse(Response):
    """A Starlette response that sends an `Answer`. The request's body must have been read."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it as an ordinary server would, or over the bare transport where no such server could."""
        answer = self._answer
        if answer.delay and not await _client_stays(answer.delay, receive):
            return
        if answer.plain:
            await send({"type": "http.response.start", "status": answer.status, "headers": _headers(answer)})
            await send({"type": "http.response.body", "body": answer.body})
            return
        transport: asyncio.Transport = scope["state"]["transport"]
        if answer.cut != NOT_EVEN_THE_HEAD:
            await _write(transport, answer, with_body=scope["method"] != "HEAD")
        if answer.reset:
            await _reset(transport, settle=answer.cut != NOT_EVEN_THE_HEAD)
        else:
            transport.close()
        # Wait for the close to be noticed; else uvicorn takes the missing end of the answer for our mistake.
        await _client_stays(None, receive)


async def _client_stays(seconds: float | None, receive: Receive) -> bool:
    """Wait so long, or without end; false as soon as the client has gone."""
    with anyio.move_on_after(seconds):
        while (await receive())["type"] != "http.disconnect":
            pass
        return False
    return True


async def _write(transport: asyncio.Transport, answer: Answer, with_body: bool) -> None:
    transport.write(_head(answer))
    body = answer.body[: answer.cut] if with_body else b""
    if answer.pace is None:
        transport.write(body)
        return
    piece = max(1, round(answer.pace * TICK_SECONDS))
    for start in range(0, len(body), piece):
        if transport.is_closing():
            return
        transport.write(body[start : start + piece])
        await anyio.sleep(piece / answer.pace)


async def _reset(transport: asyncio.Transport, settle: bool) -> None:
    """End the connection with RST: closing a socket that lingers for zero seconds does."""
    for _ in range(SETTLE_ROUNDS if settle else 0):
        await anyio.sleep(SETTLE_SECONDS)
        if not transport.get_write_buffer_size():
            break
    if (sock := transport.get_extra_info("socket")) is not None and not transport.is_closing():
        linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    transport.abort()


def _headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[str, str]] = [*answer.headers, ("Content-Type", answer.media_type)]
    if answer.framing is Framing.LENGTH:
        headers.append(("Content-Length", str(len(answer.body))))
    return [(name.lower().encode(), value.encode("latin-1", "replace")) for name, value in headers]


def _head(answer: Answer) -> bytes:
    """The status line and headers of an answer that goes past uvicorn; its connection is not used again."""
    lines = [f"HTTP/1.1 {answer.status} {_phrase(answer.status)}".encode(), b"connection: close"]
    lines += [name + b": " + value for name, value in _headers(answer)]
    return b"\r\n".join([*lines, b"", b""])


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
