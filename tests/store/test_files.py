"""Replacing files, the paths of a state, and the last resort for an id."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from pathlib import Path

import pytest

from batchgen.store.emergency import save_id
from batchgen.store.files import replace_file
from batchgen.store.paths import StatePaths, state_paths


def test_a_file_is_replaced_as_a_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text("old")
    replace_file(path, [b"ne", b"w"])
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["write", "fsync", "replace"])
def test_a_replacement_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    path = tmp_path / "x.json"
    path.write_text("old")

    def fail(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OSError, match="full"):
        replace_file(path, [b"new"])
    monkeypatch.undo()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_parts_that_raise_leave_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    with pytest.raises(ZeroDivisionError):
        replace_file(path, (bytes([1 // n]) for n in (1, 0)))
    assert list(tmp_path.iterdir()) == []


def test_the_state_is_named_after_the_manifest_and_a_rehearsal_has_its_own() -> None:
    manifest = Path("work/batch.v2.yaml")
    assert state_paths(manifest, None, sandbox=False).state == Path("work/batch.v2.state.json")
    assert state_paths(manifest, None, sandbox=True).state == Path("work/batch.v2.sandbox.state.json")
    assert state_paths(manifest, Path("other.json"), sandbox=False).state == Path("other.json")
    paths = StatePaths(Path("a/s.json"))
    names = [path.name for path in (paths.journal, paths.lock, paths.emergency)]
    assert names == ["s.json.journal", "s.json.lock", "s.json.emergency"]


def entries(path: Path | None) -> list[tuple[str, str]]:
    assert path is not None
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [(line["id"], line["run_id"]) for line in lines]


def test_ids_that_the_journal_did_not_take_are_kept_beside_the_state(tmp_path: Path) -> None:
    paths = StatePaths(tmp_path / "s.json")
    save_id(paths, "lamp", "run_1", "now")
    where = save_id(paths, "é\ud83d", "run_2", "now")
    assert where == paths.emergency
    assert [run_id for _, run_id in entries(where)] == ["run_1", "run_2"]


def test_where_the_states_folder_takes_nothing_the_folder_for_temporary_files_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "tmp"
    other.mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(other))
    where = save_id(StatePaths(tmp_path / "gone" / "s.json"), "lamp", "run_1", "now")
    assert where == other / "s.json.emergency"
    assert entries(where) == [("lamp", "run_1")]


def _no_folder() -> str:
    raise FileNotFoundError("No usable temporary directory found")


def test_without_any_folder_for_temporary_files_the_one_beside_the_state_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", _no_folder)
    assert entries(save_id(StatePaths(tmp_path / "s.json"), "lamp", "run_1", "now")) == [("lamp", "run_1")]


def test_where_nothing_can_be_written_it_says_so_and_raises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", _no_folder)
    assert save_id(StatePaths(tmp_path / "gone" / "s.json"), "lamp", "run_1", "now") is None


def test_an_emergency_file_is_for_its_owner_only_and_never_through_a_link(tmp_path: Path) -> None:
    paths = StatePaths(tmp_path / "s.json")
    save_id(paths, "lamp", "run_1", "now")
    assert paths.emergency.stat().st_mode & 0o777 == 0o600
