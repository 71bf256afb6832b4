"""A batch over the rehearsal service, put together as the program does it, with all at hand that tests ask for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import anyio
import httpx

from batchgen import events as ev
from batchgen.core.cost import Prices, money_of
from batchgen.core.gate import Breaker, OpenPosts
from batchgen.core.latency import Latencies
from batchgen.core.outcome import Ending, exit_code
from batchgen.core.plan import Plan, Selection, make_plan
from batchgen.core.polling import PollPolicy
from batchgen.core.window import Rate
from batchgen.engine.batch import Batch
from batchgen.engine.budget import Budget
from batchgen.engine.desk import Desk
from batchgen.engine.dispatch import Dispatcher
from batchgen.engine.notices import Held, Notice
from batchgen.records import DEFAULT_MODEL, Place, Record, Run, Status, sha256_of
from batchgen.sandbox.faults import Fault
from batchgen.sandbox.options import SandboxOptions
from batchgen.sandbox.serve import Served, serving
from batchgen.service.client import Deadlines, Service
from batchgen.service.download import Downloader, DownloadSettings
from batchgen.service.exchange import Exchange
from batchgen.settings import Key, OnNoCredit, Settings
from batchgen.store.document import Header
from batchgen.store.ledger import open_ledger
from batchgen.store.paths import StatePaths
from batchgen.store.videos import VideoFolder

KEY = Key("sk-one")
OTHER = Key("sk-two")
PRICE = 48_211  # the rehearsal's price of 4 s at 480p without sound, in micro-dollars
UNLIMITED = Rate(None, 1.0)


class NeverOpen(Breaker):
    """For batches whose every run is in doubt on purpose."""

    def after(self, *, in_doubt: bool, begun_at: float, now: float) -> Breaker:
        return self


def runs(count: int, prompt: str = "", **given: Any) -> tuple[Run, ...]:
    """So many short runs, `r0`, `r1` and so on, whose price is known; `prompt` goes with each one's own."""
    out = []
    for number in range(count):
        inputs = {
            "prompt": f"Lamp {number} {prompt}",
            "resolution": "480p",
            "duration": "4",
            "aspect_ratio": "16:9",
            "generate_audio": False,
            **given,
        }
        inputs = {name: value for name, value in inputs.items() if value is not None}
        out.append(Run(f"r{number}", DEFAULT_MODEL, inputs, sha256_of(inputs), Place("lamps.yaml", number + 1)))
    return tuple(out)


def faults(*texts: str) -> tuple[Fault, ...]:
    """Faults for the whole service."""
    return tuple(Fault.parse(text) for text in texts)


def world_clock() -> Callable[[], float]:
    """The time of day by the loop's clock, for the service and the state alike."""
    offset = time.time() - anyio.current_time()
    return lambda: offset + anyio.current_time()


@dataclass(frozen=True)
class Begun:
    """A request as it left, or was about to: its method, its key, the run asked after, and what came of it."""

    method: str
    key: str
    run_id: str
    at: float
    exchange: Exchange


class SpiedService(Service):
    """The service's client, which keeps every request in the order of their beginnings."""

    def __init__(self, base_url: str, deadlines: Deadlines) -> None:
        super().__init__(base_url, deadlines)
        self.begun: list[Begun] = []

    async def create(self, key: str, model: str, given: Mapping[str, Any], exchange: Exchange) -> None:
        self.begun.append(Begun("POST", key, "", anyio.current_time(), exchange))
        await super().create(key, model, given, exchange)

    async def get(self, key: str, run_id: str, exchange: Exchange) -> None:
        self.begun.append(Begun("GET", key, run_id, anyio.current_time(), exchange))
        await super().get(key, run_id, exchange)

    def of(self, method: str) -> list[Begun]:
        return [begun for begun in self.begun if begun.method == method]


@dataclass(frozen=True)
class Options:
    """How a session is run."""

    keys: tuple[Key, ...] = (KEY,)
    rate: Rate = UNLIMITED
    concurrency: int | None = None
    max_cost: int | None = None
    on_no_credit: OnNoCredit = OnNoCredit.STOP
    trust_5xx: bool = False
    deadlines: Deadlines = field(default_factory=Deadlines)
    policy: PollPolicy = field(default_factory=lambda: PollPolicy(shortest_s=0.2))
    selection: Selection = field(default_factory=Selection)
    downloads: int = 8
    prices: Callable[[str, Mapping[str, Any]], int | None] = lambda _model, _given: PRICE
    usual: Callable[[str, Mapping[str, Any]], tuple[float, float] | None] = lambda _model, _given: (40.0, 60.0)
    missing: tuple[str, ...] = ()
    late_s: float = 0.0  # how far this session's time of day is ahead


