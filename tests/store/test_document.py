"""The state as JSON: what is written comes back, damage is refused, other people's JSON is read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batchgen import events as ev
from batchgen.errors import StateDamaged, StateNewer, StateProblem
from batchgen.records import Record, Status
from batchgen.store.document import Document, Header, decode_document, encode_document
from tests.core.samples import AT, MODEL, WHY, after, created, failed, in_status, intended, planned

PATH = Path("batch.state.json")
HEADER = Header("https://runbase.net/api/v1", "batch.yaml", "ab" * 32, "2026-01-02T03:04:05.678Z", 7)


def written(records: list[Record], header: Header = HEADER) -> bytes:
    return b"".join(encode_document(header, {record.id: record for record in records}))


def all_statuses() -> list[Record]:
    return [in_status(status, f"run-{status}") for status in Status]


def read(data: bytes) -> Document:
    return decode_document(PATH, data)


def test_records_in_every_status_come_back_as_they_were() -> None:
    records = all_statuses()
    document = read(written(records))
    assert document.header == HEADER
    assert list(document.records.values()) == records


@pytest.mark.parametrize("last", [ev.Rejected(id="lamp", at=AT, failure=WHY), created(cost=0)], ids=lambda e: e.name)
def test_a_cost_of_nothing_comes_back_as_nothing_and_not_as_unknown(last: ev.Event) -> None:
    record = after(planned(), intended(), last)
    assert record.attempts[0].cost_micro_usd == 0
    assert read(written([record])).records == {"lamp": record}


def test_odd_texts_and_several_attempts_come_back() -> None:
    record = after(
        planned("é “x”\n\u2028", prompt="\ud83d \x00", deep={"a": [1, 1.5, None, True]}),
        intended("é “x”\n\u2028"),
        created("é “x”\n\u2028", cost=None),
        failed("é “x”\n\u2028"),
        planned("é “x”\n\u2028", prompt="new"),
        intended("é “x”\n\u2028"),
        created("é “x”\n\u2028"),
    )
    assert read(written([record])).records == {record.id: record}


def test_the_document_is_plain_json_in_the_form_of_the_design() -> None:
    value = json.loads(written([in_status(Status.DOWNLOADED)]))
    row = value["runs"]["lamp"]
    assert (value["format"], value["version"]) == ("batchgen-state", 1)
    assert value["manifest"] == {"path": "batch.yaml", "sha256": "ab" * 32}
    assert row["status"] == "downloaded"
    assert row["run_id"] == "run_lamp"
    assert row["cost_micro_usd"] == 200_000
    assert row["files"] == [{"path": "videos/lamp.mp4", "bytes": 12, "sha256": "ab" * 32}]
    assert row["error"] is None
    assert row["key"] == "sha256:1f0c9a2b"
    assert {"planned_at", "intended_at", "submitted_at", "succeeded_at", "downloaded_at"} <= row.keys()


def test_a_state_without_runs_comes_back() -> None:
    assert read(written([])).records == {}


def test_any_changed_byte_gives_the_right_state_or_a_refusal() -> None:
    records = [in_status(Status.IN_DOUBT, "a"), in_status(Status.DOWNLOADED, "b")]
    data = written(records)
    right = read(data)
    refused = 0
    for at in range(len(data)):
        for change in (0x01, 0x02, 0x10, 0x20, 0x80):
            bad = bytearray(data)
            bad[at] ^= change
            try:
                got = read(bytes(bad))
            except StateProblem:
                refused += 1
                continue
            assert got == right, (at, change)
    assert refused > 0.95 * 5 * len(data)


def test_a_document_cut_at_any_byte_is_refused() -> None:
    data = written([in_status(Status.IN_DOUBT)])
    for cut in range(len(data) - 1):
        with pytest.raises(StateDamaged):
            read(data[:cut])


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("separators", [None, (",", ":")])
def test_a_state_that_another_program_has_rewritten_is_taken_at_its_word(
    indent: int | None, separators: tuple[str, str] | None
) -> None:
    value = json.loads(written(all_statuses()))
    value["runs"]["run-failed"]["status"] = "pending"
    for end in ("", "\n"):
        document = read((json.dumps(value, indent=indent, separators=separators) + end).encode())
        assert document.records["run-failed"].status is Status.PENDING
        assert document.records["run-failed"].attempts[0].run_id == "run_run-failed"


def test_an_edit_in_our_own_layout_is_refused_and_the_message_says_how_it_is_accepted() -> None:
    data = written([in_status(Status.IN_DOUBT)]).replace(b'"in_doubt"', b'"failed"', 1)
    with pytest.raises(StateDamaged, match='"checksum":""'):
        read(data)
    start, _, _ = data.rpartition(b"\n\n") if b"\n\n" in data else data.rpartition(b'\n"checksum"')
    assert read(start + b'\n"checksum":""}\n').records["lamp"].status is Status.FAILED


def minimal(status: str, **row: Any) -> bytes:
    """A state as a person would write it after the design's example."""
    run = {"status": status, "model": MODEL, "input": {"prompt": "x"}, "input_sha256": "00", **row}
    return json.dumps({"format": "batchgen-state", "version": 1, "runs": {"lamp": run}}).encode()


