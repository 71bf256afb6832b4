"""Serves the rehearsal on a real socket, in the running event loop (asyncio's: uvicorn knows no other)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.lowlevel
import uvicorn

from batchgen.errors import UsageProblem
from batchgen.sandbox.app import PREFIX, make_app
from batchgen.sandbox.ledgerfile import LedgerFile
from batchgen.sandbox.options import SandboxOptions
from batchgen.sandbox.rehearsal import Rehearsal
from batchgen.sandbox.studio import Studio
from batchgen.sandbox.wire import OpenProtocol

SHUTDOWN_SECONDS = 1
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Served:
    """Where the service is to be found: `origin` is http://HOST:PORT."""

    origin: str

    @property
    def base_url(self) -> str:
        """What takes the place of https://runbase.net/api/v1."""
        return f"{self.origin}{PREFIX}"


@asynccontextmanager
async def serving(
    options: SandboxOptions, folder: Path, host: str = "127.0.0.1", port: int = 0, clock: Clock | None = None
) -> AsyncIterator[Served]:
    """The service, for as long as the context lasts; ledger and videos are kept in the folder, and taken up again.

    `clock` tells seconds since the epoch and never goes back. Raises `errors.UsageProblem` when the address cannot be
    had or the folder is no use, `errors.StateLocked` when another process serves the folder, and
    `errors.StateDamaged` when its ledger is not what was written.
    """
    with LedgerFile(folder) as file, _listening(host, port) as listener:
        rehearsal = Rehearsal(options, clock or steady_clock(), file.append)
        rehearsal.resume(file.load())
        server = _Server(_config(make_app(rehearsal, Studio(folder / "videos")), options))
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await server.ready(task)
            yield Served(_origin(listener))
        finally:
            server.should_exit = True
            with anyio.CancelScope(shield=True):
                await task


async def serve_until_cancelled(
    options: SandboxOptions, folder: Path, host: str, port: int, ready: Callable[[Served], None]
) -> None:
    """Serve, tell where by calling `ready`, and go on until cancelled; raises what `serving` raises."""
    async with serving(options, folder, host, port) as served:
        ready(served)
        await anyio.sleep_forever()


def steady_clock() -> Clock:
    """A clock that begins at the time of day, and from there never jumps nor goes back."""
    offset = time.time() - time.monotonic()
    return lambda: offset + time.monotonic()


class _Server(uvicorn.Server):
    """uvicorn's server without its hand on the process: signals belong to the program."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def ready(self, task: asyncio.Task[None]) -> None:
        """Wait until it serves; what kept it from that is raised."""
        while not self.started and not task.done():
            await anyio.lowlevel.checkpoint()
        if task.done():
            task.result()


def _config(app: object, options: SandboxOptions) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # Starlette's and uvicorn's names for the same protocol differ
        http=OpenProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=logging.CRITICAL + 1,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=options.idle_timeout,  # type: ignore[arg-type]  # goes to call_later, which takes fractions
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    if not 0 <= port <= 65535:
        raise UsageProblem(f"A port is a number from 0 to 65535, not {port}.")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as problem:
        raise UsageProblem(f"There is no address for {host}:{port}.") from problem
    # asyncio switches Nagle's algorithm off only where the protocol is named; else answers stall for some 40 ms.
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)) as listener:
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen()
        except OSError as problem:
            raise UsageProblem(
                f"{host}:{port} cannot be served: {problem.strerror}.", "Choose another port."
            ) from problem
        listener.setblocking(False)
        yield listener


def _origin(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
