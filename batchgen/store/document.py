"""The state as a JSON document: how it is written, and what is refused when it is read."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from batchgen.errors import StateDamaged, StateNewer
from batchgen.events import cost_from, failure_from, input_from, saved_file_from, seconds_from, text_from
from batchgen.records import Attempt, Failure, Record, SavedFile, Status, sha256_of
from batchgen.store.strictjson import loads

FORMAT, VERSION = "batchgen-state", 1
_KEYS = frozenset({"format", "version", "base_url", "manifest", "updated_at", "journal", "runs", "checksum"})
_OUR_START = re.compile(rb'{"format":[^\n]*"runs":{\n')
_OUR_END = re.compile(rb'\n"checksum":"crc32:([0-9a-f]{8})"}\s*\Z')
_LONGEST_END = 100
_LONGEST_WHY = 200


@dataclass(frozen=True, slots=True)
class Header:
    """What a state says of itself. `generation` is that of the journal that continues it."""

    base_url: str | None
    manifest_path: str
    manifest_sha256: str
    updated_at: str = ""
    generation: int = 0


@dataclass(frozen=True, slots=True)
class Document:
    """A state as it was read."""

    header: Header
    records: dict[str, Record]


def encode_document(header: Header, records: Mapping[str, Record]) -> Iterator[bytes]:
    """The document in pieces: a line of header, a line for each run, and a checksum of all that stands before it."""
    head = {
        "format": FORMAT,
        "version": VERSION,
        "base_url": header.base_url,
        "manifest": {"path": header.manifest_path, "sha256": header.manifest_sha256},
        "updated_at": header.updated_at,
        "journal": header.generation,
    }
    crc = 0
    lines = (f"{_dump(record.id)}:{_dump(record_to_json(record))}" for record in records.values())
    pieces = _joined(f'{_dump(head)[:-1]},"runs":{{\n', lines, "\n},")
    for piece in pieces:
        data = piece.encode("utf-8", "surrogatepass")
        crc = zlib.crc32(data, crc)
        yield data
    yield b'\n"checksum":"crc32:%08x"}\n' % crc


def _joined(start: str, lines: Iterator[str], end: str) -> Iterator[str]:
    yield start
    for number, line in enumerate(lines):
        yield f",\n{line}" if number else line
    yield end


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def decode_document(path: Path, data: bytes) -> Document:
    """Reads a document. Raises StateDamaged or StateNewer.

    The checksum is of the bytes as this program lays them out. A file that another program has rewritten is no longer
    laid out like that, and is taken at its word: whoever rewrites a state answers for it.
    """
    value = _parse(path, data)
    if value.get("format") != FORMAT:
        raise _damaged(path, "it does not say that it is a batchgen state")
    version = value.get("version")
    if isinstance(version, int) and version > VERSION:
        raise StateNewer(
            f"{path} has version {version}; this program knows version {VERSION}.",
            "Use the version of batchgen that wrote it.",
        )
    if version != VERSION:
        raise _damaged(path, f"it has no version that ever was ({version!r})")
    if unknown := value.keys() - _KEYS:
        raise _damaged(path, f"unknown entry {min(unknown)!r}")
    _check_sum(path, data, value)
    try:
        return Document(_header(value), {name: record_from_json(name, row) for name, row in value["runs"].items()})
    except (KeyError, TypeError, ValueError, AttributeError) as problem:
        raise _damaged(path, f"an entry is missing or has the wrong form: {problem}") from problem


def _parse(path: Path, data: bytes) -> dict[str, Any]:
    try:
        value = loads(data)
    except ValueError as problem:
        raise _damaged(path, f"it is not JSON that this program writes: {problem}") from problem
    if not isinstance(value, dict):
        raise _damaged(path, "it is not a JSON object")
    return value


def _check_sum(path: Path, data: bytes, value: Mapping[str, Any]) -> None:
    if not _OUR_START.match(data) or value.get("checksum") == "":
        return
    at = max(0, len(data) - _LONGEST_END)
    end = _OUR_END.search(data, at)
    if not end or int(end[1], 16) != zlib.crc32(memoryview(data)[: end.start()]):
        raise _damaged(
            path, 'its checksum does not match (if you edited it by hand, make its last line "checksum":""})'
        )


def _damaged(path: Path, why: str) -> StateDamaged:
    why = why if len(why) <= _LONGEST_WHY else why[:_LONGEST_WHY] + "…"
    return StateDamaged(
        f"{path} is damaged: {why}.",
        "Restore it from a backup. Without one, move it away together with its .journal, and look up in your account "
        "which runs exist before you run the manifest again: it would be rendered and paid for anew.",
    )


def _header(value: Mapping[str, Any]) -> Header:
    manifest = value.get("manifest") or {}
    generation = value.get("journal", 0)
    if not isinstance(generation, int):
        raise TypeError("journal is not a number")
    base_url = value.get("base_url")
    return Header(
        base_url=None if base_url is None else text_from(base_url),
        manifest_path=str(manifest.get("path", "")),
        manifest_sha256=str(manifest.get("sha256", "")),
        updated_at=str(value.get("updated_at", "")),
        generation=generation,
    )


def record_to_json(record: Record) -> dict[str, Any]:
    """A run's entry under its id."""
    return {
        "status": str(record.status),
        "model": record.model,
        "input": record.input,
        "input_sha256": record.input_sha256,
        "run_id": record.run_id,
        "key": record.key,
        "cost_micro_usd": record.cost_micro_usd,
        "attempts": [_sparse(attempt) for attempt in record.attempts],
        "error": _plain(record.error) if record.error else None,
        "files": [_plain(file) for file in record.files],
        **record.times,
    }