@pytest.mark.parametrize(
    ("status", "row", "outcome"),
    [
        ("submitting", {}, "open"),
        ("in_doubt", {}, "in_doubt"),
        ("in_doubt", {"run_id": None, "key": "sha256:1f0c9a2b", "error": {"code": "x", "message": "y"}}, "in_doubt"),
        ("submitted", {"run_id": "run_1", "cost_micro_usd": 5}, "created"),
        ("succeeded", {"run_id": "run_1", "attempts": [], "files": []}, "created"),
        (
            "downloaded",
            {"run_id": "run_1", "cost_micro_usd": 5, "files": [{"path": "a.mp4", "bytes": 1, "sha256": "00"}]},
            "downloaded",
        ),
        ("failed", {"run_id": "run_1", "cost_micro_usd": 5, "error": {"code": "x", "message": "y"}}, "failed"),
    ],
)
def test_a_hand_written_state_of_the_least_form_is_read(status: str, row: dict[str, Any], outcome: str) -> None:
    document = read(minimal(status, **row))
    record = document.records["lamp"]
    assert (document.header.base_url, document.header.generation) == (None, 0)
    assert record.status == status
    assert record.run_id == row.get("run_id")
    assert record.cost_micro_usd == row.get("cost_micro_usd")
    assert [attempt.outcome for attempt in record.attempts] == [outcome]
    assert len(record.files) == len(row.get("files", ()))
    assert read(written([record])).records["lamp"] == record


@pytest.mark.parametrize("status", ["pending", "failed"])
def test_a_run_that_was_never_sent_needs_no_attempt(status: str) -> None:
    assert read(minimal(status)).records["lamp"].attempts == ()


def test_a_run_id_that_a_person_has_put_into_a_row_is_kept() -> None:
    value = json.loads(written([in_status(Status.IN_DOUBT)]))
    value["runs"]["lamp"] |= {"status": "submitted", "run_id": "run_found"}
    record = read(json.dumps(value).encode()).records["lamp"]
    assert (record.status, record.run_id, len(record.attempts)) == (Status.SUBMITTED, "run_found", 1)


def test_a_row_that_names_two_run_ids_is_refused() -> None:
    value = json.loads(written([in_status(Status.SUBMITTED)]))
    value["runs"]["lamp"]["run_id"] = "run_other"
    with pytest.raises(StateDamaged, match="run_other and run_lamp"):
        read(json.dumps(value).encode())


@pytest.mark.parametrize("status", ["submitted", "succeeded"])
def test_a_run_that_is_to_be_polled_without_an_id_is_refused(status: str) -> None:
    with pytest.raises(StateDamaged, match="without a run_id"):
        read(minimal(status, key="sha256:1f0c9a2b"))


