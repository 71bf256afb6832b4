"""The journal under every damage: what it gives is a beginning of what was written, or a refusal."""

from __future__ import annotations

import json
import os
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from batchgen import events as ev
from batchgen.errors import StateDamaged, StateNewer, StateProblem
from batchgen.store import journal as journal_module
from batchgen.store.journal import Journal, decode_journal, decode_line, encode_line, event_line, read_journal
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


def decoded(data: bytes) -> tuple[ev.Event, ...] | None:
    """As `events_of`, without a file."""
    try:
        return decode_journal(Path("journal"), data).events
    except StateProblem:
        return None


def content(data: bytes) -> bytes:
    """A journal without the room behind it."""
    return data.rstrip(b"\0")


@pytest.fixture(autouse=True)
def _little_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept free is as large as it is for the sake of many POSTs; small, it is quicker to look through."""
    monkeypatch.setattr(journal_module, "KEPT_FREE_BYTES", 256)


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
    for line in content(written(path, EVENTS)).splitlines():
        assert json.loads(line)["crc32"] == line[-10:-2].decode()
        assert decode_line(line) is not None


@pytest.mark.parametrize("batches", [tuple((event,) for event in EVENTS), (EVENTS,)], ids=["six writes", "one write"])
def test_a_journal_that_a_crash_left_at_any_byte_gives_the_events_before_it(
    path: Path, batches: tuple[tuple[ev.Event, ...], ...]
) -> None:
    """What did not reach the disk is zeros there: the room was made before."""
    data = written(path, *batches)
    header = data.index(b"\n") + 1
    for cut in range(header, len(content(data)) + 1):
        # an event whose line is whole but for its newline has happened, and may count
        lines = [decode_line(line) for line in data[:cut].split(b"\n")]
        whole = sum(line is not None and "event" in line for line in lines)
        assert events_of(path, data[:cut] + bytes(len(data) - cut)) == EVENTS[:whole], cut


def test_a_journal_that_was_cut_at_any_byte_is_refused(path: Path) -> None:
    """No crash makes it shorter: an intent that is cut away would be sent a second time."""
    data = written(path, *((event,) for event in EVENTS))
    for cut in range(len(content(data)) + 1):
        assert events_of(path, data[:cut]) is None, cut


def test_a_journal_that_was_cut_in_the_room_behind_its_last_line_has_lost_nothing(path: Path) -> None:
    data = written(path, *((event,) for event in EVENTS))
    for cut in (*range(len(content(data)) + 1, len(content(data)) + 40), len(data) - 5, len(data) - 1):
        assert events_of(path, data[:cut]) == EVENTS, cut


def test_what_stands_behind_the_room_is_a_torn_last_line(path: Path) -> None:
    """Someone's half a line at the end of the file is dropped like any other."""
    data = written(path, *((event,) for event in EVENTS))
    assert events_of(path, data + b'{"event":"crea') == EVENTS


def test_any_changed_byte_gives_what_was_written_or_a_refusal(path: Path) -> None:
    """Every bit, and the bytes that mean something to a journal."""
    data = written(path, EVENTS[:1], EVENTS[1:3], EVENTS[3:])
    length = len(content(data))
    for at in range(length + 3):
        for value in {*(data[at] ^ 1 << bit for bit in range(8)), *b'\0\n {}"0'} - {data[at]}:
            got = decoded(data[:at] + bytes((value,)) + data[at + 1 :])
            harmless = at >= length or (at == length - 1 and value == 0)  # in the room, or the last newline not there
            assert got == EVENTS or (got is None and not (harmless and value == 0)), (at, value)
            assert got is None or harmless, (at, value)


def test_a_changed_letter_in_the_last_write_is_refused_because_no_crash_leaves_it(path: Path) -> None:
    """Dropping an intent that was on disk would send its POST a second time."""
    data = written(path, EVENTS[:1], EVENTS[1:2])
    at = data.rindex(b"intended")
    assert events_of(path, data[:at] + b"x" + data[at + 1 :]) is None


def test_a_hole_in_an_unsynced_write_is_cut_off_with_all_behind_it(path: Path) -> None:
    """A power cut may leave the last page of a write and not the one before it."""
    first, last = EVENTS[:2], EVENTS[2:]
    data = content(written(path, first, last))
    start = len(content(written(path, first)))
    line_ends = [start + n for n, byte in enumerate(data[start:]) if byte == 0x0A]
    for begin in range(start, len(data) - 8, 7):
        end = min(begin + 100, len(data) - 4)
        got = events_of(path, data[:begin] + bytes(end - begin) + data[end:] + bytes(2048))
        whole_lines = sum(at < begin for at in line_ends)
        assert got == EVENTS[: 2 + max(0, whole_lines - 1)], begin