def _sparse(attempt: Attempt) -> dict[str, Any]:
    """An attempt without the entries that say nothing. A cost of 0 says something: it is known."""
    out = {name: value for name, value in _plain(attempt).items() if not (value is None or value is False)}
    if attempt.failure:
        out["failure"] = _plain(attempt.failure)
    del out["files"]
    return out | {"files": [_plain(file) for file in attempt.files]} if attempt.files else out


def _plain(value: Attempt | Failure | SavedFile) -> dict[str, Any]:
    """The fields of a flat value. `dataclasses.asdict` copies each one deeply, and takes most of a fold's time."""
    return {name: getattr(value, name) for name in value.__slots__}


def record_from_json(name: str, row: Mapping[str, Any]) -> Record:
    """A run from its entry. Raises KeyError, TypeError or ValueError.

    Entries that the record derives from its attempts are read back where a row has no attempts of its own, as in a
    state that another program has written. A run's id that only the row has is kept: a person may have put it there.
    """
    status = Status(row["status"])
    attempts = _attempts(name, row, status)
    if status in (Status.SUBMITTED, Status.SUCCEEDED) and not attempts[-1].run_id:
        raise ValueError(f"{name} is {status} without a run_id")
    return Record(
        id=name,
        model=text_from(row["model"]),
        input=input_from(row["input"]),
        input_sha256=text_from(row.get("input_sha256") or sha256_of(row["input"])),
        status=status,
        attempts=attempts,
        error=failure_from(row["error"]) if row.get("error") else None,
        times={key: text_from(value) for key, value in row.items() if key.endswith("_at") and value is not None},
    )


def _attempts(name: str, row: Mapping[str, Any], status: Status) -> tuple[Attempt, ...]:
    attempts = tuple(_attempt(item) for item in row.get("attempts") or ())
    run_id = row.get("run_id")
    if not attempts and (run_id or row.get("key") or status not in (Status.PENDING, Status.FAILED)):
        return (_from_row(row, status),)
    if attempts and run_id and status is not Status.PENDING and attempts[-1].run_id != run_id:
        if attempts[-1].run_id:
            raise ValueError(f"{name} is {run_id} and {attempts[-1].run_id} at once")
        return (*attempts[:-1], replace(attempts[-1], run_id=text_from(run_id), outcome="created"))
    return attempts


_OUTCOMES: Mapping[Status, str] = {
    Status.SUBMITTING: "open",
    Status.IN_DOUBT: "in_doubt",
    Status.FAILED: "failed",
    Status.DOWNLOADED: "downloaded",
}


def _from_row(row: Mapping[str, Any], status: Status) -> Attempt:
    given = {name: row.get(name) for name in ("run_id", "cost_micro_usd", "files")}
    outcome = _OUTCOMES.get(status, "created")
    return _attempt({"key": row.get("key") or "", "started_at": "", "outcome": outcome, **given})


_ATTEMPT_KEYS = frozenset(field.name for field in fields(Attempt))


def _attempt(item: Mapping[str, Any]) -> Attempt:
    given = {key: value for key, value in item.items() if key in _ATTEMPT_KEYS}
    if given.get("failure") is not None:
        given["failure"] = failure_from(given["failure"])
    given["files"] = tuple(saved_file_from(file) for file in given.get("files") or ())
    attempt = Attempt(**given)
    cost_from(attempt.cost_micro_usd), seconds_from(attempt.latency_s)
    for text in (attempt.key, attempt.started_at, attempt.outcome, *([attempt.run_id] if attempt.run_id else [])):
        text_from(text)
    if type(attempt.refunded) is not bool:
        raise TypeError("refunded is neither true nor false")
    return attempt