@dataclass
class Session:
    """One run of the command: what it works with, and once it is over, how it ended."""

    desk: Desk
    batch: Batch
    service: SpiedService
    plan: Plan
    heard: list[Notice]
    ending: Ending | None = None

    async def run(self) -> int:
        """Lets the batch run to its end; its exit code."""
        self.ending = await self.batch.run()
        return exit_code(self.ending, [self.desk.ledger.records[s.id] for s in self.plan.steps if s.run])

    def records(self) -> dict[str, Record]:
        return self.desk.ledger.records

    def statuses(self) -> dict[str, Status]:
        return {name: record.status for name, record in self.records().items()}

    def heard_holds(self) -> list[Held]:
        return [notice for notice in self.heard if isinstance(notice, Held)]

    def count(self, status: Status) -> int:
        return sum(record.status is status for record in self.records().values())

    async def until(self, holds: Callable[[], bool]) -> None:
        """Goes on as soon as it holds. Turns of the loop, no guess at a time."""
        while not holds():  # noqa: ASYNC110 (what is waited for has no event of its own)
            await anyio.sleep(0.02)

    async def until_status(self, status: Status, count: int) -> None:
        await self.until(lambda: self.count(status) >= count)


@contextlib.asynccontextmanager
async def session(
    folder: Path, base_url: str, wanted: Iterable[Run], options: Options | None = None
) -> AsyncIterator[Session]:
    """Opens the state, plans, and puts a batch together; nothing runs yet."""
    o, wanted = options or Options(), tuple(wanted)
    clock = world_clock()

    def now() -> str:
        return datetime.fromtimestamp(clock() + o.late_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    settings = Settings(
        base_url=base_url,
        keys=o.keys,
        output_dir=folder / "videos",
        rate=o.rate,
        concurrency=o.concurrency,
        max_cost_micro_usd=o.max_cost,
        on_no_credit=o.on_no_credit,
        assume_5xx_not_created=o.trust_5xx,
    )
    videos, heard, rng = VideoFolder(settings.output_dir), list[Notice](), Random(7)
    videos.prepare()
    async with open_ledger(StatePaths(folder / "lamps.state.json"), Header("rig", "lamps.yaml", ""), now) as ledger:
        plan = make_plan(wanted, ledger.records, o.selection, o.missing)
        await ledger.record_all(
            ev.Planned(id=r.id, at=now(), model=r.model, input=r.input, input_sha256=r.input_sha256)
            for step in plan.steps
            if (r := step.run) and step.record is None
        )
        prices = Prices(ledger.records.values(), o.prices)
        service, download = SpiedService(base_url, o.deadlines), DownloadSettings(base_url, connections=o.downloads)
        async with service, Downloader(download, rng=rng) as downloader:
            wait = o.on_no_credit is OnNoCredit.WAIT
            desk = Desk(
                settings=settings,
                ledger=ledger,
                service=service,
                downloader=downloader,
                videos=videos,
                dispatcher=Dispatcher(
                    o.keys, o.rate, heard.append, rng, wait_for_credit=wait, open_posts=OpenPosts(16, 16)
                ),
                budget=Budget(o.max_cost, money_of(ledger.records.values(), prices).counted),
                prices=prices,
                latencies=Latencies(ledger.records.values(), o.usual),
                notify=heard.append,
                rng=rng,
                policy=o.policy,
                downloads=anyio.CapacityLimiter(o.downloads),
            )
            yield Session(desk, Batch(desk, plan), service, plan, heard)


def assert_known(paid: Mapping[str, str], records: Mapping[str, Record]) -> None:
    """The oracle. `paid`: the prompt of each run that the service has accepted, by the run's id."""
    by_prompt = {str(record.input["prompt"]): record for record in records.values()}
    assert len(set(paid.values())) == len(paid), "a run was paid twice"
    known = {record.run_id for record in records.values() if record.run_id}
    assert known <= paid.keys(), "an id that the service does not know"
    for run_id, prompt in paid.items():
        record = by_prompt[prompt]
        assert run_id == record.run_id or record.status is Status.IN_DOUBT, f"{prompt}: paid, and not known"


@dataclass
class Oracle:
    """The service's own books, which a batch is held against."""

    served: Served
    folder: Path

    @property
    def base_url(self) -> str:
        return self.served.base_url

    async def books(self) -> dict[str, Any]:
        async with httpx.AsyncClient(trust_env=False, verify=httpx.create_ssl_context()) as client:
            return dict((await client.get(f"{self.served.origin}/sandbox/ledger")).json())

    async def top_up(self, micro_usd: int) -> None:
        async with httpx.AsyncClient(trust_env=False, verify=httpx.create_ssl_context()) as client:
            await client.post(f"{self.served.origin}/sandbox/topup", json={"micro_usd": micro_usd})

    async def posts(self) -> int:
        return int((await self.books())["requests"].get("post", 0))

    async def holds(self, records: Mapping[str, Record]) -> None:
        """Whatever happened: each paid run is known by its id, or is exactly one run in doubt; none is paid twice."""
        paid = {str(run["id"]): str(run["input"]["prompt"]) for run in (await self.books())["runs"]}
        assert_known(paid, records)

    def session(
        self, wanted: Iterable[Run], options: Options | None = None
    ) -> contextlib.AbstractAsyncContextManager[Session]:
        return session(self.folder, self.base_url, wanted, options)


@contextlib.asynccontextmanager
async def rehearsal(folder: Path, *switched_on: str, **changes: Any) -> AsyncIterator[Oracle]:
    """The service for as long as this lasts: quick, generous, and with these faults."""
    options = SandboxOptions(latency_scale=0.005, rate_limit=None, faults=faults(*switched_on))
    async with serving(replace(options, **changes), folder / "service", clock=world_clock()) as served:
        yield Oracle(served, folder)
