"""Records and events as several tests need them."""

from __future__ import annotations

from typing import Any

from batchgen import events as ev
from batchgen.core.lifecycle import apply
from batchgen.records import Failure, Place, Record, Run, SavedFile, Status, sha256_of

AT = "2026-01-02T03:04:05.678Z"
WHY = Failure("why", "Because.")
MODEL = "bytedance/seedance-1.5-pro"
KEY = "sha256:1f0c9a2b"
FILE = SavedFile("videos/lamp.mp4", 12, "ab" * 32)


def planned(name: str = "lamp", **given: Any) -> ev.Planned:
    """A row of the manifest as an event."""
    values = given or {"prompt": f"A {name}"}
    return ev.Planned(id=name, at=AT, model=MODEL, input=values, input_sha256=sha256_of(values))


def intended(name: str = "lamp", key: str = KEY) -> ev.Intended:
    return ev.Intended(id=name, at=AT, key=key)


def created(name: str = "lamp", cost: int | None = 200_000) -> ev.Created:
    return ev.Created(id=name, at=AT, run_id=f"run_{name}", cost_micro_usd=cost)


def doubted(name: str = "lamp") -> ev.Doubted:
    return ev.Doubted(id=name, at=AT, failure=WHY, body="<html>")


def succeeded(name: str = "lamp", cost: int | None = None, latency_s: float | None = None) -> ev.Succeeded:
    return ev.Succeeded(id=name, at=AT, cost_micro_usd=cost, latency_s=latency_s)


def downloaded(name: str = "lamp") -> ev.Downloaded:
    return ev.Downloaded(id=name, at=AT, files=(FILE,))


def failed(name: str = "lamp", *, refunded: bool = True) -> ev.Failed:
    return ev.Failed(id=name, at=AT, failure=WHY, refunded=refunded)


def after(*events: ev.Event) -> Record:
    """The record that these events make."""
    record: Record | None = None
    for event in events:
        record = apply(record, event)
    if record is None:
        raise ValueError("no event")
    return record


def ways(name: str = "lamp") -> dict[Status, tuple[ev.Event, ...]]:
    """For each status, events that lead to it."""
    begun = (planned(name), intended(name))
    made = (*begun, created(name))
    return {
        Status.PENDING: begun[:1],
        Status.SUBMITTING: begun,
        Status.IN_DOUBT: (*begun, doubted(name)),
        Status.SUBMITTED: made,
        Status.SUCCEEDED: (*made, succeeded(name)),
        Status.DOWNLOADED: (*made, succeeded(name), downloaded(name)),
        Status.FAILED: (*made, failed(name)),
    }


def in_status(status: Status, name: str = "lamp") -> Record:
    """A record that has come to this status."""
    return after(*ways(name)[status])


def row_of(record: Record, **changes: Any) -> Run:
    """The manifest's row for a record, with some of its input changed."""
    values = {**record.input, **changes}
    return Run(record.id, record.model, values, sha256_of(values), Place("batch.yaml", 3))


def one_of_each(name: str = "lamp") -> tuple[ev.Event, ...]:
    """Every kind of event there is, with something in every field."""
    return (
        planned(name),
        intended(name),
        ev.NotCreated(id=name, at=AT, failure=WHY),
        created(name),
        doubted(name),
        ev.Rejected(id=name, at=AT, failure=WHY),
        succeeded(name, 7, 48.5),
        failed(name),
        ev.Noted(id=name, at=AT, failure=WHY),
        downloaded(name),
        ev.FilesMissing(id=name, at=AT),
        ev.Adopted(id=name, at=AT, run_id="run_found"),
        ev.Released(id=name, at=AT),
        ev.Abandoned(id=name, at=AT),
        ev.Retried(id=name, at=AT),
    )