def test_a_hole_that_takes_the_mark_of_its_own_write_leaves_the_writes_before_it(path: Path) -> None:
    data = written(path, EVENTS[:2], EVENTS[2:])
    start = data.rindex(b'{"durable":')
    assert events_of(path, data[:start] + b"\0" * 50 + data[start + 50 :]) == EVENTS[:2]


def test_what_was_cut_off_is_reported_as_torn(path: Path) -> None:
    data = written(path, EVENTS[:1])
    path.write_bytes(content(data) + b'{"event":"inten' + bytes(len(data)))
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
    path.write_bytes(content(data) + encode_line({"event": "teleported", "id": "a", "at": "now"}) + bytes(len(data)))
    with pytest.raises(StateDamaged, match="teleported") as caught:
        read_journal(path)
    assert "version" in str(caught.value.hint)


def test_a_write_that_fails_half_way_is_taken_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also a write that is whole, but perhaps not on disk: whoever asked for it was told that it does not count."""
    for call in ("write", "fsync"):
        journal = Journal(path, 3)
        journal.append([event_line(EVENTS[0])])
        real = getattr(os, call)

        def once(fd: int, *data: bytes, call: str = call, real: Any = real) -> int:
            monkeypatch.setattr(os, call, real)
            if data:
                real(fd, bytes(data[0])[: len(data[0]) // 2])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, call, once)
        with pytest.raises(OSError, match="No space"):
            journal.append([event_line(EVENTS[1])])
        journal.close()
        read = read_journal(path)
        assert read is not None
        assert (read.events, bool(read.torn)) == (EVENTS[:1], True)


def test_on_a_disk_without_room_what_has_begun_can_still_be_written(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room is kept free for outcomes. It is said that there is no more, and what does not fit is refused whole."""
    monkeypatch.setattr(journal_module, "KEPT_FREE_BYTES", 2048)
    journal = Journal(path, 3)
    length, real = path.stat().st_size, os.write

    def full(fd: int, data: bytes) -> int:
        if os.lseek(fd, 0, os.SEEK_CUR) + len(data) > length:
            raise OSError(28, "No space left on device")
        return real(fd, data)

    monkeypatch.setattr(os, "write", full)
    taken = 0
    while journal.full is None:
        journal.append([event_line(EVENTS[0])])
        taken += 1
    for _ in range(5):
        journal.append([event_line(EVENTS[1])])
    with pytest.raises(OSError, match="No space"):
        journal.append([event_line(EVENTS[2])] * 20)
    journal.close()
    read = read_journal(path)
    assert read is not None
    assert read.events == (EVENTS[0],) * taken + (EVENTS[1],) * 5


def test_every_write_begins_and_ends_at_a_multiple_of_16(path: Path) -> None:
    """So that a sector that did not reach the disk is never a hole of one byte, which a damaged byte looks like."""
    data = content(written(path, *((event,) for event in EVENTS)))
    begins = [at for at in range(len(data)) if data.startswith(b'{"durable":', at)]
    assert len(begins) == len(EVENTS)
    assert [at % 16 for at in (*begins, len(data))] == [0] * (len(EVENTS) + 1)


def test_room_is_on_disk_before_a_write_says_that_it_is_there(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut could leave the word without the room: a journal that seems to have lost its end."""
    journal, calls, real = Journal(path, 3), list[str](), os.write

    def write(fd: int, data: bytes) -> int:
        calls.append("events" if bytes(data).strip(b"\0") else "room")
        return real(fd, data)

    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(os, "fsync", lambda _fd: calls.append("sync"))
    for event in EVENTS * 3:
        journal.append([event_line(event)])
    journal.close()
    assert "room" in calls
    assert all(after == "sync" for call, after in pairwise(calls) if call == "room")


def test_a_long_journal_makes_itself_more_room_and_is_refused_when_it_loses_any_of_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "KEPT_FREE_BYTES", 1024)
    events = EVENTS * 8
    data = written(path, *((event,) for event in events))
    assert events_of(path, data) == events
    assert len(data) > 4 * 1024
    for cut in range(0, len(content(data)), 31):
        assert events_of(path, data[:cut]) is None, cut


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


def test_a_refusal_is_short_however_long_what_is_refused(path: Path) -> None:
    head = encode_line({"format": "batchgen-journal", "version": 1, "generation": 3})
    path.write_bytes(head + encode_line({"event": "x" * 100_000, "id": "lamp", "at": AT}))
    with pytest.raises(StateDamaged) as caught:
        read_journal(path)
    assert len(str(caught.value)) < 500


def test_a_line_that_is_nested_without_end_is_refused_though_its_checksum_is_right(path: Path) -> None:
    body = b'{"event":' + b"[" * 5000 + b"]" * 5000
    head = encode_line({"format": "batchgen-journal", "version": 1, "generation": 3})
    path.write_bytes(head + b'%s,"crc32":"%08x"}\n' % (body, zlib.crc32(body)))
    with pytest.raises(StateDamaged):
        read_journal(path)
