"""What every step of a batch works with, and the one way in which a step changes a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random

import anyio

from batchgen.core.cost import Prices
from batchgen.core.latency import Latencies
from batchgen.core.polling import PollPolicy
from batchgen.engine.budget import Budget
from batchgen.engine.dispatch import Dispatcher
from batchgen.engine.notices import Changed, Notify
from batchgen.events import Event
from batchgen.records import Failure, Record
from batchgen.service.client import Service
from batchgen.service.download import Downloader
from batchgen.settings import Settings
from batchgen.store.ledger import Ledger
from batchgen.store.videos import VideoFolder


@dataclass(slots=True)
class Desk:
    """The parts of one batch. Steps read them; what they change of a run goes through `record`."""

    settings: Settings
    ledger: Ledger
    service: Service
    downloader: Downloader
    videos: VideoFolder
    dispatcher: Dispatcher
    budget: Budget
    prices: Prices
    latencies: Latencies
    notify: Notify
    rng: Random
    policy: PollPolicy
    downloads: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(8))
    draining: bool = False
    disk_full: Failure | None = None
    left: dict[str, Failure] = field(default_factory=dict)
    tries_of_5xx: dict[str, int] = field(default_factory=dict)
    _owners: dict[str, str] = field(default_factory=dict)
    _urgent: set[anyio.CancelScope] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._owners.update((record.run_id, record.id) for record in self.ledger.records.values() if record.run_id)

    def takes(self, run_id: str, name: str) -> bool:
        """Whether a run may have this id: an answer given twice, as by a proxy that replays it, names none."""
        return self._owners.setdefault(run_id, name) == name

    async def record(self, event: Event) -> Record:
        """Writes an event down; the run is what the ledger makes of it. Raises StateUnwritable."""
        before = self.ledger.records[event.id].status
        record = await self.ledger.record(event)
        self.notify(Changed(record, before))
        return record

    def now(self) -> str:
        """The time of day for an event."""
        return self.ledger.now()

    @contextmanager
    def until_hard_stop(self) -> Iterator[anyio.CancelScope]:
        """What stands in it goes on through a first Ctrl-C, and is cut short by a second one or by the deadline."""
        with anyio.CancelScope() as scope:
            self._urgent.add(scope)
            try:
                yield scope
            finally:
                self._urgent.discard(scope)

    def stop_hard(self) -> None:
        """Cuts short everything that a first Ctrl-C lets finish."""
        for scope in tuple(self._urgent):
            scope.cancel()

    def leave(self, name: str, failure: Failure) -> bool:
        """The run stays as it is in this session, and a person is told why. False: its task is over."""
        self.left[name] = failure
        return False
