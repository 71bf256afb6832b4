"""The books of the rehearsal service, without any I/O. A run is one entry; what is derived from it is never stored."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from batchgen.sandbox.answer import Document, Plan
from batchgen.sandbox.faults import Fault

PENDING, PROCESSING, SUCCEEDED = "pending", "processing", "succeeded"

USUAL_SECONDS = (60.0, 90.0)  # for models whose times are unknown: those of an 8 s clip (runbase-api.md)
PENDING_SHARE = 0.1
SLOW_SHARE = 0.03  # “now and then several minutes” (runbase-api.md)
SLOW_FACTOR = (2.5, 5.0)


@dataclass(frozen=True, slots=True)
class Entry:
    """A run that was created and paid for. Times are seconds since the epoch, the cost is micro-dollars.

    `faults` are those that its prompt or the header of its POST switched on for it.
    """

    number: int
    id: str
    key: str
    model: str
    input: Mapping[str, Any]
    cost: int
    created_at: float
    ready_at: float
    fate: str = SUCCEEDED
    reason: str = ""
    videos: int = 1
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class TopUp:
    """Credit that was added, in micro-dollars, to one key's balance or (without a key) to each."""

    micro_usd: int
    key: str | None = None


@dataclass(slots=True)
class Post:
    """A POST /runs that was received, refused or not: what it asked for, what struck it, and the run that it created.

    `status` is that of the answer, 0 where none was sent. Filled in as far as the request gets; not kept on disk.
    """

    at: float
    input_sha256: str | None = None
    faults: tuple[str, ...] = ()
    status: int = 0
    run: str | None = None


class Ledger:
    """Entries and top-ups in the order in which they came, folded so that a balance costs no walk through them all."""

    def __init__(self, start_balance: int | None) -> None:
        self._start = start_balance
        self._charged: dict[str, int] = {}
        self._refundable: dict[str, list[Entry]] = {}
        self._topped_up: dict[str | None, int] = {}
        self.entries: dict[str, Entry] = {}

    def add(self, item: Entry | TopUp) -> None:
        """Take one more entry or top-up into the books."""
        if isinstance(item, TopUp):
            self._topped_up[item.key] = self._topped_up.get(item.key, 0) + item.micro_usd
            return
        self.entries[item.id] = item
        self._charged[item.key] = self._charged.get(item.key, 0) + item.cost
        if item.fate != SUCCEEDED:
            self._refundable.setdefault(item.key, []).append(item)

    def spent(self, key: str, now: float) -> int:
        """What the key's runs have cost so far less refunds, in micro-dollars."""
        refunds = sum(entry.cost for entry in self._refundable.get(key, ()) if refunded(entry, now))
        return self._charged.get(key, 0) - refunds

    def topped_up(self, key: str) -> int:
        """The credit that was added for the key, in micro-dollars."""
        return self._topped_up.get(None, 0) + self._topped_up.get(key, 0)

    def balance(self, key: str, now: float) -> int | None:
        """The key's prepaid balance in micro-dollars; `None` when it is without limit."""
        return None if self._start is None else self._start + self.topped_up(key) - self.spent(key, now)


def status_at(entry: Entry, now: float) -> str:
    """The word that the service would say of the run at that time."""
    if now >= entry.ready_at:
        return entry.fate
    waited, whole = now - entry.created_at, entry.ready_at - entry.created_at
    return PENDING if waited < PENDING_SHARE * whole else PROCESSING


def refunded(entry: Entry, now: float) -> bool:
    """Whether the run's cost has come back: fully, once it has ended in anything but success (runbase-api.md)."""
    return entry.fate != SUCCEEDED and now >= entry.ready_at


def plan_run(seed: int, number: int, usual_seconds: tuple[float, float] | None, scale: float) -> Plan:
    """How long the run takes: within the usual times, one in some thirty several times longer."""
    chance = random.Random(f"{seed}:{number}")  # noqa: S311 (a rehearsal that can be repeated, no secret)
    seconds = chance.uniform(*(usual_seconds or USUAL_SECONDS))
    if chance.random() < SLOW_SHARE:
        seconds *= chance.uniform(*SLOW_FACTOR)
    return Plan(seconds * scale)


def run_document(entry: Entry, status: str, urls: list[str]) -> Document:
    """The run as the API shows it (runbase-api.md, “A run, as JSON”); `urls` are shown once it has succeeded."""
    document: Document = {
        "id": entry.id,
        "model": entry.model,
        "status": status,
        "costUsd": entry.cost,
        "createdAt": iso(entry.created_at),
    }
    if status in {PENDING, PROCESSING}:
        return document
    document["completedAt"] = iso(entry.ready_at)
    if status == SUCCEEDED:
        document["output"] = {"urls": urls}
    elif entry.reason:
        document["error"] = entry.reason
    return document


def iso(seconds: float) -> str:
    """Seconds since the epoch as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def video_name(entry: Entry, number: int) -> str | None:
    """The file name of one of the run's videos, counted from 1; `None` where it has no such video."""
    if not 1 <= number <= entry.videos:
        return None
    return f"{entry.id}.mp4" if number == 1 else f"{entry.id}-{number}.mp4"


def to_json(item: Entry | TopUp) -> dict[str, Any]:
    """An entry or a top-up as one JSON object, the inverse of `from_json`."""
    if isinstance(item, TopUp):
        return {"topup": asdict(item)}
    return {"run": {**asdict(item), "input": dict(item.input), "faults": [str(fault) for fault in item.faults]}}


def from_json(line: Mapping[str, Any]) -> Entry | TopUp:
    """Read what `to_json` wrote; raises KeyError, TypeError or `errors.UsageProblem` for anything else."""
    if "topup" in line:
        return TopUp(**line["topup"])
    fields = dict(line["run"])
    return Entry(**{**fields, "faults": tuple(map(Fault.parse, fields["faults"]))})
