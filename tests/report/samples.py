"""Records, notices and clocks for the tests of what people are told."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from batchgen.engine.notices import Changed
from batchgen.records import DEFAULT_MODEL, Attempt, Failure, Record, SavedFile, Status

KEY = "sha256:1f0c2d3e"
SENT = "2026-03-01T08:00:00Z"


def record(
    name: str,
    status: Status = Status.PENDING,
    *,
    cost: int | None = 48_000,
    error: Failure | None = None,
    outcome: str | None = None,
    refunded: bool = False,
) -> Record:
    """A record with one attempt, as `core.lifecycle` would have made it; a pending one has none."""
    attempts: tuple[Attempt, ...] = ()
    if status is not Status.PENDING:
        how = outcome or _OUTCOMES[status]
        run_id = None if how in ("open", "in_doubt", "rejected") else f"run_{name}"
        files = (SavedFile(f"videos/{name}.mp4", 8_000_000, "ab" * 32),) if status is Status.DOWNLOADED else ()
        attempts = (Attempt(KEY, SENT, how, run_id, cost, refunded, error, files),)
    return Record(name, DEFAULT_MODEL, {"prompt": f"a {name}"}, "0" * 64, status, attempts, error)


_OUTCOMES = {
    Status.SUBMITTING: "open",
    Status.IN_DOUBT: "in_doubt",
    Status.SUBMITTED: "created",
    Status.SUCCEEDED: "created",
    Status.DOWNLOADED: "downloaded",
    Status.FAILED: "failed",
}


def by_id(*records: Record) -> dict[str, Record]:
    """Records under their ids."""
    return {item.id: item for item in records}


def doubt(name: str) -> Record:
    """A run in doubt whose price nobody has named."""
    return record(name, Status.IN_DOUBT, cost=None, error=Failure("no_answer", "connection reset"))


def rejected(name: str, message: str = "prompt too long") -> Record:
    """A run that the service refused for good."""
    return record(name, Status.FAILED, cost=0, error=Failure("invalid_input", message), outcome="rejected")


def submitted(name: str, before: Status = Status.SUBMITTING) -> Changed:
    """The notice of a submission."""
    return Changed(record(name, Status.SUBMITTED), before)


def downloaded(name: str) -> Changed:
    """The notice of a finished download."""
    return Changed(record(name, Status.DOWNLOADED), Status.SUCCEEDED)


def failed(name: str) -> Changed:
    """The notice of a refusal."""
    return Changed(rejected(name), Status.SUBMITTING)


@dataclass
class Clock:
    """A steady clock that a test moves, and the time of day that goes with it."""

    now: float = 1000.0
    start: datetime = field(default_factory=lambda: datetime(2026, 3, 1, 8, 0, tzinfo=UTC))

    def steady(self) -> float:
        """Seconds."""
        return self.now

    def wall(self) -> datetime:
        """The time of day."""
        return self.start + timedelta(seconds=self.now - 1000.0)


class Terminal(io.StringIO):
    """A terminal that keeps what is written to it. `fails`: it has gone, and every write says so."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.fails = fails

    def isatty(self) -> bool:
        """Yes."""
        return True

    def write(self, text: str) -> int:
        """Keeps the text."""
        if self.fails:
            raise BrokenPipeError(32, "Broken pipe")
        return super().write(text)
