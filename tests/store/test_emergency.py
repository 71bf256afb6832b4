"""Ids that could not be saved: kept in another file, named again at the next start, and given back by a person."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import pytest

from batchgen import events as ev
from batchgen.app.decide import Decision, resolve
from batchgen.app.standing import records_of
from batchgen.app.target import Target
from batchgen.records import Status
from batchgen.store.document import Header
from batchgen.store.emergency import INTERRUPTED, doubts, save_id
from batchgen.store.ledger import open_ledger
from batchgen.store.paths import StatePaths
from tests.core.samples import AT, after, created, doubted, intended, planned
from tests.store.disk import Call, Cut, Disk, error

LATER = "2026-01-02T03:04:09.000Z"
RECORDS = {"lamp": after(planned(), intended()), "moon": after(planned("moon"), intended("moon"))}


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StatePaths:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    return StatePaths(tmp_path / "home" / "s.json")


def why(paths: StatePaths) -> dict[str, str]:
    """What the next start says of each open intent."""
    return {event.id: event.failure.message for event in doubts(paths, RECORDS, LATER)}


def test_an_open_intent_says_which_id_was_saved_for_it_and_where(paths: StatePaths) -> None:
    save_id(paths, "lamp", "run_1", LATER)
    assert why(paths)["moon"] == INTERRUPTED.message
    assert f"{paths.emergency} has run_1" in why(paths)["lamp"]
    assert "--adopt run_1" in why(paths)["lamp"]


def test_the_folder_for_temporary_files_is_looked_into_for_this_state_only(paths: StatePaths, tmp_path: Path) -> None:
    save_id(StatePaths(tmp_path / "gone" / "s.json"), "lamp", "run_other", LATER)
    save_id(StatePaths(tmp_path / "gone" / "s.json"), "moon", "run_other", LATER)
    assert set(why(paths).values()) == {INTERRUPTED.message}
    file = tmp_path / "tmp" / "s.json.emergency"
    file.write_text(file.read_text().replace(str(tmp_path / "gone"), str(tmp_path / "home")))
    assert "--adopt run_other" in why(paths)["lamp"]


@pytest.mark.parametrize(
    "line",
    [
        {"id": "lamp", "run_id": "run_1", "at": "2025-01-01T00:00:00.000Z", "state": ""},  # of an earlier POST
        {"id": "lamp", "run_id": "run_1\x1b[2J", "at": LATER, "state": ""},
        {"id": "lamp", "run_id": 5, "at": LATER, "state": ""},
        {"id": "lamp", "run_id": "run_1"},
        ["lamp", "run_1"],
        "lamp",
    ],
    ids=str,
)
def test_what_does_not_belong_to_this_post_is_passed_over(paths: StatePaths, line: object) -> None:
    paths.emergency.write_bytes(json.dumps(line).encode() + b'\n\xff\x00{"id": "lamp", "run\n' + b"[" * 100_000)
    assert why(paths)["lamp"] == INTERRUPTED.message


def test_a_pipe_or_folder_in_its_place_holds_nobody_up(paths: StatePaths, tmp_path: Path) -> None:
    os.mkfifo(paths.emergency)
    (tmp_path / "tmp" / "s.json.emergency").mkdir()
    assert why(paths)["lamp"] == INTERRUPTED.message


def test_an_id_that_another_run_has_is_not_offered(paths: StatePaths) -> None:
    save_id(paths, "lamp", "run_sun", LATER)
    records = RECORDS | {"sun": after(planned("sun"), intended("sun"), created("sun"))}
    assert [event.failure for event in doubts(paths, records, LATER)] == [INTERRUPTED] * 2


def test_half_a_line_spoils_no_other(paths: StatePaths, tmp_path: Path) -> None:
    """The disk is full in the middle of an id, which goes elsewhere; the next one finds room here again."""
    full = [Call(0, "", Path()), Call(0, "", Path())]

    def fail(call: Call) -> OSError | None:
        return error("ENOSPC") if call.name == "write" and full and full.pop() and "home" in call.path.parts else None

    disk = Disk(tmp_path, fail)
    with disk.under():
        elsewhere = save_id(paths, "lamp", "run_1", LATER)
        full.clear()
        here = save_id(paths, "moon", "run_2", LATER)
    assert (elsewhere, here) == (tmp_path / "tmp" / "s.json.emergency", paths.emergency)
    left = StatePaths(disk.after(Cut(), tmp_path.parent / f"{tmp_path.name}-after") / "home" / "s.json")
    assert [json.loads(line)["run_id"] for line in left.emergency.read_text().splitlines()] == ["run_2"]
    assert "--adopt run_1" in why(paths)["lamp"]
    assert "--adopt run_2" in why(paths)["moon"]


@pytest.mark.anyio
async def test_whoever_looks_at_the_batch_is_told_and_the_next_run_keeps_it(paths: StatePaths) -> None:
    """`status`, `plan` and `resolve` see the words at once; from the next session on they are in the state."""
    async with open_ledger(paths, Header("u", "m.yaml", "")) as ledger:
        await ledger.record_all([planned(), intended(), planned("moon"), intended("moon"), doubted("moon")])
        before = [path.read_bytes() for path in (paths.state, paths.journal)]
    for path, data in zip((paths.state, paths.journal), before, strict=True):
        path.write_bytes(data)
    save_id(paths, "lamp", "run_1", LATER)
    target = Target(Path("m.yaml"), {"state": paths.state})
    assert "--adopt run_1" in str(records_of(target)["lamp"].error)
    assert "--adopt run_1" in resolve(target, (), Decision()).text
    async with open_ledger(paths) as ledger:
        assert ledger.records["lamp"].status is Status.IN_DOUBT
        assert "--adopt run_1" in str(ledger.records["lamp"].error)
    paths.emergency.unlink()
    assert "--adopt run_1" in str(records_of(target)["lamp"].error)
    async with open_ledger(paths) as ledger:
        record = await ledger.record(ev.Adopted(id="lamp", at=AT, run_id="run_1"))
        assert (record.status, record.run_id, record.error) == (Status.SUBMITTED, "run_1", None)
