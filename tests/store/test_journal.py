"""The journal under every damage: what it gives is a beginning of what was written, or a refusal."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

import pytest

from batchgen import events as ev
from batchgen.errors import StateDamaged, StateNewer, StateProblem
from batchgen.store.journal import Journal, decode_line, encode_line, event_line, read_journal
from tests.core.samples import AT, created, doubted, intended, one_of_each, planned

EVENTS = (planned("a"), intended("a"), created("a"), planned("b"), intended("b"), doubted("b"))


def written(path: Path, *batches: tuple[ev.Event, ...], generation: int = 3) -> bytes:
    """A journal with these events, each tuple in one write."""
    journal = Journal(path, generation)
    for batch in batches:
        journal.append(event_line(event) for event in batch)
    journal.close()
    return path.read_bytes()


def events_of(path: Path, data: bytes) -> tuple[ev.Event, ...] | None:
    """What a journal of these bytes gives; None where it is refused."""
    path.write_bytes(data)
    try:
        read = read_journal(path)
    except StateProblem:
        return None
    assert read is not None
    assert read.generation == 3
    return read.events


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "batch.state.json.journal"


def test_every_event_comes_back_in_order(path: Path) -> None:
    odd = planned("c", prompt="é \u2028 \x00 “\n” \ud83d", n=1.5)
    written(path, one_of_each(), (odd,))
    read = read_journal(path)
    assert read is not None
    assert read.events == (*one_of_each(), odd)
    assert read.torn == b""


def test_no_journal_is_none(path: Path) -> None:
    assert read_journal(path) is None


def test_each_line_is_json_with_a_checksum_at_its_end(path: Path) -> None:
    for line in written(path, EVENTS).splitlines():
        assert json.loads(line)["crc32"] == line[-10:-2].decode()
        assert decode_line(line) is not None


@pytest.mark.parametrize("batches", [tuple((event,) for event in EVENTS), (EVENTS,)], ids=["six writes", "one write"])
def test_a_journal_cut_at_any_byte_gives_the_events_before_the_cut(
    path: Path, batches: tuple[tuple[ev.Event, ...], ...]
) -> None:
    data = written(path, *batches)
    header = data.index(b"\n")
    for cut in range(header, len(data) + 1):
        # an event whose line is whole but for its newline has happened, and may count
        lines = [decode_line(line) for line in data[:cut].split(b"\n")]
        whole = sum(line is not None and "event" in line for line in lines)
        assert events_of(path, data[:cut]) == EVENTS[:whole], cut


def test_any_changed_byte_gives_a_beginning_of_the_true_events_or_a_refusal(path: Path) -> None:
    data = written(path, *((event,) for event in EVENTS))
    refused = 0
    for at in range(len(data)):
        for change in (0x20, data[at] ^ 0x0A or 0x01):  # the second makes it a newline, or no newline
            bad = bytearray(data)
            bad[at] ^= change
            got = events_of(path, bytes(bad))
            refused += got is None
            assert got is None or got == EVENTS[: len(got)], (at, change)
    assert refused > 0.7 * 2 * len(data)


def test_a_changed_byte_before_the_last_write_is_always_refused(path: Path) -> None:
    data = written(path, *((event,) for event in EVENTS))
    mark = data.rindex(b'\n{"durable":')  # the newline before the mark belongs to it: without it the mark is unreadable
    for at in range(mark):
        bad = bytearray(data)
        bad[at] = 0
        assert events_of(path, bytes(bad)) is None, at


def test_a_changed_letter_in_the_last_write_is_refused_because_no_crash_leaves_it(path: Path) -> None:
    """Dropping an intent that was on disk would send its POST a second time."""
    data = written(path, EVENTS[:1], EVENTS[1:2])
    at = data.rindex(b"intended")
    assert events_of(path, data[:at] + b"x" + data[at + 1 :]) is None


def test_a_hole_in_an_unsynced_write_is_cut_off_with_all_behind_it(path: Path) -> None:
    """A power cut may leave the last page of a write and not the one before it."""
    first, last = EVENTS[:2], EVENTS[2:]
    data = written(path, first, last)
    start = len(written(path, first))
    line_ends = [start + n for n, byte in enumerate(data[start:]) if byte == 0x0A]
    for begin in range(start, len(data) - 8, 7):
        end = min(begin + 100, len(data) - 4)
        got = events_of(path, data[:begin] + b"\0" * (end - begin) + data[end:])
        whole_lines = sum(at < begin for at in line_ends)
        assert got == EVENTS[: 2 + max(0, whole_lines - 1)], begin


def test_a_hole_that_takes_the_mark_of_its_own_write_leaves_the_writes_before_it(path: Path) -> None:
    data = written(path, EVENTS[:2], EVENTS[2:])
    start = data.rindex(b'{"durable":')
    assert events_of(path, data[:start] + b"\0" * 50 + data[start + 50 :]) == EVENTS[:2]


def test_what_was_cut_off_is_reported_as_torn(path: Path) -> None:
    data = written(path, EVENTS[:1])
    path.write_bytes(data + b'{"event":"inten')
    read = read_journal(path)
    assert read is not None
    assert read.torn == b'{"event":"inten'


@pytest.mark.parametrize("data", [b"", b"\n", b"{}", b"\0" * 64, b"not a journal\n", encode_line({"format": "other"})])
def test_a_file_without_the_first_line_is_refused(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with pytest.raises(StateDamaged, match="line 1"):
        read_journal(path)


def test_a_later_version_is_refused_as_such(path: Path) -> None:
    path.write_bytes(encode_line({"format": "batchgen-journal", "version": 2, "generation": 1}))
    with pytest.raises(StateNewer):
        read_journal(path)


@pytest.mark.parametrize("generation", [None, "1", 1.5])
def test_a_generation_that_is_no_number_is_refused(path: Path, generation: object) -> None:
    path.write_bytes(encode_line({"format": "batchgen-journal", "version": 1, "generation": generation}))
    with pytest.raises(StateDamaged):
        read_journal(path)


def test_an_event_of_a_later_version_is_refused_with_the_way_out(path: Path) -> None:
    data = written(path, EVENTS[:1])
    path.write_bytes(data + encode_line({"event": "teleported", "id": "a", "at": "now"}))
    with pytest.raises(StateDamaged, match="teleported") as caught:
        read_journal(path)
    assert "version" in str(caught.value.hint)


def test_a_write_that_fails_half_way_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(path, 3)
    journal.append([event_line(EVENTS[0])])
    before = path.read_bytes()
    real = os.write

    def half(fd: int, data: bytes) -> int:
        real(fd, bytes(data)[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(OSError, match="No space"):
        journal.append([event_line(EVENTS[1])])
    monkeypatch.undo()
    journal.close()
    assert path.read_bytes() == before


def test_short_writes_are_gone_on_with(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:5]))
    written(path, EVENTS)
    read = read_journal(path)
    assert read is not None
    assert read.events == EVENTS


def test_an_event_that_is_no_json_is_refused_before_anything_is_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        event_line(planned("a", n=float("nan")))


@pytest.mark.parametrize(
    "value",
    [
        {"event": ["planned"], "id": "lamp", "at": AT},
        {"event": "retried", "id": ["lamp"], "at": AT},
        {"event": "retried", "id": "lamp", "at": None},
        {"event": "created", "id": "lamp", "at": AT, "run_id": 5},
        {"event": "created", "id": "lamp", "at": AT, "run_id": "run_1", "cost_micro_usd": -1},
        {"event": "noted", "id": "lamp", "at": AT, "failure": {"code": [], "message": ""}},
        {"event": "downloaded", "id": "lamp", "at": AT, "files": [{"path": 1, "bytes": 1, "sha256": ""}]},
        {"event": "failed", "id": "lamp", "at": AT, "failure": {"code": "", "message": ""}, "refunded": 1},
    ],
    ids=str,
)
def test_an_event_with_a_value_of_the_wrong_kind_is_refused(path: Path, value: dict[str, Any]) -> None:
    head = {"format": "batchgen-journal", "version": 1, "generation": 3}
    path.write_bytes(encode_line(head) + encode_line(value))
    with pytest.raises(StateDamaged):
        read_journal(path)


def test_a_line_that_is_nested_without_end_is_refused_though_its_checksum_is_right(path: Path) -> None:
    body = b'{"event":' + b"[" * 5000 + b"]" * 5000
    head = encode_line({"format": "batchgen-journal", "version": 1, "generation": 3})
    path.write_bytes(head + b'%s,"crc32":"%08x"}\n' % (body, zlib.crc32(body)))
    with pytest.raises(StateDamaged):
        read_journal(path)
