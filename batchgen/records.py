"""The values that every part of the program shares: what a user wants, and what is known of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

DEFAULT_MODEL = "bytedance/seedance-1.5-pro"


class Status(StrEnum):
    """Where a run stands. `core.lifecycle` says which event leads from which status to which."""

    PENDING = "pending"
    SUBMITTING = "submitting"
    IN_DOUBT = "in_doubt"
    SUBMITTED = "submitted"
    SUCCEEDED = "succeeded"
    DOWNLOADED = "downloaded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Place:
    """A position in a manifest, both counted from 1. In a table, `column` is the name of the column."""

    file: str
    line: int
    column: int | str = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a manifest: where, what, and what to write instead where something is near."""

    place: Place
    message: str
    suggestion: str | None = None

    def __str__(self) -> str:
        hint = f" Did you mean {self.suggestion}?" if self.suggestion else ""
        return f"{self.place}: {self.message}{hint}"


@dataclass(frozen=True, slots=True)
class Run:
    """One video that the user asks for: a validated row of the manifest under the key that it has in the state."""

    id: str
    model: str
    input: Mapping[str, Any]
    input_sha256: str
    place: Place


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run, or an attempt at it, did not come to its end: a stable code and words for a person."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A whole video under its final name. `path` is relative to the state file's folder where it lies below it."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One POST that created a run, may have created one, or was refused for good.

    A POST that surely created nothing leaves no attempt behind. Costs are micro-dollars (40000 is $0.04); `None` is
    unknown, which is never the same as nothing. `latency_s`: seconds from the submission to the run's success.
    """

    key: str
    started_at: str
    outcome: str = "open"
    run_id: str | None = None
    cost_micro_usd: int | None = None
    refunded: bool = False
    failure: Failure | None = None
    files: tuple[SavedFile, ...] = ()
    latency_s: float | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """What the state knows of a run. Only `core.lifecycle.apply` makes a new one from an old one."""

    id: str
    model: str
    input: Mapping[str, Any]
    input_sha256: str
    status: Status = Status.PENDING
    attempts: tuple[Attempt, ...] = ()
    error: Failure | None = None
    times: Mapping[str, str] = field(default_factory=dict)

    @property
    def current(self) -> Attempt | None:
        """The attempt that counts: the newest. A pending run has none that does."""
        return self.attempts[-1] if self.attempts and self.status is not Status.PENDING else None

    @property
    def run_id(self) -> str | None:
        """The service's name for the run, once it has one."""
        return self.current.run_id if self.current else None

    @property
    def key(self) -> str | None:
        """The fingerprint of the API key that created the run, and with which it is polled."""
        return self.current.key if self.current else None

    @property
    def files(self) -> tuple[SavedFile, ...]:
        """The videos of the newest attempt that are whole on disk."""
        return self.current.files if self.current else ()

    @property
    def cost_micro_usd(self) -> int | None:
        """What all attempts together have cost after refunds, in micro-dollars; None where no price is known."""
        known = [
            0 if a.refunded else a.cost_micro_usd for a in self.attempts if a.refunded or a.cost_micro_usd is not None
        ]
        return sum(cost for cost in known if cost) if known else None


# json.dumps builds an encoder at each call, which costs as much again as the encoding of a row.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(value: object) -> str:
    """The one spelling of a JSON value that is hashed: sorted keys, no spaces, characters as they are."""
    return _CANONICAL.encode(value)


def sha256_of(value: object) -> str:
    """The SHA-256 of a JSON value's canonical spelling, in hex."""
    return hashlib.sha256(canonical_json(value).encode("utf-8", "surrogatepass")).hexdigest()
