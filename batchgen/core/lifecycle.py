"""A run's life as one table: which event leads from which status to which. The only place where a status changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from batchgen import events as ev
from batchgen.records import Attempt, Failure, Record, Status

S = Status

TRANSITIONS: Mapping[tuple[Status | None, type[ev.Event]], Status] = {
    # what the manifest asks for; a record with a run under way or in doubt is never replaced
    (None, ev.Planned): S.PENDING,
    (S.PENDING, ev.Planned): S.PENDING,
    (S.FAILED, ev.Planned): S.PENDING,
    (S.DOWNLOADED, ev.Planned): S.PENDING,
    # the POST
    (S.PENDING, ev.Intended): S.SUBMITTING,
    (S.SUBMITTING, ev.NotCreated): S.PENDING,
    (S.SUBMITTING, ev.Created): S.SUBMITTED,
    (S.SUBMITTING, ev.Doubted): S.IN_DOUBT,
    (S.SUBMITTING, ev.Rejected): S.FAILED,
    # the GETs
    (S.SUBMITTED, ev.Succeeded): S.SUCCEEDED,
    (S.SUBMITTED, ev.Failed): S.FAILED,
    (S.SUBMITTED, ev.Noted): S.SUBMITTED,
    # the download
    (S.SUCCEEDED, ev.Downloaded): S.DOWNLOADED,
    (S.SUCCEEDED, ev.Failed): S.FAILED,
    (S.SUCCEEDED, ev.Noted): S.SUCCEEDED,
    (S.DOWNLOADED, ev.FilesMissing): S.SUCCEEDED,
    # what only a person decides
    (S.IN_DOUBT, ev.Adopted): S.SUBMITTED,
    (S.IN_DOUBT, ev.Released): S.PENDING,
    (S.IN_DOUBT, ev.Abandoned): S.FAILED,
    (S.FAILED, ev.Retried): S.PENDING,
}

ABANDONED = Failure("abandoned", "Given up by a person while in doubt; counted as spent.")

TIME_OF: Mapping[type[ev.Event], str] = {
    ev.Planned: "planned_at",
    ev.Intended: "intended_at",
    ev.Created: "submitted_at",
    ev.Adopted: "submitted_at",
    ev.Doubted: "in_doubt_at",
    ev.Rejected: "failed_at",
    ev.Failed: "failed_at",
    ev.Abandoned: "failed_at",
    ev.Succeeded: "succeeded_at",
    ev.Downloaded: "downloaded_at",
}


class IllegalTransition(ValueError):
    """An event that cannot happen to a run in this status. Nothing was changed."""


def apply(record: Record | None, event: ev.Event) -> Record:
    """The record after the event. Raises IllegalTransition where the table has no such row."""
    status = TRANSITIONS.get((record.status if record else None, type(event)))
    if status is None:
        raise IllegalTransition(f"{event.name} cannot happen to a run that is {record.status if record else 'unknown'}")
    if isinstance(event, ev.Planned):
        return _planned(record, event)
    if record is None:
        raise IllegalTransition(f"{event.name} cannot happen to a run that is not in the state")
    changed = _CHANGES[type(event)](record, event)
    stamp = TIME_OF.get(type(event))
    times = {**record.times, stamp: event.at} if stamp else record.times
    return replace(changed, status=status, times=times)


def _planned(record: Record | None, event: ev.Planned) -> Record:
    return Record(
        id=event.id,
        model=event.model,
        input=event.input,
        input_sha256=event.input_sha256,
        attempts=record.attempts if record else (),
        times={"planned_at": event.at},
    )


def _intended(record: Record, event: ev.Intended) -> Record:
    return replace(record, attempts=(*record.attempts, Attempt(key=event.key, started_at=event.at)), error=None)


def _not_created(record: Record, event: ev.NotCreated) -> Record:
    # Nothing exists and nothing was paid, so the attempt leaves no trace but the reason.
    return replace(record, attempts=record.attempts[:-1], error=event.failure)


def _created(record: Record, event: ev.Created) -> Record:
    return replace(
        _attempt(record, outcome="created", run_id=event.run_id, cost_micro_usd=event.cost_micro_usd), error=None
    )


def _doubted(record: Record, event: ev.Doubted) -> Record:
    message = f"{event.failure.message} The answer was: {event.body}" if event.body else event.failure.message
    failure = Failure(event.failure.code, message)
    return replace(_attempt(record, outcome="in_doubt", failure=failure), error=failure)


def _rejected(record: Record, event: ev.Rejected) -> Record:
    return replace(
        _attempt(record, outcome="rejected", cost_micro_usd=0, failure=event.failure),
        error=event.failure,
    )


def _succeeded(record: Record, event: ev.Succeeded) -> Record:
    known = {"cost_micro_usd": event.cost_micro_usd, "latency_s": event.latency_s}
    changes = {name: value for name, value in known.items() if value is not None}
    return replace(_attempt(record, **changes), error=None)


def _failed(record: Record, event: ev.Failed) -> Record:
    changed = _attempt(record, outcome="failed", refunded=event.refunded, failure=event.failure)
    return replace(changed, error=event.failure)


def _noted(record: Record, event: ev.Noted) -> Record:
    return replace(record, error=event.failure)


def _downloaded(record: Record, event: ev.Downloaded) -> Record:
    return replace(_attempt(record, outcome="downloaded", files=event.files), error=None)


def _files_missing(record: Record, _event: ev.FilesMissing) -> Record:
    return _attempt(record, outcome="created", files=())


def _adopted(record: Record, event: ev.Adopted) -> Record:
    return replace(_attempt(record, outcome="created", run_id=event.run_id, failure=None), error=None)


def _released(record: Record, _event: ev.Released) -> Record:
    return replace(_attempt(record, outcome="not_created", cost_micro_usd=0), error=None)


def _abandoned(record: Record, _event: ev.Abandoned) -> Record:
    return replace(_attempt(record, outcome="abandoned", failure=ABANDONED), error=ABANDONED)


def _retried(record: Record, _event: ev.Retried) -> Record:
    return replace(record, error=None)


def _attempt(record: Record, **changes: Any) -> Record:
    """The record with its newest attempt changed."""
    return replace(record, attempts=(*record.attempts[:-1], replace(record.attempts[-1], **changes)))


_CHANGES: Mapping[type[ev.Event], Callable[[Record, Any], Record]] = {
    ev.Intended: _intended,
    ev.NotCreated: _not_created,
    ev.Created: _created,
    ev.Doubted: _doubted,
    ev.Rejected: _rejected,
    ev.Succeeded: _succeeded,
    ev.Failed: _failed,
    ev.Noted: _noted,
    ev.Downloaded: _downloaded,
    ev.FilesMissing: _files_missing,
    ev.Adopted: _adopted,
    ev.Released: _released,
    ev.Abandoned: _abandoned,
    ev.Retried: _retried,
}
