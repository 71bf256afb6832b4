"""What can happen to a run, as frozen values, and their spelling as JSON.

An event is a fact that is already true when it is written down. The journal holds nothing else, and
`core.lifecycle.apply` turns a record and an event into the next record. `at` is UTC in ISO 8601.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from batchgen.records import Failure, SavedFile

DEEPEST = 100
"""How deeply an input may be nested; a manifest allows half of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened to the run with this id."""

    name: ClassVar[str]
    id: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned(Event):
    """The manifest asks for this run: it enters the state, or asks for something new under its old id."""

    name = "planned"
    model: str
    input: Mapping[str, Any]
    input_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Intended(Event):
    """A POST is about to be sent with this key. On disk before its first byte leaves."""

    name = "intended"
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotCreated(Event):
    """The POST surely created nothing: it never left, or the service refused it for now."""

    name = "not_created"
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Created(Event):
    """The service has taken the run, and the money for it (micro-dollars; None where it did not say)."""

    name = "created"
    run_id: str
    cost_micro_usd: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubted(Event):
    """Nobody here knows whether the POST created a run. `body` keeps what came back, cut to a readable length."""

    name = "doubted"
    failure: Failure
    body: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected(Event):
    """The service refused this input for good; nothing was created and nothing was taken."""

    name = "rejected"
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Succeeded(Event):
    """The service has rendered the run's videos. `latency_s`: how long that took, as well as it is known."""

    name = "succeeded"
    cost_micro_usd: int | None = None
    latency_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed(Event):
    """A created run came to no video. `refunded` where the service says that it gives the money back."""

    name = "failed"
    failure: Failure
    refunded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted(Event):
    """Something that a person should see on a run whose status does not change by it."""

    name = "noted"
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloaded(Event):
    """Every video of the run is whole under its final name."""

    name = "downloaded"
    files: tuple[SavedFile, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesMissing(Event):
    """A video that was downloaded is no longer where it was; it is fetched again, not paid again."""

    name = "files_missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopted(Event):
    """A person found the run that a doubtful POST had created."""

    name = "adopted"
    run_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Released(Event):
    """A person knows that a doubtful POST created nothing; the run may be sent again."""

    name = "released"


@dataclass(frozen=True, slots=True, kw_only=True)
class Abandoned(Event):
    """A person gives up a doubtful run. Its money counts as spent."""

    name = "abandoned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried(Event):
    """A person asked for a failed run to be rendered anew."""

    name = "retried"


EVENTS: Mapping[str, type[Event]] = {
    kind.name: kind
    for kind in (
        Planned,
        Intended,
        NotCreated,
        Created,
        Doubted,
        Rejected,
        Succeeded,
        Failed,
        Noted,
        Downloaded,
        FilesMissing,
        Adopted,
        Released,
        Abandoned,
        Retried,
    )
}


def to_json(event: Event) -> dict[str, Any]:
    """The event as a JSON object, its name first."""
    out: dict[str, Any] = {"event": event.name}
    for field in fields(event):
        value = getattr(event, field.name)
        if isinstance(value, Failure):
            value = {"code": value.code, "message": value.message}
        elif field.name == "files":
            value = [{"path": f.path, "bytes": f.bytes, "sha256": f.sha256} for f in value]
        out[field.name] = value
    return out


def from_json(value: Mapping[str, Any]) -> Event:
    """The event that `to_json` spelled. Raises KeyError, TypeError or ValueError on anything else."""
    kind = EVENTS[text_from(value["event"])]
    given = {name: _READ.get(name, text_from)(item) for name, item in value.items() if name != "event"}
    return kind(**given)


def text_from(value: object) -> str:
    """A text out of JSON. This and its siblings raise TypeError or ValueError on whatever is none."""
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where a text should be")
    return value


def failure_from(value: Any) -> Failure:
    """A failure out of JSON."""
    failure = Failure(**value)
    text_from(failure.code), text_from(failure.message)
    return failure


def saved_file_from(value: Any) -> SavedFile:
    """A saved file out of JSON."""
    file = SavedFile(**value)
    text_from(file.path), text_from(file.sha256)
    if type(file.bytes) is not int or file.bytes < 0:
        raise TypeError("a file's length is no number of bytes")
    return file


def cost_from(value: object) -> int | None:
    """A cost in micro-dollars out of JSON. A negative one would make room for runs that nobody allowed."""
    if value is not None and (type(value) is not int or value < 0):
        raise TypeError("a cost is no whole number of micro-dollars")
    return value


def seconds_from(value: object) -> float | None:
    """A stretch of time in seconds out of JSON."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise TypeError("a time is no number of seconds")
    return value


def input_from(value: object) -> dict[str, Any]:
    """A run's input out of JSON, as deep as an input can be."""
    if not isinstance(value, dict):
        raise TypeError("an input is no object")
    _check_depth(value, DEEPEST)
    return value


def _check_depth(value: dict[str, Any] | list[Any], room: int) -> None:
    if room <= 0:
        raise ValueError("an input is nested too deeply")
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list):
            _check_depth(item, room - 1)


def _flag_from(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("neither true nor false")
    return value


_READ: Mapping[str, Callable[[Any], Any]] = {
    "input": input_from,
    "failure": failure_from,
    "files": lambda value: tuple(saved_file_from(item) for item in value),
    "cost_micro_usd": cost_from,
    "latency_s": seconds_from,
    "refunded": _flag_from,
}
