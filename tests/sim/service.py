"""The service of the simulation: the rehearsal's own decisions and books, without its sockets."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import anyio

from batchgen.sandbox.answer import Answer, error
from batchgen.sandbox.faults import Fault
from batchgen.sandbox.ledger import Entry, TopUp
from batchgen.sandbox.options import SandboxOptions
from batchgen.sandbox.rehearsal import Rehearsal
from batchgen.service.download import Dead, DiskFull, Fetched, Interrupted, NotVideo, Refused, Result, Unwritable
from batchgen.settings import Key
from tests.sim.wire import ORIGIN, Request, asked_of

if TYPE_CHECKING:
    from tests.sim.world import World


class Books(Rehearsal):
    """The rehearsal, whose faults can be switched while it serves."""

    def switch(self, faults: Iterable[Fault]) -> None:
        self._options = replace(self._options, faults=tuple(faults))

    @property
    def limited(self) -> int:
        """How many requests its windows have refused."""
        return self._limited.total()

    def let_urls_live(self) -> None:
        self._options = replace(self._options, url_ttl=3600.0)


class Service:
    """Answers requests, and tells the watch what they did to the books."""

    def __init__(self, world: World, options: SandboxOptions) -> None:
        self._world = world
        self.books = Books(options, world.service_time, lambda _item: None)
        self.refused_keys: set[Key] = set()
        self.file_trouble: dict[str, float] = {}

    @property
    def entries(self) -> dict[str, Entry]:
        return self.books.ledger.entries

    def spent(self, keys: Iterable[Key]) -> int:
        """What all runs have cost, less refunds."""
        return sum(self.books.ledger.spent(key.fingerprint, self._world.service_time()) for key in keys)

    def answer_to(self, request: Request) -> Answer:
        if request.key in self.refused_keys:
            return error(401, "invalid_api_key", "Invalid API key")
        known, limited = len(self.entries), self.books.limited
        asked = asked_of(request)
        answer = self.books.create(asked) if request.method == "POST" else self.books.poll(asked, request.run_id)
        if len(self.entries) > known:
            self._world.watch.accepted(request, list(self.entries.values())[-1])
        self._world.watch.arrived(request, limited=self.books.limited > limited)
        return answer

    def top_up(self, micro_usd: int) -> None:
        self.books.ledger.add(TopUp(micro_usd))


def film_of(run_id: str, number: int) -> bytes:
    """The bytes of one of a run's videos."""
    return f"{run_id} video {number} ".encode() * 5


class SimDownloader:
    """In the place of `Downloader`: each of its results, as the trouble of the hour has it."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return

    async def fetch(self, url: str, part: Path, on_bytes: Any) -> Result:
        process, service = self._world.process_at_work, self._world.service
        rng = process.rng
        await anyio.sleep(rng.uniform(0.01, 3.0))
        if process.dead:
            return Interrupted("dead")
        match = re.fullmatch(rf"{re.escape(ORIGIN)}/files/(\d+)/(.*)", url)
        if match is None:
            return Refused("a private address")
        found = service.books.find_file(match[1], match[2])
        if isinstance(found, Answer):
            return Dead("the URL has expired")
        film = film_of(found[0].id, found[1])
        on_bytes(len(film) // 2, len(film))
        part.write_bytes(film[: rng.randrange(len(film))])
        await anyio.sleep(rng.uniform(0.0, 3.0))
        roll = rng.random()
        for kind, rate in service.file_trouble.items():
            if roll < rate:
                return self._trouble(kind, part)
            roll -= rate
        return _whole(film, part)

    def _trouble(self, kind: str, part: Path) -> Result:
        self._world.note(f"download of {part.name}: {kind}")
        if kind != "interrupted":
            part.unlink()
        if kind == "full":
            self._world.watch.disk_is_full()
        results: dict[str, Result] = {
            "dead": Dead("gone"),
            "html": NotVideo("a web page"),
            "refused": Refused("a private address"),
            "interrupted": Interrupted("reset"),
            "full": DiskFull("No space left on device"),
            "unwritable": Unwritable("Permission denied"),
        }
        return results[kind]


def _whole(film: bytes, part: Path) -> Fetched:
    import hashlib

    fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        os.write(fd, film)
        os.fsync(fd)
    finally:
        os.close(fd)
    return Fetched(len(film), hashlib.sha256(film).hexdigest(), part)