@pytest.mark.parametrize(
    "row",
    [
        {"status": "done"},
        {"status": None},
        {"model": None},
        {"input": None},
        {"input_sha256": 5},
        {"run_id": 5},
        {"run_id": "run_1", "cost_micro_usd": "5"},
        {"run_id": "run_1", "cost_micro_usd": True},
        {"run_id": "run_1", "cost_micro_usd": 0.2},
        {"run_id": "run_1", "files": [{"path": "a"}]},
        {"run_id": "run_1", "attempts": [{"run_id": "run_1"}]},
        {"run_id": "run_1", "attempts": {"a": 1}},
        {"run_id": "run_1", "error": "words"},
        {"run_id": "run_1", "submitted_at": 5},
    ],
    ids=str,
)
def test_a_row_of_the_wrong_form_is_refused(row: dict[str, Any]) -> None:
    value = json.loads(minimal("submitted", run_id="run_0"))
    value["runs"]["lamp"] |= row
    with pytest.raises(StateDamaged):
        read(json.dumps(value).encode())


@pytest.mark.parametrize(
    "change",
    [
        {"format": "other"},
        {"version": None},
        {"version": 0},
        {"version": "1"},
        {"runs": None},
        {"runs": []},
        {"manifest": "batch.yaml"},
        {"base_url": 5},
        {"journal": "7"},
        {"unheard_of": 1},
    ],
    ids=str,
)
def test_a_document_of_the_wrong_form_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(StateDamaged):
        read(json.dumps(json.loads(written([])) | change).encode())


@pytest.mark.parametrize("data", [b"", b"[]", b"null", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(StateDamaged):
        read(data)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"runs":{', b'"runs":{"lamp":{},'),
        (b'"prompt":', b'"seed":NaN,"prompt":'),
        (b'"prompt":', b'"seed":1e999,"prompt":'),
        (b'"prompt":', b'"seed":' + b"[" * 200 + b"]" * 200 + b',"prompt":'),
        (b'"prompt":', b'"seed":' + b"[" * 990 + b"]" * 990 + b',"prompt":'),
        (b'"cost_micro_usd":', b'"cost_micro_usd":-'),
        (b'"refunded":true', b'"refunded":"no"'),
        (b'"message":"', b'"message":["'),
        (b'"bytes":', b'"bytes":-'),
    ],
    ids=lambda part: part[:40].decode(),
)
def test_what_could_be_read_and_not_be_meant_is_refused(old: bytes, new: bytes) -> None:
    """A run named twice would be forgotten, a number without end never be written again, a cost below 0 make room."""
    data = json.loads(written([in_status(Status.DOWNLOADED, "lamp"), in_status(Status.FAILED, "sea")]))
    text = json.dumps({**data, "checksum": ""}, separators=(",", ":")).encode()
    assert read(text).records
    assert old in text
    changed = text.replace(old, new)
    changed = changed.replace(new, b'"message":["x"],"x":"') if new.endswith(b'["') else changed
    with pytest.raises(StateDamaged):
        read(changed)


def test_two_damages_at_once_do_not_pass_for_another_programs_layout() -> None:
    """One damage changes a run, the other the checksum's own name, so that no checksum seems to be there."""
    data = written([in_status(Status.SUBMITTED, "lamp")])
    for other in (b'"checksum"', b'"crc32:'):
        with pytest.raises(StateDamaged):
            read(data.replace(b"run_", b"rum_").replace(other, other[:2] + b"_" + other[3:]))


def test_a_refusal_is_short_however_long_what_is_refused() -> None:
    data = json.loads(written([in_status(Status.FAILED, "lamp")]))
    data["runs"]["lamp"]["status"] = "x" * 100_000
    with pytest.raises(StateDamaged) as caught:
        read(json.dumps(data).encode())
    assert len(str(caught.value)) < 500


def test_a_later_version_is_refused_as_such_even_if_it_has_entries_that_this_one_does_not_know() -> None:
    value = json.loads(written([])) | {"version": 2, "shards": []}
    with pytest.raises(StateNewer):
        read(json.dumps(value).encode())


def test_every_refusal_says_the_way_out() -> None:
    with pytest.raises(StateDamaged) as caught:
        read(b"")
    assert "backup" in str(caught.value.hint)


def test_a_state_without_a_service_stays_without_one() -> None:
    assert read(written([], replace(HEADER, base_url=None))).header.base_url is None
