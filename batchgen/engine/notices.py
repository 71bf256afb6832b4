"""What the engine tells whoever watches: frozen values, handed to one callback. Nothing here changes a batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from batchgen.records import Failure, Record, Status


@dataclass(frozen=True, slots=True)
class Changed:
    """A run's record changed; `before` is its status until then."""

    record: Record
    before: Status


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes of a run's video have come; `total` is None where the length is not known."""

    id: str
    received: int
    total: int | None


@dataclass(frozen=True, slots=True)
class Held:
    """Requests are held back for so many seconds, and why. `what`: `requests`, `submissions` or `key …`."""

    what: str
    reason: Failure
    seconds: float


@dataclass(frozen=True, slots=True)
class Stopping:
    """No more submissions; what is under way is brought to an end."""

    reason: Failure


@dataclass(frozen=True, slots=True)
class Lost:
    """A run's id could not be saved in the state. `where` is the emergency file that took it, or None."""

    id: str
    run_id: str
    where: str | None


Notice = Changed | Received | Held | Stopping | Lost
Notify = Callable[[Notice], None]
