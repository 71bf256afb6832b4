"""The last resort for a run's id that the journal did not take: another file, wherever one can be written."""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from batchgen.events import Doubted
from batchgen.records import Failure, Record, Status
from batchgen.store.files import fsync_folder, write_all
from batchgen.store.paths import StatePaths

INTERRUPTED = Failure("interrupted", "The program ended between the request and its answer.")
_NAMES = ("id", "run_id", "at", "state")
_PLAIN_ID = re.compile(r"[A-Za-z0-9_.:-]{1,200}")  # what is shown to be typed again; others are left to be looked at
_MOST_BYTES = 1024 * 1024


def save_id(paths: StatePaths, name: str, run_id: str, at: str) -> Path | None:
    """Appends the id to an emergency file beside the state, else in the folder for temporary files.

    Returns the file, or None where neither can be written. Raises nothing: the caller shows the id as well.
    """
    for folder in _FOLDERS:
        try:
            entry = {"id": name, "run_id": run_id, "at": at, "state": str(paths.state.absolute())}
            path = folder(paths) / paths.emergency.name
            _append(path, (json.dumps(entry) + "\n").encode())  # plain ASCII, which any tool reads
        except OSError:
            continue
        return path
    return None


def doubts(paths: StatePaths, records: Mapping[str, Record], at: str) -> list[Doubted]:
    """For each intent without an outcome, the event that says so, and names the id where an emergency file has it.

    A person decides all the same: whoever may write to the folder for temporary files may write such a file.
    """
    under_way = [record for record in records.values() if record.status is Status.SUBMITTING]
    if not under_way:
        return []
    known = {attempt.run_id for record in records.values() for attempt in record.attempts}
    saved = [entry for entry in _entries(paths) if entry["run_id"] not in known]
    return [Doubted(id=record.id, at=at, failure=_why(record, saved)) for record in under_way]


def _why(record: Record, saved: Sequence[Mapping[str, str]]) -> Failure:
    since = record.current.started_at if record.current else ""
    for entry in reversed(saved):
        if entry["id"] == record.id and entry["at"] >= since:
            words = f"The answer came, but could not be saved in the state: {entry['where']} has {entry['run_id']}"
            return Failure("interrupted", f"{words}; if that is the run, give it back with --adopt {entry['run_id']}.")
    return INTERRUPTED


def _entries(paths: StatePaths) -> list[dict[str, str]]:
    """What the emergency files of this state hold. A line that is none is passed over: a disk has failed there."""
    out: list[dict[str, str]] = []
    for folder in _FOLDERS:
        with suppress(OSError):
            path = folder(paths) / paths.emergency.name
            if not path.is_file():  # a pipe in its place would be waited for
                continue
            with path.open("rb") as file:
                lines = file.read(_MOST_BYTES).splitlines()
            out += [entry | {"where": str(path)} for line in lines if (entry := _entry(line))]
    ours = str(paths.state.absolute())
    return [entry for entry in out if entry["state"] == ours or entry["where"] == str(paths.emergency)]


def _entry(line: bytes) -> dict[str, str] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in _NAMES):
        return None
    return entry if _PLAIN_ID.fullmatch(entry["run_id"]) else None


def _beside_state(paths: StatePaths) -> Path:
    return paths.state.parent


def _for_temporary_files(_paths: StatePaths) -> Path:
    # Looked up only when it is needed: it raises where every disk is full, and the id must not be lost by that.
    return Path(tempfile.gettempdir())


_FOLDERS = (_beside_state, _for_temporary_files)


def _append(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        before = os.fstat(fd).st_size
        try:
            write_all(fd, data)
        except OSError:
            os.ftruncate(fd, before)  # half a line would spoil the next one
            raise
        os.fsync(fd)
    finally:
        os.close(fd)
    fsync_folder(path.parent)
