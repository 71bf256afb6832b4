"""The journal: one JSON line for each event, each with a checksum, on disk before the event counts.

Its first line names the generation of the state that it continues. A journal of an older generation has been folded
into the state already (the program ended between the two renames of a fold) and is passed over.

Each write begins with a mark: a line that says how long the journal was on disk by then. A power cut can leave a hole
in the middle of a write whose end is there, because pages reach the disk in any order. Nothing of a write that was
never synced has counted, so damage behind the last mark is cut off if it looks like what a crash leaves; any other
damage is refused.

Writes go into room that was made before: zeros, on disk already, of which the first line and the marks say how far
they go. So the ids of POSTs that are in the air still find a place on a disk that has become full; a journal that
lost its end is shorter than it says and does not end in zeros, and is refused (one that lost some zeros lost
nothing); and what a crash leaves is a hole of zeros, which no single damaged byte looks like. Every write begins and
ends at a multiple of 16 bytes, so that a hole is at least as long.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from batchgen.errors import StateDamaged, StateNewer
from batchgen.events import Event, from_json, to_json
from batchgen.store.files import replace_file, write_all
from batchgen.store.strictjson import loads

FORMAT, VERSION = "batchgen-journal", 1
LONGEST_WHY = 200
_MARK = b',"crc32":"'
_TAIL = len(_MARK) + 8 + len(b'"}')
_DURABLE, _ROOM, _FILL = "durable", "room", "fill"
_ALIGNED = 16
_HOLE = b"\0\0"
# What is kept free behind the last write: the outcomes of some three hundred POSTs.
KEPT_FREE_BYTES = 64 * 1024


def encode_line(value: Mapping[str, Any]) -> bytes:
    """The value as one JSON line that ends with the CRC-32 of what stands before it."""
    body = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(
        "utf-8", "surrogatepass"
    )
    body = body[:-1]
    return b'%s%s%08x"}\n' % (body, _MARK, zlib.crc32(body))


def _filled_line(value: Mapping[str, Any], behind: int) -> bytes:
    """As `encode_line`, filled so that the line and the `behind` bytes after it end at a multiple of 16."""
    short = len(encode_line({**value, _FILL: ""})) + behind
    return encode_line({**value, _FILL: " " * (-short % _ALIGNED)})


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

    What looks like damage is read again: it may have been a write that was under way.
    """
    data = _bytes_of(path)
    while data is not None:
        try:
            return decode_journal(path, data)
        except StateDamaged:
            before, data = data, _bytes_of(path)
            if data == before:
                raise
    return None


def _bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def decode_journal(path: Path, data: bytes) -> JournalRead:
    """The journal that is these bytes. Raises StateDamaged or StateNewer.

    Only the last write may be torn: it is complete on disk before the next one is begun.
    """
    lines = data.rstrip(b"\0").split(b"\n")
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
    if len(data) < max(_numbers(values, _ROOM), default=0) and not data.endswith(b"\0"):
        raise _refused(f"{path} has lost its end: it is {len(data)} bytes long, and was longer.")
    whole = values.index(None) if None in values else len(values)
    end = sum(len(line) + 1 for line in lines[:whole])
    if whole < len(values) and (end < max(_numbers(values, _DURABLE), default=0) or not _torn(data, end)):
        raise _damaged(path, whole + 1)
    return JournalRead(generation, tuple(_events(path, values[1:whole])), data[end:].rstrip(b"\0"))


def _numbers(values: Sequence[Mapping[str, Any] | None], name: str) -> list[int]:
    return [value[name] for value in values if value and isinstance(value.get(name), int)]


def _torn(data: bytes, end: int) -> bool:
    """Whether the line from `end` on is what a crash leaves: a hole in it, or zeros instead of its end."""
    line, newline, _ = data[end:].partition(b"\n")
    if newline:
        return _HOLE in line
    # Whole but for one byte, which should be its newline: a crash does not put anything else there.
    return decode_line(line.rstrip(b"\0")[:-1]) is None


def _events(path: Path, values: Sequence[Mapping[str, Any] | None]) -> Iterator[Event]:
    for number, value in enumerate(values, start=2):
        if value is None or _DURABLE in value:
            continue
        try:
            yield from_json(value)
        except (KeyError, TypeError, ValueError) as problem:
            raise StateDamaged(
                f"{path}, line {number}: an event that this version does not know ({str(problem)[:LONGEST_WHY]}).",
                "Use the version of batchgen that wrote it.",
            ) from problem


def _damaged(path: Path, line: int) -> StateDamaged:
    return _refused(f"{path} is damaged at line {line}: its checksum does not match.")


def _refused(what: str) -> StateDamaged:
    return StateDamaged(
        what,
        "Restore this file and the state beside it from a backup. Without one, move both away, and look up in your "
        "account which runs exist before you run the manifest again: it would be rendered and paid for anew.",
    )


class Journal:
    """The open journal of one generation. Every method blocks; the ledger calls it from a worker thread.

    `full` says why no more room could be made; what was kept free is for what has begun already.
    """

    def __init__(self, path: Path, generation: int) -> None:
        self.generation = generation
        self.full: OSError | None = None
        self._room = 2 * KEPT_FREE_BYTES
        first = {"format": FORMAT, "version": VERSION, "generation": generation, _ROOM: self._room}
        line = _filled_line(first, 0)
        replace_file(path, [line, bytes(self._room - len(line))])
        self._fd = os.open(path, os.O_WRONLY)
        self.size = len(line)

    def append(self, lines: Iterable[bytes]) -> None:
        """Writes the lines (`event_line`) and waits until they are on disk. Raises OSError; then none counts."""
        events = b"".join(lines)
        self._make_room(len(events) + 256)  # the mark is shorter than that
        mark = {_DURABLE: self.size, _ROOM: self._room}
        data = _filled_line(mark, len(events)) + events
        try:
            os.lseek(self._fd, self.size, os.SEEK_SET)
            write_all(self._fd, data)
            os.fsync(self._fd)
        except OSError:
            self._cut_back()
            raise
        self.size += len(data)

    def _make_room(self, needed: int) -> None:
        """Sees to it that after the next write enough is free. Raises OSError where not even that write fits."""
        end = self.size + needed
        if end + KEPT_FREE_BYTES <= self._room:
            return
        try:
            if self.full:
                raise self.full
            os.lseek(self._fd, self._room, os.SEEK_SET)
            write_all(self._fd, bytes(end + 2 * KEPT_FREE_BYTES - self._room))
            os.fsync(self._fd)  # before any mark says that it is there
            self._room = end + 2 * KEPT_FREE_BYTES
        except OSError as problem:
            self.full = problem
            if end > self._room:
                raise

    def _cut_back(self) -> None:
        """Punches a hole where a write that failed began: at the next start, it is torn and counts for nothing.

        Where that fails too, what is whole of it counts: it has happened, but whoever asked was told otherwise.
        """
        with suppress(OSError):
            os.lseek(self._fd, self.size, os.SEEK_SET)
            os.write(self._fd, bytes(_ALIGNED))

    def close(self) -> None:
        """Closes the file; nothing is written. An error in it says nothing: all that counts was synced before."""
        with suppress(OSError):
            os.close(self._fd)
