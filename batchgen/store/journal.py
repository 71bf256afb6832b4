"""The journal: one JSON line for each event, each with a checksum, on disk before the event counts.

Its first line names the generation of the state that it continues. A journal of an older generation has been folded
into the state already (the program ended between the two renames of a fold) and is passed over.

Each write begins with a mark: a line that says how long the journal was on disk by then. A power cut can leave a hole
in the middle of a write whose end is there, because pages reach the disk in any order. Nothing of a write that was
never synced has counted, so damage behind the last mark is cut off if it looks like what a crash leaves (an end
without a newline, or zeros); any other damage is refused.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchgen.errors import StateDamaged, StateNewer
from batchgen.events import Event, from_json, to_json
from batchgen.store.files import replace_file, write_all
from batchgen.store.strictjson import loads

FORMAT, VERSION = "batchgen-journal", 1
_MARK = b',"crc32":"'
_TAIL = len(_MARK) + 8 + len(b'"}')
_DURABLE = "durable"


def encode_line(value: Mapping[str, Any]) -> bytes:
    """The value as one JSON line that ends with the CRC-32 of what stands before it."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(
        "utf-8", "surrogatepass"
    )
    body = body[:-1]
    return b'%s%s%08x"}\n' % (body, _MARK, zlib.crc32(body))


def event_line(event: Event) -> bytes:
    """The event as a line of the journal. Raises TypeError or ValueError where it is no JSON."""
    return encode_line(to_json(event))


def decode_line(line: bytes) -> dict[str, Any] | None:
    """The value of a line (without its newline), or None where it is not what was written."""
    body, tail = line[:-_TAIL], line[-_TAIL:]
    if not tail.startswith(_MARK) or tail[len(_MARK) :] != b'%08x"}' % zlib.crc32(body):
        return None
    try:
        value = loads(body + b"}")
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


@dataclass(frozen=True, slots=True)
class JournalRead:
    """What a journal holds. `torn` is what a crash left of a last write that never counted."""

    generation: int
    events: tuple[Event, ...]
    torn: bytes = b""


def read_journal(path: Path) -> JournalRead | None:
    """Reads a journal whole; None where there is none. Raises StateDamaged, StateNewer or OSError.

    Only the last write may be torn: it is complete on disk before the next one is begun.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    values = [decode_line(line) for line in lines]
    header = values[0] if values else None
    if header is None or header.get("format") != FORMAT:
        raise _damaged(path, 1)
    if header.get("version") != VERSION:
        raise StateNewer(f"{path} was written by a later version of batchgen.", "Use that version to go on.")
    generation = header.get("generation")
    if not isinstance(generation, int):
        raise _damaged(path, 1)
    whole = values.index(None) if None in values else len(values)
    end = sum(len(line) + 1 for line in lines[:whole])
    if whole < len(values) and not _torn(values, data, end):
        raise _damaged(path, whole + 1)
    return JournalRead(generation, tuple(_events(path, values[1:whole])), data[end:])


def _torn(values: Sequence[Mapping[str, Any] | None], data: bytes, end: int) -> bool:
    """Whether all from `end` on is what a crash left of the last write, whose events never counted."""
    marks = [value[_DURABLE] for value in values if value and isinstance(value.get(_DURABLE), int)]
    return end >= max(marks, default=0) and (not data.endswith(b"\n") or b"\0" in data[end:])


def _events(path: Path, values: Sequence[Mapping[str, Any] | None]) -> Iterator[Event]:
    for number, value in enumerate(values, start=2):
        if value is None or _DURABLE in value:
            continue
        try:
            yield from_json(value)
        except (KeyError, TypeError, ValueError) as problem:
            raise StateDamaged(
                f"{path}, line {number}: an event that this version does not know ({problem}).",
                "Use the version of batchgen that wrote it.",
            ) from problem


def _damaged(path: Path, line: int) -> StateDamaged:
    return StateDamaged(
        f"{path} is damaged at line {line}: its checksum does not match.",
        "Restore this file and the state beside it from a backup. Without one, move both away, and look up in your "
        "account which runs exist before you run the manifest again: it would be rendered and paid for anew.",
    )


class Journal:
    """The open journal of one generation. Every method blocks; the ledger calls it from a worker thread."""

    def __init__(self, path: Path, generation: int) -> None:
        self.generation = generation
        replace_file(path, [encode_line({"format": FORMAT, "version": VERSION, "generation": generation})])
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND)
        self.size = os.fstat(self._fd).st_size

    def append(self, lines: Iterable[bytes]) -> None:
        """Writes the lines (`event_line`) and waits until they are on disk. Raises OSError; then none counts."""
        data = b"".join((encode_line({_DURABLE: self.size}), *lines))
        try:
            write_all(self._fd, data)
            os.fsync(self._fd)
        except OSError:
            self._cut_back()
            raise
        self.size += len(data)

    def _cut_back(self) -> None:
        """Takes a half-written line away where that still works; else it is a torn last line at the next start."""
        try:
            os.ftruncate(self._fd, self.size)
        except OSError:
            return

    def close(self) -> None:
        """Closes the file; nothing is written."""
        os.close(self._fd)
