"""What of the world outside the program is replaced for a simulation: clocks, threads, signals, network and disk."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, tzinfo
from functools import cache
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self, cast
from unittest import mock

import anyio
import anyio.lowlevel
import anyio.to_thread
import httpx
from anyio._backends import _asyncio as anyio_backend

import batchgen.engine.dispatch
import batchgen.sandbox.rehearsal
import batchgen.store.ledger
from batchgen.app import render
from batchgen.engine.desk import Desk
from batchgen.engine.notices import Changed, Lost, Notice
from tests.sim.loop import OrderedSet
from tests.sim.service import SimDownloader

if TYPE_CHECKING:
    from tests.sim.world import World

_tls = cache(httpx.create_ssl_context)


class Signals:
    """In the place of `anyio.open_signal_receiver`."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[signal.Signals] = asyncio.Queue()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    async def __aiter__(self) -> AsyncIterator[signal.Signals]:
        while True:
            yield await self.sent.get()


@contextmanager
def installed(world: World) -> Iterator[None]:
    """The program lives in this world for as long as it lasts."""
    replaced: list[tuple[object, str, Any]] = [
        (anyio.to_thread, "run_sync", _inline(world)),
        (anyio, "open_signal_receiver", lambda *_: world.process_at_work.signals),
        (anyio_backend, "set", OrderedSet),
        (httpx, "create_ssl_context", lambda *_args, **_more: _tls()),
        (httpx.AsyncHTTPTransport, "handle_async_request", lambda _self, request: world.wire.handle(request)),
        (render, "Downloader", lambda *_args, **_more: SimDownloader(world)),
        (render, "Desk", _desk),
        (render, "progress_for", lambda *_args, **_more: _listening(world)),
        (render, "random", SimpleNamespace(Random=lambda: random.Random(world.process_at_work.rng.random()))),
        (batchgen.store.ledger, "datetime", _clock(world)),
        (batchgen.engine.dispatch, "datetime", _clock(world)),
        (batchgen.sandbox.rehearsal, "secrets", SimpleNamespace(token_hex=world.next_id)),
        (os, "fsync", lambda fd: world.disk.fsync(fd)),
        (os, "write", lambda fd, data: world.disk.write(fd, data)),
        (tempfile, "tempdir", str(world.temporary)),
    ]
    with ExitStack() as stack:
        for where, name, instead in replaced:
            stack.enter_context(mock.patch.object(where, name, instead, create=name == "set"))
        stack.enter_context(mock.patch.dict(os.environ))
        yield


def _desk(**parts: Any) -> Desk:
    desk = Desk(**parts)
    desk._urgent = cast("set[anyio.CancelScope]", OrderedSet())
    return desk


def _inline(world: World) -> Callable[..., Any]:
    """In the place of a worker thread: the same function, begun and reported a moment later, so that anything may
    happen while a write is under way. As a thread, it comes to its end also where its caller is cancelled."""

    async def run_sync(work: Callable[..., Any], *args: Any, **_: Any) -> Any:
        process = world.process_at_work
        await anyio.lowlevel.checkpoint()
        with anyio.CancelScope(shield=True):
            await anyio.sleep(process.rng.choice((0.0, 0.0, 0.002, 0.3)))
            problem: Exception | None = None
            result = None
            try:
                result = work(*args)
            except Exception as raised:
                problem = raised
            await anyio.sleep(process.rng.choice((0.0, 0.0, 0.002, 0.3)))
            if problem:
                if work.__name__ in ("append", "fold") and not process.dead:
                    world.watch.state_broke()
                raise problem
            return result

    return run_sync


def _clock(world: World) -> type[datetime]:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return datetime.fromtimestamp(world.time_of_day(), tz or UTC)

    return Clock


@contextmanager
def _listening(world: World) -> Iterator[Callable[[Notice], None]]:
    def notify(notice: Notice) -> None:
        if isinstance(notice, Changed):
            world.note(f"{notice.record.id}: {notice.before} → {notice.record.status}")
        elif isinstance(notice, Lost):
            world.note(f"{notice.id}: {notice.run_id} only in an emergency file")

    yield notify
